# SPDX-License-Identifier: Apache-2.0
"""The channels of a recording as they were recorded, and what is measured on them before they are cleaned.

A recording that fits into memory is held (`HeldChannels`). A longer one is read once in blocks
(`StreamedChannels`), which keep what the rules of `signal_quality` need: extremes, deviations, and the evenly
spread pieces that those rules look at anyway. Both give the rules the same numbers, so that the decisions
about a recording do not depend on its length.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .signal_quality import clipped_share, evenly_spread, swings

Block = np.ndarray
"""Consecutive samples of all channels in V, (channels, time)."""


class RecordedChannels(ABC):
    """Channels by name; all samples are in V."""

    names: Sequence[str]
    rate: float
    num_samples: int

    @abstractmethod
    def scale(self, factor: float) -> None:
        """Multiply all samples."""

    @abstractmethod
    def deviation(self, name: str) -> float:
        """Return the standard deviation; NaN or infinite if any sample is not finite."""

    @abstractmethod
    def extremes(self, name: str) -> tuple[float, float]:
        """Return the smallest and the largest sample."""

    @abstractmethod
    def clipped(self, name: str) -> float:
        """Return `clipped_share`."""

    @abstractmethod
    def swings(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return highest and lowest sample of each piece of a second, (channels, pieces) each."""

    @abstractmethod
    def spread(self, names: Sequence[str], seconds: float, most: int) -> dict[str, np.ndarray]:
        """Return samples of channels that hold `most` evenly spread pieces of some seconds."""

    @abstractmethod
    def moving_seconds(self, names: Sequence[str]) -> list[np.ndarray]:
        """Return samples on which `measure_amplitude` finds the amplitude of the recording."""

    def is_zero(self, name: str) -> bool:
        """Return whether all samples are zero."""
        return self.extremes(name) == (0.0, 0.0)

    def peak(self, name: str) -> float:
        """Return the largest |x|."""
        low, high = self.extremes(name)
        return max(high, -low)

    def is_moving(self, name: str) -> bool:
        """Return whether all samples are finite and not all are equal."""
        low, high = self.extremes(name)
        return bool(np.isfinite([low, high]).all()) and high > low


