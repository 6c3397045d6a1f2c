# SPDX-License-Identifier: Apache-2.0
"""Filters that know the past only, and change of rate without drift, for streams.

Both keep what they still need of the samples that went by, so that a stream cut into pieces gives what the
whole would have given.
"""

from functools import lru_cache
from typing import Literal

import numpy as np

from .filtering import anti_alias, ratio_of_rates

Phase = Literal["minimum", "linear"]


def minimum_phase(taps: np.ndarray) -> np.ndarray:
    """Return the filter with the same gain and the shortest delay.

    Args:
        taps: Coefficients of a symmetric filter, odd in number.

    Returns:
        As many coefficients, by the cepstrum of the gain (Oppenheim and Schafer, Discrete-Time Signal
        Processing, 2010, chapter 13); the gain differs by less than 1e-4.
    """
    return _minimum_phase(taps.tobytes()).copy() if len(taps) > 1 else taps.copy()


@lru_cache(maxsize=16)  # 0.1 s at 1000 Hz
def _minimum_phase(buffer: bytes) -> np.ndarray:
    # scipy.signal.minimum_phase keeps a zero at 0 Hz so deep that the cepstrum does not fit: 3e-3 of the
    # offset of an electrode would pass
    from scipy import fft

    taps = np.frombuffer(buffer)
    half = fft.next_fast_len(16 * len(taps))
    gains = np.abs(fft.fft(taps, 2 * half))
    cepstrum = fft.ifft(np.log(np.maximum(gains, 1e-5 * gains.max()))).real
    cepstrum[1:half] *= 2
    cepstrum[half + 1 :] = 0.0
    result: np.ndarray = fft.ifft(np.exp(fft.fft(cepstrum))).real[: len(taps)]
    return result


def group_delay(taps: np.ndarray, rate: float, frequency: float) -> float:
    """Return by how many seconds a filter delays the envelope of an oscillation of some frequency in Hz."""
    numbers = np.arange(len(taps))
    turns = np.exp(-2j * np.pi * frequency / rate * numbers)
    return float(((numbers * taps * turns).sum() / (taps * turns).sum()).real) / rate


def settling_samples(taps: np.ndarray, rest: float = 0.02) -> int:
    """Return after how many samples at most `rest` of a filter's weight (sum of |taps|) lies ahead."""
    ahead = np.abs(taps)[::-1].cumsum()[::-1]
    return int(np.count_nonzero(ahead > rest * ahead[0]))


class StreamFilter:
    """An FIR filter of several channels whose state is the samples it still needs.

    Args:
        taps: Coefficients.

    The first call continues the first sample into the past, so that an electrode's offset makes no step.
    """

    def __init__(self, taps: np.ndarray) -> None:
        self.taps = taps
        self._past: np.ndarray | None = None  # (channels, taps - 1)

    def reset(self) -> None:
        """Forget all samples."""
        self._past = None

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Filter the next samples, shape (channels, time), to as many."""
        from scipy import fft  # takes a second to import

        if len(self.taps) == 1:
            return samples * self.taps
        if self._past is None:
            self._past = np.repeat(samples[:, :1], len(self.taps) - 1, axis=1)
        joined = np.concatenate([self._past, samples], axis=1)
        self._past = joined[:, samples.shape[1] :]
        length = fft.next_fast_len(joined.shape[1], real=True)
        spectra = fft.rfft(joined, length)
        spectra *= _spectrum(self.taps.tobytes(), length)
        filtered: np.ndarray = fft.irfft(spectra, length)[:, len(self.taps) - 1 : joined.shape[1]]
        return filtered


@lru_cache(maxsize=16)
def _spectrum(taps: bytes, length: int) -> np.ndarray:
    from scipy import fft

    spectrum: np.ndarray = fft.rfft(np.frombuffer(taps), length)
    return spectrum


class StreamResampler:
    """Change of rate by the exact ratio of `filtering.resample`, with its linear-phase filter.

    Sample n of the result lies at the time n / rate of the stream however long it runs: positions are whole
    numbers, never sums of rounded steps.

    Args:
        file_rate: Rate of the stream in Hz.
        rate: Rate of the result in Hz.
        delay: Samples of the stream by which what is passed lags behind its time.
    """

    def __init__(self, file_rate: float, rate: float, delay: int = 0) -> None:
        self.up, self.down = (1, 1) if file_rate == rate else ratio_of_rates(file_rate, rate)
        self.delay = delay
        self._weights = _phases(self.up, self.down)  # (phases, 2 reach + 1)
        self._reach = self._weights.shape[1] // 2
        self.reset()

    @property
    def lookahead(self) -> int:
        """Samples of the stream after its own time that a sample of the result needs."""
        return self._reach + self.delay

    def needed(self, number: int) -> int:
        """Return how many samples of the stream the first `number` samples of the result need."""
        return (number - 1) * self.down // self.up + self.lookahead + 1 if number > 0 else 0

    def reset(self) -> None:
        """Start again."""
        self._held: np.ndarray | None = None  # (channels, time)
        self._first = -self._reach  # place of the first held sample in the stream
        self._num_given = 0

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Take the next samples, shape (channels, time), and return those that are complete now."""
        past = self._held
        if past is None:  # before the stream, as if it had always been like its first sample
            past = np.repeat(samples[:, :1], self._reach, axis=1)
        held = np.concatenate([past, samples], axis=1)
        end = self._first + held.shape[1]
        # The last sample whose place k satisfies k + lookahead < end
        last = -(-(end - self.lookahead) * self.up // self.down) - 1
        numbers = np.arange(self._num_given, max(self._num_given, last + 1), dtype=np.int64)
        places, phases = np.divmod(numbers * self.down, self.up)
        starts = places + self.delay - self._reach - self._first
        index = starts[:, None] + np.arange(self._weights.shape[1])  # (new samples, 2 reach + 1)
        result: np.ndarray = np.einsum("cmk,mk->cm", held[:, index], self._weights[phases])
        self._num_given += len(numbers)
        keep = self._num_given * self.down // self.up + self.delay - self._reach
        passed = min(max(keep - self._first, 0), held.shape[1])
        self._held = held[:, passed:]
        self._first += passed
        return result


@lru_cache(maxsize=8)
def _phases(up: int, down: int) -> np.ndarray:
    """Return the anti-alias filter as weights of the samples around each phase, (up, 2 reach + 1)."""
    if up == down:
        return np.ones((1, 1))
    taps = up * anti_alias(up, down)
    half = len(taps) // 2
    reach = -(-half // up)
    index = half + np.arange(up)[:, None] - up * (np.arange(2 * reach + 1) - reach)
    return np.where((index >= 0) & (index <= 2 * half), taps[np.clip(index, 0, 2 * half)], 0.0)


__all__ = [
    "Phase",
    "StreamFilter",
    "StreamResampler",
    "group_delay",
    "minimum_phase",
    "settling_samples",
]
