# SPDX-License-Identifier: Apache-2.0
"""A search of settings by inner folds of subjects, for a classifier and for a pretraining."""

import json
import os
import sys

import pytest
from transformers import AutoConfig

from eeg_hf import load_windows
from eeg_hf.corpora import split_windows
from eeg_hf.experiments.inner_folds import inner_splits
from tests.commands import fail_command, flags, run_command, start_command

TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def words(prepared, output_dir, **options):
    settings = {
        "data": prepared,
        "label_column": "condition",
        "output_dir": output_dir,
        "head": "finetune",
        "config": json.dumps({**TINY, "overlap": 0.0, "second_order": False}),
        "report_to": "none",
        **options,
    }
    if settings["head"] == "finetune":
        settings["num_train_epochs"] = 1
    return ["finetune_tiny", *flags(**settings)]


def test_a_search_goes_on_where_it_was_stopped_and_trains_with_what_it_found(prepared, tmp_path):
    space = json.dumps({"learning_rate": {"low": 1e-6, "high": 1e-2, "log": True}})
    options = {"search_space": space, "search_folds": 2}
    run_command("finetune", *words(prepared, tmp_path, search=1, **options))
    before = json.loads((tmp_path / "search/trials.json").read_text())["trials"]
    run_command("finetune", *words(prepared, tmp_path, search=2, **options))
    found = json.loads((tmp_path / "search/trials.json").read_text())
    trials = found["trials"]
    assert len(before) == 1 and len(trials) == 2
    known = {trial["trial"]: trial for trial in trials}
    assert all(known[trial["trial"]] == trial for trial in before)
    assert all(len(trial["scores"]) == 2 for trial in trials)
    best = trials[0]
    assert best["score"] == max(trial["score"] for trial in trials)
    settings = json.loads((tmp_path / "training_args.json").read_text())
    assert settings["learning_rate"] == best["settings"]["learning_rate"]
    assert "| learning_rate |" in (tmp_path / "search/trials.md").read_text()
    if len({trial["score"] for trial in trials}) > 1:
        assert found["importance"] == {"learning_rate": pytest.approx(1)}
        assert (tmp_path / "search/importance.png").stat().st_size > 3000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"search": 2, "head": "convex"}, "--head convex chooses its own penalty"),
        ({"search": 2, "search_space": '{"lerning_rate": [1, 2]}'}, "did you mean 'learning_rate'?"),
        ({"search": 2, "search_space": '{"learning_rate": 3}'}, "expected a list of values or"),
        ({"search": 2, "search_folds": 9}, "--search_folds 9: expected as many training subjects, got"),
        ({"search_space": '{"learning_rate": [1, 2]}'}, "no effect without --search"),
    ],
)
def test_a_search_of_nothing_is_refused(prepared, tmp_path, options, message):
    assert message in fail_command("finetune", *words(prepared, tmp_path, **options))
    assert not list(tmp_path.rglob("*.safetensors"))


def pretraining(prepared, output_dir, **options):
    plain = {"second_order": False, "objectives": None, "contrastive_weight": 0.5}
    fields = {"config": json.dumps({**TINY, "overlap": 0.0, **plain})}
    once = {"max_steps": 2, "eval_strategy": "no", "save_strategy": "no", "report_to": "none"}
    given = {"data": prepared, "output_dir": output_dir, **fields, **once, "search_folds": 2, **options}
    return ["pretrain_tiny", *flags(**given)]


def test_a_pretraining_is_searched_by_its_loss_on_held_out_training_subjects(prepared, tmp_path):
    space = json.dumps({"learning_rate": [1e-5, 1e-2], "config.hidden_size": [16, 32]})
    run_command("pretrain", *pretraining(prepared, tmp_path, search=1, search_space=space))
    run_command("pretrain", *pretraining(prepared, tmp_path, search=2, search_space=space))
    trials = json.loads((tmp_path / "search/trials.json").read_text())["trials"]
    assert len(trials) == 2 and all(len(trial["scores"]) == 2 for trial in trials)
    assert trials[0]["score"] == min(trial["score"] for trial in trials)
    best = trials[0]["settings"]
    assert AutoConfig.from_pretrained(tmp_path).hidden_size == best["config.hidden_size"]
    settings = json.loads((tmp_path / "training_args.json").read_text())
    assert settings["learning_rate"] == best["learning_rate"]
    assert not [path for path in tmp_path.rglob("*.safetensors") if path.parent != tmp_path]


