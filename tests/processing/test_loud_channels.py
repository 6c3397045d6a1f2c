# SPDX-License-Identifier: Apache-2.0
"""One electrode cannot ruin the others, and no sample above a volt passes."""

import json

import mne
import numpy as np
import pytest
from tests.recordings import real_recordings

from eeg_hf import EEGFeatureExtractor
from eeg_hf.processing.preprocessing import preprocess

NAMES = ["Fp1", "Fp2", "F3", "F4", "F7", "F8", "T7", "T8", "C3", "C4", "P7", "P8", "P3", "P4", "O1", "O2"]
NAMES += ["Fz", "Cz", "Pz"]
RATE, SECONDS = 250.0, 60
REAL, needs_recordings = real_recordings("eegmat")


def record(names: list[str] = NAMES, seed: int = 0) -> mne.io.RawArray:
    """Return EEG-like noise of 20 uV, of which neighbours share a part, in volts."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=(len(names), round(RATE * SECONDS)))
    samples += 0.7 * rng.normal(size=samples.shape[1])
    return mne.io.RawArray(20e-6 * samples, mne.create_info(names, RATE, "eeg"), verbose="ERROR")


def spoil(raw: mne.io.BaseRaw, channels: list[str], how: str, amount: float) -> mne.io.BaseRaw:
    """Return a copy with channels `amount` times as loud, or with a step or one sample of that many uV."""
    raw = raw.copy()
    middle = raw.n_times // 2
    for name in channels:
        row = raw._data[raw.ch_names.index(name)]
        if how == "loud":
            row *= amount
        elif how == "late":
            row[middle:] *= amount
        elif how == "step":
            row[middle:] += amount * 1e-6
        else:
            row[middle] += amount * 1e-6
    return raw


def agreement(raw: mne.io.BaseRaw, spoilt: mne.io.BaseRaw, without: list[str], **settings: object) -> float:
    """Return the smallest correlation of a channel that was not spoilt with its clean result."""
    clean, _ = preprocess(raw, **settings)
    found, _ = preprocess(spoilt, **settings)
    pairs = zip(clean.ch_names, clean.get_data(), found.get_data(), strict=True)
    return min(np.corrcoef(a, b)[0, 1] for name, a, b in pairs if name not in without)


CASES = [("loud", 5), ("loud", 30), ("loud", 1000), ("late", 30), ("step", 2e3), ("step", 1e5), ("peak", 5e5)]


@pytest.mark.parametrize(("how", "amount"), CASES)
@pytest.mark.parametrize("channels", [["F4"], ["F4", "O1", "T7"]])
def test_a_spoilt_electrode_stays_alone(channels, how, amount):
    raw = record()
    spoilt = spoil(raw, channels, how, amount)
    assert agreement(raw, spoilt, channels) > 0.98
    _, report = preprocess(spoilt)
    assert set(report.reference_outliers) == set(channels)
    assert channels[0] in " ".join(report.warnings) and not report.bad_channels


@pytest.mark.parametrize("names", [NAMES[:3], NAMES[:6]])
def test_few_channels_too(names):
    raw = record(names)
    spoilt = spoil(raw, names[:1], "loud", 100)
    _, report = preprocess(spoilt)
    assert list(report.reference_outliers) == names[:1]
    clean, _ = preprocess(raw.copy().drop_channels(names[:1]))
    found, _ = preprocess(spoilt)
    assert np.allclose(found.get_data()[1:], clean.get_data(), atol=1e-9)


def test_one_of_two_channels_cannot_be_left_out_and_that_is_said():
    _, report = preprocess(spoil(record(NAMES[:2]), NAMES[:1], "loud", 20))
    assert report.reference_outliers == {} and report.quality < 0.1
    assert f"unlike the other channels of the reference: {NAMES[0]}" in report.warnings[1]
    _, report = preprocess(record(NAMES[:2]))
    assert report.quality > 0.9 and len(report.warnings) == 1


def test_where_one_of_three_is_left_both_others_stay_in_the_average_and_that_is_said():
    raw = record(NAMES[:3])
    spoilt = spoil(spoil(raw, NAMES[:1], "loud", 10), NAMES[1:2], "step", 5e5)
    _, report = preprocess(spoilt)
    assert report.reference_outliers == {} and report.quality < 0.1
    assert all(name in report.warnings[-1] for name in NAMES[:2])


def test_a_clean_recording_is_not_affected():
    for seed in range(5):
        raw = record(seed=seed)
        robust, report = preprocess(raw)
        plain, _ = preprocess(raw, robust_reference=False)
        assert report.reference_outliers == {} and report.warnings == []
        assert np.array_equal(robust.get_data(), plain.get_data())


def test_quality_falls_where_the_signal_is_gone():
    raw = record()
    for amount, most in ((10, 0.9), (100, 0.1), (1000, 0.01)):
        _, report = preprocess(spoil(raw, ["F4"], "loud", amount), robust_reference=False)
        assert report.quality < most and "F4" in report.warnings[0]
    _, report = preprocess(spoil(raw, ["F4"], "loud", 100))
    assert report.quality == pytest.approx(18 / 19, abs=0.01)


def test_a_loud_reference_electrode_is_named():
    _, report = preprocess(spoil(record(), ["F4"], "loud", 100), reference=["F4", "F3"])
    assert "F4" in report.warnings[0] and report.quality < 0.1


def test_interpolation_does_not_spread_it():
    raw = record()
    settings = {"channels": [*NAMES, "FC2"], "missing_channels": "interpolate"}
    assert agreement(raw, spoil(raw, ["F4"], "loud", 1000), ["F4"], **settings) > 0.8


def test_old_extractors_keep_their_reference(tmp_path):
    EEGFeatureExtractor().save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    settings = json.loads(path.read_text())
    assert EEGFeatureExtractor.from_pretrained(tmp_path).robust_reference is settings.pop("robust_reference")
    path.write_text(json.dumps(settings))
    old = EEGFeatureExtractor.from_pretrained(tmp_path)
    assert old.robust_reference is False
    raw = spoil(record(), ["F4"], "loud", 100)
    clean, report = old.preprocess(raw)
    assert report.reference_outliers == {}
    assert np.array_equal(clean.get_data(), preprocess(raw, robust_reference=False)[0].get_data())


def test_the_average_of_two_channels_is_warned_of():
    _, report = preprocess(record(["C3", "C4"]))
    assert "the average of two channels makes C3 minus C4" in report.warnings[0]
    assert preprocess(record(["C3", "C4"]), reference="original")[1].warnings == []
    assert "holds a third of each" in preprocess(record(["C3", "C4", "Cz"]))[1].warnings[0]
    assert preprocess(record(["C3", "C4", "Cz", "Pz"]))[1].warnings == []


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.1, -1e6, 1e150, 1e301])
def test_a_channel_above_a_volt_is_bad_at_every_door(value):
    raw = record()
    raw._data[3, 1000] = value
    _, report = preprocess(raw)
    assert list(report.bad_channels) == ["F4"]
    extractor = EEGFeatureExtractor(window_seconds=None)
    samples = raw.get_data()
    for batch in (
        extractor(raw),
        extractor(samples, sampling_rate=RATE, channel_names=NAMES, unit="V"),
        EEGFeatureExtractor(sampling_rate=RATE, window_seconds=None)(
            samples, sampling_rate=RATE, channel_names=NAMES, unit="V", is_preprocessed=True
        ),
    ):
        assert bool(batch["input_values"].isfinite().all())
        assert batch["channel_mask"][0].tolist() == [name != "F4" for name in NAMES]


def test_a_volt_in_all_channels_is_refused():
    for scale, match in ((1e6, "values are in uV but were read as V"), (1e200, "every EEG channel is bad")):
        raw = record()
        raw._data *= scale
        with pytest.raises(ValueError, match=match):
            preprocess(raw)
    raw = record()
    raw._data[:, 1000] = 5.0
    with pytest.raises(ValueError, match="samples up to 5 V"):
        preprocess(raw)


@needs_recordings
@pytest.mark.parametrize(("how", "amount"), CASES)
def test_on_a_real_recording(how, amount):
    raw = mne.io.read_raw_edf(REAL / "Subject00_2.edf", preload=True, verbose="ERROR")
    assert preprocess(raw)[1].reference_outliers == {}
    spoilt = spoil(raw, ["EEG F4", "EEG O1"], how, amount)
    assert agreement(raw, spoilt, ["F4", "O1"]) > 0.98
