# SPDX-License-Identifier: Apache-2.0
"""What a phase's Trainer needs beside model and windows: collators, sampler, callbacks, metrics."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from ...collation import DEFAULT_VIEW, EEGDataCollator, EEGPreTrainingCollator, PairColumns, WindowDataset
from ...corpora import drop_unlabelled, load_alignments, load_windows
from ...evaluation import make_compute_metrics, plot_probe_curve, regression_metrics
from ...models.configuration_eeg_foundation import EEGFoundationConfig
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training import EncoderProbe, FreezeEncoder, PairSampler, Phase, read_probe_curve
from ..split_arguments import SplitArguments
from .arguments import PhasesArguments

PROBE_FILE = "probe.jsonl"


def build_collators(
    phase: Phase,
    args: PhasesArguments,
    config: EEGFoundationConfig,
    extractor: EEGFeatureExtractor,
    pairs: PairColumns | None,
) -> dict[str, Any]:
    """Return the collators of training and evaluation, and the metrics of an evaluation."""
    common: dict[str, Any] = {"seed": args.seed}
    if args.alignment != "none":
        common["alignments"] = load_alignments(*phase.sources)
    if not phase.is_pretraining:
        label2id = dict(config.label2id or {}) if phase.objective == "classification" else None
        collator = EEGDataCollator(extractor, phase.label_column, label2id, **common)
        compute = compute_regression if label2id is None else make_compute_metrics(list(label2id))
        return {"data_collator": collator, "eval_data_collator": collator, "compute_metrics": compute}
    tasks = config.auxiliary_tasks or {}
    indices = {
        task: {name: index for index, name in enumerate(settings["classes"])}
        for task, settings in tasks.items()
        if "classes" in settings
    }
    view = DEFAULT_VIEW if config.contrastive_weight > 0 and pairs is None else None
    labels: dict[str, Any] = {"label_column": {task: task for task in tasks} or None, "label2id": indices}
    collators = [
        EEGPreTrainingCollator(extractor, config.patch_size, view, pairs, **labels, **common)
        for _ in range(2)
    ]  # the epoch of the second one stays 0: every evaluation hides the same stretches
    return {"data_collator": collators[0], "eval_data_collator": collators[1]}


def compute_regression(prediction: Any) -> dict[str, float]:
    """Compute the metrics of a regression for Trainer."""
    return regression_metrics(prediction.label_ids, prediction.predictions)


def build_sampler(
    phase: Phase, config: EEGFoundationConfig, train: WindowDataset, pairs: PairColumns | None, seed: int
) -> Callable[..., PairSampler] | None:
    """Return a function that builds the sampler of a phase that contrasts subjects, None for other phases."""
    if pairs is None or phase.pairs is None:
        return None
    return partial(
        PairSampler.from_windows,
        train,
        pairs,
        subjects_per_time=phase.pairs.subjects_per_time,
        guard_seconds=config.contrastive_guard_seconds,
        seed=seed,
    )


def build_callbacks(phase: Phase, args: PhasesArguments, split_args: SplitArguments) -> list[TrainerCallback]:
    """Return the callbacks that freeze the encoder and that probe it."""
    callbacks: list[TrainerCallback] = []
    if phase.freeze_epochs or phase.gradual_unfreezing:
        callbacks.append(FreezeEncoder(phase.freeze_epochs, phase.gradual_unfreezing))
    if args.probe:
        callbacks.append(build_probe(phase, args, split_args, **args.probe))
    return callbacks


def build_probe(
    phase: Phase,
    args: PhasesArguments,
    split_args: SplitArguments,
    data: str,
    label_column: str,
    kind: str = "classification",
    every_epochs: int = 1,
) -> EncoderProbe:
    """Return the probe: fitted to the training subjects of a corpus, scored on its validation subjects."""
    rows = drop_unlabelled(load_windows(data), label_column)
    parts = split_args.apply(rows)[0]
    if "validation" not in parts:
        raise ValueError(f"probe: split {split_args.split!r} of {data} has no validation part")
    extractor = EEGFeatureExtractor.from_pretrained(data, alignment=args.alignment)
    label2id = None
    if kind == "classification":
        label2id = {name: index for index, name in enumerate(sorted(set(rows[label_column][:])))}
    matrices = load_alignments(data) if args.alignment != "none" else None
    collator = EEGDataCollator(extractor, label_column, label2id, matrices)
    train, test = (WindowDataset(parts[part], [label_column]) for part in ("train", "validation"))
    path = Path(args.output_dir) / PROBE_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    return EncoderProbe(
        train, test, collator, kind=kind, path=path, phase=phase.name, every_epochs=every_epochs
    )


def plot_probe(args: PhasesArguments) -> None:
    """Plot the curve of the probe over the finished phases."""
    path = Path(args.output_dir) / PROBE_FILE
    if not path.exists():
        return
    metric, chance = "nrmse_std", 1.0  # of predicting the mean
    if args.probe.get("kind", "classification") == "classification":
        labels = load_windows(args.probe["data"]).unique(args.probe["label_column"])
        metric, chance = "balanced_accuracy", 1 / len([label for label in labels if label is not None])
    plot_probe_curve(read_probe_curve(path), path.with_suffix(".png"), metric=metric, chance=chance)
