# SPDX-License-Identifier: Apache-2.0
"""Embed a part of the windows, and the images that were seen, with EEG-CLIP, another encoder or ridge."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import AutoConfig, AutoModel
from transformers.utils import logging

from ...evaluation import EEGImageEmbeddings
from ...images.image_embeddings import ImageEmbeddings
from ...models.configuration_eeg_clip import EEGCLIPConfig
from ...models.configuration_eeg_conv_transformer import EEGConvTransformerConfig
from ...models.configuration_eeg_foundation import EEGFoundationConfig
from ...models.configuration_eeg_masked_vae import EEGMaskedVAEConfig
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ..checkpoint_windows import judge_checkpoints
from .arguments import ExportArguments, PairArguments
from .pairs import Images, open_images, open_windows, read_windows, split_pairs
from .ridge import predict_embeddings
from .training import SETTINGS

logger = logging.get_logger(__name__)

CONFIGS = (EEGCLIPConfig, EEGMaskedVAEConfig, EEGFoundationConfig, EEGConvTransformerConfig)


@dataclasses.dataclass(frozen=True)
class Part:
    """The windows to embed, and the images that subjects saw.

    Attributes:
        splits: All parts of the split.
        rows: The windows.
        folder: Folder of the prepared corpus.
        images: All images.
        places: Index of the image of each window, (windows,).
        gallery: Indices of the images to search, (images,).
    """

    splits: DatasetDict
    rows: Dataset
    folder: Path
    images: Images
    places: np.ndarray
    gallery: np.ndarray


def run(args: ExportArguments) -> None:
    """Load, split, embed, write."""
    args.model = find_model(args.model)
    if not args.model and not args.baseline:
        raise ValueError("expected --model, a model of eeg-hf train-clip, or --baseline ridge")
    if not args.baseline:
        check_kind(str(args.model))
    embed = embed_with_ridge if args.baseline else embed_with_model
    part, of_windows, of_images = embed(args, read_pair_arguments(args))
    made: dict[str, Any] = {
        **describe_trials(part),
        "eeg_embeddings": of_windows,
        "image_embeddings": of_images,
        "split": args.part,
        "model": args.baseline or str(args.model),
    }
    embeddings = EEGImageEmbeddings(**made)
    path = embeddings.save(args.output)
    sizes = sorted({of_windows.shape[1], of_images.shape[1]})
    sys.stdout.write(
        f"{path}: {len(embeddings.subjects):,} windows of {len(np.unique(embeddings.subjects))} subjects, "
        f"{len(embeddings.image_ids):,} images, {' and '.join(map(str, sizes))} numbers each\n"
    )


def find_model(name: str | None) -> str | None:
    """Return the folder of a model; `best.pt` of the published scripts is the folder it would lie in.

    Raises:
        FileNotFoundError: If there is no such folder, or it holds no finished training.
    """
    if name is None:
        return None
    if Path(name).name == "best.pt" and (Path(name).parent / "config.json").is_file():
        return str(Path(name).parent)  # Trainer leaves the weights of the best epoch there
    if not Path(name).exists() and name.count("/") != 1:  # asking the Hub would take half a minute
        raise FileNotFoundError(f"model: {name} is neither a folder nor a Hub name: run eeg-hf train-clip")
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        saved = sorted(Path(name).glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
        hint = f"use its last checkpoint, {saved[-1]}" if saved else "run eeg-hf train-clip"
        raise FileNotFoundError(f"model: {name} holds no model, its training did not finish: {hint}")
    return name


def check_kind(name: str) -> None:
    """Refuse a model that embeds no windows.

    Raises:
        ValueError: If its type is none of `CONFIGS`.
    """
    kind, known = AutoConfig.from_pretrained(name).model_type, [config.model_type for config in CONFIGS]
    if kind not in known:
        raise ValueError(f"model: {name} is of type {kind}, expected one of {', '.join(known)}")


def embed_with_model(args: ExportArguments, pairs: PairArguments) -> tuple[Part, np.ndarray, np.ndarray]:
    """Embed windows and images with an EEG-CLIP; another encoder leaves the images' embeddings as they are.

    Raises:
        ValueError: If the embeddings of the images come from another tower.
    """
    name = str(args.model)
    model: Any = AutoModel.from_pretrained(name).to(args.device).eval()
    extractor = EEGFeatureExtractor.from_pretrained(name)
    if not isinstance(model.config, EEGCLIPConfig):
        stored = load_image_embeddings(pairs, name)
        part = open_part(args, pairs, stored)
        judge_test(args, part)
        windows = read_windows(part.rows, extractor, part.folder, args.batch_size)
        return part, np.concatenate([*embed_latents(model, windows)]), stored.embeddings[part.gallery]
    config = model.config
    images, tower = open_images(pairs, config.vision_tower, config.freeze_vision)
    if isinstance(images, ImageEmbeddings) and images.tower != config.vision_tower:
        raise ValueError(
            f"image_embeddings: made by {images.tower}, the model was trained with {config.vision_tower}"
        )
    if tower is not None and config.freeze_vision:
        model.set_vision_tower(tower)
    part = open_part(args, pairs, images)
    judge_test(args, part)
    windows = read_windows(part.rows, extractor, part.folder, args.batch_size)
    of_images = embed_images(model, images, part.gallery, args.batch_size)
    return part, np.concatenate([*embed_windows(model, windows)]), np.concatenate([*of_images])


def embed_with_ridge(args: ExportArguments, pairs: PairArguments) -> tuple[Part, np.ndarray, np.ndarray]:
    """Predict the embeddings of the images by ridge regression, standardised as the images' own."""
    images = load_image_embeddings(pairs, "baseline")
    part = open_part(args, pairs, images)
    extractor = EEGFeatureExtractor.from_pretrained(args.model or part.folder, alignment=pairs.alignment)
    of_windows, of_images = predict_embeddings(
        part.splits,
        part.rows,
        lambda rows: images.index.find(rows["image"][:], rows["concept"][:]),
        images.embeddings,
        lambda rows: read_windows(rows, extractor, part.folder, args.batch_size),
    )
    return part, of_windows, of_images[part.gallery].astype(np.float32)


