# SPDX-License-Identifier: Apache-2.0
"""Pretraining on a mixture of corpora with different electrodes, loaded and streamed, and resumed."""

import json
import shutil

import pytest
import yaml
from safetensors.torch import load_file

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import Simulated, prepare
from tests.commands import fail_command, run_command

RECIPE = {
    "config": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "overlap": 0.0,
        "contrastive_weight": 0.0,
    },
    "split": "official",
    "per_device_train_batch_size": 8,
    "max_steps": 6,
    "save_steps": 3,
    "logging_steps": 1,
    "report_to": "none",
    "dataloader_pin_memory": False,
}


@pytest.fixture(scope="module")
def weighted(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("four_channels")
    corpus = Simulated(num_subjects=6, seconds=20, seed=1)
    corpus.name = "four"
    extractor = EEGFeatureExtractor(window_seconds=2.0, channels=["Fp1", "Cz", "O1", "O2"])
    prepare(corpus, folder, extractor)
    return {str(prepared): 0.7, str(folder): 0.3}


@pytest.fixture
def recipe(weighted, tmp_path):
    """Return a function that writes a recipe, whose output folder has a name."""

    def write(name, **options):
        fields = {"mixture": weighted, "output_dir": str(tmp_path / name), **RECIPE, **options}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(fields))
        return tmp_path / f"{name}.yaml"

    return write


def weights(folder):
    return {name: value.numpy().tobytes() for name, value in load_file(folder / "model.safetensors").items()}


def losses(folder):
    log = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [row["loss"] for row in log if "loss" in row]


@pytest.mark.parametrize("options", [{"streaming": True, "dataloader_num_workers": 2}, {}])
def test_a_resumed_run_sees_the_batches_it_would_have_seen(recipe, tmp_path, options):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    run_command("pretrain", recipe("whole", **options))
    resumed.mkdir()
    shutil.copytree(whole / "checkpoint-3", resumed / "checkpoint-3")
    run_command("pretrain", recipe("resumed", **options), "--resume_from_checkpoint", "true")
    assert len(losses(whole)) == 6 and losses(resumed) == losses(whole)
    assert weights(resumed) == weights(whole)


def test_padding_is_reported_with_and_without_groups(recipe, caplog):
    run_command("pretrain", recipe("run", max_steps=1))
    assert "4 to 19 channels: padding is" in caplog.text and "it would be" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "somewhere"}, "either data or mixture"),
        ({"mixture": {}, "data": ["somewhere"], "streaming": True}, "streaming needs a mixture"),
        ({"mixture": {"a": "much"}}, "expected prepared corpora and weights"),
        ({"mixture": {"nowhere": 1.0}}, "nowhere"),
    ],
)
def test_what_cannot_be_mixed_ends_with_one_line(recipe, options, message):
    assert message in fail_command("pretrain", recipe("run", **options))
