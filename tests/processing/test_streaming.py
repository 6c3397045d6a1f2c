# SPDX-License-Identifier: Apache-2.0
"""The contract on a stream: pieces of any size, gaps, dead channels, and how far it is from the recording."""

import numpy as np
import pytest
import torch

from eeg_hf import EEGFeatureExtractor, StreamingExtractor
from eeg_hf.processing.calibration import Calibration, SignalOrigin
from eeg_hf.processing.causal_filters import StreamResampler, minimum_phase, settling_samples
from eeg_hf.processing.covariance import mean_covariance, whitening_matrix
from eeg_hf.processing.filtering import design_band_pass, design_notch, gain
from eeg_hf.processing.window_normalization import normalize_window

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "O1", "O2"]


def draw_eeg(seconds, rate, seed=0):
    """Return noise with the spectrum of EEG on electrode offsets of some mV, in uV."""
    rng = np.random.default_rng(seed)
    count = round(seconds * rate)
    spectrum = np.fft.rfft(rng.normal(size=(len(NAMES), count)))
    spectrum /= np.maximum(np.fft.rfftfreq(count, 1 / rate), 3.0)
    eeg = np.fft.irfft(spectrum, count)
    return 20 * eeg / eeg.std() + rng.normal(scale=3000, size=(len(NAMES), 1))


def stream(eeg, extractor, rate, names=NAMES, stamps=None, sizes=(50,), **settings):
    """Push samples in pieces whose sizes come round and round."""
    extraction = StreamingExtractor(extractor, rate, names, "uV", **settings)
    windows, start, turn = [], 0, 0
    while start < eeg.shape[1]:
        stop = start + sizes[turn % len(sizes)]
        windows += extraction.push(eeg[:, start:stop], None if stamps is None else stamps[start:stop])
        start, turn = stop, turn + 1
    return windows, extraction


def damage(rate):
    """Return EEG with all that goes wrong on the way, and its stamps."""
    eeg = draw_eeg(24, rate)
    stamps = 1000 + np.arange(eeg.shape[1]) / rate
    eeg[2, round(3 * rate) : round(3.1 * rate)] = np.nan  # one channel
    eeg[:, round(8 * rate) : round(8.4 * rate)] = np.nan  # all
    eeg[5, round(18 * rate) :] = eeg[5, round(18 * rate)]  # dies
    eeg[6, round(20 * rate)] = 1e9
    stamps[round(13 * rate) :] += 0.7
    return eeg, stamps


def as_rows(windows):
    marks = [window.marks() for window in windows]
    values = [None if w.features is None else w.features["input_values"].numpy() for w in windows]
    return marks, values


@pytest.fixture(scope="module")
def damaged():
    eeg, stamps = damage(125.0)
    extractor = EEGFeatureExtractor(sampling_rate=100, lowpass_hz=40, window_seconds=2.0)
    return (
        eeg,
        stamps,
        extractor,
        stream(eeg, extractor, 125.0, stamps=stamps, sizes=(eeg.shape[1],), hop_seconds=0.5),
    )


@pytest.mark.parametrize("sizes", [(1,), (7,), (64,), (1000,), "random 1", "random 2", "random 3"])
def test_sizes_of_pieces_change_nothing(damaged, sizes):
    eeg, stamps, extractor, (windows, whole) = damaged
    if isinstance(sizes, str):
        sizes = tuple(np.random.default_rng(int(sizes[-1])).geometric(0.02, size=200).tolist())
    pieces, extraction = stream(eeg, extractor, 125.0, stamps=stamps, sizes=sizes, hop_seconds=0.5)
    (marks, values), (other_marks, other_values) = as_rows(windows), as_rows(pieces)
    assert marks == other_marks
    for value, other in zip(values, other_values, strict=True):
        np.testing.assert_array_equal(value, other)
    assert vars(extraction.counts) == vars(whole.counts)


