# SPDX-License-Identifier: Apache-2.0
"""A linear head fitted to its optimum on frozen features, before or instead of fine-tuning.

Linear probing first and fine-tuning gently afterwards keeps what pretraining learned (LP-FT,
https://arxiv.org/abs/2202.10054). On small corpora the optimiser costs as much as the architecture: AdamW
stops far from the optimum of a strongly regularised head, L-BFGS does not.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from torch import nn
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel
from transformers.utils import logging

from ..evaluation.operating_point import choose_offsets
from ..models.second_order import mean_over_stretches

logger = logging.get_logger(__name__)

INVERSE_REGULARIZATIONS = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1)
DEFAULT_INVERSE_REGULARIZATION = 1e-3
"""Where no inner fold can choose: windows of one subject are alike, so there is less data than rows."""
PARTS = ("pooled", "bands")
_SIGNAL_INPUTS = (
    "input_values",
    "channel_positions",
    "channel_mask",
    "attention_mask",
    "recentring_whitening",
    "recentring_log_power",
)


@dataclass(frozen=True)
class ConvexHead:
    """A fitted linear head.

    Attributes:
        weight: (classes, features) float32; logits = features @ weight.T + bias.
        bias: (classes,) float32.
        inverse_regularization: The chosen C.
        scores: Minus the log loss over the inner folds of each C, classes counting alike; empty where nothing
            was chosen.
        offsets: (classes,), what the inner folds add to the logits for the best balanced accuracy; part of
            the bias.
    """

    weight: np.ndarray
    bias: np.ndarray
    inverse_regularization: float
    scores: Mapping[float, float]
    offsets: np.ndarray


def fit_head(
    features: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    inverse_regularizations: Sequence[float] = INVERSE_REGULARIZATIONS,
    num_folds: int = 4,
) -> ConvexHead:
    """Fit a logistic regression by L-BFGS, its L2 penalty chosen by grouped folds of the training rows.

    Features are standardised for the fit, and classes count alike; both are folded into the weights. The
    same folds choose the threshold between the classes, see [`choose_offsets`].

    Args:
        features: (rows, features).
        labels: (rows,) class indices 0, 1, ...; rows with -100 are left out.
        groups: (rows,) subject of each row: no subject is on both sides of an inner fold.
        inverse_regularizations: Values of C to choose from.
        num_folds: Inner folds; fewer where there are fewer subjects.

    Raises:
        ValueError: If shapes do not agree, a feature is not finite, or there are fewer than two classes.

    Example:
        >>> import numpy as np
        >>> features = np.random.default_rng(0).normal(size=(60, 5))
        >>> head = fit_head(features, (features[:, 0] > 0).astype(int), np.repeat(["a", "b", "c"], 20))
        >>> head.weight.shape
        (2, 5)
    """
    features, labels, groups = np.asarray(features, np.float32), np.asarray(labels), np.asarray(groups)
    if features.ndim != 2 or not len(features) == len(labels) == len(groups):
        raise ValueError(
            f"fit_head: expected features (rows, features) with a label and a group each, got "
            f"{features.shape}, {labels.shape} and {groups.shape}"
        )
    features, labels, groups = (each[labels >= 0] for each in (features, labels, groups))
    if not np.isfinite(features).all():
        raise ValueError("fit_head: features hold NaN or infinite values")
    if len(np.unique(labels)) < 2:
        raise ValueError(f"fit_head: expected two classes or more, got {np.unique(labels).tolist()}")
    scaler = StandardScaler().fit(features)
    rotated, rotation = _rotate(scaler.transform(features))
    scores, held_out = _score_penalties(rotated, labels, groups, inverse_regularizations, num_folds)
    best = max(scores, key=lambda value: scores[value]) if scores else DEFAULT_INVERSE_REGULARIZATION
    num_classes = int(labels.max()) + 1
    weight, bias = _per_class(_regression(best).fit(rotated, labels), num_classes)
    offsets = np.zeros(num_classes)
    if scores:
        is_tested = ~np.isnan(held_out[best]).any(axis=1)
        offsets = choose_offsets(held_out[best][is_tested], labels[is_tested], groups[is_tested])
    weight = weight @ rotation / scaler.scale_
    return ConvexHead(
        weight=weight.astype(np.float32),
        bias=(bias + offsets - weight @ scaler.mean_).astype(np.float32),
        inverse_regularization=best,
        scores=scores,
        offsets=offsets,
    )


def _rotate(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotate (rows, features) to as many columns as there are rows, at most; L2 penalties stay the same.

    Returns:
        (rows, columns), and the rotation (columns, features) that carries weights back.
    """
    if features.shape[1] <= len(features):
        return features, np.eye(features.shape[1], dtype=features.dtype)
    # The eigenvectors of the products of rows, in a third of the time of a singular value decomposition
    wide = features.astype(np.float64)
    values, left = np.linalg.eigh(wide @ wide.T)
    is_real = values > 1e-9 * values[-1]
    spread = np.sqrt(values[is_real])
    rotation = (left[:, is_real] / spread).T @ wide
    return (left[:, is_real] * spread).astype(features.dtype), rotation


