# SPDX-License-Identifier: Apache-2.0
"""Scores of subjects: intervals of their mean, and methods compared subject by subject.

Subjects differ more than methods do, so methods are compared by the differences within subjects.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np

from .intervals import mean_interval


class PairedDifference(TypedDict):
    """One method minus another, on the same subjects.

    Attributes:
        mean: Mean of the differences; NaN where there is none.
        interval: Ends of its confidence interval, None with fewer than two subjects.
        num_higher: Number of subjects in whom the first method is higher.
        num_lower: Number of subjects in whom it is lower.
        num_subjects: Number of subjects in whom both are defined.
    """

    mean: float
    interval: tuple[float, float] | None
    num_higher: int
    num_lower: int
    num_subjects: int


def subject_interval(
    scores: Mapping[str, float], num_resamples: int = 9999, seed: int = 0, level: float = 0.95
) -> tuple[float, float] | None:
    """Return an interval of the mean over subjects, see [`mean_interval`].

    Args:
        scores: Score of each subject; NaN is left out.
        num_resamples: Number of draws.
        seed: Seed of the draws.
        level: Coverage.

    Returns:
        Lower and upper end; None with fewer than two subjects.
    """
    return mean_interval(_defined([*scores.values()]), num_resamples, seed, level)


def paired_difference(
    ours: Mapping[str, float],
    theirs: Mapping[str, float],
    num_resamples: int = 9999,
    seed: int = 0,
    level: float = 0.95,
) -> PairedDifference:
    """Compare two methods on the same subjects.

    Args:
        ours: Score of each subject.
        theirs: Scores of the other method, which are subtracted.
        num_resamples: As in [`subject_interval`].
        seed: As in [`subject_interval`].
        level: As in [`subject_interval`].

    Raises:
        ValueError: If the two methods have scores of different subjects.

    Example:
        >>> paired_difference({"a": 0.8, "b": 0.5}, {"a": 0.7, "b": 0.4})["num_higher"]
        2
    """
    if ours.keys() != theirs.keys():
        differing = sorted(ours.keys() ^ theirs.keys())
        raise ValueError(f"expected scores of the same subjects, these are in one only: {differing}")
    differences = {subject: ours[subject] - theirs[subject] for subject in ours}
    known = _defined([*differences.values()])
    return {
        "mean": float(known.mean()) if len(known) else math.nan,
        "interval": subject_interval(differences, num_resamples, seed, level),
        "num_higher": int((known > 0).sum()),
        "num_lower": int((known < 0).sum()),
        "num_subjects": len(known),
    }


def describe_difference(difference: Mapping[str, Any]) -> str:
    """Say in words what a paired difference to a baseline shows.

    Args:
        difference: A [`PairedDifference`] with the name of the `baseline`.

    Example:
        >>> found = {"mean": 0.02, "interval": (-0.01, 0.05), "num_higher": 7, "num_subjects": 12}
        >>> describe_difference({"baseline": "CSP", **found})
        'difference +0.020 [-0.010, +0.050], higher in 7 of 12 subjects: no evidence that it beats CSP'
    """
    if not difference["num_subjects"]:
        return f"no subject to compare it with {difference['baseline']}"
    text = f"difference {difference['mean']:+.3f}"
    finding = "no evidence that it beats"
    if difference["interval"]:
        low, high = difference["interval"]
        text += f" [{low:+.3f}, {high:+.3f}]"
        finding = "it beats" if low > 0 else "it is worse than" if high < 0 else finding
    counts = f"higher in {difference['num_higher']} of {difference['num_subjects']} subjects"
    return f"{text}, {counts}: {finding} {difference['baseline']}"


def _defined(scores: Sequence[float]) -> np.ndarray:
    values = np.array(scores, float)
    return values[~np.isnan(values)]
