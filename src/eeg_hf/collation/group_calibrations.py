# SPDX-License-Identifier: Apache-2.0
"""Calibrations of all subjects of a prepared corpus, from the windows that a regime allows."""

import zlib
from collections import defaultdict
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sklearn.utils.class_weight import compute_sample_weight
from transformers import PreTrainedModel

from ..processing.calibration import Calibration, SignalOrigin
from ..processing.feature_extraction_eeg import REGIMES, EEGFeatureExtractor
from .data_collator import EEGDataCollator
from .window_dataset import WindowDataset


def calibration_windows(
    dataset: Dataset, regime: str, label_column: str | None = None, rest: str | None = None, seed: int = 0
) -> np.ndarray:
    """Return the rows on which each subject is calibrated, (rows,) bool.

    These windows are no longer unseen and must not be scored, except in the regime `all`, which uses every
    window.

    Args:
        dataset: Rows of a prepared corpus.
        regime: One of `REGIMES`.
        label_column: With `first_30s`, the column that marks rest.
        rest: Its value for rest; without it all of the first 30 s of each group are used.
        seed: Seed of the random windows of `20P` and `50P`.

    Raises:
        ValueError: If the regime is unknown, or a group has no window left to calibrate on.
    """
    if regime not in REGIMES:
        raise ValueError(f"regime: expected one of {', '.join(REGIMES)}, got {regime!r}")
    groups = np.asarray(dataset["alignment_group"][:])
    if regime in ("unseen", "all"):
        return np.full(len(dataset), regime == "all")
    chosen = np.zeros(len(dataset), bool)
    if regime == "first_30s":
        is_early = np.asarray(dataset["start_seconds"][:]) < 30.0
        if rest is not None:
            is_early &= np.asarray(dataset[label_column][:]) == rest
        chosen = is_early
    else:
        share = {"20P": 0.2, "50P": 0.5}[regime]
        # By the windows' names: a subject's windows are the same whatever other rows there are
        drawn = np.array([zlib.crc32(f"{seed} {name}".encode()) for name in dataset["window_id"]])
        for group in np.unique(groups):
            rows = np.flatnonzero(groups == group)
            chosen[rows[np.argsort(drawn[rows])[: max(round(share * len(rows)), 1)]]] = True
    missing = sorted(set(groups) - set(groups[chosen]))
    if missing:
        raise ValueError(f"{regime}: no window to calibrate {', '.join(missing)} on")
    return chosen


@torch.no_grad()
def calibrate_groups(
    dataset: Dataset,
    extractor: EEGFeatureExtractor,
    model: PreTrainedModel,
    is_used: np.ndarray | None = None,
    batch_size: int = 64,
    weights: np.ndarray | None = None,
) -> dict[str, Calibration]:
    """Return the calibration of every `alignment_group` (a subject or session) of prepared rows.

    Args:
        dataset: Rows of a prepared corpus.
        extractor: The model's extractor.
        model: A model with `second_order=True`.
        is_used: (rows,) bool, the windows to calibrate on; None for all.
        batch_size: Windows per batch.
        weights: (rows,), how much each window counts, such as those of `balanced_weights`; alike by default.

    Raises:
        ValueError: If a group has less than 10 s, or different channels.
    """
    rows = np.arange(len(dataset)) if is_used is None else np.flatnonzero(is_used)
    dataset = dataset.select(rows)
    weights = np.ones(len(rows)) if weights is None else weights[rows]
    windows, collate = WindowDataset(dataset), EEGDataCollator(extractor)
    groups, channels = dataset["alignment_group"], dataset["channels"]
    # Statistics and weight of each window, by group
    found: dict[str, list[tuple[np.ndarray, np.ndarray, float]]] = defaultdict(list)
    names: dict[str, list[str]] = {}
    seconds: dict[str, float] = defaultdict(float)
    encoder: Any = model.base_model
    for start in range(0, len(dataset), batch_size):
        indices = list(range(start, min(start + batch_size, len(dataset))))
        batch = collate(windows.__getitems__(indices))
        matrices, log_power = encoder.second_order_statistics(
            **{name: value.to(model.device) for name, value in batch.items()}
        )
        lengths = batch["attention_mask"].sum(dim=-1).tolist()
        for at, index in enumerate(indices):
            group = groups[index]
            if names.setdefault(group, channels[index]) != channels[index]:
                raise ValueError(f"{group}: its windows have different channels, which have no common mean")
            found[group].append((matrices[at].cpu().numpy(), log_power[at].cpu().numpy(), weights[index]))
            seconds[group] += lengths[at] / extractor.sampling_rate
    calibrations = {}
    for group, statistics in found.items():
        own_matrices, own_power, own_weights = (np.stack(each) for each in zip(*statistics, strict=True))
        origin = SignalOrigin.describe(extractor, model.config, names[group])
        calibrations[group] = Calibration.from_statistics(
            own_matrices, own_power, origin, seconds[group], own_weights
        )
    return calibrations


def balanced_weights(labels: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return weights (windows,) by which the classes of a group count alike in its mean; their mean is 1.

    Args:
        labels: (windows,), class of each window.
        groups: (windows,), subject or session of each window.

    Example:
        >>> balanced_weights(np.array(["a", "a", "b"]), np.array(["s1", "s1", "s1"])).tolist()
        [0.75, 0.75, 1.5]
    """
    weights = np.ones(len(labels))
    for name in np.unique(groups):
        own = groups == name
        weights[own] = compute_sample_weight("balanced", labels[own])
    return weights
