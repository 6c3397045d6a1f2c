# SPDX-License-Identifier: Apache-2.0
"""A tokenizer as a user trains it: resumed, swept, on two rates, and with what cannot work."""

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoFeatureExtractor, AutoModel

from eeg_hf import EEGFeatureExtractor, EEGFSQConfig
from eeg_hf.cli.parsing.recipe_files import find_recipe, list_recipes, read_recipe
from eeg_hf.corpora import Simulated, prepare
from eeg_hf.experiments.config_fields import check_config_fields
from tests.commands import fail_command, flags, run_command

TINY = {"patch_size": 64, "hidden_dims": [16], "levels": [8, 5], "codes_per_patch": 2}


def arguments(prepared, output_dir, recipe="default", **options):
    settings = {
        "output_dir": output_dir,
        "config": json.dumps(TINY),
        "per_device_train_batch_size": 16,
        "num_train_epochs": 3,
        "logging_steps": 2,
        "save_strategy": "steps",
        "save_steps": 3,
        "report_to": "none",
        **options,
    }
    return [f"tokenizer_{recipe}", "--data", *map(str, prepared), *flags(**settings)]


def weights(folder):
    return {
        name: tensor.numpy().tobytes() for name, tensor in load_file(folder / "model.safetensors").items()
    }


def history(folder):
    return json.loads((folder / "trainer_state.json").read_text())["log_history"]


@pytest.fixture(scope="module")
def slower(tmp_path_factory):
    """A second prepared corpus, at 160 Hz, of other subjects."""
    folder = tmp_path_factory.mktemp("slower")
    corpus = Simulated(num_subjects=6, seconds=10, seed=1)
    prepare(corpus, folder, EEGFeatureExtractor(sampling_rate=160.0, window_seconds=2.0))
    return folder


@pytest.fixture(scope="module")
def finished(prepared, tmp_path_factory):
    """One uninterrupted run, with an evaluation at each epoch."""
    folder = tmp_path_factory.mktemp("finished")
    run_command(
        "train-tokenizer", *arguments([prepared], folder, report_to="tensorboard", save_total_limit=9)
    )
    return folder


def test_training_leaves_what_the_auto_classes_load(finished):
    model, extractor = AutoModel.from_pretrained(finished), AutoFeatureExtractor.from_pretrained(finished)
    assert model.config.sampling_rate == extractor.sampling_rate == 200.0
    assert model.decode(model.encode(torch.randn(2, 3, 128)).indices).shape == (2, 3, 128)
    pictures = list(finished.glob("reconstruction-*.png"))
    assert len(pictures) == 3 and all(picture.stat().st_size > 5000 for picture in pictures)
    assert list(finished.rglob("events.out.tfevents*"))


def test_rates_gradients_codes_and_reconstructions_are_logged(finished):
    train = [row for row in history(finished) if "loss" in row]
    assert all({"learning_rate", "grad_norm"} <= set(row) for row in train)
    assert all(0 < row["codebook_usage"] <= 1 <= row["codebook_perplexity"] <= 40 for row in train)
    judged = [row for row in history(finished) if "eval_loss" in row]
    assert len(judged) == 3
    for row in judged:
        assert row["eval_pooled_mse"] == pytest.approx(row["eval_loss"], rel=1e-4)
        assert 0 < row["eval_correlation"] < 1 and 0 < row["eval_nrmse_std"] < 1 and row["eval_snr"] > 0
        assert row["eval_codebook_perplexity"] <= 40


def test_the_learning_rate_ends_at_its_floor(finished):
    last = [row for row in history(finished) if "loss" in row][-1]
    steps = last["step"], history(finished)[-1]["step"]
    warmup = math.ceil(0.05 * steps[1])
    share = (steps[0] - 1 - warmup) / (steps[1] - warmup)  # logged is the rate of the step that was made
    expected = 1e-5 + (1e-3 - 1e-5) * 0.5 * (1 + math.cos(math.pi * share))
    assert last["learning_rate"] == pytest.approx(expected, rel=1e-3)


def test_resumed_ends_with_the_same_weights(prepared, finished, tmp_path):
    shutil.copytree(finished / "checkpoint-3", tmp_path / "checkpoint-3")
    run_command("train-tokenizer", *arguments([prepared], tmp_path), "--resume_from_checkpoint", "true")
    assert history(tmp_path)[-1]["step"] == history(finished)[-1]["step"] > 3
    assert weights(tmp_path) == weights(finished)


def test_without_windows_to_validate_on_all_are_trained_on(prepared, tmp_path, caplog):
    run_command("train-tokenizer", *arguments([prepared], tmp_path, split="none", max_steps=1))
    assert "no window is left to validate on" in caplog.text
    assert (tmp_path / "model.safetensors").is_file()


def test_two_rates_train_one_conditioned_tokenizer(prepared, slower, tmp_path, caplog):
    config = json.dumps({**TINY, "use_conditioning": True})
    words = arguments([prepared, slower], tmp_path, "conditioning", config=config, max_steps=2)
    run_command("train-tokenizer", *words)
    assert "rates of 160, 200 Hz" in caplog.text
    model = AutoModel.from_pretrained(tmp_path)
    assert model.config.sampling_rate is None and model.config.use_conditioning
    assert AutoFeatureExtractor.from_pretrained(tmp_path).sampling_rate == 200.0


@pytest.mark.parametrize("name", [name for name in list_recipes() if name.startswith("tokenizer_")])
def test_recipes_describe_tokenizers(name):
    recipe = read_recipe(find_recipe(name))
    config = EEGFSQConfig(**check_config_fields(recipe["config"], EEGFSQConfig))
    assert config.codebook_size == 64_000 and recipe["max_grad_norm"] == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": '{"levels": [1, 8]}'}, "whole numbers of at least 2"),
        ({"config": '{"levles": [8, 8]}'}, "has no field 'levles', did you mean 'levels'"),
        ({"config": '{"patch_size": 512}'}, "patch of 512 samples or more, got one of 400"),
        ({"config": '{"sampling_rate": 250}'}, "config has 250 Hz, the corpora have windows at 200 Hz"),
        ({"split": "sideways"}, "expected one of official"),
        ({"rates": "sometimes"}, "rates: expected one of same, keep"),
    ],
)
def test_what_cannot_work_ends_with_one_line(prepared, tmp_path, options, message):
    line = fail_command("train-tokenizer", *arguments([prepared], tmp_path, **options))
    assert message in line
    assert not list(tmp_path.glob("*.safetensors"))


def test_no_windows_is_an_error(tmp_path):
    line = fail_command("train-tokenizer", *arguments([tmp_path], tmp_path))
    assert "no prepared windows" in line


def test_rates_that_differ_must_be_wished_for(prepared, slower, tmp_path):
    line = fail_command("train-tokenizer", *arguments([prepared, slower], tmp_path))
    assert "expected corpora of one sampling_rate" in line and "--rates keep" in line
