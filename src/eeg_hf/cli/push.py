# SPDX-License-Identifier: Apache-2.0
r"""Push a trained model or a prepared corpus to the Hub as a version.

    # list what would be pushed; needs no network
    eeg-hf push --model runs/classifier --repo_id org/eeg-foundation-eegmat --version v1.0 --dry_run true
    eeg-hf push --model runs/classifier --repo_id org/eeg-foundation-eegmat --version v1.0 \
        --facts model_cards/facts/eeg_foundation.json --private true
    eeg-hf push --data runs/data/eegmat --repo_id org/eegmat-windows --version v1.0

The token is that of `hf auth login`, or HF_TOKEN. Without --facts the card describes the folder and claims no
result. An existing version is kept unless --overwrite true. The same command completes an interrupted push.
"""

from ..experiments.publishing_arguments import PushArguments
from .parsing import Command

COMMAND = main = Command("push", __doc__, "publishing", (PushArguments,))

if __name__ == "__main__":
    main()
