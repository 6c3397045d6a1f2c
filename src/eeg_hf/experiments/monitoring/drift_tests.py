# SPDX-License-Identifier: Apache-2.0
"""Is a recording, or are several together, unlike those of a training? Tests with a stated false-alarm rate.

A recording's distance from the training is compared with the distances of the training recordings from those
of other subjects: the share that is as far is a conformal p-value (Vovk et al. 2005; Bates et al. 2023,
https://arxiv.org/abs/2104.08279), which holds whatever the distribution. It cannot be below 1 / (n + 1).
Beyond the farthest training recording the tail goes on as an exponential that is fitted to the five largest
distances; the uncertainty of that fit makes it a power law of fifth order. That is an assumption, which
distances of a lighter tail satisfy.

Several measures are corrected for by Bonferroni, several recordings by Benjamini and Hochberg (1995). Many
recordings that all moved a little are found by a permutation test of subjects.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import false_discovery_control

from ..training_statistics import MEASURES, Facts, TrainingStatistics

FEWEST = 10
"""Training recordings below which a p-value would mean little."""
_TAIL = 5
_LEAST_EXCESS = 0.2
_NUM_PERMUTATIONS = 1999


def tail_probability(distance: float, calibration: np.ndarray) -> float:
    """Return with which probability a recording of the same kind is as far away.

    Args:
        distance: Of a recording.
        calibration: (n,) distances of training recordings.
    """
    count = len(calibration)
    conformal = (1 + int((calibration >= distance).sum())) / (count + 1)
    if distance <= calibration.max():
        return conformal
    ordered = np.sort(calibration)
    excesses = ordered[-_TAIL:] - ordered[-_TAIL - 1]
    total = max(float(excesses.sum()), _TAIL * _LEAST_EXCESS)
    # The predictive distribution of an exponential excess whose mean was estimated
    beyond = _TAIL / (count + 1) * (1 + (distance - ordered[-_TAIL - 1]) / total) ** -_TAIL
    return min(conformal, float(beyond))


def recording_p_values(statistics: TrainingStatistics, facts: Facts) -> dict[str, float]:
    """Return the p-value of each measure of a recording, where there are enough training recordings."""
    found = {}
    for name, deviation in statistics.deviations(facts).items():
        calibration = calibration_of(statistics, name)
        if len(calibration) >= FEWEST:
            found[name] = tail_probability(deviation, calibration)
    return found


def calibration_of(statistics: TrainingStatistics, name: str) -> np.ndarray:
    """Return the distances of the training recordings by a measure; none of statistics of former versions."""
    left_out = statistics.facts.get(f"{name}_left_out", np.empty(0))
    kept: np.ndarray = left_out[np.isfinite(left_out)]
    return kept


def join(p_values: Mapping[str, float]) -> float:
    """Return the p-value of several measures together (Bonferroni)."""
    return min(1.0, len(p_values) * min(p_values.values(), default=1.0))


def raise_alarms(p_values: Sequence[float], rate: float) -> np.ndarray:
    """Return which recordings of a call are alarms, (recordings,) bool.

    While nothing has changed, any is with a probability of at most `rate`; else at most that share of the
    alarms is false on average.
    """
    if not len(p_values):
        return np.zeros(0, bool)
    raised: np.ndarray = false_discovery_control(np.asarray(p_values, float), method="bh") <= rate
    return raised


def shift_p_values(
    statistics: TrainingStatistics, recordings: Sequence[Facts], subjects: Sequence[str], seed: int = 0
) -> dict[str, float]:
    """Return for each measure with which probability as many subjects of the training differ as much.

    Recordings of one subject count as their mean.

    Args:
        statistics: Of the training.
        recordings: Measures of the recordings; of an embedding its deviation (1,).
        subjects: Whose they are.
        seed: Of the permutations.
    """
    found = {}
    for name in MEASURES:
        rows = {
            number: row
            for number, facts in enumerate(recordings)
            if (row := _values_of(statistics, name, facts)) is not None
        }
        kind = "left_out" if name == "embedding" else "values"
        known = statistics.facts.get(f"{name}_{kind}")
        if known is None or not rows or len(calibration_of(statistics, name)) < FEWEST:
            continue
        known = known.reshape(len(known), -1)
        measured = np.isfinite(known).all(axis=1)
        before = _by_subject(known[measured], statistics.facts["subjects"][measured])
        now = _by_subject(np.stack([*rows.values()]), np.array([subjects[number] for number in rows]))
        if len(now) > 1:
            # Those of the training are a little larger, since fewer recordings are left to compare with
            is_distance = name == "embedding"
            found[name] = _permute(before, now, is_distance, np.random.default_rng(seed))
    return found


def _values_of(statistics: TrainingStatistics, name: str, facts: Facts) -> np.ndarray | None:
    mean = statistics.facts.get(f"{name}_mean")
    if name == "embedding":
        return facts.get(name)
    return facts[name] if name in facts and mean is not None and mean.shape == facts[name].shape else None


def _by_subject(values: np.ndarray, subjects: np.ndarray) -> np.ndarray:
    """Return the mean of each subject, (subjects, n)."""
    return np.stack([values[subjects == subject].mean(axis=0) for subject in np.unique(subjects)])


def _permute(before: np.ndarray, now: np.ndarray, is_distance: bool, random: np.random.Generator) -> float:
    """Return the p-value of the largest difference of two means over columns, in standard deviations.

    Of distances, only larger ones count.
    """
    pooled = np.concatenate([now, before])  # (subjects, n)
    pooled = (pooled - pooled.mean(axis=0)) / np.maximum(pooled.std(axis=0), 1e-9)
    draws = random.permuted(np.tile(np.arange(len(pooled)) < len(now), (_NUM_PERMUTATIONS, 1)), axis=1)
    draws = np.concatenate([[np.arange(len(pooled)) < len(now)], draws])  # the first is what was seen
    sums = draws @ pooled  # of the first group; all sum to 0
    largest = (sums if is_distance else np.abs(sums)).max(axis=1)
    return float((largest >= largest[0] - 1e-9).mean())


__all__ = [
    "FEWEST",
    "calibration_of",
    "join",
    "raise_alarms",
    "recording_p_values",
    "shift_p_values",
    "tail_probability",
]
