# SPDX-License-Identifier: Apache-2.0
"""A linear head fitted to its optimum on frozen features, before or instead of fine-tuning.

Linear probing first and fine-tuning gently afterwards keeps what pretraining learned (LP-FT,
https://arxiv.org/abs/2202.10054). On small corpora the optimiser costs as much as the architecture: AdamW
stops far from the optimum of a strongly regularised head, L-BFGS does not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from ..evaluation.operating_point import choose_offsets

INVERSE_REGULARIZATIONS = (1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1e-1)
DEFAULT_INVERSE_REGULARIZATION = 1e-3
"""Where no inner fold can choose: windows of one subject are alike, so there is less data than rows."""


@dataclass(frozen=True)
class ConvexHead:
    """A fitted linear head.

    Attributes:
        weight: (classes, features) float32; logits = features @ weight.T + bias.
        bias: (classes,) float32.
        inverse_regularization: The chosen C.
        scores: Minus the log loss over the inner folds of each C, classes counting alike; of a regression
            minus the mean squared error. Empty where nothing was chosen.
        offsets: (classes,), what the inner folds add to the logits for the best balanced accuracy; part of
            the bias.
        parts: What the columns of the features are, see `collect_features`; empty where that is not known.
        held_out: (rows, classes), what the model of an inner fold that did not see a row answers; NaN where
            no fold tested it, None where nothing was chosen.
    """

    weight: np.ndarray
    bias: np.ndarray
    inverse_regularization: float
    scores: Mapping[float, float]
    offsets: np.ndarray
    parts: tuple[str, ...] = ()
    held_out: np.ndarray | None = None

    @property
    def best_score(self) -> float:
        """The score of the chosen penalty; minus infinity where nothing was chosen."""
        return max(self.scores.values(), default=-math.inf)


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
    is_known = labels >= 0
    features, labels, groups = (each[is_known] for each in (features, labels, groups))
    if not np.isfinite(features).all():
        raise ValueError("fit_head: features hold NaN or infinite values")
    if len(np.unique(labels)) < 2:
        raise ValueError(f"fit_head: expected two classes or more, got {np.unique(labels).tolist()}")
    scaler = StandardScaler().fit(features)
    rotated, rotation = rotate(scaler.transform(features))
    scores, held_out = _score_penalties(rotated, labels, groups, inverse_regularizations, num_folds)
    best = max(scores, key=lambda value: scores[value]) if scores else DEFAULT_INVERSE_REGULARIZATION
    num_classes = int(labels.max()) + 1
    weight, bias = per_class(_regression(best).fit(rotated, labels), num_classes)
    offsets, answers = np.zeros(num_classes), None
    if scores:
        is_tested = ~np.isnan(held_out[best]).any(axis=1)
        offsets = choose_offsets(held_out[best][is_tested], labels[is_tested], groups[is_tested])
        answers = np.full((len(is_known), num_classes), np.nan, np.float32)
        answers[is_known] = held_out[best] + offsets
    weight = weight @ rotation / scaler.scale_
    return ConvexHead(
        weight=weight.astype(np.float32),
        bias=(bias + offsets - weight @ scaler.mean_).astype(np.float32),
        inverse_regularization=best,
        scores=scores,
        offsets=offsets,
        held_out=answers,
    )


def rotate(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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
            weight, bias = per_class(regression, num_classes)
            held_out[value][test] = features[test] @ weight.T + bias
    return {value: float(np.mean(each)) for value, each in found.items() if each}, held_out


def _regression(inverse_regularization: float) -> LogisticRegression:
    return LogisticRegression(
        C=inverse_regularization, class_weight="balanced", max_iter=1000, tol=1e-3, warm_start=True
    )


def per_class(regression: LogisticRegression, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and bias of the logits of every class; classes without a row get a low logit."""
    weight, bias = regression.coef_.astype(np.float64), regression.intercept_.astype(np.float64)
    if len(regression.classes_) == 2:  # scikit-learn keeps the difference of the two logits
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    full_weight = np.zeros((num_classes, weight.shape[1]))
    full_bias = np.full(num_classes, -20.0)
    full_weight[regression.classes_], full_bias[regression.classes_] = weight, bias
    return full_weight, full_bias
