# SPDX-License-Identifier: Apache-2.0
"""Metrics of codecs: how well a signal comes back, how the codebook is used, and what the codes cost.

Of a reconstruction, each metric is computed for every channel of every window, over its real samples, and
then averaged over these channels, all counting the same: a loud channel does not hide a quiet one. Only
`pooled_mse` is over samples; it differs from `mse` where windows differ in length. What a channel does not
define, such as the correlation of one that is constant, is NaN there and left out of the mean.
"""

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage, signal

# Lower (included) and upper (excluded) edge in Hz
BANDS_HZ: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"delta": (0.5, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}
)
_SEGMENT_SECONDS = 2.0  # of Welch's spectrum: its bins are 0.5 Hz apart, so that delta begins on one
_MIN_BAND_SHARE = float(np.finfo(np.float32).eps) ** 2  # of a channel's power: below it is only rounding
_SSIM_SIGMA, _SSIM_RADIUS = 1.5, 5
_SSIM_K1, _SSIM_K2 = 0.01, 0.03
_BLOCK = 512  # channels at once: a corpus in float64 with all its intermediates would take gigabytes
_SOURCE_BITS = 16


class ReconstructionMetrics:
    """The metrics of [`reconstruction_metrics`], gathered batch by batch: a corpus need not be in memory.

    Example:
        >>> metrics = ReconstructionMetrics()
        >>> metrics.update([[0.0, 1.0, 0.0, -1.0]], [[0.0, 0.5, 0.0, -0.5]], sampling_rate=200)
        >>> metrics.compute()["nrmse_std"]
        0.5
    """

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._squared_error = 0.0
        self._num_samples = 0

    def update(
        self,
        original: ArrayLike,
        reconstruction: ArrayLike,
        sampling_rate: float,
        channel_mask: ArrayLike | None = None,
        attention_mask: ArrayLike | None = None,
    ) -> None:
        """Add windows. Batches may differ in rate, in channels and in length.

        Args:
            original: (windows, channels, time) or (windows, time), in any unit.
            reconstruction: As `original`.
            sampling_rate: Rate of the samples in Hz.
            channel_mask: (windows, channels), True where a channel is real; all are by default.
            attention_mask: (windows, time), True where a sample is real; all are by default. The real samples
                of a window are one stretch: neither a spectrum nor SSIM means anything across a gap.

        Raises:
            ValueError: If shapes do not agree, a real sample is not finite, the rate is not positive, or the
                real samples of a window are several stretches.
        """
        _check_positive("sampling_rate", sampling_rate)
        for truth, result in _real_channels(original, reconstruction, channel_mask, attention_mask):
            for start in range(0, len(truth), _BLOCK):
                rows = slice(start, start + _BLOCK)
                self._add(truth[rows].astype(float), result[rows].astype(float), sampling_rate)

    def compute(self) -> dict[str, float]:
        """Return the means over all channels of all windows so far.

        Raises:
            ValueError: If nothing was added, or nothing but padding.
        """
        if not self._num_samples:
            raise ValueError("expected at least one real sample, got none: is everything masked?")
        means = {
            name: self._sums[name] / count if count else math.nan for name, count in self._counts.items()
        }
        num_channels = self._counts["mse"]
        return {
            **means,
            "pooled_mse": self._squared_error / self._num_samples,
            "num_channels": num_channels,
            "num_undefined": num_channels - self._counts["correlation"],
        }

    def _add(self, original: np.ndarray, reconstruction: np.ndarray, sampling_rate: float) -> None:
        metrics = {
            **_sample_metrics(original, reconstruction),
            "ssim": _ssim(original, reconstruction),
            **_band_metrics(original, reconstruction, sampling_rate),
        }
        for name, values in metrics.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(np.nansum(values))
            self._counts[name] = self._counts.get(name, 0) + int(np.sum(~np.isnan(values)))
        self._squared_error += float(metrics["mse"].sum()) * original.shape[1]
        self._num_samples += original.size


