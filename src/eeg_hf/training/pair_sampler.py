# SPDX-License-Identifier: Apache-2.0
"""Batches for a contrast between subjects: several subjects at each of several moments of a stimulus.

Rows are dealt like cards, twice: the rows of one moment into groups of different subjects, then the groups of
all moments into batches of different moments. Dealing leaves over the fewest rows possible: with G hands of s
cards, an owner gives away at most G cards, so G is the largest number with sum(min(cards, G)) >= s * G.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Sampler
from transformers.utils import logging

from ..collation import PairColumns, WindowDataset

logger = logging.get_logger(__name__)

SAME_SECOND = 0.005  # seconds; rows less than this apart start at the same second


class PairSampler(Sampler[int]):
    """Order rows so that consecutive rows form batches with positives and negatives.

    A batch holds several moments (a stimulus and its second) with several different subjects each. Its
    moments are of different stimuli or at least `guard_seconds` apart; if no batch can be filled that way,
    they may be nearer. (seed, epoch) alone decides the combinations; each epoch has equally many. Without
    seconds a moment is a value of the stimulus column; if a batch has room for more moments than there are
    values, each value gets more subjects, equally many.

    Args:
        stimuli: Stimulus of each row; rows with None are left out.
        seconds: Second of the stimulus at which each row starts, None or NaN if unknown; None altogether for
            stimuli without a clock.
        subjects: Subject of each row.
        batch_size: Rows of a batch over all processes: the loss compares all of them.
        subjects_per_time: Subjects at each moment of a batch.
        guard_seconds: Moments of one stimulus nearer than this are no negatives of each other.
        seed: With the epoch it decides the order, so a resumed run sees the same one.

    Raises:
        ValueError: If no batch can hold a positive and a negative; gives the reason.

    Example:
        >>> sampler = PairSampler(["film"] * 8, [0, 0, 0, 0, 9, 9, 9, 9], [*"abcdabcd"], batch_size=4)
        >>> len(sampler)
        8
    """

    def __init__(
        self,
        stimuli: Sequence[str | None],
        seconds: Sequence[float | None] | None,
        subjects: Sequence[str],
        *,
        batch_size: int,
        subjects_per_time: int = 2,
        guard_seconds: float = 2.0,
        seed: int = 0,
    ) -> None:
        if subjects_per_time < 2:
            raise ValueError(
                f"subjects_per_time: expected 2 or more, which gives positives, got {subjects_per_time}"
            )
        if batch_size < 2 * subjects_per_time or batch_size % subjects_per_time:
            raise ValueError(
                f"batch_size: expected a multiple of subjects_per_time={subjects_per_time} and "
                f"{2 * subjects_per_time} or more, over all processes together; got {batch_size}"
            )
        self.batch_size = batch_size
        self.subjects_per_time = subjects_per_time
        self.guard_seconds = guard_seconds
        self.seed = seed
        self.epoch = 0
        self.num_rows = len(stimuli)
        self._read(stimuli, seconds, subjects)
        self._check()
        self._plan(has_clock=seconds is not None)
        logger.info(
            f"pairs: {len(self)} of {self.num_rows} rows an epoch, in batches of {batch_size}: "
            f"{self.subjects_per_time} subjects at each of {self.num_moments} moments; the other "
            f"{self.num_rows - len(self)} rows fill no batch"
        )

    @classmethod
    def from_windows(
        cls, windows: WindowDataset, pairs: PairColumns, batch_size: int, **kwargs: Any
    ) -> "PairSampler":
        """Read stimuli, seconds and subjects from prepared windows.

        Args:
            windows: Prepared windows, made with the columns of `pairs`.
            pairs: The same as the collator's.
            batch_size: Rows of a batch over all processes.
            **kwargs: As in the constructor.
        """
        missing = sorted(set(pairs.columns) - set(windows.dataset.column_names))
        if missing:
            raise ValueError(f"pairs: windows lack the columns {missing}: WindowDataset(rows, pairs.columns)")
        table = windows.dataset.select_columns(pairs.columns)[:]
        seconds = None if pairs.seconds is None else pairs.read_seconds(table)
        return cls(
            pairs.read_stimuli(table), seconds, pairs.read_subjects(table), batch_size=batch_size, **kwargs
        )

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which changes the combinations."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._num_batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        return iter(self.batches().ravel().tolist())

    @property
    def num_moments(self) -> int:
        """Number of moments in a batch."""
        return self.batch_size // self.subjects_per_time

    def batches(self) -> np.ndarray:
        """Return the rows of each batch of this epoch, (batches, batch_size), grouped by moment."""
        return self._rows[self._deal_batches()]

    def describe(self) -> str:
        """Describe the rows and an average batch of this epoch in a few lines."""
        size, moments = self.subjects_per_time, self.num_moments
        # A sample of batches suffices for averages: an epoch can have many thousands
        keys = self._keys[self._deal_batches()[:100, ::size]]  # (batches, moments)
        stimuli, seconds = self._key_stimuli[keys], self._key_seconds[keys]
        is_near = np.abs(seconds[:, :, None] - seconds[:, None]) < self.guard_seconds - SAME_SECOND
        is_near &= stimuli[:, :, None] == stimuli[:, None]  # each moment is near itself
        # Each unordered pair of near moments excludes size * size pairs of windows
        excluded = (is_near.sum() / len(keys) - moments) / 2 * size**2
        positives = moments * size * (size - 1) / 2
        negatives = moments * (moments - 1) / 2 * size**2 - excluded
        counts = self._num_subjects
        return (
            f"{len(counts)} moments of {len(set(self._key_stimuli))} stimuli, with {counts.min()} to "
            f"{counts.max()} subjects each, median {np.median(counts):g}\n"
            f"{self._num_batches} batches an epoch, each of {moments} moments with {size} subjects\n"
            f"pairs in an average batch: {positives:g} positive, {negatives:g} negative, "
            f"{excluded:g} excluded\n"
            f"{self.num_rows - len(self)} of {self.num_rows} rows left out of an epoch, "
            f"{self.num_rows - len(self._rows)} of them for want of a stimulus"
        )

    def _read(
        self,
        stimuli: Sequence[str | None],
        seconds: Sequence[float | None] | None,
        subjects: Sequence[str],
    ) -> None:
        """Number the subjects and the moments of all rows that have a moment."""
        starts = np.zeros(len(stimuli)) if seconds is None else np.array(seconds, float)  # None becomes NaN
        if not len(stimuli) == len(starts) == len(subjects):
            raise ValueError(
                "pairs: expected one stimulus, second and subject a row, got "
                f"{len(stimuli)}, {len(starts)} and {len(subjects)}"
            )
        is_known = np.array([name is not None for name in stimuli], bool) & np.isfinite(starts)
        self._rows = np.flatnonzero(is_known)
        if not len(self._rows):
            raise ValueError(
                f"pairs: none of {len(stimuli)} rows has a stimulus with its second; check the columns"
            )
        # Moments and subjects as numbers: keys and subjects are (rows with a moment,)
        rows = self._rows.tolist()
        names = np.array([str(stimuli[row]) for row in rows])
        self._subjects = np.unique([str(subjects[row]) for row in rows], return_inverse=True)[1]
        self._keys, firsts = _number_moments(np.unique(names, return_inverse=True)[1], starts[is_known])
        self._key_stimuli, self._key_seconds = names[firsts], starts[is_known][firsts]
        # Repeated windows of a subject at one moment count once
        pairs = np.unique(np.stack([self._keys, self._subjects]), axis=1)
        self._num_subjects = np.bincount(pairs[0])

    def _check(self) -> None:
        """Raise a ValueError if the rows hold no positive or no negative."""
        if len(self._num_subjects) < 2:
            raise ValueError(
                f"pairs: all rows are of one moment ({self._key_stimuli[0]!r}), so there is no negative; add "
                "another stimulus or second"
            )
        if len(set(self._subjects)) < 2:
            raise ValueError("pairs: all rows are of one subject, so there is no positive; add subjects")
        if self._num_subjects.max() < self.subjects_per_time:
            raise ValueError(
                f"pairs: no moment has subjects_per_time={self.subjects_per_time} subjects, the best has "
                f"{self._num_subjects.max()}: a positive is another subject at the same second; cut the "
                "windows of all subjects on one grid"
            )

    def _plan(self, has_clock: bool) -> None:
        """Choose the subjects per moment, and which moments may share a batch."""
        # Preferably all moments of a batch are negatives of each other; otherwise any moments may meet
        plans = [(self.subjects_per_time, self.guard_seconds), (self.subjects_per_time, 0.0)]
        if not has_clock:
            # With few conditions, more subjects of each fill the batch: as many conditions as divide it
            most = min(len(self._num_subjects), self.num_moments)
            plans = [(self.batch_size // n, 0.0) for n in range(most, 1, -1) if self.batch_size % n == 0]
        for self.subjects_per_time, guard in plans:
            self._colours = self._colour(guard)
            self._num_batches = len(self._deal_batches())
            if self._num_batches:
                break
        else:
            found = np.sum(self._num_subjects >= self.subjects_per_time)
            raise ValueError(
                f"pairs: no batch of {self.batch_size} rows can be filled with {self.subjects_per_time} "
                f"subjects at each of {self.num_moments} moments: {found} moments have as many (the best has "
                f"{self._num_subjects.max()}); change batch_size (of all processes) or subjects_per_time"
            )
        if has_clock and guard < self.guard_seconds:
            logger.warning(
                f"pairs: too few moments are {self.guard_seconds:g} s apart to fill a batch of "
                f"{self.batch_size} rows, so nearer moments share batches, although they are no negatives"
            )

    def _colour(self, guard: float) -> np.ndarray:
        """Return a colour for each key; keys of one colour are `guard` seconds apart or of other stimuli.

        If at most n keys start within the guard, every n-th key of a stimulus is far enough from the last.
        """
        usable = np.flatnonzero(self._num_subjects >= self.subjects_per_time)
        stimuli = np.unique(self._key_stimuli[usable], return_inverse=True)[1]
        seconds = self._key_seconds[usable]
        line = seconds + stimuli * (np.ptp(self._key_seconds) + guard + 1)  # stimuli one after another
        within = np.searchsorted(line, line + guard - SAME_SECOND) - np.arange(len(usable))
        colours = np.zeros(len(self._num_subjects), int)
        colours[usable] = np.arange(len(usable)) % max(within.max(initial=1), 1)
        return colours

    def _deal_batches(self) -> np.ndarray:
        """Return the batches of this epoch as positions in `_rows` (batches, batch_size)."""
        random = np.random.default_rng([self.seed, self.epoch])
        # First the rows of each moment into groups of different subjects, then groups into batches
        groups = _deal(self._keys, self._subjects, self.subjects_per_time, random)
        keys = self._keys[groups[:, 0]]
        batches = _deal(self._colours[keys], keys, self.num_moments, random)
        batches = random.permuted(random.permutation(batches), axis=1)
        return groups[batches].reshape(-1, self.batch_size)


def _number_moments(stimuli: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the moments; return the moment of each row, and the first row of each moment."""
    order = np.lexsort((seconds, stimuli))
    firsts: list[int] = []
    counts = []
    last = (-1, 0.0)
    for row, stimulus, second in zip(order, stimuli[order].tolist(), seconds[order].tolist(), strict=True):
        if stimulus != last[0] or second - last[1] >= SAME_SECOND:
            last = (stimulus, second)
            firsts.append(row)
        counts.append(len(firsts) - 1)
    keys = np.empty(len(order), int)
    keys[order] = counts
    return keys, np.array(firsts)


