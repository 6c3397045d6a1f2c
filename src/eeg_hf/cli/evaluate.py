# SPDX-License-Identifier: Apache-2.0
r"""Put what was trained into one table with what it has to beat: same windows, same split by subject.

    eeg-hf evaluate --data runs/data/simulated --label_column condition --output_dir runs/table
    eeg-hf evaluate --data runs/data/eegmat --label_column condition --folds 5 \
        --output_dir runs/table --runs "pretrained=runs/cv/pretrained-*" "from scratch=runs/cv/scratch-*"
    eeg-hf evaluate --data runs/data/eegmat --label_column condition --output_dir runs/table \
        --model runs/classifier --baselines false
    eeg-hf evaluate --data runs/data/eegmat --output_dir runs/codecs \
        --codecs "mlp, relu=runs/codec/mlp-relu-*" "conv, snake=runs/codec/conv-snake-*"

A run is a folder that eeg-hf finetune left (classifiers) or eeg-hf train-tokenizer (codecs); `*` in
its name means one run a seed.

Every classifier must have been tested on exactly the windows of this split: otherwise the table is refused.
Rows where the unlabelled windows of the people tested were used (alignment) are marked, and never to be
compared with the others.

Codecs run on the test part, which --split must leave out as it did when they were trained. Beside them stand
PCA with scalar quantisation, fitted to the training part at the same bits, and FLAC, which loses nothing.
With --split none all windows are tested, and there is nobody to fit PCA to. Several corpora in --data give
one table each.
"""

from ..experiments.evaluate_arguments import EvaluateArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command

COMMAND = main = Command(
    "evaluate",
    __doc__,
    "comparison",
    (
        EvaluateArguments,
        SplitArguments,
    ),
)

if __name__ == "__main__":
    main()
