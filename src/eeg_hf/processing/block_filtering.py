# SPDX-License-Identifier: Apache-2.0
"""Filters applied by FFTs of overlapping blocks, and the rate changed in the same pass.

The spectrum of a block times the gains of filter and anti-alias filter, folded at the new rate, is the
spectrum of the filtered and resampled block: one FFT forward, and one back that is as short as the result.
Many blocks in one FFT call take half the time of MNE's loop over blocks, single precision half of double.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .filtering import LARGEST_RATIO, Span, anti_alias, ratio_of_rates, resample

_BYTES_AT_ONCE = 2**20  # of blocks in one FFT call: they stay in the cache
_LANES = 4  # transforms that vector instructions do at once
_LONGEST_BLOCK, _MOST_TRIED = 2**15, 16
_MOST_IMAGES = 2  # of the spectrum, which are folded: with more, a matrix product is faster
_PERIODS = 10  # half the length of `anti_alias`, in samples of the lower rate


def precision_for(filters: Sequence[np.ndarray]) -> type[np.floating]:
    """Return the precision that filters need: single where the first of them removes offsets.

    What drifts of a millivolt lose is 1e-4 uV. With the offset of an amplifier of 100 mV, that is 0.01 uV.
    """
    return np.float32 if filters and _removes_offsets(filters[0]) else np.float64


def _removes_offsets(taps: np.ndarray) -> bool:
    return bool(abs(taps.sum()) < 1e-9)


def apply_fir(
    data: np.ndarray,
    taps: np.ndarray,
    spans: Sequence[Span],
    precision: type[np.floating] = np.float64,
) -> None:
    """Filter each channel in place, without delay; each span is continued by its mirror image at both ends.

    Args:
        data: Samples, shape (channels, time), float64 or float32.
        taps: Coefficients of a symmetric filter, odd in number.
        spans: Stretches that are filtered separately, so that nothing leaks across a gap.
        precision: That of the convolution; single takes half the time of double.
    """
    for start, stop in spans:
        part = data[:, start:stop]
        for rows, filtered in _convolve(part, taps, 1, 1, precision):
            part[rows] = filtered


def filter_and_resample(
    data: np.ndarray,
    filters: Sequence[np.ndarray],
    spans: Sequence[Span],
    file_rate: float,
    rate: float,
    precision: type[np.floating] = np.float64,
) -> np.ndarray:
    """Apply filters one after another and change the rate, which the last filter does where it can.

    Args:
        data: Samples, shape (channels, time), float64 or float32; they may be changed.
        filters: Symmetric filters.
        spans: Stretches that are filtered separately.
        file_rate: Rate of the samples in Hz.
        rate: Rate of the result in Hz.
        precision: That of the arithmetic, and of the result if its rate is another one.

    Returns:
        Samples at that rate, shape (channels, new_time).
    """
    up, down = ratio_of_rates(file_rate, rate)
    num_samples = data.shape[1]
    joins_last = (
        up != down
        and up <= _MOST_IMAGES
        and down <= LARGEST_RATIO
        and list(spans) == [(0, num_samples)]
        and bool(filters)
        and num_samples > 2 * (len(filters[-1]) + 2 * _reach(up, down) + down)
    )
    for taps in filters[:-1] if joins_last else filters:
        apply_fir(data, taps, spans, precision)
    if not joins_last:
        return data if up == down else resample(data, file_rate, rate, precision)
    resampled = np.zeros((len(data), -(-num_samples * up // down)), precision)
    for rows, filtered in _convolve(data, filters[-1], up, down, precision):
        resampled[rows] = filtered
    _mend_ends(resampled, data, filters[-1], up, down)
    return resampled


def _reach(up: int, down: int) -> int:
    """Return how many samples the anti-alias filter looks to either side, rounded up."""
    return 0 if up == down else _PERIODS * max(up, down) // up + 1


@dataclass(frozen=True)
class _Fold:
    """What one stretch of a block's spectrum adds to the spectrum of the result."""

    target: slice
    source: slice  # backwards where the spectrum is mirrored
    is_mirrored: bool
    gains: np.ndarray