def _score_penalties(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    inverse_regularizations: Sequence[float],
    num_folds: int,
) -> tuple[dict[float, float], dict[float, np.ndarray]]:
    """Return minus the log loss over the inner folds of each C; nothing where no fold holds all classes.

    And the logits (rows, classes) of each row by the model of its fold, NaN in folds that lack a class.

    The log loss is what the head minimises. AUROC alone prefers penalties so weak that the threshold of
    another subject is missed, balanced accuracy alone such that ranks suffer.
    """
    num_folds = min(num_folds, len(np.unique(groups)))
    classes = np.unique(labels)
    found: dict[float, list[float]] = {value: [] for value in sorted(inverse_regularizations)}
    num_classes = int(labels.max()) + 1
    held_out = {value: np.full((len(labels), num_classes), np.nan) for value in found}
    folds = GroupKFold(num_folds).split(features, groups=groups) if num_folds > 1 else ()
    for train, test in folds:
        if not all(np.array_equal(np.unique(labels[rows]), classes) for rows in (train, test)):
            continue
        regression = _regression(0.0)
        weights = compute_sample_weight("balanced", labels[test])
        for value in found:  # from strong to weak: each starts from the last
            regression.set_params(C=value).fit(features[train], labels[train])
            probabilities = regression.predict_proba(features[test])
            found[value].append(-log_loss(labels[test], probabilities, sample_weight=weights))
            weight, bias = _per_class(regression, num_classes)
            held_out[value][test] = features[test] @ weight.T + bias
    return {value: float(np.mean(each)) for value, each in found.items() if each}, held_out


def _regression(inverse_regularization: float) -> LogisticRegression:
    return LogisticRegression(
        C=inverse_regularization, class_weight="balanced", max_iter=1000, tol=1e-3, warm_start=True
    )