def test_what_goes_wrong_is_marked_and_no_window_crosses_a_gap(damaged):
    _, _, _, (windows, extraction) = damaged
    counts = extraction.counts
    assert (counts.gaps, counts.lost_samples) == (2, round(0.4 * 125) + round(0.7 * 125))
    assert counts.windows == len(windows) and counts.problems == 0
    for window in windows:
        span = (window.start - 1000, window.end - 1000)
        assert not span[0] < 8.2 < span[1], "crosses the samples without numbers"
        assert not span[0] < 13.35 < span[1], "crosses the jump of the stamps"
        assert window.restarts == (span[0] > 8.2) + (span[0] > 13.35)
        mask = window.features["channel_mask"][0].numpy()
        values = window.features["input_values"][0].numpy()
        assert set(np.array(NAMES)[~mask]) == set(window.bad_channels)
        assert not values[~mask].any() and values[mask].any(axis=1).all()
        # One channel's NaN, until the filters have forgotten them
        near = span[0] < 3.1 + extraction.settling_seconds and span[1] > 3.1 and window.restarts == 0
        assert near <= ("F3" in window.bad_channels)
        assert ("F3" in window.bad_channels) <= (span[1] + extraction.latency_seconds > 3.0)
        assert ("C4" in window.bad_channels) == (span[1] > 18.7 + 0.99), "flat from 18 s and the gap on"
        assert ("O1" in window.bad_channels) == (span[1] > 20.7)
    first_after = next(window for window in windows if window.restarts == 1)
    assert first_after.start == pytest.approx(1008.4) and not first_after.is_settled
    assert windows[-1].is_settled and windows[-1].index == len(windows) - 1


@pytest.mark.parametrize(
    ("rate", "settings"),
    [
        (250.0, {}),
        (160.0, {"normalization": "zscore", "highpass_hz": 1.0}),
        (200.0, {"normalization": "microvolt", "reference": ["C3", "C4"]}),
        (173.61, {"reference": "original", "lowpass_hz": 30.0, "normalization": "none"}),
        (256.0, {"channels": ["Fp1-F3", "C3-O1"], "reference": "original", "notch_hz": 20.0}),
        (250.0, {"channels": [*NAMES, "Cz"], "missing_channels": "interpolate"}),
        (250.0, {"channels": [*NAMES, "Cz"], "missing_channels": "mask"}),
        (250.0, {"highpass_hz": None, "lowpass_hz": None}),
    ],
)
def test_with_linear_phase_the_stream_is_the_contract(rate, settings):
    eeg = draw_eeg(24 if "notch_hz" in settings else 16, rate)
    extractor = EEGFeatureExtractor(window_seconds=1.5, **settings)
    windows, extraction = stream(eeg, extractor, rate, phase="linear")
    whole = extractor(eeg, sampling_rate=rate, channel_names=NAMES, unit="uV")
    settled = [window for window in windows if window.start > 2 * extraction.latency_seconds]
    assert len(settled) >= 2
    for window in settled:
        number = round(window.start / 1.5)
        for name, value in window.features.items():
            np.testing.assert_allclose(value[0], whole[name][number], atol=2e-4, err_msg=name)


def test_with_minimum_phase_the_stream_is_near_the_contract():
    """The figures that docs/streaming.md states for EEG, on noise with its spectrum."""
    eeg = draw_eeg(40, 250.0)
    extractor = EEGFeatureExtractor(window_seconds=4.0)
    windows, extraction = stream(eeg, extractor, 250.0)
    assert extraction.latency_seconds == pytest.approx(0.052)
    assert extraction.delay_seconds == pytest.approx(0.0133, abs=1e-3)
    assert 1.5 < extraction.settling_seconds < 2.5
    whole = extractor(eeg, sampling_rate=250.0, channel_names=NAMES, unit="uV")["input_values"]
    settled = [window for window in windows if window.is_settled]
    assert len(settled) == len(windows) - 1
    for window in settled:
        pair = window.features["input_values"][0, :, 3:], whole[window.index, :, :-3]
        correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(*pair, strict=True)]
        assert min(correlations) > 0.8


@pytest.mark.parametrize("taps", [design_band_pass(250.0, 0.5, 45.0), design_notch(250.0, [50.0])])
def test_minimum_phase_keeps_the_gain_and_loses_the_delay(taps):
    frequencies = np.linspace(0, 124, 500)
    short = minimum_phase(taps)
    np.testing.assert_allclose(gain(short, frequencies, 250.0), gain(taps, frequencies, 250.0), atol=2e-4)
    assert np.argmax(np.abs(short)) < 10 < len(taps) // 2
    assert settling_samples(short) < len(taps) / 2


