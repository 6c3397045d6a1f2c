# SPDX-License-Identifier: Apache-2.0
"""Kinds of recordings and of windows, prepared end to end."""

import time

import mne
import numpy as np
import pytest
from datasets import load_dataset
from transformers.utils import logging

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import Event, Recording, Simulated, prepare

RAW = {"sampling_rate": 250.0, "highpass_hz": None, "lowpass_hz": None, "reference": "original"}


@pytest.fixture(autouse=True)
def quiet(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets_cache")
    logging.disable_progress_bar()


def decode(row):
    counts = np.frombuffer(row["signal"], "<i2").reshape(-1, row["num_samples"])
    return counts * np.array(row["scale"], np.float32)[:, None]


class Scored(Simulated):
    """Simulated recordings of which every block was given a score."""

    label_names = {"condition": str, "score": float}

    def events(self, recording, raw):
        return [
            Event(e.onset, e.duration, e.name, {"score": float(i)} if i != 1 else {})
            for i, e in enumerate(super().events(recording, raw))
        ]


def test_labels_of_an_event_reach_its_windows_and_those_of_the_recording_the_others(tmp_path):
    prepare(
        Scored(1, seconds=30),
        tmp_path / "out",
        EEGFeatureExtractor(window_seconds=4.0),
        segments="annotations",
    )
    rows = load_dataset(str(tmp_path / "out"), split="train").filter(lambda row: row["task"] == "rest")
    assert rows["start_seconds"] == [0.0, 4.0, 10.0, 14.0, 20.0, 24.0]  # none across the blocks' ends
    assert rows["score"] == [0.0, 0.0, None, None, 2.0, 2.0]
    assert set(rows["condition"]) == {"rest"} == set(rows["event"])


def test_labels_that_name_no_event_are_told_which_events_there_are(tmp_path):
    extractor = EEGFeatureExtractor(window_seconds=4.0)
    with pytest.raises(RuntimeError, match="event_labels names none of its events, which are 'rest'"):
        prepare(
            Simulated(1, seconds=30),
            tmp_path / "out",
            extractor,
            segments="annotations",
            event_labels={"Rest": "rest"},
            keep={"task": ["rest"]},
        )


def test_high_windows_are_dropped_and_counted(tmp_path):
    class Jumpy(Simulated):
        def read(self, recording):
            raw = super().read(recording).load_data()
            raw._data[3, 2600:2610] += 900e-6
            return raw

    report = prepare(
        Jumpy(1, seconds=20),
        tmp_path / "out",
        EEGFeatureExtractor(window_seconds=2.0),
        reject_uv=400.0,
    )
    assert report["dropped"]["high"] == 2
    assert 10.0 not in load_dataset(str(tmp_path / "out"), split="train")["start_seconds"]


def test_overlapping_windows_of_a_long_recording_are_written_block_by_block(tmp_path):
    report = prepare(
        Simulated(1, seconds=70),
        tmp_path / "out",
        EEGFeatureExtractor(window_seconds=2.0),
        stride_seconds=0.2,
    )
    rows = load_dataset(str(tmp_path / "out"), split="train")
    assert report["windows"] == len(rows) == 2 * 341
    one, later = decode(rows[0]), decode(rows[5])
    assert np.allclose(one[:, 200:], later[:, :200], atol=0.02)


class Slow(Simulated):
    """Simulated recordings of which one never ends."""

    def read(self, recording):
        if recording.task == "task":
            time.sleep(60)
        return super().read(recording)


def test_a_recording_that_takes_too_long_is_reported_and_the_others_are_prepared(tmp_path):
    report = prepare(
        Slow(1, seconds=10),
        tmp_path / "out",
        EEGFeatureExtractor(window_seconds=2.0),
        timeout_seconds=5.0,
    )
    assert report["recordings_ok"] == 1 and report["windows"] == 5
    assert "longer than the 5 s" in report["failures"][0]["reason"]


class Spoilt(Simulated):
    """A recording whose end cannot be encoded, after its beginning was written."""

    label_names = {"condition": str, "score": float}

    def events(self, recording, raw):
        bad = recording.task == "task"
        return [Event(0.1 * i, 0.0, "e", {"score": "x" if bad and i > 300 else 1.0}) for i in range(400)]


def test_a_recording_that_fails_after_rows_were_written_leaves_none_of_them(tmp_path):
    report = prepare(
        Spoilt(1, seconds=50),
        tmp_path / "out",
        EEGFeatureExtractor(window_seconds=2.0),
        segments="events",
    )
    assert (report["recordings_ok"], report["recordings_failed"], report["windows"]) == (1, 1, 400)
    assert set(load_dataset(str(tmp_path / "out"), split="train")["task"]) == {"rest"}


class Epoched(Simulated):
    """A corpus that was published as epochs of one second."""

    def read(self, recording):
        raw = super().read(recording)
        return mne.make_fixed_length_epochs(raw, 1.0, preload=True, verbose="ERROR")

    def events(self, recording, raw):
        return [Event(float(i), 1.0, f"image{i}") for i in range(len(raw))]


def test_what_was_published_as_epochs_is_stored_as_it_is(tmp_path):
    corpus = Epoched(1, seconds=12)
    extractor = EEGFeatureExtractor(window_seconds=1.0, **RAW)
    report = prepare(corpus, tmp_path / "out", extractor, segments="events")
    rows = load_dataset(str(tmp_path / "out"), split="train")
    assert report["windows"] == len(rows) == 24
    raw = Simulated(1, seconds=12)
    expected = raw.read(raw.recordings()[0]).get_data()[:, 750:1000] * 1e6
    row = rows[3]
    assert row["event"] == "image3" and row["start_seconds"] == 3.0
    assert np.allclose(decode(row), expected, atol=0.02)


@pytest.mark.parametrize(
    ("settings", "segments", "message"),
    [
        ({**RAW, "highpass_hz": 0.5}, "events", "must not be filtered again: set highpass_hz to none"),
        ({**RAW, "sampling_rate": 200.0}, "events", "at 250 Hz, which must not be resampled"),
        (RAW, "fixed", "epochs of 1 s: set segments to events and window_seconds to 1"),
        ({**RAW, "window_seconds": 2.0}, "events", "epochs of 1 s: set segments"),
    ],
)
def test_epochs_are_not_treated_as_a_continuous_signal(tmp_path, settings, segments, message):
    extractor = EEGFeatureExtractor(**{"window_seconds": 1.0, **settings})
    with pytest.raises(RuntimeError, match=message):
        prepare(Epoched(1, seconds=12), tmp_path / "out", extractor, segments=segments)


def test_parts_of_a_job_array_together_make_the_whole(tmp_path):
    corpus, whole, parts = Simulated(5, seconds=4), tmp_path / "whole", tmp_path / "parts"
    extractor = EEGFeatureExtractor(window_seconds=2.0)
    prepare(corpus, whole, extractor)
    first = prepare(corpus, parts, extractor, part=(0, 2))
    assert not first["is_complete"] and not (parts / "README.md").exists() and first["shards_written"] == 3
    last = prepare(corpus, parts, extractor, part=(1, 2))
    assert last["is_complete"] and last["shards_written"] == 2
    files = {path.relative_to(whole) for path in whole.rglob("*.*") if path.is_file()}
    assert {path.relative_to(parts) for path in parts.rglob("*.*") if path.is_file()} == files
    assert all((whole / file).read_bytes() == (parts / file).read_bytes() for file in files)
    with pytest.raises(ValueError, match="from 0 to n - 1"):
        prepare(corpus, parts, extractor, part=(2, 2))


def test_a_subject_whose_name_no_file_can_have_is_prepared(tmp_path):
    class Odd(Simulated):
        def recordings(self, root=None):
            return [
                Recording(r.path, r.corpus, "a/b: c", r.session, r.run, r.task, r.labels)
                for r in super().recordings(root)
            ]

        def read(self, recording):
            return super().read(super().recordings()[0])

    prepare(Odd(1, seconds=4), tmp_path / "out", EEGFeatureExtractor(window_seconds=2.0))
    assert set(load_dataset(str(tmp_path / "out"), split="train")["subject"]) == {"a/b: c"}


def test_a_misspelt_name_of_an_event_is_said(tmp_path, caplog):
    logging.enable_propagation()
    try:
        report = prepare(
            Simulated(1, seconds=20),
            tmp_path / "out",
            EEGFeatureExtractor(window_seconds=2.0),
            segments="events",
            event_labels={"rest": "rest", "tsak": "task"},
        )
    finally:
        logging.disable_propagation()
    assert report["windows"] == 2 and report["dropped"] == {"unnamed": 2}
    assert "event_labels: no recording has an event 'tsak'" in caplog.text
