# SPDX-License-Identifier: Apache-2.0
"""Metrics of classifiers and regressors on EEG windows.

Missing labels (-100 or NaN) are left out and counted in `num_missing`. Balanced accuracy, macro F1 and AUROC
are averages over the classes among the labels. What cannot be computed (the AUROC of a single class, or of
predictions without scores) is NaN.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from scipy.special import softmax
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score, recall_score, roc_auc_score

if TYPE_CHECKING:
    from transformers import EvalPrediction

MISSING_LABEL = -100
METRIC_NAMES = ("balanced_accuracy", "accuracy", "auroc", "kappa", "macro_f1")


class MetricSummary(TypedDict, total=False):
    """One metric over several folds or seeds.

    Attributes:
        mean: Mean over folds and seeds; the pooled metric where `undefined_folds` is set.
        sd: Population standard deviation of the values that are defined.
        values: The value of each fold, the mean over seeds; of each seed where there is one fold.
        interval: Ends of the confidence interval of `mean`.
        pooled: The metric of the windows of all folds together.
        subject_mean: Mean over the subjects in whom the metric is defined.
        undefined_folds: In how many folds the metric is undefined, and of how many.
    """

    mean: float
    sd: float
    values: list[float]
    interval: tuple[float, float]
    pooled: float
    subject_mean: float
    undefined_folds: tuple[int, int]


def balanced_accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Return the mean recall over the classes that `labels` have."""
    return float(recall_score(labels, predictions, labels=np.unique(labels), average="macro"))


