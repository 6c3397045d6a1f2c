# SPDX-License-Identifier: Apache-2.0
"""The shape of a new model follows from its windows: patches, frames, bands, harmonics."""

import pytest
from datasets import Dataset

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig
from eeg_hf.experiments.classifiers.model import fit_to_windows, fitting_patch


def rows(num_samples=160, channels=("C3", "C4", "O1", "O2"), others=None):
    montages = [list(channels), list(others or channels)]
    return Dataset.from_dict({"num_samples": [num_samples] * 2, "channels": montages})


def extractor(rate=200.0, highpass=0.5, lowpass=45.0):
    return EEGFeatureExtractor(sampling_rate=rate, highpass_hz=highpass, lowpass_hz=lowpass)


@pytest.mark.parametrize(
    ("num_samples", "patch"), [(160, 80), (200, 40), (128, 64), (256, 128), (100, 48), (20, 16), (9, 16)]
)
def test_short_windows_hold_two_patches_or_more(num_samples, patch):
    assert fitting_patch(num_samples, 8) == patch
    fields = fit_to_windows({}, rows(num_samples), extractor())
    assert fields["patch_size"] == patch
    EEGFoundationConfig(**fields)


def test_long_windows_and_given_patches_stay():
    assert "patch_size" not in fit_to_windows({}, rows(1000), extractor())
    assert fit_to_windows({"patch_size": 160}, rows(160), extractor())["patch_size"] == 160


@pytest.mark.parametrize(
    ("signals", "num_samples", "expected"),
    [
        (extractor(), 1000, 12),
        (extractor(rate=64.0, lowpass=30.0), 320, 10),  # below half of the rate
        (extractor(highpass=8.0, lowpass=30.0), 1000, 7),  # within the pass band
        (extractor(), 80, 11),  # frames of 0.4 s: frequencies 2.5 Hz apart
    ],
)
def test_bands_lie_where_there_is_signal(signals, num_samples, expected):
    fields = fit_to_windows({"second_order": True}, rows(num_samples), signals)
    assert len(fields["second_order_bands"]) == expected
    assert fields["second_order_frame_seconds"] <= num_samples / signals.sampling_rate
    EEGFoundationConfig(sampling_rate=signals.sampling_rate, **{**fields, "num_channels": 19})


def test_second_order_is_off_where_no_band_fits(caplog):
    fields = fit_to_windows({"second_order": True}, rows(12), extractor(highpass=1.0, lowpass=4.0))
    assert fields["second_order"] is False
    assert "no frequency band fits windows and filters" in caplog.text


def test_recordings_of_different_channels_share_harmonics_that_they_can_tell_apart(caplog):
    fields = fit_to_windows({"second_order": True}, rows(1000, others=("C3", "C4", "O1", "Pz")), extractor())
    assert (fields["second_order_basis"], fields["second_order_degree"]) == ("harmonics", 1)
    assert "4 channels: second_order_degree is 1 instead of 3" in caplog.text
    given = {"second_order": True, "second_order_basis": "harmonics", "second_order_degree": 2}
    assert fit_to_windows(given, rows(1000), extractor())["second_order_degree"] == 2
