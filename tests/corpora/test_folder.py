# SPDX-License-Identifier: Apache-2.0
import os
import unicodedata
from pathlib import Path

import mne
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from transformers.utils import logging

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import prepare
from eeg_hf.corpora.folder import FolderCorpus, stim_events
from eeg_hf.corpora.folder_layout import match_pattern, read_layout
from eeg_hf.corpora.folder_table import _may_describe
from tests.recordings import real_recordings

REAL, needs_recordings = real_recordings("isc_video")
CHANNELS = (("Fp1", 10.0), ("Fp2", 20.0), ("Cz", 30.0), ("O1", 40.0))


def empty(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def who(root: Path, **options: object) -> list[tuple[str, str, str]]:
    return [(r.subject, r.session, r.run) for r in FolderCorpus(**options).recordings(root)]


def labels(root: Path, **options: object) -> list[dict]:
    return [dict(r.labels) for r in FolderCorpus(**options).recordings(root)]


# -- subjects by names --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "subjects", "found"),
    [
        (["S01/rest.edf", "S02/rest.edf"], ["S01", "S02"], None),
        (["S01/rest/a.edf", "S02/task/a.edf"], ["S01", "S02"], ["rest", "task"]),
        (["data/P1/a.edf", "data/P2/a.edf"], ["P1", "P2"], None),
        (["rest/S01/a.edf", "task/S01/a.edf"], ["S01", "S01"], ["rest", "task"]),
        (["normal/S01_1.edf", "abnormal/S02_1.edf"], ["S01", "S02"], ["normal", "abnormal"]),
        (["class1/S01.edf", "class2/S02.edf"], ["S01", "S02"], ["class1", "class2"]),
        (["chb01_03.edf", "chb02_03.edf"], ["chb01", "chb02"], None),
        (["A01T.gdf", "A01E.gdf", "A02T.gdf"], ["A01", "A01", "A02"], None),
        (["S001R01.edf", "S002R01.edf"], ["S001", "S002"], None),
        (["x/sub-07_task-a_eeg.edf", "x/sub-08_task-a_eeg.edf"], ["07", "08"], None),
        (["anna/1.edf", "ben/1.edf"], [None, None], None),
        (["rest_01.edf", "task_01.edf"], [None, None], None),
        (["S001R01.edf", "S001R02.edf"], ["S001", "S001"], None),
        (["T5-1.set", "T5-2.set"], [None, None], None),
        (["01/a.edf", "02/a.edf"], ["01", "02"], None),
        (["P1/2023-01-31/1/a.edf", "P2/2023-02-01/1/a.edf"], ["P1", "P2"], None),
        (["run1.edf", "run2.edf"], [None, None], None),
        (["20240131_a.edf", "20240201_a.edf"], [None, None], None),
        (["session1/a.edf", "session2/a.edf"], [None, None], None),
        (["S01/a.edf", "stray.edf"], ["S01", None], None),
        (["2023/May/a.edf", "2024/June/b.edf"], [None, None], None),
        (["2024/a.edf", "2024/b.edf"], [None, None], None),
        (["2024/03/17/a.edf", "2024/04/01/b.edf"], [None, None], None),
        (["2024/03/P7/a.edf", "2024/04/P8/b.edf"], ["P7", "P8"], None),
        (["2024/P7/a.edf", "2024/P8/b.edf"], ["P7", "P8"], None),
        (["2001/a.edf", "2002/b.edf"], ["2001", "2002"], None),
    ],
)
def test_persons_and_conditions_by_the_rules_of_the_layout(names, subjects, found):
    places = read_layout(names)
    assert [places[name].subject for name in names] == subjects
    assert [places[name].labels.get("label") for name in names] == (found or [None] * len(names))


def test_sessions_tasks_and_splits_by_the_names_of_folders():
    places = read_layout(["train/S01/visit2/a.edf", "test/S02/visit1/b.edf"])
    first = places["train/S01/visit2/a.edf"]
    assert (first.subject, first.session, first.run, dict(first.labels)) == (
        "S01",
        "visit2",
        "a",
        {"split": "train"},
    )
    (place,) = read_layout(["sub-1/ses-b/eeg/sub-1_ses-b_task-rest_eeg.edf"]).values()
    assert (place.subject, place.session, place.task) == ("1", "b", "rest")