def reconstruction_metrics(
    original: ArrayLike,
    reconstruction: ArrayLike,
    sampling_rate: float,
    channel_mask: ArrayLike | None = None,
    attention_mask: ArrayLike | None = None,
) -> dict[str, float]:
    """Compute how well EEG comes back from a codec, as means over the channels of all windows.

    Args:
        original: (windows, channels, time) or (windows, time), in any unit.
        reconstruction: As `original`.
        sampling_rate: Rate of the samples in Hz.
        channel_mask: (windows, channels), True where a channel is real; all are by default.
        attention_mask: (windows, time), True where a sample is real, one stretch; all are by default.

    Returns:
        - `mse`, `mae`, `rmse`: In the unit of the signal, squared for the first.
        - `nrmse_std`, `nrmse_range`: RMSE over the original's population standard deviation (1.0 for its
          mean), and over its maximum less its minimum.
        - `psnr`, `snr`: In dB, of the original's range and of its mean square against the mean squared error.
          The mean is part of that square: on signals with an offset SNR flatters. Infinite without an error.
        - `correlation`: Pearson's, where neither side is constant. A codec that answers difficult channels
          with a constant gains by it: see `num_undefined`.
        - `ssim`: Structural similarity along time, with the constants, the Gaussian window (11 samples, sd
          1.5) and the population covariance of [Wang et al., 2004](https://doi.org/10.1109/TIP.2003.819861);
          the dynamic range is that of the original. NaN where there are fewer than 11 samples.
        - `<band>_error`, `<band>_power_ratio`: Power of the error and of the reconstruction in the band, over
          the original's. An error of 1 with a ratio of 0 is a band that was smoothed away. NaN where the band
          is above the Nyquist frequency or narrower than the bins of a short window; undefined where the
          original has nothing in the band.
        - `pooled_mse`: Mean squared error over all samples.
        - `num_channels`: How many channels of windows were judged.
        - `num_undefined`: In how many of them the correlation is undefined.

    Raises:
        ValueError: If shapes do not agree, a real sample is not finite, nothing is real, the rate is not
            positive, or the real samples of a window are several stretches.
    """
    metrics = ReconstructionMetrics()
    metrics.update(original, reconstruction, sampling_rate, channel_mask, attention_mask)
    return metrics.compute()


def codebook_metrics(indices: ArrayLike, codebook_size: int) -> dict[str, float]:
    """Compute how much of a codebook is used.

    Args:
        indices: Codes, an array of any shape.
        codebook_size: How many codes there are.

    Returns:
        - `codebook_usage`: Share of the codes that occur.
        - `codebook_usage_reachable`: Share that as many uniform draws would be expected to hit. Few tokens
          cannot use many codes: compare with this, not with 1.
        - `codebook_entropy_bits`: Entropy of the codes that occur.
        - `codebook_perplexity`: 2 to the power of the entropy: so many codes, used equally, have the same.
        - `codebook_perplexity_share`: Perplexity over the size.
        - `num_tokens`: How many indices there are.

    Raises:
        ValueError: If there is no index, or one that is no code.
    """
    _check_positive("codebook_size", codebook_size)
    codes = np.ravel(np.asarray(indices))
    if not codes.size:
        raise ValueError("indices: expected at least one, got none")
    if codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= codebook_size:
        raise ValueError(
            f"indices: expected integers from 0 to {codebook_size - 1}, got {codes.dtype} from {codes.min()} "
            f"to {codes.max()}: are they of another codebook?"
        )
    counts = np.bincount(codes.astype(np.intp))
    shares = counts[counts > 0] / codes.size
    entropy = float(-np.sum(shares * np.log2(shares))) + 0.0  # a single code would have -0.0
    return {
        "codebook_usage": len(shares) / codebook_size,
        "codebook_usage_reachable": 1 - (1 - 1 / codebook_size) ** codes.size,
        "codebook_entropy_bits": entropy,
        "codebook_perplexity": 2**entropy,
        "codebook_perplexity_share": 2**entropy / codebook_size,
        "num_tokens": codes.size,
    }


def rate_metrics(
    bits_per_second: float, sampling_rate: float, side_bits_per_second: float = 0.0
) -> dict[str, float]:
    """Compute what the codes of one channel cost, against 16 bits a sample.

    Args:
        bits_per_second: Of the codes of one channel.
        sampling_rate: Rate of the samples in Hz.
        side_bits_per_second: Of what has to be stored beside them, such as a window's location and scale.

    Returns:
        `bits_per_second` and `side_bits_per_second` as given; `total_bits_per_second`, `bits_per_sample` and
        `compression_ratio` with both.

    Raises:
        ValueError: If a rate is not positive, or the bits beside the codes are negative.
    """
    _check_positive("bits_per_second", bits_per_second)
    _check_positive("sampling_rate", sampling_rate)
    if not (math.isfinite(side_bits_per_second) and side_bits_per_second >= 0):
        raise ValueError(f"side_bits_per_second: expected 0 or more, got {side_bits_per_second}")
    total = bits_per_second + side_bits_per_second
    return {
        "bits_per_second": bits_per_second,
        "side_bits_per_second": side_bits_per_second,
        "total_bits_per_second": total,
        "bits_per_sample": total / sampling_rate,
        "compression_ratio": _SOURCE_BITS * sampling_rate / total,
    }


def _check_positive(name: str, value: float | None) -> None:
    if value is None or np.ndim(value) or not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}: expected a positive number, got {value!r}")


