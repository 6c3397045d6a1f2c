# SPDX-License-Identifier: Apache-2.0
"""Push a trained model, or a prepared corpus, to the Hub as a version.

    eeg-hf push --model runs/classifier --repo_id org/eeg-foundation-eegmat --version v1.0 \
        --dry_run true                            # says what would go; needs no network
    eeg-hf push --model runs/classifier --repo_id org/eeg-foundation-eegmat --version v1.0 \
        --facts model_cards/facts/eeg_foundation.json --private true
    eeg-hf push --dataset runs/data/eegmat --repo_id org/eegmat-windows --version v1.0

The token is the one of `hf auth login`, or HF_TOKEN. Without --facts the card says what the folder tells: no
result. A version that exists stays, unless --overwrite true. A broken push is completed by the same command.
"""

from ..experiments.publishing_arguments import PushArguments
from .parsing import Command

COMMAND = main = Command(
    "push",
    __doc__,
    "publishing",
    (PushArguments,),
)

if __name__ == "__main__":
    main()
