# SPDX-License-Identifier: Apache-2.0
import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.io import savemat

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.isc_video import ISCVideo
from tests.recordings import real_recordings

REAL, needs_recordings = real_recordings("isc_video")
LABELS = ["P3", "Cz", "GND", "Fcz", "Oz"]
RATE, SAMPLES, UV = 256, 5121, 25.0


def write_set(root, number, first_mark, datfile=None):
    """Write a .set with its samples in a .fdt, as EEGLAB does, and the marks of the published files."""
    time = np.arange(SAMPLES) / RATE
    data = np.outer([1, -1, 1, 0.5, -0.5], UV * np.sin(2 * np.pi * 10 * time)).astype("<f4")
    name = datfile or f"T5-{number}.fdt"
    (root / name).write_bytes(data.tobytes(order="F"))
    latencies = [0.5] + [(first_mark + 5 * k) * RATE + 1 for k in range(4)]
    event = np.array(
        [
            (kind, latency, np.nan if kind == "boundary" else 0)
            for kind, latency in zip(["boundary"] + ["5sec"] * 4, latencies, strict=True)
        ],
        dtype=[("type", object), ("latency", object), ("duration", object)],
    )
    locations = np.array([(label,) for label in LABELS], dtype=[("labels", object)])
    content = {"nbchan": len(LABELS), "pnts": SAMPLES, "trials": 1, "srate": RATE, "xmin": 0.0}
    content |= {"data": name, "datfile": name, "chanlocs": locations, "event": event, "ref": "common"}
    content |= {"xmax": (SAMPLES - 1) / RATE, "epoch": [], "setname": "EDF file resampled pruned with ICA"}
    savemat(root / f"T5-{number}.set", content, oned_as="row")


def test_the_copy_of_a_person_is_left_out(tmp_path, caplog):
    for number in (2, 10, 15):
        write_set(tmp_path, number, 1.0, "T5-15.fdt" if number == 10 else None)
    found = ISCVideo().recordings(tmp_path)
    assert [r.subject for r in found] == ["02", "15"]
    assert (
        f"1 recordings in {tmp_path} are known to be bad and left out: 10 (a copy of T5-15.set)"
        in caplog.text
    )


def test_windows_of_all_people_begin_at_the_same_moments_of_the_film(tmp_path):
    for number, first_mark in ((1, 0.875), (6, 4.25)):
        write_set(tmp_path, number, first_mark)
    extractor = EEGFeatureExtractor(RATE, None, None, reference="original", window_seconds=5.0)
    report = prepare(
        ISCVideo(),
        tmp_path / "out",
        extractor,
        root=tmp_path,
        segments="events",
        event_labels={"5sec": "5sec"},
    )
    assert report["failures"] == [] and report["dropped"] == {"outside": 2, "unnamed": 2}
    rows = pq.read_table(tmp_path / "out" / "data").to_pydict()
    assert rows["subject"] == ["01"] * 3 + ["06"] * 3
    assert rows["stimulus_seconds"] == pytest.approx([0, 5, 10] * 2, abs=1e-6)
    assert rows["start_seconds"] == pytest.approx([0.875, 5.875, 10.875, 4.25, 9.25, 14.25], abs=0.005)
    assert rows["channels"][0] == ["P3", "Cz", "FCz", "Oz"] and set(rows["event"]) == {"5sec"}
    signal = np.frombuffer(rows["signal"][0], "<i2").reshape(4, -1) * np.array(rows["scale"][0])[:, None]
    assert np.abs(signal).max(axis=1) == pytest.approx([UV, UV, UV / 2, UV / 2], rel=0.02)


def test_windows_of_the_film_are_at_whole_seconds_in_all_people(tmp_path):
    for number, first_mark in ((1, 227 / RATE), (6, 1086 / RATE), (7, 4.77)):
        write_set(tmp_path, number, first_mark)
    prepare(
        ISCVideo(),
        tmp_path / "out",
        EEGFeatureExtractor(200.0, None, None, window_seconds=2.0),
        root=tmp_path,
        stride_seconds=1.0,
        segments="annotations",
        event_labels={"film": "film"},
    )
    rows = pq.read_table(tmp_path / "out" / "data").to_pydict()
    seconds = {
        who: [s for s, w in zip(rows["stimulus_seconds"], rows["subject"], strict=True) if w == who]
        for who in ("01", "06", "07")
    }
    assert seconds["01"] == [float(second) for second in range(18)]
    assert seconds["06"] == seconds["01"][:14] and seconds["07"] == seconds["01"][:14]
    assert set(rows["stimulus"]) == {"fractal_animation"}
    starts = zip(rows["start_seconds"], rows["stimulus_seconds"], strict=True)
    assert [start for start, second in starts if second == 0] == pytest.approx([0.885, 4.24, 4.77], abs=1e-6)


def test_samples_that_are_not_there_are_an_error(tmp_path):
    write_set(tmp_path, 1, 1.0)
    (recording,) = ISCVideo().recordings(tmp_path)
    (tmp_path / "T5-1.fdt").unlink()
    with pytest.raises((ValueError, FileNotFoundError), match="T5-1.fdt"):
        ISCVideo().read(recording).get_data()


@needs_recordings
def test_the_real_files_are_of_fourteen_people():
    corpus = ISCVideo()
    found = corpus.recordings(REAL)
    assert len(found) == corpus.num_subjects == 14
    digests = {hashlib.sha256(r.path.with_suffix(".fdt").read_bytes()).hexdigest() for r in found}
    copies = [hashlib.sha256((REAL / f"T5-{n}.fdt").read_bytes()).hexdigest() for n in (10, 15)]
    assert len(digests) == 14 and copies[0] == copies[1]
    for recording in found:
        raw = corpus.read(recording)
        assert (raw.info["sfreq"], raw.n_times, len(raw.ch_names)) == (256.0, 5121, 32)
        assert 1 < np.median(np.abs(raw.get_data())) * 1e6 < 10
        events = corpus.events(recording, raw)
        assert [(e.name, e.labels["stimulus_seconds"]) for e in events] == [
            ("film", 0.0),
            *(("5sec", second) for second in (0.0, 5.0, 10.0, 15.0)),
        ]
        assert (events[0].onset, events[0].duration) == (events[1].onset, 20.0)
