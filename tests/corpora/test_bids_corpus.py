# SPDX-License-Identifier: Apache-2.0
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from transformers.utils import logging

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.bids_corpus import BIDSCorpus

CHANNELS = (("Fp1", 10.0), ("Fp2", 20.0), ("Cz", 30.0), ("O1", 40.0), ("Status2", 400.0))
EVENTS = "onset\tduration\ttrial_type\tresponse_time\n2\t0\tgo\t0.5\n5\t0\tstop\tn/a\n8\t0\tgo\t0.25\n"


@pytest.fixture
def tree(write_sines, tmp_path) -> Path:
    root = tmp_path / "ds"
    for below in (
        "sub-01/ses-a/eeg/sub-01_ses-a_task-go_run-1_eeg.edf",
        "sub-01/ses-b/eeg/sub-01_ses-b_task-go_run-1_eeg.edf",
        "sub-02/ses-a/eeg/sub-02_ses-a_task-go_run-1_eeg.edf",
        "sub-02/ses-a/eeg/sub-02_ses-a_task-rest_run-1_eeg.edf",
    ):
        write_sines(root / below, CHANNELS, seconds=12.0)
    about = {
        "Name": "Go and stop",
        "License": "CC BY 4.0",
        "Authors": ["Ada A", "Ben B"],
        "DatasetDOI": "doi:10.1234/x",
    }
    (root / "dataset_description.json").write_text(json.dumps(about))
    (root / "participants.tsv").write_text(
        "participant_id\tage\tsex\tgroup\nsub-01\t23\tF\t1\nsub-02\tn/a\tM\ta\n"
    )
    (root / "sub-01" / "sub-01_sessions.tsv").write_text("session_id\tage\nses-a\t23\nses-b\t24.5\n")
    (root / "task-go_events.tsv").write_text(EVENTS)
    (root / "task-go_eeg.json").write_text(json.dumps({"EEGReference": "FCz", "PowerLineFrequency": 50}))
    rows = [f"{name}\tEEG\tuV\tgood" for name, _ in CHANNELS[:4]] + ["Status2\tTRIG\tn/a\tn/a"]
    (root / "task-go_channels.tsv").write_text("\n".join(["name\ttype\tunits\tstatus", *rows]) + "\n")
    return root


def test_a_tree_says_who_what_and_under_which_licence(tree):
    corpus = BIDSCorpus(name="gostop", task="go")
    first, second, third = corpus.recordings(tree)
    assert (first.corpus, first.subject, first.session, first.run, first.task) == (
        "gostop",
        "01",
        "a",
        "task-go_run-1",
        "go",
    )
    assert first.labels == {"age": 23.0, "sex": "F", "group": "1"} and second.labels["age"] == 24.5
    assert third.labels == {"age": None, "sex": "M", "group": "a"}
    assert corpus.label_columns([first]) == {"age": float, "sex": str, "group": str}
    assert (corpus.title, corpus.licence, corpus.hub_licence) == ("Go and stop", "CC BY 4.0", "cc-by-4.0")
    assert corpus.url == "https://doi.org/10.1234/x" and corpus.reference == "FCz"
    assert corpus.citation == "Ada A, Ben B. Go and stop. 10.1234/x"


def test_a_task_a_column_and_an_event_column_that_do_not_exist_are_refused_with_those_there(tree):
    for options, reason in (
        ({"task": "movie"}, "no task movie: it has go, rest"),
        ({"labels": ["iq"]}, "no column iq .* age, sex, group"),
        ({"event_columns": ["rt"]}, "no column rt .*response_time"),
    ):
        with pytest.raises(ValueError, match=reason):
            BIDSCorpus(**options).recordings(tree)
    with pytest.raises(ValueError, match="name must be"):
        BIDSCorpus(name="a/b")


def test_columns_named_like_those_of_every_window_are_renamed(tree):
    (tree / "participants.tsv").write_text("participant_id\ttask\nsub-01\tx\nsub-02\ty\n")
    corpus = BIDSCorpus(labels=["task"])
    assert [r.labels for r in corpus.recordings(tree)][0] == {"task_label": "x"}


def test_a_folder_without_recordings_is_refused_with_the_layout(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected sub-01"):
        BIDSCorpus(root=tmp_path).locate()


def test_one_recording_in_two_formats_is_refused(tree):
    there = tree / "sub-02/ses-a/eeg/sub-02_ses-a_task-go_run-1_eeg.edf"
    there.with_suffix(".bdf").write_bytes(there.read_bytes())
    with pytest.raises(ValueError, match="more than once, first subject 02"):
        BIDSCorpus().recordings(tree)


def test_windows_at_events_carry_the_labels_of_person_and_event(tree, read_windows, tmp_path, monkeypatch):
    logging.disable_progress_bar()
    bad = (tree / "task-go_channels.tsv").read_text().replace("Fp2\tEEG\tuV\tgood", "Fp2\tEEG\tuV\tbad")
    (tree / "sub-02" / "sub-02_task-go_channels.tsv").write_text(bad)
    corpus = pickle.loads(pickle.dumps(BIDSCorpus(task="go", event_columns=["response_time"])))
    extractor = EEGFeatureExtractor(
        sampling_rate=100.0, highpass_hz=1.0, lowpass_hz=40.0, window_seconds=2.0, reference="original"
    )
    report = prepare(corpus, tmp_path / "out", extractor, root=tree, segments="events", tmin=-1.0)
    assert (report["recordings_ok"], report["windows"]) == (3, 9)
    rows = read_windows(tmp_path / "out")
    first = rows[0]
    assert (first["subject"], first["session"], first["event"], first["start_seconds"]) == (
        "01",
        "a",
        "go",
        1.0,
    )
    assert (first["age"], first["sex"], first["response_time"]) == (23.0, "F", 0.5)
    assert (
        rows[1]["response_time"] is None and first["reference"] == "FCz" and first["licence"] == "CC BY 4.0"
    )
    assert first["channels"] == ["Fp1", "Fp2", "Cz", "O1"] and first["bad_channels"] == []
    assert rows[-1]["subject"] == "02" and rows[-1]["bad_channels"] == ["Fp2"]
    for name, amplitude in CHANNELS[:4]:
        assert first["amplitude"][name] == pytest.approx(amplitude, rel=0.02)


def test_a_sidecar_that_changes_makes_the_recording_another_one(tree):
    corpus = BIDSCorpus(task="go")
    recording = corpus.recordings(tree)[0]
    before = corpus.provenance(recording)
    assert before == corpus.provenance(recording)
    (tree / "task-go_channels.tsv").write_text("name\tstatus\nCz\tbad\n")
    assert corpus.provenance(recording) != before


def test_without_events_the_recordings_own_annotations_are_taken(write_sines, tmp_path):
    marks = [(1.0, 0.5, "go"), (2.0, 0.5, "BAD_blink")]
    path = tmp_path / "sub-01/eeg/sub-01_task-go_eeg.edf"
    write_sines(path, CHANNELS[:4], seconds=5.0, annotations=marks)
    corpus = BIDSCorpus()
    (recording,) = corpus.recordings(tmp_path)
    events = corpus.events(recording, corpus.read(recording))
    assert [(e.onset, e.duration, e.name) for e in events] == [(1.0, 0.5, "go")]
    assert recording.session == "1" and corpus.licence == "unknown" and corpus.hub_licence == "unknown"
    assert np.isfinite(corpus.read(recording).get_data()).all()
