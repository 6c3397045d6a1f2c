# SPDX-License-Identifier: Apache-2.0
"""Look at recordings with what was predicted of them: a page in the browser, on this computer only.

    eeg-hf view runs/study
    eeg-hf view runs/classifier --data runs/data/eegmat --port 0

The page scrolls through the windows of each recording: signals, event, quality, the true label and what was
predicted when nothing of the subject was trained on. Arrow keys go to the next window, up and down to the
next recording.
"""

from ..experiments.viewing.arguments import ViewArguments
from .parsing import Command

COMMAND = main = Command("view", __doc__, "viewing.serving", (ViewArguments,), positional="run")

if __name__ == "__main__":
    main()
