# SPDX-License-Identifier: Apache-2.0
"""Heads that are fitted at once, regimes of calibration, and regressions, as a user runs them."""

import json

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification, pipeline

from eeg_hf import EEGFeatureExtractor, get_corpus
from eeg_hf.corpora import SeenWindows
from eeg_hf.evaluation import Predictions
from eeg_hf.hub import facts_from_run
from tests.commands import fail_command, flags, run_command

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "second_order_bands": [[5, 8], [8, 12], [12, 20]],
}
TABLE = ("--label_column", "condition", "--baselines", "false")


def finetune(prepared, output_dir, recipe="finetune_eegmat", **options):
    settings = {"data": prepared, "output_dir": output_dir, "config": json.dumps(TINY), **options}
    if "head" in options:
        settings = {"num_train_epochs": 1, **settings}
    run_command("finetune", recipe, *flags(report_to="none", **settings))
    return output_dir


def read(folder, name):
    return json.loads((folder / name).read_text())


@pytest.fixture(scope="module")
def convex(prepared, tmp_path_factory):
    return finetune(prepared, tmp_path_factory.mktemp("convex"))


def test_the_recipe_fits_a_head_and_leaves_an_ordinary_checkpoint(prepared, convex, tmp_path):
    head = read(convex, "head.json")
    assert head["kept"] == "convex" and head["parts"] == ["bands"]
    assert head["inverse_regularization"] in map(float, head["scores"])
    model = AutoModelForSequenceClassification.from_pretrained(convex)
    assert model.config.id2label == {0: "rest", 1: "task"} and model.band_classifier.weight.abs().sum() > 0
    seen = SeenWindows.load(convex)  # the validation subjects too
    assert set(seen.table.column("use").to_pylist()) == {"trained"} and len(seen.subjects) == 5
    corpus = get_corpus("simulated")
    said = pipeline("eeg-classification", model=str(convex))(corpus.read(corpus.recordings()[0]))
    assert said["label"] in ("rest", "task") and sum(said["scores"].values()) == pytest.approx(1)
    printed = run_command(
        *("evaluate", "--data", prepared, *TABLE, "--output_dir", tmp_path, "--runs", f"convex={convex}")
    )
    assert "| convex | subject unseen |" in printed
    facts = facts_from_run(convex)
    assert facts.own_results[0].regime == "unseen"
    assert facts.objectives[0].startswith("logistic regression on frozen second-order vectors")


def test_saved_weights_say_what_the_run_said(prepared, convex, tmp_path):
    where = ("--data", prepared, *TABLE, "--output_dir", tmp_path)
    run_command("evaluate", *where, "--runs", f"run={convex}", "--model", convex)
    first, second = read(tmp_path, "metrics.json")["results"]
    assert first["metrics"]["auroc"]["mean"] == pytest.approx(second["metrics"]["auroc"]["mean"])


def test_regimes_stand_in_their_own_rows(prepared, tmp_path):
    runs = {regime: finetune(prepared, tmp_path / regime, regime=regime) for regime in ("50P", "all")}
    tested = {name: Predictions.load(folder / "predictions.parquet") for name, folder in runs.items()}
    assert len(tested["50P"].labels) * 2 == len(tested["all"].labels)  # windows that calibrate are not scored
    assert EEGFeatureExtractor.from_pretrained(runs["50P"]).calibration_regime == "50P"
    where = ("--data", prepared, *TABLE, "--output_dir", tmp_path / "table")
    printed = run_command("evaluate", *where, "--runs", *[f"ours {n}={f}" for n, f in runs.items()])
    assert "| ours 50P | calibrated on 50 % of the subject's unlabelled windows |" in printed
    assert "| ours all | unlabelled windows of the subject used |" in printed
    again = run_command("evaluate", *where, "--model", runs["50P"])
    row = read(tmp_path / "table", "metrics.json")["results"][0]
    assert row["regime"] == "50P" and "calibrated on 50 %" in again
    assert row["num_windows"] == len(tested["50P"].labels)
    assert facts_from_run(runs["50P"]).own_results[0].regime == "50P"


def test_fine_tuning_from_the_fitted_head_is_kept_if_validation_prefers_it(prepared, tmp_path):
    folder = finetune(prepared, tmp_path, head="both", patience=0)
    head = read(folder, "head.json")
    scores = head["validation"]
    assert scores["metric"] == "eval_balanced_accuracy"
    is_better = scores["finetuned"] > scores["convex"]
    assert head["kept"] == ("finetuned" if is_better else "convex")
    assert read(folder, "training_args.json")["learning_rate"] == pytest.approx(1e-4)  # the recipe's is 1e-3
    assert set(SeenWindows.load(folder).table.column("use").to_pylist()) == {"trained", "selected"}


