# SPDX-License-Identifier: Apache-2.0
"""Continuous signals whose right answer is known in closed form."""

import datetime
import json
import tracemalloc

import mne
import numpy as np
import pytest

from eeg_hf.processing.channels import DOUBLE_BANANA, STANDARD_19
from eeg_hf.processing.electrode_positions import electrode_positions, positions_from_raw
from eeg_hf.processing.preprocessing import preprocess

NO_FILTER = {"highpass_hz": None, "lowpass_hz": None}


def noise(num_channels=19, seconds=10, rate=250.0, seed=0):
    """White noise of 20 uV, in V."""
    rng = np.random.default_rng(seed)
    return rng.normal(scale=20e-6, size=(num_channels, int(seconds * rate)))


def record(data, names=STANDARD_19, rate=250.0, types="eeg"):
    info = mne.create_info(list(names)[: len(data)], rate, types)
    return mne.io.RawArray(np.array(data), info, verbose="ERROR")


def sine(frequency, rate, seconds, amplitude=50e-6, phase=0.0):
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate + phase)


def amplitude_at(samples, frequency, rate):
    """Amplitude of one frequency, of the middle of the signal, whole periods of 1 Hz."""
    edge = int(2 * rate)
    samples = samples[edge : edge + int((len(samples) - 2 * edge) // rate * rate)]
    spectrum = np.abs(np.fft.rfft(samples)) * 2 / len(samples)
    return spectrum[round(frequency * len(samples) / rate)]


def test_resampling_leaves_no_alias():
    # 90 Hz sampled at 100 Hz without an anti-alias filter would be a 10 Hz alpha rhythm.
    data = [sine(90, 250, 20), sine(7, 250, 20)]
    raw, report = preprocess(record(data, ["C3", "C4"]), sampling_rate=100, reference="original", **NO_FILTER)
    fast, slow = raw.get_data()
    assert raw.info["sfreq"] == 100 and raw.n_times == 2000
    assert amplitude_at(fast, 10, 100) < 0.01 * 50e-6
    assert amplitude_at(slow, 7, 100) == pytest.approx(50e-6, rel=0.01)
    assert not report.is_upsampled


def test_cleaning_agrees_with_mne_by_hand():
    source = record(noise(2, seconds=8), ["C3", "C4"])
    ours, _ = preprocess(source, sampling_rate=100, highpass_hz=1, lowpass_hz=40)
    truth = source.copy().set_eeg_reference("average", verbose="ERROR").filter(1, 40, verbose="ERROR")
    truth.resample(100, method="polyphase", verbose="ERROR")
    np.testing.assert_allclose(ours.get_data(), truth.get_data(), atol=1e-11)


def test_a_prime_number_of_samples_changes_nothing():
    data = noise(2, seconds=9)
    settings = {"sampling_rate": 100, "reference": "original", **NO_FILTER}
    even, _ = preprocess(record(data[:, :2000], ["C3", "C4"]), **settings)
    prime, _ = preprocess(record(data[:, :2003], ["C3", "C4"]), **settings)
    np.testing.assert_allclose(prime.get_data()[:, :780], even.get_data()[:, :780], atol=1e-12)


def test_odd_rates_keep_frequencies():
    raw, _ = preprocess(
        record([sine(10, 173.61, 23.6)], ["Cz"], 173.61), sampling_rate=200, reference="original"
    )
    assert raw.n_times == pytest.approx(23.6 * 200, abs=1)
    assert amplitude_at(raw.get_data()[0], 10, 200) == pytest.approx(50e-6, rel=0.02)


def test_upsampling_is_reported():
    raw, report = preprocess(record(noise(2, rate=128.0), ["C3", "C4"], 128.0), sampling_rate=200)
    assert raw.info["sfreq"] == 200 and report.is_upsampled and report.original_sampling_rate == 128


def test_band_is_kept_and_the_rest_removed():
    tones = 1e-3 + sine(10, 500, 20) + sine(80, 500, 20)
    raw, _ = preprocess(record([tones], ["Cz"], 500.0), sampling_rate=200, reference="original")
    result = raw.get_data()[0]
    assert amplitude_at(result, 10, 200) == pytest.approx(50e-6, rel=0.01)
    assert amplitude_at(result, 80, 200) < 0.01 * 50e-6
    assert abs(result[1000:-1000].mean()) < 1e-6  # 1 mV of offset is gone


def test_average_reference_sums_to_zero_over_good_channels():
    data = noise()
    data[3] = 0.0
    raw, report = preprocess(record(data))
    assert report.bad_channels == {"F3": "flat"} and raw.info["bads"] == ["F3"]
    np.testing.assert_allclose(raw.get_data().sum(axis=0), 0.0, atol=1e-10)
    assert not raw.get_data(picks=["F3"]).any()


def test_reference_to_named_electrodes():
    data = noise(5)
    source = record(data, ["T3", "C3", "C4", "A1", "A2"])
    raw, report = preprocess(
        source, sampling_rate=250, reference=["A1", "A2"], channels=["C3", "T7"], **NO_FILTER
    )
    np.testing.assert_allclose(raw.get_data(), data[[1, 0]] - data[3:].mean(axis=0), atol=1e-12)
    assert report.reference == "A1+A2"
    with pytest.raises(ValueError, match="reference electrodes M1 are not in the recording"):
        preprocess(source, reference=["M1"])


def test_nan_channel_is_reported_and_never_filtered():
    data = noise()
    data[0, 17] = np.nan
    data[1, 3:9] = np.inf
    raw, report = preprocess(record(data), notch_hz=50)
    assert report.bad_channels == {"Fp1": "NaN or infinite samples", "Fp2": "NaN or infinite samples"}
    assert np.isfinite(raw.get_data()).all()
    np.testing.assert_allclose(raw.get_data()[2:].sum(axis=0), 0.0, atol=1e-10)


def test_channels_marked_bad_by_hand_stay_out_of_the_reference():
    source = record(noise())
    source.info["bads"] = ["Cz"]
    raw, report = preprocess(source)
    assert report.bad_channels == {"Cz": "marked bad in the recording"} and raw.info["bads"] == ["Cz"]
    assert not raw.get_data(picks=["Cz"]).any() and source.get_data(picks=["Cz"]).any()
    np.testing.assert_allclose(raw.get_data().sum(axis=0), 0.0, atol=1e-10)


def test_dead_recordings_raise():
    with pytest.raises(ValueError, match=r"every EEG channel is bad.*Fp1 \(flat\)"):
        preprocess(record(np.zeros((2, 2500))))
    with pytest.raises(ValueError, match="NaN or infinite"):
        preprocess(record(np.full((2, 2500), np.nan)))


def test_no_eeg_channel_raises_with_reasons():
    source = record(noise(2), ["ECG", "marker"], types=["eeg", "stim"])
    with pytest.raises(
        ValueError, match=r"no EEG channel.*marker \(the file declares it as stim\), ECG \(its label says ecg"
    ):
        preprocess(source)


@pytest.mark.parametrize(
    ("factor", "advice"), [(1e6, "in uV but were read as V"), (1e3, "in mV but were read as V")]
)
def test_a_slip_of_the_unit_raises(factor, advice):
    source = record(noise() * factor)
    with pytest.raises(ValueError, match=f"median |x|.*expected 0.1-1000 uV.*{advice}"):
        preprocess(source)
    raw, _ = preprocess(source, scale=1 / factor)
    np.testing.assert_allclose(raw.get_data(), preprocess(record(noise()))[0].get_data(), atol=1e-12)


def test_values_a_million_times_too_small_count_as_dead_and_name_the_unit():
    with pytest.raises(ValueError, match=r"at most 2.1e-05 uV.*unit is not the one stated"):
        preprocess(record(noise() * 1e-6))


def test_offsets_and_drifts_say_nothing_about_the_unit():
    data = noise(seconds=60) + np.linspace(0, 40e-3, 19)[:, None] + np.linspace(0, 2e-3, 15000)
    _, report = preprocess(record(data))
    assert 5 < report.amplitude_uv < 40


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lowpass_hz": 50}, r"lowpass_hz=50 Hz.*this recording \(100 Hz / 2 = 50 Hz\): lower it"),
        ({"highpass_hz": 60, "lowpass_hz": None}, "highpass_hz=60 Hz is at or above the Nyquist"),
        ({"lowpass_hz": 30, "notch_hz": 50}, r"notch_hz=50 Hz.*set notch_hz=None"),
        ({"lowpass_hz": 40, "sampling_rate": 80}, r"lowpass_hz=40 Hz.*of the result \(80 Hz / 2"),
        ({"highpass_hz": 40, "lowpass_hz": 30}, "highpass_hz must be below"),
        ({"highpass_hz": 0}, "highpass_hz must be positive or None"),
    ],
)
def test_impossible_filters_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        preprocess(record(noise(2, rate=100.0), rate=100.0), **settings)


