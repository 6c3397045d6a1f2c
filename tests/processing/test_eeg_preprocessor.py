# SPDX-License-Identifier: Apache-2.0
"""One call from a recording or an array to clean microvolts."""

import json

import mne
import numpy as np
import pytest

from eeg_hf import EEGPreprocessor
from eeg_hf.processing.channels import STANDARD_19
from eeg_hf.processing.electrode_positions import electrode_positions

NAMES = list(STANDARD_19)


def noise_uv(num_channels=19, seconds=10, rate=250):
    return np.random.default_rng(0).normal(scale=20.0, size=(num_channels, seconds * rate))


def record(data_uv, names=NAMES):
    return mne.io.RawArray(data_uv * 1e-6, mne.create_info(names, 250.0, "eeg"), verbose="ERROR")


def test_a_recording_becomes_microvolts_and_a_report():
    time = np.arange(5000) / 250
    sines = 50 * np.sin(2 * np.pi * 10 * time + np.arange(19)[:, None])
    data, info = EEGPreprocessor(use_adaptive=True, reference="original").preprocess_eeg(record(sines))
    assert data.dtype == np.float32 and data.shape == (19, 4000)
    assert np.abs(data[:, 1000:3000]).max() == pytest.approx(50, rel=0.02)
    assert info["channel_names"] == NAMES and info["unit"] == "uV" and info["sampling_rate"] == 200
    np.testing.assert_allclose(info["channel_positions"], electrode_positions(NAMES), atol=1e-7)
    assert {"line_freq", "bad_channels", "scale_uv", "quality", "warnings"} <= info.keys()
    assert json.loads(json.dumps(info)) == info


@pytest.mark.parametrize(("unit", "factor"), [("uV", 1.0), ("mV", 1e-3), ("V", 1e-6)])
def test_arrays_and_recordings_agree(unit, factor):
    truth, _ = EEGPreprocessor().preprocess_eeg(record(noise_uv()))
    told = EEGPreprocessor(input_sampling_rate=250, unit=unit).preprocess_eeg(noise_uv() * factor, NAMES)
    called = EEGPreprocessor().preprocess_eeg(noise_uv() * factor, NAMES, 250, unit)
    for data, _ in (told, called):
        np.testing.assert_allclose(data, truth, atol=1e-4)


def test_names_given_with_a_recording_rename_a_copy_of_it():
    source = record(noise_uv(2), ["1", "2"])
    _, info = EEGPreprocessor().preprocess_eeg(source, ["C3", "T4"])
    assert info["channel_names"] == ["C3", "T8"] and source.ch_names == ["1", "2"]
    with pytest.raises(ValueError, match=r"one name for each of the recording's 2 channels \(1, 2\), got 1"):
        EEGPreprocessor().preprocess_eeg(source, ["C3"])


def test_adaptive_is_chosen_by_the_constructor():
    slipped = record(noise_uv() * 1e6)
    _, info = EEGPreprocessor(use_adaptive=True).preprocess_eeg(slipped)
    assert info["scale_uv"] == pytest.approx(1e-6)
    with pytest.raises(ValueError, match="in uV but were read as V"):
        EEGPreprocessor(use_adaptive=False).preprocess_eeg(slipped)


@pytest.mark.parametrize(
    ("eeg", "told", "error", "message"),
    [
        (
            noise_uv(2),
            {},
            ValueError,
            "needs sampling_rate, channel_names and unit; sampling_rate, channel_names, unit not",
        ),
        (noise_uv(2).T, {"channel_names": ["C3", "C4"]}, ValueError, r"expected \(2, time\).*transpose\?"),
        (
            noise_uv(2),
            {"channel_names": ["C3", "C4"], "unit": "nV"},
            ValueError,
            "unit must be one of 'V', 'mV', 'uV'; got 'nV'",
        ),
        ("x.edf", {}, TypeError, "expected an MNE recording or a real array"),
        (record(noise_uv()), {"unit": "uV"}, ValueError, "a recording states its own"),
    ],
)
def test_what_would_have_to_be_guessed_is_refused(eeg, told, error, message):
    if "channel_names" in told:
        told = {"sampling_rate": 250, "unit": "uV", **told}
    with pytest.raises(error, match=message):
        EEGPreprocessor().preprocess_eeg(eeg, **told)


@pytest.mark.parametrize("setting", ["low_pass", "adaptive"])
def test_unknown_settings_are_refused(setting):
    with pytest.raises(ValueError, match=f"no setting {setting}; expected use_adaptive, .*lowpass_hz"):
        EEGPreprocessor(**{setting: 1})
