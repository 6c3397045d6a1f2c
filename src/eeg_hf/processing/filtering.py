# SPDX-License-Identifier: Apache-2.0
"""Filters for continuous signals, designed as MNE designs them, and the change of the rate.

The design is written out because machines that only run exported models lack MNE. `block_filtering` applies
the filters. The results agree with MNE's `Raw.filter` and `Raw.notch_filter` and with
`scipy.signal.resample_poly` to rounding.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np

Span = tuple[int, int]
"""First sample of a stretch without gaps, and the sample after its last."""

_MOST_TAPS = 10_000_000  # a filter of an hour at 2.8 kHz
_LEAST_NOTCH_HZ = 5.0
_LARGEST_TERM = 50_000  # of a ratio of rates; in these terms, it is right to 4e-10
LARGEST_RATIO = 640
"""Term of a ratio of rates above which a matrix that resamples takes more than 10 MB."""


def check_filters(
    file_rate: float,
    sampling_rate: float,
    highpass_hz: float | None,
    lowpass_hz: float | None,
    notch_hz: float | str | None,
) -> None:
    """Refuse filters that the rate of the file or of the result does not allow.

    Args:
        file_rate: Rate of the recording in Hz.
        sampling_rate: Rate of the result in Hz.
        highpass_hz: Lower edge of the pass band in Hz.
        lowpass_hz: Upper edge of the pass band in Hz.
        notch_hz: Line frequency in Hz, `"auto"` or `None`.

    Raises:
        ValueError: If a filter is impossible; names the rate, the filter and what to do.
    """
    if highpass_hz is not None and lowpass_hz is not None and highpass_hz >= lowpass_hz:
        raise ValueError(f"highpass_hz must be below lowpass_hz, got {highpass_hz} and {lowpass_hz} Hz")
    _refuse_endless(file_rate, sampling_rate, highpass_hz, lowpass_hz, notch_hz)
    filters = {"highpass_hz": highpass_hz, "lowpass_hz": lowpass_hz, "notch_hz": notch_hz}
    for name, frequency in filters.items():
        if frequency is None or isinstance(frequency, str):
            continue
        if frequency <= 0:
            raise ValueError(f"{name} must be positive or None, got {frequency}")
        if frequency >= file_rate / 2:
            raise ValueError(
                f"{name}={frequency:g} Hz is at or above the Nyquist frequency of this recording"
                f" ({file_rate:g} Hz / 2 = {file_rate / 2:g} Hz): lower it, or set {name}=None"
            )
    if lowpass_hz is not None and lowpass_hz >= sampling_rate / 2:
        raise ValueError(
            f"lowpass_hz={lowpass_hz:g} Hz is at or above the Nyquist frequency of the result"
            f" ({sampling_rate:g} Hz / 2 = {sampling_rate / 2:g} Hz): lower it, raise sampling_rate, or set"
            " lowpass_hz=None"
        )


def _refuse_endless(
    file_rate: float,
    sampling_rate: float,
    highpass_hz: float | None,
    lowpass_hz: float | None,
    notch_hz: float | str | None,
) -> None:
    """Refuse filters longer than any recording: their length is 3.3 / width of the transition."""
    rate = file_rate if math.isfinite(file_rate) else sampling_rate
    edges = [("highpass_hz", highpass_hz, highpass_hz or 0.0)]
    if lowpass_hz is not None and math.isfinite(file_rate):
        edges.append(("lowpass_hz", lowpass_hz, file_rate / 2 - lowpass_hz))
    for name, frequency, width in edges:
        if 0 < width < 3.3 * rate / _MOST_TAPS:
            raise ValueError(
                f"{name}={frequency:g} Hz needs a filter of {3.3 * rate / width:.3g} samples at {rate:g} Hz, "
                f"expected at most {_MOST_TAPS}: choose another frequency, or {name}=None"
            )
    if isinstance(notch_hz, (int, float)) and 0 < notch_hz < _LEAST_NOTCH_HZ:
        raise ValueError(
            f"notch_hz={notch_hz:g} Hz and its multiples are no line noise, expected at least "
            f"{_LEAST_NOTCH_HZ:g} Hz"
        )


def design_band_pass(rate: float, highpass_hz: float | None, lowpass_hz: float | None) -> np.ndarray:
    """Design the filter of `mne.io.Raw.filter`: a zero-phase FIR with a Hamming window.

    Args:
        rate: Sampling rate in Hz.
        highpass_hz: Lower edge of the pass band in Hz, `None` for no high-pass.
        lowpass_hz: Upper edge of the pass band in Hz, `None` for no low-pass.

    Returns:
        Coefficients, odd in number, shape (num_taps,).
    """
    edges = []
    if lowpass_hz is not None:
        width = min(max(0.25 * lowpass_hz, 2.0), rate / 2 - lowpass_hz)
        edges.append((lowpass_hz + width / 2, width, 1.0))
    if highpass_hz is not None:
        width = min(max(0.25 * highpass_hz, 2.0), highpass_hz)
        edges.append((highpass_hz - width / 2, width, -1.0))
    return _sum_of_low_passes(rate, tuple(edges), passes_all=lowpass_hz is None)


def design_notch(rate: float, frequencies: Sequence[float]) -> np.ndarray:
    """Design the filter of `mne.io.Raw.notch_filter`.

    Args:
        rate: Sampling rate in Hz.
        frequencies: Frequencies to remove, in Hz; each notch is 1/200 of its frequency wide, with a
            transition of 1 Hz.

    Returns:
        Coefficients, odd in number, shape (num_taps,).
    """
    edges = [
        (frequency + sign * (frequency / 400 + 0.25), 0.5, -sign)
        for frequency in frequencies
        for sign in (1.0, -1.0)
    ]
    return _sum_of_low_passes(rate, tuple(edges), passes_all=True)


@lru_cache(maxsize=32)  # 7 ms each; all recordings of a corpus share a few
def _sum_of_low_passes(
    rate: float, edges: tuple[tuple[float, float, float], ...], passes_all: bool
) -> np.ndarray:
    """Add low-passes with a Hamming window, whose length is 3.3 / width of the transition, as MNE does.

    Args:
        rate: Sampling rate in Hz.
        edges: Middle and width of the transition of each low-pass in Hz, and its sign.
        passes_all: Whether the sum starts from a filter that changes nothing.
    """
    from scipy import signal

    lengths = [round(3.3 * rate / width) // 2 * 2 + 1 for _, width, _ in edges]
    taps = np.zeros(max(lengths, default=1))
    middle = len(taps) // 2
    taps[middle] = float(passes_all)
    for (frequency, _, sign), length in zip(edges, lengths, strict=True):
        half = length // 2
        taps[middle - half : middle + half + 1] += sign * signal.firwin(length, frequency, fs=rate)
    taps.flags.writeable = False  # callers share the cached array
    return taps


def gain(taps: np.ndarray, frequencies: np.ndarray, rate: float) -> np.ndarray:
    """Compute the gain of a filter at some frequencies.

    Args:
        taps: Coefficients of a filter.
        frequencies: In Hz, shape (num_frequencies,).
        rate: Sampling rate in Hz.

    Returns:
        Amplitude out over amplitude in, shape (num_frequencies,).
    """
    from scipy import signal

    return np.abs(signal.freqz(taps, worN=frequencies, fs=rate)[1])


def window_filter(rate: float, num_samples: int, filters: Sequence[np.ndarray]) -> np.ndarray:
    """Return the matrix that filters a window as if it went on mirrored at both ends, without an end.

    For windows shorter than a filter. A cosine transform of the window has the gain of the filters at each of
    its frequencies; of a window shorter than half a period of the lower edge, only the mean is removed.

    Args:
        rate: Sampling rate in Hz.
        num_samples: Length of the windows.
        filters: Coefficients of each filter.

    Returns:
        float32, shape (num_samples, num_samples): `windows @ matrix`.
    """
    from scipy.fft import dct

    frequencies = np.arange(num_samples) * rate / (2 * num_samples)
    total = np.ones(num_samples)
    for taps in filters:
        total *= gain(taps, frequencies, rate)
    spectrum = dct(np.eye(num_samples), norm="ortho", axis=-1)  # (time, frequency)
    matrix: np.ndarray = (spectrum * total) @ spectrum.T
    return matrix.astype(np.float32)


def ratio_of_rates(file_rate: float, rate: float) -> tuple[int, int]:
    """Return the terms of `rate / file_rate`, exact but where they would be very large.

    Raises:
        ValueError: If the rates are too far apart.
    """
    ratio = Fraction(rate).limit_denominator(1000) / Fraction(file_rate).limit_denominator(1000)
    if max(ratio.numerator, ratio.denominator) > _LARGEST_TERM:  # else a filter of gigabytes
        ratio = ratio.limit_denominator(_LARGEST_TERM)
    up, down = ratio.numerator, ratio.denominator
    if max(up, down) > 20 * _LARGEST_TERM or not up:
        raise ValueError(f"cannot change the rate from {file_rate:g} to {rate:g} Hz: they are too far apart")
    return up, down


def resample(
    data: np.ndarray, file_rate: float, rate: float, precision: type[np.floating] = np.float64
) -> np.ndarray:
    """Change the rate by the exact ratio, with an anti-alias filter.

    NOTE: `Raw.resample` is not used: its polyphase method takes the ratio from the number of samples, so that
        a recording of prime length gets a filter as long as itself and a slightly different rate.

    Args:
        data: Samples, shape (channels, time).
        file_rate: Their rate in Hz.
        rate: Rate of the result in Hz.
        precision: That of the arithmetic and of the result.

    Returns:
        Samples at that rate, shape (channels, new_time).
    """
    up, down = ratio_of_rates(file_rate, rate)
    if max(up, down) > LARGEST_RATIO:
        from scipy import signal

        taps = anti_alias(up, down)
        slow: np.ndarray = signal.resample_poly(data, up, down, axis=-1, padtype="reflect", window=taps)
        return slow.astype(precision, copy=False)
    weights, reach, step = _polyphase_matrix(up, down)
    weights = weights.astype(precision)
    num_before, num_samples = data.shape[1], -(-data.shape[1] * up // down)
    num_frames = -(-num_samples // weights.shape[1])
    right = (num_frames - 1) * step + len(weights) - reach - num_before
    resampled = np.empty((len(data), num_samples), precision)
    padded = np.empty(reach + num_before + right, precision)
    frames = np.empty((num_frames, len(weights)), precision)
    overlapping = np.lib.stride_tricks.sliding_window_view(padded, len(weights))[::step]
    mirror = np.pad(np.arange(num_before), (reach, right), "reflect")
    # Each frame gives one stretch of the result by a matrix product
    for row, target in zip(data, resampled, strict=True):
        padded[reach : reach + num_before] = row
        padded[:reach], padded[reach + num_before :] = row[mirror[:reach]], row[mirror[reach + num_before :]]
        frames[:] = overlapping
        target[:] = (frames @ weights).reshape(-1)[:num_samples]
    return resampled


@lru_cache(maxsize=8)  # 0.1 s for 173.61 to 200 Hz, whose filter has 400,000 taps
def anti_alias(up: int, down: int) -> np.ndarray:
    """Design the filter of `scipy.signal.resample_poly`, for a gain of one."""
    from scipy import signal

    widest = max(up, down)
    taps: np.ndarray = signal.firwin(20 * widest + 1, 1 / widest, window=("kaiser", 5.0))
    return taps


@lru_cache(maxsize=8)
def _polyphase_matrix(up: int, down: int) -> tuple[np.ndarray, int, int]:
    """Return the filter of `scipy.signal.resample_poly` as a matrix from sample frames to resampled ones.

    A matrix product needs twice the multiplications but half of scipy's time.

    Returns:
        The matrix, shape (frame, resampled); the number of samples by which the frame starts before the first
        resampled one; and the number of samples between two frames.
    """
    taps = up * anti_alias(up, down)
    half = len(taps) // 2
    reach = half // up
    repeats = max(1, 2 * reach // down)  # as long as the overlap: the best trade of copies for products
    samples = np.arange(repeats * down + 2 * reach)[:, None] - reach
    index = half + down * np.arange(repeats * up) - up * samples
    weights = np.where((index >= 0) & (index <= 2 * half), taps[np.clip(index, 0, 2 * half)], 0.0)
    return weights, reach, repeats * down


__all__ = [
    "LARGEST_RATIO",
    "Span",
    "anti_alias",
    "check_filters",
    "design_band_pass",
    "design_notch",
    "gain",
    "ratio_of_rates",
    "resample",
]
