# SPDX-License-Identifier: Apache-2.0
"""Compare trained models and baselines in one table: same windows, same split by subject."""

import sys
from pathlib import Path

from datasets import DatasetDict

from ...corpora import SplitContents
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
from ..options import split_words
from ..split_arguments import SplitArguments
from .arguments import EvaluateArguments
from .target import load_target


def run(args: EvaluateArguments, split_args: SplitArguments) -> None:
    """Compare classifiers or codecs."""
    args.check()
    output_dir = Path(args.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    compare = compare_codecs if args.codecs else compare_classifiers
    sys.stdout.write(compare(args, split_args, output_dir))


def compare_classifiers(args: EvaluateArguments, split_args: SplitArguments, output_dir: Path) -> str:
    """Collect the predictions of every method, write the report and return its table."""
    from .predictions import collect_methods

    label_column, is_regression = str(args.label_column), args.task == "regression"
    dataset, target = load_target(
        args.data[0], label_column, is_regression, args.class_names, split_words(args.votes)
    )
    splits = split_args.apply(dataset, args.folds, args.protocol, label_column)
    refuse_missing_test(splits, split_args.split)
    contents = SplitContents.of(splits)
    described = f"{split_args.describe(args.folds, args.protocol)}, {contents.protocol}"
    methods = collect_methods(args, dataset, splits, target, contents)
    rows = compare_methods([*methods], described, contents.protocol)
    chance = {} if is_regression else chance_level(target.encode(dataset))
    figure = output_dir / "results.png"
    metric = "mae" if is_regression else "balanced_accuracy"
    plot_results(rows, metric, chance=chance.get(metric), path=figure)
    provenance = collect_provenance(
        dataset=", ".join(dataset.unique("corpus")),
        licence=", ".join(dataset.unique("licence")),
        seeds=sorted({seed for row in rows for seed in row.seeds}),
        split=described,
        **contents.facts(),
        split_seed=split_args.split_seed,
        **({"task": "regression", "label": label_column} if is_regression else {"chance": chance}),
        **({} if is_regression else {"classes": list(target.class_names)}),
    )
    title = "Mean absolute error by method" if is_regression else "Balanced accuracy by method"
    write_report(output_dir, rows, provenance, {title: figure})
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
    rows = collect_codecs(args.codecs, corpora, args.contaminated)
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
