# SPDX-License-Identifier: Apache-2.0
"""A linear head for numbers, fitted to its optimum on frozen features."""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from .convex_head import ConvexHead, rotate

PENALTIES = (1e0, 1e1, 1e2, 1e3, 1e4, 1e5)
DEFAULT_PENALTY = 1e3
"""Where no inner fold can choose: windows of one subject are alike, so there is less data than rows."""


def fit_ridge_head(
    features: np.ndarray,
    targets: np.ndarray,
    groups: Sequence[str] | np.ndarray,
    penalties: Sequence[float] = PENALTIES,
    num_folds: int = 4,
) -> ConvexHead:
    """Fit a ridge regression, its L2 penalty chosen by grouped folds of the training rows.

    Args:
        features: (rows, features), standardised for the fit.
        targets: (rows,) numbers; NaN is missing.
        groups: (rows,) subject of each row: no subject is on both sides of an inner fold.
        penalties: To choose from.
        num_folds: Inner folds; fewer where there are fewer subjects.

    Returns:
        A head of one output, whose `inverse_regularization` is 1 / penalty.

    Raises:
        ValueError: If shapes do not agree, a feature is not finite, or all targets are equal or missing.
    """
    features, targets, groups = (
        np.asarray(features, np.float32),
        np.asarray(targets, float),
        np.asarray(groups),
    )
    if features.ndim != 2 or not len(features) == len(targets) == len(groups):
        raise ValueError(
            f"fit_ridge_head: expected features (rows, features) with a target and a group each, got "
            f"{features.shape}, {targets.shape} and {groups.shape}"
        )
    is_known = ~np.isnan(targets)
    features, targets, owners = features[is_known], targets[is_known], np.asarray(groups)[is_known]
    if not np.isfinite(features).all():
        raise ValueError("fit_ridge_head: features hold NaN or infinite values")
    if len(np.unique(targets)) < 2:
        raise ValueError(f"fit_ridge_head: expected different targets, got {np.unique(targets).tolist()}")
    scaler = StandardScaler().fit(features)
    rotated, rotation = rotate(scaler.transform(features))
    scores = _score_penalties(rotated, targets, owners, penalties, num_folds)
    best = max(scores, key=lambda value: scores[value]) if scores else 1 / DEFAULT_PENALTY
    ridge = Ridge(1 / best).fit(rotated, targets)
    weight = ridge.coef_[None] @ rotation / scaler.scale_  # (1, features)
    answers = np.full((len(is_known), 1), np.nan, np.float32)
    if scores:
        folds = GroupKFold(min(num_folds, len(np.unique(owners))))
        answers[is_known, 0] = cross_val_predict(Ridge(1 / best), rotated, targets, groups=owners, cv=folds)
    return ConvexHead(
        weight=weight.astype(np.float32),
        bias=(ridge.intercept_ - weight @ scaler.mean_).astype(np.float32),
        inverse_regularization=best,
        scores=scores,
        offsets=np.zeros(1),
        held_out=answers if scores else None,
    )


def _score_penalties(
    features: np.ndarray,
    targets: np.ndarray,
    groups: np.ndarray,
    penalties: Sequence[float],
    num_folds: int,
) -> dict[float, float]:
    """Return minus the mean squared error over the inner folds, by 1 / penalty; nothing with one subject."""
    num_folds = min(num_folds, len(np.unique(groups)))
    if num_folds < 2:
        return {}
    folds = list(GroupKFold(num_folds).split(features, groups=groups))
    scores = {}
    for penalty in penalties:
        errors = [
            mean_squared_error(
                targets[test], Ridge(penalty).fit(features[train], targets[train]).predict(features[test])
            )
            for train, test in folds
        ]
        scores[1 / penalty] = -float(np.mean(errors))
    return scores
