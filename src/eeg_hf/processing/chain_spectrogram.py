# SPDX-License-Identifier: Apache-2.0
"""Spectrograms of chains of electrodes, on the grid of those that came with HMS.

HMS's files have four regions, 100 frequencies from 0.59 to 19.92 Hz and a column every 2 s. That is a Fourier
transform of 1024 samples at 200 Hz without its first three bins: 3 x 200 / 1024 = 0.586 Hz. How
long HMS's own windows were, their taper and their unit are not stated with the files; here they are 1024
samples, Hann, in uV^2 / Hz. So the grid equals theirs, and the values may differ by a factor and a blur.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import signal

CHAINS: Mapping[str, tuple[str, ...]] = {
    "LL": ("Fp1", "F7", "T7", "P7", "O1"),
    "RL": ("Fp2", "F8", "T8", "P8", "O2"),
    "LP": ("Fp1", "F3", "C3", "P3", "O1"),
    "RP": ("Fp2", "F4", "C4", "P4", "O2"),
}
"""Electrodes of the left and right lateral and parasagittal chains, in the order of HMS's regions."""
_FORMER = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
_RATE, _SIZE, _STEP_SECONDS = 200, 1024, 2
_BINS = slice(3, 103)


def chain_spectrogram(
    eeg_uv: np.ndarray, channel_names: Sequence[str], sampling_rate: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean spectrogram of the bipolar derivations of each chain.

    Args:
        eeg_uv: (channels, time) in microvolts, finite.
        channel_names: One a channel; old names (T3) are understood.
        sampling_rate: In Hz; other than 200 is resampled.

    Returns:
        Power (4 chains, 100 frequencies, times) in uV^2 / Hz, float32; the frequencies in Hz; and the times
        in seconds, the middle of each column, 2 s apart.

    Raises:
        ValueError: If an electrode is missing, a sample is not finite, or the stretch is shorter than a
            window of 5.12 s.

    Example:
        >>> names = sorted({name for chain in CHAINS.values() for name in chain})
        >>> power, frequencies, times = chain_spectrogram(np.random.randn(len(names), 10_000), names, 200)
        >>> power.shape, [round(float(frequencies[index]), 2) for index in (0, -1)]
        ((4, 100, 23), [0.59, 19.92])
    """
    eeg = np.asarray(eeg_uv, float)
    if eeg.ndim != 2 or len(eeg) != len(channel_names):
        raise ValueError(f"expected EEG ({len(channel_names)} channels, time), got {eeg.shape}")
    if not np.isfinite(eeg).all():
        raise ValueError("eeg_uv: expected finite samples, got NaN or infinity: fill gaps first")
    rows = {_FORMER.get(name, name): row for row, name in enumerate(channel_names)}
    absent = sorted({name for chain in CHAINS.values() for name in chain} - set(rows))
    if absent:
        raise ValueError(f"channel_names: the chains need {', '.join(absent)} too")
    if sampling_rate != _RATE:
        eeg = signal.resample_poly(eeg, _RATE, round(sampling_rate), axis=1)
    if eeg.shape[1] < _SIZE:
        raise ValueError(f"expected {_SIZE / _RATE:g} s or more, got {eeg.shape[1] / _RATE:g} s")
    power = []
    for chain in CHAINS.values():
        pairs = zip(chain[:-1], chain[1:], strict=True)
        differences = np.stack([eeg[rows[first]] - eeg[rows[second]] for first, second in pairs])
        frequencies, times, each = signal.spectrogram(
            differences, _RATE, "hann", _SIZE, _SIZE - _RATE * _STEP_SECONDS, detrend="constant"
        )
        power.append(each.mean(axis=0)[_BINS])
    return np.stack(power).astype(np.float32), frequencies[_BINS], times


def spectrogram_image(power: np.ndarray, floor: float = 1e-4, ceiling: float = 1e8) -> np.ndarray:
    """Return a spectrogram as the input of an image network: its logarithm, standardised, NaN as the mean.

    Args:
        power: (chains, frequencies, times), in any unit; also that of HMS's files.
        floor: Smaller power counts as this much.
        ceiling: Larger power counts as this much.

    Returns:
        (chains, frequencies, times) float32.
    """
    image = np.log(np.clip(power, floor, ceiling))
    mean, deviation = np.nanmean(image), np.nanstd(image)
    return np.nan_to_num((image - mean) / (deviation + 1e-6)).astype(np.float32)
