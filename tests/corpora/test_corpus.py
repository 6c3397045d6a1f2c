# SPDX-License-Identifier: Apache-2.0
import json
import os
import re
from pathlib import Path

import mne
import numpy as np
import pytest

import eeg_hf
from eeg_hf.corpora import CORPORA, EEGMAT, get_corpus
from eeg_hf.corpora.corpus import Event, annotated
from eeg_hf.corpora.recordings.formats import read_recording


def test_every_corpus_says_what_its_users_must_know():
    for name, corpus in CORPORA.items():
        assert corpus.name == name
        assert corpus.title and corpus.licence and corpus.citation and corpus.reference and corpus.access
        assert corpus.layout and isinstance(corpus.url, str)
        assert set(corpus.label_names.values()) <= {str, float}


def test_the_facts_of_a_corpus_are_attributes_of_its_class():
    facts = json.loads(Path(eeg_hf.corpora.__file__).with_name("facts.json").read_text())
    assert set(facts) <= set(CORPORA)
    for name, known in facts.items():
        assert {fact: getattr(CORPORA[name], fact) for fact in known} == known
    assert EEGMAT().hub_licence == "odc-by" and EEGMAT.num_subjects == 36


def test_an_unknown_corpus_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="'eegmatt', did you mean 'eegmat'?"):
        get_corpus("eegmatt")
    with pytest.raises(ValueError, match="'seizures': expected one of .*eegmat, eegmmidb, folder"):
        get_corpus("seizures")


def test_a_corpus_is_built_with_its_options_and_refuses_those_it_has_not():
    assert get_corpus("simulated", num_subjects=3).num_subjects == 3
    with pytest.raises(ValueError, match="simulated has no option subjects: expected one of num_subjects"):
        get_corpus("simulated", subjects=3)


def test_a_whole_edf_is_read_in_volts_without_loading_it(write_edf, tmp_path):
    raw = read_recording(write_edf(tmp_path / "a.edf", rate=200.0, seconds=3.0, amplitude_uv=20.0))
    assert not raw.preload and raw.info["sfreq"] == 200.0 and raw.n_times == 600
    assert np.std(raw.get_data()) == pytest.approx(20e-6, rel=0.05)


def test_a_truncated_edf_is_refused_with_both_lengths(write_edf, tmp_path):
    whole = write_edf(tmp_path / "whole.edf")
    size = whole.stat().st_size
    cut = tmp_path / "cut.edf"
    cut.write_bytes(whole.read_bytes()[: size // 2])
    with pytest.raises(ValueError, match=f"cut.edf is truncated: .*{size} bytes, the file has {size // 2}"):
        read_recording(cut)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an EDF file"),
        (b"subject,age\n" * 100, "is not an EDF file: it starts with b'subject,age"),
        (b"0       " + b"x" * 400, "damaged EDF header"),
    ],
)
def test_a_file_that_is_no_edf_is_refused_in_one_line(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "note.edf"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_recording(path)
    assert "note.edf" in str(caught.value) and "\n" not in str(caught.value)


def test_annotations_are_counted_from_the_first_sample_of_a_cropped_recording():
    raw = mne.io.RawArray(np.zeros((1, 1000)), mne.create_info(1, 100.0, "eeg"), verbose="ERROR")
    raw.set_annotations(mne.Annotations([1.0, 4.0], [0.5, 0.0], ["early", "late"]))
    assert annotated(raw.crop(tmin=3.0)) == [Event(pytest.approx(1.0), 0.0, "late")]


def test_the_users_folder_comes_before_the_variable(make_eegmat, tmp_path, monkeypatch):
    shared = make_eegmat(tmp_path / "shared" / "eegmat", 1)
    own = make_eegmat(tmp_path / "own", 1)
    monkeypatch.setenv("EEG_HF_DATA", str(tmp_path / "shared"))
    assert EEGMAT().locate(own) == own
    assert EEGMAT().locate() == shared


def test_recordings_are_listed_without_a_folder(make_eegmat, tmp_path, monkeypatch):
    shared = make_eegmat(tmp_path / "eegmat", 1)
    monkeypatch.setenv("EEG_HF_DATA", str(tmp_path))
    found = get_corpus("eegmat").recordings()
    assert found == EEGMAT().recordings(shared) == EEGMAT().recordings(str(shared))
    assert EEGMAT().read(found[0]).info["sfreq"] == 250.0


# moabb downloads by itself: tests/corpora/test_moabb.py lists a dataset that is made there
@pytest.mark.parametrize("name", sorted(set(CORPORA) - {"moabb"}))
def test_every_corpus_locates_itself_or_says_how_to_get_it(name, tmp_path, monkeypatch):
    shared = os.environ.get("EEG_HF_DATA", "")
    monkeypatch.setenv("EEG_HF_CACHE", str(tmp_path))
    monkeypatch.setattr(CORPORA[name], "base_url", None)  # no network
    corpus = get_corpus(name)
    if name.startswith("simulated") or (Path(shared) / name).is_dir():
        found = corpus.recordings()
        assert found and found == corpus.recordings(corpus.locate())
        assert len(corpus.read(found[0]).ch_names) > 0
    else:
        with pytest.raises(FileNotFoundError, match=f"{name} not found.*Access: .*Set EEG_HF_DATA") as caught:
            corpus.recordings()
        assert corpus.access in str(caught.value) and "\n" not in str(caught.value)


def test_an_empty_folder_is_refused_with_the_layout_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds none; expected SubjectNN_1\.edf"):
        EEGMAT().locate(tmp_path)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        EEGMAT().locate(tmp_path / "nowhere")


def test_without_data_and_download_the_error_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.delenv("EEG_HF_DATA", raising=False)
    monkeypatch.setenv("EEG_HF_CACHE", str(tmp_path / "cache"))
    places = f"EEG_HF_DATA is not set, {re.escape(str(tmp_path))}/cache/eegmat does not exist"
    with pytest.raises(FileNotFoundError, match=places):
        EEGMAT().locate(download=False)
