# SPDX-License-Identifier: Apache-2.0
"""Bands of windows of one length, as `scipy.signal.sosfiltfilt` filters them, without filtering each window.

A recursive filter run forwards and backwards is a circular convolution of the window and what its two ends
add: at each end, a filter of `s` sections knows what is outside by `2 s` numbers. So the filtered window is
`K x + E (R x)`, where K multiplies a Fourier transform by a gain, and E and R' have `4 s` columns. By
Parseval's theorem, covariances need the Fourier transform of a window once for all bands, and no filtered
signal. Nothing is approximated: the result is scipy's to 1e-11 of its size.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from scipy import fft, signal

Edges = tuple[float, float]

_ORDER = 4
_SMALLEST_GAIN = 1e-9
"""Frequencies that pass less are left out of a band: 1e-18 of their power."""
_SMALLEST_END = 1e-13
"""Share of the largest singular value below which what the ends add holds rounding errors."""
_BATCH_SIZE = 16
"""Windows at a time: their transform of 19 x 1000 samples stays in the cache of a core."""


class ZeroPhaseBand:
    """A Butterworth filter run forwards and backwards over windows of one length.

    Args:
        sections: (sections, 6), second-order sections as scipy gives them, of a band-pass.
        num_samples: Samples of a window.

    Raises:
        ValueError: If windows are too short for the filter's padding.
    """

    def __init__(self, sections: np.ndarray, num_samples: int) -> None:
        frequencies = 2 * np.pi * np.arange(num_samples // 2 + 1) / num_samples
        gain = np.abs(signal.sosfreqz(sections, frequencies)[1]) ** 2  # (frequencies,)
        # What the ends add to a few random windows spans what they add to any
        random = np.random.default_rng(0).normal(size=(4 * len(sections) + 8, num_samples))
        added = signal.sosfiltfilt(sections, random) - _convolve(random, gain)
        _, sizes, directions = np.linalg.svd(added, full_matrices=False)
        ends = directions[sizes > _SMALLEST_END * sizes[0]]
        inside = np.flatnonzero(gain > _SMALLEST_GAIN)
        self.bins = slice(2 * inside[0], 2 * inside[-1] + 2)  # of real and imaginary parts in turn
        self.gain = np.repeat(gain, 2)[self.bins]
        # Each frequency stands for two: 0 and half of the rate, which do not, are outside of a band
        self.weight = self.gain * np.sqrt(2) / num_samples
        self.ends = ends  # E', (rank, time)
        self.reads = (_filter_transposed(sections, ends) - _convolve(ends, gain)).T  # R', (time, rank)
        # x' (K + E R)' (K + E R) x = |K x|^2 + 2 x' (K E + R' / 2) R x, as the columns of E are orthonormal
        self.mixed = (_convolve(ends, gain).T + self.reads / 2) / num_samples  # (time, rank)
        self.average = _filter_transposed(sections, np.full((1, num_samples), 1 / num_samples))[0]  # (time,)

    def moments(self, windows: np.ndarray, spectra: np.ndarray) -> np.ndarray:
        """Return the mean product of each pair of filtered channels, (windows, channels, channels).

        Args:
            windows: (windows, channels, time) in float64.
            spectra: (windows, channels, 2 * frequencies), interleaved real and imaginary parts.
        """
        inside = spectra[..., self.bins] * self.weight
        added = (windows @ self.mixed) @ (windows @ self.reads).swapaxes(1, 2)
        moments: np.ndarray = inside @ inside.swapaxes(1, 2) + added + added.swapaxes(1, 2)
        return moments


def zero_phase_bands(
    bands_hz: Sequence[Edges], sampling_rate: float, num_samples: int
) -> list[ZeroPhaseBand]:
    """Return the filter of each band for windows of one length; those of the last lengths are kept.

    Args:
        bands_hz: Lower and upper edge of each band in Hz.
        sampling_rate: In Hz.
        num_samples: Samples of a window.

    Raises:
        ValueError: If windows are too short for the filter's padding.
    """
    return [_band(float(low), float(high), sampling_rate, num_samples) for low, high in bands_hz]


@lru_cache(maxsize=64)
def _band(low: float, high: float, sampling_rate: float, num_samples: int) -> ZeroPhaseBand:
    # 5 ms for 1000 samples: pays from ten windows of 19 channels on, and at once where it is kept
    sections = signal.butter(_ORDER, (low, high), "bandpass", fs=sampling_rate, output="sos")
    return ZeroPhaseBand(sections, num_samples)


def band_moments(bands: Sequence[ZeroPhaseBand], windows: np.ndarray, is_centred: bool = False) -> np.ndarray:
    """Return the mean products of filtered channels, (windows, bands, channels, channels).

    Args:
        bands: See `zero_phase_bands`.
        windows: (windows, channels, time).
        is_centred: Return covariances: subtract the mean of each filtered channel first.
    """
    num_windows, num_channels, _ = windows.shape
    moments = np.empty((num_windows, len(bands), num_channels, num_channels))
    for rows, values, spectra in _transform(windows):
        for index, band in enumerate(bands):
            moments[rows, index] = band.moments(values, spectra)
            if is_centred:
                means = values @ band.average  # (windows, channels)
                moments[rows, index] -= means[:, :, None] * means[:, None, :]
    return moments


def mix_bands(bands: Sequence[ZeroPhaseBand], windows: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Return the sum over bands of a matrix times the filtered windows, (windows, channels, time) float32.

    Args:
        bands: See `zero_phase_bands`.
        windows: (windows, channels, time).
        matrices: (bands, channels, channels).
    """
    mixed = np.empty(windows.shape, np.float32)
    for rows, values, spectra in _transform(windows):
        inside, added = np.zeros_like(spectra), np.zeros_like(values)
        for band, matrix in zip(bands, matrices, strict=True):
            inside[..., band.bins] += matrix @ (spectra[..., band.bins] * band.gain)
            added += matrix @ (values @ band.reads) @ band.ends
        mixed[rows] = fft.irfft(inside.view(np.complex128), values.shape[-1]) + added
    return mixed


