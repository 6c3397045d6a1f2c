# SPDX-License-Identifier: Apache-2.0
"""A recording that is cleaned in blocks comes out as if it had been cleaned as a whole."""

import copy
import json
import shutil
import tracemalloc

import mne
import numpy as np
import pytest
import torch

from eeg_hf import EEGFeatureExtractor, get_corpus, load_windows
from eeg_hf.corpora import prepare
from eeg_hf.processing import long_recordings
from eeg_hf.processing.preprocessing import preprocess

NAMES = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2"]


@pytest.fixture
def in_blocks(monkeypatch):
    """Clean every recording in blocks of a few seconds."""

    def switch(on: bool = True) -> None:
        monkeypatch.setattr(long_recordings, "LARGEST_HELD_BYTES", 0 if on else 2**40)
        monkeypatch.setattr(long_recordings, "_BLOCK_SAMPLES", 20_000)

    return switch


def recording(rate: float = 250.0, seconds: float = 47.3, line_hz: float = 50.0) -> mne.io.RawArray:
    """Return ten channels of correlated noise with drifts, line noise, an offset and a gap."""
    rng = np.random.default_rng(0)
    t = np.arange(round(seconds * rate)) / rate
    shared = np.cumsum(rng.normal(size=t.size)) * 0.5
    data = shared + 15 * rng.normal(size=(len(NAMES), t.size))
    data += np.arange(len(NAMES))[:, None] * 3 * np.sin(2 * np.pi * line_hz * t)
    data += np.linspace(-200, 300, len(NAMES))[:, None]
    raw = mne.io.RawArray(data * 1e-6, mne.create_info(NAMES, rate, "eeg"), first_samp=100, verbose="ERROR")
    raw.set_annotations(mne.Annotations([20.0, 30.0], [2.0, 0.0], ["BAD_ACQ_SKIP", "EDGE boundary"]))
    return raw


def both(raw, in_blocks, **settings):
    """Return (recording, report) of the whole and of blocks."""
    results = []
    for on in (False, True):
        in_blocks(on)
        results.append(preprocess(raw.copy(), **settings))
    return results


def rounded(report: dict) -> dict:
    """Return a report whose numbers have ten digits."""
    text = json.dumps(report, default=float)
    return json.loads(text, parse_float=lambda number: float(f"{float(number):.10g}"))


def assert_equal(whole, blocks) -> None:
    expected, found = whole[0].get_data() * 1e6, blocks[0].get_data() * 1e6
    assert found.shape == expected.shape
    # Single precision of microvolts, and rounding of the filters
    assert np.abs(found - expected).max() < 1e-6 * np.abs(expected).max() + 1e-6
    assert rounded(blocks[1].to_dict()) == rounded(whole[1].to_dict())
    assert list(blocks[0].annotations) == list(whole[0].annotations)
    assert blocks[0].first_samp == whole[0].first_samp


@pytest.mark.parametrize(
    ("rate", "settings"),
    [
        (250.0, {}),
        (512.0, {"notch_hz": "auto", "lowpass_hz": 70.0}),
        (200.0, {"highpass_hz": 0.1, "reference": ["C3", "C4"]}),
        (173.61, {"lowpass_hz": 40.0}),
        (250.0, {"adaptive": True, "bad_channels": "auto", "highpass_hz": None}),
        (250.0, {"channels": ["C3", "Cz", "O1", "F3-C3"], "missing_channels": "mask"}),
        (250.0, {"channels": ["C3", "Cz", "O1"], "missing_channels": "interpolate"}),
        (128.0, {"highpass_hz": None, "lowpass_hz": None, "reference": "original", "sampling_rate": 128.0}),
        (100.0, {"lowpass_hz": 45.0, "sampling_rate": 333.0}),
    ],
)
def test_blocks_give_what_the_whole_gives(in_blocks, rate, settings):
    assert_equal(*both(recording(rate), in_blocks, **settings))


def test_faults_are_found_in_blocks_too(in_blocks):
    raw = recording()
    raw._data[0] *= 40  # loud
    raw._data[1, 5000:] += 0.1  # a step
    raw._data[2] = np.clip(raw._data[2], np.quantile(raw._data[2], 0.2), np.inf)  # clipped
    raw._data[3] = 1e-3  # flat
    raw._data[4, 7000] = np.nan
    raw._data[5, 70] = 3.0  # above a volt
    raw.info["bads"] = ["P3"]
    whole, blocks = both(raw, in_blocks)
    assert_equal(whole, blocks)
    assert set(whole[1].bad_channels) == {"F4", "C3", "C4", "P3"}
    assert set(whole[1].reference_outliers) == {"Fp1", "Fp2"} and whole[1].clipped_share["F3"] > 0.1


@pytest.mark.parametrize("factor", [1e6, 1e3])
def test_a_wrong_unit_is_corrected_in_blocks_too(in_blocks, factor):
    raw = recording()
    raw._data -= raw._data.mean(axis=1, keepdims=True)
    raw._data *= factor
    whole, blocks = both(raw, in_blocks, adaptive=True)
    assert whole[1].scale_uv == 1 / factor
    assert_equal(whole, blocks)


