# SPDX-License-Identifier: Apache-2.0
"""An interval of any metric of one test part; those of classifiers over folds are in `fold_scores`.

Not in `metrics`, which evaluate copies alone, without the modules that it would import.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .intervals import NUM_RESAMPLES, percentile_interval
from .metrics import is_missing, labelled, metric_function


def bootstrap_interval(
    labels: Sequence[float] | np.ndarray,
    scores: Sequence[Sequence[float]] | Sequence[int] | np.ndarray,
    subjects: Sequence[str] | Sequence[int] | np.ndarray,
    metric: str | Callable[[np.ndarray, np.ndarray], float] = "balanced_accuracy",
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float] | None:
    """Return an interval of any metric of one test part, by drawing subjects.

    Args:
        labels: As in [`classification_metrics`].
        scores: As in [`classification_metrics`].
        subjects: (windows,) subject of each window.
        metric: One of `METRIC_NAMES`, or a function of the known labels and their scores.
        num_resamples: Number of draws.
        seed: Seed of the draws.
        level: Coverage.

    Returns:
        Lower and upper end. Draws where the metric is NaN (one class only) are left out; None where these are
        many.

    Raises:
        ValueError: If there are fewer than two subjects, or the metric is unknown.
    """
    known, values, _ = labelled(labels, scores)
    if len(subjects) != len(labels):
        raise ValueError(f"subjects: expected one for each of {len(labels)} windows, got {len(subjects)}")
    function = metric_function(metric)
    _, owners = np.unique(np.asarray(subjects)[~is_missing(np.asarray(labels, float))], return_inverse=True)
    windows_of = [np.flatnonzero(owners == subject) for subject in range(owners.max() + 1)]
    if len(windows_of) < 2:
        raise ValueError("subjects: expected at least 2 with labels, got 1")

    def of_drawn(drawn: np.ndarray) -> float:
        rows = np.concatenate([windows_of[subject] for subject in drawn])
        return function(known[rows], values[rows])

    random, num = np.random.default_rng(seed), len(windows_of)
    draws = np.array([of_drawn(random.integers(num, size=num)) for _ in range(num_resamples)], float)
    return percentile_interval(draws, [num], level)
