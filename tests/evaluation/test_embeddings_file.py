# SPDX-License-Identifier: Apache-2.0
import io
import pickle
import zipfile

import numpy as np
import pytest

from eeg_hf.evaluation import EEGImageEmbeddings, judge_retrieval, retrieval_table
from eeg_hf.evaluation.retrieval_report import as_plain, parse_metrics


def make(num_images=12, subjects=("01", "02"), repetitions=4, noise=0.0, seed=0):
    """Each image an embedding of its own, each trial that of its image and noise; two images a concept."""
    random = np.random.default_rng(seed)
    images = random.normal(size=(num_images, 16)).astype(np.float32)
    ids = np.array([f"test_images/{i:05d}.jpg" for i in range(num_images)])
    concepts = np.array([f"concept_{i // 2}" for i in range(num_images)])
    rows = [(i, s, r) for s in subjects for i in range(num_images) for r in range(repetitions)]
    seen = np.array([i for i, _, _ in rows])
    return {
        "eeg_embeddings": images[seen] + noise * random.normal(size=(len(rows), 16)).astype(np.float32),
        "eeg_image_ids": ids[seen],
        "subjects": np.array([s for _, s, _ in rows]),
        "concepts": concepts[seen],
        "repetitions": np.array([r for _, _, r in rows]),
        "image_embeddings": images,
        "image_ids": ids,
        "image_concepts": concepts,
        "split": "test",
        "model": "runs/clip",
    }


def test_what_is_saved_comes_back(tmp_path):
    given = make()
    path = EEGImageEmbeddings(**given).save(tmp_path / "new" / "embeddings")
    assert path.name == "embeddings.npz" and [p.name for p in path.parent.iterdir()] == ["embeddings.npz"]
    loaded = EEGImageEmbeddings.load(path)
    for name, value in given.items():
        assert np.array_equal(getattr(loaded, name), value), name
    assert loaded.eeg_embeddings.dtype == np.float32 and loaded.split == "test"


IDS = make()["eeg_image_ids"]
WRONG_CONCEPTS = make()["concepts"].copy()
WRONG_CONCEPTS[5] = "elsewhere"
DIVERGED = make()["eeg_embeddings"].copy()
DIVERGED[7, 3] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"eeg_embeddings": DIVERGED}, "eeg_embeddings: 1 of 96 are NaN, infinite or zero, first row 7"),
        ({"image_embeddings": np.zeros((12, 16))}, "image_embeddings: 12 of 12 are NaN, infinite or zero"),
        ({"eeg_embeddings": np.ones(96)}, r"eeg_embeddings: expected floats \(number, size\), got float64"),
        ({"subjects": np.array(["01"])}, "subjects: expected 96 as in eeg_embeddings, got 1"),
        ({"image_concepts": np.array(["a"])}, "image_concepts: expected 12 as in image_embeddings, got 1"),
        ({"repetitions": np.ones(96)}, r"repetitions: expected integers \(number,\), got float64"),
        ({"subjects": np.ones(96, int)}, r"subjects: expected strings \(number,\), got int64"),
        (
            {"eeg_image_ids": np.char.add(IDS, "?")},
            "eeg_image_ids: 12 are not among image_ids: .* and 9 more",
        ),
        ({"image_ids": np.array(["same"] * 12)}, "image_ids: expected each once, same come more than once"),
        ({"concepts": WRONG_CONCEPTS}, "says otherwise of the images of 1 trials: test_images/00001.jpg"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(change, message, tmp_path):
    with pytest.raises(ValueError, match=message) as caught:
        EEGImageEmbeddings(**{**make(), **change})
    assert "\n" not in str(caught.value)
    np.savez(tmp_path / "bad.npz", **{**make(), **change})
    with pytest.raises(ValueError, match=f"bad.npz: .*{message}"):
        EEGImageEmbeddings.load(tmp_path / "bad.npz")


class Trap:
    """Unpickling an instance raises: nothing may unpickle it."""

    def __reduce__(self):
        return exec, ("raise KeyboardInterrupt('unpickled')",)


def broken_zip():
    held = io.BytesIO()
    np.savez(held, **make())
    content = bytearray(held.getvalue())
    content[200:260] = b"\xff" * 60
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(Trap()), "x.npz: expected an .npz of arrays, this is none"),
        (b"", "x.npz: expected an .npz of arrays, this is none"),
        (broken_zip(), "x.npz: .*"),
    ],
)
def test_files_that_are_no_embeddings_are_refused_and_not_unpickled(content, message, tmp_path):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        EEGImageEmbeddings.load(tmp_path / "x.npz")
    assert "\n" not in str(caught.value)