@pytest.mark.parametrize("line", [50, 60])
def test_auto_notch_finds_the_line_and_removes_it(line):
    data = noise(4, seconds=20) + sine(line, 250, 20, amplitude=30e-6)
    source = record(data)
    raw, report = preprocess(source, notch_hz="auto", lowpass_hz=None, reference="original")
    assert report.notch_hz[0] == line
    assert all(amplitude_at(samples, line, 200) < 1e-6 for samples in raw.get_data())
    by_hand, _ = preprocess(source, notch_hz=line, lowpass_hz=None, reference="original")
    np.testing.assert_array_equal(raw.get_data(), by_hand.get_data())


def test_auto_notch_leaves_clean_data_alone():
    source = record(noise(4))
    raw, report = preprocess(source, notch_hz="auto", lowpass_hz=None)
    assert report.notch_hz == [] and set(report.line_noise_ratio) == {"50", "60"}
    np.testing.assert_array_equal(raw.get_data(), preprocess(source, lowpass_hz=None)[0].get_data())


def test_notch_beyond_the_band_is_skipped_and_said():
    _, report = preprocess(record(noise(2)), lowpass_hz=30, notch_hz=60)
    assert report.notch_hz == [] and "no notch at 60 Hz" in report.warnings[-1]


def test_volts_on_file_come_back_as_written(tmp_path):
    # EDF holds microvolts as integers; MNE reads volts.
    names = ["EEG Fp1-REF", "EEG T3-REF", "EEG A2-A1", "ECG EKG"]
    source = record(noise(4, seconds=4), names)
    source.export(tmp_path / "x.edf", verbose="ERROR")
    raw, report = preprocess(mne.io.read_raw_edf(tmp_path / "x.edf", verbose="ERROR"))
    truth, _ = preprocess(source)
    assert raw.ch_names == ["Fp1", "T7"]
    np.testing.assert_allclose(raw.get_data(), truth.get_data(), atol=2e-8)
    assert report.renamed_channels == {"EEG Fp1-REF": "Fp1", "EEG T3-REF": "T7"}
    assert "bipolar among unipolar" in report.dropped_channels["EEG A2-A1"]
    assert report.dropped_channels["ECG EKG"] == "its label says ecg"
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()