def test_a_label_that_was_asked_for_is_taken_from_the_innermost_folder():
    names = ["1/a.edf", "2/b.edf"]
    assert [p.labels["label"] for p in read_layout(names, "folder").values()] == ["1", "2"]
    assert [p.subject for p in read_layout(names, "folder").values()] == [None, None]
    with pytest.raises(ValueError, match="label_from='folder', but b.edf is in no folder"):
        read_layout(["x/a.edf", "b.edf"], "folder")


def test_every_file_is_its_own_person_where_nobody_knows_and_that_is_said(tmp_path, caplog):
    empty(tmp_path, "anna/rest.edf", "ben/rest.edf", "ben/task.edf")
    assert who(tmp_path) == [
        ("anna_rest", "1", "anna_rest"),
        ("ben_rest", "1", "ben_rest"),
        ("ben_task", "1", "ben_task"),
    ]
    assert "the subject of 3 of 3 files is unknown" in caplog.text
    assert "only a split by file" in caplog.text and "subject_pattern=" in caplog.text
    assert "if anna, ben, ... are conditions, set label_from='folder'" in caplog.text
    advice = "^(?P<subject>[^/]+)/"
    assert f"if they are subjects, subject_pattern='{advice}'" in caplog.text
    assert [subject for subject, _, _ in who(tmp_path, subject_pattern=advice)] == ["anna", "ben", "ben"]
    caplog.clear()
    corpus = FolderCorpus()
    corpus.recordings(tmp_path), corpus.recordings(tmp_path)
    assert caplog.text.count("is unknown") == 1


def test_what_was_guessed_is_said(tmp_path, caplog):
    who(empty(tmp_path, "S01/a.edf", "S02/a.edf"))
    assert "2 subjects by the names of folders or files (S01, S02)" in caplog.text


# -- subjects by a pattern ----------------------------------------------------------------------------------


def test_a_pattern_names_persons_sessions_and_labels(tmp_path, caplog):
    empty(tmp_path, "lab/rest_anna_v2.edf", "lab/task_ben_v1.edf", "lab/notes.edf")
    pattern = r"(?P<condition>[a-z]+)_(?P<subject>[a-z]+)_v(?P<session>\d)"
    assert who(tmp_path, subject_pattern=pattern) == [
        ("anna", "2", "lab_rest_anna_v2"),
        ("ben", "1", "lab_task_ben_v1"),
    ]
    assert labels(tmp_path, subject_pattern=pattern)[1] == {"condition": "task"}
    assert "1 files are left out" in caplog.text and "lab/notes.edf" in caplog.text


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "is not a regular expression"),
        ("[a-z]+", "no group"),
        ("(?P<subject>zzz)", "matches none of 1 paths"),
    ],
)
def test_a_pattern_that_cannot_work_is_refused(pattern, reason):
    with pytest.raises(ValueError, match=reason):
        match_pattern(["a.edf"], pattern)


# -- the table -----------------------------------------------------------------------------------------------


def test_a_table_says_who_and_what_and_its_gaps_are_named(tmp_path, caplog):
    empty(tmp_path, "a/one.edf", "b/two.edf", "b/three.edf", "four.edf")
    text = (
        "file_name;subject;session;age;group;run\n"
        "A\\ONE.EDF;01;2;33.5;x;1\n"
        "b/two;02;;n/a;y;2\n"
        "three.edf;02;1;41;;3\n"
        "five.edf;09;1;1;z;1\n"
    )
    (tmp_path / "metadata.csv").write_text(text, encoding="utf-8-sig")
    corpus = FolderCorpus()
    found = {r.path.name: r for r in corpus.recordings(tmp_path)}
    one, two = found["one.edf"], found["two.edf"]
    assert (one.subject, one.session, one.run, dict(one.labels)) == (
        "01",
        "2",
        "1",
        {"age": 33.5, "group": "x"},
    )
    assert (two.subject, two.session, dict(two.labels)) == ("02", "1", {"age": None, "group": "y"})
    assert found["four.edf"].subject == "four" and found["four.edf"].labels == {"age": None, "group": None}
    assert corpus.label_columns([]) == {"age": float, "group": str}
    assert "1 rows name no recording of the folder: five.edf" in caplog.text
    assert "1 recordings have no row, their labels are unknown: four.edf" in caplog.text


