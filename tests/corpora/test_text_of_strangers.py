# SPDX-License-Identifier: Apache-2.0
"""Escape sequences and HTML in files of strangers reach neither a terminal nor a page."""

import json
import re
from pathlib import Path

import mne
import pytest

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import BIDSCorpus, FolderCorpus, prepare
from eeg_hf.corpora.recordings.formats import read_recording
from eeg_hf.legible_text import legible, without_tags
from eeg_hf.tables import escape_cell, markdown_table
from tests.corpora.mutations import NAMES, RATE, export, sines

EVIL = "\x1b]0;owned\x07\x9b2J\u202e<script>alert(1)</script>"
EVIL_ASCII = "X\x1b[2J\x07"
_OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def test_control_characters_are_written_out():
    assert legible("a\x1b[2J\x9b\u202eb") == "a\\x1b[2J\\x9b\\u202eb" and legible("µV Ω é 脑") == "µV Ω é 脑"
    assert without_tags("1 < 2 <b></b><!--") == "1 < 2 &lt;b>&lt;/b>&lt;!--"
    table = markdown_table([{"A": escape_cell(EVIL), "B": "1 < 2"}], texts=["A"])
    assert not _OBEYED.search(table) and "<script" not in table and "1 < 2" in table


def test_names_in_a_recording(tmp_path):
    info = mne.create_info([*NAMES[:2], EVIL_ASCII], RATE, "eeg")
    raw = mne.io.RawArray(sines(), info, verbose="ERROR")
    raw.set_annotations(mne.Annotations([1.0], [0.0], [EVIL_ASCII]))
    raw.save(tmp_path / "a_raw.fif", verbose="ERROR")
    found = read_recording(tmp_path / "a_raw.fif")
    assert not any(_OBEYED.search(text) for text in (*found.ch_names, *found.annotations.description))
    with pytest.raises(ValueError) as refusal:
        EEGFeatureExtractor(sampling_rate=100.0, lowpass_hz=40.0)(found)
    assert not _OBEYED.search(str(refusal.value))


def everything(folder: Path) -> str:
    return "".join(path.read_text() for name in ("README.md", "report.jsonl") for path in [folder / name])


OPTIONS = {"sampling_rate": 100.0, "lowpass_hz": 40.0, "highpass_hz": None, "window_seconds": 1.0}


def test_tables_and_names_of_files(tmp_path, caplog):
    lab = tmp_path / "lab"
    lab.mkdir()
    for name in ("a", "b\x1b[2J"):
        export(lab / f"{name}.edf", "edf", False)
    (lab / "metadata.csv").write_text(f'file_name,subject,cond\x1b[2J\na.edf,s\x1b[2J,"{EVIL}"\n')
    corpus = FolderCorpus("lab")
    prepare(corpus, tmp_path / "out", EEGFeatureExtractor(**OPTIONS), root=lab)
    assert not _OBEYED.search(everything(tmp_path / "out") + caplog.text)
    assert not any(_OBEYED.search(name) for name in corpus.label_names)
    assert not any(_OBEYED.search(str(label)) for r in corpus.recordings(lab) for label in r.labels.values())


def test_the_description_of_a_bids_tree(tmp_path):
    folder = tmp_path / "tree" / "sub-01" / "eeg"
    folder.mkdir(parents=True)
    export(folder / "sub-01_task-rest_eeg.edf", "edf", False)
    about = {"Name": EVIL, "License": EVIL, "Authors": [EVIL], "DatasetDOI": EVIL}
    (tmp_path / "tree" / "dataset_description.json").write_text(json.dumps(about))
    (folder / "sub-01_task-rest_eeg.json").write_text(json.dumps({"EEGReference": EVIL}))
    prepare(BIDSCorpus(), tmp_path / "out", EEGFeatureExtractor(**OPTIONS), root=tmp_path / "tree")
    card = everything(tmp_path / "out")
    assert not _OBEYED.search(card) and "<script" not in card and "&lt;script" in card


def test_a_message_of_the_command_line(capsys):
    from eeg_hf.cli.prepare import COMMAND

    with pytest.raises(SystemExit):
        COMMAND(["corpus=folder", "output_dir=/nowhere/x", f"data_dir=/nowhere/{EVIL}"])
    assert not _OBEYED.search(capsys.readouterr().err)