def test_input_is_not_changed():
    data = noise()
    data[2] = 0.0
    source = record(data, rate=250.0)
    source.set_annotations(mne.Annotations([1.0], [2.0], ["T1"]))
    preprocess(source, missing_channels="interpolate", notch_hz=50)
    np.testing.assert_array_equal(source.get_data(), data)
    assert source.ch_names == list(STANDARD_19) and source.info["bads"] == [] and source.info["sfreq"] == 250


def test_annotations_and_positions_come_along():
    source = record(noise(2, seconds=10), ["EEG T3", "Cz"])
    source.set_annotations(mne.Annotations([1.0, 4.5], [2.0, 0.5], ["T1", "T2"]))
    raw, _ = preprocess(source)
    np.testing.assert_allclose(raw.annotations.onset, [1.0, 4.5])
    assert list(raw.annotations.description) == ["T1", "T2"]
    np.testing.assert_allclose(positions_from_raw(raw), electrode_positions(["T7", "Cz"]), atol=1e-7)


@pytest.mark.parametrize("date", [None, datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)])
def test_annotations_stay_on_their_samples_after_a_crop(date):
    source = record(noise(2, seconds=20))
    source.set_meas_date(date)
    source.set_annotations(mne.Annotations([5.0, 9.0], 1.0, ["a", "b"], orig_time=date))
    raw, _ = preprocess(source.crop(2, 18))
    events = mne.events_from_annotations(raw, verbose="ERROR")[0]
    assert (events[:, 0] - raw.first_samp).tolist() == [600, 1400]


