# SPDX-License-Identifier: Apache-2.0
"""One model with a head for each of several labels: classes and numbers at once, some of them missing.

The encoder is fitted to all windows that have any of the labels, and each head to those that have its own.
Each task leaves predictions and metrics in a folder of its name, which `eeg-hf evaluate --runs` reads.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset, DatasetDict
from transformers import AutoModelForSequenceClassification, TrainingArguments, set_seed
from transformers.trainer_utils import IntervalStrategy
from transformers.utils import logging

from ...collation import EEGDataCollator, WindowDataset
from ...corpora import SeenWindows, drop_unlabelled, load_windows, with_classes
from ...evaluation import Predictions, classification_metrics, regression_metrics, write_json
from ...evaluation.report import format_summary
from ...models.configuration_eeg_foundation import EEGFoundationConfig
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training import EEGTrainer, fit_population
from ...training.classifier_head import write_task_heads
from ...training.convex_head import ConvexHead, fit_head
from ...training.frozen_features import collect_features
from ...training.ridge_head import fit_ridge_head
from ..config_fields import check_config_fields
from ..inner_folds import inner_groups
from ..split_arguments import SplitArguments
from ..study.question import is_number
from .arguments import FinetuneArguments
from .head import training_rows
from .model import describe_channels, fit_to_windows
from .target import Target
from .testing import summarize_folds

logger = logging.get_logger(__name__)


def run(args: FinetuneArguments, split_args: SplitArguments, training_args: TrainingArguments) -> None:
    """Fit a model to several labels, once or for every fold, and write the test metrics of each."""
    dataset, targets = load_targets(args.data, args.label_columns, args.task == "regression")
    output_dir = Path(str(training_args.output_dir))
    splits = split_args.apply(dataset, args.folds, args.protocol)
    is_folded = bool(args.folds or args.protocol)
    places = [output_dir / f"fold-{fold}" for fold in range(len(splits))] if is_folded else [output_dir]
    metrics: dict[str, list[dict[str, float]]] = {target.column: [] for target in targets}
    folders = task_folders(output_dir, [target.column for target in targets])
    for parts, place in logging.tqdm([*zip(splits, places, strict=True)], desc="folds", unit="fold"):
        model, extractor, seen = fit_tasks(parts, targets, args, training_args, place)
        if "test" not in parts:
            continue
        for target in targets:
            folder = folders[target.column] / (place.name if is_folded else "")
            found = judge_task(model, extractor, seen, parts["test"], target, folder)
            if found is not None:
                metrics[target.column].append(found)
    for target in targets:
        if is_folded and len(metrics[target.column]) == len(splits):
            folder = folders[target.column]
            summary = summarize_folds(metrics[target.column], folder)
            write_json(folder / "metrics.json", {"folds": metrics[target.column], "summary": summary})
            shown = ", ".join(f"{name} {format_summary(summary[name])}" for name in target.shown_metrics)
            logger.warning(f"{target.column}: {shown}")


def task_folders(output_dir: Path, columns: Sequence[str], taken: Sequence[str] = ()) -> dict[str, Path]:
    """Return where the results of each label go, by names that differ on every file system.

    Args:
        output_dir: Above them.
        columns: Of the labels.
        taken: Names that something else in the folder has.
    """
    used, folders = set(taken), {}
    for column in columns:
        plain = re.sub(r"[^\w-]+", "_", column)
        name, number = plain, 2
        while name.casefold() in used:
            name, number = f"{plain}_{number}", number + 1
        used.add(name.casefold())
        folders[column] = output_dir / name
    return folders


def load_targets(
    data: str, columns: Sequence[str], predicts_numbers: bool = False
) -> tuple[Dataset, list[Target]]:
    """Return the windows that have any of the labels, and what is predicted of them.

    Args:
        data: A prepared corpus.
        columns: Of the labels.
        predicts_numbers: Whether all numbers are predicted as such; by default those of many values, and
            others are classes.

    Raises:
        ValueError: If there is no such column, or it holds a single class.
    """
    dataset, targets = load_windows(data), []
    for column in columns:
        known = drop_unlabelled(dataset, column)
        values = known.select_columns([column]).to_pandas()[column]
        if is_number(values) or (predicts_numbers and pd.api.types.is_numeric_dtype(values)):
            targets.append(Target(column))
            continue
        labelled, names = with_classes(dataset, column)
        targets.append(Target(column, names))
        text = dict(zip(labelled["window_id"][:], labelled[column][:], strict=True))
        if dataset.features[column].dtype != "string":
            names_of_rows = [text.get(name) for name in dataset["window_id"][:]]
            dataset = dataset.remove_columns(column).add_column(column, names_of_rows)
    has_any = np.zeros(len(dataset), dtype=bool)
    for target in targets:
        has_any |= is_labelled(dataset, target)
    return dataset.select(np.flatnonzero(has_any)), targets


def is_labelled(rows: Dataset, target: Target) -> np.ndarray:
    """Return which rows have a label, (rows,) bool."""
    return np.array([value is not None and value == value for value in rows[target.column][:]], dtype=bool)


def fit_tasks(
    parts: DatasetDict,
    targets: Sequence[Target],
    args: FinetuneArguments,
    training_args: TrainingArguments,
    folder: Path,
) -> tuple[Any, EEGFeatureExtractor, SeenWindows]:
    """Fit a model with a head for each label, save it, and return it with what it has seen."""
    set_seed(training_args.seed)
    train = training_rows(parts, "convex")
    extractor = EEGFeatureExtractor.from_pretrained(args.data)
    model = build_tasks(args, train, extractor, targets)
    collator = EEGDataCollator(extractor)
    fit_population(model, WindowDataset(train), collator)
    features, groups = collect_features(model, WindowDataset(train), collator), inner_groups(train)
    heads = {each.column: fit_task(features, train, groups, each) for each in targets}
    write_task_heads(model, heads)
    seen = SeenWindows.of([train])
    training_args.output_dir = str(folder)
    training_args.eval_strategy, training_args.load_best_model_at_end = IntervalStrategy.NO, False
    trainer = EEGTrainer(
        model=model,
        args=training_args,
        train_dataset=WindowDataset(train),
        data_collator=collator,
        eval_data_collator=collator,
        processing_class=extractor,
        seen_windows=seen,
    )
    trainer.save_model()
    return model, extractor, seen


def build_tasks(
    args: FinetuneArguments, train: Dataset, extractor: EEGFeatureExtractor, targets: Sequence[Target]
) -> Any:
    """Return an encoder with random weights and a head for each label."""
    labels: dict[str, Any] = {
        "tasks": {each.column: max(len(each.class_names), 1) for each in targets},
        "task_labels": {each.column: list(each.class_names) for each in targets},
    }
    fields = {
        "sampling_rate": extractor.sampling_rate,
        **check_config_fields(args.config, EEGFoundationConfig),
        **labels,
        **describe_channels(train),
    }
    config = EEGFoundationConfig(**fit_to_windows(fields, train, extractor))
    if not config.second_order:
        raise ValueError("several labels: their heads read second-order tokens: set config.second_order=true")
    return AutoModelForSequenceClassification.from_config(config)


def fit_task(features: np.ndarray, train: Dataset, groups: np.ndarray, target: Target) -> ConvexHead:
    """Fit the head of a label to the windows that have it."""
    rows = np.flatnonzero(is_labelled(train, target))
    labels = target.encode(train.select(rows))
    if target.is_regression:
        return fit_ridge_head(features[rows], labels, groups[rows])
    target.refuse_missing_classes(labels.tolist())
    return fit_head(features[rows], labels, groups[rows])


def judge_task(
    model: Any, extractor: EEGFeatureExtractor, seen: SeenWindows, test: Dataset, target: Target, folder: Path
) -> dict[str, float] | None:
    """Predict the tested windows that have a label, and save what `eeg-hf evaluate` reads of a run.

    Returns:
        The metrics; None where no tested window has the label.
    """
    rows = test.select(np.flatnonzero(is_labelled(test, target)))
    if not len(rows):
        logger.warning(f"no tested window has {target.column}")
        return None
    scores = predict_task(model, extractor, rows, target)
    labels = target.encode(rows)
    Predictions(np.array(rows["window_id"][:]), np.array(rows["subject"][:]), labels, scores).save(
        folder / "predictions.parquet"
    )
    metrics = (
        regression_metrics(labels, scores)
        if target.is_regression
        else classification_metrics(labels, scores, target.class_names)
    )
    write_json(folder / "metrics.json", metrics)
    extractor.save_pretrained(folder)
    seen.save(folder)
    return metrics


@torch.inference_mode()
def predict_task(model: Any, extractor: EEGFeatureExtractor, rows: Dataset, target: Target) -> np.ndarray:
    """Return numbers (windows, 1), or the probabilities (windows, classes) of a task."""
    collate, windows, found = EEGDataCollator(extractor), WindowDataset(rows), []
    model.eval()
    for start in range(0, len(rows), 64):
        batch: Mapping[str, Any] = collate(
            windows.__getitems__(list(range(start, min(start + 64, len(rows)))))
        )
        logits = model(**batch).logits[target.column].float()
        found.append(logits if target.is_regression else logits.softmax(dim=-1))
    return torch.cat(found).numpy()
