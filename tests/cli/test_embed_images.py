# SPDX-License-Identifier: Apache-2.0
"""Images embedded as a user does it: with a tower, from what others computed, and with broken files."""

import runpy
import sys

import numpy as np
import pytest
import torch

from eeg_hf import ImageEmbeddings, create_vision_tower
from eeg_hf.images.image_folder import open_image
from tests.clip_world import features, image_ids, write_images, write_tower
from tests.conftest import ROOT

IDS = sorted(image_ids("train") + image_ids("test"))


@pytest.fixture
def images(tmp_path):
    write_images(tmp_path / "images")
    return tmp_path / "images"


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    return write_tower(tmp_path_factory.mktemp("tower"))


@pytest.fixture
def embed(monkeypatch):
    def run(*words):
        path = ROOT / "scripts/embed_images.py"
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, words)])
        runpy.run_path(str(path), run_name="__main__")

    return run


def test_every_image_is_embedded_as_the_tower_does_it(images, tower, tmp_path, embed):
    embed("--images", images, "--vision_encoder", tower, "--output", tmp_path / "out", "--batch_size", 7)
    found, encoder = ImageEmbeddings.load(tmp_path / "out"), create_vision_tower(tower)
    assert found.index.image_ids == IDS and found.tower == tower
    assert found.index.concepts[0] == "thing13" and len(set(found.index.concepts)) == 24
    with torch.no_grad():
        expected = encoder(encoder.preprocess(open_image(images / IDS[30]))[None])[0]
    assert np.allclose(found.embeddings[30], expected.numpy(), atol=1e-5)


def test_a_broken_image_ends_the_run_by_name_or_is_left_out_and_counted(
    images, tower, tmp_path, embed, fail_script, caplog
):
    whole = (images / IDS[3]).read_bytes()
    (images / IDS[3]).write_bytes(whole[:-200])
    (images / IDS[9]).write_bytes(b"")
    words = ["--images", images, "--vision_encoder", tower, "--output", tmp_path / "out"]
    said, code = fail_script("embed_images.py", *words, "--num_workers", 1)
    assert code == 2 and f"{IDS[3]} cannot be read" in said and "--skip_broken true" in said
    embed(*words, "--skip_broken", "true")
    assert "2 of 72 images left out" in caplog.text and f"{IDS[9]} cannot be read: it is empty" in caplog.text
    assert ImageEmbeddings.load(tmp_path / "out").index.image_ids == [
        n for n in IDS if n not in (IDS[3], IDS[9])
    ]


def test_features_of_others_are_converted(tmp_path, embed):
    np.savez(tmp_path / "of_others.npz", vectors=features()[:, None], names=np.array(IDS))
    (tmp_path / "ids.txt").write_text("\n".join(IDS) + "\n")
    expected = features()
    for words in (
        ["--ids", tmp_path / "of_others.npz", "--ids_key", "names"],
        ["--ids", tmp_path / "ids.txt"],
    ):
        embed(
            *("--features", tmp_path / "of_others.npz", "--features_key", "vectors", *words),
            *("--vision_encoder", "features:dinov2", "--output", tmp_path / "out"),
        )
        found = ImageEmbeddings.load(tmp_path / "out")
        assert np.array_equal(found.embeddings, expected) and found.tower == "features:dinov2"
        assert found.index.image_ids == IDS


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected either --images or --features"),
        (["--images", "none"], "no image folder none"),
        (["--features", "pickle.npy", "--ids", "ids.npy"], "pickle.npy is refused: it is a pickle"),
        (["--features", "few.npy", "--ids", "ids.npy"], "for 72 ids, got (3, 16)"),
        (["--features", "few.npy"], "--features needs --ids"),
        (["--features", "few.npy", "--ids", "none.txt"], "none.txt"),
        (["--features", "few.npy", "--ids", "pickle.npy"], "pickle.npy is refused: it is a pickle"),
        (
            ["--features", "nan.npy", "--ids", "ids.npy"],
            f"1 are all zeros or not finite, the first of '{IDS[5]}'",
        ),
    ],
)
def test_what_cannot_work_ends_in_one_line(words, message, tmp_path, monkeypatch, fail_script):
    monkeypatch.chdir(tmp_path)
    np.save("pickle.npy", np.array([{}], dtype=object))
    np.save("few.npy", features()[:3])
    np.save("nan.npy", np.where(np.arange(72)[:, None] == 5, np.nan, features()))
    np.save("ids.npy", np.array(IDS))
    said, code = fail_script("embed_images.py", "--output", "out", *words)
    assert code == 2 and message in said
