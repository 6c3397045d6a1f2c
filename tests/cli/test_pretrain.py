# SPDX-License-Identifier: Apache-2.0
"""Pretraining as a user runs it: killed and resumed, on two processes, and with what cannot work."""

import json
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForPreTraining

import eeg_hf  # noqa: F401  (registers the Auto classes)
from tests.commands import fail_command, flags, run_command, start_command

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "overlap": 0.0,
    "contrastive_weight": 0.1,
}


def arguments(prepared, output_dir, **options):
    settings = {
        "data": prepared,
        "output_dir": output_dir,
        "config": json.dumps(TINY),
        "per_device_train_batch_size": 16,
        "num_train_epochs": 6,
        "eval_strategy": "no",
        "save_strategy": "steps",
        "save_steps": 3,
        "report_to": "none",
        **options,
    }
    return ["pretrain_tiny", *flags(**settings)]


def weights(folder):
    return {
        name: tensor.numpy().tobytes() for name, tensor in load_file(folder / "model.safetensors").items()
    }


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    """One uninterrupted run, with an evaluation and a reconstruction plot at each epoch."""
    folder = tmp_path_factory.mktemp("finished")
    run_command("pretrain", *arguments(prepared, folder, eval_strategy="epoch", report_to="tensorboard"))
    return folder


def test_pretraining_leaves_what_the_auto_classes_load(finished):
    assert AutoModel.from_pretrained(finished).config.hidden_size == 32
    assert AutoModelForPreTraining.from_pretrained(finished).config.overlap == 0.0
    assert AutoFeatureExtractor.from_pretrained(finished).window_seconds == 2.0
    pictures = list(finished.glob("reconstruction-*.png"))
    assert len(pictures) >= 6 and all(picture.stat().st_size > 5000 for picture in pictures)
    assert list(finished.rglob("events.out.tfevents*"))


def test_without_validation_subjects_all_are_trained_on(prepared, tmp_path, caplog):
    split = {"split": "fold", "num_folds": 7, "max_steps": 1, "eval_strategy": "epoch"}  # of 6 subjects
    run_command("pretrain", *arguments(prepared, tmp_path, **split))
    assert "all are trained on, and none is left to validate or test on" in caplog.text
    assert (tmp_path / "model.safetensors").is_file()


def test_the_loss_goes_down_and_its_parts_are_logged(finished):
    log = json.loads((finished / "trainer_state.json").read_text())["log_history"]
    losses = [row["eval_loss"] for row in log if "eval_loss" in row]
    assert losses[-1] < losses[0]
    train = [row for row in log if "loss" in row]
    assert train and all({"reconstruction_loss", "contrastive_loss"} <= set(row) for row in train)


def save_codec(prepared, folder, patch_size=200, **settings):
    """A codec with random weights, and the extractor of the corpus as train_tokenizer.py leaves it."""
    config = eeg_hf.EEGFSQConfig(patch_size=patch_size, hidden_dims=[16], codes_per_patch=2)
    eeg_hf.EEGFSQModel(config).save_pretrained(folder)
    AutoFeatureExtractor.from_pretrained(prepared, **settings).save_pretrained(folder)
    return folder


CODES = {"config": json.dumps(TINY | {"target": "codes", "contrastive_weight": 0.0}), "max_steps": 3}


def test_the_codes_of_a_tokenizer_are_predicted(prepared, tmp_path):
    codec, out = save_codec(prepared, tmp_path / "codec"), tmp_path / "out"
    run_command("pretrain", *arguments(prepared, out, codec=codec, logging_steps=1, **CODES))
    log = json.loads((out / "trainer_state.json").read_text())["log_history"]
    assert [row["code_loss"] for row in log if "code_loss" in row]
    config = AutoModelForPreTraining.from_pretrained(out).config
    assert (config.target, config.codes_per_patch) == ("codes", 2)
    assert not any("codec" in name for name in load_file(out / "model.safetensors"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"normalization": "zscore"}, "was trained with normalization zscore, the corpus here has robust"),
        ({"patch_size": 100}, "expected the patch_size of the model, 200, got 100"),
    ],
)
def test_a_tokenizer_of_other_signals_is_refused(prepared, tmp_path, settings, message):
    codec = save_codec(prepared, tmp_path / "codec", **settings)
    line = fail_command("pretrain", *arguments(prepared, tmp_path / "out", codec=codec, **CODES))
    assert message in line


@pytest.mark.slow
def test_killed_and_resumed_ends_with_the_same_weights(prepared, finished, tmp_path, environment):
    words = arguments(prepared, tmp_path, eval_strategy="epoch")
    process = start_command(environment, "pretrain", *words, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "checkpoint-3" / "trainer_state.json").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "model.safetensors").exists()
    run_command("pretrain", *words, "--resume_from_checkpoint", "true")
    assert weights(tmp_path) == weights(finished)


@pytest.mark.slow
def test_two_processes_train_as_one(prepared, tmp_path, environment):
    exact = {"config": json.dumps({**TINY, "dropout": 0.0}), "max_steps": 4, "logging_steps": 1}
    exact |= {"save_strategy": "no", "use_cpu": "true"}
    one, two = tmp_path / "one", tmp_path / "two"
    run_command("pretrain", *arguments(prepared, one, **exact, per_device_train_batch_size=16))
    words = arguments(prepared, two, **exact, per_device_train_batch_size=8, ddp_backend="gloo")
    launcher = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29611"]
    command = [sys.executable, *launcher, "-m", "eeg_hf.cli.pretrain", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    losses = []
    for folder in (one, two):
        log = json.loads((folder / "trainer_state.json").read_text())["log_history"]
        losses.append([(row["loss"], row["grad_norm"]) for row in log if "grad_norm" in row])
    assert len(losses[0]) == 4
    for (loss, norm), (other_loss, other_norm) in zip(*losses, strict=True):
        assert other_loss == pytest.approx(loss, rel=1e-4)
        assert other_norm == pytest.approx(norm, rel=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "nowhere"}, "nowhere"),
        ({"config": '{"hidden_size": 30, "num_attention_heads": 4}'}, "multiple of num_attention_heads"),
        ({"split": "sideways"}, "expected one of official"),
        ({"config": '{"hiden_size": 32}'}, "has no field 'hiden_size', did you mean 'hidden_size'"),
        ({"config": '{"num_hidden_layers": "two"}'}, "num_hidden_layers"),
    ],
)
def test_what_cannot_work_ends_with_one_line(prepared, tmp_path, options, message):
    line = fail_command("pretrain", *arguments(prepared, tmp_path, **options))
    assert message in line
    assert not list(tmp_path.glob("*.safetensors"))