def kappa(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Return Cohen's kappa; 0 where only one class occurs, as chance alone agrees there."""
    if len(np.unique(np.concatenate([labels, predictions]))) == 1:
        return 0.0
    return float(cohen_kappa_score(labels, predictions))


def macro_f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Return the mean F1 over the classes that `labels` have."""
    present = np.unique(labels)
    return float(f1_score(labels, predictions, labels=present, average="macro", zero_division=0))


def auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve: of class 1 of two, or the mean of each class against the rest.

    Args:
        labels: (windows,) class indices.
        scores: (windows, classes) probabilities or logits.
    """
    present = np.unique(labels)
    if len(present) < 2:
        return math.nan
    areas = [
        roc_auc_score(labels == index, ranked) for index, ranked in class_scores(scores) if index in present
    ]
    return float(np.mean(areas))


def class_scores(scores: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Return what ranks the windows for each class that the AUROC is of: class 1 of two, or all of more."""
    if scores.shape[1] == 2:
        # The margin orders windows as the probability does, without rounding confident ones together
        return [(1, scores[:, 1] - scores[:, 0])]
    is_probability = bool((scores >= 0).all()) and np.allclose(scores.sum(axis=1), 1, atol=1e-3)
    probabilities = scores if is_probability else softmax(scores, axis=1)
    return list(enumerate(probabilities.T))


_FROM_PREDICTIONS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "balanced_accuracy": balanced_accuracy,
    "accuracy": accuracy_score,
    "kappa": kappa,
    "macro_f1": macro_f1,
}


def classification_metrics(
    labels: Sequence[float] | np.ndarray,
    scores: Sequence[Sequence[float]] | Sequence[int] | np.ndarray,
    class_names: Sequence[str] | None = None,
) -> dict[str, float]:
    """Compute all metrics of a classifier.

    Args:
        labels: (windows,) class indices; -100 and NaN are missing.
        scores: (windows, classes) probabilities or logits, or (windows,) predicted class indices.
        class_names: Names of the classes; with them the recall of each is reported as `recall_<name>`.

    Returns:
        `balanced_accuracy`, `accuracy`, `auroc` (NaN without scores), `kappa`, `macro_f1`, the recalls (NaN
        for a class without labels), `num_samples` with and `num_missing` without a label.

    Raises:
        ValueError: If shapes do not agree, a label or a prediction is not a class, a score is NaN, or every
            label is missing.

    Example:
        >>> metrics = classification_metrics([0, 0, 1, 1], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
        >>> metrics["balanced_accuracy"], metrics["auroc"]
        (0.75, 1.0)
    """
    known, values, num_missing = labelled(labels, scores, class_names)
    predictions = _predictions(values)
    metrics = {name: float(function(known, predictions)) for name, function in _FROM_PREDICTIONS.items()}
    metrics["auroc"] = auroc(known, values) if values.ndim == 2 else math.nan
    metrics = {name: metrics[name] for name in METRIC_NAMES}
    for index, name in enumerate(class_names or ()):
        is_hit = predictions[known == index] == index
        metrics[f"recall_{name}"] = float(is_hit.mean()) if len(is_hit) else math.nan
    return {**metrics, "num_samples": len(known), "num_missing": num_missing}


def regression_metrics(
    targets: Sequence[float] | np.ndarray, predictions: Sequence[float] | np.ndarray
) -> dict[str, float]:
    """Compute the metrics of a regression.

    Args:
        targets: (windows,) or (windows, 1), in any unit; NaN is missing.
        predictions: As many, in the same unit.

    Returns:
        `nrmse_std`, the root mean squared error over the population standard deviation of the targets: 1.0
        for a constant prediction of their mean, NaN for constant targets; `r2`, 1 - nrmse_std²; `mae`, the
        mean absolute error in the unit of the targets; `pearson`, NaN where one side is constant;
        `num_samples` and `num_missing`.

    Raises:
        ValueError: If the numbers of predictions and targets differ, a prediction is NaN, or every target is
            missing.
    """
    target, predicted = np.ravel(np.asarray(targets, float)), np.ravel(np.asarray(predictions, float))
    if target.shape != predicted.shape:
        raise ValueError(f"expected a prediction for each of {len(target)} targets, got {len(predicted)}")
    is_known = ~np.isnan(target)
    target, predicted = target[is_known], predicted[is_known]
    _check_judgeable(len(target), predicted)
    # The standard deviation of equal numbers is a rounding error, not zero
    spread, predicted_spread = (side.std() if np.ptp(side) else 0.0 for side in (target, predicted))
    covariance = np.mean((target - target.mean()) * (predicted - predicted.mean()))
    error = np.sqrt(np.mean((target - predicted) ** 2))
    spreads = spread * predicted_spread
    return {
        "nrmse_std": float(error / spread) if spread else math.nan,
        "r2": float(1 - (error / spread) ** 2) if spread else math.nan,
        "mae": float(np.mean(np.abs(target - predicted))),
        "pearson": float(covariance / spreads) if spreads else math.nan,
        "num_samples": len(target),
        "num_missing": int(np.sum(~is_known)),
    }


def chance_level(labels: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Return the scores of always predicting the most frequent class.

    Args:
        labels: (windows,) class indices; -100 and NaN are missing.
    """
    known = np.asarray(labels, float)
    known = known[~is_missing(known)]
    _check_judgeable(len(known))
    _, counts = np.unique(known, return_counts=True)
    share = float(counts.max() / counts.sum())
    return {
        "balanced_accuracy": 1 / len(counts),
        "accuracy": share,
        "auroc": 0.5,
        "kappa": 0.0,
        "macro_f1": 2 * share / (1 + share) / len(counts),
    }


def aggregate_folds(folds: Sequence[Mapping[str, float]]) -> dict[str, MetricSummary]:
    """Summarize the metrics of several folds or seeds.

    Args:
        folds: The metrics of each, with the same names.

    Returns:
        For each metric all values, the mean and population standard deviation of those that are not NaN, and
        `undefined_folds` where some are.

    Raises:
        ValueError: If there is no fold, or the folds have different metrics.
    """
    if not folds:
        raise ValueError("folds: expected the metrics of at least one, got none")
    for number, fold in enumerate(folds):
        if fold.keys() != folds[0].keys():
            differing = sorted(fold.keys() ^ folds[0].keys())
            raise ValueError(
                f"folds: expected the same metrics in each, fold {number} differs in {differing}"
            )
    summary: dict[str, MetricSummary] = {}
    for name in folds[0]:
        values = np.array([fold[name] for fold in folds], float)
        defined = values[~np.isnan(values)]
        mean, sd = (float(defined.mean()), float(defined.std())) if len(defined) else (math.nan, math.nan)
        summary[name] = {"mean": mean, "sd": sd, "values": values.tolist()}
        if 0 < len(defined) < len(values):
            summary[name]["undefined_folds"] = (len(values) - len(defined), len(values))
    return summary


def make_compute_metrics(
    class_names: Sequence[str] | None = None,
) -> "Callable[[EvalPrediction], dict[str, float]]":
    """Return the `compute_metrics` function of a classifier for transformers' Trainer.

    Args:
        class_names: As in [`classification_metrics`].
    """

    def compute_metrics(prediction: "EvalPrediction") -> dict[str, float]:
        scores, labels = prediction.predictions, prediction.label_ids
        if isinstance(scores, tuple):  # a model that returns more than logits puts them first
            scores = scores[0]
        if isinstance(scores, dict) or isinstance(labels, (dict, tuple)):
            raise ValueError(
                "expected logits and labels of one task, got several: compute the metrics of each separately"
            )
        return classification_metrics(labels, scores, class_names)

    return compute_metrics


def metric_function(
    metric: str | Callable[[np.ndarray, np.ndarray], float],
) -> Callable[[np.ndarray, np.ndarray], float]:
    """Return the function of labels and scores that computes a metric."""
    if callable(metric):
        return metric
    if metric == "auroc":
        return auroc
    if metric not in _FROM_PREDICTIONS:
        raise ValueError(f"metric: expected one of {', '.join(METRIC_NAMES)} or a function, got {metric!r}")
    from_predictions = _FROM_PREDICTIONS[metric]
    return lambda labels, scores: from_predictions(labels, _predictions(scores))


def is_missing(labels: np.ndarray) -> np.ndarray:
    """Return where labels (windows,) are missing: NaN or -100."""
    return np.isnan(labels) | (labels == MISSING_LABEL)


def _predictions(scores: np.ndarray) -> np.ndarray:
    return scores.argmax(axis=1) if scores.ndim == 2 else scores


def _check_judgeable(num_labelled: int, predicted: np.ndarray | None = None) -> None:
    if num_labelled == 0:
        raise ValueError("expected at least one label, got none: all are missing")
    if predicted is not None and not np.isfinite(predicted).all():
        raise ValueError(
            "predictions: expected finite numbers, got NaN or infinite: did the training diverge?"
        )


def labelled(
    labels: Sequence[float] | np.ndarray,
    scores: Sequence[Sequence[float]] | Sequence[int] | np.ndarray,
    class_names: Sequence[str] | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the known labels (n,), their scores or predictions, and the number of missing labels."""
    all_labels, values = np.asarray(labels, float), np.asarray(scores)
    if all_labels.ndim != 1 or values.ndim not in (1, 2) or len(values) != len(all_labels):
        raise ValueError(
            "expected labels (windows,) and scores (windows, classes) or predictions (windows,), got "
            f"{all_labels.shape} and {values.shape}"
        )
    missing = is_missing(all_labels)
    known, values = all_labels[~missing], values[~missing]
    _check_judgeable(len(known), values)
    if values.ndim == 2:
        num_classes = values.shape[1]
        if num_classes < 2:
            raise ValueError("scores: expected one for each of two or more classes, got 1: a regression?")
    else:
        num_classes = len(class_names) if class_names else int(max(known.max(), values.max())) + 1
        _check_classes("predictions", values, num_classes)
        values = values.astype(int)
    if class_names and len(class_names) != num_classes:
        raise ValueError(
            f"class_names: expected one for each of {num_classes} classes, got {list(class_names)}"
        )
    _check_classes("labels", known, num_classes)
    return known.astype(int), values, int(missing.sum())


def _check_classes(name: str, values: np.ndarray, num_classes: int) -> None:
    is_class = (values == np.round(values)) & (values >= 0) & (values < num_classes)
    if not is_class.all():
        got = values[~is_class][0]
        raise ValueError(
            f"{name}: expected class indices 0 to {num_classes - 1} (a missing label: -100 or NaN), got {got}"
        )
