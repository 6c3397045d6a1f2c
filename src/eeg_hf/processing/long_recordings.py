# SPDX-License-Identifier: Apache-2.0
"""Recordings that do not fit into memory: read, cleaned and stored in blocks.

A filter only looks as far as half its length, so a block cleaned together with a margin is what the whole
would have given, to rounding. The clean signal is a temporary file of single precision in microvolts, which
is what windows and models get; it is deleted with the last recording that reads from it.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .block_filtering import filter_and_resample, precision_for
from .channel_selection import FoundChannel
from .filtering import Span, ratio_of_rates
from .recorded_channels import ranges

if TYPE_CHECKING:
    import mne

LARGEST_HELD_BYTES = 2**28
"""Size in memory (double precision) above which a recording is cleaned in blocks."""

_BLOCK_SAMPLES = 2**21  # of all channels together: 16 MB, of which some copies are made
_STRETCH_SAMPLES = 2**18
_UV = 1e6


def is_long(num_channels: int, num_samples: int) -> bool:
    """Return whether a recording is cleaned in blocks."""
    return 8 * num_channels * num_samples > LARGEST_HELD_BYTES


@dataclass
class Stretches:
    """A recording's channels in volts, read as stretches.

    Attributes:
        raw: The recording.
        names: Canonical names of the channels.
        picks: Their places in the recording.
        scale: Factor of the samples.
        lost: Stretches in which no channel has a sample (NaN), found while reading; they read as zeros.
    """

    raw: "mne.io.BaseRaw"
    names: list[str]
    picks: list[int]
    scale: float = 1.0
    lost: list[Span] = field(default_factory=list)

    @classmethod
    def of(
        cls, raw: "mne.io.BaseRaw", found: Mapping[str, FoundChannel], names: list[str], scale: float
    ) -> "Stretches":
        """Describe the channels of a recording that are needed."""
        return cls(raw, names, [found[name].pick for name in names], scale)

    @property
    def rate(self) -> float:
        """Rate in Hz."""
        return float(self.raw.info["sfreq"])

    @property
    def num_samples(self) -> int:
        """Samples of each channel."""
        return int(self.raw.n_times)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return samples in V, (channels, stop - start)."""
        data: np.ndarray = self.raw.get_data(picks=self.picks, start=start, stop=stop, verbose="ERROR")
        if self.scale != 1.0:
            data *= self.scale
        if np.isnan(data[0]).any():
            is_lost = np.isnan(data).all(axis=0)
            edges = np.flatnonzero(np.diff(np.r_[False, is_lost, False]))
            found = [(start + int(a), start + int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
            self.lost = _joined([*self.lost, *found])
            data[:, is_lost] = 0.0
        return data

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all samples in blocks of whole seconds."""
        second = max(round(self.rate), 1)
        length = max(1, _BLOCK_SAMPLES // len(self.names) // second) * second
        for start, stop in ranges(self.num_samples, length):
            yield self.read(start, stop)


def _joined(spans: list[Span]) -> list[Span]:
    """Join spans that touch or overlap."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


class StoredSignal:
    """A clean signal in a temporary file, one channel after another.

    Args:
        num_channels: Number of channels.
        num_samples: Samples of each.

    Attributes:
        shape: Both.
        peaks_uv: Largest |x| of each channel in microvolts, (channels,).
        path: The file.
    """

    def __init__(self, num_channels: int, num_samples: int) -> None:
        self.shape = (num_channels, num_samples)
        needed, free = 4 * num_channels * num_samples, shutil.disk_usage(tempfile.gettempdir()).free
        if needed > free:
            raise OSError(
                f"a clean recording of {needed / 2**30:.1f} GiB does not fit into {tempfile.gettempdir()},"
                f" which has {free / 2**30:.1f} GiB: set TMPDIR to a folder with more space"
            )
        self.peaks_uv = np.zeros(num_channels, np.float32)
        handle, name = tempfile.mkstemp(prefix="eeg_hf-", suffix=".f32")
        os.close(handle)
        self.path = Path(name)
        weakref.finalize(self, _delete, self.path, os.getpid())

    def __deepcopy__(self, memo: dict[int, object]) -> "StoredSignal":
        return self  # a copy of a recording reads the same file

    def __len__(self) -> int:
        return self.shape[0]

    def stretches(self, channel: int, piece: int) -> Iterator[np.ndarray]:
        """Yield a channel in V, (time,), in stretches of whole pieces; what is left belongs to the last."""
        num_samples = self.shape[1]
        length = max(1, _STRETCH_SAMPLES // piece) * piece
        starts = range(0, max(num_samples - length, 0) + 1, length)
        for start, stop in zip(starts, [*starts[1:], num_samples], strict=True):
            yield self.read([channel], start, stop)[0]

    def write(self, start: int, samples: np.ndarray) -> None:
        """Write consecutive samples in V, (channels, time), from sample `start` on."""
        with self.path.open("r+b") as file:
            for channel, row in enumerate(samples):
                row_uv = (row * _UV).astype("<f4")
                self.peaks_uv[channel] = np.maximum(self.peaks_uv[channel], np.abs(row_uv).max())
                file.seek(4 * (channel * self.shape[1] + start))
                file.write(row_uv)

    def read_uv(self, start: int, stop: int) -> np.ndarray:
        """Return samples of all channels in microvolts, float32, (channels, stop - start)."""
        result = np.empty((len(self), stop - start), "<f4")
        with self.path.open("rb") as file:
            for channel, row in enumerate(result):
                file.seek(4 * (channel * self.shape[1] + start))
                file.readinto(row.data)
        return result

    def read(self, channels: Sequence[int], start: int, stop: int) -> np.ndarray:
        """Return samples in V, (channels, stop - start)."""
        result = np.empty((len(channels), stop - start))
        with self.path.open("rb") as file:
            for row, channel in zip(result, channels, strict=True):
                file.seek(4 * (channel * self.shape[1] + start))
                row[:] = np.frombuffer(file.read(4 * (stop - start)), "<f4")
        result /= _UV
        return result

    def as_recording(self, info: "mne.Info", first_samp: int = 0) -> "mne.io.BaseRaw":
        """Return the signal as a recording that reads from the file."""
        from .stored_recording import StoredRecording

        return StoredRecording(self, info, first_samp)


def _delete(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker drops its copy while the parent still reads
        path.unlink(missing_ok=True)


def clean_in_blocks(
    source: Stretches,
    treat: Callable[[np.ndarray, Sequence[str]], np.ndarray],
    filters: Sequence[np.ndarray],
    spans: Sequence[Span],
    num_channels: int,
    rate: float,
) -> StoredSignal:
    """Clean a recording in blocks; the result differs from that of the whole by rounding.

    Args:
        source: The recording.
        treat: Function from samples and names of the recorded channels to the wanted channels.
        filters: Symmetric filters, applied one after another.
        spans: Stretches that are filtered separately.
        num_channels: Number of wanted channels.
        rate: Rate of the result in Hz.

    Returns:
        The clean signal.
    """
    up, down = ratio_of_rates(source.rate, rate)
    # How far a sample of the result looks, in samples of the recording
    reach = 1 + sum(len(taps) // 2 for taps in filters) + (10 * max(up, down) // up if up != down else 0)
    margin = -(-reach // down) * down
    length = max(_BLOCK_SAMPLES // len(source.names), 4 * margin) // down * down or down
    stored = StoredSignal(num_channels, -(-source.num_samples * up // down))
    for start, stop in ranges(source.num_samples, length):
        begin, end = max(0, start - margin), min(source.num_samples, stop + margin)
        data = treat(source.read(begin, end), source.names)
        inside = [(max(a, begin) - begin, min(b, end) - begin) for a, b in spans if a < end and b > begin]
        data = filter_and_resample(data, filters, inside, source.rate, rate, precision_for(filters))
        first, offset = start * up // down, begin * up // down
        last = -(-stop * up // down) if stop == source.num_samples else stop * up // down
        stored.write(first, data[:, first - offset : last - offset])
    return stored


__all__ = ["LARGEST_HELD_BYTES", "StoredSignal", "Stretches", "clean_in_blocks", "is_long"]
