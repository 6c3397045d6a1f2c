# SPDX-License-Identifier: Apache-2.0
"""`None`, `NA` and leading zeros in tables of labels mean the same at every door."""

import warnings
from pathlib import Path

import mne
import numpy as np
import pytest
from datasets import load_dataset

from eeg_hf.corpora.folder import FolderCorpus
from eeg_hf.corpora.recordings.side_table import column_types, read_rows

TABLE = """file_name,subject,label,code,age,dose,ok
s0_raw.fif,001,None,007,30,1,true
s1_raw.fif,002,seizure,010,NA,0,false
s2_raw.fif,003,NA,100,41,n/a,true
s3_raw.fif,NA,,101,nan,0,n/a
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    root = tmp_path / "lab"
    root.mkdir()
    for number in range(4):
        samples = 20e-6 * np.random.default_rng(number).normal(size=(2, 400))
        raw = mne.io.RawArray(samples, mne.create_info(["C3", "C4"], 200.0, "eeg"), verbose="ERROR")
        raw.save(root / f"s{number}_raw.fif", verbose="ERROR")
    (root / "metadata.csv").write_text(TABLE)
    return root


def test_words_are_classes_among_text_and_missing_among_numbers(folder, caplog):
    rows = read_rows(folder / "metadata.csv")
    assert [row["label"] for row in rows] == ["None", "seizure", "NA", None]
    assert [row["age"] for row in rows] == ["30", None, "41", None]
    assert [row["dose"] for row in rows] == ["1", "0", None, "0"]
    assert column_types(rows)["code"] is str and column_types(rows)["age"] is float
    strict = read_rows(folder / "metadata.csv", has_classes=False)
    assert [row["label"] for row in strict] == [None, "seizure", None, None]


def test_eegfolder_and_the_folder_corpus_agree(folder):
    recordings = FolderCorpus().recordings(folder)
    prepared = {r.path.name: r.labels for r in recordings}
    assert [r.subject for r in recordings if r.path.name == "s3_raw.fif"] != ["NA"]
    for streaming in (False, True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rows = list(load_dataset("eegfolder", data_dir=str(folder), split="train", streaming=streaming))
        for row in rows:
            name = Path(row["eeg"].filenames[0]).name
            assert {column: row[column] for column in ("label", "code", "age", "dose", "ok")} == prepared[
                name
            ]
    assert [row["subject"] for row in rows][:3] == ["001", "002", "003"]


TABLES = {
    "metadata.csv": "Datei;Versuchsperson;Sitzung;Bedingung;Alter\n"
    "s0_raw;01;1;ruhe;34,5\nS1_RAW.FIF;02;2;last;41\n",
    "metadata.tsv": "File\tParticipant ID\tSession\tCondition\tAge\n"
    "s0_raw.fif\t01\t1\trest\t34.5\nlab/s1_raw\t02\t2\tload\t41\n",
    "metadata.jsonl": '{"path": "s0_raw.fif", "Patient": "01", "run": 1, "Condition": "rest"}\n'
    '{"path": "s1_raw", "Patient": "02", "run": 2, "Condition": "load"}\n',
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("streaming", [False, True])
def test_tables_in_other_spellings_mean_the_same_at_every_door(folder, name, streaming):
    (folder / "metadata.csv").unlink()
    (folder / name).write_text(TABLES[name] + {".csv": "none;03;;;\n"}.get(Path(name).suffix, ""))
    prepared = {r.path.name: r for r in FolderCorpus().recordings(folder)}
    rows = {
        Path(row["eeg"].filenames[0]).name: row
        for row in load_dataset("eegfolder", data_dir=str(folder), split="train", streaming=streaming)
    }
    assert rows.keys() == prepared.keys() and len(rows) == 4
    for file, row in rows.items():
        recording = prepared[file]
        if file in ("s0_raw.fif", "s1_raw.fif"):
            assert row["subject"] == recording.subject == f"0{int(file[1]) + 1}"
            assert row.get("session") in (None, recording.session)
        labels = {column: value for column, value in row.items() if column in recording.labels}
        assert labels == dict(recording.labels) and labels


def test_of_two_rows_for_one_recording_what_contradicts_itself_is_unknown_at_every_door(folder):
    rows = ["s0_raw.fif,01,20,f", "s0_raw,01,30,f", "s1_raw,02,40,m"]
    (folder / "metadata.csv").write_text("\n".join(["file,subject,age,sex", *rows]) + "\n")
    prepared = {r.path.name: r for r in FolderCorpus().recordings(folder)}
    rows = {
        Path(row["eeg"].filenames[0]).name: row
        for row in load_dataset("eegfolder", data_dir=str(folder), split="train")
    }
    for name, expected in (("s0_raw.fif", ("01", None, "f")), ("s1_raw.fif", ("02", 40, "m"))):
        labels = prepared[name].labels
        assert (prepared[name].subject, labels["age"], labels["sex"]) == expected
        assert tuple(rows[name][column] for column in ("subject", "age", "sex")) == expected


def test_a_column_of_words_for_missing_only_is_unknown_and_that_is_said(tmp_path, caplog):
    path = tmp_path / "only_words.csv"
    path.write_text("file_name,state,other\na.edf,nan,NA\nb.edf,null,NA\n")
    assert [row["state"] for row in read_rows(path)] == [None, None]
    assert "the column state holds only nan, null" in caplog.text and "column other" not in caplog.text
