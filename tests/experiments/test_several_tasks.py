# SPDX-License-Identifier: Apache-2.0
"""One model of several labels: classes and numbers at once, with labels that are missing."""

import json

import numpy as np
import pytest
from tests.commands import fail_command, run_command
from transformers import AutoModelForSequenceClassification, pipeline

from eeg_hf import get_corpus
from eeg_hf.evaluation import Predictions

TINY = (
    "config={hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32, "
    "second_order: true, overlap: 0.0}"
)


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    """Windows of eight subjects; two of them have no age, and every recording has a condition."""
    folder, rows = tmp_path_factory.mktemp("lab"), ["file,subject,condition,age,rest_votes,task_votes"]
    corpus = get_corpus("simulated", num_subjects=8, seconds=8)
    for number, recording in enumerate(corpus.recordings()):
        corpus.read(recording).save(folder / f"r{number}_raw.fif", verbose="ERROR")
        age = "" if number // 2 in (1, 6) else 20 + number // 2 * 5
        condition = recording.labels["condition"]
        votes = "4,1" if condition == "rest" else "1,3"
        rows.append(f"r{number}_raw.fif,{recording.subject},{condition},{age},{votes}")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    words = ("--corpus", "folder", "--data_dir", folder, "--window_seconds", 2)
    run_command("prepare", *words, "--output_dir", folder / "windows")
    return folder / "windows"


def finetune(windows, labels, output_dir, *words):
    words = ("--data", windows, "--label_column", labels, "--report_to", "none", *words, TINY)
    return run_command("finetune", "finetune_tiny", *words, "--output_dir", output_dir)


def test_each_head_says_what_a_model_of_its_own_says(windows, tmp_path):
    folds = ("--folds", 2, "--num_validation_subjects", 0)
    finetune(windows, "condition,age", tmp_path / "both", "--task", "regression", *folds)
    finetune(windows, "condition", tmp_path / "one", *folds)
    for fold in range(2):
        both = Predictions.load(tmp_path / f"both/condition/fold-{fold}/predictions.parquet")
        one = Predictions.load(tmp_path / f"one/fold-{fold}/predictions.parquet")
        assert np.array_equal(both.window_ids, one.window_ids)
        np.testing.assert_allclose(both.scores, one.scores, atol=1e-4)
    ages = json.loads((tmp_path / "both/age/metrics.json").read_text())["summary"]
    tested = [Predictions.load(tmp_path / f"both/age/fold-{fold}/predictions.parquet") for fold in range(2)]
    assert "mae" in ages and len(set(np.concatenate([each.subjects for each in tested]))) == 6
    words = (
        "--label_column",
        "condition",
        "--folds",
        2,
        "--num_validation_subjects",
        0,
        "--baselines",
        "false",
    )
    run = f"one model={tmp_path / 'both/condition'}"
    table = run_command(
        "evaluate", "--data", windows, *words, "--runs", run, "--output_dir", tmp_path / "table"
    )
    assert "one model" in table


def test_the_last_model_answers_both_at_once(windows, tmp_path):
    finetune(windows, "condition,age", tmp_path, "--task", "regression", "--split", "none")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert model.config.tasks == {"condition": 2, "age": 1}
    recording = next(windows.parent.glob("*_raw.fif"))
    answer = pipeline("eeg-classification", model=str(tmp_path))(str(recording))
    assert set(answer["tasks"]["condition"]["scores"]) == {"rest", "task"}
    assert 0 < answer["tasks"]["age"]["value"] < 100
    run_command("predict", tmp_path, recording, "--output", tmp_path / "table.csv", "--per", "recording")
    header = (tmp_path / "table.csv").read_text().splitlines()[0]
    assert "condition: predicted" in header and "age: predicted" in header
    line = fail_command(
        "finetune", "finetune_tiny", "--data", windows, "--label_column", "condition,age", "--shots", 3
    )
    assert "several labels take no --shots" in line


def test_votes_are_learned_as_shares(windows, tmp_path):
    folds = ("--folds", 2, "--num_validation_subjects", 0)
    finetune(windows, "condition", tmp_path / "soft", "--votes", "rest_votes,task_votes", *folds)
    soft = [Predictions.load(tmp_path / f"soft/fold-{fold}/predictions.parquet") for fold in range(2)]
    metrics = json.loads((tmp_path / "soft/fold-0/metrics.json").read_text())
    # Experts say 0.8 and 0.25 to rest: never surer than they, and nearer to them than a coin is (0.162 nats)
    labels = np.concatenate([each.labels for each in soft])
    to_rest = np.concatenate([each.scores[:, 0] for each in soft])
    assert to_rest.min() > 0.15 and to_rest.max() < 0.9
    assert to_rest[labels == 0].mean() > to_rest[labels == 1].mean()
    assert metrics["kl_divergence"] < 0.161
    line = fail_command(
        "finetune",
        "finetune_tiny",
        "--data",
        windows,
        "--label_column",
        "x",
        "--votes",
        "rest_votes,tsk_votes",
    )
    assert "did you mean 'task_votes'" in line


def test_the_best_architecture_is_chosen_by_inner_folds_and_kept(windows, tmp_path):
    pytest.importorskip("braindecode")
    names = "band_power,eegnet"
    printed = finetune(windows, "condition", tmp_path, "--architecture", names, "--split", "none")
    choice = json.loads((tmp_path / "choice.json").read_text())
    assert set(choice["scores"]) == {"band_power", "eegnet"} and not (tmp_path / "choice").exists()
    assert choice["scores"][choice["chosen"]] == max(choice["scores"].values())
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    kinds = {"band_power": "eeg_classical", "eegnet": "braindecode"}
    assert model.config.model_type == kinds[choice["chosen"]], printed
    recording = next(windows.parent.glob("*_raw.fif"))
    assert pipeline("eeg-classification", model=str(tmp_path))(str(recording))["label"] in ("rest", "task")
    line = fail_command(
        *("finetune", "finetune_tiny", "--data", windows, "--label_column", "age"),
        *("--task", "regression", "--architecture", "band_power,welch_tangent_space"),
    )
    assert "welch_tangent_space: for classes" in line


def test_a_classical_method_is_predicted_with_and_no_export_says_why(windows, tmp_path):
    finetune(windows, "condition", tmp_path / "model", "--architecture", "tangent_space", "--split", "none")
    recording = next(windows.parent.glob("*_raw.fif"))
    run_command("predict", tmp_path / "model", recording, "--output", tmp_path / "table.csv")
    assert "score: rest" in (tmp_path / "table.csv").read_text()
    line = fail_command("export", tmp_path / "model", "--output_dir", tmp_path / "exported")
    assert "is tangent_space, whose filters and logarithms of matrices have no operators in ONNX" in line