def _real_channels(
    original: ArrayLike,
    reconstruction: ArrayLike,
    channel_mask: ArrayLike | None,
    attention_mask: ArrayLike | None,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (channels, time) of both without padding, together where windows have the same real samples."""
    truth, result = np.asarray(original), np.asarray(reconstruction)
    if truth.shape != result.shape or truth.ndim not in (2, 3):
        raise ValueError(
            "expected original and reconstruction both (windows, channels, time) or (windows, time), got "
            f"{truth.shape} and {result.shape}"
        )
    if truth.ndim == 2:
        truth, result = truth[:, None], result[:, None]
    is_channel = _mask("channel_mask", channel_mask, truth.shape[:2])
    is_sample = _mask("attention_mask", attention_mask, truth.shape[::2])
    is_real = is_channel[:, :, None] & is_sample[:, None]
    for name, values in (("original", truth), ("reconstruction", result)):
        num_bad = int(np.sum(~np.isfinite(values) & is_real))
        if num_bad:
            raise ValueError(f"{name}: expected finite numbers, got NaN or infinite in {num_bad} samples")
    stretches = _stretches(is_sample)
    for start, stop in np.unique(stretches[stretches[:, 1] > 0], axis=0):
        windows = (stretches == (start, stop)).all(axis=1)
        channels = is_channel[windows]
        yield truth[windows, :, start:stop][channels], result[windows, :, start:stop][channels]


def _mask(name: str, mask: ArrayLike | None, shape: tuple[int, ...]) -> np.ndarray:
    values = np.ones(shape, bool) if mask is None else np.asarray(mask)
    if values.shape != shape:
        raise ValueError(f"{name}: expected {shape}, got {values.shape}")
    return values.astype(bool)


def _stretches(is_sample: np.ndarray) -> np.ndarray:
    """Return (windows, 2): where the real samples of each start and stop, 0 and 0 if there are none."""
    edges = np.diff(np.pad(is_sample, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, stops = edges == 1, edges == -1
    torn = np.flatnonzero(starts.sum(axis=1) > 1)
    if torn.size:
        raise ValueError(
            f"attention_mask: expected one stretch of real samples, window {torn[0]} has several"
        )
    return np.stack([starts.argmax(axis=1), stops.argmax(axis=1)], axis=1)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide; NaN where there is nothing to divide by."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def _decibel(ratio: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # without an error it is infinite
        return -10 * np.log10(ratio)


def _deviation(rows: np.ndarray) -> np.ndarray:
    """Return the standard deviation, exactly 0 for a constant, of which std() leaves a rounding error."""
    return np.where(np.ptp(rows, axis=1) > 0, rows.std(axis=1), 0.0)


def _sample_metrics(original: np.ndarray, reconstruction: np.ndarray) -> dict[str, np.ndarray]:
    error = original - reconstruction  # (channels, time)
    mse = np.mean(error**2, axis=1)
    spread, deviation = np.ptp(original, axis=1), _deviation(original)
    covariance = np.mean(
        (original - original.mean(axis=1, keepdims=True))
        * (reconstruction - reconstruction.mean(axis=1, keepdims=True)),
        axis=1,
    )
    return {
        "mse": mse,
        "mae": np.abs(error).mean(axis=1),
        "rmse": np.sqrt(mse),
        "nrmse_std": _ratio(np.sqrt(mse), deviation),
        "nrmse_range": _ratio(np.sqrt(mse), spread),
        "psnr": _decibel(_ratio(mse, spread**2)),
        "snr": _decibel(_ratio(mse, np.mean(original**2, axis=1))),
        "correlation": np.clip(_ratio(covariance, deviation * _deviation(reconstruction)), -1, 1),
    }


def _ssim(original: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    spread = np.ptp(original, axis=1, keepdims=True)
    spread = np.where(spread > 0, spread, np.nan)
    inside = slice(_SSIM_RADIUS, original.shape[1] - _SSIM_RADIUS)
    if inside.stop <= inside.start:
        return np.full(len(original), np.nan)

    def smooth(rows: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter1d(rows, _SSIM_SIGMA, axis=1, radius=_SSIM_RADIUS)[:, inside]

    mean, other_mean = smooth(original), smooth(reconstruction)
    variances = smooth(original**2) - mean**2 + smooth(reconstruction**2) - other_mean**2
    covariance = smooth(original * reconstruction) - mean * other_mean
    mean_constant, variance_constant = (_SSIM_K1 * spread) ** 2, (_SSIM_K2 * spread) ** 2
    luminance = (2 * mean * other_mean + mean_constant) / (mean**2 + other_mean**2 + mean_constant)
    structure = (2 * covariance + variance_constant) / (variances + variance_constant)
    return np.mean(luminance * structure, axis=1)  # eq. 13


def _band_metrics(
    original: np.ndarray, reconstruction: np.ndarray, sampling_rate: float
) -> dict[str, np.ndarray]:
    segment = max(1, min(round(_SEGMENT_SECONDS * sampling_rate), original.shape[1]))
    signals = np.stack([original, reconstruction, original - reconstruction])
    frequencies, spectra = signal.welch(signals, sampling_rate, nperseg=segment)  # (3, channels, frequencies)
    floor = _MIN_BAND_SHARE * spectra[0].sum(axis=1)
    metrics = {}
    for band, (low, high) in BANDS_HZ.items():
        inside = (frequencies >= low) & (frequencies < high)
        power, other_power, error = spectra[:, :, inside].sum(axis=2)
        power = np.where(power > floor, power, 0.0)
        metrics[f"{band}_error"] = _ratio(error, power)
        metrics[f"{band}_power_ratio"] = _ratio(other_power, power)
    return metrics
