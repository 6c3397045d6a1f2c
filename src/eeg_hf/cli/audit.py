# SPDX-License-Identifier: Apache-2.0
"""Look over prepared corpora before training on them: what is there, and what looks wrong.

    eeg-hf audit --data runs/data/eegmat
    eeg-hf audit --data runs/data/hbn runs/data/tuab --json audit.json

Copies of one corpus in another are found where both are given. The exit code is 0 whatever is found.
"""

from ..experiments.auditing_arguments import AuditArguments
from .parsing import Command

COMMAND = main = Command("audit", __doc__, "auditing", (AuditArguments,), positional="data")

if __name__ == "__main__":
    main()
