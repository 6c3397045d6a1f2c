# SPDX-License-Identifier: Apache-2.0
"""A small world of people who look at images: photographs, epochs of them, and a tiny image tower."""

import json
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image
from safetensors.torch import save_file

from eeg_hf import EEGFeatureExtractor
from eeg_hf.corpora import get_corpus, prepare, things_eeg2

CONCEPTS = 12  # of five images each to train, and as many others of one image to test
SHAPES = {"train": (5 * CONCEPTS, 2), "test": (CONCEPTS, 4)}
CHANNELS = ["Pz", "P3", "O1", "Oz", "O2", "P4"]


def image_ids(part):
    """Return the paths of a part's images, in the order of the epochs."""
    folder, first, each = {"train": ("training_images", 1, 5), "test": ("test_images", 1 + CONCEPTS, 1)}[part]
    return [
        f"{folder}/{number:05d}_thing{number}/thing{number}_{copy:02d}b.jpg"
        for number in range(first, first + CONCEPTS)
        for copy in range(each)
    ]


def write_images(root):
    """Write a photograph of coarse random colours for each id."""
    rng = np.random.default_rng(0)
    for name in image_ids("train") + image_ids("test"):
        path = Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (4, 4, 3), np.uint8)).resize((48, 40)).save(path, quality=95)


def features():
    """Return (images, 16) of all images, training first: images differ in four ways."""
    rng = np.random.default_rng(1)
    return (rng.normal(size=(6 * CONCEPTS, 4)) @ rng.normal(size=(4, 16)) / 2).astype(np.float32)


def write_epochs(root, subjects=("01", "02"), noise=0.5, rate=100.0):
    """Write files as published: each epoch is a fixed mixture of its image's features, and noise."""
    rng = np.random.default_rng(2)
    mixing = np.repeat(rng.normal(size=(16, len(CHANNELS), 5)) / 4, 8, axis=-1)  # slow, as EEG is
    shown = np.tensordot(features(), mixing, axes=1)
    for subject in subjects:
        folder = Path(root) / f"sub-{subject}"
        folder.mkdir(parents=True)
        for part, name in (("train", "training"), ("test", "test")):
            images, repetitions = SHAPES[part]
            clean = shown[:images] if part == "train" else shown[-images:]
            values = clean[:, None] + noise * rng.normal(size=(images, repetitions, len(CHANNELS), 40))
            content = {
                "preprocessed_eeg_data": values.astype(np.float32),
                "ch_names": CHANNELS,
                "times": np.arange(40) / rate - 0.2,
            }
            np.save(folder / f"preprocessed_eeg_{name}.npy", content)
    parts = {part: [Path(name) for name in image_ids(part)] for part in SHAPES}
    metadata = {}
    for part, paths in parts.items():
        metadata[f"{part}_img_files"] = [path.name for path in paths]
        for what in ("concepts", "concepts_THINGS"):
            metadata[f"{part}_img_{what}"] = [path.parent.name for path in paths]
    np.save(Path(root) / "image_metadata.npy", metadata)


def prepare_epochs(root, folder, monkeypatch):
    """Prepare the epochs below a folder as THINGS-EEG2, of which they have the form but not the number."""
    monkeypatch.setattr(things_eeg2, "_SHAPES", SHAPES)
    corpus = get_corpus("things_eeg2", average_repetitions=True)
    extractor = EEGFeatureExtractor(
        100.0, None, None, reference="original", window_seconds=0.4, normalization="zscore"
    )
    report = prepare(corpus, folder, extractor, root=root, segments="events")
    assert report["failures"] == []
    return folder


def write_tower(folder):
    """Write an open_clip model of 16 features with random weights, and return its name."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
    model_config = {"embed_dim": 16, "vision_cfg": sizes, "text_cfg": text}
    config = {"model_cfg": model_config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    weights = open_clip.create_model(f"local-dir:{folder}").state_dict()
    save_file(
        {name: each.contiguous() for name, each in weights.items()}, folder / "open_clip_model.safetensors"
    )
    return f"open_clip:local-dir:{folder}"
