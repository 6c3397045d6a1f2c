# SPDX-License-Identifier: Apache-2.0
r"""Score two fine-tuned regressors as the EEG2025 challenge does, beside what they have to beat.

    eeg-hf evaluate-eeg2025 --challenge1 runs/c1 --challenge2 runs/c2 --output_dir runs/eeg2025
    eeg-hf evaluate-eeg2025 --challenge1 runs/c1 --challenge2 runs/c2 --output_dir runs/eeg2025 \
        --data1 runs/data/hbn_challenge1 --data2 runs/data/hbn_challenge2 --target2 p_factor --task2 all

The data are those of prepare_hbn_challenge1 and prepare_hbn_challenge2.yaml; the part
tested is R5. Whoever selected epochs on R5 reads a score here that is a little too good.

Not as the organisers do: their local scoring tests challenge 2 on 2 s cropped at random from windows of 4 s,
one every 2 s; here windows are tested as they were prepared. As theirs do, they come from
contrastChangeDetection unless --task2 says otherwise.
"""

from ..experiments.challenge_evaluation_arguments import ChallengeArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "evaluate-eeg2025",
    __doc__,
    "challenge_evaluation",
    (
        ChallengeArguments,
        SplitArguments,
    ),
)

if __name__ == "__main__":
    main()
