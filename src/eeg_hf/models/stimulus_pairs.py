# SPDX-License-Identifier: Apache-2.0
"""Which windows belong together because their people met the same thing at the same moment.

Two windows are a positive pair where another person saw the same second of the same film. They are a negative
pair where the film or the second differs, also within one person: only so does it not pay to tell people
apart. Left out are a window with itself, one person twice at one second, and seconds of one film closer than
a guard, whose signals resemble each other because EEG is slow.

A contrast of conditions (eyes open, eyes closed; the values of a task) is the same with the condition in
place of the film and 0 in place of the second.
"""

from typing import NamedTuple

import torch

SAME_SECOND = 0.005  # windows are cut at whole samples: 5 ms is one at 200 Hz


class PairRelations(NamedTuple):
    """Which pairs are what, each (anchors, candidates) bool; what is neither is left out.

    Attributes:
        is_positive: Same stimulus and second, another person.
        is_negative: Another stimulus, or a second of it at least the guard away.
    """

    is_positive: torch.Tensor
    is_negative: torch.Tensor


def pair_relations(
    stimulus_ids: torch.Tensor,
    seconds: torch.Tensor,
    subject_ids: torch.Tensor,
    guard_seconds: float,
    anchors: slice = slice(None),
) -> PairRelations:
    """Relate the windows of a batch to each other.

    Args:
        stimulus_ids: (batch,) which film, or which condition; -1 = none, which takes no part.
        seconds: (batch,) second of the film; NaN likewise.
        subject_ids: (batch,) who.
        guard_seconds: Other seconds of one film closer than this are no negatives.
        anchors: The rows to relate to all rows; all by default.

    Raises:
        ValueError: If the guard is negative or the three differ in length.
    """
    if guard_seconds < 0:
        raise ValueError(f"guard_seconds: expected 0 or more, got {guard_seconds}")
    if not stimulus_ids.shape == seconds.shape == subject_ids.shape or stimulus_ids.ndim != 1:
        raise ValueError(
            "expected stimulus_ids, seconds and subject_ids of one length (batch,), got "
            f"{tuple(stimulus_ids.shape)}, {tuple(seconds.shape)} and {tuple(subject_ids.shape)}"
        )
    is_known = has_moment(stimulus_ids, seconds)
    is_known = is_known[anchors, None] & is_known[None]
    is_same_stimulus = stimulus_ids[anchors, None] == stimulus_ids[None]
    distance = (seconds[anchors, None] - seconds[None]).abs()
    is_same_person = subject_ids[anchors, None] == subject_ids[None]
    is_same_second = is_same_stimulus & (distance < SAME_SECOND)
    is_near = is_same_stimulus & (distance < max(guard_seconds - SAME_SECOND, SAME_SECOND))
    return PairRelations(is_known & is_same_second & ~is_same_person, is_known & ~is_near)


def has_moment(stimulus_ids: torch.Tensor, seconds: torch.Tensor) -> torch.Tensor:
    """Return which windows have a stimulus and a second of it, (batch,) bool: the others take no part."""
    return (stimulus_ids >= 0) & ~seconds.isnan()


def describe_pairs(
    stimulus_ids: torch.Tensor,
    seconds: torch.Tensor,
    subject_ids: torch.Tensor,
    guard_seconds: float = 2.0,
) -> str:
    """Say what a batch is contrasted by: a line each of positives, negatives and what is left out, and why.

    Args:
        stimulus_ids: As in [`pair_relations`].
        seconds: Likewise.
        subject_ids: Likewise.
        guard_seconds: Likewise.

    Example:
        >>> film, second, person = torch.tensor([[7, 7, 7], [0, 0, 1], [1, 2, 1]])
        >>> print(describe_pairs(film, second, person, guard_seconds=2.0))
        3 windows, 2 people, 1 stimulus, 2 moments
        positive: 1 pair, of windows of two people at one moment
        negative: 0 pairs
        left out: 2 pairs: 2 closer than 2.0 s, 0 of one person at one moment, 0 without a stimulus
        1 window has no positive
    """
    is_positive, is_negative = pair_relations(stimulus_ids, seconds, subject_ids, guard_seconds)
    is_known = has_moment(stimulus_ids, seconds)
    moments = torch.stack([stimulus_ids.double(), (seconds.double() / SAME_SECOND).round()])[:, is_known]
    is_pair = torch.ones_like(is_positive).triu(diagonal=1)
    is_unknown = is_pair & ~(is_known[:, None] & is_known[None])
    is_left_out = is_pair & ~is_positive & ~is_negative & ~is_unknown
    is_at_once = is_left_out & ((seconds[:, None] - seconds[None]).abs() < SAME_SECOND)
    positive, negative = int((is_positive & is_pair).sum()), int((is_negative & is_pair).sum())
    at_once, unknown = int(is_at_once.sum()), int(is_unknown.sum())
    near = int(is_left_out.sum()) - at_once
    alone = int((is_known & ~is_positive.any(dim=1)).sum())
    lines = [
        f"{len(stimulus_ids)} windows, {_count(len(subject_ids.unique()), 'people', 'person')}, "
        f"{_count(len(stimulus_ids[is_known].unique()), 'stimuli', 'stimulus')}, "
        f"{_count(len(moments.unique(dim=1).T), 'moments', 'moment')}",
        f"positive: {_count(positive, 'pairs', 'pair')}, of windows of two people at one moment",
        f"negative: {_count(negative, 'pairs', 'pair')}",
        f"left out: {_count(near + at_once + unknown, 'pairs', 'pair')}: {near} closer than {guard_seconds} "
        f"s, {at_once} of one person at one moment, {unknown} without a stimulus",
    ]
    if alone:
        lines.append(f"{_count(alone, 'windows have', 'window has')} no positive")
    return "\n".join(lines)


def _count(number: int, several: str, one: str) -> str:
    return f"{number} {one if number == 1 else several}"


__all__ = ["PairRelations", "describe_pairs", "pair_relations"]