def test_seconds_without_signal_do_not_count_in_blocks_either(in_blocks):
    raw = recording(seconds=120.0)
    raw._data[:, 2000:28_000] = 0.0
    assert_equal(*both(raw, in_blocks))


def test_a_stretch_without_any_sample_is_a_gap(in_blocks):
    raw = recording()
    raw._data[:, 6000:6500] = np.nan
    whole, blocks = both(raw, in_blocks)
    assert_equal(whole, blocks)
    assert not whole[1].bad_channels
    marks = [(round(m["onset"] - raw.first_time, 3), m["duration"]) for m in whole[0].annotations]
    assert (24.0, 2.0) in marks
    # The filter does not carry the gap into the signal beside it
    assert np.abs(whole[0].get_data(tmin=22.5, tmax=23.99)).max() < 300e-6


def test_a_stored_recording_reads_like_another(in_blocks):
    in_blocks()
    clean, _ = EEGFeatureExtractor().preprocess(recording())
    data = clean.get_data()
    assert np.array_equal(clean.get_data(picks=["O1", "Fp1"], start=7, stop=900), data[[8, 0], 7:900])
    assert np.array_equal(clean.copy().load_data().get_data(), data)
    assert np.array_equal(clean.copy().crop(1.0, 2.0).get_data(), data[:, 200:401])
    path = clean.filenames[0]
    twin = copy.deepcopy(clean)
    del clean
    assert path.exists() and np.array_equal(twin.get_data(), data)
    del twin
    assert not path.exists()


def test_a_stored_signal_gives_microvolts_and_whole_pieces():
    samples = np.random.default_rng(0).normal(size=(2, 1050)).astype(np.float32) * 1e-5
    stored = long_recordings.StoredSignal(2, 1050)
    stored.write(0, samples[:, :700])
    stored.write(700, samples[:, 700:])
    np.testing.assert_allclose(stored.read_uv(100, 900), samples[:, 100:900] * 1e6, rtol=1e-6)
    np.testing.assert_allclose(stored.peaks_uv, np.abs(samples).max(axis=1) * 1e6, rtol=1e-6)
    for most, lengths in [(250, [200, 200, 200, 200, 250]), (5000, [1050]), (10, [100] * 9 + [150])]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(long_recordings, "_STRETCH_SAMPLES", most)
            parts = list(stored.stretches(1, 100))
        assert [len(part) for part in parts] == lengths
        np.testing.assert_allclose(np.concatenate(parts), samples[1], rtol=1e-6)


def test_memory_does_not_grow_with_the_recording(tmp_path):
    """Each copy of the samples would take 48 MB more."""
    peaks = []
    for minutes in (10, 60):
        raw = recording(rate=200.0, seconds=60.0)
        raw = mne.concatenate_raws([raw.copy() for _ in range(minutes)], verbose="ERROR")
        path = tmp_path / f"{minutes}_raw.fif"
        raw.save(path, verbose="ERROR")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(long_recordings, "LARGEST_HELD_BYTES", 0)
            patch.setattr(long_recordings, "_BLOCK_SAMPLES", 200_000)
            patch.setattr(long_recordings, "_STRETCH_SAMPLES", 20_000)
            source = mne.io.read_raw_fif(path, verbose="ERROR")
            tracemalloc.start()
            preprocess(source)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_windows_of_a_long_recording_are_those_of_a_short_one(in_blocks, tmp_path):
    corpus = get_corpus("simulated", num_subjects=1, seconds=40.0)
    tables = []
    for on in (False, True):
        in_blocks(on)
        prepare(corpus, tmp_path / str(on), EEGFeatureExtractor(window_seconds=2.0), stride_seconds=1.5)
        tables.append(load_windows(tmp_path / str(on)).with_format("pandas")[:])
    whole, blocks = tables
    assert len(whole) > 20 and whole["start_seconds"].equals(blocks["start_seconds"])
    for one, other in zip(whole["signal"], blocks["signal"], strict=True):
        counts = [np.frombuffer(signal, "<i2").astype(int) for signal in (one, other)]
        assert np.abs(counts[0] - counts[1]).max() <= 1


def test_an_extractor_passes_windows_on_in_batches(in_blocks):
    extractor, raw = EEGFeatureExtractor(window_seconds=2.0), recording()
    whole = extractor(raw)
    in_blocks()
    parts = list(extractor.iterate(raw, batch_size=5))
    assert [len(part["input_values"]) for part in parts] == [5, 5, 5, 5, 4]
    for name, expected in whole.items():
        found = torch.cat([part[name] for part in parts])
        assert torch.allclose(found.float(), expected.float(), atol=1e-4), name
    with pytest.raises(ValueError, match="without window_seconds there are no batches"):
        next(EEGFeatureExtractor(window_seconds=None).iterate(raw))


def test_a_full_disk_is_named_before_anything_is_written(in_blocks, monkeypatch):
    in_blocks()
    full = shutil.disk_usage(".")._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(OSError, match="a clean recording of .* does not fit into .*: set TMPDIR"):
        preprocess(recording())