@pytest.mark.parametrize(
    "header",
    [
        *("File Name,Patient-ID,SESSION", "Datei;Proband;Sitzung", "FilePath,SubjectID,session"),
        *("EEG-File,Vp.-Nr.,Session", "sep=;\nDatei;Teilnehmer;Sitzung"),
    ],
)
def test_columns_of_a_table_are_found_however_they_are_written(tmp_path, header):
    empty(tmp_path, "a.edf", "b.edf")
    rows = "a.edf,anna,1\nb.edf,anna,2\n".replace(",", ";" if ";" in header else ",")
    (tmp_path / "metadata.csv").write_text(f"{header}\n{rows}")
    assert [(subject, session) for subject, session, _ in who(tmp_path)] == [("anna", "1"), ("anna", "2")]


@pytest.mark.parametrize("name", ["Metadata.CSV", "participants.csv", "Probanden 2024.txt.tsv"])
def test_a_table_of_another_name_is_found_and_said(name, tmp_path, caplog):
    empty(tmp_path, "a.edf", "b.edf")
    (tmp_path / name).write_text("file\tsubject\tage\na\t01\t20\nb.edf\t02\t#N/A\n")
    (tmp_path / "notes.csv").write_text("what,when\ncap,early\n")
    with caplog.at_level("WARNING"):
        found = FolderCorpus().recordings(tmp_path)
    assert [(r.subject, dict(r.labels)) for r in found] == [("01", {"age": 20.0}), ("02", {"age": None})]
    assert (f"labels are read from {name}" in caplog.text) is (name != "Metadata.CSV")


@pytest.mark.parametrize("name", ["metadata.csv", "participants.csv"])
def test_a_table_with_a_row_for_each_subject(name, tmp_path, caplog):
    empty(tmp_path, "VP01/rest.edf", "VP01/task.edf", "VP02/rest.edf", "VP03/rest.edf")
    (tmp_path / name).write_text("Participant;Age;Sex\nvp1;20,5;f\nVP02;31;m\n")
    with caplog.at_level("WARNING"):
        found = FolderCorpus().recordings(tmp_path)
    assert [(r.subject, dict(r.labels)) for r in found] == [
        ("VP01", {"Age": 20.5, "Sex": "f"}),
        ("VP01", {"Age": 20.5, "Sex": "f"}),
        ("VP02", {"Age": 31.0, "Sex": "m"}),
        ("VP03", {"Age": None, "Sex": None}),
    ]
    assert "1 subjects have no row, their labels are unknown: VP03" in caplog.text


