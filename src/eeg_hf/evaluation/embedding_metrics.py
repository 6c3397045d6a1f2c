# SPDX-License-Identifier: Apache-2.0
"""Metrics of embeddings of subjects who saw the same stimulus: alignment, uniformity, matching accuracy.

Alignment and uniformity are those of Wang and Isola 2020 (https://arxiv.org/abs/2005.10242). Lower is better,
and they are meaningful only together: an encoder with a constant output is perfectly aligned. Matching
accuracy has a chance level and is easier to read. Only the direction of an embedding counts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import pdist
from scipy.special import logsumexp

SAME_MOMENT_SECONDS = 0.005
"""Windows of one stimulus that start within this time show the same moment."""

_BLOCK = 256  # windows at once: all pairs of 100 000 would take 80 GB
_TIE = 1e-9  # cosines this close are equal up to the rounding of the products


def alignment(first: ArrayLike, second: ArrayLike, alpha: float = 2.0) -> float:
    """Return the mean distance of positive pairs to the power of `alpha`; 0 if all are equal.

    Args:
        first: (pairs, size) embeddings, as [`positive_pairs`] finds them.
        second: (pairs, size), the partner of each.
        alpha: Power of the distance.

    Raises:
        ValueError: If shapes differ, there is no pair, or an embedding is zero or not finite.
    """
    left, right = unit_vectors(first), unit_vectors(second)
    if left.shape != right.shape:
        raise ValueError(f"expected as many first as second, of one size, got {left.shape} and {right.shape}")
    return float(np.mean(np.linalg.norm(left - right, axis=1) ** alpha))


def uniformity(embeddings: ArrayLike, t: float = 2.0) -> float:
    """Return the logarithm of the mean Gaussian potential of all pairs; 0 if all are equal.

    Embeddings spread evenly over all directions have the lowest, -2 t for a large size. Memory is 8 bytes a
    pair: 400 MB for 10 000 embeddings.

    Args:
        embeddings: (windows, size), two or more.
        t: Decay of the potential with the squared distance.

    Raises:
        ValueError: If there are fewer than two, or one is zero or not finite.
    """
    unit = unit_vectors(embeddings)
    if len(unit) < 2:
        raise ValueError("embeddings: expected two or more, got one")
    potentials = -t * pdist(unit, "sqeuclidean")
    return float(logsumexp(potentials) - np.log(len(potentials)))


def positive_pairs(
    stimulus_ids: Sequence[int | str | None] | np.ndarray, seconds: ArrayLike, subjects: Sequence[int | str]
) -> np.ndarray:
    """Return the indices (pairs, 2) of windows of two subjects at the same moment of a stimulus.

    Args:
        stimulus_ids: (windows,) stimulus of each window, -1 or None for none.
        seconds: (windows,) time of the stimulus at the start of the window in s, NaN for none.
        subjects: (windows,) subject of each window.

    Raises:
        ValueError: If lengths differ.
    """
    _, moments, owners = _index(stimulus_ids, seconds, subjects)
    order = np.argsort(moments, kind="stable")
    order = order[moments[order] >= 0]
    pairs = [np.empty((0, 2), int)]
    for same in np.split(order, np.flatnonzero(np.diff(moments[order])) + 1):
        first, second = np.triu_indices(len(same), 1)
        pairs.append(np.stack([same[first], same[second]], axis=1))
    found = np.concatenate(pairs)
    return found[owners[found[:, 0]] != owners[found[:, 1]]]


def matching_accuracy(
    features: ArrayLike,
    stimulus_ids: Sequence[int | str | None] | np.ndarray,
    seconds: ArrayLike,
    subjects: Sequence[int | str],
) -> dict[str, float]:
    """Return how often the most similar window of another subject is of the same moment of the stimulus.

    Similarity is the cosine. Ties share the answer, so a constant output is exactly at chance.

    Args:
        features: (windows, size) embeddings.
        stimulus_ids: (windows,) stimulus of each window, -1 or None for none.
        seconds: (windows,) time of the stimulus at the start of the window in s, NaN for none.
        subjects: (windows,) subject of each window.

    Returns:
        - `matching_accuracy`: Share of windows whose best match is of their moment.
        - `matching_chance`: Accuracy of a random match: for each window the share of its moment among the
          candidates. It is one over the number of moments if all subjects have all of them.
        - `num_windows`: Number of scored windows.
        - `num_left_out`: Number of windows without a stimulus or without a match in another subject.

    Raises:
        ValueError: If lengths differ, an embedding is zero or not finite, or no window has a match.
    """
    stimuli, moments, owners = _index(stimulus_ids, seconds, subjects)
    unit = unit_vectors(features)
    if len(unit) != len(moments):
        raise ValueError(f"features: expected {len(moments)} windows as in seconds, got {len(unit)}")
    hits, chances = [], []
    for stimulus in np.unique(stimuli[moments >= 0]):
        members = np.flatnonzero((stimuli == stimulus) & (moments >= 0))
        for start in range(0, len(members), _BLOCK):
            rows = members[start : start + _BLOCK]
            is_other = owners[rows, None] != owners[members]  # (rows, members)
            is_match = is_other & (moments[rows, None] == moments[members])
            cosines = np.where(is_other, unit[rows] @ unit[members].T, -np.inf)
            is_best = is_other & (cosines >= cosines.max(axis=1, keepdims=True) - _TIE)
            judged = is_match.any(axis=1)
            hits.append((is_best & is_match).sum(axis=1)[judged] / is_best.sum(axis=1)[judged])
            chances.append(is_match.sum(axis=1)[judged] / is_other.sum(axis=1)[judged])
    num_judged = sum(map(len, hits))
    if not num_judged:
        raise ValueError("expected windows of the same moment of a stimulus in two subjects, got none")
    return {
        "matching_accuracy": float(np.concatenate(hits).mean()),
        "matching_chance": float(np.concatenate(chances).mean()),
        "num_windows": num_judged,
        "num_left_out": len(unit) - num_judged,
    }


def index_moments(seconds: ArrayLike) -> np.ndarray:
    """Return the index of the moment of each window of one stimulus, from 0 in order of time, within 5 ms.

    Raises:
        ValueError: If a second is not finite.
    """
    times = np.asarray(seconds, float)
    if not np.isfinite(times).all():
        raise ValueError("seconds: expected finite numbers, got NaN or infinite")
    order = np.argsort(times, kind="stable")
    is_next = np.diff(times[order], prepend=times[order][:1]) >= SAME_MOMENT_SECONDS
    moments = np.empty(len(times), int)
    moments[order] = np.cumsum(is_next)
    return moments


def _index(
    stimulus_ids: Sequence[int | str | None] | np.ndarray, seconds: ArrayLike, subjects: Sequence[int | str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return indices of stimulus, moment (unique across stimuli) and subject (windows,); -1 is no moment."""
    times = np.asarray(seconds, float)
    if not len(stimulus_ids) == len(times) == len(subjects):
        raise ValueError(
            "expected stimulus_ids, seconds and subjects of as many windows, got "
            f"{len(stimulus_ids)}, {len(times)} and {len(subjects)}"
        )
    has_stimulus = np.array([stimulus not in (None, -1) for stimulus in stimulus_ids], bool)
    _, stimuli = np.unique([str(stimulus) for stimulus in stimulus_ids], return_inverse=True)
    _, owners = np.unique([str(subject) for subject in subjects], return_inverse=True)
    moments, known = np.full(len(times), -1), has_stimulus & np.isfinite(times)
    for stimulus in np.unique(stimuli[known]):
        members = known & (stimuli == stimulus)
        moments[members] = moments.max() + 1 + index_moments(times[members])
    return stimuli, moments, owners


def unit_vectors(embeddings: ArrayLike) -> np.ndarray:
    """Return embeddings (windows, size) divided by their length.

    Raises:
        ValueError: If there is none, or one is zero or not finite.
    """
    values = np.asarray(embeddings, float)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"expected embeddings (windows, size), got {values.shape}")
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError("expected embeddings with a direction, got zero, NaN or infinite ones")
    return values / lengths