def test_channels_come_out_in_the_order_asked_for():
    source = record(noise())
    order = ["O2", "EEG T3", "Fz"]
    raw, report = preprocess(source, channels=order)
    back, _ = preprocess(source, channels=order[::-1])
    assert raw.ch_names == ["O2", "T7", "Fz"] == report.channels
    np.testing.assert_array_equal(raw.get_data(), back.get_data()[::-1])
    assert report.dropped_channels["Cz"] == "not among the channels asked for"


def test_missing_channels_error_mask_or_interpolate():
    source = record(noise()[:18])  # no O2
    with pytest.raises(
        ValueError, match="missing EEG channels O2: the recording has Fp1.*'interpolate' or 'mask'"
    ):
        preprocess(source, channels=STANDARD_19)
    masked, report = preprocess(source, channels=STANDARD_19, missing_channels="mask")
    assert masked.info["bads"] == ["O2"] == report.missing_channels
    assert not masked.get_data()[-1].any() and masked.ch_names == list(STANDARD_19)
    filled, report = preprocess(source, channels=STANDARD_19, missing_channels="interpolate")
    assert filled.info["bads"] == [] and report.interpolated_channels == ["O2"]
    np.testing.assert_allclose(filled.get_data().sum(axis=0), 0.0, atol=1e-10)
    with pytest.raises(ValueError, match="none of the channels asked for is in the recording"):
        preprocess(source, channels=["O2"], missing_channels="mask")
    with pytest.raises(ValueError, match=r"unknown electrodes: 'Q9'"):
        preprocess(source, channels=["Cz", "Q9"], missing_channels="mask")


def test_interpolation_restores_a_smooth_field():
    # A field linear in space is smooth enough for splines through the other 18 electrodes.
    positions = electrode_positions(STANDARD_19)
    field = (positions @ [1.0, 2.0, 0.5])[:, None] * sine(10, 250, 10, amplitude=300e-6)
    broken = field.copy()
    broken[9] = 0.0
    settings = {"missing_channels": "interpolate", "reference": "original"}
    raw, report = preprocess(record(broken), **settings)
    truth, _ = preprocess(record(field), **settings)
    assert report.interpolated_channels == ["Cz"] and report.bad_channels == {}
    error = np.abs(raw.get_data()[9] - truth.get_data()[9]).max()
    assert error < 0.1 * np.abs(truth.get_data()).max()


def test_derivations_are_computed_from_their_electrodes():
    data = noise()
    source = record(data)
    raw, report = preprocess(
        source, sampling_rate=250, channels=DOUBLE_BANANA, reference="original", **NO_FILTER
    )
    assert raw.ch_names == list(DOUBLE_BANANA) == report.derived_channels
    np.testing.assert_allclose(raw.get_data()[0], data[0] - data[2], atol=1e-12)  # Fp1-F7


def test_bipolar_recordings_stay_as_they_are(tmp_path):
    names = ["FP1-F7", "F7-T7", "T8-P8-0", "T8-P8-1"]
    data = noise(4)
    raw, report = preprocess(record(data, names), sampling_rate=250, reference="original", **NO_FILTER)
    assert raw.ch_names == ["Fp1-F7", "F7-T7", "T8-P8"]
    assert report.dropped_channels == {"T8-P8-1": "repeats T8-P8"}
    np.testing.assert_array_equal(raw.get_data(), data[:3])
    with pytest.raises(ValueError, match="set reference='original'"):
        preprocess(record(data, names))


def test_a_derivation_asked_for_by_name_is_kept():
    raw, _ = preprocess(record(noise(3), ["C3", "C4", "EEG A2-A1"]), channels=["C3", "C4", "A2-A1"])
    assert raw.ch_names == ["C3", "C4", "A2-A1"]
    np.testing.assert_allclose(raw.get_data()[:2].sum(axis=0), 0.0, atol=1e-15)
    assert np.abs(raw.get_data()[2]).max() > 1e-6


