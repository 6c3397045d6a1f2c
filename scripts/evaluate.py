# SPDX-License-Identifier: Apache-2.0
r"""Put fine-tuned classifiers and classical baselines into one table: same windows, same split by subject.

    python scripts/evaluate.py --data runs/data/simulated --label_column condition --output_dir runs/table
    python scripts/evaluate.py --data runs/data/eegmat --label_column condition --folds 5 \
        --output_dir runs/table --runs "pretrained=runs/cv/pretrained-*" "from scratch=runs/cv/scratch-*"
    python scripts/evaluate.py --data runs/data/eegmat --label_column condition --output_dir runs/table \
        --model runs/classifier --baselines false

A run is a folder that scripts/finetune.py left; `*` in its name means one run a seed. Every method must have
been tested on exactly the windows of this split: otherwise the table is refused. Rows where the unlabelled
windows of the people tested were used (alignment) are marked, and never to be compared with the others.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import AutoModelForSequenceClassification, Trainer, TrainingArguments
from transformers.utils import logging

from eeg_hf import EEGDataCollator, EEGFeatureExtractor, WindowDataset
from eeg_hf.corpora import SplitArguments, drop_unlabelled, load_alignments, load_windows
from eeg_hf.data_collator import decode_windows
from eeg_hf.evaluation import (
    Predictions,
    ResultRow,
    band_power_classifier,
    chance_level,
    collect_provenance,
    plot_results,
    recentre_bands,
    results_table,
    summarize_predictions,
    tangent_space_classifier,
    write_report,
)
from eeg_hf.training import parse_recipe, run_main

logger = logging.get_logger("eeg_hf.evaluate")

BASELINES: dict[str, Callable] = {
    "band power + logistic regression": band_power_classifier,
    "tangent space + logistic regression": tangent_space_classifier,
}


@dataclass
class EvaluateArguments:
    """What to compare, on what."""

    data: str = field(metadata={"help": "Prepared corpus, folder or Hub name."})
    label_column: str = field(metadata={"help": "Column of the labels."})
    output_dir: str = field(metadata={"help": "Where metrics.json, report.md and results.png go."})
    class_names: list[str] | None = field(
        default=None, metadata={"help": "Classes in order; default: those found."}
    )
    runs: list[str] = field(
        default_factory=list, metadata={"help": "name=folder of runs of scripts/finetune.py."}
    )
    model: str | None = field(default=None, metadata={"help": "A saved classifier to test on the test part."})
    baselines: bool = field(default=True, metadata={"help": "Fit the classical baselines."})
    folds: int = field(default=0, metadata={"help": "Cross-validate over so many folds instead of --split."})


def main() -> None:
    """Collect the predictions of every method and write the report."""
    args, split_args = parse_recipe((EvaluateArguments, SplitArguments), description=__doc__)
    dataset = drop_unlabelled(load_windows(args.data), args.label_column)
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
        for method, alignment, seeds in collect(args, dataset, splits, class_names)
    ]
    output_dir = Path(args.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
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
    sys.stdout.write(results_table(rows))


def collect(
    args: EvaluateArguments, dataset: Dataset, splits: list[DatasetDict], class_names: list[str]
) -> Iterator[tuple[str, str, list[list[Predictions]]]]:
    """Yield every method with its regime and its predictions: one list a seed, one entry a fold."""
    if args.baselines:
        windows = load_arrays(dataset)
        for method, build in BASELINES.items():
            yield method, "none", [fit_baseline(build, windows, splits, args, class_names)]
        # Whitened in each band: stronger than whitening the whole signal, as it should be for what is to be
        # beaten.
        values = recentre_bands(
            np.stack(list(windows.values())), dataset["subject"], dataset[0]["sampling_rate"]
        )
        windows = dict(zip(windows, values, strict=True))
        method = "tangent space + logistic regression"
        yield method, "bands", [fit_baseline(BASELINES[method], windows, splits, args, class_names)]
    for run in args.runs:
        name, _, pattern = run.partition("=")
        folders = [Path(folder) for folder in sorted(glob(pattern))]
        if not folders:
            raise FileNotFoundError(f"runs: no folder matches {pattern!r}, expected name=folder")
        seeds = [load_run(folder, splits, bool(args.folds)) for folder in folders]
        yield name, run_alignment(folders[0]), seeds
    if args.model:
        extractor = EEGFeatureExtractor.from_pretrained(args.model)
        yield args.model, extractor.alignment, [[predict(args, split["test"], extractor) for split in splits]]


def load_arrays(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return every window (channels, time) in microvolt by its id."""
    rows = WindowDataset(dataset)
    if len(set(rows.num_channels)) > 1:
        raise ValueError(
            "baselines: expected one number of channels; prepare with --channels, or --baselines false"
        )
    windows: dict[str, np.ndarray] = {}
    for start in range(0, len(rows), 512):
        table = rows.__getitems__(list(range(start, min(start + 512, len(rows)))))
        values, _, _ = decode_windows(table)
        windows.update(zip(table.column("window_id").to_pylist(), values, strict=True))
    return windows


