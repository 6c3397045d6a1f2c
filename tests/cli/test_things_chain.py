# SPDX-License-Identifier: Apache-2.0
"""THINGS-EEG2 as it is published, with few channels and samples, by the scripts from files to retrieval."""

import json
from pathlib import Path

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


@pytest.mark.slow
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
    tmp_path, monkeypatch, caplog
):
    fewer = {"num_concepts": 12, "repetitions": 2, "num_test_concepts": 20, "test_repetitions": 3}
    monkeypatch.setattr(things_eeg2, "_SHAPES", {"train": (120, 2), "test": (20, 3)})  # the whole takes 10 s
    things, tower = write(tmp_path, num_times=12, is_pickle=True, **fewer)
    monkeypatch.chdir(tmp_path)  # the defaults are folders of the one where one stands: data, checkpoints
    # The commands of the scripts that this was, but for sizes
    tiny = "--eeg_len 12 --epochs 1 --eeg_d_model 16 --eeg_layers 1 --eeg_hidden 16 --proj_dim 16"
    signal = "--fs 500.0 --bandpass 0.5 45.0 --notch 50 --augment_eeg --augment_eeg --freeze_vision"
    training = "--batch_size 128 --lr 3e-4 --wd 0.05 --precision amp --num_workers 0 --seed 42"
    saved = "--save_dir ./checkpoints --log_dir ./logs --devices cpu --disable_tqdm true"
    words = f"--data_root data {tiny} {signal} {training} {saved}".split()
    run("train-clip", *words, vision_encoder=tower)
    assert "fs: expected 500 Hz, the files have 250 Hz" in caplog.text and "split: concept" in caplog.text
    words = "--data_root data --ckpt ./checkpoints/best.pt --split test --out ./embeddings_test.npz"
    run("export-embeddings", *words.split())
    words = "--embeds ./embeddings_test.npz --metric recall@1,5,10 --also mrr,ndcg --out ./eval_report.json"
    run("eval-retrieval", *words.split())
    judged = json.loads(Path("eval_report.json").read_text())["eeg_to_image"]
    assert {"recall@10", "mrr", "ndcg@10"} <= judged.keys()
    found = EEGImageEmbeddings.load("embeddings_test.npz")
    assert sorted(found.eeg_image_ids) == sorted(things.image_ids("test"))
    assert json.loads((tmp_path / "checkpoints" / "config.json").read_text())["vision_tower"] == tower
    assert np.linalg.norm(found.eeg_embeddings, axis=1) == pytest.approx(1, abs=1e-4)
