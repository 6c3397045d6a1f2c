# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning and the table of results, as a user runs them."""

import json

import pyarrow.parquet as pq
import pytest
from transformers import AutoFeatureExtractor, AutoModelForSequenceClassification, pipeline

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import Simulated, prepare
from eeg_hf.hub import facts_from_run
from tests.commands import fail_command, flags, run_command

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "overlap": 0.0,
}


def arguments(prepared, output_dir, **options):
    settings = {
        "data": prepared,
        "output_dir": output_dir,
        "config": json.dumps(TINY),
        "report_to": "none",
        **options,
    }
    if settings.get("head") == "finetune":
        settings = {"num_train_epochs": 1, **settings}
    return ["finetune_eegmat", *flags(**settings)]


@pytest.fixture(scope="module")
def classifier(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifier")
    run_command(
        "finetune",
        *arguments(prepared, folder, head="finetune", alignment="euclidean", mixup_alpha=0.2, augment="true"),
    )
    return folder


def test_finetuning_leaves_a_classifier_its_scores_and_pictures(classifier):
    model = AutoModelForSequenceClassification.from_pretrained(classifier)
    assert model.config.id2label == {0: "rest", 1: "task"}
    assert len(model.config.channel_names) == model.config.num_channels == 19
    assert AutoFeatureExtractor.from_pretrained(classifier).alignment == "euclidean"
    predictions = pq.read_table(classifier / "predictions.parquet")
    metrics = json.loads((classifier / "metrics.json").read_text())
    assert metrics["num_samples"] == len(predictions) > 0
    assert len(set(predictions.column("subject").to_pylist())) == 1  # of six, in the official test part
    for picture in ("confusion_matrix.png", "training_curves.png"):
        assert (classifier / picture).stat().st_size > 5000
    facts = facts_from_run(classifier)
    own = facts.own_results[0].metrics["balanced_accuracy"]
    assert own["mean"] == pytest.approx(metrics["balanced_accuracy"], rel=1e-5)
    assert facts.seeds == (json.loads((classifier / "training_args.json").read_text())["seed"],)


def test_the_table_holds_runs_and_baselines_of_both_regimes(tmp_path):
    data, folds = tmp_path / "data", tmp_path / "folds"
    extractor = EEGFeatureExtractor(window_seconds=2.0, channels=["Fp1", "C3", "Cz", "O1", "O2"])
    prepare(Simulated(num_subjects=6, seconds=10), data, extractor)
    eegnet = {
        "architecture": "eegnet",
        "head": "finetune",
        "folds": 2,
        "patience": 0,
        "num_validation_subjects": 1,
    }
    run_command("finetune", *arguments(data, folds, **eegnet))
    network = AutoModelForSequenceClassification.from_pretrained(folds / "fold-0").eval()
    assert network.config.architecture == "EEGNet" and network.config.id2label == {0: "rest", 1: "task"}
    raw = Simulated(num_subjects=1, seconds=10)
    answer = pipeline("eeg-classification", model=str(folds / "fold-0"))(raw.read(raw.recordings()[0]))
    assert answer["label"] in ("rest", "task") and len(answer["windows"]) == 5
    printed = run_command(
        *("evaluate", "--data", data, "--label_column", "condition", "--folds", "2"),
        *("--num_validation_subjects", "1"),
        *("--output_dir", tmp_path / "table", "--runs", f"EEGNet={folds}"),
    )
    rows = json.loads((tmp_path / "table" / "metrics.json").read_text())["results"]
    assert {(row["method"], row["regime"]) for row in rows} == {
        ("band power + logistic regression", "unseen"),
        ("tangent space of 12 bands + logistic regression", "aligned"),
        ("tangent space of 12 bands + logistic regression", "unseen"),
        ("tangent space + logistic regression", "unseen"),
        ("tangent space + logistic regression", "aligned"),
        ("EEGNet", "unseen"),
    }
    assert all(row["num_subjects"] == 6 and len(row["metrics"]["auroc"]["values"]) == 2 for row in rows)
    assert "| EEGNet |" in printed
    assert (tmp_path / "table" / "report.md").exists() and (tmp_path / "table" / "results.png").exists()
    summary = json.loads((folds / "metrics.json").read_text())["summary"]
    row = next(row for row in rows if row["method"] == "EEGNet")
    seed = json.loads((folds / "fold-0/training_args.json").read_text())["seed"]
    about = json.loads((tmp_path / "table" / "metrics.json").read_text())["provenance"]
    assert row["seeds"] == about["seeds"] == [seed]
    assert row["difference"]["num_subjects"] == 6 and "logistic" in row["difference"]["baseline"]
    assert f"* EEGNet (subject unseen): difference {row['difference']['mean']:+.3f}" in printed
    assert row["metrics"]["balanced_accuracy"]["mean"] == pytest.approx(summary["balanced_accuracy"]["mean"])


def test_a_run_of_other_windows_is_refused(prepared, classifier, tmp_path):
    line = fail_command(
        *("evaluate", "--data", prepared, "--label_column", "condition", "--split", "subject"),
        *("--output_dir", tmp_path, "--baselines", "false", "--runs", f"tiny={classifier}"),
    )
    assert "give --data, --split and --folds of that run" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"label_column": "mood"},
            "label_column 'mood' is not in the dataset; it has alignment_group, alpha_hz",
        ),
        ({"label_column": "Condition"}, "did you mean 'condition'?"),
        ({"learning_rate": 0.1}, "learning_rate: no effect, a convex head is fitted at once: leave it out"),
        ({"max_steps": 2}, "or take --head both or finetune"),
        ({"model": "runs/no/such"}, "runs/no/such is neither a folder nor the name of a repository"),
    ],
)
def test_what_cannot_be_learned_ends_with_one_line(prepared, tmp_path, options, message):
    assert message in fail_command("finetune", *arguments(prepared, tmp_path, **options))
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize(
    "words", [["training.learning_rate=0.1"], ["--architecture", "band_power", "--max_steps", "2"]]
)
def test_settings_of_epochs_are_refused_by_every_spelling(prepared, tmp_path, words):
    line = fail_command("finetune", *arguments(prepared, tmp_path), *words)
    assert "no effect" in line and "is fitted at once: leave it out" in line


def test_a_column_of_numbers_has_no_classes_to_learn(prepared, tmp_path):
    recipe, *words = arguments(prepared, tmp_path, label_column="alpha_hz")
    line = fail_command("finetune", "finetune_tiny", *words)
    assert line.startswith("alpha_hz: ") and "of 6 classes have no window to train on" in line
