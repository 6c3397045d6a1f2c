# SPDX-License-Identifier: Apache-2.0
r"""Compare trained models and baselines in one table: same windows, same split by subject.

    eeg-hf evaluate --data runs/data/simulated --label_column condition --output_dir runs/table
    eeg-hf evaluate --data runs/data/eegmat --label_column condition --folds 5 \
        --output_dir runs/table --runs "pretrained=runs/cv/pretrained-*" "from scratch=runs/cv/scratch-*"
    eeg-hf evaluate --data runs/data/eegmat --label_column condition --output_dir runs/table \
        --model runs/classifier --baselines false
    eeg-hf evaluate --data runs/data/eegmat --output_dir runs/codecs \
        --codecs "mlp, relu=runs/codec/mlp-relu-*" "conv, snake=runs/codec/conv-snake-*"

A run is a folder written by eeg-hf finetune (classifiers) or eeg-hf train-tokenizer (codecs); `*` in its name
stands for one run per seed.

Every classifier must have been tested on exactly the windows of this split; otherwise the table is refused.
Rows that used unlabelled windows of the test subjects (alignment) are marked; compare them only with each
other.

Codecs are tested on the test part, which --split must divide as in their training. Their baselines are PCA
with scalar quantisation, fitted to the training part at the same bits, and FLAC, which is lossless. With
--split none all windows are tested, and PCA cannot be fitted. Several corpora in --data give one table each.
"""

from ..experiments.classifiers.arguments import EvaluateArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command("evaluate", __doc__, "classifiers.comparison", (EvaluateArguments, SplitArguments))

if __name__ == "__main__":
    main()
