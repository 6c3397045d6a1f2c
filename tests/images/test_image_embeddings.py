# SPDX-License-Identifier: Apache-2.0
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import load_dataset
from safetensors.numpy import save_file

from eeg_hf import ImageEmbeddings
from eeg_hf.images.image_embeddings import read_features

NAMES = ["00001_cat/cat_1.jpg", "00002_eel/eel_1.jpg", "00002_eel/eel_2.jpg"]
VALUES = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


def test_what_is_saved_is_loaded_bit_by_bit(tmp_path):
    ImageEmbeddings(NAMES, VALUES, "open_clip:ViT-B-32").save(tmp_path / "a" / "b")
    found = ImageEmbeddings.load(tmp_path / "a" / "b")
    assert np.array_equal(found.embeddings, VALUES) and found.index.image_ids == NAMES
    assert found.index.concepts == ["cat", "eel", "eel"] and found.tower == "open_clip:ViT-B-32"
    assert (len(found), found.dim) == (3, 4)
    assert torch.equal(found.read([2, 0])["image_embeds"], torch.from_numpy(VALUES[[2, 0]]))


def test_datasets_opens_it_too(tmp_path):
    ImageEmbeddings(NAMES, VALUES, "features:x").save(tmp_path)
    rows = load_dataset(str(tmp_path), split="train", cache_dir=str(tmp_path / "cache"))
    assert rows.column_names == ["image_id", "concept", "embedding"]
    assert np.allclose(rows[1]["embedding"], VALUES[1])


@pytest.mark.parametrize(
    ("names", "values", "message"),
    [
        (NAMES[:2], VALUES, r"expected \(images, dim\) for 2 ids, got \(3, 4\)"),
        (NAMES, VALUES[0], r"for 3 ids, got \(4,\)"),
        ([NAMES[0]] * 3, VALUES, "2 of 3 ids are repeated"),
        (
            NAMES,
            VALUES * [[1], [np.nan], [0]],
            "2 are all zeros or not finite, the first of '00002_eel/eel_1.jpg'",
        ),
        (NAMES, VALUES.astype(str), "expected numbers, got <U"),
    ],
)
def test_embeddings_that_cannot_be_are_refused(names, values, message):
    with pytest.raises(ValueError, match=message):
        ImageEmbeddings(names, values, "features:x")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="run eeg-hf embed-images first"):
        ImageEmbeddings.load(tmp_path)
    path = tmp_path / "image_embeddings.parquet"
    for write in (lambda: path.write_bytes(b"PAR1 cut"), lambda: pq.write_table(pa.table({"a": [1]}), path)):
        write()
        with pytest.raises(
            ValueError, match="is damaged or was not written by eeg-hf embed-images"
        ) as caught:
            ImageEmbeddings.load(tmp_path)
        assert "\n" not in str(caught.value)


def test_arrays_of_others_are_read_by_name(tmp_path):
    np.save(tmp_path / "a.npy", VALUES)
    np.savez(tmp_path / "a.npz", features=VALUES, other=VALUES[0])
    save_file({"features": VALUES}, tmp_path / "a.safetensors")
    for name, key in (("a.npy", None), ("a.npz", "features"), ("a.safetensors", None)):
        assert np.array_equal(read_features(tmp_path / name, key), VALUES)
    with pytest.raises(ValueError, match=r"name of one of its arrays, \['features', 'other'\], got None"):
        read_features(tmp_path / "a.npz")


class Trap:
    """Unpickling an instance writes a file."""

    def __reduce__(self):
        return open, ("sprung", "w")


def test_pickles_are_refused_and_do_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("object.npy", np.array([Trap()], dtype=object))
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Trap()))
    np.savez("object.npz", ids=np.array([Trap()], dtype=object))
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    for name in ("object.npy", "bare.npy", "object.npz"):
        with pytest.raises(ValueError, match=rf"{name} is refused: it is a pickle, which can run code"):
            read_features(name)
    with pytest.raises(ValueError, match="cut.safetensors is refused"):
        read_features("cut.safetensors")
    with pytest.raises(FileNotFoundError, match="no file"):
        read_features("none.npy")
    assert not (tmp_path / "sprung").exists()
