# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a classifier on the windows of a prepared corpus, split by subject.

    eeg-hf finetune finetune_eegmat --num_train_epochs 1
    # CPU, a minute eeg-hf finetune finetune_eegmat --model_name_or_path
    # runs/pretrained
    --folds 5 accelerate launch scripts/finetune.py finetune_eegmat --model_name_or_path
    runs/pretrained

Epochs are selected on the validation subjects; the test subjects are looked at once, at the end. With
`--folds 5` every subject is tested once, and `{fold}` in --model_name_or_path names the weights pretrained
without him.
"""

from ..experiments.finetuning_arguments import FinetuneArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "finetune",
    __doc__,
    "finetuning",
    (
        FinetuneArguments,
        SplitArguments,
    ),
    trains=True,
)

if __name__ == "__main__":
    main()