def load_image_embeddings(pairs: PairArguments, what: str) -> ImageEmbeddings:
    """Load the embeddings of the images for a method that cannot embed images.

    Raises:
        ValueError: If no folder is known.
    """
    if pairs.image_embeddings is None:
        raise ValueError(f"{what} embeds no images: set --image_embeddings (eeg-hf embed-images)")
    return ImageEmbeddings.load(pairs.image_embeddings)


def read_pair_arguments(args: ExportArguments) -> PairArguments:
    """Return the settings of the training, overridden by the options of this command.

    Raises:
        ValueError: If neither the training nor the options name the windows.
    """
    folders = [] if args.model is None else [Path(args.model), Path(args.model).parent]  # or checkpoint-100
    path = next((folder / SETTINGS for folder in folders if (folder / SETTINGS).is_file()), None)
    options = {
        name: getattr(args, name)
        for name in ("data", "image_embeddings", "images", "split")
        if getattr(args, name) is not None
    }
    if path is None and "data" not in options:
        reason = f"{args.model} has no {SETTINGS}" if args.model else "there is no --model"
        raise ValueError(f"data: {reason} that names the windows: set --data")
    if path is None:
        logger.warning(f"no {SETTINGS} of a training: split by {options.get('split', 'concept')}")
        return PairArguments(**{"eeg_len": 0, **options})
    known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "data_root" in known:  # its name in earlier versions
        known["data"] = known["data_root"]
    names = {field.name for field in dataclasses.fields(PairArguments)} - {"fs", "bandpass", "notch"}
    return PairArguments(**{**{name: known[name] for name in names & set(known)}, **options})


