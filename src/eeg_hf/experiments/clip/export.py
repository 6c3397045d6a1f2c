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
from .arguments import ExportArguments, PairArguments
from .pairs import Images, open_images, open_windows, read_windows, split_pairs
from .ridge import predict_embeddings
from .training import SETTINGS

logger = logging.get_logger(__name__)

CONFIGS = (EEGCLIPConfig, EEGMaskedVAEConfig, EEGFoundationConfig, EEGConvTransformerConfig)


def run(args: ExportArguments) -> None:
    """Load, split, embed, write."""
    args.model = find_model(args.model)
    if args.baseline:
        arrays = embed_with_ridge(args)
    else:
        model, extractor = load_model(args.model)
        is_aligned = isinstance(model.config, EEGCLIPConfig)
        embed = embed_with_clip if is_aligned else embed_with_encoder
        arrays = embed(args, model.to(args.device).eval(), extractor)
    made: dict[str, Any] = {**arrays, "split": args.part, "model": args.baseline or str(args.model)}
    embeddings = EEGImageEmbeddings(**made)
    path = embeddings.save(args.output)
    sizes = sorted({embeddings.eeg_embeddings.shape[1], embeddings.image_embeddings.shape[1]})
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


def load_model(name: str | None) -> tuple[Any, EEGFeatureExtractor]:
    """Load a model and the feature extractor beside it.

    Raises:
        ValueError: If no model is named, or it is none that embeds windows.
    """
    if name is None:
        raise ValueError("expected --model, a model of eeg-hf train-clip, or --baseline ridge")
    kind, known = AutoConfig.from_pretrained(name).model_type, [config.model_type for config in CONFIGS]
    if kind not in known:
        raise ValueError(f"model: {name} is of type {kind}, expected one of {', '.join(known)}")
    return AutoModel.from_pretrained(name), EEGFeatureExtractor.from_pretrained(name)


def embed_with_clip(
    args: ExportArguments, model: Any, extractor: EEGFeatureExtractor
) -> dict[str, np.ndarray]:
    """Return the arrays of the file as an EEG-CLIP embeds windows and images."""
    pairs = read_pair_arguments(args)
    _, rows, folder = open_part(args, pairs)
    images, tower = open_images(pairs, model.config.vision_tower, model.config.freeze_vision)
    if isinstance(images, ImageEmbeddings) and images.tower != model.config.vision_tower:
        raise ValueError(
            f"image_embeddings: made by {images.tower}, the model was trained with "
            f"{model.config.vision_tower}"
        )
    if tower is not None and model.config.freeze_vision:
        model.set_vision_tower(tower)
    places, shown = place_images(args, rows, images)
    windows = read_windows(rows, extractor, folder, args.batch_size)
    return gather(
        rows,
        places,
        shown,
        images,
        np.concatenate([*embed_windows(model, windows)]),
        np.concatenate([*embed_images(model, images, shown, args.batch_size)]),
    )


def embed_with_encoder(
    args: ExportArguments, model: Any, extractor: EEGFeatureExtractor
) -> dict[str, np.ndarray]:
    """Return the arrays of the file: the latents of an encoder, and the images' own embeddings."""
    pairs = read_pair_arguments(args)
    images = load_image_embeddings(pairs, str(args.model))
    _, rows, folder = open_part(args, pairs)
    places, shown = place_images(args, rows, images)
    latents = [*embed_latents(model, read_windows(rows, extractor, folder, args.batch_size))]
    return gather(rows, places, shown, images, np.concatenate(latents), images.embeddings[shown])


def embed_with_ridge(args: ExportArguments) -> dict[str, np.ndarray]:
    """Return the arrays of the file as ridge regression predicts them."""
    pairs = read_pair_arguments(args)
    images = load_image_embeddings(pairs, "baseline")
    splits, rows, folder = open_part(args, pairs)
    extractor = EEGFeatureExtractor.from_pretrained(args.model or folder, alignment=pairs.alignment)
    places, shown = place_images(args, rows, images)
    of_windows, of_images = predict_embeddings(
        splits,
        rows,
        lambda part: images.index.find(part["image"][:], part["concept"][:]),
        images.embeddings,
        lambda part: read_windows(part, extractor, folder, args.batch_size),
    )
    return gather(rows, places, shown, images, of_windows, of_images[shown].astype(np.float32))


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


def open_part(args: ExportArguments, pairs: PairArguments) -> tuple[DatasetDict, Dataset, Path]:
    """Return the split, the windows to embed, and the folder of the prepared corpus.

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
    return splits, rows, folder


def place_images(args: ExportArguments, rows: Dataset, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each window's image, and the indices of the gallery."""
    places = images.index.find(rows["image"][:], rows["concept"][:])
    return places, np.unique(places) if args.gallery == "part" else np.arange(len(images.index.image_ids))


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


def gather(
    rows: Dataset,
    places: np.ndarray,
    shown: np.ndarray,
    images: Images,
    of_windows: np.ndarray,
    of_images: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the arrays of the file.

    Args:
        rows: The windows.
        places: Index of the image of each window, (windows,).
        shown: Indices of the images of the gallery, (images,).
        images: All images; the concept of an image is that of its windows, if it has any.
        of_windows: Embeddings (windows, size).
        of_images: Embeddings (images, size).
    """
    ids = np.array(images.index.image_ids, dtype=str)
    concepts = np.array(rows["concept"][:], dtype=str)
    of_place = dict(zip(places.tolist(), concepts.tolist(), strict=True))
    repetitions = rows["repetition"][:] if "repetition" in rows.column_names else [None] * len(rows)
    return {
        "eeg_embeddings": of_windows,
        "eeg_image_ids": ids[places],
        "subjects": np.array(rows["subject"][:], dtype=str),
        "concepts": concepts,
        "repetitions": np.array([-1 if number is None else int(number) for number in repetitions]),
        "image_embeddings": of_images,
        "image_ids": ids[shown],
        "image_concepts": np.array(
            [of_place.get(place, images.index.concepts[place]) for place in shown.tolist()], dtype=str
        ),
    }
