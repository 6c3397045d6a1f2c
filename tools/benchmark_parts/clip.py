# SPDX-License-Identifier: Apache-2.0
"""A training step of EEG-CLIP on stored image embeddings, beside one with the vision tower in the loop."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from datasets import Dataset, load_dataset

from benchmark_parts.timing import DEVICE, STEPS, BenchmarkArguments, Row, Work, race, repeat_training
from eeg_hf import EEGFeatureExtractor, EEGImageCollator, ImageEmbeddings, WindowDataset, create_vision_tower
from eeg_hf.corpora import SimulatedThings, prepare
from eeg_hf.experiments.clip.arguments import ModelArguments
from eeg_hf.experiments.clip.models import build_model
from eeg_hf.images.eeg_image_collator import PAIR_COLUMNS
from eeg_hf.images.image_folder import ImageFolder
from eeg_hf.images.vision_towers import VisionTower

IMAGE_PIXELS = 500  # as in THINGS-EEG2; drawings have fewer bytes than photographs and decode faster
EMBED_BATCH = 64
TOWER_PAIRS = 2  # a step with ViT-B/32 takes 15 s on one core
EXTRACTOR = EEGFeatureExtractor(100.0, None, None, reference="original", window_seconds=1.0)


def measure_clip(args: BenchmarkArguments) -> list[Row]:
    """Train with the defaults of eeg-hf train-clip: on embeddings, with the tower, on a batch in memory."""
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
        model: Any = build_model(
            ModelArguments(), dataset, EXTRACTOR, tower.name, tower.embedding_dim, tower
        ).to(DEVICE)
        ours = make_step(model, by_embeddings)
        timing = race(ours, make_step(model, by_pixels), min(args.pairs, TOWER_PAIRS))
        batch = by_embeddings()
        beside_ready = race(ours, make_step(model, lambda: batch), args.pairs)
    what = f"train CLIP, batch of {args.clip_batch_size}, images embedded before"
    # Seconds saved per window; a tiny tower may save nothing
    saved = (median(timing.peer) - median(timing.ours)) / (STEPS * args.clip_batch_size)
    epochs = embedding / saved if saved > 0 else None
    return [
        timing.row(what, STEPS, "steps/s", f"{args.vision_encoder} in the loop", "2.25 steps/s before"),
        beside_ready.row(what, STEPS, "steps/s", "batch in memory: no reading, no collator"),
        Row(f"embed images with {args.vision_encoder}, once", 1 / embedding, "images/s"),
        Row("embedding has paid after", epochs, "epochs of a window an image"),
    ]


def write_pairs(root: Path, num_images: int, tower: VisionTower) -> tuple[Dataset, ImageFolder]:
    """Draw images, and prepare a window of 19 x 100 samples for each."""
    corpus = SimulatedThings(
        num_subjects=1,
        num_concepts=num_images - 1,
        images_per_concept=1,
        repetitions=1,
        num_test_concepts=1,
        test_repetitions=1,
    )
    prepare(corpus, root, EXTRACTOR, segments="events")
    dataset = load_dataset(str(root / "data"), split="train", cache_dir=str(root / "cache"))
    return dataset, ImageFolder(corpus.write_images(root / "images", IMAGE_PIXELS), tower.preprocess)


@torch.inference_mode()
def embed_images(folder: ImageFolder, tower: VisionTower) -> ImageEmbeddings:
    """Embed all images as `eeg-hf embed-images` does, in one process."""
    ids = folder.index.image_ids
    places = torch.arange(len(ids)).split(EMBED_BATCH)
    parts = [tower(folder.read(each)["pixel_values"].to(DEVICE)).float().cpu() for each in places]
    return ImageEmbeddings(ids, torch.cat(parts).numpy(), tower.name)


def read_batch(windows: WindowDataset, collator: EEGImageCollator) -> dict[str, Any]:
    """Read all windows in random order, with their images."""
    return collator(windows.__getitems__(torch.randperm(len(windows)).tolist()))


def make_step(model: Any, read: Callable[[], dict[str, Any]]) -> Work:
    """Return a function that reads a batch and trains the model on it."""

    def compute_loss() -> torch.Tensor:
        return model(**{name: tensor.to(DEVICE) for name, tensor in read().items()}).loss

    return repeat_training(model, compute_loss, fused=True)  # as in Trainer
