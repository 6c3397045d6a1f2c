# SPDX-License-Identifier: Apache-2.0
"""`eeg-hf predict` on what users name: files, folders, patterns, prepared corpora."""

import json
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, pipeline

from eeg_hf import EEGFeatureExtractor, EEGFoundationConfig, get_corpus
from eeg_hf.corpora import SeenWindows
from tests.commands import fail_command, run_command

TINY = {"d_model": 32, "n_layers": 1, "n_heads": 2, "d_ff": 64, "overlap": 0.0}


def save_model(folder, **fields):
    torch.manual_seed(0)
    config = EEGFoundationConfig(**TINY, **fields)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    EEGFeatureExtractor(window_seconds=2.0).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model"), id2label={0: "rest", 1: "task"})


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A folder as a laboratory has it: recordings, a table, and one file that is damaged."""
    folder = tmp_path_factory.mktemp("lab")
    corpus = get_corpus("simulated", num_subjects=2, seconds=7)
    rows = ["file,Participant,Condition,Age"]
    for number, recording in enumerate(corpus.recordings()):
        raw = corpus.read(recording)
        name = f"{recording.subject}_{recording.labels['condition']}_raw.fif"
        raw.save(folder / name, verbose="ERROR")
        rows.append(f"{name},{recording.subject},{recording.labels['condition']},{30 + number}")
    (folder / "broken.edf").write_bytes(b"0       not an EDF file")
    rows.append("broken.edf,S9,rest,50")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_a_file_gets_what_the_pipeline_answers(model, lab, tmp_path):
    path = sorted(lab.glob("*_raw.fif"))[0]
    printed = run_command("predict", model, path, "--output", tmp_path / "table.csv")
    table = pd.read_csv(tmp_path / "table.csv")
    expected = pipeline("eeg-classification", model=model)(str(path))["windows"]
    assert table["start"].tolist() == [0, 2, 4, 6] and table["end"].tolist() == [2, 4, 6, 7]
    assert np.allclose(table["score: task"], [window["scores"]["task"] for window in expected])
    assert table["predicted"].tolist() == [window["label"] for window in expected]
    assert "1 recordings, 4 rows" in printed


def test_a_folder_is_predicted_with_labels_and_without_its_damaged_file(model, lab, tmp_path):
    output = tmp_path / "table.parquet"
    printed = run_command("predict", model, lab, "--output", output, "--label_column", "Condition")
    table = pd.read_parquet(output)
    bad = table[table["problem"].notna()]
    assert bad["file"].str.endswith("broken.edf").all() and len(bad) == 1 and "broken.edf" in printed
    assert set(table["subject"]) >= {"S9"} and table["label"].notna().all()
    metrics = json.loads((tmp_path / "table.metrics.json").read_text())
    good = table[table["problem"].isna()]
    assert metrics["accuracy"] == pytest.approx((good["label"] == good["predicted"]).mean())
    assert np.sum(metrics["confusion_matrix"]) == len(good) == 16
    assert "contamination" not in metrics


def test_figures_of_subjects_that_were_trained_on_are_marked(lab, tmp_path):
    model = save_model(tmp_path / "model", id2label={0: "rest", 1: "task"})
    rows = Dataset.from_dict({"corpus": ["lab"] * 2, "subject": ["00", "77"], "signal_hash": ["a", "b"]})
    SeenWindows.of([rows]).save(model)
    output = tmp_path / "table.csv"
    printed = run_command("predict", model, lab, "--output", output, "--label_column", "Condition")
    note = "1 of 3 subjects have the name of one that the model was trained on (00)"
    assert (
        note in printed and note in json.loads((tmp_path / "table.metrics.json").read_text())["contamination"]
    )


def test_one_row_for_each_recording_agrees_with_the_pipeline(model, lab, tmp_path):
    pattern = str(lab / "*_raw.fif")
    run_command("predict", model, pattern, "--per", "recording", "--output", tmp_path / "a.csv")
    table = pd.read_csv(tmp_path / "a.csv")
    classify = pipeline("eeg-classification", model=model)
    assert len(table) == 4 and table["seconds"].tolist() == [7] * 4
    assert np.allclose(table["score"], [classify(path)["score"] for path in table["file"]])


def test_prepared_windows_give_the_scores_of_their_rows(model, prepared, tmp_path):
    run_command("predict", model, prepared, "--output", tmp_path / "a.csv", "--label_column", "condition")
    table = pd.read_csv(tmp_path / "a.csv")
    from eeg_hf.corpora import load_windows

    rows = load_windows(prepared)
    assert len(table) == len(rows)
    first = rows[0]
    expected = pipeline("eeg-classification", model=model)(first)["scores"]["task"]
    same = table[(table["file"] == first["recording"]) & (table["start"] == first["start_seconds"])]
    assert same["score: task"].tolist() == pytest.approx([expected], abs=1e-5)
    run_command("predict", model, prepared, "--output", tmp_path / "b.csv", "--per", "recording")
    assert len(pd.read_csv(tmp_path / "b.csv")) == len(set(rows["recording"]))


def test_a_regressor_gives_numbers_and_its_errors(lab, tmp_path):
    model = save_model(tmp_path / "model", num_labels=1, problem_type="regression")
    run_command("predict", model, lab, "--output", tmp_path / "a.csv", "--label_column", "Age")
    table = pd.read_csv(tmp_path / "a.csv").dropna(subset="predicted")
    metrics = json.loads((tmp_path / "a.metrics.json").read_text())
    assert metrics["mae"] == pytest.approx((table["label"] - table["predicted"]).abs().mean())
    assert metrics["r2"] == pytest.approx(1 - metrics["nrmse_std"] ** 2)


def test_the_first_seconds_calibrate_and_are_not_scored(lab, tmp_path):
    model = save_model(tmp_path / "model", id2label={0: "rest", 1: "task"}, second_order=True)
    path, words = sorted(lab.glob("*_raw.fif"))[0], ("--label_column", "Condition")
    line = fail_command("predict", model, path, "--calibration_seconds", 4, "--output", tmp_path / "a.csv")
    assert "expected 10 s of signal or more" in line
    raw = mne.concatenate_raws([mne.io.read_raw(path, verbose="ERROR") for _ in range(3)], verbose="ERROR")
    folder = tmp_path / "long"
    folder.mkdir()
    raw.save(folder / "long_raw.fif", verbose="ERROR")
    (folder / "metadata.csv").write_text("file_name,Condition\nlong_raw.fif,rest\n")
    # Of the first 12 s, the window that crosses the join does not calibrate
    run_command("predict", model, folder, "--calibration_seconds", 12, "--output", tmp_path / "a.csv", *words)
    table = pd.read_csv(tmp_path / "a.csv")
    assert table["is_calibration"].tolist() == (table["start"] < 12).tolist()
    metrics = json.loads((tmp_path / "a.metrics.json").read_text())
    assert metrics["num_samples"] == (table["start"] >= 12).sum()


def test_poor_recordings_are_marked(model, tmp_path):
    corpus = get_corpus("simulated", num_subjects=1, seconds=7)
    raw = corpus.read(corpus.recordings()[0]).load_data()
    raw._data[2] = 0
    raw.save(tmp_path / "flat_raw.fif", verbose="ERROR")
    printed = run_command("predict", model, tmp_path / "flat_raw.fif", "--output", tmp_path / "a.csv")
    marks = pd.read_csv(tmp_path / "a.csv")["marks"]
    assert marks.str.contains(f"bad channels: {raw.ch_names[2]}").all() and "have marks" in printed


def test_bad_input_is_one_line(model, lab, tmp_path):
    path = sorted(lab.glob("*_raw.fif"))[0]
    assert "expected a model and recordings" in fail_command("predict", model)
    assert "is no file, no folder" in fail_command("predict", model, tmp_path / "nothing.edf")
    assert "ends in .csv or .parquet" in fail_command("predict", model, path, "--output", "table.xlsx")
    assert "could be predicted" in fail_command(
        "predict", model, lab / "broken.edf", "--output", tmp_path / "a.csv"
    )
    line = fail_command("predict", model, lab, "--label_column", "Nothing", "--output", tmp_path / "a.csv")
    assert "no recording has this label" in line and "Condition" in line


def test_explanations_are_written_beside_the_table(model, lab, prepared, tmp_path):
    path = sorted(lab.glob("*_raw.fif"))[0]
    run_command("predict", model, path, "--output", tmp_path / "t.csv", "--explain", "rollout")
    (figure,) = pd.read_csv(tmp_path / "t.csv")["explanation"].unique()
    assert (
        figure.startswith(str(tmp_path / "t_explanations" / path.name)) and Path(figure).stat().st_size > 5000
    )
    written = json.loads(Path(figure).with_suffix(".json").read_text())
    assert written["method"] == "rollout" and np.shape(written["values"]) == (4, 19, 8, 1)
    assert fail_command("predict", model, prepared, "--explain", "pairs") == (
        f"explain is for recordings, got the prepared windows {prepared}"
    )
