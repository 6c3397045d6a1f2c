# SPDX-License-Identifier: Apache-2.0
"""Fine-tune a classifier on the windows of a prepared corpus, split by subject.

    # CPU, a minute
    eeg-hf finetune finetune_eegmat
    # cross-validation on pretrained weights
    eeg-hf finetune finetune_eegmat --model runs/pretrained --folds 5
    # each subject calibrated by 30 s of rest, without labels
    eeg-hf finetune finetune_eegmat --folds 5 --regime first_30s --rest rest
    # several GPUs
    accelerate launch -m eeg_hf.cli.finetune finetune_eegmat --model runs/pretrained --head both

The recipes fit a linear head to its optimum on second-order vectors, in seconds (`--head convex`); `--head
both` fine-tunes from it, and `experiment=first_order` is fine-tuning without second-order tokens. `--regime`
says which unlabelled windows of a subject may recentre these: unseen is none, first_30s, 20P and 50P are a
calibration that is not scored, all is every window.

Where epochs are trained, the validation subjects select one; the test subjects are tested once, at the end.
With `--folds 5` every subject is tested once, and `{fold}` in --model names the weights that were pretrained
without the test subjects of that fold.
"""

from ..experiments.classifiers.arguments import FinetuneArguments, find_idle
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "finetune",
    __doc__,
    "classifiers.finetuning",
    (FinetuneArguments, SplitArguments),
    trains=True,
    find_idle=find_idle,
)

if __name__ == "__main__":
    main()
