# SPDX-License-Identifier: Apache-2.0
"""Bands by Fourier transforms and what the ends add: as if each window had been filtered by scipy."""

import numpy as np
import pytest
from scipy import signal

from eeg_hf.evaluation.zero_phase_bands import band_moments, mix_bands, zero_phase_bands

RATE = 100.0
BANDS = [(1, 4), (8, 13), (30, 45)]


@pytest.fixture(params=[64, 200, 997, 1000], ids="{} samples".format)
def windows(request):
    """Drifting windows with an offset: their two ends differ by far more than a band holds."""
    random = np.random.default_rng(0)
    return 500 + random.normal(0, 5, (20, 4, request.param)).cumsum(axis=-1)


def filter_by_scipy(windows):
    """Return (windows, bands, channels, time)."""
    sections = [signal.butter(4, band, "bandpass", fs=RATE, output="sos") for band in BANDS]
    return np.stack([signal.sosfiltfilt(each, windows) for each in sections], axis=1)


@pytest.mark.parametrize("is_centred", [False, True])
def test_moments_are_those_of_filtered_windows(windows, is_centred):
    filtered = filter_by_scipy(windows)
    if is_centred:
        filtered -= filtered.mean(axis=-1, keepdims=True)
    expected = filtered @ filtered.mT / windows.shape[-1]
    found = band_moments(zero_phase_bands(BANDS, RATE, windows.shape[-1]), windows, is_centred)
    for band in range(len(BANDS)):
        np.testing.assert_allclose(found[:, band], expected[:, band], atol=1e-9 * expected[:, band].max())


def test_mixed_bands_are_the_sum_of_mixed_filtered_windows(windows):
    matrices = np.random.default_rng(1).normal(size=(len(BANDS), 4, 4))
    expected = (matrices @ filter_by_scipy(windows)).sum(axis=1)
    found = mix_bands(zero_phase_bands(BANDS, RATE, windows.shape[-1]), windows, matrices)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_what_is_flat_stays_flat():
    windows = np.full((2, 3, 200), 1e4)
    windows[0] = 0
    moments = band_moments(zero_phase_bands(BANDS, RATE, 200), windows, is_centred=True)
    assert not moments[0].any() and np.abs(moments[1]).max() < 1e-15


def test_windows_shorter_than_the_padding_are_refused():
    with pytest.raises(ValueError, match="padlen"):
        zero_phase_bands(BANDS, RATE, 20)
