# SPDX-License-Identifier: Apache-2.0
"""Positive and negative pairs of windows, by the stimulus and its second.

Two windows are a positive pair if different subjects saw the same second of the same stimulus. They are a
negative pair if the stimulus or the second differs, also within one subject: otherwise identifying subjects
would lower the loss. Left out are a window with itself, one subject twice at one second, and seconds of one
stimulus closer than a guard, whose signals are similar because EEG is autocorrelated.

A contrast of conditions (eyes open, eyes closed; the values of a task) works the same way, with the condition
as the stimulus and 0 as the second.
"""

from typing import NamedTuple

import torch

SAME_SECOND = 0.005  # windows are cut at whole samples: 5 ms is one at 200 Hz


class PairRelations(NamedTuple):
    """The kind of each pair, (anchors, candidates) bool each; pairs that are neither are left out.

    Attributes:
        is_positive: Same stimulus and second, another subject.
        is_negative: Another stimulus, or a second at least the guard away.
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
    """Find the positive and negative pairs of a batch.

    Args:
        stimulus_ids: (batch,) stimulus or condition; windows with -1 form no pairs.
        seconds: (batch,) second of the stimulus; NaN likewise.
        subject_ids: (batch,) subject.
        guard_seconds: Seconds of one stimulus closer than this are no negatives of each other.
        anchors: The rows to pair with all rows; all by default.

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
    # (anchors, candidates): both windows have a moment
    is_known = has_moment(stimulus_ids, seconds)
    is_known = is_known[anchors, None] & is_known[None]
    is_same_stimulus = stimulus_ids[anchors, None] == stimulus_ids[None]
    distance = (seconds[anchors, None] - seconds[None]).abs()
    is_same_subject = subject_ids[anchors, None] == subject_ids[None]
    is_same_second = is_same_stimulus & (distance < SAME_SECOND)
    # Seconds are multiples of a sample: without the tolerance, rounding would move pairs across the guard
    is_near = is_same_stimulus & (distance < max(guard_seconds - SAME_SECOND, SAME_SECOND))
    return PairRelations(is_known & is_same_second & ~is_same_subject, is_known & ~is_near)


def has_moment(stimulus_ids: torch.Tensor, seconds: torch.Tensor) -> torch.Tensor:
    """Return which windows have a stimulus and a second, (batch,) bool."""
    return (stimulus_ids >= 0) & ~seconds.isnan()


def describe_pairs(
    stimulus_ids: torch.Tensor,
    seconds: torch.Tensor,
    subject_ids: torch.Tensor,
    guard_seconds: float = 2.0,
) -> str:
    """Describe a batch: its positive and negative pairs, and those that are left out, with the reasons.

    Args:
        stimulus_ids: As in [`pair_relations`].
        seconds: Likewise.
        subject_ids: Likewise.
        guard_seconds: Likewise.

    Example:
        >>> film, second, subject = torch.tensor([[7, 7, 7], [0, 0, 1], [1, 2, 1]])
        >>> print(describe_pairs(film, second, subject, guard_seconds=2.0))
        3 windows, 2 subjects, 1 stimulus, 2 moments
        positive: 1 pair, of windows of two subjects at one moment
        negative: 0 pairs
        left out: 2 pairs: 2 closer than 2.0 s, 0 of one subject at one moment, 0 without a stimulus
        1 window has no positive
    """
    is_positive, is_negative = pair_relations(stimulus_ids, seconds, subject_ids, guard_seconds)
    is_known = has_moment(stimulus_ids, seconds)
    moments = torch.stack([stimulus_ids.double(), (seconds.double() / SAME_SECOND).round()])[:, is_known]
    # Each unordered pair once
    is_pair = torch.ones_like(is_positive).triu(diagonal=1)
    # The reasons why pairs are left out exclude each other
    is_unknown = is_pair & ~(is_known[:, None] & is_known[None])
    is_left_out = is_pair & ~is_positive & ~is_negative & ~is_unknown
    is_at_once = is_left_out & ((seconds[:, None] - seconds[None]).abs() < SAME_SECOND)
    positive, negative = int((is_positive & is_pair).sum()), int((is_negative & is_pair).sum())
    at_once, unknown = int(is_at_once.sum()), int(is_unknown.sum())
    near = int(is_left_out.sum()) - at_once
    alone = int((is_known & ~is_positive.any(dim=1)).sum())
    lines = [
        f"{len(stimulus_ids)} windows, {_count(len(subject_ids.unique()), 'subjects', 'subject')}, "
        f"{_count(len(stimulus_ids[is_known].unique()), 'stimuli', 'stimulus')}, "
        f"{_count(len(moments.unique(dim=1).T), 'moments', 'moment')}",
        f"positive: {_count(positive, 'pairs', 'pair')}, of windows of two subjects at one moment",
        f"negative: {_count(negative, 'pairs', 'pair')}",
        f"left out: {_count(near + at_once + unknown, 'pairs', 'pair')}: {near} closer than {guard_seconds} "
        f"s, {at_once} of one subject at one moment, {unknown} without a stimulus",
    ]
    if alone:
        lines.append(f"{_count(alone, 'windows have', 'window has')} no positive")
    return "\n".join(lines)


def _count(number: int, several: str, one: str) -> str:
    return f"{number} {one if number == 1 else several}"


__all__ = ["PairRelations", "describe_pairs", "pair_relations"]