def test_numbers_are_predicted_in_their_unit(prepared, tmp_path):
    options = {"task": "regression", "label_column": "alpha_hz", "split": "official"}
    folder = finetune(prepared, tmp_path / "one", "finetune_tiny", **options)
    found = Predictions.load(folder / "predictions.parquet")
    assert found.scores.shape == (len(found.labels), 1)
    assert 7 < found.scores.mean() < 13  # Hz
    assert {"nrmse_std", "pearson"} <= set(read(folder, "metrics.json"))
    options |= {"folds": 3, "num_validation_subjects": 1}
    folds = finetune(prepared, tmp_path / "folds", "finetune_tiny", **options)
    metrics = read(folds, "metrics.json")
    assert len(metrics["folds"]) == 3  # the summary is of all folds together
    parts = [Predictions.load(folds / f"fold-{fold}/predictions.parquet") for fold in range(3)]
    whole = Predictions.concatenate(parts)
    assert metrics["summary"]["mae"]["mean"] == pytest.approx(
        np.abs(whole.labels - whole.scores[:, 0]).mean()
    )
    assert len(metrics["summary"]["mae"]["interval"]) == 2
    words = flags(
        data=prepared, label_column="alpha_hz", task="regression", folds=3, num_validation_subjects=1
    )
    run_command("evaluate", *words, "--runs", f"ours={folds}", "--output_dir", tmp_path / "table")
    rows = {row["method"]: row["metrics"] for row in read(tmp_path / "table", "metrics.json")["results"]}
    assert rows["ours"]["mae"]["mean"] == pytest.approx(metrics["summary"]["mae"]["mean"])
    assert rows["mean of the training windows"]["r2"]["mean"] <= 0
    words = flags(data=prepared, label_column="alpha_hz", folds=3, num_validation_subjects=1, baselines=False)
    line = fail_command("evaluate", *words, "--runs", f"ours={folds}", "--output_dir", tmp_path / "table")
    assert "predicted numbers: take --task regression" in line
    model = AutoModelForSequenceClassification.from_pretrained(folds / "fold-0")
    assert model.config.num_labels == 1 and model.config.regression_std > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"regime": "all", "alignment": "euclidean"}, "both recentre a subject: choose one"),
        ({"mixup_alpha": 0.2}, "head: convex is fitted at once, without --mixup_alpha"),
        ({"architecture": "eegnet"}, "eegnet is fine-tuned: it takes --head finetune"),
        ({"regime": "first_30s"}, "first_30s leaves no window of part"),
        ({"regime": "20P"}, "expected 10 s of signal or more"),
        ({"regime": "first_30s", "rest": "sleep"}, "no window to calibrate simulated/"),
        (
            {"regime": "all", "config": json.dumps({**TINY, "second_order": False})},
            "recentres second-order tokens, which this model lacks",
        ),
        ({"task": "regression"}, "a regression has none; leave out --class_names"),
    ],
)
def test_options_that_contradict_each_other_end_with_one_line(prepared, tmp_path, options, message):
    settings = {"data": prepared, "output_dir": tmp_path, "config": json.dumps(TINY), "report_to": "none"}
    assert message in fail_command("finetune", "finetune_eegmat", *flags(**{**settings, **options}))


def test_the_recipe_of_before_is_a_group(prepared, tmp_path):
    words = ("finetune_eegmat", "experiment=first_order", "--data", prepared, "--output_dir", tmp_path)
    shown = run_command("finetune", *words, "--cfg", "job")
    assert "head: finetune" in shown and "second_order: false" in shown


def test_a_model_that_is_trained_for_int8_is_an_ordinary_one(prepared, tmp_path):
    """The best epoch is loaded in the end, and a run goes on from a checkpoint."""
    options = {"head": "finetune", "max_steps": 2, "eval_strategy": "steps", "save_strategy": "steps"}
    options |= {"eval_steps": 1, "save_steps": 1, "save_total_limit": 2}
    plain = finetune(prepared, tmp_path / "plain", **options)
    folder = finetune(prepared, tmp_path / "int8", quantization_aware="dynamic", **options)
    weights = {
        path: AutoModelForSequenceClassification.from_pretrained(path).state_dict()
        for path in (plain, folder)
    }
    assert weights[plain].keys() == weights[folder].keys()
    moved = [name for name in weights[plain] if not weights[plain][name].equal(weights[folder][name])]
    assert any("up_proj" in name for name in moved)
    options |= {"max_steps": 3, "resume_from_checkpoint": folder / "checkpoint-2"}
    again = finetune(prepared, folder, quantization_aware="dynamic", **options)
    assert read(again, "trainer_state.json")["global_step"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--quantization_aware dynamic: --head convex trains no layers: take --head finetune or both"),
        ({"head": "finetune", "adapter": "lora", "model": "x"}, "--adapter lora keeps the layers frozen"),
        ({"architecture": "tangent_space"}, "no effect of --quantization_aware"),
        (
            {"head": "finetune", "architecture": "eegnet", "config": "{}"},
            "quantization_aware dynamic: the model has no layer that int8 takes: take static",
        ),
    ],
)
def test_layers_that_are_not_trained_are_not_rounded(prepared, tmp_path, options, message):
    settings = {"data": prepared, "output_dir": tmp_path, "config": json.dumps(TINY), "report_to": "none"}
    settings |= {"quantization_aware": "dynamic", **options}
    assert message in fail_command("finetune", "finetune_eegmat", *flags(**settings))


def test_words_are_no_numbers(prepared, tmp_path):
    settings = {"data": prepared, "output_dir": tmp_path, "label_column": "condition", "task": "regression"}
    assert "a regression needs numbers" in fail_command("finetune", "finetune_tiny", *flags(**settings))


def test_a_pretraining_that_does_not_help_is_left_out(prepared, tmp_path):
    """The inner folds choose whether the head reads the encoder besides its second-order vectors."""
    config = json.dumps({**TINY, "objectives": {"masked_bands": {}}, "second_order": True})
    quick = flags(max_steps=2, report_to="none", eval_strategy="no", save_strategy="no", regime="all")
    words = ("--data", prepared, "--output_dir", tmp_path / "pretrained", "--config", config)
    run_command("pretrain", "pretrain_tiny", *words, *quick)
    folder = finetune(prepared, tmp_path / "run", model=tmp_path / "pretrained", regime="all")
    assert read(folder, "head.json")["parts"] in (["bands"], ["pooled", "bands"])
    weights = AutoModelForSequenceClassification.from_pretrained(folder)
    reads_encoder = bool(np.abs(weights.classifier.out.weight.detach().numpy()).sum())
    assert reads_encoder == ("pooled" in read(folder, "head.json")["parts"])
