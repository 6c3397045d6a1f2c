# SPDX-License-Identifier: Apache-2.0
"""What a study reads from the headers of a folder."""

import mne
import numpy as np
import pandas as pd
import pytest

from eeg_hf.corpora import Event
from eeg_hf.experiments.study.arguments import StudyArguments
from eeg_hf.experiments.study.lab_folder import (
    choose_labels,
    open_folder,
    read_events,
    read_facts,
    read_header,
)
from eeg_hf.experiments.study.understanding import name_folders, understand


def make_raw(names, rate=200.0, seconds=4, seed=0):
    info = mne.create_info(names, rate, "eeg")
    return mne.io.RawArray(
        np.random.default_rng(seed).normal(0, 1e-5, (len(names), int(rate * seconds))), info, verbose="ERROR"
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
    table = pd.DataFrame({"group": list("aabb"), "name": list("abcd"), "task": "unknown"})
    assert choose_labels(table, ["group", "name"], []) == ["group"]
    assert choose_labels(table, ["group", "name"], ["name", "group", "name"]) == ["name", "group"]
    assert choose_labels(table, ["group"], [], by_event=True) == ["event"]
    with pytest.raises(ValueError, match="did you mean 'group'"):
        choose_labels(table, ["group"], ["groop"])


def test_labels_are_found_in_any_case_and_may_be_fields_but_no_facts():
    table = pd.DataFrame({"task": list("aabb")})
    assert choose_labels(table, [], []) == ["task"]  # the only thing that differs
    assert choose_labels(table, ["Eyes Open", "event_label"], ["eyes_open"]) == ["Eyes Open"]
    assert choose_labels(table, ["event_label"], ["event", "session"]) == ["event_label", "session"]
    with pytest.raises(ValueError, match="a fact of this name: rename the column.*seconds_label"):
        choose_labels(table, ["seconds"], ["seconds"])


def test_columns_named_like_facts_do_not_replace_them(tmp_path):
    make_raw(["Fp1", "Fp2"]).save(tmp_path / "a_raw.fif", verbose="ERROR")
    (tmp_path / "metadata.csv").write_text(
        "file_name,subject,problem,seconds,file,day\na_raw,x,none seen,9,f,2026-05-04\n"
    )
    corpus = open_folder(tmp_path, {})
    row = read_facts(corpus, corpus.recordings(tmp_path), tmp_path).iloc[0]
    assert (row["problem"], row["seconds"], row["file"]) == (None, 4, "a_raw.fif")
    assert row["day"] == "2026-05-04"  # the header has none


def test_each_label_has_a_folder_of_its_own(tmp_path):
    labels = ["windows", "Model", "A B", "A/B", "age", "Age", "..", "Größe"]
    folders = name_folders(tmp_path, labels)
    names = [folder.name.casefold() for folder in folders.values()]
    assert len(set(names)) == len(labels) and not {"windows", "model"} & set(names)
    assert all(folder.parent == tmp_path for folder in folders.values()) and names[-1] == "größe".casefold()


def test_what_a_table_makes_one_doubt_is_at_the_top_of_the_report(tmp_path):
    names = [f"{subject}_{state}_raw.fif" for subject in ("p1", "P1", "p2") for state in ("rest", "task")]
    rows = ["file,condition", "lost.edf,rest"]
    for seed, name in enumerate(names):
        make_raw(["Fp1", "Fp2"], seed=seed).save(tmp_path / name, verbose="ERROR")
        rows.append(f"{name},{float('task' in name)}")
    (tmp_path / "metadata.csv").write_text("\n".join(rows) + "\n")
    study = understand(StudyArguments([str(tmp_path)], label_column=["condition"]))
    told = " ".join(study.told)
    assert "1 rows name no recording" in told and "3 subjects by the names of folders or files" in told
    assert "'P1' and 'p1' count as different people" in told
    lines = list(study.describe())
    assert lines[0].startswith("6 recordings of 3 subjects, 0.4 min") and lines[1] == "condition: 0 3, 1 3"