def test_average_reference_of_one_channel_is_refused():
    with pytest.raises(ValueError, match="needs two good unipolar channels, got Cz"):
        preprocess(record(noise(1), ["Cz"]))


def test_unknown_channels_raise_or_are_dropped_by_choice():
    source = record(noise(3), ["C3", "C4", "E7"])
    with pytest.raises(ValueError, match=r"unknown EEG channel 'E7'.*montage="):
        preprocess(source)
    raw, report = preprocess(source, unknown_channels="drop")
    assert raw.ch_names == ["C3", "C4"] and report.dropped_channels == {"E7": "unknown electrode"}
    assert preprocess(source, channels=["C4", "C3"])[0].ch_names == ["C4", "C3"]


def test_dense_caps_are_read_by_their_montage():
    source = record(noise(4), ["E1", "E2", "E3", "E129"])
    raw, _ = preprocess(source, montage="GSN-HydroCel-129")
    assert raw.ch_names[0] == "GSN-HydroCel-129/E1" and raw.ch_names[3] == "Cz"
    np.testing.assert_allclose(positions_from_raw(raw), electrode_positions(raw.ch_names), atol=1e-7)


def test_recordings_shorter_than_the_filter_are_filtered_and_said():
    raw, report = preprocess(record(noise(2, seconds=1)))
    assert raw.n_times == 200 and "shorter than its filter (6.6 s)" in report.warnings[-1]


@pytest.mark.parametrize("setting", ["missing_channels", "unknown_channels", "reference"])
def test_unknown_options_are_refused(setting):
    with pytest.raises(ValueError, match=f"{setting} must be one of"):
        preprocess(record(noise(2)), **{setting: "guess"})


def bumps(num_channels=32, seconds=30, rate=250.0, seed=0):
    """Clean EEG-like noise, in V: each electrode shares sources with its neighbours."""
    rng = np.random.default_rng(seed)
    places = np.linspace(0, 1, num_channels)[:, None]
    mixing = np.exp(-(((places - np.linspace(0, 1, 8)) / 0.2) ** 2))
    sources = np.fft.rfft(rng.normal(size=(8, int(seconds * rate))))
    sources[:, 1:] /= np.sqrt(np.arange(1, sources.shape[1]))
    sources = np.fft.irfft(sources, int(seconds * rate))
    sources /= sources.std(axis=1, keepdims=True)
    return (mixing @ sources + 0.1 * rng.normal(size=(num_channels, sources.shape[1]))) * 10e-6


NAMES_32 = mne.channels.make_standard_montage("biosemi32").ch_names


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("settings", [{}, {"notch_hz": 50}, {"missing_channels": "interpolate"}])
def test_adaptive_changes_nothing_on_clean_recordings(seed, settings):
    for source in (record(bumps(seed=seed), NAMES_32), record(noise(seed=seed, seconds=30))):
        raw, report = preprocess(source, adaptive=True, **settings)
        plain, plain_report = preprocess(source, **settings)
        np.testing.assert_array_equal(raw.get_data(), plain.get_data())
        assert report.quality == 1.0 and report.warnings == [] and report.scale_uv == 1.0
        assert report.bad_channels == plain_report.bad_channels == {} and report.line_freq is None


def spoiled(seed=0):
    """Clean channels, three of them spoiled, in mains of 60 Hz; returns samples in V and the spoiled."""
    data = bumps(seed=seed)
    rng = np.random.default_rng(100 + seed)
    bad = rng.choice(32, 3, replace=False)
    data[bad[0]] += 80e-6 * rng.normal(size=data.shape[1])
    data[bad[1]] = np.cumsum(rng.normal(size=data.shape[1])) * 1e-6
    data[bad[2]] *= 0.02
    phases = rng.uniform(0, 2 * np.pi, size=32)
    data += [sine(60, 250, 30, amplitude=20e-6, phase=phase) for phase in phases]
    return data, {NAMES_32[row] for row in bad}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("slip", [1.0, 1e6, 1e-6, 1e3])
