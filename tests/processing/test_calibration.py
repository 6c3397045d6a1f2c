# SPDX-License-Identifier: Apache-2.0
"""A calibration is computed once, without labels, travels as a file, and fits its own signals only."""

import json

import mne
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from tests.models.test_modeling_eeg_foundation import tiny_config

from eeg_hf import EEGFeatureExtractor, EEGFoundationModel
from eeg_hf.models.standard_montage import STANDARD_POSITIONS
from eeg_hf.processing.calibration import Calibration, calibrate, stack_calibrations

NAMES = list(STANDARD_POSITIONS)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    fields = {"second_order": True, "second_order_bands": [[4, 8], [8, 13], [13, 30]]}
    return EEGFoundationModel(tiny_config(dropout=0.0, **fields)).eval()


def make_recording(seconds=30.0, seed=0, names=NAMES):
    random = np.random.default_rng(seed)
    mixing = np.eye(len(names)) + 0.5 * random.normal(size=(len(names), len(names)))
    samples = mixing @ random.normal(0, 10e-6, (len(names), round(200 * seconds)))
    return mne.io.RawArray(samples, mne.create_info(names, 200.0, "eeg"), verbose="ERROR")


def make_extractor(**settings):
    return EEGFeatureExtractor(**{"normalization": "microvolt", **settings})


@pytest.fixture(scope="module")
def calibration(model):
    return calibrate(make_recording(), make_extractor(), model)


@torch.no_grad()
def test_windows_of_the_same_subject_come_out_centred(model, calibration):
    extractor = make_extractor()
    batch = extractor(make_recording(), calibration=calibration)
    assert batch["recentring_whitening"].shape == (6, 3, 19, 19)
    matrices, log_power = model.second_order_statistics(
        **{name: batch[name] for name in extractor.model_input_names}
    )
    whitening = batch["recentring_whitening"][0]
    mean = whitening @ matrices.mean(dim=0) @ whitening
    torch.testing.assert_close(mean, torch.eye(19).expand(3, 19, 19), atol=1e-3, rtol=0)
    torch.testing.assert_close(log_power.mean(dim=0), batch["recentring_log_power"][0])
    assert calibration.num_seconds == 30.0
    # The vectors of another subject are further from the centre
    own = model(**batch).band_features.square().mean()
    other = model(**extractor(make_recording(seed=1), calibration=calibration)).band_features.square().mean()
    assert own < other


def test_arrays_and_recordings_give_the_same(model, calibration):
    samples = make_recording().get_data()
    found = calibrate(samples, make_extractor(), model, sampling_rate=200.0, channel_names=NAMES, unit="V")
    np.testing.assert_allclose(found.whitening, calibration.whitening, atol=1e-4)
    assert found.origin == calibration.origin


def test_it_travels_as_one_safetensors_file(calibration, tmp_path):
    path = calibration.save(tmp_path / "subject-07")
    assert path.name == "calibration.safetensors"
    for place in (path, path.parent):
        loaded = Calibration.load(place)
        np.testing.assert_array_equal(loaded.whitening, calibration.whitening)
        np.testing.assert_array_equal(loaded.log_power, calibration.log_power)
        assert (loaded.origin, loaded.num_seconds) == (calibration.origin, 30.0)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no calibration.safetensors at"):
        Calibration.load(tmp_path)
    save_file({"weight": np.zeros(3)}, tmp_path / "calibration.safetensors")
    with pytest.raises(ValueError, match=r"expected a calibration, got a file with \['weight'\]"):
        Calibration.load(tmp_path)


@pytest.mark.parametrize(
    ("settings", "names", "message"),
    [
        ({"reference": "original"}, NAMES, "made with reference='average', got reference='original'"),
        ({"sampling_rate": 250.0}, NAMES, "made with sampling_rate=200.0, got sampling_rate=250.0"),
        ({"normalization": "robust"}, NAMES, "made with normalization='microvolt', got normalization='rob"),
        ({"highpass_hz": 1.0}, NAMES, "made with highpass_hz=0.5, got highpass_hz=1.0"),
        ({}, NAMES[:18], r"made with channels=\['Fp1', .*, got channels=\['Fp1', .*: calibrate again"),
    ],
)
def test_signals_of_another_origin_are_refused_in_one_line(calibration, settings, names, message):
    with pytest.raises(ValueError, match=message) as error:
        make_extractor(**settings)(make_recording(names=names), calibration=calibration)
    assert "\n" not in str(error.value)


def test_too_little_signal_and_models_without_tokens_are_refused(model):
    with pytest.raises(ValueError, match=r"expected 10 s of signal or more \(30 s are enough\), got 5 s"):
        calibrate(make_recording(5.0), make_extractor(), model)
    with pytest.raises(ValueError, match="expected a model with second_order=True"):
        calibrate(make_recording(), make_extractor(), EEGFoundationModel(tiny_config()))


def test_padding_of_the_last_window_does_not_count(model):
    found = calibrate(make_recording(12.0), make_extractor(), model)
    assert found.num_seconds == pytest.approx(12.0)


def test_windows_that_are_not_finite_are_refused(calibration):
    broken = np.full((2, 3, 19, 19), np.nan)
    with pytest.raises(ValueError, match="NaN or infinite"):
        Calibration.from_statistics(broken, np.zeros((2, 3, 19)), calibration.origin, 30.0)


def test_batches_of_several_groups(calibration, model):
    other = calibrate(make_recording(seed=1), make_extractor(), model)
    stacked = stack_calibrations({"a": calibration, "b": other}, ["b", "a", "b"])
    assert stacked["recentring_log_power"].shape == (3, 3, 19)
    np.testing.assert_array_equal(stacked["recentring_whitening"][1], calibration.whitening)
    with pytest.raises(ValueError, match="no calibration for c: calibrate"):
        stack_calibrations({"a": calibration}, ["a", "c"])


def test_the_origin_can_be_read_without_loading_anything(calibration, tmp_path):
    header = calibration.save(tmp_path).read_bytes()
    length = int.from_bytes(header[:8], "little")
    about = json.loads(json.loads(header[8 : 8 + length])["__metadata__"]["calibration"])
    assert about["origin"]["channels"] == NAMES


def test_windows_in_bad_spans_are_no_calibration(model):
    raw = make_recording()
    raw._data[:, 1000:2000] *= 5.0
    raw.set_annotations(mne.Annotations(5.0, 5.0, "BAD movement"))
    found = calibrate(raw, make_extractor(), model)
    assert found.num_seconds == 25.0
    raw.set_annotations(None)
    assert np.abs(found.log_power - calibrate(raw, make_extractor(), model).log_power).max() > 0.1
    raw.set_annotations(mne.Annotations(0.0, 30.0, "BAD"))
    with pytest.raises(ValueError, match="calibration: every window overlaps a span annotated as bad"):
        calibrate(raw, make_extractor(), model)
