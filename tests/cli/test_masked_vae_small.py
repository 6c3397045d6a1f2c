# SPDX-License-Identifier: Apache-2.0
"""The masked VAE on MOABB and THINGS-EEG, from their own layouts to a run that was killed, by its recipe."""

import json
import os
import shlex
import shutil
import subprocess

import pytest
import yaml

from eeg_hf import EEGFeatureExtractor
from eeg_hf.cli.parsing.recipe_files import find_recipe, read_recipe
from tests.cli.test_launch import free_port, run_batch
from tests.commands import flags, run_command, start_command
from tests.corpora.written_things_eeg1 import write_things_eeg1

pytest.importorskip("moabb")

RECIPE = find_recipe("masked_vae_small")
BCI_IV_2A = (
    *("Fz", "FC3", "FC1", "FCz", "FC2", "FC4", "C5", "C3", "C1", "Cz", "C2", "C4", "C6"),
    *("CP3", "CP1", "CPz", "CP2", "CP4", "P1", "Pz", "P2", "POz"),
)
MOABB = {  # MOABB's own fake data set, with the montage and rate of the one that the recipe names
    "dataset": "FakeDataset",
    "dataset_options": {
        **{"n_subjects": 5, "n_sessions": 1, "n_runs": 1, "n_events": 8, "duration": 30, "sfreq": 250},
        **{"channels": BCI_IV_2A, "event_list": ["left_hand", "right_hand"], "seed": 0},
    },
}
TINY = {  # what the recipe has, smaller; patches and stretches are its own
    **{"hidden_size": 16, "num_hidden_layers": 1, "num_decoder_layers": 1, "num_attention_heads": 2},
    **{"intermediate_size": 32, "latent_size": 8},
}
SHORT = {
    **{"max_steps": 4, "save_steps": 2, "eval_steps": 2, "logging_steps": 1, "dataloader_num_workers": 1},
    # A batch to validate on is of both corpora: 22 and 63 channels, 4 s and 1 s
    **{"per_device_train_batch_size": 4, "per_device_eval_batch_size": 64, "report_to": "none"},
    "use_cpu": True,  # in bfloat16 all the same
}


def commands():
    """Return the commands in the comment of the recipe."""
    lines = RECIPE.read_text().splitlines(keepends=True)
    text = "".join(line.lstrip("# ") for line in lines if line.startswith("#     "))
    return [shlex.split(command) for command in text.replace("\\\n", "").splitlines()]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Return the recipe, of the same corpora but small, and in other folders."""
    folder = tmp_path_factory.mktemp("corpora")
    written = yaml.safe_load(RECIPE.read_text())
    moved = {str(folder / source): weight for source, weight in written["mixture"].items()}
    things = write_things_eeg1(folder / "ds003825")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MNE_DATA", str(folder))
        own = [{"corpus_options": json.dumps(MOABB)}, {"data_dir": things, "num_proc": 1}]
        for (_, verb, made_by, *words), options in zip(commands()[:2], own, strict=True):
            target = folder / read_recipe(find_recipe(made_by))["output_dir"]
            assert str(target) in moved  # the two recipes write what the third one reads
            run_command(verb, made_by, *words, *flags(output_dir=target, **options))
    path = folder / "recipe.yaml"
    small = {"mixture": moved, "config": {**written["config"], **TINY}}
    path.write_text(yaml.safe_dump({**written, **small, **SHORT}))
    return path


@pytest.fixture(scope="module")
def trained(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    run_command("pretrain", recipe, *flags(output_dir=folder))
    return folder


def log_of(folder):
    """Return what was logged of training and validation, in order; a stream has no epochs."""
    rows = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    names = ("step", "loss", "kl_loss", "reconstruction_loss", "grad_norm", "eval_loss")
    return [{name: row[name] for name in names if name in row} for row in rows[:-1]]


def test_mixture_of_two_montages_and_lengths_trains_from_streams(recipe, trained):
    config = json.loads((trained / "config.json").read_text())
    assert (config["model_type"], config["patch_size"]) == ("eeg_masked_vae", 50)
    assert config["sampling_rate"] == EEGFeatureExtractor.from_pretrained(trained).sampling_rate == 200
    steps = [next(name for name in ("loss", "eval_loss") if name in row) for row in log_of(trained)]
    assert steps == ["loss", "loss", "eval_loss"] * 2
    assert all(0 < row["loss"] < 5 for row in log_of(trained) if "loss" in row)


@pytest.mark.slow
def test_killed_and_resumed_it_ends_with_the_same_weights_and_losses(recipe, trained, tmp_path):
    shutil.copytree(trained / "checkpoint-2", tmp_path / "checkpoint-2")
    run_command("pretrain", recipe, *flags(output_dir=tmp_path, resume_from_checkpoint="true"))
    assert log_of(tmp_path) == log_of(trained)
    assert (tmp_path / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_two_processes_train_one_model(recipe, tmp_path, environment):
    options = flags(output_dir=tmp_path, max_steps=2, eval_strategy="no", dataloader_num_workers=0)
    port = str(free_port())
    shared = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "ACCELERATE_USE_CPU": "true",
    }
    processes = []
    for rank in "01":
        own = {**environment, **shared, "RANK": rank, "LOCAL_RANK": rank}
        processes.append(start_command(own, "pretrain", recipe, *options, stderr=subprocess.PIPE))
    shown = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], shown[0][-3000:]
    ranks = sorted(file.name for file in (tmp_path / "checkpoint-2").glob("rng_state*"))
    assert ranks == ["rng_state_0.pth", "rng_state_1.pth"]
    assert len([row for row in log_of(tmp_path) if "loss" in row]) == 2


def test_the_command_of_the_recipe_is_one_of_two_nodes_of_four_devices():
    _, batch, *words = commands()[2]
    assert words[:3] == ["-m", "eeg_hf.cli.pretrain", "masked_vae_small"]
    assert batch == "src/eeg_hf/recipes/slurm/two_nodes.sbatch"
    done = run_batch(*words, environment={"PATH": os.environ["PATH"], "DRY_RUN": "1"})
    nodes = done.stdout.splitlines()
    assert len(nodes) == 2 and all(line.endswith(shlex.join(words)) for line in nodes)
    assert all("--num_machines 2 --num_processes 8" in line for line in nodes)
