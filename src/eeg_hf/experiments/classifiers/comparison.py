# SPDX-License-Identifier: Apache-2.0
"""Compare trained models and baselines in one table: same windows, same split by subject."""

import sys
from pathlib import Path

from datasets import DatasetDict

from ...corpora import SplitContents, load_windows, with_classes
from ...evaluation import (
    chance_level,
    codecs_table,
    collect_provenance,
    compare_methods,
    plot_rate_distortion,
    plot_results,
    results_table,
    write_codec_report,
    write_report,
)
from ..split_arguments import SplitArguments
from .arguments import EvaluateArguments


def run(args: EvaluateArguments, split_args: SplitArguments) -> None:
    """Compare classifiers or codecs."""
    args.check()
    output_dir = Path(args.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    compare = compare_codecs if args.codecs else compare_classifiers
    sys.stdout.write(compare(args, split_args, output_dir))


def compare_classifiers(args: EvaluateArguments, split_args: SplitArguments, output_dir: Path) -> str:
    """Collect the predictions of every method, write the report and return its table."""
    from .predictions import collect_classifiers

    label_column = str(args.label_column)
    dataset, class_names = with_classes(load_windows(args.data[0]), label_column, args.class_names)
    splits = split_args.apply(dataset, args.folds, args.protocol, label_column)
    refuse_missing_test(splits, split_args.split)
    contents = SplitContents.of(splits)
    described = f"{split_args.describe(args.folds, args.protocol)}, {contents.protocol}"
    methods = collect_classifiers(args, dataset, splits, class_names, contents)
    rows = compare_methods([*methods], described, contents.protocol)
    chance = chance_level([class_names.index(label) for label in dataset[label_column]])
    figure = output_dir / "results.png"
    plot_results(rows, chance=chance["balanced_accuracy"], path=figure)
    provenance = collect_provenance(
        dataset=", ".join(dataset.unique("corpus")),
        licence=", ".join(dataset.unique("licence")),
        seeds=sorted({seed for row in rows for seed in row.seeds}),
        chance=chance,
        split=described,
        **contents.facts(),
        split_seed=split_args.split_seed,
        classes=class_names,
    )
    write_report(output_dir, rows, provenance, {"Balanced accuracy by method": figure})
    return f"{described}: {contents.describe()}\n\n{results_table(rows)}"


def refuse_missing_test(splits: list[DatasetDict], method: str) -> None:
    """Refuse a split that leaves nothing to test."""
    if any("test" not in parts for parts in splits):
        raise ValueError(f"split {method!r} leaves no window to test on: choose official, subject or fold")


def compare_codecs(args: EvaluateArguments, split_args: SplitArguments, output_dir: Path) -> str:
    """Run every codec and its baselines on every corpus, write the report and return its tables."""
    from ..codecs.comparison import collect_codecs, load_corpora

    corpora = load_corpora(args.data, split_args)
    trained = [
        {"test": corpus.test} | ({"train": corpus.train} if corpus.train else {}) for corpus in corpora
    ]
    contents = SplitContents.of(trained)
    rows = collect_codecs(args.codecs, corpora)
    figure = output_dir / "rate_distortion.png"
    plot_rate_distortion(rows, path=figure)
    provenance = collect_provenance(
        dataset="; ".join(corpus.name for corpus in corpora),
        licence="; ".join(", ".join(corpus.test.unique("licence")) for corpus in corpora),
        seeds=range(max(row.seeds for row in rows)),
        split=f"{split_args.split} split",
        **contents.facts(),
    )
    write_codec_report(output_dir, rows, provenance, {"Reconstruction against bit rate": figure})
    return codecs_table(rows)
