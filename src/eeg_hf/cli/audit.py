# SPDX-License-Identifier: Apache-2.0
"""Audit recordings before they are prepared, or windows before training: what they hold, what looks wrong.

    eeg-hf audit our_recordings --output recordings.json
    eeg-hf audit runs/data/eegmat
    eeg-hf audit runs/data/hbn runs/data/tuab --output audit.json
    eeg-hf audit runs/data/eegmat --against runs/pretrained

Of a folder of recordings, each file is opened: format, rate, channels, duration, unit, gaps, events,
positions, quality and warnings. Copies of one corpus in another are found if both are given. With --against,
the exit code is 1 where a checkpoint has seen a subject or a window of the data, whose names are printed, and
2 where it does not say. Otherwise it is 0, whatever is found.
"""

from ..experiments.auditing_arguments import AuditArguments
from .parsing import Command

COMMAND = main = Command("audit", __doc__, "auditing", (AuditArguments,), positional="data")

if __name__ == "__main__":
    main()