def test_the_rate_changes_without_drift():
    rate, seconds = 256.0, 3600
    resampler = StreamResampler(rate, 200.0)
    blocks = (
        np.sin(2 * np.pi * 7.3 * np.arange(s, s + 25_600) / rate)[None] for s in range(0, 921_600, 25_600)
    )
    slow = np.concatenate([resampler(block) for block in blocks], axis=1)[0]
    times = np.arange(len(slow)) / 200.0
    assert len(slow) >= seconds * 200 - 20
    np.testing.assert_allclose(slow[-1000:], np.sin(2 * np.pi * 7.3 * times[-1000:]), atol=2e-3)
    count = resampler.needed(10**15)  # 158,000 years
    assert count == (10**15 - 1) * 32 // 25 + resampler.lookahead + 1


def test_a_stream_holds_no_more_after_many_windows():
    eeg = draw_eeg(4, 250.0)
    extraction = StreamingExtractor(
        EEGFeatureExtractor(window_seconds=1.0), 250.0, NAMES, "uV", hop_seconds=0.1
    )

    def held():
        parts = [vars(part) for part in (extraction, *vars(extraction).values()) if hasattr(part, "__dict__")]
        return sum(v.nbytes for part in parts for v in part.values() if isinstance(v, np.ndarray))

    extraction.push(eeg)
    before = held()
    for _ in range(5):
        extraction.push(eeg)
        assert held() < 1.01 * before + 4000


def test_nothing_alive_is_a_problem_not_zeros():
    rate = 125.0
    eeg = draw_eeg(6, rate)
    eeg[:, 250:500] = eeg[:, 250:251]
    extractor = EEGFeatureExtractor(sampling_rate=100, lowpass_hz=40, window_seconds=1.0)
    windows, extraction = stream(eeg, extractor, rate)
    dead = [window for window in windows if window.features is None]
    assert dead and extraction.counts.problems == len(dead) < len(windows)
    assert all("no channel holds a signal: Fp1 (flat for a second)" in window.problem for window in dead)
    assert set(dead[0].bad_channels) == set(NAMES)
    wrong_unit, _ = stream(draw_eeg(4, rate) * 1e3, extractor, rate)
    assert all("implausible amplitude" in window.problem for window in wrong_unit)


def test_a_loud_channel_stays_out_of_the_reference():
    rate = 125.0
    eeg = draw_eeg(12, rate)
    eeg[1] += 40 * (draw_eeg(12, rate, seed=5)[1] - draw_eeg(12, rate, seed=5)[1].mean())
    extractor = EEGFeatureExtractor(sampling_rate=100, lowpass_hz=40, window_seconds=3.0)
    windows, _ = stream(eeg, extractor, rate)
    assert all(set(window.reference_outliers) == {"Fp2"} for window in windows)
    frank = EEGFeatureExtractor(sampling_rate=100, lowpass_hz=40, window_seconds=3.0, robust_reference=False)
    assert not any(window.reference_outliers for window in stream(eeg, frank, rate)[0])


def test_decisions_of_a_recording_hold_on_the_stream():
    rate = 250.0
    eeg = draw_eeg(20, rate)
    eeg += np.arange(8)[:, None] * 30 * np.sin(2 * np.pi * 50 * np.arange(eeg.shape[1]) / rate)
    eeg[3] += np.random.default_rng(1).normal(scale=900, size=eeg.shape[1])
    settings = {"window_seconds": 2.0, "notch_hz": "auto", "bad_channels": "auto", "lowpass_hz": 60.0}
    extractor = EEGFeatureExtractor(**settings)
    with pytest.raises(ValueError, match=r"notch_hz='auto', bad_channels='auto': a stream cannot look ahead"):
        StreamingExtractor(extractor, rate, NAMES, "uV")
    import mne

    raw = mne.io.RawArray(eeg * 1e-6, mne.create_info(NAMES, rate, "eeg"), verbose="ERROR")
    _, report = extractor.preprocess(raw)
    assert report.line_freq == 50.0 and "F4" in report.bad_channels
    windows, _ = stream(eeg, extractor, rate, phase="linear", decisions=report)
    whole = extractor(raw)["input_values"]
    np.testing.assert_allclose(windows[3].features["input_values"][0], whole[3], atol=1e-3)
    assert "F4" in windows[3].bad_channels


