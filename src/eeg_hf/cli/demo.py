# SPDX-License-Identifier: Apache-2.0
"""Show a page to try a model on: drop a recording, see labels, quality, attributions and embeddings.

    eeg-hf demo
    eeg-hf demo runs/classifier --port 7861
    eeg-hf demo runs/classifier --space runs/space

Without a model, the small one that comes with the package answers, and a simulated recording is there to try:
it works at once, without a network. The page loads nothing from elsewhere and sends nothing away.
With --space it becomes a folder for the Hub: `hf upload USER/SPACE runs/space . --repo-type space`.
"""

from ..experiments.demo.arguments import DemoArguments
from .parsing import Command

COMMAND = main = Command("demo", __doc__, "demo.demo", (DemoArguments,), positional="words")

if __name__ == "__main__":
    main()