@dataclass(frozen=True)
class _Blocks:
    """How a signal is cut into overlapping blocks: in samples of the signal."""

    number: int
    length: int
    lead: int  # what a block begins before its first result

    @property
    def step(self) -> int:
        return self.length - 2 * self.lead


@lru_cache(maxsize=64)
def _cut_into(num_samples: int, half: int, multiple: int) -> _Blocks:
    """Find the blocks that cost least, whose lengths are multiples of a number."""
    from scipy import fft  # takes a second to import

    lead = -(-half // multiple) * multiple
    best, least = None, math.inf
    fewest = -(-num_samples // max(_LONGEST_BLOCK, 4 * lead))
    for number in range(fewest, fewest + _MOST_TRIED):
        step = -(-num_samples // number)
        length = 2 * multiple * fft.next_fast_len(-(-(step + 2 * lead) // (2 * multiple)), real=True)
        cost = number * length * math.log2(length)
        if cost < least:
            best, least = _Blocks(-(-num_samples // (length - 2 * lead)), length, lead), cost
    assert best is not None
    return best


def _convolve(
    data: np.ndarray, taps: np.ndarray, up: int, down: int, precision: type[np.floating]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield channels that are not zero, and what they become, (channels, new_time), by overlap-save."""
    from scipy import fft

    num_samples, half = data.shape[1], len(taps) // 2
    blocks = _cut_into(num_samples, half + _reach(up, down), down)
    folds = _folds(taps.tobytes(), blocks.length, up, down, np.dtype(precision))
    new_length, first = blocks.length * up // down, blocks.lead * up // down
    new_step, new_samples = blocks.step * up // down, -(-num_samples * up // down)
    at_once = _BYTES_AT_ONCE // (blocks.number * blocks.length * precision().itemsize)
    at_once = max(at_once // _LANES, 1) * _LANES
    # Of a signal that is shorter than its mirror images, offsets end with these
    is_offset_free = _removes_offsets(taps) and half < num_samples
    live = np.flatnonzero(data.any(axis=1))  # masked channels stay zero
    for start in range(0, len(live), at_once):
        rows = live[start : start + at_once]
        padded = _padded([data[row] for row in rows], blocks, half, precision, is_offset_free)
        # (channels, blocks, length)
        views = np.lib.stride_tricks.sliding_window_view(padded, blocks.length, axis=-1)[:, :: blocks.step]
        spectra = _folded(fft.rfft(views), folds, new_length // 2 + 1)
        results = fft.irfft(spectra, new_length, overwrite_x=True)[..., first : first + new_step]
        yield rows, results.reshape(len(rows), -1)[:, :new_samples]


def _padded(
    channels: Sequence[np.ndarray],
    blocks: _Blocks,
    half: int,
    precision: type[np.floating],
    is_offset_free: bool,
) -> np.ndarray:
    """Continue the signal by its odd mirror image as far as the filter looks, as in MNE, then by zeros."""
    num_samples = len(channels[0])
    padded = np.zeros((len(channels), blocks.number * blocks.step + 2 * blocks.lead), precision)
    signal = padded[:, blocks.lead : blocks.lead + num_samples]
    for row, samples in zip(signal, channels, strict=True):
        # Beside the offset of an amplifier, single precision would keep too little of the signal
        offset = samples[0] if is_offset_free else 0.0
        np.subtract(samples, offset, out=row, casting="same_kind")
    reach = min(half, num_samples - 1)  # beyond the mirror image of short recordings are zeros, as in MNE
    before = padded[:, blocks.lead - reach : blocks.lead]
    np.subtract(2 * signal[:, :1], signal[:, reach:0:-1], out=before)
    after = padded[:, blocks.lead + num_samples :][:, :reach]
    np.subtract(2 * signal[:, -1:], signal[:, -2 : -reach - 2 : -1], out=after)
    return padded


def _folded(spectra: np.ndarray, folds: Sequence[_Fold], size: int) -> np.ndarray:
    """Multiply spectra of blocks (..., frequencies) by the gains, and fold them to `size` frequencies."""
    if len(folds) == 1:
        spectra *= folds[0].gains
        return spectra
    result = np.zeros((*spectra.shape[:-1], size), spectra.dtype)
    for fold in folds:
        part = spectra[..., fold.source] * fold.gains
        result[..., fold.target] += np.conjugate(part, out=part) if fold.is_mirrored else part
    return result


@lru_cache(maxsize=16)
def _folds(taps_bytes: bytes, length: int, up: int, down: int, precision: np.dtype) -> list[_Fold]:
    """Return how the spectrum of a block of an even length becomes that of the filtered, resampled block."""
    from scipy import fft

    taps = np.frombuffer(taps_bytes)
    half = len(taps) // 2
    centred = np.zeros(length)
    centred[: half + 1], centred[-half:] = taps[half:], taps[:half]
    response = fft.rfft(centred).real  # of a symmetric filter
    if up == down:
        return [_Fold(slice(None), slice(None), False, response.astype(precision))]
    nyquist, end = length // 2, length * up // down // 2
    anti_aliasing = _anti_alias_gains(up, down, length)
    least = np.finfo(precision).eps
    folds = []
    # Frequency k of the result holds those of the signal with zeros between its samples: k + n times its rate
    for n in range(-(down // 2), down - down // 2):
        offset, edges = 2 * n * end, [0, end + 1]
        edges += [m * nyquist - offset for m in range(-up, up + 1) if 0 < m * nyquist - offset <= end]
        edges.sort()
        for first, last in zip(edges, edges[1:], strict=False):
            places = offset + np.arange(first, last)
            # Within the spectrum of the signal, which repeats with its rate and is symmetric
            within = places % length
            sources = np.where(within > nyquist, length - within, within)
            gains = response[sources] * anti_aliasing[np.abs(places)] / down
            kept = np.flatnonzero(np.abs(gains) > least)
            if not len(kept):
                continue
            first_kept, last_kept = kept[0], kept[-1] + 1
            sources = sources[first_kept:last_kept]
            is_backwards = len(sources) > 1 and sources[1] < sources[0]
            stop = int(sources[-1]) + (-1 if is_backwards else 1)
            source = slice(int(sources[0]), None if stop < 0 else stop, -1 if is_backwards else 1)
            target = slice(first + int(first_kept), first + int(last_kept))
            is_mirrored = bool((within[first_kept:last_kept] > nyquist).any())
            folds.append(_Fold(target, source, is_mirrored, gains[first_kept:last_kept].astype(precision)))
    return folds


@lru_cache(maxsize=8)
def _anti_alias_gains(up: int, down: int, length: int) -> np.ndarray:
    """Return the gains of `anti_alias` at all frequencies of a block with zeros between its samples."""
    from scipy import fft

    taps, size = up * anti_alias(up, down), length * up
    half = len(taps) // 2
    centred = np.zeros(size)
    centred[: half + 1], centred[-half:] = taps[half:], taps[:half]
    gains: np.ndarray = fft.rfft(centred).real
    return gains


def _mend_ends(resampled: np.ndarray, data: np.ndarray, taps: np.ndarray, up: int, down: int) -> None:
    """Resample both ends as if the filtered signal went on as its even mirror image, as `resample` does."""
    reach, half, (num_channels, num_samples) = _reach(up, down), len(taps) // 2, data.shape
    start = (num_samples - 2 * reach - down) // down * down  # where a sample of the result lies too
    size, num_wrong = num_samples - start, -(-reach * up // down)
    ends = np.concatenate([data[:, : size + half], data[:, start - half :]])
    apply_fir(ends, taps, [(0, size + half)], resampled.dtype.type)
    first, last = ends[:num_channels, :size], ends[num_channels:, half:]
    mended = resample(np.concatenate([first, last]), down, up, resampled.dtype.type)
    resampled[:, :num_wrong] = mended[:num_channels, :num_wrong]
    resampled[:, start * up // down + num_wrong :] = mended[num_channels:, num_wrong:]


__all__ = ["apply_fir", "filter_and_resample", "precision_for"]