def test_alignment_and_calibration_are_applied():
    rate = 200.0
    eeg = draw_eeg(8, rate)
    extractor = EEGFeatureExtractor(window_seconds=2.0, alignment="euclidean", highpass_hz=1.0)
    with pytest.raises(ValueError, match="needs reference_covariance"):
        StreamingExtractor(extractor, rate, NAMES, "uV")
    plain = EEGFeatureExtractor(window_seconds=2.0, normalization="none", highpass_hz=1.0)
    clean = np.stack([w.features["input_values"][0].numpy() for w in stream(eeg, plain, rate)[0]])
    covariance = mean_covariance(clean)
    windows, _ = stream(eeg, extractor, rate, reference_covariance=covariance)
    expected = whitening_matrix(covariance) @ clean[2]
    np.testing.assert_allclose(windows[2].features["input_values"][0], expected.clip(-15, 15), atol=1e-4)

    origin = SignalOrigin(NAMES, 200.0, "average", "none", 1.0, 45.0, [[1.0, 4.0]], "channels", True)
    calibration = Calibration(np.ones((1, 8, 8), np.float32), np.ones((1, 8), np.float32), origin, 30.0)
    windows, _ = stream(eeg, plain, rate, calibration=calibration)
    assert windows[0].features["recentring_whitening"].shape == (1, 1, 8, 8)
    with pytest.raises(ValueError, match="calibration: made with"):
        StreamingExtractor(plain, rate, NAMES[:4], "uV", calibration=calibration)


@pytest.mark.parametrize(
    "settings", [{}, {"normalization": "zscore"}, {"normalization": "microvolt", "clip": None}]
)
@pytest.mark.parametrize("length", [400, 1500, 3])
def test_normalisation_in_numpy_is_that_of_torch(settings, length):
    extractor = EEGFeatureExtractor(**settings)
    rng = np.random.default_rng(0)
    window = rng.normal(scale=20, size=(4, length)).astype(np.float32)
    window[1] = 7.0
    window[2, length // 5 :] = 0.0
    is_good = np.array([True, True, True, False])
    expected = extractor.normalize(torch.from_numpy(window)[None].clone(), torch.from_numpy(is_good)[None])[0]
    np.testing.assert_allclose(normalize_window(window, extractor, is_good), expected, atol=2e-6)


@pytest.mark.parametrize(
    ("samples", "stamps", "message"),
    [
        (np.zeros((7, 10)), None, r"expected samples of shape \(8, n\).*got \(7, 10\)"),
        (np.zeros((10, 8)), None, "transpose"),
        (np.zeros(10), None, "one row for each channel"),
        (np.zeros((8, 10), complex), None, "real samples"),
        (np.zeros((8, 10)), np.zeros(9), "expected 10 finite timestamps"),
        (np.zeros((8, 10)), np.full(10, np.nan), "finite timestamps"),
    ],
)
def test_pieces_that_do_not_fit_are_refused(samples, stamps, message):
    extraction = StreamingExtractor(EEGFeatureExtractor(), 250.0, NAMES, "uV")
    with pytest.raises((ValueError, TypeError), match=message):
        extraction.push(samples, stamps)
    assert extraction.counts.samples == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unit": "nV"}, "unit must be one of"),
        ({"phase": "zero"}, "phase must be one of"),
        ({"hop_seconds": 0.001}, "less than a sample"),
        ({"hop_seconds": -1}, "hop_seconds must be a positive number"),
        ({"sampling_rate": 60.0}, "Nyquist"),
        ({"channel_names": ["C3", "C3"]}, "more than once"),
        ({"channel_names": ["C3", "Nowhere"]}, "unknown EEG channel"),
        ({"extractor": EEGFeatureExtractor(channels=["Cz", "C3"])}, "missing EEG channels Cz"),
        ({"extractor": EEGFeatureExtractor(window_seconds=None)}, "needs a length of windows"),
    ],
)
def test_streams_that_do_not_fit_are_refused(settings, message):
    given = {
        "extractor": EEGFeatureExtractor(),
        "sampling_rate": 250.0,
        "channel_names": ["C3", "C4"],
        "unit": "uV",
    }
    with pytest.raises(ValueError, match=message):
        StreamingExtractor(**{**given, **settings})


def test_stamps_come_with_all_samples_or_with_none():
    extraction = StreamingExtractor(EEGFeatureExtractor(), 250.0, ["C3", "C4"], "uV")
    extraction.push(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="no timestamps, these have"):
        extraction.push(np.zeros((2, 5)), np.arange(5) / 250)
