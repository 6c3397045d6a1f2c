# SPDX-License-Identifier: Apache-2.0
"""Phases as a user runs them: from files of HBN and TUH to predictions, killed and resumed, mistyped."""

import json

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForPreTraining, AutoModelForSequenceClassification

import eeg_hf  # noqa: F401  (registers the Auto classes)
from eeg_hf.cli.parsing.recipe_files import list_recipes, read_recipe
from eeg_hf.cli.train_phases import COMMAND
from eeg_hf.experiments.phases.arguments import PhasesArguments
from eeg_hf.training import EEGTrainer, read_probe_curve
from tests.commands import fail_command, run_command
from tests.corpora.written_trees import TRIALS_TASK, write_hbn, write_tuh

RECIPES = list_recipes()
TASKS = ("RestingState", "DespicableMe", "ThePresent", f"{TRIALS_TASK}_run-1")
TINY = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
TINY |= {"overlap": 0.0, "contrastive_weight": 0.0}
TRAINING = {"max_steps": 4, "per_device_train_batch_size": 8, "per_device_eval_batch_size": 8}
TRAINING |= {"save_steps": 1, "logging_steps": 1, "report_to": "none", "disable_tqdm": True}


def read_report(folder):
    return json.loads((folder / "phase.json").read_text())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a folder with runs/data as the recipes read it: children of R1 and R5, subjects of TUH."""
    folder = tmp_path_factory.mktemp("world")
    write_hbn(folder / "hbn", 5, 12.0, tasks=TASKS)
    write_hbn(folder / "hbn", 4, 12.0, tasks=TASKS, release="R5_L100_bdf", first=11)
    write_tuh(folder / "tuh", 3, 22.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for recipe in [*(name for name in RECIPES if name.startswith("prepare_hbn_")), "prepare_tueg_100hz"]:
            root = "tuh" if "tueg" in recipe else "hbn"
            run_command("prepare", recipe, "--data_dir", root, "--num_proc", 1)
    return folder


@pytest.fixture
def in_world(world, monkeypatch):
    monkeypatch.chdir(world)
    return world


@pytest.mark.slow
def test_all_phases_of_hbn_and_tuh(in_world, caplog):
    run_command("train-phases", "phases_hbn_tuh", "--tiny", "true")
    folder = in_world / "runs/hbn-tuh"
    names = ["multitask", "films", "challenge1", "challenge2"]
    reports = {name: read_report(folder / name) for name in names}
    tasks = AutoModelForPreTraining.from_pretrained(folder / "multitask").config.auxiliary_tasks
    assert set(tasks) == set(eeg_hf.HBN_AUXILIARY_TASKS) and tasks["age"]["std"] > 0
    assert reports["films"]["carried"]["share"] > 0.5
    assert "contrastive_loss" in json.dumps(
        json.loads((folder / "films/trainer_state.json").read_text())["log_history"]
    )
    for name in ("challenge1", "challenge2"):
        model = AutoModelForSequenceClassification.from_pretrained(folder / name)
        assert model.config.num_labels == 1 and model.config.regression_std > 0
        assert reports[name]["validation"]["eval_nrmse_std"] > 0
    assert not set(reports["multitask"]["people"]) & {f"hbn/NDARAA0000{number}" for number in range(11, 15)}
    assert {row["phase"] for row in read_probe_curve(folder / "probe.jsonl")} == set(names)
    assert (folder / "probe.png").stat().st_size > 5000
    assert "has no test part" in caplog.text


@pytest.mark.slow
def test_what_is_carried_is_carried_bit_by_bit(in_world):
    folder = in_world / "runs/one"
    run_command("train-phases", "pretrain_multitask", "--tiny", "true", "--output_dir", folder)
    settings = read_recipe(RECIPES["contrast_films"])
    settings["phases"][0]["training"]["learning_rate"] = 0.0  # what comes out is what was taken over
    still = folder / "still.yaml"
    still.write_text(yaml.safe_dump(settings))
    options = ["--tiny", "true", "--output_dir", folder, "--model", folder / "multitask"]
    run_command("train-phases", still, *options)
    before, after = (load_file(folder / name / "model.safetensors") for name in ("multitask", "films"))
    carried = read_report(folder / "films")["carried"]
    assert len(carried["carried"]) > 20 and all(name.startswith("model.") for name in carried["carried"])
    assert all(torch.equal(before[name], after[name]) for name in carried["carried"])
    assert any(name.startswith("projection_head") for name in carried["new"])
    assert any(name.startswith("auxiliary_head") for name in carried["dropped"])


@pytest.mark.slow
def test_rest_and_challenges_go_on_from_given_weights(in_world):
    start = in_world / "runs/hbn-tuh/films"
    if not start.exists():
        pytest.fail("needs what test_all_phases_of_hbn_and_tuh leaves")
    for recipe, phases in (
        ("contrast_rest", ["rest"]),
        ("finetune_challenges", ["challenge1", "challenge2"]),
    ):
        folder = in_world / "runs" / recipe
        run_command(
            "train-phases",
            *(recipe, "--tiny", "true", "--output_dir", folder, "--model", start),
        )
        for phase in phases:
            assert read_report(folder / phase)["description"]["earlier"] == "films"


def save_recipe(path, prepared, **changes):
    """A recipe of two phases on one simulated corpus: masked with an auxiliary task, then a classifier."""
    phases = [
        {"name": "masked", "data": str(prepared), "auxiliary": {"alpha_hz": {"num_outputs": 1}}},
        {
            "name": "classify",
            "objective": "classification",
            "data": str(prepared),
            "label_column": "condition",
            "freeze_epochs": 0.5,
        },
    ]
    probe = {"data": str(prepared), "label_column": "condition"}
    recipe = {"config": TINY, "training": TRAINING, "split": "official", "probe": probe, "phases": phases}
    path.write_text(yaml.safe_dump({**recipe, **changes}, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    """Return the folder of an uninterrupted run, and its recipe."""
    folder = tmp_path_factory.mktemp("finished")
    recipe = save_recipe(folder / "recipe.yaml", prepared)
    run_command("train-phases", recipe, "--output_dir", folder / "out")
    return folder / "out", recipe


def test_a_run_killed_in_the_second_phase_goes_on_there(finished, tmp_path, monkeypatch):
    whole, recipe = finished
    out, step, steps = tmp_path / "out", EEGTrainer.training_step, []

    def killed(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == TRAINING["max_steps"] + 3:
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(EEGTrainer, "training_step", killed)
    with pytest.raises(KeyboardInterrupt):
        COMMAND([str(recipe), "--output_dir", str(out)])
    monkeypatch.undo()
    assert (out / "masked/phase.json").exists() and not (out / "classify/phase.json").exists()
    first = (out / "masked/model.safetensors").stat().st_mtime_ns
    run_command("train-phases", recipe, "--output_dir", out)
    assert (out / "masked/model.safetensors").stat().st_mtime_ns == first
    for phase in ("masked", "classify"):
        ours, theirs = (load_file(folder / phase / "model.safetensors") for folder in (out, whole))
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    steps = [(row["phase"], row["step"]) for row in read_probe_curve(out / "probe.jsonl")]
    assert steps == sorted(set(steps), key=steps.index)


def test_finished_phases_are_skipped_and_changed_ones_refused(finished, prepared, tmp_path):
    whole, recipe = finished
    before = (whole / "classify/model.safetensors").stat().st_mtime_ns
    run_command("train-phases", recipe, "--output_dir", whole)
    assert (whole / "classify/model.safetensors").stat().st_mtime_ns == before
    assert (whole / "predictions.parquet").exists() and (whole / "metrics.json").exists()
    line = fail_command("train-phases", recipe, "--output_dir", whole, "--seed", 1)
    assert "was trained with another common" in line


def test_a_phase_left_out_is_not_trained_and_without_validation_none_is_chosen(prepared, tmp_path):
    best = {"load_best_model_at_end": True, "metric_for_best_model": "loss", "eval_strategy": "steps"}
    training = {**TRAINING, **best, "eval_steps": 1, "max_steps": 1}
    changes = {"training": training, "split": "none", "probe": {}}
    recipe = save_recipe(tmp_path / "recipe.yaml", prepared, **changes)
    run_command("train-phases", recipe, "--output_dir", tmp_path, "--leave_out", "classify")
    assert not (tmp_path / "classify").exists()
    assert read_report(tmp_path / "masked")["carried"] is None


def phase(**changes):
    return {"name": "masked", "data": "DATA", **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phases": [phase(objectiv="pretraining")]}, "unknown field 'objectiv', did you mean 'objective'"),
        ({"phases": [phase(training={"learing_rate": 1})]}, "'learing_rate', did you mean 'learning_rate'"),
        ({"phases": [phase(config={"hiden_size": 8})]}, "no field 'hiden_size', did you mean 'hidden_size'"),
        ({"phases": [phase(split={"spilt": "none"})]}, "unknown field 'spilt', did you mean 'split'"),
        ({"phases": [phase(pairs={"stimulus": "event", "second": "x"})]}, "did you mean 'seconds'"),
        ({"phases": [phase(auxiliary={"age": {}})]}, "lacks the columns ['age']"),
        ({"phases": [phase(auxiliary={"condition": {}})]}, "auxiliary task 'condition': expected numbers"),
        ({"phases": [phase(auxiliary="hnb")]}, "auxiliary must be hbn or tasks by name"),
        ({"phases": [phase(data="nowhere")]}, "nowhere"),
        ({"phases": [phase(pairs={"stimulus": "corpus"})]}, "so there is no negative"),
        ({"phases": [{}]}, "lacks name, data"),
        ({"phases": [phase(config={"auxiliary_tasks": {}})]}, "name the columns in the phase's auxiliary"),
        ({"probe": {"data": "DATA"}}, "probe: expected data, label_column"),
        (
            {"config": {**TINY, "channel_adapter": "spline"}, "adapter_montage": "biosemi65"},
            "biosemi64",
        ),
        ({"config": {**TINY, "channel_adapter": "splines"}}, "channel_adapter: expected one of"),
    ],
)
def test_what_cannot_work_ends_with_one_line(prepared, tmp_path, changes, message):
    changes = json.loads(json.dumps(changes).replace("DATA", str(prepared)))
    recipe = save_recipe(tmp_path / "recipe.yaml", prepared, **changes)
    line = fail_command("train-phases", recipe, "--output_dir", tmp_path / "out")
    assert message in line


def test_nobody_trained_on_is_tested_later(prepared, tmp_path):
    recipe = save_recipe(tmp_path / "recipe.yaml", prepared, probe={})
    settings = yaml.safe_load(recipe.read_text())
    settings["phases"][0]["split"] = {"split": "none"}
    recipe.write_text(yaml.safe_dump(settings, sort_keys=False))
    line = fail_command("train-phases", recipe, "--output_dir", tmp_path / "out", "--max_steps", 1)
    assert "trained on in an earlier phase; give both the same split" in line
    options = ["--output_dir", tmp_path / "again", "--leave_out", "masked", "--max_steps", 1]
    line = fail_command("train-phases", recipe, *options, "--model", tmp_path / "out/masked")
    assert "trained on in an earlier phase" in line
    assert not (tmp_path / "again/metrics.json").exists()


@pytest.mark.parametrize(
    "name", [name for name, path in RECIPES.items() if read_recipe(path)["command"] == "train-phases"]
)
def test_every_recipe_of_phases_is_read(name):
    recipe = read_recipe(RECIPES[name])
    recipe["training"]["bf16"] = False  # there may be no GPU
    fields = {name: recipe[name] for name in ("phases", "config", "training", "probe") if name in recipe}
    assert PhasesArguments(**fields).read_phases()
