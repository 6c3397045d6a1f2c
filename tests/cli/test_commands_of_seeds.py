# SPDX-License-Identifier: Apache-2.0
"""The commands of the scripts that the library began as keep working as they were written."""

import json
import shlex
from multiprocessing import forkserver

import pytest
from transformers import AutoModel

from eeg_hf import EEGFeatureExtractor, EEGFSQConfig
from eeg_hf.cli.eval_retrieval import COMMAND as EVAL_RETRIEVAL
from eeg_hf.cli.export_embeddings import COMMAND as EXPORT_EMBEDDINGS
from eeg_hf.cli.parsing.parser import CommandParser
from eeg_hf.cli.train_clip import COMMAND as TRAIN_CLIP
from eeg_hf.cli.train_tokenizer import COMMAND as TRAIN_TOKENIZER
from eeg_hf.corpora import Simulated, prepare
from tests.commands import run_command

TOKENIZERS = {
    "": {},
    "--config-name config experiment=snake_activation": {"activation": "snake"},
    "--config-name config experiment=conditioning": {"use_conditioning": True},
    "model.learning_rate=0.0005 model.activation=snake": {"activation": "snake"},
    "logger=null": {},
    "experiment=snake_activation": {"activation": "snake"},
    "experiment=conditioning": {"use_conditioning": True},
    "model.patch_size=512 model.hidden_dims=[1024,512,256] model.learning_rate=0.001 data.batch_size=64 "
    "trainer.max_epochs=200": {"patch_size": 512, "hidden_dims": [1024, 512, 256]},
}
SMALL = ["model.hidden_dims=[16]"]
CLIP = (
    "--data_root data --epochs 50 --batch_size 128 --num_workers 4 --eeg_len 100 --fs 500.0 "
    "--bandpass 0.5 45.0 --notch 50 --augment_eeg --augment_eeg --vision_encoder openclip_vit_b32 "
    "--freeze_vision --eeg_d_model 256 --eeg_layers 4 --proj_dim 512 --lr 3e-4 --wd 0.05 --devices 1 "
    "--precision amp --save_dir ./checkpoints --log_dir ./logs --seed 42"
)
MORE_CLIP = (
    "--n_classes 10 --noise_std 0.01 --jitter_ms 20.0 --time_mask_prob 0.2 --channel_drop_prob 0.1 "
    "--eeg_hidden 512 --temporal_pool mean --warmup_ratio 0.05 --resume checkpoints/last --devices cpu"
)


RECIPE = """
model:
  patch_size: 256
  hidden_dims: [512, 256, 128]
  levels: [8, 8, 8, 5, 5, 5]
  activation: "relu"
  use_conditioning: true
trainer:
  max_epochs: 100
  accelerator: "auto"
  precision: "16-mixed"
  gradient_clip_val: 1.0
"""


