# SPDX-License-Identifier: Apache-2.0
"""What a phase's Trainer needs beside model and windows: collators, sampler, callbacks, metrics."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from ..collation import DEFAULT_VIEW, EEGDataCollator, EEGPreTrainingCollator, PairColumns, WindowDataset
from ..corpora import drop_unlabelled, load_alignments, load_windows
from ..evaluation import make_compute_metrics, plot_probe_curve, regression_metrics
from ..models.configuration_eeg_foundation import EEGFoundationConfig
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..training import EncoderProbe, FreezeEncoder, PairSampler, Phase, read_probe_curve
from .phase_arguments import PhasesArguments
from .phase_windows import load_matrices
from .split_arguments import SplitArguments

PROBE_FILE = "probe.jsonl"


def collation(
    phase: Phase,
    args: PhasesArguments,
    config: EEGFoundationConfig,
    extractor: EEGFeatureExtractor,
    pairs: PairColumns | None,
) -> dict[str, Any]:
    """Return the collators of training and evaluation, and what an evaluation measures."""
    matrices = load_matrices(phase, args.alignment)
    common = {"alignments": matrices, "seed": args.seed}
    if not phase.is_pretraining:
        label2id = config.label2id if is_classes(phase) else None
        collator = EEGDataCollator(extractor, phase.label_column, label2id, **common)
        compute = make_compute_metrics(list(config.label2id)) if is_classes(phase) else compute_regression
        return {"data_collator": collator, "eval_data_collator": collator, "compute_metrics": compute}
    tasks = config.auxiliary_tasks or {}
    label2id = {
        task: {name: index for index, name in enumerate(settings["classes"])}
        for task, settings in tasks.items()
        if "classes" in settings
    }
    view = DEFAULT_VIEW if config.contrastive_weight > 0 and pairs is None else None
    labels = {"label_column": {task: task for task in tasks} or None, "label2id": label2id}
    collators = [
        EEGPreTrainingCollator(extractor, config.patch_size, view, pairs, **labels, **common)
        for _ in range(2)
    ]  # the second one never changes its epoch: every evaluation hides the same stretches
    return {"data_collator": collators[0], "eval_data_collator": collators[1]}


def is_classes(phase: Phase) -> bool:
    """Return whether the labels of a phase are classes."""
    return phase.objective == "classification"


def compute_regression(prediction: Any) -> dict[str, float]:
    """Compute the metrics of a regression for Trainer."""
    return regression_metrics(prediction.label_ids, prediction.predictions)


def pair_sampler(
    phase: Phase, config: EEGFoundationConfig, train: WindowDataset, pairs: PairColumns | None, seed: int
) -> Callable[..., PairSampler] | None:
    """Return what draws batches of a phase that contrasts people, None for the others."""
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


def callbacks(phase: Phase, args: PhasesArguments, split_args: SplitArguments) -> list[TrainerCallback]:
    """Return what watches the training, and what freezes the encoder."""
    watching: list[TrainerCallback] = []
    if phase.freeze_epochs or phase.gradual_unfreezing:
        watching.append(FreezeEncoder(phase.freeze_epochs, phase.gradual_unfreezing))
    probe = args.read_probe()
    if probe:
        watching.append(build_probe(phase, args, split_args, **probe))
    return watching


def build_probe(
    phase: Phase,
    args: PhasesArguments,
    split_args: SplitArguments,
    data: str,
    label_column: str,
    kind: str = "classification",
    every_epochs: int = 1,
) -> EncoderProbe:
    """Return the probe: fitted on the training people of a corpus, scored on its validation people."""
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


def draw_probe(args: PhasesArguments) -> None:
    """Draw the probe's curve over the phases that are finished."""
    path = Path(args.output_dir) / PROBE_FILE
    if not path.exists():
        return
    probe = args.read_probe()
    metric, chance = "nrmse_std", 1.0  # of whoever says the mean
    if probe.get("kind", "classification") == "classification":
        labels = load_windows(probe["data"]).unique(probe["label_column"])
        metric, chance = "balanced_accuracy", 1 / len([label for label in labels if label is not None])
    plot_probe_curve(read_probe_curve(path), path.with_suffix(".png"), metric=metric, chance=chance)
