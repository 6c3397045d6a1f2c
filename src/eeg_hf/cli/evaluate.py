# SPDX-License-Identifier: Apache-2.0
r"""Compare trained models and baselines in one table: same windows, same split by subject.

    eeg-hf evaluate --data runs/data/simulated --label_column condition --output_dir runs/table
    eeg-hf evaluate --data runs/data/eegmat --label_column condition --folds 5 \
        --output_dir runs/table --runs "pretrained=runs/cv/pretrained-*" "from scratch=runs/cv/scratch-*"
    eeg-hf evaluate --data runs/data/eegmat --label_column condition --output_dir runs/table \
        --model runs/classifier --baselines false
    eeg-hf evaluate --data runs/data/eegmat --label_column condition --output_dir runs/table \
        --model runs/classifier --causal true --recordings data/eegmat
    eeg-hf evaluate --data runs/data/eegmat --output_dir runs/codecs \
        --codecs "mlp, relu=runs/codec/mlp-relu-*" "conv, snake=runs/codec/conv-snake-*"
    eeg-hf evaluate --data runs/data/eegmat --label_column condition --folds 5 --output_dir runs/methods \
        --methods braindecode/EEGNet braindecode/EEGConformer
    eeg-hf evaluate --data runs/data/eegmat --label_column condition --folds 5 --output_dir runs/strategies \
        --strategies probe,convex,lora,full --pretrained_weights runs/pretrained --seeds 3

--methods and --strategies train first, by commands of eeg-hf finetune; what is finished stays. Strategies are
probe, ridge, knn, attentive, convex, lora, dora, ia3, gradual, layer_decay and full. --regimes unseen aligned
trains each of --methods twice: for unseen subjects, and aligned by their unlabelled windows.

A run is a folder of eeg-hf finetune or eeg-hf train-tokenizer; `*` stands for one run per seed.
Every classifier must have been tested on exactly the windows of this split; otherwise the table is refused.
Rows that used unlabelled windows of the test subjects (alignment) are marked: compare them with each other.

Codecs are tested on the test part of --split, beside PCA fitted to the training part at the same bits, and
FLAC, which is lossless. With --split none PCA cannot be fitted. Several corpora in --data give a table each.
"""

from ..experiments.classifiers.arguments import EvaluateArguments
from ..experiments.split_arguments import SplitArguments
from .parsing import Command
from .steps import run_once


def run(args: EvaluateArguments, split_args: SplitArguments) -> None:
    """Train what the table asks for, then compare."""
    args.check()
    if args.trains:
        from ..experiments.classifiers.strategies import check_trainings, plan_trainings

        trainings = plan_trainings(args, split_args)
        check_trainings(args)
        for training in trainings:
            run_once(training.folder, "finetune", *training.words)
    from ..experiments.classifiers.comparison import run as compare

    compare(args, split_args)


COMMAND = main = Command("evaluate", __doc__, run, (EvaluateArguments, SplitArguments))

if __name__ == "__main__":
    main()
