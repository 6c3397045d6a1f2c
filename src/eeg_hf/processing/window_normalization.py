# SPDX-License-Identifier: Apache-2.0
"""The normalisation of windows in numpy, for streams and for machines without torch.

`EEGFeatureExtractor.normalize` is the same in torch, for batches on any device; a test holds both together.
"""

import math
from typing import Protocol

import numpy as np

from .window_scales import IQR_OF_NORMAL, MAX_QUANTILE_SAMPLES, MICROVOLT_SCALE, SMALLEST_SCALE


class ScaleSettings(Protocol):
    """The settings of a signal contract that decide how windows are scaled."""

    clip: float | None

    @property
    def normalization(self) -> str:
        """How location and scale are found."""

    @property
    def alignment(self) -> str:
        """Whether a subject's windows are whitened."""


def normalize_window(
    window_uv: np.ndarray,
    settings: ScaleSettings,
    is_good: np.ndarray,
    alignment_matrix: np.ndarray | None = None,
) -> np.ndarray:
    """Align, scale, clip and mask one window.

    Args:
        window_uv: Clean samples in uV, all real, float32, shape (channels, time).
        settings: Of the signal contract.
        is_good: False for channels that become zero, shape (channels,).
        alignment_matrix: Result of `covariance.whitening_matrix`, shape (channels, channels).

    Returns:
        Float32, shape (channels, time).

    Raises:
        ValueError: If the alignment lacks a matrix.
    """
    values = window_uv.astype(np.float32)
    if alignment_matrix is not None:
        values = alignment_matrix.astype(np.float32) @ values
    elif settings.alignment != "none":
        raise ValueError(f"alignment={settings.alignment!r} needs a reference_covariance")
    elif settings.normalization == "microvolt":
        values /= np.float32(MICROVOLT_SCALE)
    elif settings.normalization != "none":
        measure = _robust if settings.normalization == "robust" else _moments
        location, scale = measure(values)  # (channels, 1) each
        values = (values - location) * (1 / scale)  # as there
    if settings.clip is not None and (settings.alignment, settings.normalization) != ("none", "none"):
        np.clip(values, -settings.clip, settings.clip, out=values)
    values[~is_good] = 0.0
    return values


def _robust(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median and the interquartile range / 1.349 of each channel; see `normalization`."""
    ordered = np.sort(values[:, :: -(-values.shape[1] // MAX_QUANTILE_SAMPLES)], axis=1)
    last = ordered.shape[1] - 1
    lower, median, upper = (_between(ordered, last * quarter / 4) for quarter in (1, 2, 3))
    scale = (upper - lower) / np.float32(IQR_OF_NORMAL)
    return median, np.where(scale < SMALLEST_SCALE, _moments(values)[1], scale)


def _between(ordered: np.ndarray, rank: float) -> np.ndarray:
    """Interpolate between two neighbours in rank, as `torch.lerp` does; (channels, 1)."""
    below, above = ordered[:, [math.floor(rank)]], ordered[:, [math.ceil(rank)]]
    weight = np.float32(rank % 1)
    result: np.ndarray = (
        below + weight * (above - below) if weight < 0.5 else above - (above - below) * (1 - weight)
    )
    return result


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the standard deviation of each channel, 1 if it is constant."""
    deviation = values.std(axis=1, keepdims=True)
    return values.mean(axis=1, keepdims=True), np.where(deviation < SMALLEST_SCALE, np.float32(1), deviation)


__all__ = ["ScaleSettings", "normalize_window"]
