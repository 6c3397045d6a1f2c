# SPDX-License-Identifier: Apache-2.0
"""The score of the EEG2025 challenge (https://eeg2025.github.io, https://arxiv.org/abs/2506.19141).

Challenge 1 predicts the response time of a trial, challenge 2 a trait of the subject (`externalizing`) from
any of their windows. Both are scored by `nrmse_std` of [`regression_metrics`]: the root mean squared error
over the population standard deviation of all targets of the set at once. A mean over batches is another
number. Challenge 2 counts windows, as the organisers do; what averaging over each subject's windows gives
stands beside it under a name of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from ..tables import NOTHING, escape_cell, markdown_table
from .metric_intervals import bootstrap_interval
from .metrics import regression_metrics
from .report import format_summary

CHALLENGE_WEIGHTS = (0.3, 0.7)
PUBLISHED_SCORES: Mapping[str, float] = MappingProxyType(
    {"challenge_1": 0.94021, "challenge_2": 0.99717, "overall": 0.98008}
)
PUBLISHED_SOURCE = (
    "rank 18 of 1,183 teams, on the hidden release R12: "
    "https://tamanegi.ydns.eu/NeurIPS-2025-EEG-Foundation-Challenge"
)
LEAK_BELOW = 0.9
"""Nobody published a challenge 2 that is much better than 1: below this, look for a leak."""


@dataclass(frozen=True)
class ChallengeResult:
    """One method on both challenges.

    Attributes:
        method: Its name.
        challenge_1: What [`challenge_metrics`] gives for the response times.
        challenge_2: Likewise for the trait.
    """

    method: str
    challenge_1: Mapping[str, Any]
    challenge_2: Mapping[str, Any]

    @property
    def overall(self) -> float:
        """The score that teams are ranked by."""
        return challenge_score(self.challenge_1["nrmse_std"], self.challenge_2["nrmse_std"])


def challenge_score(c1_nrmse: float, c2_nrmse: float) -> float:
    """Return the overall score, 0.3 of challenge 1 and 0.7 of challenge 2; less is better.

    Example:
        >>> round(challenge_score(0.94021, 0.99717), 5)
        0.98008
    """
    return CHALLENGE_WEIGHTS[0] * c1_nrmse + CHALLENGE_WEIGHTS[1] * c2_nrmse


def challenge_metrics(
    targets: Sequence[float] | np.ndarray,
    predictions: Sequence[float] | np.ndarray,
    subjects: Sequence[str] | np.ndarray,
    is_of_person: bool = False,
) -> dict[str, Any]:
    """Judge the predictions of one challenge.

    Args:
        targets: (windows,) or (windows, 1), in any unit; NaN is missing.
        predictions: As many, in the same unit.
        subjects: (windows,) who each window is from.
        is_of_person: Whether all windows of a person have one target, as in challenge 2.

    Returns:
        What [`regression_metrics`] gives; `num_subjects`; `interval`, 95 % of `nrmse_std` over draws of the
        people (None for one alone); and, of a person's target, `nrmse_std_by_subject`: that of each person's
        mean prediction, over people. It is not the challenge's score.

    Raises:
        ValueError: On what [`regression_metrics`] refuses, targets that are all the same, or a person of two
            targets.

    Example:
        >>> challenge_metrics([0.5, 1.5, 2.5], [1.5, 1.5, 1.5], ["a", "b", "c"])["nrmse_std"]
        1.0
    """
    target, predicted = np.ravel(np.asarray(targets, float)), np.ravel(np.asarray(predictions, float))
    owners = np.asarray(subjects)
    if len(owners) != len(target):
        raise ValueError(f"subjects: expected one for each of {len(target)} windows, got {len(owners)}")
    metrics: dict[str, Any] = regression_metrics(target, predicted)
    known = ~np.isnan(target)
    target, predicted, owners = target[known], predicted[known], owners[known]
    if np.ptp(target) == 0:
        raise ValueError(f"targets: all {len(target)} are {target[0]:g}, expected some that differ")
    metrics["num_subjects"] = len(np.unique(owners))
    metrics["interval"] = None
    if metrics["num_subjects"] > 1:
        pairs = np.column_stack([target, predicted])
        metrics["interval"] = bootstrap_interval(np.zeros(len(pairs)), pairs, owners, _nrmse_of_pairs)
    if is_of_person:
        metrics["nrmse_std_by_subject"] = _nrmse_by_subject(target, predicted, owners)
    return metrics


def leak_warning(c2_nrmse: float) -> str | None:
    """Return a line of warning about a challenge 2 that is too good to be true, or None."""
    if c2_nrmse >= LEAK_BELOW:
        return None
    return (
        f"challenge 2: {c2_nrmse:.3f} is hardly possible (rank 18 has {PUBLISHED_SCORES['challenge_2']:.3f}):"
        " look for a leak, such as people of the test part in the training"
    )


def challenge_table(results: Sequence[ChallengeResult]) -> str:
    """Return a Markdown table, the mean predictor and a published row below the results.

    Args:
        results: In the order of their rows.
    """
    rows = [
        {
            "Method": escape_cell(result.method),
            "Challenge 1": _cell(result.challenge_1["nrmse_std"], result.challenge_1.get("interval")),
            "Challenge 2": _cell(result.challenge_2["nrmse_std"], result.challenge_2.get("interval")),
            "Challenge 2, by person": _cell(result.challenge_2.get("nrmse_std_by_subject")),
            "Overall": f"{result.overall:.4f}",
        }
        for result in results
    ]
    references = {
        "the tested targets' mean (by definition)": dict.fromkeys(PUBLISHED_SCORES, 1.0),
        f"published, {PUBLISHED_SOURCE}": PUBLISHED_SCORES,
    }
    for method, scores in references.items():
        cells = {name.replace("_", " ").capitalize(): f"{score:.4f}" for name, score in scores.items()}
        rows.append({"Method": method, "Challenge 2, by person": NOTHING, **cells})
    return markdown_table(rows, texts=("Method",)) + "\n"


def _nrmse_of_pairs(_: np.ndarray, pairs: np.ndarray) -> float:
    return regression_metrics(pairs[:, 0], pairs[:, 1])["nrmse_std"]


def _nrmse_by_subject(target: np.ndarray, predicted: np.ndarray, owners: np.ndarray) -> float:
    """Return the NRMSE over people of the mean of each person's predictions."""
    names, index, counts = np.unique(owners, return_inverse=True, return_counts=True)
    first = target[np.unique(index, return_index=True)[1]]
    if not np.array_equal(first[index], target):
        name = names[index[first[index] != target][0]]
        raise ValueError(f"targets: expected one for all windows of a person, {name} has several")
    return regression_metrics(first, np.bincount(index, predicted) / counts)["nrmse_std"]


def _cell(nrmse: float | None, interval: tuple[float, float] | None = None) -> str:
    if nrmse is None:
        return NOTHING
    return format_summary({"mean": nrmse, **({"interval": interval} if interval else {})}, decimals=4)
