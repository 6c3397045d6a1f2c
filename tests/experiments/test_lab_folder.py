# SPDX-License-Identifier: Apache-2.0
"""What a study reads from the headers of a folder."""

import mne
import numpy as np
import pandas as pd
import pytest

from eeg_hf.corpora import Event
from eeg_hf.experiments.study.lab_folder import (
    choose_labels,
    open_folder,
    read_events,
    read_facts,
    read_header,
)


def make_raw(names, rate=200.0, seconds=4):
    info = mne.create_info(names, rate, "eeg")
    return mne.io.RawArray(
        np.random.default_rng(0).normal(0, 1e-5, (len(names), int(rate * seconds))), info, verbose="ERROR"
    )


def test_channels_are_those_that_a_preparation_uses():
    facts = read_header(make_raw(["EEG Fp1", "EEG C3", "ECG ECG", "Nonsense", "T3"]))
    assert facts["channels"] == ["Fp1", "C3", "T7"] and facts["seconds"] == 4


def test_events_give_their_labels_and_distances():
    events = [Event(float(onset), 0.1, name) for onset, name in enumerate(["S  1", "S  2", "S  1", "pause"])]
    facts = read_events(events, {"S 1": "standard", "S 2": "target"})
    assert facts["event"] == ["standard", "target"] and facts["event_gap"] == 1.0
    assert read_events(events, None)["event"] == ["S  1", "S  2", "pause"]
    with pytest.raises(ValueError, match="no event to use: the recording has S  1, S  2, pause"):
        read_events(events, {"S 3": "odd"})


def test_damaged_files_and_files_without_eeg_are_told(tmp_path):
    make_raw(["Fp1", "Fp2"]).save(tmp_path / "good_raw.fif", verbose="ERROR")
    make_raw(["ECG", "EMG"]).save(tmp_path / "heart_raw.fif", verbose="ERROR")
    (tmp_path / "metadata.csv").write_text("file_name,subject,group\ngood_raw.fif,a,x\nheart_raw.fif,b,y\n")
    corpus = open_folder(tmp_path, {})
    table = read_facts(corpus, corpus.recordings(tmp_path), tmp_path)
    assert table["problem"].isna().sum() == 1
    assert "no EEG channel" in table["problem"].dropna().iloc[0]


def test_several_labels_are_chosen_by_name_and_one_alone_by_itself():
    table = pd.DataFrame({"group": list("aabb"), "name": list("abcd")})
    assert choose_labels(table, ["group", "name"], []) == ["group"]
    assert choose_labels(table, ["group", "name"], ["name", "group", "name"]) == ["name", "group"]
    assert choose_labels(table, ["group"], [], by_event=True) == ["event"]
    with pytest.raises(ValueError, match="did you mean 'group'"):
        choose_labels(table, ["group"], ["groop"])
