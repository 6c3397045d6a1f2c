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

import sys
from pathlib import Path

from ..corpora import SplitArguments, drop_unlabelled, load_windows
from ..evaluation import (
    ResultRow,
    chance_level,
    codecs_table,
    collect_provenance,
    plot_rate_distortion,
    plot_results,
    results_table,
    summarize_predictions,
    write_codec_report,
    write_report,
)
from ..experiments.evaluate_arguments import EvaluateArguments
from ..training import parse_recipe, run_main


def run() -> None:
    """Compare classifiers or codecs, whichever was asked for."""
    args, split_args = parse_recipe((EvaluateArguments, SplitArguments), description=__doc__)
    args.check()
    compare = compare_codecs if args.codecs else compare_classifiers
    output_dir = Path(args.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(compare(args, split_args, output_dir))


def compare_classifiers(args: EvaluateArguments, split_args: SplitArguments, output_dir: Path) -> str:
    """Collect the predictions of every method, write the report and return its table."""
    from ..experiments.classifiers import collect_classifiers

    dataset = drop_unlabelled(load_windows(args.data[0]), args.label_column)
    class_names = args.class_names or sorted(dataset.unique(args.label_column))
    splits = split_args.apply(dataset, args.folds)
    tested = sum(len(split["test"]) for split in splits)
    subjects = len({subject for split in splits for subject in split["test"].unique("subject")})
    described = f"{args.folds} subject folds" if args.folds else f"{split_args.split} split"
    rows = [
        ResultRow(
            method=method,
            regime="unseen" if alignment == "none" else "aligned",
            split=described,
            metrics=summarize_predictions(seeds),
            num_subjects=subjects,
            num_windows=tested,
            seeds=tuple(range(len(seeds))) if len(seeds) > 1 else (),
        )
        for method, alignment, seeds in collect_classifiers(args, dataset, splits, class_names)
    ]
    chance = chance_level([class_names.index(label) for label in dataset[args.label_column]])
    plot_results(rows, chance=chance["balanced_accuracy"], path=output_dir / "results.png")
    about = collect_provenance(
        dataset=", ".join(dataset.unique("corpus")),
        licence=", ".join(dataset.unique("licence")),
        seeds=range(max(len(row.seeds) for row in rows)),
        chance=chance,
        split=described,
        classes=class_names,
    )
    write_report(output_dir, rows, about, {"Balanced accuracy by method": output_dir / "results.png"})
    return results_table(rows)


def compare_codecs(args: EvaluateArguments, split_args: SplitArguments, output_dir: Path) -> str:
    """Run every codec and its references on every corpus, write the report and return its tables."""
    from ..experiments.codecs import collect_codecs, load_corpora

    corpora = load_corpora(args.data, split_args)
    rows = collect_codecs(args.codecs, corpora)
    picture = output_dir / "rate_distortion.png"
    plot_rate_distortion(rows, path=picture)
    about = collect_provenance(
        dataset="; ".join(corpus.name for corpus in corpora),
        licence="; ".join(", ".join(corpus.test.unique("licence")) for corpus in corpora),
        seeds=range(max(row.seeds for row in rows)),
        split=f"{split_args.split} split",
    )
    write_codec_report(output_dir, rows, about, {"What comes back against the bits it takes": picture})
    return codecs_table(rows)


def main() -> None:
    """Run the command."""
    run_main(run, "eeg_hf.evaluate")


if __name__ == "__main__":
    main()
