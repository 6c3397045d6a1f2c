# SPDX-License-Identifier: Apache-2.0
"""Images embedded as users do it: with a tower, from existing features, and with broken files."""

import numpy as np
import pytest
import torch

from eeg_hf import ImageEmbeddings, create_vision_tower
from eeg_hf.images.image_folder import open_image
from tests.clip_world import features, image_ids, write_images, write_tower
from tests.commands import fail_command, run_command

IDS = sorted(image_ids("train") + image_ids("test"))


@pytest.fixture
def images(tmp_path):
    write_images(tmp_path / "images")
    return tmp_path / "images"


@pytest.fixture(scope="module")
def tower(tmp_path_factory):
    return write_tower(tmp_path_factory.mktemp("tower"))


def embed(*words):
    run_command("embed-images", *words)


def test_every_image_is_embedded_as_the_tower_does_it(images, tower, tmp_path):
    embed("--images", images, "--vision_encoder", tower, "--output_dir", tmp_path / "out", "--batch_size", 7)
    found, encoder = ImageEmbeddings.load(tmp_path / "out"), create_vision_tower(tower)
    assert found.index.image_ids == IDS and found.tower == tower
    assert found.index.concepts[0] == "thing13" and len(set(found.index.concepts)) == 24
    with torch.no_grad():
        expected = encoder(encoder.preprocess(open_image(images / IDS[30]))[None])[0]
    assert np.allclose(found.embeddings[30], expected.numpy(), atol=1e-5)


def test_a_broken_image_ends_the_run_by_name_or_is_left_out_and_counted(images, tower, tmp_path, caplog):
    whole = (images / IDS[3]).read_bytes()
    (images / IDS[3]).write_bytes(whole[:-200])
    (images / IDS[9]).write_bytes(b"")
    words = ["--images", images, "--vision_encoder", tower, "--output_dir", tmp_path / "out"]
    line = fail_command("embed-images", *words, "--num_workers", 1)
    assert f"{IDS[3]} cannot be read" in line and "--skip_broken true" in line
    embed(*words, "--skip_broken", "true")
    assert "2 of 72 images left out" in caplog.text and f"{IDS[9]} cannot be read: it is empty" in caplog.text
    assert ImageEmbeddings.load(tmp_path / "out").index.image_ids == [
        name for name in IDS if name not in (IDS[3], IDS[9])
    ]


def test_existing_features_are_converted(tmp_path):
    np.savez(tmp_path / "existing.npz", vectors=features()[:, None], names=np.array(IDS))
    (tmp_path / "ids.txt").write_text("\n".join(IDS) + "\n")
    for words in (
        ["--ids", tmp_path / "existing.npz", "--ids_key", "names"],
        ["--ids", tmp_path / "ids.txt"],
    ):
        embed(
            *("--features", tmp_path / "existing.npz", "--features_key", "vectors", *words),
            *("--vision_encoder", "features:dinov2", "--output_dir", tmp_path / "out"),
        )
        found = ImageEmbeddings.load(tmp_path / "out")
        assert np.array_equal(found.embeddings, features()) and found.tower == "features:dinov2"
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
def test_what_cannot_work_ends_in_one_line(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("pickle.npy", np.array([{}], dtype=object))
    np.save("few.npy", features()[:3])
    np.save("nan.npy", np.where(np.arange(72)[:, None] == 5, np.nan, features()))
    np.save("ids.npy", np.array(IDS))
    assert message in fail_command("embed-images", "--output_dir", "out", *words)