def _deal(places: np.ndarray, owners: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Deal items into as many hands as possible, each of one place and `size` different owners.

    Args:
        places: Place of each item, numbers from 0.
        owners: Owner of each item, numbers from 0.
        size: Items in a hand.
        random: Decides which items meet and which are left over, not the number of hands.

    Returns:
        The items of each hand (hands, size).
    """
    if not len(places):
        return np.empty((0, size), int)
    # One code for each pair of place and owner, and the number of items of each pair
    codes = places * (owners.max() + 1) + owners
    pairs, pair, counts = np.unique(codes, return_inverse=True, return_counts=True)
    pair_places = pairs // (owners.max() + 1)
    # Lower the number of hands of each place until every owner can give each hand at most one item
    hands, before = np.bincount(places) // size, np.empty(0, int)
    while not np.array_equal(hands, before):
        before = hands
        hands = np.bincount(pair_places, np.minimum(counts, hands[pair_places])).astype(int) // size
    # Sort by place, then by owner in random order, then at random
    order = np.lexsort((random.random(len(places)), random.random(len(pairs))[pair], places))
    order = order[_count_up(pair[order]) < hands[places[order]]]
    # Deal the items of a place in turn to its hands, and leave over the last ones
    turns = _count_up(places[order])
    is_dealt = turns < size * hands[places[order]]
    order, turns = order[is_dealt], turns[is_dealt]
    hand = turns % hands[places[order]]  # neighbours, and so all items of an owner, go to different hands
    return order[np.lexsort((hand, places[order]))].reshape(-1, size)


def _count_up(values: np.ndarray) -> np.ndarray:
    """Return the position of each element in its run of equal values."""
    starts = np.flatnonzero(np.diff(values, prepend=-1))
    return np.arange(len(values)) - np.repeat(starts, np.diff(starts, append=len(values)))
