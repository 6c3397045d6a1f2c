# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a classifier on the windows of a prepared corpus, split by subject.

    # CPU, a minute
    eeg-hf finetune finetune_eegmat --num_train_epochs 1
    # cross-validation on pretrained weights
    eeg-hf finetune finetune_eegmat --model runs/pretrained --folds 5
    # several GPUs
    accelerate launch -m eeg_hf.cli.finetune finetune_eegmat --model runs/pretrained

The validation subjects select the epoch; the test subjects are tested once, at the end. With `--folds 5`
every subject is tested once, and `{fold}` in --model names the weights that were pretrained without the test
subjects of that fold.
"""

from ..experiments.classifiers.arguments import FinetuneArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "finetune", __doc__, "classifiers.finetuning", (FinetuneArguments, SplitArguments), trains=True
)

if __name__ == "__main__":
    main()
