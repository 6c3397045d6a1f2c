# SPDX-License-Identifier: Apache-2.0
"""Audit prepared corpora before training on them: what they hold, and what looks wrong.

    eeg-hf audit runs/data/eegmat
    eeg-hf audit runs/data/hbn runs/data/tuab --output audit.json

Copies of one corpus in another are found if both are given. The exit code is 0 whatever is found.
"""

from ..experiments.auditing_arguments import AuditArguments
from .parsing import Command

COMMAND = main = Command("audit", __doc__, "auditing", (AuditArguments,), positional="data")

if __name__ == "__main__":
    main()