def test_letters_of_two_characters_as_macos_writes_them_are_the_same(tmp_path):
    empty(tmp_path, unicodedata.normalize("NFD", "Süd/Grün.edf"))
    (tmp_path / "metadata.csv").write_text("file,subject\nSüd/Grün,anna\n", encoding="utf-8")
    assert [subject for subject, _, _ in who(tmp_path)] == ["anna"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("timestamps,TP9,AF7\n0.0,1,2\n", False),
        ("a note without columns", False),
        ("file;age\na;1\n", True),
        ('sep=;\n"Patient ID";"age"\n1;2\n', True),
        ("age\tDatei\n1\ta\n", True),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_samples_are_known_by_their_head(tmp_path, text, expected, encoding):
    path = tmp_path / "a.csv"
    path.write_text(text + 9000 * "ü,1\n", encoding=encoding)
    assert _may_describe(path) is expected


def test_of_two_tables_of_other_names_none_is_guessed(tmp_path, caplog):
    empty(tmp_path, "a.edf", "b.edf")
    for name in ("one.csv", "two.csv"):
        (tmp_path / name).write_text("file,subject\na,1\nb,2\n")
    (tmp_path / "events.csv").write_text("file,onset\na,1\na,2\n")  # twice: events, not recordings
    assert [subject for subject, _, _ in who(tmp_path)] == ["a", "b"]
    assert "one.csv, two.csv all name recordings or subjects: none is read" in caplog.text


def test_files_of_one_name_in_folders_of_one_person_stay_apart(tmp_path):
    empty(tmp_path, "S01/a.edf", "S02/a.edf")
    (tmp_path / "metadata.csv").write_text("file_name,subject\nS01/a.edf,anna\nS02/a.edf,anna\n")
    assert who(tmp_path) == [("anna", "1", "S01_a"), ("anna", "1", "S02_a")]


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl", ".parquet", ".xlsx"])
def test_tables_of_other_formats(suffix, tmp_path):
    empty(tmp_path, "a.edf", "b.edf")
    path = tmp_path / f"metadata{suffix}"
    if suffix == ".tsv":
        path.write_text("file_name\tsubject\tage\na.edf\t01\t20\nb.edf\t02\tNA\n")
    elif suffix == ".jsonl":
        path.write_text(
            '{"file_name": "a.edf", "subject": "01", "age": 20}\n{"file_name": "b", "subject": "02"}\n'
        )
    elif suffix == ".parquet":
        columns = {"file_name": ["a.edf", "b.edf"], "subject": ["01", "02"], "age": [20.0, float("nan")]}
        pq.write_table(pa.table(columns), path)
    else:
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        for row in (("file_name", "subject", "age"), ("a.edf", "01", 20), ("b.edf", "02", "#N/A")):
            book.active.append(row)
        book.save(path)
    assert [(r.subject, dict(r.labels)) for r in FolderCorpus().recordings(tmp_path)] == [
        ("01", {"age": 20.0}),
        ("02", {"age": None}),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file_name,age\na,1\n", "'a' names 2 recordings: x/a.edf, y/a.edf"),
        ("id,age\n1,2\n", "row 2 names no file: expected a column file_name"),
        ("file_name,age,age\nx/a,1,2\n", "more than one column age"),
        ("file_name,age\nx/a.edf,1,2\n", "row 2 has 3 cells, its header names 2 columns"),
        ("file_name,age\nx/a_raw,1\nb,2\n", "none of its 2 rows names a recording of the folder.*'x/a_raw'"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(text, reason, tmp_path):
    empty(tmp_path, "x/a.edf", "y/a.edf")
    (tmp_path / "metadata.csv").write_text(text)
    with pytest.raises(ValueError, match=reason):
        FolderCorpus().recordings(tmp_path)


def test_rows_that_contradict_each_other_cost_their_recording_and_not_the_corpus(tmp_path, caplog):
    empty(tmp_path, "a.edf", "b.edf", "c.edf", "x/d.edf", "y/d.edf")
    rows = [
        "a,1,30,f",
        "a.edf,1,31,",
        "b,2,40,m",
        "b.edf,3,40,m",
        "c,4,50,f",
        "c,4,50,f",
        ",5,1,f",
        "d,6,1,m",
    ]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,subject,age,sex", *rows]) + "\n")
    with caplog.at_level("WARNING"):
        found = {r.path.name: r for r in FolderCorpus().recordings(tmp_path) if r.path.parent == tmp_path}
    assert {name: (r.subject, dict(r.labels)) for name, r in found.items()} == {
        "a.edf": ("1", {"age": None, "sex": "f"}),
        "c.edf": ("4", {"age": 50.0, "sex": "f"}),
    }
    assert "more than one row for a.edf (age), b.edf (subject), c.edf (which agree)" in caplog.text
    assert "1 recordings are left out, because their rows name different subjects: b.edf" in caplog.text
    assert "row 8 names no file: expected a column file_name; 2 such rows are left out" in caplog.text


def test_names_that_differ_in_case_or_zeros_are_said(tmp_path, caplog):
    empty(tmp_path, "a.edf", "b.edf", "c.edf", "d.edf")
    rows = ["a,S01,rest", "b,s1,Rest", "c,S10,task", "d,S11,task"]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,subject,state", *rows]) + "\n")
    with caplog.at_level("WARNING"):
        assert len({r.subject for r in FolderCorpus().recordings(tmp_path)}) == 4
    assert "subjects 'S01' and 's1' count as different people" in caplog.text
    assert "'Rest' and 'rest' are different values of state" in caplog.text and "'S10'" not in caplog.text


def test_files_of_formats_that_are_not_read_are_said(tmp_path, caplog):
    empty(tmp_path, "a.edf", "b.trc", "x/c.RHD")
    with caplog.at_level("WARNING"):
        assert len(FolderCorpus().recordings(tmp_path)) == 1
    assert "2 files have formats that are not read and are left out, such as" in caplog.text
    assert "Micromed: export it as EDF+" in caplog.text and "Intan: export it as EDF+" in caplog.text


def test_tables_in_subfolders_speak_of_what_lies_there(tmp_path):
    empty(tmp_path, "train/a.edf", "test/a.edf")
    for part, subject in (("train", "01"), ("test", "02")):
        (tmp_path / part / "metadata.csv").write_text(f"file_name,subject,age\na.edf,{subject},3\n")
    corpus = FolderCorpus()
    assert [(r.subject, r.labels["split"]) for r in corpus.recordings(tmp_path)] == [
        ("01", "train"),
        ("02", "test"),
    ]
    assert corpus.official_split_column == "split"


def test_columns_named_like_those_of_every_window_are_renamed(tmp_path):
    empty(tmp_path, "a.edf")
    (tmp_path / "metadata.csv").write_text("file_name,subject,sampling_rate\na.edf,1,250\n")
    assert labels(tmp_path) == [{"sampling_rate_label": 250.0}]


# -- reading -------------------------------------------------------------------------------------------------


def with_triggers(codes: dict[int, int], path: Path | None = None) -> mne.io.BaseRaw:
    data = np.zeros((3, 2000))
    data[:2] = 20e-6 * np.sin(2 * np.pi * 10 * np.arange(2000) / 200.0)
    for sample, code in codes.items():
        data[2, sample : sample + 5] = code
    raw = mne.io.RawArray(
        data, mne.create_info(["Fp1", "Cz", "STI 014"], 200.0, ["eeg", "eeg", "stim"]), verbose="ERROR"
    )
    if path is None:
        return raw
    path.parent.mkdir(parents=True, exist_ok=True)
    raw.save(path, verbose="ERROR")
    return raw


def test_triggers_become_events_where_there_are_no_annotations(tmp_path):
    with_triggers({200: 1, 600: 2, 1000: 1, 1400: 9}, tmp_path / "S01" / "a_raw.fif")
    for event_id, expected in (
        (None, [(1.0, "1"), (3.0, "2"), (5.0, "1"), (7.0, "9")]),
        ({"left": 1, "right": 2}, [(1.0, "left"), (3.0, "right"), (5.0, "left")]),
    ):
        corpus = FolderCorpus(event_id=event_id)
        (recording,) = corpus.recordings(tmp_path)
        raw = corpus.read(recording)
        assert [(e.onset, e.name) for e in corpus.events(recording, raw)] == expected


def read_events(folder: Path, **options: object) -> list[tuple[float, str]]:
    corpus = FolderCorpus(**options)
    (recording,) = corpus.recordings(folder)
    return [(e.onset, e.name) for e in corpus.events(recording, corpus.read(recording))]


def save_triggers(path: Path, values: np.ndarray, *marks: tuple[float, str]) -> Path:
    """Save a recording with these values of its trigger channel, and annotations."""
    raw = with_triggers({})
    raw._data[2] = values
    raw.set_annotations(mne.Annotations([at for at, _ in marks], 0.0, [text for _, text in marks]))
    path.parent.mkdir(parents=True, exist_ok=True)
    raw.save(path, verbose="ERROR")
    return path.parent


def test_codes_held_until_the_next_one_are_all_events(tmp_path):
    values = np.repeat([0, 1, 2, 1, 2, 1, 2, 1, 3, 1], 200)
    folder = save_triggers(tmp_path / "S01" / "a_raw.fif", values)
    assert read_events(folder) == [(float(i), str(values[200 * i])) for i in range(1, 10)]


def test_a_port_that_rests_at_255_has_the_other_codes_as_events(tmp_path):
    values = np.full(2000, 255)
    for at, code in ((200, 1), (600, 2), (1000, 0), (1400, 1)):
        values[at : at + 20] = code
    folder = save_triggers(tmp_path / "S01" / "a_raw.fif", values)
    with pytest.warns(RuntimeWarning, match="rests at 255"):
        assert read_events(folder) == [(1.0, "1"), (3.0, "2"), (5.0, "0"), (7.0, "1")]


def test_triggers_beside_annotations_are_events_once(tmp_path):
    values = np.zeros(2000)
    for at, code in ((200, 1), (600, 2), (1000, 1)):
        values[at : at + 20] = code
    folder = save_triggers(
        tmp_path / "S01" / "a_raw.fif", values, (2.0, "cough"), (3.005, "right"), (4.0, "BAD_move")
    )
    with pytest.warns(RuntimeWarning, match="2 annotations and 3 triggers: 2 triggers are added"):
        assert read_events(folder) == [(1.0, "1"), (2.0, "cough"), (3.005, "right"), (5.0, "1")]


def test_annotations_go_before_triggers_and_are_named_by_text_or_code(write_sines, tmp_path):
    marks = [(1.0, 0.0, "Stimulus/S  1"), (2.0, 0.0, "S  2"), (3.0, 0.0, "blink"), (4.0, 1.0, "BAD_move")]
    write_sines(tmp_path / "S01" / "a.edf", CHANNELS, seconds=6.0, annotations=marks)
    corpus = FolderCorpus(event_id={"left": 1, "right": "S  2"})
    (recording,) = corpus.recordings(tmp_path)
    events = corpus.events(recording, corpus.read(recording))
    assert [(e.onset, e.name) for e in events] == [(1.0, "left"), (2.0, "right")]


def test_a_trigger_channel_full_of_noise_costs_the_events_and_not_the_recording():
    raw = with_triggers({})
    raw._data[2] = np.random.default_rng(0).integers(0, 255, 2000)
    with pytest.warns(RuntimeWarning, match="noise and not used|cannot be read"):
        assert stim_events(raw) == []
    raw._data[2] = 7.0
    assert stim_events(raw) == [] and stim_events(raw.copy().pick("eeg")) == []


def test_tables_of_samples_are_recordings_only_where_their_rate_is_said(tmp_path):
    time = np.arange(800) / 200.0
    columns = np.stack([gain * np.sin(2 * np.pi * 10 * time) for gain in (20.0, 40.0)], axis=1)
    for name in ("S01", "S02"):
        np.savetxt(tmp_path / f"{name}.csv", columns, delimiter=",", header="Fp1,Cz", comments="", fmt="%.6f")
    (tmp_path / "metadata.csv").write_text("file_name,subject,age\nS01.csv,anna,30\nS02.csv,ben,40\n")
    with pytest.raises(FileNotFoundError, match="only if sampling_rate is set"):
        FolderCorpus().recordings(tmp_path)
    corpus = FolderCorpus(sampling_rate=200.0, unit="uV")
    first, second = corpus.recordings(tmp_path)
    assert (first.subject, second.labels["age"]) == ("anna", 40.0)
    assert np.abs(corpus.read(first).get_data()).max(axis=1) * 1e6 == pytest.approx([20.0, 40.0], rel=0.01)


def test_inputs_that_an_amplifier_numbers_get_the_names_of_their_electrodes(tmp_path):
    names = [f"EXG Channel {i}" for i in range(2)]
    others = ["Accel Channel 0", "Other", "Other", "Analog Channel 0"]
    lines = [", ".join(["Sample Index", *names, *others, "Timestamp (Formatted)"])]
    for i in range(500):
        wave = 20 * np.sin(2 * np.pi * 10 * i / 250)
        cells = [float(i % 256), wave - 12000, 2 * wave, 0.1, 0.0, 192.0, 3.0]
        lines.append(
            ", ".join([*(f"{cell:.6f}" for cell in cells), f"2023-11-14 22:13:{20 + i / 250:06.3f}"])
        )
    (tmp_path / "a.txt").write_text("\n".join(["%OpenBCI Raw EXG Data", *lines]))
    electrodes = {names[0]: "Fp1", names[1]: "Cz", "EXG Channel 7": "O1"}
    corpus = FolderCorpus(sampling_rate=250, unit="uV", channel_names=electrodes)
    raw = corpus.read(corpus.recordings(tmp_path)[0])
    assert raw.copy().pick("eeg").ch_names == ["Fp1", "Cz"] and "Other" not in raw.ch_names
    assert np.ptp(raw.get_data(["Fp1", "Cz"]), axis=1) * 1e6 == pytest.approx([40, 80], rel=0.01)
    plain = FolderCorpus(sampling_rate=250, unit="uV")
    with pytest.raises(ValueError, match="'EXG Channel 0'.* rename it .channel_names="):
        EEGFeatureExtractor().preprocess(plain.read(plain.recordings(tmp_path)[0]))
    (recording,) = plain.recordings(tmp_path)
    assert plain.provenance(recording)["how"] != corpus.provenance(recording)["how"]


def test_options_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(ValueError, match="name must be"):
        FolderCorpus(name="my lab")
    with pytest.raises(ValueError, match="label_from must be"):
        FolderCorpus(label_from="name")
    with pytest.raises(FileNotFoundError, match="metadata .*people.csv not found"):
        FolderCorpus(metadata=tmp_path / "people.csv").recordings(empty(tmp_path, "a.edf"))


def test_samples_in_another_file_are_part_of_what_was_read(tmp_path):
    path = tmp_path / "S01" / "a.vhdr"
    path.parent.mkdir()
    with_triggers({}).pick("eeg").export(path, fmt="brainvision", verbose="ERROR")
    corpus = FolderCorpus()
    (recording,) = corpus.recordings(tmp_path)
    before = corpus.provenance(recording)
    os.utime(path.with_suffix(".eeg"), (1, 1))
    assert corpus.provenance(recording) != before


def test_a_folder_becomes_windows_with_labels_beside_a_file_that_is_none(write_sines, read_windows, tmp_path):
    logging.disable_progress_bar()
    root = tmp_path / "lab"
    for name in ("rest/P1.edf", "task/P1.edf", "rest/P2.edf"):
        write_sines(root / name, CHANNELS, seconds=7.0)
    (root / "task" / "P2.edf").write_bytes(b"not an EDF")
    extractor = EEGFeatureExtractor(
        sampling_rate=100.0, highpass_hz=1.0, lowpass_hz=40.0, window_seconds=2.0, reference="original"
    )
    corpus = FolderCorpus("mylab", licence="CC-BY-4.0", reference="nose")
    report = prepare(corpus, tmp_path / "out", extractor, root=root)
    assert (report["recordings_ok"], report["recordings_failed"], report["windows"]) == (3, 1, 9)
    assert report["failures"][0]["path"] == "task/P2.edf"
    rows = read_windows(tmp_path / "out")
    assert {(row["subject"], row["run"], row["label"]) for row in rows} == {
        ("P1", "rest_P1", "rest"),
        ("P1", "task_P1", "task"),
        ("P2", "rest_P2", "rest"),
    }
    assert (
        rows[0]["corpus"] == "mylab" and rows[0]["reference"] == "nose" and rows[0]["licence"] == "CC-BY-4.0"
    )
    for name, amplitude in CHANNELS:
        assert rows[0]["amplitude"][name] == pytest.approx(amplitude, rel=0.02)


@needs_recordings
def test_real_files_named_by_clip_and_viewer_need_a_pattern(caplog):
    assert len({subject for subject, _, _ in who(REAL)}) == 15
    assert "only a split by file" in caplog.text
    found = FolderCorpus(subject_pattern=r"T(?P<clip>\d+)-(?P<subject>\d+)").recordings(REAL)
    assert sorted(int(r.subject) for r in found) == list(range(1, 16)) and found[0].labels == {"clip": 5.0}
