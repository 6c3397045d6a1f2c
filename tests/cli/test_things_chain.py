# SPDX-License-Identifier: Apache-2.0
"""THINGS-EEG2 as it is published, with few channels and samples, by the scripts from files to retrieval."""

import contextlib
import json

import numpy as np
import pytest

from eeg_hf import ImageEmbeddings
from eeg_hf.corpora import things_eeg2
from eeg_hf.evaluation import EEGImageEmbeddings
from tests.cli.test_evaluate_eeg2025 import run_here
from tests.clip_world import write_tower
from tests.conftest import ROOT
from tests.corpora.written_things import write_things

RECIPES = ROOT / "src/eeg_hf/recipes"
TINY = {"n_classes": 12, "eeg_d_model": 16, "eeg_layers": 1, "eeg_hidden": 16, "proj_dim": 16, "epochs": 1}
TINY |= {"devices": "cpu", "num_workers": 0, "training": '{"report_to": "none", "disable_tqdm": true}'}


def run(name, *words, **options):
    said = [word for option, value in options.items() for word in (f"--{option}", value)]
    with contextlib.suppress(SystemExit):  # prepare.py ends with one
        return run_here(name, *words, *said)


def write(root, **options):
    given = {"channels": ("O1", "O2"), "image_concepts": 12, "snr": 5.0, "variability": 0.0}
    return write_things(root / "data", **given, **options), write_tower(root / "tower")


def test_epochs_of_the_authors_prepared_embedded_trained_exported_and_judged(tmp_path):
    things, tower = write(tmp_path, num_times=10)
    data, prepared, images = tmp_path / "data", tmp_path / "prepared", tmp_path / "images"
    folder, out = tmp_path / "clip", tmp_path / "report.json"
    recipe = RECIPES / "prepare_things_eeg2.yaml"
    run("prepare.py", recipe, data_dir=data / "eeg", output_dir=prepared, window_seconds=0.1)
    run("embed_images.py", images=data / "images", output=images, vision_encoder=tower)
    assert len(ImageEmbeddings.load(images)) == 12 * 10 + 200
    common = {"data_root": prepared, "image_embeddings": images, "vision_encoder": tower, "eeg_len": 10}
    saved = {"save_dir": folder, "log_dir": tmp_path / "logs"}
    run("train_clip.py", RECIPES / "clip_things.yaml", **common, **saved, **TINY)
    run("export_embeddings.py", ckpt=folder, split="test", out=tmp_path / "test.npz")
    run("export_embeddings.py", ckpt=folder, baseline="ridge", out=tmp_path / "ridge.npz")
    methods = [f"EEG-CLIP={tmp_path / 'test.npz'}", f"ridge={tmp_path / 'ridge.npz'}"]
    printed = run("eval_retrieval.py", "--embeds", *methods, metric="recall@1,5", out=out)
    assert "200 trials of 1 subjects, a gallery of 200 images" in printed

    found = EEGImageEmbeddings.load(tmp_path / "test.npz")
    assert sorted(found.eeg_image_ids) == sorted(things.image_ids("test")) == sorted(found.image_ids)
    assert set(found.repetitions) == {-1} and set(found.subjects) == {"01"}
    scores = {name: each["eeg_to_image"] for name, each in json.loads(out.read_text())["methods"].items()}
    assert scores["EEG-CLIP"]["recall@5"]["chance"] == pytest.approx(5 / 200)
    # What a tower with random weights sees of a shape is in these epochs: a linear fit finds it
    assert scores["ridge"]["median_rank"]["interval"][1] < 90 < scores["ridge"]["median_rank"]["chance"]


def test_a_published_tree_with_pickled_epochs_is_trained_on_as_it_stands_with_the_tower_in_the_loop(
    tmp_path, monkeypatch
):
    fewer = {"num_concepts": 12, "repetitions": 2, "num_test_concepts": 20, "test_repetitions": 3}
    monkeypatch.setattr(things_eeg2, "_SHAPES", {"train": (120, 2), "test": (20, 3)})  # the whole takes 10 s
    things, tower = write(tmp_path, num_times=12, is_pickle=True, **fewer)
    monkeypatch.chdir(tmp_path)  # the defaults are folders of the one where one stands: data, checkpoints
    run("train_clip.py", data_root="data", vision_encoder=tower, eeg_len=12, subjects="01", **TINY)
    run("export_embeddings.py", data_root="data", ckpt="checkpoints", split="test", out="test.npz")
    found = EEGImageEmbeddings.load("test.npz")
    assert sorted(found.eeg_image_ids) == sorted(things.image_ids("test"))
    assert json.loads((tmp_path / "checkpoints" / "config.json").read_text())["vision_tower"] == tower
    assert np.linalg.norm(found.eeg_embeddings, axis=1) == pytest.approx(1, abs=1e-4)
