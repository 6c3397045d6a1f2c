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
from tests.conftest import ROOT

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "overlap": 0.0,
}
RECIPE = str(ROOT / "src/eeg_hf/recipes/pretrain_tiny.yaml")


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
    return [RECIPE, *(str(word) for name, value in settings.items() for word in (f"--{name}", value))]


def weights(folder):
    return {
        name: tensor.numpy().tobytes() for name, tensor in load_file(folder / "model.safetensors").items()
    }


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory, run_script):
    """One uninterrupted run, with an evaluation and a reconstruction plot at each epoch."""
    folder = tmp_path_factory.mktemp("finished")
    run_script("pretrain.py", *arguments(prepared, folder, eval_strategy="epoch", report_to="tensorboard"))
    return folder


def test_pretraining_leaves_what_the_auto_classes_load(finished):
    assert AutoModel.from_pretrained(finished).config.hidden_size == 32
    assert AutoModelForPreTraining.from_pretrained(finished).config.overlap == 0.0
    assert AutoFeatureExtractor.from_pretrained(finished).window_seconds == 2.0
    pictures = list(finished.glob("reconstruction-*.png"))
    assert len(pictures) >= 6 and all(picture.stat().st_size > 5000 for picture in pictures)
    assert list(finished.rglob("events.out.tfevents*"))


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


def test_the_codes_of_a_tokenizer_are_predicted(prepared, tmp_path, run_script):
    codec, out = save_codec(prepared, tmp_path / "codec"), tmp_path / "out"
    run_script("pretrain.py", *arguments(prepared, out, codec=codec, logging_steps=1, **CODES))
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
def test_a_tokenizer_of_other_signals_is_refused(prepared, tmp_path, fail_script, settings, message):
    codec = save_codec(prepared, tmp_path / "codec", **settings)
    line, code = fail_script("pretrain.py", *arguments(prepared, tmp_path / "out", codec=codec, **CODES))
    assert code == 2 and message in line


def test_killed_and_resumed_ends_with_the_same_weights(
    prepared, finished, tmp_path, script_environment, run_script
):
    command = [
        sys.executable,
        str(ROOT / "scripts/pretrain.py"),
        *arguments(prepared, tmp_path, eval_strategy="epoch"),
    ]
    process = subprocess.Popen(
        command, env=script_environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "checkpoint-3" / "trainer_state.json").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "model.safetensors").exists()
    run_script(
        "pretrain.py",
        *arguments(prepared, tmp_path, eval_strategy="epoch"),
        "--resume_from_checkpoint",
        "true",
    )
    assert weights(tmp_path) == weights(finished)


def test_two_processes_train_as_one(prepared, tmp_path, run_script):
    exact = {
        "config": json.dumps({**TINY, "dropout": 0.0}),
        "max_steps": 4,
        "logging_steps": 1,
        "save_strategy": "no",
    }
    losses = {}
    for processes in (1, 2):
        folder = tmp_path / str(processes)
        launcher = (
            ["-m", "torch.distributed.run", "--nproc_per_node=2", "--master_port=29611"]
            if processes == 2
            else []
        )
        options = {**exact, "per_device_train_batch_size": 16 // processes, "use_cpu": "true"}
        if processes == 2:
            options["ddp_backend"] = "gloo"
        run_script("pretrain.py", *arguments(prepared, folder, **options), launcher=launcher)
        log = json.loads((folder / "trainer_state.json").read_text())["log_history"]
        losses[processes] = [(row["loss"], row["grad_norm"]) for row in log if "grad_norm" in row]
    assert len(losses[1]) == 4
    for (loss, norm), (other_loss, other_norm) in zip(losses[1], losses[2], strict=True):
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
def test_what_cannot_work_ends_with_one_line(prepared, tmp_path, fail_script, options, message):
    line, code = fail_script("pretrain.py", *arguments(prepared, tmp_path, **options))
    assert message in line and code != 0
    assert not list(tmp_path.glob("*.safetensors"))