def _transform(windows: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yield the rows of some windows, these in float64, and their Fourier transform as real numbers."""
    for start in range(0, len(windows), _BATCH_SIZE):
        rows = slice(start, start + _BATCH_SIZE)
        values = windows[rows].astype(np.float64)
        yield rows, values, fft.rfft(values).view(np.float64)


def _convolve(values: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Multiply the Fourier transform of (..., time) by a gain."""
    filtered: np.ndarray = fft.irfft(fft.rfft(values) * gain, values.shape[-1])
    return filtered


def _filter_transposed(sections: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return what sums of the output of `sosfiltfilt`, weighted by (..., time), read of its input."""
    taps = 2 * len(sections) + 1 - min((sections[:, 2] == 0).sum(), (sections[:, 5] == 0).sum())
    edge = 3 * int(taps)  # scipy's padding, by the signal turned about its first and last sample
    padded = np.pad(values, [(0, 0), (edge, edge)])
    steady, _ = signal.sosfilt(sections, np.zeros(padded.shape[-1]), zi=signal.sosfilt_zi(sections))
    for _ in range(2):
        turned = padded[..., ::-1]
        padded = signal.sosfilt(sections, padded)[..., ::-1].copy()
        # A pass starts in the steady state of its first sample
        padded[..., 0] += turned @ steady
    head, tail = padded[..., :edge], padded[..., -edge:]
    read = padded[..., edge:-edge].copy()
    read[..., 1 : edge + 1] -= head[..., ::-1]
    read[..., -edge - 1 : -1] -= tail[..., ::-1]
    read[..., 0] += 2 * head.sum(axis=-1)
    read[..., -1] += 2 * tail.sum(axis=-1)
    return read
