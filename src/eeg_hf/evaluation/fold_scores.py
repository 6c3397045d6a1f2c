# SPDX-License-Identifier: Apache-2.0
"""Metrics over folds and seeds, with intervals over subjects of exactly those numbers.

The number of a method is the mean over folds and seeds of the metric of each fold. Its interval draws the
subjects of each fold with replacement, computes the metric of every fold and seed again, and takes the same
mean. Subjects are drawn from all folds together where a fold has fewer than three, where a subject is in
several, or where seeds divide the subjects differently; a fold then counts as often as its subjects were
drawn.

In a fold without one of the classes, metrics that average over classes are undefined. They are then computed
on the windows of all folds together, and marked as pooled: a mean over the other folds would hide it.

The metrics of a regression are always those of all folds together: R² and NRMSE compare errors with the
spread of the targets, which differs between folds of few subjects by chance.
"""

from collections.abc import Sequence

import numpy as np

from .by_subject import PairedDifference
from .intervals import NUM_RESAMPLES, percentile_interval
from .metrics import METRIC_NAMES, MetricSummary, class_scores, is_missing, labelled
from .predictions import Predictions
from .subject_errors import SubjectErrors

_MIN_SUBJECTS = 3  # fewer in a fold make intervals too narrow: 95 % are 85 % with two in each of five
_NEEDS_EVERY_CLASS = tuple(name for name in METRIC_NAMES if name != "accuracy")