def test_adaptive_finds_unit_line_and_noisy_channels_together(seed, slip):
    data, bad = spoiled(seed)
    settings = {"lowpass_hz": None, "sampling_rate": 250}
    raw, report = preprocess(record(data * slip, NAMES_32), adaptive=True, notch_hz=50, **settings)
    assert set(report.bad_channels) == bad == set(raw.info["bads"])
    assert report.line_freq == 60 and report.notch_hz == [60, 120]
    assert report.scale_uv == pytest.approx(1 / slip)
    assert report.quality == pytest.approx(29 / 32, abs=1e-4)
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()
    source = record(data, NAMES_32)
    source.info["bads"] = sorted(bad)
    by_hand, _ = preprocess(source, notch_hz=60, **settings)
    np.testing.assert_allclose(raw.get_data(), by_hand.get_data(), atol=1e-12)


def test_adaptive_fills_noisy_channels_where_interpolation_is_asked_for():
    data, bad = spoiled()
    raw, report = preprocess(record(data, NAMES_32), adaptive=True, missing_channels="interpolate")
    assert set(report.interpolated_channels) == bad and report.bad_channels == {} == dict.fromkeys(
        raw.info["bads"]
    )
    assert raw.get_data(picks=sorted(bad)).any(axis=1).all()
    assert report.quality == pytest.approx(29 / 32, abs=1e-4)


def test_adaptive_raises_the_highpass_only_where_drifts_demand_it():
    drift = sine(0.3, 250, 60, amplitude=2e-3) * np.linspace(0.5, 1.5, 32)[:, None]
    raw, report = preprocess(record(bumps(seconds=60) + drift, NAMES_32), adaptive=True)
    assert report.highpass_hz == 1.0 and "high-pass at 1 Hz" in report.warnings[0]
    assert preprocess(record(bumps(seconds=60) + drift * 1e-3, NAMES_32), adaptive=True)[1].highpass_hz == 0.5
    slow, report = preprocess(record(bumps(seconds=60) + drift, NAMES_32), adaptive=True, highpass_hz=None)
    assert report.highpass_hz == 1.0
    np.testing.assert_array_equal(slow.get_data(), raw.get_data())


def test_a_slip_that_is_none_of_the_known_ones_still_raises():
    with pytest.raises(ValueError, match="implausible amplitude"):
        preprocess(record(noise() * 0.5e5), adaptive=True)


def test_noisy_channels_are_bad_where_asked_for_without_adaptation():
    data, bad = spoiled()
    _, report = preprocess(record(data, NAMES_32), bad_channels="auto")
    assert set(report.bad_channels) == bad and report.line_freq is None and report.notch_hz == []
    assert preprocess(record(data, NAMES_32))[1].bad_channels == {}


def test_a_reference_electrode_is_not_judged():
    data, bad = spoiled()
    first = sorted(bad)[0]
    raw, report = preprocess(record(data, NAMES_32), bad_channels="auto", reference=[first])
    assert report.reference == first and report.bad_channels[first] == "it is the reference"


def test_flat_channels_may_stay():
    data = noise()
    data[3] = 0.0
    data[4, 5] = np.nan
    settings = {"sampling_rate": 250, "bad_channels": "none", **NO_FILTER}
    raw, report = preprocess(record(data), **settings)
    assert report.bad_channels == {"Fz": "NaN or infinite samples"}
    data[4] = 0.0
    np.testing.assert_allclose(raw.get_data()[3], -np.delete(data, 4, axis=0).mean(axis=0), atol=1e-12)
    with pytest.raises(ValueError, match="every EEG channel is bad"):
        preprocess(record(np.zeros((3, 500))), bad_channels="none")
    data[:, ::2] = np.nan  # which says nothing about the unit
    with pytest.raises(ValueError, match="50% of the samples are NaN in every channel, and what lies"):
        preprocess(record(data), **settings)


def test_the_silent_vertex_of_an_egi_net_is_its_reference_and_not_dead():
    data = np.vstack([bumps(128, seconds=4), np.zeros(1000)])
    source = record(data, [*(f"E{n}" for n in range(1, 129)), "Cz"])
    for adaptive in (False, True):
        raw, report = preprocess(source, sampling_rate=250, adaptive=adaptive, **NO_FILTER)
        assert report.bad_channels == {} and raw.ch_names[-1] == "Cz"
        np.testing.assert_allclose(raw.get_data()[-1], -data.mean(axis=0), atol=1e-12)
    assert preprocess(source, reference="original")[1].bad_channels == {"Cz": "flat"}


