# SPDX-License-Identifier: Apache-2.0
"""A step of EEG-CLIP on images embedded before, beside one with the image tower in the loop."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset, load_dataset

from benchmark_parts.models import STEPS
from benchmark_parts.timing import DEVICE, BenchmarkArguments, Row, race
from eeg_hf import EEGFeatureExtractor, EEGImageCollator, ImageEmbeddings, WindowDataset, create_vision_tower
from eeg_hf.corpora import SimulatedThings, prepare
from eeg_hf.experiments.clip_arguments import ModelArguments
from eeg_hf.experiments.clip_models import build_model
from eeg_hf.images.eeg_image_collator import PAIR_COLUMNS
from eeg_hf.images.image_folder import ImageFolder
from eeg_hf.images.vision_towers import VisionTower

IMAGE_PIXELS = 500  # as those of THINGS-EEG2; drawn, so of fewer bytes, and decoded sooner than photographs
EMBED_BATCH = 64
TOWER_PAIRS = 2  # a step with ViT-B/32 takes a quarter of a minute on one core
EXTRACTOR = EEGFeatureExtractor(100.0, None, None, reference="original", window_seconds=1.0)


def measure_clip(args: BenchmarkArguments) -> list[Row]:
    """Train with train_clip.py's defaults: on embeddings, with the tower, and on a batch that is ready."""
    try:
        tower = create_vision_tower(args.vision_encoder).to(DEVICE)
    except ImportError as error:
        return [Row("train CLIP", None, "", peer_name=f"absent: {error}")]
    with tempfile.TemporaryDirectory() as name:
        dataset, folder = write_pairs(Path(name), args.clip_batch_size, tower)
        started = time.perf_counter()
        embeddings = embed_images(folder, tower)
        embedding = (time.perf_counter() - started) / len(embeddings)  # seconds an image
        windows = WindowDataset(dataset, PAIR_COLUMNS)
        by_embeddings, by_pixels = (
            partial(read_batch, windows, EEGImageCollator(EXTRACTOR, images))
            for images in (embeddings, folder)
        )
        train = make_trainer(dataset, tower)
        ours = partial(train, by_embeddings)
        timing = race(ours, partial(train, by_pixels), min(args.pairs, TOWER_PAIRS))
        ready = by_embeddings()
        beside_ready = race(ours, partial(train, lambda: ready), args.pairs)
    what = f"train CLIP, batch of {args.clip_batch_size}, images embedded before"
    # Seconds a window; nothing is saved beside a tower that costs next to nothing
    saved = (median(timing.peer) - median(timing.ours)) / (STEPS * args.clip_batch_size)
    epochs = embedding / saved if saved > 0 else None
    return [
        timing.row(what, STEPS, "steps/s", f"{args.vision_encoder} in the loop"),
        beside_ready.row(what, STEPS, "steps/s", "batch in memory: no reading, no collator"),
        Row(f"embed images with {args.vision_encoder}, once", 1 / embedding, "images/s"),
        Row("embedding has paid after", epochs, "epochs of a window an image"),
    ]


def write_pairs(root: Path, num_images: int, tower: VisionTower) -> tuple[Dataset, ImageFolder]:
    """Prepare a window of 19 x 100 for each of so many images, and draw these."""
    corpus = SimulatedThings(
        num_subjects=1,
        num_concepts=num_images - 1,
        images_per_concept=1,
        repetitions=1,
        num_test_concepts=1,
        test_repetitions=1,
    )
    prepare(corpus, None, root, EXTRACTOR, segments="events")
    dataset = load_dataset(str(root / "data"), split="train", cache_dir=str(root / "cache"))
    return dataset, ImageFolder(corpus.write_images(root / "images", IMAGE_PIXELS), tower.preprocess)


@torch.inference_mode()
def embed_images(folder: ImageFolder, tower: VisionTower) -> ImageEmbeddings:
    """Embed all images as eeg-hf embed-images does, in one process."""
    ids = folder.index.image_ids
    places = torch.arange(len(ids)).split(EMBED_BATCH)
    parts = [tower(folder.read(each)["pixel_values"].to(DEVICE)).float().cpu() for each in places]
    return ImageEmbeddings(ids, torch.cat(parts).numpy(), tower.name)


def read_batch(windows: WindowDataset, collator: EEGImageCollator) -> dict[str, Any]:
    """Read all windows in random order, with their images."""
    return collator(windows.__getitems__(torch.randperm(len(windows)).tolist()))


def make_trainer(dataset: Dataset, tower: VisionTower) -> Callable[[Callable[[], dict[str, Any]]], None]:
    """Return a function that reads a batch and trains (forward, backward, AdamW) on it, `STEPS` times."""
    model: Any = build_model(ModelArguments(), dataset, EXTRACTOR, tower.name, tower.embedding_dim, tower)
    model.to(DEVICE).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)  # fused, as Trainer's

    def train(read: Callable[[], dict[str, Any]]) -> None:
        for _ in range(STEPS):
            batch = {name: tensor.to(DEVICE) for name, tensor in read().items()}
            optimizer.zero_grad()
            model(**batch).loss.backward()
            optimizer.step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    return train