def open_part(args: ExportArguments, pairs: PairArguments, images: Images) -> Part:
    """Return the windows to embed and the images that they saw.

    Raises:
        ValueError: If there is no such part, or a subject is not in it.
    """
    if args.subjects and pairs.split == "concept":
        pairs = dataclasses.replace(pairs, subjects=args.subjects)
    dataset, folder = open_windows(pairs)
    splits = split_pairs(pairs, dataset)
    if args.part not in splits:
        raise ValueError(f"part: expected one of {', '.join(splits)}, got {args.part!r}")
    rows = splits[args.part]
    if args.subjects:  # a split by subject stays that of the training
        rows = rows.select(np.flatnonzero(np.isin(rows["subject"][:], args.subjects)))
        missing = sorted(set(args.subjects) - set(rows["subject"]))
        if missing:
            raise ValueError(
                f"subjects: {', '.join(missing)} not in part {args.part!r} of the split by {pairs.split}, "
                f"which has {', '.join(sorted(set(splits[args.part]['subject'])))}"
            )
    places = images.index.find(rows["image"][:], rows["concept"][:])
    gallery = np.unique(places) if args.gallery == "part" else np.arange(len(images.index.image_ids))
    return Part(splits, rows, folder, images, places, gallery)


def judge_test(args: ExportArguments, part: Part) -> None:
    """Refuse a model that has seen the test windows, or subjects that the split keeps for the test.

    Raises:
        ContaminationError: If it has, unless it is to be marked.
    """
    if args.part == "test":  # the other parts trained it, or selected its epochs
        judge_checkpoints([str(args.model)], {**part.splits, "test": part.rows}, "test", args.contaminated)


@torch.inference_mode()
def embed_windows(model: Any, batches: Iterator[dict[str, torch.Tensor]]) -> Iterator[np.ndarray]:
    """Yield unit vectors (windows, size), batch by batch."""
    for batch in batches:
        inputs = {name: values.to(model.device) for name, values in batch.items()}
        yield model.get_eeg_features(**inputs).float().cpu().numpy()


@torch.inference_mode()
def embed_latents(model: Any, batches: Iterator[dict[str, torch.Tensor]]) -> Iterator[np.ndarray]:
    """Yield the latents of an encoder (windows, size), batch by batch."""
    for batch in batches:
        outputs = model(**{name: values.to(model.device) for name, values in batch.items()})
        latents = outputs.get("latent_mean", outputs.pooler_output)  # (windows, channels, patches, latent)
        yield latents.flatten(1).float().cpu().numpy()


@torch.inference_mode()
def embed_images(model: Any, images: Images, places: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Yield unit vectors (images, size), batch by batch."""
    for start in range(0, len(places), batch_size):
        batch = images.read(places[start : start + batch_size])
        inputs = {name: values.to(model.device) for name, values in batch.items()}
        yield model.get_image_features(**inputs).float().cpu().numpy()


def describe_trials(part: Part) -> dict[str, np.ndarray]:
    """Return ids, subjects and concepts; an image has the concept of its windows, if it has any."""
    rows, index = part.rows, part.images.index
    ids = np.array(index.image_ids, dtype=str)
    concepts = np.array(rows["concept"][:], dtype=str)
    of_place = dict(zip(part.places.tolist(), concepts.tolist(), strict=True))
    repetitions = rows["repetition"][:] if "repetition" in rows.column_names else [None] * len(rows)
    of_images = [of_place.get(place, index.concepts[place]) for place in part.gallery.tolist()]
    return {
        "eeg_image_ids": ids[part.places],
        "subjects": np.array(rows["subject"][:], dtype=str),
        "concepts": concepts,
        "repetitions": np.array([-1 if number is None else int(number) for number in repetitions]),
        "image_ids": ids[part.gallery],
        "image_concepts": np.array(of_images, dtype=str),
    }