class SubjectCounts:
    """Counts of one test part by subject, from which its metrics follow for any weights of the subjects.

    Args:
        predictions: Scores of at least two classes; windows whose label is missing are left out.

    Attributes:
        subjects: (subjects,) names, sorted.
        present: (classes,) which classes the labels have.
    """

    names = METRIC_NAMES
    undefined_names = _NEEDS_EVERY_CLASS
    fallback = "accuracy"
    less_is_better: tuple[str, ...] = ()

    def __init__(self, predictions: Predictions) -> None:
        labels, scores, _ = labelled(predictions.labels, predictions.scores)
        is_known = ~is_missing(np.asarray(predictions.labels, float))
        self.subjects, owners = np.unique(predictions.subjects[is_known], return_inverse=True)
        num_classes, said = scores.shape[1], scores.argmax(axis=1)
        self._confusion = np.zeros((len(self.subjects), num_classes, num_classes))
        np.add.at(self._confusion, (owners, labels, said), 1)
        self.present = self._confusion.sum(axis=(0, 2)) > 0
        self._areas = [
            _count_pairs(labels == index, ranked, owners)
            for index, ranked in class_scores(scores)
            if self.present[index] and self.present.sum() > 1
        ]

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the metrics (draws,) where each subject counts as often as its weight says.

        Args:
            weights: (draws, subjects).

        Returns:
            Those of [`classification_metrics`]; in a draw without a class that this part has, all but the
            accuracy are NaN.
        """
        counts = np.tensordot(weights, self._confusion, axes=1)  # (draws, classes, classes)
        truth, said = counts.sum(axis=2), counts.sum(axis=1)  # (draws, classes)
        hits, total = np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            accuracy = hits.sum(axis=1) / total
            by_chance = (truth * said).sum(axis=1) / total**2
            metrics = {
                "balanced_accuracy": (hits / truth)[:, self.present].mean(axis=1),
                "accuracy": accuracy,
                "auroc": self._auroc(weights),
                "kappa": (accuracy - by_chance) / (1 - by_chance),
                "macro_f1": (2 * hits / (truth + said))[:, self.present].mean(axis=1),
            }
        has_every_class = (truth[:, self.present] > 0).all(axis=1)
        for name in _NEEDS_EVERY_CLASS:
            metrics[name] = np.where(has_every_class, metrics[name], np.nan)
        return metrics

    def _auroc(self, weights: np.ndarray) -> np.ndarray:
        """Return the share of pairs of windows in the right order, the mean over classes."""
        if not self._areas:
            return np.full(len(weights), np.nan)
        areas = []
        for wins, positives, negatives in self._areas:
            right = np.sum((weights @ wins) * weights, axis=1)
            areas.append(right / ((weights @ positives) * (weights @ negatives)))
        return np.mean(areas, axis=0)


class FoldScores:
    """The metrics of one method over folds and seeds.

    Args:
        runs: One list a seed, with the predictions of each fold. Seeds may divide the subjects into other
            folds, as many, and may test other windows of them. A single score is a regression.
        num_resamples: Number of bootstrap draws.
        seed: Seed of the draws: methods tested on the same windows get the same subjects.

    Raises:
        ValueError: If the seeds have different numbers of folds, or were not tested on the same subjects.
    """

    def __init__(
        self, runs: Sequence[Sequence[Predictions]], num_resamples: int = NUM_RESAMPLES, seed: int = 0
    ) -> None:
        self._tested = [[set(fold.window_ids.tolist()) for fold in run] for run in runs]
        count: type[SubjectCounts] | type[SubjectErrors] = SubjectCounts
        if runs[0][0].scores.shape[1] == 1:
            count, runs = SubjectErrors, [[Predictions.concatenate(list(run))] for run in runs]
        self.kind = count
        self._folds = [[count(fold) for fold in run] for run in runs]
        self._pooled = [count(Predictions.concatenate(list(run))) for run in runs]
        self.subjects = self._pooled[0].subjects
        if len({len(run) for run in runs}) > 1 or any(
            not np.array_equal(seed.subjects, self.subjects) for seed in self._pooled
        ):
            raise ValueError(
                "runs: expected as many folds, of the same subjects, in each seed: was it the same corpus?"
            )
        self._places = [
            [np.searchsorted(self.subjects, fold.subjects) for fold in folds] for folds in self._folds
        ]
        present = self._pooled[0].present
        self._num_lacking = sum((fold.present != present).any() for folds in self._folds for fold in folds)
        self._num_lacking = -(-self._num_lacking // len(runs))  # of the folds of one seed, rounded up
        weights, self._strata = self._draw(num_resamples, np.random.default_rng(seed))
        self.means = {name: float(values[0]) for name, values in self._statistics(self._ones).items()}
        self.draws = self._statistics(weights)

    def summary(self) -> dict[str, MetricSummary]:
        """Return each metric: its mean over folds and seeds, what that hides, and its interval."""
        by_fold = self._by_fold(self._ones)
        pooled = _mean_over_seeds(self._pooled, self._ones)
        by_subject = self.by_subject()
        found: dict[str, MetricSummary] = {}
        for name, mean in self.means.items():
            values = by_fold[name][..., 0]  # (seeds, folds)
            # Of seeds where folds have nothing in common but their number
            is_by_seed = values.shape[1] == 1 or self._divides_differently()
            values = values.mean(axis=1 if is_by_seed else 0)
            defined = values[~np.isnan(values)]
            summary: MetricSummary = {
                "mean": mean,
                "sd": float(defined.std()) if len(defined) else np.nan,
                "values": values.tolist(),
            }
            interval = percentile_interval(self.draws[name], self._strata)
            if interval is not None:
                summary["interval"] = interval
            if len(self._places[0]) > 1:
                summary["pooled"] = float(pooled[name][0])
            if not np.isnan(by_subject[name]).all():
                summary["subject_mean"] = float(np.nanmean(by_subject[name]))
            if self._num_lacking and name in self.kind.undefined_names:
                summary["undefined_folds"] = (self._num_lacking, len(self._places[0]))
            found[name] = summary
        return found

    def by_subject(self) -> dict[str, np.ndarray]:
        """Return the metrics of each subject (subjects,), a mean over seeds; NaN where a class is missing."""
        return _mean_over_seeds(self._pooled, np.eye(len(self.subjects)))

    def difference(self, other: "FoldScores", metric: str = "balanced_accuracy") -> PairedDifference:
        """Compare with another method that was tested on the same windows.

        Args:
            other: The method that is subtracted.
            metric: What to compare.

        Returns:
            The difference of the two numbers, and its interval with the same subjects drawn for both. The
            counts are of subjects by that metric; by accuracy where a subject lacks a class, and by the mean
            absolute error where one has a single target, less being higher.

        Raises:
            ValueError: If the windows or the folds differ.
        """
        if self._tested != other._tested:
            raise ValueError("expected two methods tested on the same windows in the same folds")
        ours, theirs = self.by_subject(), other.by_subject()
        counted = self.kind.fallback if np.isnan(ours[metric]).any() else metric
        gains = ours[counted] - theirs[counted]
        gains = -gains if counted in self.kind.less_is_better else gains
        return {
            "mean": self.means[metric] - other.means[metric],
            "interval": percentile_interval(self.draws[metric] - other.draws[metric], self._strata),
            "num_higher": int((gains > 0).sum()),
            "num_lower": int((gains < 0).sum()),
            "num_subjects": len(gains),
        }

    @property
    def main_metric(self) -> str:
        """What methods are compared by; more is better."""
        return self.kind.names[0]

    @property
    def num_windows(self) -> int:
        """Number of windows that a seed was tested on, the mean over seeds."""
        return round(float(np.mean([sum(map(len, folds)) for folds in self._tested])))

    @property
    def _ones(self) -> np.ndarray:
        return np.ones((1, len(self.subjects)))

    def _draw(self, num_resamples: int, random: np.random.Generator) -> tuple[np.ndarray, list[int]]:
        """Return how often each subject was drawn (resamples, subjects), and how many of each stratum."""
        sizes, total = [len(places) for places in self._places[0]], len(self.subjects)
        if self._divides_differently() or sum(sizes) > total or min(sizes) < _MIN_SUBJECTS:
            return random.multinomial(total, np.full(total, 1 / total), num_resamples), [total]
        weights = np.zeros((num_resamples, total), int)
        for places, size in zip(self._places[0], sizes, strict=True):
            weights[:, places] = random.multinomial(size, np.full(size, 1 / size), num_resamples)
        return weights, sizes

    def _divides_differently(self) -> bool:
        """Return whether another seed has other subjects in a fold."""
        return any(
            not np.array_equal(own, first)
            for places in self._places
            for own, first in zip(places, self._places[0], strict=True)
        )

    def _statistics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the number of each metric (draws,): the mean over seeds and folds, or the pooled one."""
        # (seeds, folds, draws)
        share = np.array([[weights[:, at].mean(axis=1) for at in places] for places in self._places])
        found = {}
        for name, values in self._by_fold(weights).items():
            # A fold of which no subject was drawn has no metric, and counts as nothing
            counted = np.where(share > 0, share * values, 0.0)
            found[name] = (counted.sum(axis=1) / share.sum(axis=1)).mean(axis=0)
        if not self._num_lacking:
            return found
        pooled = _mean_over_seeds(self._pooled, weights)
        return found | {name: pooled[name] for name in self.kind.undefined_names}

    def _by_fold(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Return the metrics (seeds, folds, draws); NaN where a fold lacks a class."""
        present = self._pooled[0].present
        found: dict[str, list[list[np.ndarray]]] = {name: [] for name in self.kind.names}
        for run, places in zip(self._folds, self._places, strict=True):
            parts = [fold.metrics(weights[:, at]) for fold, at in zip(run, places, strict=True)]
            for name, rows in found.items():
                is_undefined = [
                    name in self.kind.undefined_names and (fold.present != present).any() for fold in run
                ]
                rows.append(
                    [
                        np.full(len(weights), np.nan) if lacking else part[name]
                        for part, lacking in zip(parts, is_undefined, strict=True)
                    ]
                )
        return {name: np.array(rows) for name, rows in found.items()}


def summarize_predictions(runs: Sequence[Sequence[Predictions]]) -> dict[str, MetricSummary]:
    """Summarise the metrics of a method over folds and seeds, see [`FoldScores`].

    Args:
        runs: One list a seed, with the predictions of each fold.
    """
    return FoldScores(runs).summary()


def _mean_over_seeds(
    tables: Sequence[SubjectCounts | SubjectErrors], weights: np.ndarray
) -> dict[str, np.ndarray]:
    seeds = [table.metrics(weights) for table in tables]
    return {name: np.mean([seed[name] for seed in seeds], axis=0) for name in seeds[0]}


def _count_pairs(
    is_positive: np.ndarray, scores: np.ndarray, owners: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count the pairs of a positive and a negative window by subject.

    Returns:
        (subjects, subjects) pairs in the right order, ties as half, rows are the subjects of the positives;
        (subjects,) positives; (subjects,) negatives.
    """
    num_subjects = int(owners.max()) + 1
    of_positive, positive = owners[is_positive], scores[is_positive]
    wins = np.empty((num_subjects, num_subjects))
    for subject in range(num_subjects):
        negative = np.sort(scores[~is_positive & (owners == subject)])
        below = np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")
        wins[:, subject] = np.bincount(of_positive, below / 2, num_subjects)
    counts = [np.bincount(owners[chosen], minlength=num_subjects) for chosen in (is_positive, ~is_positive)]
    return wins, counts[0], counts[1]
