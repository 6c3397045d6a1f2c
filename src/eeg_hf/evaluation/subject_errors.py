# SPDX-License-Identifier: Apache-2.0
"""Errors of a regression by subject, from which its metrics follow for any weights of the subjects."""

import numpy as np

from .predictions import Predictions

REGRESSION_METRIC_NAMES = ("r2", "mae", "nrmse_std", "pearson")


class SubjectErrors:
    """Sums of one test part by subject; what `SubjectCounts` is to classes.

    Args:
        predictions: With a single score, the predicted number; windows whose target is NaN are left out.

    Attributes:
        subjects: (subjects,) names, sorted.
        present: (1,) whether targets differ: without that, all but the mean absolute error are undefined.
    """

    names = REGRESSION_METRIC_NAMES
    undefined_names = ("r2", "nrmse_std", "pearson")
    fallback = "mae"
    less_is_better = ("mae", "nrmse_std")

    def __init__(self, predictions: Predictions) -> None:
        target, predicted = np.asarray(predictions.labels, float), np.ravel(predictions.scores).astype(float)
        known = ~np.isnan(target)
        target, predicted = target[known], predicted[known]
        self.subjects, owners = np.unique(predictions.subjects[known], return_inverse=True)
        self.present = np.array([np.ptp(target) > 0 if len(target) else False])
        # Around the means, so that squares of large numbers lose no digits
        self._centre = (target.mean(), predicted.mean()) if len(target) else (0.0, 0.0)
        left, right = target - self._centre[0], predicted - self._centre[1]
        terms = [np.ones_like(left), left, right, left**2, right**2, left * right, np.abs(target - predicted)]
        size = len(self.subjects)
        self._sums = np.stack([np.bincount(owners, term, size) for term in terms], axis=1)

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the metrics (draws,) where each subject counts as often as its weight says.

        Args:
            weights: (draws, subjects).

        Returns:
            Those of [`regression_metrics`]; NaN where the targets of a draw are all equal.
        """
        total, left, right, squares, right_squares, products, absolute = (weights @ self._sums).T
        with np.errstate(divide="ignore", invalid="ignore"):
            left, right = left / total, right / total
            spread, right_spread = squares / total - left**2, right_squares / total - right**2
            # The variance of equal numbers is a rounding error, not zero
            smallest = 1e-12 * np.maximum(squares / total, 1e-300)
            spread = np.where(spread > smallest, spread, np.nan)
            right_spread = np.where(right_spread > 1e-12 * right_squares / total, right_spread, np.nan)
            bias = left - right + self._centre[0] - self._centre[1]
            covariance = products / total - left * right
            variance_left = np.where(np.isnan(right_spread), 0.0, right_spread)
            error = bias**2 + np.where(np.isnan(spread), 0.0, spread) + variance_left - 2 * covariance
            share = np.maximum(error, 0.0) / spread
            return {
                "r2": 1 - share,
                "mae": absolute / total,
                "nrmse_std": np.sqrt(share),
                "pearson": covariance / np.sqrt(spread * right_spread),
            }