class HeldChannels(RecordedChannels):
    """Channels in memory.

    Args:
        rows: Name -> samples, shape (time,), which are views of one array.
        samples: That array.
        rate: Rate in Hz.
    """

    def __init__(self, rows: Mapping[str, np.ndarray], samples: np.ndarray, rate: float) -> None:
        self.rows, self.samples, self.rate = rows, samples, rate
        self.names, self.num_samples = list(rows), samples.shape[1]
        self._swings: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def scale(self, factor: float) -> None:
        """Multiply all samples, in place."""
        self.samples *= factor
        self._swings.clear()

    def deviation(self, name: str) -> float:
        """Return the standard deviation."""
        with np.errstate(invalid="ignore", over="ignore"):
            row = self.rows[name]
            return float(np.sqrt(_sum_of_squares(row - row.mean()) / len(row)))

    def extremes(self, name: str) -> tuple[float, float]:
        """Return the smallest and the largest sample."""
        highest, lowest = self._swings_of(name)
        return float(lowest.min()), float(highest.max())

    def clipped(self, name: str) -> float:
        """Return `clipped_share`."""
        return clipped_share(self.rows[name], self.extremes(name))

    def swings(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return highest and lowest sample of each piece of a second."""
        if not names:
            return swings([], self.rate)
        highest, lowest = zip(*map(self._swings_of, names), strict=True)
        return np.stack(highest), np.stack(lowest)

    def _swings_of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        if name not in self._swings:
            highest, lowest = swings([self.rows[name]], self.rate)
            self._swings[name] = highest[0], lowest[0]
        return self._swings[name]

    def spread(self, names: Sequence[str], seconds: float, most: int) -> dict[str, np.ndarray]:
        """Return all samples, among which the rules choose their pieces."""
        return {name: self.rows[name] for name in names}

    def moving_seconds(self, names: Sequence[str]) -> list[np.ndarray]:
        """Return all samples."""
        return [self.rows[name] for name in names]


@dataclass
class _Pieces:
    """Evenly spread pieces of a recording, filled in as it passes."""

    starts: np.ndarray
    samples: np.ndarray  # (channels, pieces, length)

    def take(self, block: Block, first: int) -> None:
        """Copy what the block that starts at sample `first` holds of each piece."""
        length = self.samples.shape[-1]
        for piece, start in enumerate(self.starts):
            begin, end = max(start, first), min(start + length, first + block.shape[1])
            if begin < end:
                self.samples[:, piece, begin - start : end - start] = block[:, begin - first : end - first]


@dataclass
class _Runs:
    """The runs in which one channel holds its greatest value so far."""

    extreme: float = -np.inf
    count: int = 0
    open_run: int = 0

    def take(self, row: np.ndarray) -> None:
        """Count the runs of three or more in further samples."""
        largest = row.max()
        if largest > self.extreme:
            self.extreme, self.count, self.open_run = largest, 0, 0
        places = np.flatnonzero(row == self.extreme)
        if not len(places) or places[0] > 0:
            self._close()
        if not len(places):
            return
        breaks = np.flatnonzero(np.diff(places) > 1)
        firsts, lasts = np.r_[places[0], places[breaks + 1]], np.r_[places[breaks], places[-1]]
        for first, last in zip(firsts, lasts, strict=True):
            self.open_run += int(last - first + 1)
            if last < len(row) - 1:
                self._close()

    def _close(self) -> None:
        self.count += self.open_run if self.open_run >= 3 else 0
        self.open_run = 0

    def total(self) -> int:
        """Return the number of samples in runs of three or more, 0 for runs of zeros."""
        return self.count + (self.open_run if self.open_run >= 3 else 0) if self.extreme else 0


# Seconds and number of the pieces that the rules of `signal_quality` look at: all, and those that judge noise
_PIECES, _PIECES_OF_NOISE = ((2, 15),), ((2, 60), (20, 15))


@dataclass
class StreamedChannels(RecordedChannels):
    """Channels that were read once, in blocks.

    Args:
        names: The channels.
        rate: Rate in Hz.
        num_samples: Samples of each.
        read: The recording, for seconds that are not among the kept ones.
        judges_noise: Whether pieces are kept by which units, noisy channels and drifts are judged: 100 MB.
    """

    names: Sequence[str]
    rate: float
    num_samples: int
    read: "object" = None
    judges_noise: bool = True
    _rows: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        count, rate = len(self.names), self.rate
        self._rows = {name: row for row, name in enumerate(self.names)}
        self._factor = 1.0
        self._seen = 0
        self._mean, self._squares = np.zeros(count), np.zeros(count)
        self._runs = [(_Runs(), _Runs()) for _ in range(count)]
        self._low, self._high = np.full(count, np.inf), np.full(count, -np.inf)
        seconds = -(-self.num_samples // self.piece)
        self._lowest, self._highest = np.zeros((count, seconds)), np.zeros((count, seconds))
        self.head = np.zeros((count, min(round(60 * rate), self.num_samples)))  # the first minute
        kept = (*_PIECES, *(_PIECES_OF_NOISE if self.judges_noise else ()))
        lengths = {(s, most): round(s * rate) for s, most in kept}
        lengths[1, 10] = max(round(rate), 2)
        self._pieces = {
            key: _Pieces(starts, np.zeros((count, len(starts), length)))
            for key, length in lengths.items()
            for starts in [evenly_spread(self.num_samples, length, key[1])]
        }

    @property
    def piece(self) -> int:
        """Samples of a second; blocks must hold a whole number of them."""
        return max(round(self.rate), 1)

    def take(self, block: Block) -> None:
        """Measure the next samples, a whole number of seconds but for the last."""
        first, size = self._seen, block.shape[1]
        self._seen += size
        with np.errstate(invalid="ignore", over="ignore"):
            mean = block.mean(axis=1)
            squares = np.array(
                [_sum_of_squares(row - middle) for row, middle in zip(block, mean, strict=True)]
            )
            away = mean - self._mean
            self._mean = self._mean + away * (size / self._seen)
            self._squares = self._squares + squares + away**2 * (first * size / self._seen)
            highest, lowest = swings(block, self.rate)
        seconds = slice(first // self.piece, first // self.piece + highest.shape[1])
        self._highest[:, seconds], self._lowest[:, seconds] = highest, lowest
        self._high = np.maximum(self._high, highest.max(axis=1))
        self._low = np.minimum(self._low, lowest.min(axis=1))
        for row, (above, below) in zip(block, self._runs, strict=True):
            above.take(row)
            below.take(-row)
        for pieces in self._pieces.values():
            pieces.take(block, first)
        if first < self.head.shape[1]:
            self.head[:, first : first + size] = block[:, : self.head.shape[1] - first]

    def scale(self, factor: float) -> None:
        """Multiply all samples."""
        self._factor *= factor
        self.head *= factor
        for pieces in self._pieces.values():
            pieces.samples *= factor

    def deviation(self, name: str) -> float:
        """Return the standard deviation."""
        return float(np.sqrt(self._squares[self._rows[name]] / self.num_samples)) * self._factor

    def extremes(self, name: str) -> tuple[float, float]:
        """Return the smallest and the largest sample."""
        row = self._rows[name]
        return float(self._low[row]) * self._factor, float(self._high[row]) * self._factor

    def clipped(self, name: str) -> float:
        """Return `clipped_share`."""
        return sum(runs.total() for runs in self._runs[self._rows[name]]) / self.num_samples

    def swings(self, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return highest and lowest sample of each piece of a second."""
        rows = [self._rows[name] for name in names]
        return self._highest[rows] * self._factor, self._lowest[rows] * self._factor

    def spread(self, names: Sequence[str], seconds: float, most: int) -> dict[str, np.ndarray]:
        """Return the pieces end to end."""
        samples = self._pieces[int(seconds), most].samples
        return {name: samples[self._rows[name]].reshape(-1) for name in names}

    def all_pieces(self, seconds: float, most: int) -> np.ndarray:
        """Return the pieces of all channels end to end, (channels, time)."""
        samples: np.ndarray = self._pieces[int(seconds), most].samples
        return samples.reshape(len(samples), -1)

    def moving_seconds(self, names: Sequence[str]) -> list[np.ndarray]:
        """Return ten seconds end to end in which a channel moves, if there are that many."""
        rows = [self._rows[name] for name in names]
        pieces = self._pieces[1, 10]
        samples = pieces.samples[rows]
        length = samples.shape[-1]
        if not np.ptp(samples, axis=-1).any(axis=0).all() and length == self.piece:
            highest, lowest = self.swings(names)
            whole = self.num_samples // length
            found = np.flatnonzero((highest > lowest)[:, :whole].any(axis=0))
            if len(found):
                starts = found[np.linspace(0, len(found) - 1, num=min(10, len(found))).astype(int)] * length
                samples = np.stack([self._read_second(start, length)[rows] for start in starts], axis=1)
        return list(samples.reshape(len(rows), -1))

    def _read_second(self, start: int, length: int) -> np.ndarray:
        read = self.read
        assert callable(read)
        second: np.ndarray = read(start, start + length) * self._factor
        return second


def _sum_of_squares(samples: np.ndarray) -> float:
    return float(samples @ samples)


def measure(
    names: Sequence[str],
    rate: float,
    num_samples: int,
    blocks: Iterable[Block],
    read: object,
    judges_noise: bool = True,
) -> StreamedChannels:
    """Measure the channels of a recording that passes in blocks.

    Args:
        names: The channels.
        rate: Rate in Hz.
        num_samples: Samples of each.
        blocks: All samples in V, in blocks of whole seconds.
        read: Function of first sample and sample after the last, for seconds that have to be read again.
        judges_noise: See `StreamedChannels`.
    """
    channels = StreamedChannels(names, rate, num_samples, read, judges_noise)
    for block in blocks:
        channels.take(block)
    return channels


def ranges(num_samples: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield first sample and sample after the last of consecutive blocks."""
    for start in range(0, num_samples, length):
        yield start, min(start + length, num_samples)
