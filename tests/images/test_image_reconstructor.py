# SPDX-License-Identifier: Apache-2.0
"""Reconstruction from EEG embeddings on simulated images of shapes and colours."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from tests.images.simulated_pairs import simulated_pairs

from eeg_hf.corpora import SimulatedThings
from eeg_hf.corpora.drawn_images import SHAPES
from eeg_hf.evaluation import pixel_correlation, two_way_identification
from eeg_hf.images.embedding_prior import EmbeddingPrior
from eeg_hf.images.image_decoder import ImageDecoder, fit_image_decoder
from eeg_hf.images.image_folder import read_images, resize_images
from eeg_hf.images.image_reconstructor import EEGImageReconstructor

FAST = {"num_steps": 250, "width": 32, "learning_rate": 1e-2, "batch_size": 64, "num_pixels": 24}


@pytest.fixture(scope="module")
def pairs():
    return simulated_pairs(200, 60)


@pytest.fixture(scope="module")
def reconstructor(pairs):
    images, embeddings, eeg = pairs["train"]
    return EEGImageReconstructor.fit(eeg, embeddings, images, decoder_options=FAST)


def identify(images, found):
    return two_way_identification(images.reshape(len(images), -1), found.reshape(len(found), -1))


@pytest.mark.parametrize("way", ["decode", "retrieve"])
def test_images_that_were_seen_are_told_from_others(reconstructor, pairs, way):
    images, _, eeg = pairs["test"]
    found = getattr(reconstructor, way)(eeg)
    assert found.shape == images.shape and found.dtype == np.uint8
    score = identify(images, found)
    assert score["mean"] > 0.85 and score["interval"][0] > 0.8 and score["p_value"] < 0.01
    colours = identify(images.mean(axis=(1, 2)), found.mean(axis=(1, 2)))
    assert colours["mean"] > 0.7 and colours["p_value"] < 0.01


def test_shuffled_pairs_are_at_chance(pairs):
    (images, embeddings, eeg), (seen, _, new) = pairs["train"], pairs["test"]
    scores = []
    for seed in range(5):
        wrong = eeg[np.random.default_rng(seed).permutation(len(eeg))]
        ways = ["retrieve"] if seed else ["retrieve", "decode"]
        blind = EEGImageReconstructor.fit(wrong, embeddings, images, None, FAST, has_decoder=not seed)
        scores += [identify(seen, getattr(blind, way)(new))["mean"] for way in ways]
    assert np.mean(scores) == pytest.approx(0.5, abs=0.08)
    assert np.abs(np.array(scores) - 0.5).max() < 0.2


def test_the_prior_finds_the_map_where_there_is_no_noise():
    random = np.random.default_rng(0)
    weight, shift = random.normal(size=(6, 4)), random.normal(size=4)
    eeg = random.normal(size=(80, 6))
    prior, unseen = EmbeddingPrior.fit(eeg, eeg @ weight + shift)
    np.testing.assert_allclose(prior.weight, weight, atol=0.01)
    new = random.normal(size=(3, 6))
    np.testing.assert_allclose(prior.predict(new), new @ weight + shift, atol=0.02)
    np.testing.assert_allclose(unseen, eeg @ weight + shift, atol=0.05)


def test_the_prior_says_the_mean_of_what_it_cannot_know():
    random = np.random.default_rng(0)
    eeg, images = random.normal(size=(100, 5)), random.normal(size=(100, 3))
    prior, _ = EmbeddingPrior.fit(eeg, images)
    assert np.linalg.norm(prior.predict(eeg) - images.mean(axis=0), axis=1).max() < 0.1
    stretched = prior.predict(eeg, is_stretched=True) - prior.image_mean
    np.testing.assert_allclose(np.linalg.norm(stretched, axis=1), prior.image_length, rtol=1e-4)
    np.testing.assert_array_equal(prior.predict(prior.eeg_mean[None], is_stretched=True)[0], prior.image_mean)


def test_no_fold_shares_a_group_with_another():
    random = np.random.default_rng(0)
    owners = np.repeat(np.arange(20), 4)
    eeg = np.eye(20)[owners] + 0.01 * random.normal(size=(80, 20))
    images = random.normal(size=(20, 8))[owners]  # images have nothing in common
    _, apart = EmbeddingPrior.fit(eeg, images, groups=owners)
    _, mixed = EmbeddingPrior.fit(eeg, images)
    assert np.mean((mixed - images) ** 2) < 0.3 < np.mean((apart - images) ** 2)


def test_the_decoder_learns_images_by_heart_and_by_its_seed():
    images = simulated_pairs(4, 1)["train"][0]
    embeddings = np.eye(4, dtype=np.float32)
    options = {"num_steps": 150, "batch_size": 8, "learning_rate": 1e-2, "width": 16}
    state = torch.random.get_rng_state()
    drawn = fit_image_decoder(embeddings, images, **options).draw(embeddings)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.abs(drawn.astype(float) - images).mean() < 12
    np.testing.assert_array_equal(drawn, fit_image_decoder(embeddings, images, **options).draw(embeddings))
    other = fit_image_decoder(embeddings, images, **options, seed=1).draw(embeddings)
    assert not np.array_equal(drawn, other)


def test_the_decoder_draws_the_shapes_of_images_that_it_never_saw():
    corpus = SimulatedThings(num_concepts=800, images_per_concept=1, num_test_concepts=60)
    seen, new = corpus.images("train"), corpus.images("test")

    def draw(images):
        return np.stack([np.asarray(images.draw(row, 24)) for row in range(len(images))])

    options = {"num_steps": 500, "num_pixels": 32, "width": 48, "learning_rate": 1e-2}
    decoder = fit_image_decoder(seen.latents, draw(seen), batch_size=64, **options)
    drawn = decoder.draw(new.latents)
    as_others = [draw(replace(new, shape=np.full_like(new.shape, shape))) for shape in range(len(SHAPES))]
    nearest = np.argmax([pixel_correlation(images, drawn) for images in as_others], axis=0)
    assert np.mean(nearest == new.shape) > 0.6  # 0.25 by chance


@pytest.mark.parametrize("size", [1, 20, 128])
def test_the_decoder_draws_images_of_its_size(size):
    drawn = ImageDecoder(5, size, width=4).draw(np.ones((3, 5), np.float32), batch_size=2)
    assert drawn.shape == (3, size, size, 3) and drawn.dtype == np.uint8


def test_nearest_are_by_direction_from_the_mean():
    prior = EmbeddingPrior(np.eye(2, dtype=np.float32), np.zeros(2), np.full(2, 10.0), np.float32(1))
    angles = np.deg2rad([0, 90, 180])
    gallery = 10 + np.stack([np.cos(angles), np.sin(angles)], axis=1) * [[5], [1], [1]]
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.full((1, 8, 8, 3), 10, np.uint8)
    reconstructor = EEGImageReconstructor(prior, gallery, images)
    eeg = [[0.1 * math.cos(math.radians(angle)), 0.1 * math.sin(math.radians(angle))] for angle in (50, 160)]
    assert reconstructor.nearest(eeg, 3).tolist() == [[1, 0, 2], [2, 1, 0]]
    assert reconstructor.retrieve(eeg)[:, 0, 0, 0].tolist() == [10, 20]
    assert reconstructor.retrieve(eeg, num_nearest=2)[:, 0, 0, 0].tolist() == [5, 15]


def test_what_is_saved_draws_the_same(reconstructor, pairs, tmp_path):
    reconstructor.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    restored, (_, _, eeg) = EEGImageReconstructor.from_pretrained(tmp_path), pairs["test"]
    np.testing.assert_array_equal(restored.decode(eeg), reconstructor.decode(eeg))
    np.testing.assert_array_equal(restored.retrieve(eeg, 3), reconstructor.retrieve(eeg, 3))
    EEGImageReconstructor(
        restored.prior, restored.gallery_embeddings, restored.gallery_images
    ).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has no decoder"):
        EEGImageReconstructor.from_pretrained(tmp_path).decode(eeg)


def test_half_a_reconstructor_is_refused(reconstructor, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"it has no image_reconstructor\.json"):
        EEGImageReconstructor.from_pretrained(tmp_path)
    reconstructor.save_pretrained(tmp_path)
    weights = tmp_path / "image_reconstructor.safetensors"
    arrays = load_file(weights)
    for broken in (
        {**arrays, "decoder.mean": np.ones(3, np.float32)},
        {"prior.weight": arrays["prior.weight"]},
    ):
        save_file(broken, weights)
        with pytest.raises(ValueError, match="expected the files of save_pretrained"):
            EEGImageReconstructor.from_pretrained(tmp_path)
    weights.write_bytes(b"PK")
    with pytest.raises(ValueError, match="expected the files of save_pretrained"):
        EEGImageReconstructor.from_pretrained(tmp_path)
    (tmp_path / "image_reconstructor.json").write_text(json.dumps([]))
    with pytest.raises(ValueError, match="expected the files of save_pretrained"):
        EEGImageReconstructor.from_pretrained(tmp_path)


def fit(eeg=(4, 3), embeddings=(4, 2), images=(4, 8, 8, 3), eeg_values=None, **options):
    random = np.random.default_rng(0)
    drawn = random.integers(256, size=images, dtype=np.uint8)
    of_eeg = random.normal(size=eeg) if eeg_values is None else eeg_values
    return EEGImageReconstructor.fit(of_eeg, random.normal(size=embeddings), drawn, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fit((1, 3), (1, 2), (1, 8, 8, 3)), "two or more images to learn from, got 1"),
        (lambda: fit(groups=["dog"] * 4), "two or more images to learn from, got 1"),
        (lambda: fit(groups=["dog"] * 3), "groups: expected one for each of 4 rows, got 3"),
        (lambda: fit((0, 3), (0, 2), (0, 8, 8, 3)), "expected finite EEG embeddings"),
        (lambda: fit((5, 3)), "as many embeddings of EEG as of images, got 5 and 4"),
        (lambda: fit(images=(3, 8, 8, 3)), r"an embedding of each image, \(3, 2\), got \(4, 2\)"),
        (lambda: fit(images=(4, 8, 8, 1)), "images: expected uint8"),
        (lambda: fit(images=(4, 8, 9, 3)), "expected square images"),
        (
            lambda: fit(decoder_options={"num_steps": 0}),
            "expected num_steps, batch_size and num_pixels of 1 or more, got 0",
        ),
        (lambda: ImageDecoder(5, 0), "expected 1 or more of each, got image_size 0"),
        (lambda: fit(has_decoder=False).retrieve(np.ones((2, 4))), r"EEG embeddings \(n, 3\), got \(2, 4\)"),
        (lambda: fit(has_decoder=False).retrieve(np.ones((0, 3))), r"EEG embeddings \(n, 3\), got \(0, 3\)"),
        (lambda: fit(has_decoder=False).retrieve(np.full((2, 3), np.nan)), "finite numbers, got NaN"),
        (lambda: fit(eeg_values=np.full((4, 3), np.inf)), "finite EEG embeddings .* got NaN or infinite"),
        (lambda: fit(has_decoder=False).retrieve(np.ones((2, 3)), 5), "num_nearest: expected 1 to 4, got 5"),
        (lambda: ImageDecoder(5, 8).draw(np.ones((2, 4))), r"image embeddings \(n, 5\), got \(2, 4\)"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message) as raised:
        call()
    assert "\n" not in str(raised.value)


@pytest.fixture
def folder(tmp_path):
    """Return a folder with a wide JPEG, a PNG with transparency, and half a JPEG."""
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = (200, 100, 50)
    Image.fromarray(wide).save(tmp_path / "wide.jpg", quality=100)
    Image.new("RGBA", (30, 30), (10, 20, 30, 255)).save(tmp_path / "clear.png")
    noise = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "half.jpg")
    (tmp_path / "half.jpg").write_bytes((tmp_path / "half.jpg").read_bytes()[:2000])
    (tmp_path / "text.jpg").write_text("no image")
    return tmp_path


def test_the_middle_square_of_an_image_is_read(folder):
    images = read_images(folder, ["wide.jpg", "clear.png"], 16)
    assert images.shape == (2, 16, 16, 3)
    assert np.abs(images[0].astype(int) - (200, 100, 50)).max() < 20
    assert (images[1] == (10, 20, 30)).all()
    assert resize_images(images, 16) is images
    assert resize_images(images, 8).shape == (2, 8, 8, 3)


def test_images_of_all_kinds_become_colours_of_one_size(folder):
    """Grey of 8 and 16 bits, a palette, CMYK and a single pixel keep their brightness."""
    grey = np.full((20, 30), 100, np.uint8)
    kinds = {
        "grey.png": Image.fromarray(grey),
        "deep.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "palette.png": Image.fromarray(grey).convert("P"),
        "print.jpg": Image.new("CMYK", (20, 30), (0, 0, 0, 155)),
        "dot.png": Image.new("RGB", (1, 1), (100, 100, 100)),
        "tall.png": Image.new("RGB", (9, 300), (100, 100, 100)),
    }
    for name, image in kinds.items():
        image.save(folder / name)
    images = read_images(folder, [*kinds], 16)
    assert images.shape == (len(kinds), 16, 16, 3) and images.dtype == np.uint8
    assert np.abs(images.astype(int) - 100).max() <= 2


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        (["gone.jpg", "wide.jpg"], FileNotFoundError, r"1 of 2 images are missing: .*gone\.jpg"),
        (["half.jpg"], ValueError, r"half\.jpg cannot be read: .*truncated"),
        (["text.jpg"], ValueError, r"text\.jpg cannot be read: "),
        ([], ValueError, "expected images to read, got none"),
        (["../wide.jpg"], ValueError, r"paths of images below it, got '\.\./wide\.jpg'"),
        (["wide.jpg", "/etc/motd"], ValueError, "paths of images below it, got '/etc/motd'"),
    ],
)
def test_images_that_cannot_be_read_are_named(folder, names, error, message):
    with pytest.raises(error, match=message):
        read_images(folder, names, 16)
