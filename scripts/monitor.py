# SPDX-License-Identifier: Apache-2.0
from eeg_hf.cli.monitor import main

if __name__ == "__main__":
    main()
