# SPDX-License-Identifier: Apache-2.0
"""A search of settings by inner folds of subjects, as a user runs it."""

import json

import pytest

from tests.commands import fail_command, flags, run_command

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
