# SPDX-License-Identifier: Apache-2.0
r"""Train a tokenizer, a codec of EEG, on prepared corpora, without labels.

    # CPU, a minute
    eeg-hf train-tokenizer tokenizer_default \
        --data runs/data/simulated --max_steps 200
    # one GPU, several
    eeg-hf train-tokenizer tokenizer_snake --data runs/data/eegmat --bf16 true
    accelerate launch scripts/train_tokenizer.py tokenizer_snake --data runs/data/eegmat
    # corpora that were prepared at different rates
    eeg-hf train-tokenizer tokenizer_conditioning \
        --data runs/data/eegmat runs/data/eegmmidb
    # three learning rates x two activations; sweep.md compares them
    eeg-hf train-tokenizer tokenizer_default \
        --data runs/data/eegmat --sweep true

Subjects of the validation and test parts are never trained on; `--split fold --fold k` leaves out the test
subjects of fold k. Windows are cut to whole patches. A run that was killed goes on with
--resume_from_checkpoint true.
"""

from ..experiments.split_arguments import SplitArguments
from ..experiments.tokenizer_training_arguments import TokenizerArguments
from .parsing import Command

COMMAND = main = Command(
    "train-tokenizer",
    __doc__,
    "tokenizer_training",
    (
        TokenizerArguments,
        SplitArguments,
    ),
    trains=True,
)

if __name__ == "__main__":
    main()
