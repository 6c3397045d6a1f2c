# SPDX-License-Identifier: Apache-2.0
"""A linear head for the shares of several experts' votes, fitted to its optimum on frozen features."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from .convex_head import (
    DEFAULT_INVERSE_REGULARIZATION,
    INVERSE_REGULARIZATIONS,
    ConvexHead,
    per_class,
    rotate,
)


def fit_soft_head(
    features: np.ndarray,
    shares: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    inverse_regularizations: Sequence[float] = INVERSE_REGULARIZATIONS,
    num_folds: int = 4,
) -> ConvexHead:
    """Fit the logistic regression whose class probabilities have the least divergence from shares.

    Its L2 penalty is chosen by that divergence in grouped folds. Classes count as often as they are voted
    for: probabilities are to be those of the experts.

    Args:
        features: (rows, features), standardised for the fit.
        shares: (rows, classes), each row adding up to 1.
        groups: (rows,) subject of each row: no subject is on both sides of an inner fold.
        inverse_regularizations: Values of C to choose from.
        num_folds: Inner folds; fewer where there are fewer subjects.

    Raises:
        ValueError: If shapes do not agree, shares do not add up to 1, or a class was never voted for.
    """
    features, shares, groups = np.asarray(features, np.float32), np.asarray(shares, float), np.asarray(groups)
    if features.ndim != 2 or shares.ndim != 2 or not len(features) == len(shares) == len(groups):
        raise ValueError(
            "fit_soft_head: expected features (rows, features), shares (rows, classes) and a group each, got "
            f"{features.shape}, {shares.shape} and {groups.shape}"
        )
    if not np.allclose(shares.sum(axis=1), 1):
        raise ValueError("fit_soft_head: expected shares that add up to 1 in each row")
    if not shares.any(axis=0).all():
        raise ValueError("fit_soft_head: a class has no vote in any row")
    scaler = StandardScaler().fit(features)
    rotated, rotation = rotate(scaler.transform(features))
    scores = _score_penalties(rotated, shares, groups, inverse_regularizations, num_folds)
    best = max(scores, key=lambda value: scores[value]) if scores else DEFAULT_INVERSE_REGULARIZATION
    weight, bias = _fit(rotated, shares, best)
    weight = weight @ rotation / scaler.scale_
    return ConvexHead(
        weight=weight.astype(np.float32),
        bias=(bias - weight @ scaler.mean_).astype(np.float32),
        inverse_regularization=best,
        scores=scores,
        offsets=np.zeros(shares.shape[1]),
    )


def _fit(features: np.ndarray, shares: np.ndarray, inverse: float) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and bias; a row counts for each class by its share."""
    rows, classes = np.nonzero(shares)
    regression = LogisticRegression(C=inverse, max_iter=1000, tol=1e-3)
    regression.fit(features[rows], classes, sample_weight=shares[rows, classes])
    return per_class(regression, shares.shape[1])


def _score_penalties(
    features: np.ndarray,
    shares: np.ndarray,
    groups: np.ndarray,
    inverse_regularizations: Sequence[float],
    num_folds: int,
) -> dict[float, float]:
    """Return minus the cross entropy over inner folds of each C; nothing where no fold has all classes."""
    number = min(num_folds, len(np.unique(groups)))
    found: dict[float, list[float]] = {value: [] for value in sorted(inverse_regularizations)}
    for train, test in GroupKFold(number).split(features, groups=groups) if number > 1 else ():
        if not shares[train].any(axis=0).all():
            continue
        for value, scores in found.items():
            weight, bias = _fit(features[train], shares[train], value)
            logits = features[test] @ weight.T + bias
            logits = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
            scores.append(float((shares[test] * logits).sum(axis=1).mean()))
    return {value: float(np.mean(scores)) for value, scores in found.items() if scores}
