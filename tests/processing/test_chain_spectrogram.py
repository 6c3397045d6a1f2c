# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from eeg_hf.processing.chain_spectrogram import CHAINS, chain_spectrogram, spectrogram_image

NAMES = sorted({name for chain in CHAINS.values() for name in chain})


def test_the_grid_is_that_of_hms_and_a_sine_is_where_it_was_made():
    time = np.arange(50 * 200) / 200
    eeg = np.zeros((len(NAMES), len(time)))
    eeg[NAMES.index("T7")] = 20 * np.sqrt(2) * np.sin(2 * np.pi * 10 * time)  # 400 uV^2 against F7 and P7
    power, frequencies, times = chain_spectrogram(eeg, NAMES, 200)
    assert power.shape == (4, 100, 23) and np.diff(times) == pytest.approx(2)
    assert [f"{frequencies[at]:.2f}" for at in (0, 1, -2, -1)] == ["0.59", "0.78", "19.73", "19.92"]
    width = frequencies[1] - frequencies[0]
    assert power[0].sum(axis=0) * width == pytest.approx(400 * 2 / 4, rel=0.02)  # 2 of 4 derivations have it
    assert frequencies[power[0].mean(axis=1).argmax()] == pytest.approx(10, abs=width)
    assert power[1:].max() < 1e-9
    old = [{"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}.get(name, name) for name in NAMES]
    assert np.array_equal(chain_spectrogram(eeg, old, 200)[0], power)
    image = spectrogram_image(np.where(power > 0, power, np.nan))
    assert image.shape == power.shape and np.isfinite(image).all()


def test_what_it_cannot_compute_is_named():
    eeg = np.zeros((len(NAMES), 2000))
    with pytest.raises(ValueError, match="the chains need T7 too"):
        chain_spectrogram(eeg[:-1], [name for name in NAMES if name != "T7"], 200)
    with pytest.raises(ValueError, match=r"expected 5.12 s or more, got 1 s"):
        chain_spectrogram(eeg[:, :200], NAMES, 200)
    eeg[0, 0] = np.nan
    with pytest.raises(ValueError, match="fill gaps first"):
        chain_spectrogram(eeg, NAMES, 200)
