# SPDX-License-Identifier: Apache-2.0
"""From prepared windows and images through a trained EEG-CLIP to the file that retrieval is scored on."""

import json

import numpy as np
import pytest
import torch

from eeg_hf import (
    EEGCLIPConfig,
    EEGCLIPModel,
    EEGDataCollator,
    EEGFeatureExtractor,
    EEGFoundationConfig,
    EEGFoundationModel,
    EEGFSQConfig,
    EEGFSQModel,
    EEGImageCollator,
    EEGMaskedVAEConfig,
    EEGMaskedVAEForPreTraining,
    ImageEmbeddings,
    WindowDataset,
    create_vision_tower,
)
from eeg_hf.cli.train_clip import COMMAND
from eeg_hf.corpora import SimulatedThings, load_windows, prepare
from eeg_hf.evaluation import EEGImageEmbeddings
from eeg_hf.images.eeg_image_collator import PAIR_COLUMNS
from eeg_hf.images.image_folder import ImageFolder, find_images
from eeg_hf.training import EEGTrainer
from tests.clip_world import write_tower
from tests.commands import fail_command, flags, run_command

TINY = {"eeg_d_model": 16, "eeg_layers": 1, "eeg_hidden": 16, "proj_dim": 12, "dataloader_num_workers": 0}
ENCODER = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "sampling_rate": 100.0}
TINY |= {"devices": "cpu", "precision": "fp32", "fs": 100, "eeg_len": 40}
TINY |= {"per_device_train_batch_size": 32, "report_to": "none"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a folder with windows of three subjects, images, their embeddings and a model of two steps."""
    folder = tmp_path_factory.mktemp("world")
    corpus = SimulatedThings(3, 8, 2, 2, num_test_concepts=10, test_repetitions=3, seconds=0.4)
    extractor = EEGFeatureExtractor(100.0, None, None, reference="original", window_seconds=0.4)
    prepare(corpus, folder / "data", extractor, segments="events")
    corpus.write_images(folder / "images", 32)
    ids = find_images(folder / "images")
    features = np.random.default_rng(0).normal(size=(len(ids), 6))
    ImageEmbeddings(ids, features, "features:random").save(folder / "embedded")
    options = {
        "data": folder / "data",
        "image_embeddings": folder / "embedded",
        "output_dir": folder / "clip",
    }
    options |= {"vision_encoder": "features:random", "split_seed": 3, "max_steps": 2, "split": "concept"}
    run_command("train-clip", *flags(**options, **TINY))
    return folder


def export(world, *options, model="clip"):
    printed = run_command(
        "export-embeddings", "--model", world / model, "--output", world / "out" / "found.npz", *options
    )
    assert "found.npz: " in printed
    return EEGImageEmbeddings.load(world / "out" / "found.npz")


def test_what_is_exported_is_what_the_model_makes_of_the_part(world, tmp_path):
    found = export(world, "--batch_size", 7)
    assert (found.split, len(found.eeg_embeddings), len(found.image_ids)) == ("test", 3 * 10 * 3, 10)
    assert {name.split("/")[0] for name in found.image_ids} == {"test_images"}
    assert set(found.repetitions) == {0, 1, 2} and set(found.subjects) == {"00", "01", "02"}

    rows = load_windows(world / "data").filter(lambda row: row["part"] == "test")
    model = EEGCLIPModel.from_pretrained(world / "clip").eval()
    images = ImageEmbeddings.load(world / "embedded")
    collator = EEGImageCollator(EEGFeatureExtractor.from_pretrained(world / "clip"), images)
    with torch.no_grad():
        expected = model(**collator(WindowDataset(rows, PAIR_COLUMNS).__getitems__(range(90))))
    assert found.eeg_embeddings == pytest.approx(expected.eeg_embeds.numpy(), abs=1e-5)
    assert found.concepts.tolist() == rows["concept"] and found.subjects.tolist() == rows["subject"]
    place = {name: row for row, name in enumerate(found.image_ids.tolist())}
    of_windows = found.image_embeddings[[place[name] for name in found.eeg_image_ids.tolist()]]
    assert of_windows == pytest.approx(expected.image_embeds.numpy(), abs=1e-5)
    assert [name.split("/")[-1] for name in found.eeg_image_ids] == rows["image"]

    printed = run_command("eval-retrieval", "--embeds", world / "out/found.npz", "--num_resamples", 20)
    assert "90 trials of 3 subjects, a gallery of 10 images" in printed


def test_parts_people_and_gallery_are_those_asked_for(world):
    validation = export(world, "--part", "validation", "--gallery", "all", model="clip/checkpoint-2")
    train = export(world, "--part", "train", "--subjects", "01")
    assert len(validation.image_ids) == 26 and len(train.image_ids) == 14
    assert not set(validation.concepts) & set(train.concepts)
    assert set(train.subjects) == {"01"} and len(set(train.concepts)) == 7
    other_split = ("--split", "official+leave_out:02")  # the model was trained on 02
    line = fail_command(
        "export-embeddings", "--model", world / "clip", "--output", world / "x.npz", *other_split
    )
    assert "clip was trained on" in line and "/02" in line and "--contaminated mark" in line
    left_out = export(world, *other_split, "--contaminated", "mark")
    assert set(left_out.subjects) == {"02"} and len(left_out.image_ids) == 10


def test_images_that_are_decoded_come_out_as_those_embedded_once(world, tmp_path):
    name = write_tower(tmp_path / "tower")
    tower = create_vision_tower(name)
    folder = ImageFolder(world / "images", tower.preprocess)
    with torch.no_grad():
        made = tower(folder.read(range(26))["pixel_values"]).numpy()
    ImageEmbeddings(folder.index.image_ids, made, tower.name).save(tmp_path / "embedded")
    sizes = {"num_channels": 19, "hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 16}
    config = EEGCLIPConfig(
        eeg_config={**sizes, "sampling_rate": 100.0},
        vision_tower=tower.name,
        vision_dim=tower.embedding_dim,
        projection_dim=8,
    )
    EEGCLIPModel(config).save_pretrained(tmp_path / "clip")
    EEGFeatureExtractor.from_pretrained(world / "data").save_pretrained(tmp_path / "clip")
    common = ("--model", tmp_path / "clip", "--data", world / "data", "--output")
    run_command("export-embeddings", *common, tmp_path / "a.npz", "--images", world / "images")
    run_command("export-embeddings", *common, tmp_path / "b.npz", "--image_embeddings", tmp_path / "embedded")
    decoded, embedded = (EEGImageEmbeddings.load(tmp_path / f"{each}.npz") for each in "ab")
    assert decoded.image_ids.tolist() == embedded.image_ids.tolist()
    assert decoded.image_embeddings == pytest.approx(embedded.image_embeddings, abs=1e-4)
    assert np.array_equal(decoded.eeg_embeddings, embedded.eeg_embeddings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--part", "holdout"), "part: expected one of train, validation, test, got 'holdout'"),
        (("--subjects", "07"), "no window of 07"),
        (
            ("--split", "leave_out:01", "--subjects", "02"),
            "subjects: 02 not in part 'test' of the split by leave",
        ),
        (("--gallery", "some"), "gallery: expected one of part, all, got 'some'"),
        (
            ("--image_embeddings", "{world}/other"),
            "made by features:other, the model was trained with features:r",
        ),
        (("--image_embeddings", "{world}/few"), "is unknown"),
        (("--model", "{world}/nowhere"), "nowhere is neither a folder nor a Hub name"),
        (("--model", "{world}/codec"), "is of type eeg_fsq, expected one of eeg_clip, eeg_masked"),
        (
            ("--model", "{world}/encoder", "--data", "{world}/data"),
            "encoder embeds no images: set --image",
        ),
        (
            ("--model", "{world}/alone"),
            "data: {world}/alone has no train_clip.json that names the windows",
        ),
    ],
)
def test_what_cannot_be_exported_ends_with_one_line(world, options, message):
    images = ImageEmbeddings.load(world / "embedded")
    ids = images.index.image_ids
    ImageEmbeddings(ids, images.embeddings, "features:other").save(world / "other")
    ImageEmbeddings(ids[:3], images.embeddings[:3], "features:random").save(world / "few")
    if "codec" in str(options):
        EEGFSQModel(EEGFSQConfig(hidden_dims=[16])).save_pretrained(world / "codec")
    if "encoder" in str(options):
        save_encoder(EEGFoundationModel(EEGFoundationConfig(**ENCODER)), world / "encoder")
    if "alone" in str(options):
        EEGCLIPModel.from_pretrained(world / "clip").save_pretrained(world / "alone")
        EEGFeatureExtractor.from_pretrained(world / "clip").save_pretrained(world / "alone")
    words = [word.format(world=world) for word in options]
    given = ("--output", world / "x.npz", *(() if "--model" in options else ("--model", world / "clip")))
    line = fail_command("export-embeddings", *given, *words)
    assert message.format(world=world) in line


@pytest.mark.parametrize(
    ("model", "size"),
    [
        (EEGMaskedVAEForPreTraining(EEGMaskedVAEConfig(**ENCODER, latent_size=3, patch_size=10)), 19 * 4 * 3),
        (EEGFoundationModel(EEGFoundationConfig(**ENCODER, patch_size=40)), 16),
    ],
    ids=["masked-vae", "foundation"],
)
def test_latents_of_an_encoder_lie_beside_the_embeddings_of_the_images(world, model, size):
    save_encoder(model, world / "latent")
    sources = ("--data", world / "data", "--image_embeddings", world / "embedded", "--split", "concept")
    found = export(world, *sources, model="latent")
    assert found.eeg_embeddings.shape == (3 * 10 * 3, size) and found.image_embeddings.shape == (10, 6)
    known = ImageEmbeddings.load(world / "embedded")
    places = known.index.find(found.image_ids)
    np.testing.assert_array_equal(found.image_embeddings, known.embeddings[places])
    rows = WindowDataset(load_windows(world / "data").filter(lambda row: row["part"] == "test"))
    batch = EEGDataCollator(EEGFeatureExtractor.from_pretrained(world / "latent"))([rows[0], rows[1]])
    with torch.inference_mode():
        outputs = model.base_model.eval()(**batch)
    expected = outputs.get("latent_mean", outputs.pooler_output).flatten(1)
    np.testing.assert_allclose(found.eeg_embeddings[:2], expected, atol=1e-5)
    line = fail_command("eval-retrieval", "--embeds", world / "out" / "found.npz")
    assert f"in one space, got embeddings of {size} and 6 numbers" in line


def save_encoder(model, folder):
    model.save_pretrained(folder)
    EEGFeatureExtractor(100.0, None, None, reference="original", window_seconds=0.4).save_pretrained(folder)


def test_settings_of_the_training_are_read_and_what_is_said_goes_before_them(world):
    settings = json.loads((world / "clip" / "train_clip.json").read_text())
    assert settings["split"] == "concept" and settings["split_seed"] == 3
    trained, other = (
        set(export(world, *words).concepts) for words in (("--part", "train"), ("--part", "validation"))
    )
    assert len(trained) == 7 and len(other) == 1 and not trained & other


def test_a_run_that_was_killed_is_exported_from_its_last_checkpoint(world, tmp_path, monkeypatch):
    step, steps = EEGTrainer.training_step, []

    def killed(self, *args, **kwargs):
        steps.append(1)
        if len(steps) == 4:  # in the second epoch
            raise KeyboardInterrupt
        return step(self, *args, **kwargs)

    monkeypatch.setattr(EEGTrainer, "training_step", killed)
    options = {"data": world / "data", "image_embeddings": world / "embedded", "log_dir": tmp_path}
    options |= {"vision_encoder": "features:random", "output_dir": tmp_path / "clip", "num_train_epochs": 2}
    options["split"] = "concept"
    with pytest.raises(KeyboardInterrupt):
        COMMAND(flags(**options, **TINY))
    given = ("--output", tmp_path / "x.npz", "--model")
    line = fail_command("export-embeddings", *given, tmp_path / "clip")
    assert f"its training did not finish: use its last checkpoint, {tmp_path}/clip/checkpoint-3" in line
    assert "x.npz: 90 windows" in run_command("export-embeddings", *given, tmp_path / "clip" / "checkpoint-3")
