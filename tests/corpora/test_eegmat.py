# SPDX-License-Identifier: Apache-2.0

import pytest

from eeg_hf.corpora import EEGMAT
from tests.recordings import real_recordings

REAL, needs_recordings = real_recordings("eegmat")


def test_conditions_and_people_become_labels(make_eegmat, tmp_path):
    rest, task, other, _ = EEGMAT().recordings(make_eegmat(tmp_path))
    assert (rest.subject, rest.run, rest.task) == ("00", "1", "rest")
    assert (task.subject, task.run, task.task) == ("00", "2", "serial_subtraction")
    assert dict(task.labels) == {
        "condition": "task",
        "age": 20.0,
        "sex": "F",
        "subtractions": 9.7,
        "count_quality": "bad",
    }
    assert dict(other.labels)["count_quality"] == "good" and other.subject == "01"


def test_without_the_table_people_are_unknown_and_the_condition_is_not(make_eegmat, tmp_path):
    root = make_eegmat(tmp_path, 1)
    (root / "subject-info.csv").unlink()
    labels = EEGMAT().recordings(root)[1].labels
    assert labels["condition"] == "task" and labels["age"] is None and labels["sex"] is None


def test_a_table_with_other_columns_is_refused_with_those_expected(make_eegmat, tmp_path):
    root = make_eegmat(tmp_path, 1)
    (root / "subject-info.csv").write_text("id;age\n00;20\n")
    with pytest.raises(ValueError, match="has columns .*id;age.*expected at least .*'Age'"):
        EEGMAT().recordings(root)


def test_the_difference_of_the_ears_is_no_eeg(make_eegmat, tmp_path):
    corpus = EEGMAT()
    raw = corpus.read(corpus.recordings(make_eegmat(tmp_path, 1))[0])
    assert raw.get_channel_types(["EEG A2-A1", "EEG O1"]) == ["misc", "eeg"]


def test_other_files_are_left_alone_and_the_missing_are_mentioned_once(
    make_eegmat, write_edf, tmp_path, caplog
):
    root = make_eegmat(tmp_path, 1)
    write_edf(root / "Subject00_3.edf")
    for _ in range(2):
        assert len(EEGMAT().recordings(root)) == 2
    assert [record.message for record in caplog.records] == [f"eegmat: 2 of 72 recordings are in {root}"]


def test_two_copies_of_a_recording_are_refused(make_eegmat, tmp_path):
    make_eegmat(tmp_path, 1)
    make_eegmat(tmp_path / "copy", 1)
    with pytest.raises(ValueError, match="more than once, first subject 00 .*keep one copy"):
        EEGMAT().recordings(tmp_path)


def test_the_official_split_has_every_subject_once():
    parts = EEGMAT.official_split
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [28, 4, 4]
    assert sorted(sum(parts.values(), ())) == [f"{i:02d}" for i in range(36)]


@needs_recordings
def test_the_real_corpus_has_the_published_shape():
    corpus = EEGMAT()
    recordings = corpus.recordings(REAL)
    assert len(recordings) == 72 and len({r.subject for r in recordings}) == 36
    windows = {"rest": 0, "task": 0}
    for recording in recordings:
        raw = corpus.read(recording)
        assert raw.info["sfreq"] == 500.0 and raw.get_channel_types().count("misc") == 1
        windows[str(recording.labels["condition"])] += int(raw.n_times // 2500)
    assert windows == {"rest": 1275, "task": 432}