def test_the_temperature_of_the_contrast_is_searched_by_a_probe(prepared, tmp_path):
    space = json.dumps({"config.contrastive_temperature": {"low": 0.03, "high": 0.5, "log": True}})
    options = {"search": 2, "search_space": space, "search_label": "condition", "split": "subject"}
    run_command("pretrain", *pretraining(prepared, tmp_path, **options))
    trials = json.loads((tmp_path / "search/trials.json").read_text())["trials"]
    assert all(0 <= score <= 1 for trial in trials for score in trial["scores"])
    assert trials[0]["score"] == max(trial["score"] for trial in trials)
    found = trials[0]["settings"]["config.contrastive_temperature"]
    assert AutoConfig.from_pretrained(tmp_path).contrastive_temperature == found


def test_the_inner_folds_of_a_pretraining_never_hold_a_tested_subject(prepared, tmp_path, monkeypatch):
    seen = []

    def watch(train, num_folds):
        seen.append(set(train["subject"]))
        return inner_splits(train, num_folds)

    monkeypatch.setattr("eeg_hf.experiments.pretraining.inner_splits", watch)
    options = {"search": 1, "split": "fold", "num_folds": 3, "num_validation_subjects": 1}
    run_command("pretrain", *pretraining(prepared, tmp_path, **options))
    splits = split_windows(load_windows(prepared), "fold", num_folds=3, num_validation_subjects=1)
    assert seen == [set(splits["train"]["subject"])]
    assert not seen[0] & {*splits["test"]["subject"], *splits["validation"]["subject"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"search_space": '{"config.contrastive_temperature": [0.07, 0.2]}'}, "--search_label COLUMN"),
        ({"search_space": '{"lerning_rate": [1, 2]}'}, "did you mean 'learning_rate'?"),
        ({"search_folds": 9}, "--search_folds 9: expected as many training subjects, got"),
        ({"search_label": "conditoin"}, "conditoin"),
        ({"search_label": "window_id"}, "--search_label window_id: expected 2 to 50 classes, got"),
        ({"search": 0, "search_label": "condition"}, "--search_label: no effect without --search"),
        ({"search": 0, "search_engine": "ray"}, "--search_engine: no effect without --search"),
    ],
)
def test_a_search_that_says_nothing_is_refused_before_pretraining(prepared, tmp_path, options, message):
    assert message in fail_command("pretrain", *pretraining(prepared, tmp_path, **{"search": 2, **options}))
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.slow
def test_a_search_on_ray_is_kept_beside_that_of_this_process(prepared, tmp_path):
    pytest.importorskip("ray.tune")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # of Ray's processes
    space = json.dumps(
        {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "weight_decay": [0.0, 0.1]}
    )
    options = {"search": 2, "search_space": space, "search_engine": "ray"}
    # In a process of its own: Ray pickles the Trainer, whose module other tests have imported twice
    process = start_command(environment, "pretrain", *pretraining(prepared, tmp_path, **options))
    assert process.wait(timeout=500) == 0
    first = json.loads((tmp_path / "search/trials.json").read_text())["trials"]
    run_command("pretrain", *pretraining(prepared, tmp_path, search=3, search_space=space))
    trials = json.loads((tmp_path / "search/trials.json").read_text())["trials"]
    assert len(first) == 2 and len(trials) == 3 and all(trial in trials for trial in first)
    assert len({trial["settings"]["learning_rate"] for trial in trials}) == 3
    assert all(len(trial["scores"]) == 2 for trial in trials)
