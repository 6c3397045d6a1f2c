# SPDX-License-Identifier: Apache-2.0
"""Check this installation in less than a minute: models, preprocessing into a model, speed of this machine.

    eeg-hf selftest

One line a check. The exit code is 0 if all passed and 1 otherwise. It needs no data and no network, and
leaves no file.
"""

from .parsing import Command

COMMAND = main = Command("selftest", __doc__ or "", "selftest")

if __name__ == "__main__":
    main()
