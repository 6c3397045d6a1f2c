# SPDX-License-Identifier: Apache-2.0
"""A split whose subjects are calibrated on the unlabelled windows that a regime allows."""

from dataclasses import dataclass

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets
from transformers import PreTrainedModel
from transformers.utils import logging

from ...collation.group_calibrations import balanced_weights, calibrate_groups, calibration_windows
from ...corpora.windows.row_groups import some
from ...processing.calibration import Calibration
from ...processing.feature_extraction_eeg import EEGFeatureExtractor

logger = logging.get_logger(__name__)

MAX_SHARE_DIFFERENCE = 0.25
"""How far the share of a class may be from the median of all subjects."""


@dataclass(frozen=True)
class CalibratedSplit:
    """The windows of each part to train on or to score, and the calibrations of their subjects.

    Attributes:
        parts: `train`, `validation` and `test`, without the windows that subjects are calibrated on, except
            in the regime `all`.
        calibrations: Of each `alignment_group`; None in the regime `unseen`.
    """

    parts: DatasetDict
    calibrations: dict[str, Calibration] | None = None


def calibrate_split(
    parts: DatasetDict,
    extractor: EEGFeatureExtractor,
    model: PreTrainedModel,
    label_column: str,
    rest: str | None = None,
    is_balanced: bool = False,
) -> CalibratedSplit:
    """Calibrate the subjects of a split as the regime of the extractor says.

    Args:
        parts: The split.
        extractor: Of the model, with its `calibration_regime`.
        model: With second-order tokens, unless the regime is `unseen`.
        label_column: Column of the labels.
        rest: What marks rest, for `first_30s`: a value of the label column, or `column=value`.
        is_balanced: Whether classes count alike in the calibration of a training or validation subject. The
            windows of a tested subject count alike, since their classes are unknown at the test.

    Raises:
        ValueError: If the model has nothing to recentre, or a part has no window left.
    """
    regime = extractor.calibration_regime
    if regime == "unseen":
        return CalibratedSplit(parts)
    if not getattr(model.config, "second_order", False):
        raise ValueError(
            f"regime: {regime} recentres second-order tokens, which this model lacks: set "
            "config.second_order=true, or take --alignment euclidean"
        )
    whole = concatenate_datasets(list(parts.values()))
    column, _, value = (rest or "").rpartition("=")
    is_used = calibration_windows(whole, regime, column or label_column, value or None)
    used = np.split(is_used, np.cumsum([len(part) for part in parts.values()])[:-1])
    weights = None
    if is_balanced:
        weights = np.concatenate(
            [
                np.ones(len(part)) if name == "test" else weigh_classes(part, rows, label_column)
                for (name, part), rows in zip(parts.items(), used, strict=True)
            ]
        )
    elif "train" in parts:
        rows = parts["train"].select(np.flatnonzero(used[list(parts).index("train")]))
        warn_of_shares(rows, label_column)
    calibrations = calibrate_groups(whole, extractor, model, is_used, weights=weights)
    if regime == "all":
        return CalibratedSplit(parts, calibrations)
    left = {
        name: part.select(np.flatnonzero(~rows))
        for (name, part), rows in zip(parts.items(), used, strict=True)
    }
    empty = [name for name, part in left.items() if not len(part)]
    if empty:
        raise ValueError(
            f"regime: {regime} leaves no window of part {empty[0]!r} to use: choose another regime"
        )
    return CalibratedSplit(DatasetDict(left), calibrations)


def weigh_classes(rows: Dataset, is_used: np.ndarray, label_column: str) -> np.ndarray:
    """Return the weights (rows,) by which classes count alike among the windows that calibrate a subject."""
    labels, groups = (np.array(rows[name][:]) for name in (label_column, "alignment_group"))
    weights = np.zeros(len(rows))
    weights[is_used] = balanced_weights(labels[is_used], groups[is_used])
    return weights


def warn_of_shares(rows: Dataset, label_column: str) -> None:
    """Warn where training subjects are calibrated on different shares of the classes.

    Recentring would then move them by the difference between the classes. Of tested subjects the labels are
    not looked at.

    Args:
        rows: The windows that training subjects are calibrated on.
        label_column: Column of the labels; numbers of a regression have no shares.
    """
    if not len(rows) or rows.features[label_column].dtype != "string":
        return
    owners, labels = np.array(rows["alignment_group"][:]), np.array(rows[label_column][:])
    groups, classes = np.unique(owners), np.unique(labels)
    shares = np.array([[np.mean(labels[owners == g] == c) for c in classes] for g in groups])
    distance = np.abs(shares - np.median(shares, axis=0)).max(axis=1)  # (subjects,)
    if (distance > MAX_SHARE_DIFFERENCE).any():
        odd = groups[distance > MAX_SHARE_DIFFERENCE]
        logger.warning(
            f"{len(odd)} of {len(groups)} training subjects are calibrated on other shares of the classes "
            f"({some(odd)}), which recentring takes for a difference between subjects: let classes count "
            "alike (--balance_calibration), or calibrate on rest (--regime first_30s --rest)"
        )
