# SPDX-License-Identifier: Apache-2.0
"""Canonical correlations with the sines of each stimulus: the classical method for steady-state responses.

Lin et al. 2006 (https://doi.org/10.1109/TBME.2006.886577); with a bank of filters that keep more and more of
the harmonics, Chen et al. 2015 (https://doi.org/10.1088/1741-2560/12/4/046008).
"""

from collections.abc import Sequence

import numpy as np
from scipy import signal
from sklearn.base import BaseEstimator, TransformerMixin

_SMALLEST = 1e-6  # of the largest singular value: directions that an average reference leaves empty


class StimulusCorrelations(TransformerMixin, BaseEstimator):
    """The largest canonical correlation of each window with the sines and cosines of each stimulus.

    Args:
        sampling_rate: Rate of the windows in Hz.
        stimulus_hz: Frequency of each stimulus in Hz.
        num_harmonics: Multiples of each frequency, as far as the rate holds them.
        num_bands: Filters of the bank, the n-th from n times the lowest stimulus on; 1 filters nothing.

    Raises:
        ValueError: If a frequency is not above 0 and below half of the rate.

    Example:
        >>> seconds = np.arange(400) / 200
        >>> windows_uv = np.sin(2 * np.pi * 12 * seconds) * np.ones((2, 3, 1))
        >>> StimulusCorrelations(200, [10, 12]).fit_transform(windows_uv)[0].round(1)
        array([0., 1.])
    """

    def __init__(
        self,
        sampling_rate: float,
        stimulus_hz: Sequence[float],
        num_harmonics: int = 3,
        num_bands: int = 1,
    ) -> None:
        self.sampling_rate = sampling_rate
        self.stimulus_hz = stimulus_hz
        self.num_harmonics = num_harmonics
        self.num_bands = num_bands

    def fit(self, windows_uv: np.ndarray, labels: np.ndarray | None = None) -> "StimulusCorrelations":
        """Check the frequencies; nothing is learned."""
        wrong = [value for value in self.stimulus_hz if not 0 < value < self.sampling_rate / 2]
        if wrong or not len(self.stimulus_hz):
            raise ValueError(
                f"stimulus_hz: expected frequencies above 0 and below {self.sampling_rate / 2:g} Hz, got "
                f"{list(self.stimulus_hz)}"
            )
        return self

    def transform(self, windows_uv: np.ndarray) -> np.ndarray:
        """Return (windows, bands * stimuli), between 0 and 1."""
        references = [self._sines(value, np.shape(windows_uv)[-1]) for value in self.stimulus_hz]
        return np.concatenate(
            [
                np.stack([_correlate(basis, sines) for sines in references], axis=1)
                for basis in map(_orthonormal, self._bands(windows_uv))
            ],
            axis=1,
        )

    def _bands(self, windows_uv: np.ndarray) -> list[np.ndarray]:
        highest = 0.45 * self.sampling_rate
        starts = [number * min(self.stimulus_hz) for number in range(1, self.num_bands + 1)]
        if self.num_bands == 1:
            return [np.asarray(windows_uv, np.float64)]
        filters = [
            signal.butter(4, (max(start - 1, 0.5), highest), "bandpass", fs=self.sampling_rate, output="sos")
            for start in starts
            if start < highest - 2
        ]
        return [signal.sosfiltfilt(sections, windows_uv, axis=-1) for sections in filters]

    def _sines(self, frequency: float, num_samples: int) -> np.ndarray:
        """Return orthonormal sines and cosines (time, columns) of a stimulus and its harmonics."""
        seconds = np.arange(num_samples) / self.sampling_rate
        kept = [n for n in range(1, self.num_harmonics + 1) if n * frequency < self.sampling_rate / 2]
        phases = [2 * np.pi * number * frequency * seconds for number in kept]
        waves = np.stack([wave(phase) for phase in phases for wave in (np.sin, np.cos)])
        return _orthonormal(waves[None])[0]


def _orthonormal(signals: np.ndarray) -> np.ndarray:
    """Return orthonormal columns (windows, time, channels) that span the channels; empty ones are 0."""
    centred = signals - signals.mean(axis=-1, keepdims=True)
    _, values, rows = np.linalg.svd(centred, full_matrices=False)
    return (rows * (values > _SMALLEST * values[:, :1])[..., None]).swapaxes(1, 2)


def _correlate(basis: np.ndarray, sines: np.ndarray) -> np.ndarray:
    """Return the largest canonical correlation of each window, (windows,)."""
    return np.linalg.svd(basis.swapaxes(1, 2) @ sines, compute_uv=False)[:, 0]
