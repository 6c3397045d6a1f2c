# SPDX-License-Identifier: Apache-2.0
"""A run resumes from the last checkpoint that was written to its end."""

import shutil

import pytest
import torch
from datasets import Dataset
from transformers import TrainingArguments

from eeg_hf import create_model
from eeg_hf.corpora import SeenWindows
from eeg_hf.folder_lock import FolderInUseError
from eeg_hf.training import EEGTrainer, resume_checkpoint
from eeg_hf.training.phases import without_tokens
from eeg_hf.training.transfer import ArrayWindows
from tests.holders import Holder


def find(folder, wanted):
    return resume_checkpoint(TrainingArguments(str(folder), resume_from_checkpoint=wanted))


@pytest.mark.parametrize("wanted", [None, "false", "no"])
def test_a_run_starts_anew_unless_asked_to_resume(tmp_path, wanted):
    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-1/trainer_state.json").write_text("{}")
    assert find(tmp_path, wanted) is None


def test_the_last_complete_checkpoint_is_taken(tmp_path):
    assert find(tmp_path, "true") is None
    train(tmp_path, max_steps=2)
    (tmp_path / "checkpoint-30").mkdir()  # the state was not written yet
    assert find(tmp_path, "true") == find(tmp_path, "yes") == str(tmp_path / "checkpoint-2")
    assert find(tmp_path, str(tmp_path / "checkpoint-1")) == str(tmp_path / "checkpoint-1")


WINDOWS = torch.randn(8, 19, 400, generator=torch.Generator().manual_seed(0)).numpy()


def make_trainer(folder, max_steps=4, hidden_size=16, seen_windows=None, **options):
    torch.manual_seed(0)
    config = {
        "hidden_size": hidden_size,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    model = create_model("eeg_foundation", {**config, "overlap": 0.0}).add_classification_head(2)
    arguments = TrainingArguments(
        str(folder),
        max_steps=max_steps,
        save_steps=1,
        save_total_limit=3,
        logging_steps=1,
        report_to="none",
        disable_tqdm=True,
        resume_from_checkpoint="true",
        **{"per_device_train_batch_size": 4, **options},
    )
    windows = ArrayWindows(WINDOWS, [0, 1] * 4, 2)
    return EEGTrainer(model=model, args=arguments, train_dataset=windows, seen_windows=seen_windows)


def train(folder, **options):
    trainer = make_trainer(folder, **options)
    trainer.train(resume_from_checkpoint=resume_checkpoint(trainer.args))
    return trainer


def weights(trainer):
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


def are_equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_finished_run_started_again_is_left_as_it_is(tmp_path):
    first = weights(train(tmp_path))
    again = train(tmp_path)
    assert again.state.global_step == 4 and are_equal(weights(again), first)
    longer = train(tmp_path, max_steps=6)
    assert longer.state.global_step == 6 and not are_equal(weights(longer), first)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a run of four steps, and its weights."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, weights(train(folder))


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(finished, tmp_path, name, damage):
    shutil.copytree(finished[0], tmp_path / "cut")
    path = tmp_path / "cut" / "checkpoint-4" / name
    if damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.unlink()
    trainer = make_trainer(tmp_path / "cut")
    assert resume_checkpoint(trainer.args) == str(tmp_path / "cut" / "checkpoint-3")
    trainer.train(resume_from_checkpoint=resume_checkpoint(trainer.args))
    assert are_equal(weights(trainer), finished[1])


def test_a_loss_that_is_no_number_stops_the_run_and_saves_nothing(tmp_path):
    trainer = make_trainer(tmp_path)
    with torch.no_grad():
        trainer.model.classifier.out.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="the loss is nan at step 1: lower the learning rate"):
        trainer.train()
    with pytest.raises(ValueError, match="weights are not finite, the first is .*: nothing is saved"):
        trainer.save_model(str(tmp_path / "final"))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_token_is_in_no_file(tmp_path):
    secret = "hf_" + "x" * 30
    trainer = train(tmp_path / "run", max_steps=1, hub_token=secret)
    trainer.save_model()
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {"training_args.bin", "training_args.json", "optimizer.pt"} <= {path.name for path in files}
    assert not [path for path in files if secret.encode() in path.read_bytes()]
    assert trainer.args.hub_token == secret  # a push needs it
    described = {"training": {"hub_token": secret, "seed": 0}, "data": ["a"]}
    assert without_tokens(described) == {"training": {"seed": 0}, "data": ["a"]}


def test_a_second_training_into_a_folder_says_who_has_it(tmp_path):
    with Holder(tmp_path / "run"), pytest.raises(FolderInUseError, match=r"in use by process \d+ on "):
        train(tmp_path / "run", max_steps=1)
    train(tmp_path / "run", max_steps=1)
    assert not list(tmp_path.glob(".*"))


def seen(*hashes):
    columns = {"corpus": ["a"], "subject": ["01"]}
    rows = [{name: values[0] for name, values in columns.items()} | {"signal_hash": each} for each in hashes]
    return SeenWindows.of([Dataset.from_list(rows)])


BEFORE = {"max_steps": 2, "seen_windows": seen("x", "y")}


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """Return the folder of a run of two steps."""
    folder = tmp_path_factory.mktemp("interrupted")
    train(folder, **BEFORE)
    return folder


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"learning_rate": 1e-3}, "learning_rate 5e-05 -> 0.001"),
        ({"per_device_train_batch_size": 2}, "windows of a step 4 -> 2"),
        ({"seed": 7}, "seed 42 -> 7"),
        ({"hidden_size": 32}, "config.hidden_size 16 -> 32"),
        ({"seen_windows": seen("x", "z")}, "windows (number, hash)"),
    ],
)
def test_a_run_with_other_settings_is_refused_by_their_names(interrupted, changed, named):
    files = {path: path.read_bytes() for path in interrupted.rglob("*.safetensors")}
    with pytest.raises(ValueError, match="was trained with other settings") as error:
        train(interrupted, **{**BEFORE, "max_steps": 3, **changed})
    assert named in str(error.value) and str(error.value).count("->") == 1
    assert files == {path: path.read_bytes() for path in interrupted.rglob("*.safetensors")}


def test_a_longer_run_is_the_same(interrupted, tmp_path):
    shutil.copytree(interrupted, tmp_path / "run")
    assert train(tmp_path / "run", **{**BEFORE, "max_steps": 3}).state.global_step == 3
