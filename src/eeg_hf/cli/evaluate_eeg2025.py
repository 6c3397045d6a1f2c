# SPDX-License-Identifier: Apache-2.0
r"""Score two fine-tuned regressors as the EEG2025 challenge does, beside baselines.

    eeg-hf evaluate-eeg2025 --challenge1 runs/c1 --challenge2 runs/c2 --output_dir runs/eeg2025
    eeg-hf evaluate-eeg2025 --challenge1 runs/c1 --challenge2 runs/c2 --output_dir runs/eeg2025 \
        --data1 runs/data/hbn_challenge1 --data2 runs/data/hbn_challenge2 --target2 p_factor --task2 all

The recipes prepare_hbn_challenge1 and prepare_hbn_challenge2 prepare the data; release R5 is tested. If R5
selected the epochs, the score is slightly optimistic.

The organisers' local scoring tests challenge 2 on random crops of 2 s from windows of 4 s, one every 2 s;
here windows are tested as prepared. Both use the task contrastChangeDetection; --task2 chooses another.
"""

from ..experiments.challenge.arguments import ChallengeArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "evaluate-eeg2025", __doc__, "challenge.evaluation", (ChallengeArguments, SplitArguments)
)

if __name__ == "__main__":
    main()
