# SPDX-License-Identifier: Apache-2.0
"""Linear probes: how much of a label a linear model reads from features that are not trained for it.

The probe is the same every time (standardised features, fixed regularisation, nothing random), so that two
scores differ by the features alone. Linear probes of layers: https://arxiv.org/abs/1610.01644.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from .metrics import MISSING_LABEL, chance_level, classification_metrics, regression_metrics

PROBE_METRICS = {
    "classification": ("balanced_accuracy", "auroc"),
    "regression": ("nrmse_std", "r2", "mae"),
}
# Strong, for windows of one subject resemble each other: there are far fewer subjects than rows. A ridge
# shrinks what it says by n / (n + alpha); the order of a classifier's scores does not shrink.
_INVERSE_REGULARIZATION = 1e-3
_RIDGE_ALPHA = 100.0

Targets = Sequence[float | None] | np.ndarray


def linear_probe(
    train_features: np.ndarray,
    train_targets: Targets,
    test_features: np.ndarray,
    test_targets: Targets,
    kind: str = "classification",
) -> dict[str, float]:
    """Fit a linear model on frozen features of some subjects and score it on those of others.

    Args:
        train_features: (rows, features) in any unit.
        train_targets: (rows,) class indices, or values in any unit; None, NaN and -100 are missing, their
            rows are left out.
        test_features: (rows, features), of other subjects.
        test_targets: As `train_targets`.
        kind: `"classification"` (logistic regression that counts classes alike) or `"regression"` (ridge).

    Returns:
        `balanced_accuracy` and `auroc`; of a regression `nrmse_std` (1 for the mean of the test targets as
        prediction), `r2` and `mae`, the last in the unit of the targets.

    Raises:
        ValueError: If the kind is unknown, shapes do not agree, a feature is not finite, or one side has no
            target or a single one.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(200, 8))
        >>> labels = features[:, 0] > 0
        >>> linear_probe(features[:100], labels[:100], features[100:], labels[100:])["auroc"] > 0.9
        True
    """
    _check_kind(kind)
    train, train_known = _labelled_rows("train", train_features, train_targets)
    test, test_known = _labelled_rows("test", test_features, test_targets)
    if train.shape[1] != test.shape[1]:
        raise ValueError(f"test features: expected {train.shape[1]} a row as in train, got {test.shape[1]}")
    if kind == "regression":
        probe = make_pipeline(StandardScaler(), Ridge(alpha=_RIDGE_ALPHA)).fit(train, train_known)
        return _regression_scores(test_known, probe.predict(test))
    regression = LogisticRegression(C=_INVERSE_REGULARIZATION, class_weight="balanced", max_iter=2000)
    probe = make_pipeline(StandardScaler(), regression).fit(train, train_known)
    return _classification_scores(test_known, probe, test)


def probe_chance(targets: Targets, kind: str = "classification") -> dict[str, float]:
    """Return what a probe reaches that knows nothing: the most frequent class, or the mean, every time.

    Args:
        targets: (rows,) of the test rows, as in [`linear_probe`].
        kind: As in [`linear_probe`].

    Raises:
        ValueError: If the kind is unknown or every target is missing.
    """
    _check_kind(kind)
    values = np.asarray(targets, float)
    if kind == "classification":
        levels = chance_level(values)
        return {name: levels[name] for name in PROBE_METRICS[kind]}
    known = values[_is_known(values)]
    return _regression_scores(known, np.full(len(known), known.mean() if len(known) else np.nan))


def _classification_scores(targets: np.ndarray, probe: Pipeline, features: np.ndarray) -> dict[str, float]:
    """Score the probabilities; a class that no training row has is never said, and so is missed."""
    classes = np.union1d(probe.classes_, targets)
    scores = np.zeros((len(targets), len(classes)))
    scores[:, np.searchsorted(classes, probe.classes_)] = probe.predict_proba(features)
    metrics = classification_metrics(np.searchsorted(classes, targets), scores)
    return {name: metrics[name] for name in PROBE_METRICS["classification"]}


def _regression_scores(targets: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    error = regression_metrics(targets, predictions)["nrmse_std"]
    return {"nrmse_std": error, "r2": 1 - error**2, "mae": float(np.mean(np.abs(targets - predictions)))}


def _labelled_rows(side: str, features: np.ndarray, targets: Targets) -> tuple[np.ndarray, np.ndarray]:
    """Return the features and targets of the rows that have a target."""
    rows, values = np.asarray(features, float), np.asarray(targets, float)  # float makes None NaN
    if rows.ndim != 2 or values.shape != rows.shape[:1]:
        raise ValueError(
            f"{side}: expected features (rows, features) and a target a row, got {rows.shape} and "
            f"{values.shape}"
        )
    is_known = _is_known(values)
    rows, values = rows[is_known], values[is_known]
    if (found := len(np.unique(values))) < 2:
        raise ValueError(
            f"{side} targets: expected two different ones or more, got {found} in {len(is_known)} rows "
            f"({len(values)} with a target): choose another column or more subjects"
        )
    if num_bad := int((~np.isfinite(rows)).any(axis=1).sum()):
        raise ValueError(
            f"{side} features: expected finite numbers, got NaN or infinite in {num_bad} of {len(rows)}: "
            "did the training diverge?"
        )
    return rows, values


def _is_known(targets: np.ndarray) -> np.ndarray:
    return ~np.isnan(targets) & (targets != MISSING_LABEL)


def _check_kind(kind: str) -> None:
    if kind not in PROBE_METRICS:
        raise ValueError(f"kind: expected {' or '.join(PROBE_METRICS)}, got {kind!r}")
