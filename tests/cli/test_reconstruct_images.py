# SPDX-License-Identifier: Apache-2.0
"""Images from embeddings of simulated subjects who looked at shapes, from files to the contact sheet."""

import json
from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from eeg_hf import EEGImageReconstructor, ImageEmbeddings
from eeg_hf.corpora import SimulatedThings
from eeg_hf.evaluation import EEGImageEmbeddings
from tests.commands import fail_command, run_command
from tests.images.test_image_diffusion import SIZE, stable_unclip

NUM_TEST, DIM = 40, 32
FAST = (
    "--image_size",
    16,
    "--num_steps",
    150,
    "--decoder_width",
    32,
    "--learning_rate",
    0.01,
    "--num_resamples",
    200,
)
FOLDERS = {"train": "training_images", "test": "test_images"}


def write_embeddings(path, corpus, part, projections, random):
    """Write the embeddings of two subjects who saw each image twice; return the ids of the images."""
    drawn, (of_images, of_eeg) = corpus.images(part), projections
    names = zip(drawn.concept_index, drawn.concepts, drawn.files, strict=True)
    ids = np.array([f"{FOLDERS[part]}/{number:05d}_{name}/{file}" for number, name, file in names])
    rows, concepts = np.tile(np.arange(len(ids)), 4), np.array(drawn.concepts)
    eeg = drawn.latents[rows] @ of_eeg + 2 * random.normal(size=(len(rows), DIM))
    EEGImageEmbeddings(
        eeg_embeddings=eeg.astype(np.float32),
        eeg_image_ids=ids[rows],
        subjects=np.repeat(["01", "02"], 2 * len(ids)),
        concepts=concepts[rows],
        repetitions=np.tile(np.repeat([0, 1], len(ids)), 2),
        image_embeddings=np.tanh(drawn.latents @ of_images / 3).astype(np.float32),
        image_ids=ids,
        image_concepts=concepts,
        split=part,
        model="simulated",
    ).save(path)
    return ids


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with images, embeddings of both parts, and embeddings of another tower."""
    folder, random = tmp_path_factory.mktemp("things"), np.random.default_rng(0)
    corpus = SimulatedThings(num_concepts=200, images_per_concept=1, num_test_concepts=NUM_TEST)
    corpus.write_images(folder / "images", pixels=32)
    projections = random.normal(size=(2, 8, DIM))
    ids = [write_embeddings(folder / f"{part}.npz", corpus, part, projections, random) for part in FOLDERS]
    write_broken(folder)
    known = np.concatenate(ids).tolist()
    ImageEmbeddings(known, random.normal(size=(len(known), SIZE)), "random").save(folder / "tower")
    return folder


def write_broken(folder):
    """Write files of embeddings that cannot be used, beside the good ones."""
    test = EEGImageEmbeddings.load(folder / "test.npz")
    good = {field.name: np.asarray(getattr(test, field.name)) for field in fields(test)}
    trials = ("eeg_embeddings", "eeg_image_ids", "subjects", "concepts", "repetitions")
    one = {name: good[name][:1] for name in trials}
    np.savez(folder / "one.npz", **{**good, **one})
    np.savez(folder / "pickled.npz", **{**good, "image_ids": good["image_ids"].astype(object)})
    eeg = good["eeg_embeddings"].copy()
    eeg[3, 5] = np.nan
    np.savez(folder / "nan.npz", **{**good, "eeg_embeddings": eeg})
    ids = np.array(["nobody/0.jpg", "nobody/1.jpg"])
    two = {name: good[name][:2] for name in (*trials, "image_embeddings", "image_concepts")}
    concepts = {"concepts": ids, "image_concepts": ids}
    np.savez(folder / "strangers.npz", **{**good, **two, **concepts, "image_ids": ids, "eeg_image_ids": ids})


def arguments(folder, *more, **replaced):
    options = {"train": folder / "train.npz", "test": folder / "test.npz", "images": folder / "images"}
    options |= {"output_dir": folder / "out", **replaced}
    return (*(word for name, value in options.items() for word in (f"--{name}", value)), *FAST, *more)


@pytest.fixture(scope="module")
def results(folder):
    """Return what was found with the right pairs and with shuffled ones."""
    found = {}
    for name, more in (("right", ()), ("shuffled", ("--shuffle_pairs",))):
        printed = run_command("reconstruct-images", *arguments(folder, *more, output_dir=folder / name))
        assert printed == (folder / name / "table.md").read_text()
        found[name] = json.loads((folder / name / "metrics.json").read_text())
    return found


def test_the_right_pairs_are_far_above_chance(results):
    scores = results["right"]["results"]
    assert set(scores) == {"prior", "decoder", "nearest"}
    assert scores["prior"]["two_way_embedding"]["mean"] > 0.9
    for way in ("decoder", "nearest"):
        score = scores[way]["two_way_pixels"]
        assert score["mean"] > 0.8 and score["interval"][0] > 0.7 and score["p_value"] < 0.02
        assert scores[way]["pixcorr"]["interval"][0] > scores[way]["pixcorr"]["chance"] + 0.1
    assert results["right"]["provenance"]["num_images"] == {"train": 200, "test": NUM_TEST}


def test_shuffled_pairs_are_at_chance(results):
    scores = results["shuffled"]["results"]
    found = [scores[way]["two_way_pixels"] for way in ("decoder", "nearest")] + [*scores["prior"].values()]
    assert results["shuffled"]["provenance"]["is_shuffled"]
    assert all(abs(score["mean"] - 0.5) < 0.2 and score["p_value"] > 0.005 for score in found)


def test_everything_is_left_to_look_at(results, folder):
    with Image.open(folder / "right" / "contact_sheet.png") as sheet:
        assert sheet.width > 1000
    restored = EEGImageReconstructor.from_pretrained(folder / "right" / "reconstructor")
    test = EEGImageEmbeddings.load(folder / "test.npz").average_repetitions()
    name = test.image_ids[3]
    eeg = test.eeg_embeddings[test.eeg_image_ids == name].mean(axis=0, keepdims=True)
    with Image.open((folder / "right" / "nearest" / name).with_suffix(".png")) as image:
        np.testing.assert_array_equal(np.asarray(image), restored.retrieve(eeg)[0])
    assert len(list((folder / "right" / "decoder").rglob("*.png"))) == NUM_TEST


def test_one_person_and_a_diffusion_model(folder):
    stable_unclip().save_pretrained(folder / "unclip")
    more = ("--pipeline", folder / "unclip", "--ways", "nearest", "--subject", "02", "--dtype", "bfloat16")
    more += (
        "--pipeline_options",
        "num_inference_steps=1",
        "guidance_scale=1",
        "prompt=a",
        "--judged_size",
        24,
    )
    more += ("--image_embeddings", folder / "tower", "--num_nearest", 3)
    run_command("reconstruct-images", *arguments(folder, *more, output_dir=folder / "diffused"))
    content = json.loads((folder / "diffused" / "metrics.json").read_text())
    assert set(content["results"]) == {"prior", "nearest", "diffusion"}
    assert (
        abs(content["results"]["diffusion"]["two_way_pixels"]["mean"] - 0.5) < 0.2
    )  # its weights are random
    assert content["provenance"]["settings"]["subject"] == "02"
    with Image.open(next((folder / "diffused" / "diffusion").rglob("*.png"))) as image:
        assert image.size == (16, 16)  # as it was drawn, not as it was judged


@pytest.mark.parametrize(
    ("more", "replaced", "message"),
    [
        (
            (),
            {"train": "test.npz"},
            "40 of 40 images to reconstruct are training images, such as test_images/",
        ),
        ((), {"images": "tower"}, "40 of 40 images are missing: "),
        ((), {"train": "none.npz"}, "none.npz does not exist"),
        ((), {"test": "one.npz"}, "test: expected two or more images, got 1"),
        (
            (),
            {"test": "pickled.npz"},
            "pickled.npz: image_ids is a pickled array of objects, which could run code",
        ),
        ((), {"test": "nan.npz"}, "nan.npz: eeg_embeddings: 1 of 160 are NaN, infinite or zero"),
        ((), {"test": "strangers.npz"}, "2 of 2 images are missing: "),
        (
            ("--image_embeddings", "{folder}/tower"),
            {"test": "strangers.npz"},
            "image 'nobody/0.jpg' is unknown",
        ),
        (("--subject", "09"), {}, "has 01, 02, got '09'"),
        (("--ways", "magic"), {}, "expected decoder, nearest or both, got magic"),
        (("--features", "clip"), {}, "expected open_clip:<name>:<weights> or torchvision:"),
        (("--features", "open_clip:ViT-B-32:"), {}, "it would be random"),
        (("--ip_adapter", "a", "b", "c"), {}, "beside --pipeline"),
        (("--image_size", 8), {}, "image_size: expected 11 pixels or more, got 8"),
        (("--judged_size", 0), {}, "judged_size: expected 11 pixels or more, got 0"),
        (
            ("--pipeline", "models/unclip"),
            {},
            "pipeline: expected --image_embeddings of its own image encoder",
        ),
        (("--dtype", "int8"), {}, "dtype: expected one of float32, float16, bfloat16, got 'int8'"),
        (
            ("--pipeline", "x", "--image_embeddings", "{folder}/tower", "--pipeline_options", "fast"),
            {},
            "pipeline_options: expected name=value, got 'fast'",
        ),
    ],
)
def test_what_cannot_be_reconstructed_ends_with_one_line(folder, more, replaced, message):
    paths = {name: folder / value for name, value in replaced.items()}
    more = [str(word).format(folder=folder) for word in more]
    line = fail_command("reconstruct-images", *arguments(folder, *more, **paths))
    assert message in line
