# SPDX-License-Identifier: Apache-2.0
"""THINGS-EEG2 as it is published, with few channels and samples, by the scripts from files to retrieval."""

import json

import numpy as np
import pytest

from eeg_hf import ImageEmbeddings
from eeg_hf.corpora import things_eeg2
from eeg_hf.evaluation import EEGImageEmbeddings
from tests.clip_world import write_tower
from tests.commands import flags, run_command
from tests.corpora.written_things import write_things

TINY = {
    "n_classes": 12,
    "eeg_d_model": 16,
    "eeg_layers": 1,
    "eeg_hidden": 16,
    "proj_dim": 16,
    "num_train_epochs": 1,
}
TINY |= {"devices": "cpu", "dataloader_num_workers": 0, "report_to": "none", "disable_tqdm": True}


def run(verb, *words, **options):
    return run_command(verb, *words, *flags(**options))


def write(root, **options):
    given = {"channels": ("O1", "O2"), "image_concepts": 12, "snr": 5.0, "variability": 0.0}
    return write_things(root / "data", **given, **options), write_tower(root / "tower")


def test_epochs_of_the_authors_prepared_embedded_trained_exported_and_judged(tmp_path):
    things, tower = write(tmp_path, num_times=10)
    data, prepared, images = tmp_path / "data", tmp_path / "prepared", tmp_path / "images"
    folder, out = tmp_path / "clip", tmp_path / "report.json"
    run("prepare", "prepare_things_eeg2", data_dir=data / "eeg", output_dir=prepared, window_seconds=0.1)
    run("embed-images", images=data / "images", output_dir=images, vision_encoder=tower)
    assert len(ImageEmbeddings.load(images)) == 12 * 10 + 200
    common = {"data": prepared, "image_embeddings": images, "vision_encoder": tower, "eeg_len": 10}
    saved = {"output_dir": folder, "log_dir": tmp_path / "logs"}
    run("train-clip", "clip_things", **common, **saved, **TINY)
    run("export-embeddings", model=folder, part="test", output=tmp_path / "test.npz")
    run("export-embeddings", model=folder, baseline="ridge", output=tmp_path / "ridge.npz")
    methods = [f"EEG-CLIP={tmp_path / 'test.npz'}", f"ridge={tmp_path / 'ridge.npz'}"]
    printed = run("eval-retrieval", "--embeds", *methods, metric="recall@1,5", output=out)
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
    run("train-clip", data="data", vision_encoder=tower, eeg_len=12, subjects="01", **TINY)
    run("export-embeddings", data="data", model="checkpoints/best.pt", part="test", output="test.npz")
    found = EEGImageEmbeddings.load("test.npz")
    assert sorted(found.eeg_image_ids) == sorted(things.image_ids("test"))
    assert json.loads((tmp_path / "checkpoints" / "config.json").read_text())["vision_tower"] == tower
    assert np.linalg.norm(found.eeg_embeddings, axis=1) == pytest.approx(1, abs=1e-4)