def _per_class(regression: LogisticRegression, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and bias of the logits of every class; classes without a row get a low logit."""
    weight, bias = regression.coef_.astype(np.float64), regression.intercept_.astype(np.float64)
    if len(regression.classes_) == 2:  # scikit-learn keeps the difference of the two logits
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    full_weight = np.zeros((num_classes, weight.shape[1]))
    full_bias = np.full(num_classes, -20.0)
    full_weight[regression.classes_], full_bias[regression.classes_] = weight, bias
    return full_weight, full_bias


@torch.no_grad()
def collect_features(
    model: PreTrainedModel,
    dataset: Dataset,
    collator: Callable[[Any], dict[str, Any]],
    parts: Sequence[str] | None = None,
    batch_size: int = 64,
) -> np.ndarray:
    """Return what a classifier's head reads of every window, (windows, features) float32.

    Args:
        model: An encoder, or a classifier with its encoder as `base_model`.
        dataset: Map-style dataset of windows.
        collator: Makes batches of them; nothing may be augmented.
        parts: `"pooled"` (the encoder's `pooler_output`), `"bands"` (the second-order vectors of all bands),
            or both; by default the vectors where the model has them.
        batch_size: Windows at a time.
    """
    parts = resolve_parts(model, parts)
    encoder: Any = model.base_model
    was_training = model.training
    encoder.eval()
    rows = []
    for batch in DataLoader(dataset, batch_size=batch_size, collate_fn=collator):
        inputs = {name: batch[name].to(model.device) for name in _SIGNAL_INPUTS if name in batch}
        read = []
        if "pooled" in parts:
            outputs = encoder(**inputs)
            read.append(outputs.pooler_output.float())
            bands, is_real = outputs.get("band_features"), outputs.get("stretch_mask")
        elif "bands" in parts:  # the patches need not be encoded
            bands, is_real = encoder.second_order_features(**inputs)
        if "bands" in parts:
            read.append(mean_over_stretches(bands, is_real).flatten(1))
        rows.append(torch.cat(read, dim=1).cpu())
    model.train(was_training)
    return torch.cat(rows).numpy()


def resolve_parts(model: PreTrainedModel, parts: Sequence[str] | None) -> tuple[str, ...]:
    """Return the parts that a head reads, in order, or raise unless the model has them."""
    has_bands = bool(getattr(model.config, "second_order", False))
    if parts is None:
        return ("bands",) if has_bands else ("pooled",)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown or not parts or ("bands" in parts and not has_bands):
        raise ValueError(
            f"parts: expected some of {', '.join(PARTS)} ('bands' with second_order=True), got {list(parts)}"
        )
    return tuple(part for part in PARTS if part in parts)


@torch.no_grad()
def write_head(model: PreTrainedModel, head: ConvexHead, parts: Sequence[str] | None = None) -> None:
    """Write a fitted head into a classifier as its ordinary weights; parts that it does not read become 0.

    Args:
        model: A classifier with one task, such as [`EEGFoundationForSequenceClassification`].
        head: Fitted on `collect_features(model, ..., parts)`.
        parts: As there.

    Raises:
        ValueError: If the head has another number of features or classes than the classifier.
    """
    used = resolve_parts(model, parts)
    classifier: Any = model
    layers: dict[str, nn.Linear] = {"pooled": classifier.classifier.out}
    if getattr(model.config, "second_order", False):
        layers["bands"] = classifier.band_classifier
    expected = (layers["pooled"].out_features, sum(layers[part].in_features for part in used))
    if head.weight.shape != expected:
        raise ValueError(
            f"write_head: expected weights (classes, features) {expected}, got {head.weight.shape}: fit the "
            "head on collect_features of this model and these parts"
        )
    for layer in layers.values():
        layer.weight.zero_()
        layer.bias.zero_()
    weights = torch.from_numpy(head.weight).split([layers[part].in_features for part in used], dim=1)
    for part, weight in zip(used, weights, strict=True):
        layers[part].weight.copy_(weight)
    layers[used[0]].bias.copy_(torch.from_numpy(head.bias))


def fit_classifier(
    model: PreTrainedModel,
    dataset: Dataset,
    collator: Callable[[Any], dict[str, Any]],
    labels: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    parts: Sequence[str] | None = None,
) -> ConvexHead:
    """Fit the head of a classifier on its frozen encoder and write it into the model.

    Args:
        model: A classifier with one task of two classes or more.
        dataset: Map-style dataset of the training windows.
        collator: Makes batches of them.
        labels: (windows,) class indices.
        groups: (windows,) subjects.
        parts: As in [`collect_features`].
    """
    head = fit_head(collect_features(model, dataset, collator, parts), labels, groups)
    write_head(model, head, parts)
    logger.info(f"convex head: C = {head.inverse_regularization:g} of {dict(head.scores)}")
    return head


__all__ = ["ConvexHead", "collect_features", "fit_classifier", "fit_head", "resolve_parts", "write_head"]