def test_clipping_is_counted_by_channel_and_said():
    data = noise()
    data[5] = np.clip(data[5], -10e-6, 10e-6)
    raw, report = preprocess(record(data))
    assert report.clipped_share.keys() == {"F4"} and report.clipped_share["F4"] > 0.1
    assert report.warnings[0].startswith("clipped: samples lie at the converter's limit in F4 (")


def test_unknown_channels_can_be_masked():
    data = noise(4)
    raw, report = preprocess(record(data, ["C3", "my probe", "C4", "Cz"]), unknown_channels="mask")
    assert raw.ch_names == ["C3", "my probe", "C4", "Cz"] and raw.info["bads"] == ["my probe"]
    assert report.bad_channels == {"my probe": "unknown electrode"}
    assert not raw.get_data()[1].any() and np.isfinite(positions_from_raw(raw)).all()
    without, _ = preprocess(record(data[[0, 2, 3]], ["C3", "C4", "Cz"]))
    np.testing.assert_array_equal(raw.get_data()[[0, 2, 3]], without.get_data())


def test_positions_that_the_user_states_make_electrodes_of_unknown_names():
    places = {"my probe": (0.0, 0.05, 0.08), "X1": [0.05, 0.0, 0.08], "C3": [-0.06, 0.0, 0.09]}
    data = noise(4)
    source = record(data, ["C3", "my probe", "X1", "my probe-X1"])
    raw, report = preprocess(source, positions=places)
    assert raw.ch_names == ["C3", "my probe", "X1"]
    found = positions_from_raw(raw, prefer="file")
    np.testing.assert_allclose(found, [places[name] for name in raw.ch_names], atol=1e-7)
    assert report.dropped_channels == {
        "my probe-X1": "bipolar among unipolar channels: ask for it in channels="
    }
    pair, _ = preprocess(source, positions=places, channels=["my probe-X1"], reference="original")
    np.testing.assert_allclose(positions_from_raw(pair)[0], [0.025, 0.025, 0.08], atol=1e-7)
    masked, report = preprocess(
        source, positions={**places, "Q": (0, 0.1, 0)}, channels=["X1", "C3", "Q"], missing_channels="mask"
    )
    assert report.bad_channels == {"Q": "missing"}
    np.testing.assert_allclose(positions_from_raw(masked)[2], [0, 0.1, 0], atol=1e-7)


@pytest.mark.parametrize(
    ("position", "message"),
    [
        ((0, 80, 40), r"positions of 'X1': expected \(x, y, z\) in metres.*are these mm\?"),
        ((0, 8, 4), r"are these cm\?"),
        ((0, 0, 0.01), "0.03 to 0.2 m"),
        ((0, np.nan, 0.1), "0.03 to 0.2 m"),
        ((0.1, 0.1), "0.03 to 0.2 m"),
    ],
)
def test_positions_that_cannot_be_are_refused(position, message):
    with pytest.raises(ValueError, match=message):
        preprocess(record(noise(2), ["C3", "X1"]), positions={"X1": position})


def test_filters_stop_at_the_gaps_that_annotations_mark():
    data = noise(2, seconds=12)
    source = record(data, ["C3", "C4"])
    source.set_annotations(mne.Annotations([4.0, 9.0], [1.0, 0.0], ["BAD_ACQ_SKIP", "EDGE boundary"]))
    raw, _ = preprocess(source, sampling_rate=250, reference="original", highpass_hz=1, lowpass_hz=40)
    truth = source.copy().filter(1, 40, verbose="ERROR")
    np.testing.assert_allclose(raw.get_data(), truth.get_data(), atol=1e-10)


def test_memory_stays_below_two_and_a_half_copies():
    source = record(noise(8, seconds=240), rate=250.0)
    size = source.get_data().nbytes
    preprocess(source)
    tracemalloc.start()
    preprocess(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * size