def test_arrays_that_are_pickles_or_missing_are_named(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, **{**make(), "subjects": np.array(["01"] * 96, dtype=object)})
    with pytest.raises(ValueError, match="x.npz: subjects is a pickled array of objects, which could run"):
        EEGImageEmbeddings.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("subjects.npy", pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="x.npz: it has no eeg_embeddings, .*, only subjects"):
        EEGImageEmbeddings.load(path)
    with pytest.raises(FileNotFoundError, match="nowhere.npz does not exist: eeg-hf export-embeddings"):
        EEGImageEmbeddings.load(tmp_path / "nowhere.npz")


def test_repetitions_are_averaged_by_person_and_image_whatever_their_length():
    given = make(noise=0.3)
    lengths = np.random.default_rng(1).uniform(0.5, 4, (96, 1)).astype(np.float32)
    one = EEGImageEmbeddings(**given).average_repetitions()
    other = EEGImageEmbeddings(**{**given, "eeg_embeddings": given["eeg_embeddings"] * lengths})
    other = other.average_repetitions()
    assert len(one.subjects) == 24 and set(one.repetitions) == {-1}
    assert one.eeg_embeddings == pytest.approx(other.eeg_embeddings, abs=1e-6)
    row = np.flatnonzero((one.subjects == "02") & (one.eeg_image_ids == given["image_ids"][5]))
    assert len(row) == 1 and one.concepts[row] == "concept_2"
    mine = given["eeg_embeddings"][
        (given["subjects"] == "02") & (given["eeg_image_ids"] == given["image_ids"][5])
    ]
    expected = (mine / np.linalg.norm(mine, axis=1, keepdims=True)).mean(axis=0)
    assert one.eeg_embeddings[row[0]] == pytest.approx(expected, abs=1e-6)


def test_both_directions_are_perfect_without_noise_and_at_chance_when_shuffled():
    embeddings = EEGImageEmbeddings(**make(num_images=40))
    found = judge_retrieval(embeddings, num_resamples=20)
    for direction in found.values():
        assert direction["recall@1"].value == direction["ndcg@10"].value == direction["mrr"].value == 1
        assert direction["recall@1"].interval == (1, 1)
    # a person's trials only: 4 of 160, whoever else there is
    assert [found[way]["recall@1"].chance for way in found] == pytest.approx([1 / 40, 1 / 40])
    shuffled = make(num_images=40, subjects=[f"{i}" for i in range(10)], repetitions=10)
    shuffled["eeg_embeddings"] = np.random.default_rng(0).permutation(shuffled["eeg_embeddings"])
    for direction in judge_retrieval(EEGImageEmbeddings(**shuffled), resample="subject").values():
        for name, score in direction.items():
            assert score.value == pytest.approx(score.chance, rel=0.15), name


def test_averaging_helps_and_concepts_are_easier_than_images():
    embeddings = EEGImageEmbeddings(**make(num_images=60, noise=3.0, repetitions=8))
    single = judge_retrieval(embeddings, n_way=20, num_resamples=50)["eeg_to_image"]
    averaged = judge_retrieval(embeddings.average_repetitions(), num_resamples=50)["eeg_to_image"]
    of_concepts = judge_retrieval(embeddings, match="concept", num_resamples=50)["eeg_to_image"]
    assert averaged["recall@1"].value > 2 * single["recall@1"].value
    assert single["top@1 of 20"].value > single["recall@1"].value
    assert of_concepts["recall@1"].value > single["recall@1"].value
    assert of_concepts["recall@1"].chance == pytest.approx(2 / 60)
    with pytest.raises(ValueError, match="expected match image or concept and resample image, concept"):
        judge_retrieval(embeddings, resample="trial")


def test_the_table_has_chance_and_interval_beside_each_value():
    found = judge_retrieval(EEGImageEmbeddings(**make()), num_resamples=20)
    table = retrieval_table({"all": found}, parse_metrics("recall@1,5", ()) + ["mrr"])
    assert "| all | recall@1 | 1.000 [1.000, 1.000] | 0.083 | 1.000 [1.000, 1.000] | 0.083 |" in table
    assert len(table.strip().splitlines()) == 5
    assert as_plain(found)["eeg_to_image"]["recall@1"]["interval"] == (1, 1)


@pytest.mark.parametrize("text", ["recall@", "recall@x", "accuracy", "5", "mrr@5", "mrr,5"])
def test_metrics_that_do_not_exist_are_refused(text):
    with pytest.raises(ValueError, match="metric: expected recall@K, ndcg@K, mrr"):
        parse_metrics(text, [1])


def test_metrics_are_read_as_the_command_line_has_them():
    assert parse_metrics("recall@1,5,10,ndcg@3,4, mrr,recall", [2]) == [
        *("recall@1", "recall@5", "recall@10", "ndcg@3", "ndcg@4", "mrr", "recall@2")
    ]