def fit_baseline(
    build: Callable,
    windows: dict[str, np.ndarray],
    splits: list[DatasetDict],
    args: EvaluateArguments,
    class_names: list[str],
) -> list[Predictions]:
    """Fit a baseline on the training and validation subjects of each fold, which it does not tell apart."""
    predictions = []
    for split in splits:
        fitted = [part for name, part in split.items() if name != "test"]
        values = np.stack([windows[key] for part in fitted for key in part["window_id"]])
        labels = [class_names.index(label) for part in fitted for label in part[args.label_column]]
        test = split["test"]
        classifier = build(sampling_rate=test[0]["sampling_rate"]).fit(values, labels)
        scores = classifier.predict_proba(np.stack([windows[key] for key in test["window_id"]]))
        predictions.append(to_predictions(test, args.label_column, class_names, scores))
    return predictions


def load_run(folder: Path, splits: list[DatasetDict], is_folded: bool) -> list[Predictions]:
    """Return the predictions of a run, after checking that they are of this split's test windows."""
    folders = [folder / f"fold-{fold}" for fold in range(len(splits))] if is_folded else [folder]
    predictions = [Predictions.load(part / "predictions.parquet") for part in folders]
    for part, found, split in zip(folders, predictions, splits, strict=True):
        expected, got = set(split["test"]["window_id"]), set(found.window_ids.tolist())
        if expected != got:
            raise ValueError(
                f"{part} was tested on {len(got)} windows of which {len(got & expected)} are among the "
                f"{len(expected)} of "
                "this split: give --data, --split and --folds of that run"
            )
    return predictions


def run_alignment(folder: Path) -> str:
    """Return the alignment that a run was made with."""
    path = next(iter(sorted(folder.rglob("preprocessor_config.json"))))
    return json.loads(path.read_text())["alignment"]


def predict(args: EvaluateArguments, test: Dataset, extractor: EEGFeatureExtractor) -> Predictions:
    """Run a saved classifier on a test part."""
    model = AutoModelForSequenceClassification.from_pretrained(args.model)
    alignments = load_alignments(args.data) if extractor.alignment != "none" else None
    trainer = Trainer(
        model=model,
        args=TrainingArguments(args.output_dir, remove_unused_columns=False, report_to="none"),
        data_collator=EEGDataCollator(extractor, args.label_column, model.config.label2id, alignments),
    )
    logits = torch.from_numpy(trainer.predict(WindowDataset(test, [args.label_column])).predictions)
    names = [model.config.id2label[index] for index in range(model.config.num_labels)]
    return to_predictions(test, args.label_column, names, logits.float().softmax(dim=-1).numpy())


def to_predictions(
    test: Dataset, label_column: str, class_names: list[str], scores: np.ndarray
) -> Predictions:
    """Name the scores of a test part."""
    return Predictions(
        window_ids=np.array(test["window_id"]),
        subjects=np.array(test["subject"]),
        labels=np.array([class_names.index(label) for label in test[label_column]]),
        scores=scores,
    )


if __name__ == "__main__":
    run_main(main, "eeg_hf.evaluate")