def test_the_sections_of_a_configuration_are_read_from_a_file_as_from_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(RECIPE)
    words = ["model.use_conditioning=true", "model.levels=[8,8,8,5,5,5]", "trainer.accelerator=auto"]
    words += ["trainer.precision=16-mixed", "trainer.gradient_clip_val=1.0"]
    found, expected = (CommandParser(TRAIN_TOKENIZER).read(each).settings for each in (["mine.yaml"], words))
    assert found["config"] == {**expected["config"], "levels": [8, 8, 8, 5, 5, 5]}
    del found["config"], expected["config"]
    assert found == expected and found["fp16"] is True and found["max_grad_norm"] == 1.0
    (tmp_path / "mine.yaml").write_text("trainer: {max_epoch: 3}")
    with pytest.raises(ValueError, match="recipe mine.yaml: unknown setting 'max_epoch'"):
        CommandParser(TRAIN_TOKENIZER).read(["mine.yaml"])


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Return a simulated corpus like the one that a tokenizer is trained on if none is named, but smaller."""
    folder = tmp_path_factory.mktemp("simulated")
    prepare(Simulated(num_subjects=6, seconds=11), folder, EEGFeatureExtractor(window_seconds=5.12))
    return folder


@pytest.mark.parametrize("command", TOKENIZERS)
def test_a_command_of_the_tokenizer_is_read(command):
    settings = CommandParser(TRAIN_TOKENIZER).read(shlex.split(command)).settings
    config = EEGFSQConfig(**settings["config"])
    assert {name: getattr(config, name) for name in TOKENIZERS[command]} == TOKENIZERS[command]


@pytest.mark.parametrize("command", [*TOKENIZERS][-2:])
def test_a_tokenizer_is_trained(command, simulated, tmp_path):
    words = ["--data", simulated, "--output_dir", tmp_path, "training.max_steps=1"]
    run_command("train-hydra", *shlex.split(command), *words)
    config = AutoModel.from_pretrained(tmp_path).config
    assert {name: getattr(config, name) for name in TOKENIZERS[command]} == TOKENIZERS[command]


def test_a_tokenizer_is_trained_without_data_and_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_command("train-hydra", "training.max_steps=1", "save_strategy=steps", "save_steps=1")
    assert AutoModel.from_pretrained("runs/tokenizer").config.codebook_size == 64_000
    checkpoint = "runs/tokenizer/checkpoint-1"
    run_command("train-hydra", f"trainer.resume_from_checkpoint={checkpoint}", "training.max_steps=1")


def test_every_combination_is_trained_and_compared(simulated, tmp_path):
    forkserver._forkserver._stop()  # one that another test started has not imported what trains
    sweep = "--multirun model.learning_rate=0.001,0.0005 model.activation=relu,snake"
    words = ["--data", simulated, "--output_dir", tmp_path, "training.max_steps=1", *SMALL]
    run_command("train-hydra", *shlex.split(sweep), *words)
    rows = json.loads((tmp_path / "multirun.json").read_text())
    assert len(rows) == 4 and not any(row["failed"] for row in rows)
    assert len({(row["model.learning_rate"], row["model.activation"]) for row in rows}) == 4
    losses = [row["eval_loss"] for row in rows]
    assert losses == sorted(losses) and "| model.activation |" in (tmp_path / "multirun.md").read_text()
    for row in rows:
        config = json.loads((tmp_path / str(row["job"]) / "config.json").read_text())
        assert config["activation"] == row["model.activation"]


def test_the_options_of_clip_are_read_and_their_new_names_shown(capsys):
    settings = CommandParser(TRAIN_CLIP).read(shlex.split(CLIP)).settings
    expected = {"data": "data", "num_train_epochs": 50, "per_device_train_batch_size": 128, "eeg_len": 100}
    expected |= {"fs": 500.0, "bandpass": [0.5, 45.0], "notch": 50.0, "augment_eeg": True, "seed": 42}
    expected |= {"learning_rate": 3e-4, "weight_decay": 0.05, "output_dir": "./checkpoints"}
    assert {name: settings[name] for name in expected} == expected
    assert "eeg-hf train-clip: --lr is now --learning_rate\n" in capsys.readouterr().err
    more = CommandParser(TRAIN_CLIP).read(shlex.split(MORE_CLIP)).settings
    assert (more["warmup_steps"], more["resume_from_checkpoint"]) == (0.05, "checkpoints/last")


def test_the_part_of_an_export_may_be_called_its_split(capsys):
    words = "--data_root data --ckpt ./checkpoints/best.pt --split test --out ./embeddings_test.npz"
    settings = EXPORT_EMBEDDINGS.adapt(CommandParser(EXPORT_EMBEDDINGS).read(words.split()).settings)
    assert settings == {
        **{"data": "data", "model": "./checkpoints/best.pt", "part": "test"},
        "output": "./embeddings_test.npz",
    }
    assert "eeg-hf export-embeddings: --split test is now --part test\n" in capsys.readouterr().err


def test_the_options_of_the_evaluation_are_read():
    words = "--embeds ./embeddings_test.npz --metric recall@1,5,10 --also mrr,ndcg --out ./eval_report.json"
    settings = CommandParser(EVAL_RETRIEVAL).read(words.split()).settings
    assert settings["embeds"] == ["./embeddings_test.npz"] and settings["output"] == "./eval_report.json"
