# SPDX-License-Identifier: Apache-2.0
"""Embed a part of the windows, and the images that were seen, with a trained EEG-CLIP or another encoder."""

import dataclasses
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.utils import logging

from ..evaluation import EEGImageEmbeddings
from ..images.image_embeddings import ImageEmbeddings
from ..images.image_folder import ImageFolder
from ..models.configuration_eeg_clip import EEGCLIPConfig
from ..models.configuration_eeg_conv_transformer import EEGConvTransformerConfig
from ..models.configuration_eeg_foundation import EEGFoundationConfig
from ..models.configuration_eeg_masked_vae import EEGMaskedVAEConfig
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .clip_arguments import PairArguments
from .clip_pairs import open_images, open_windows, read_windows, split_pairs
from .embedding_export_arguments import ExportArguments
from .linear_retrieval import predict_embeddings

logger = logging.get_logger("eeg_hf.export_embeddings")

_SETTINGS = "train_clip.json"
_KINDS = tuple(
    config.model_type
    for config in (EEGCLIPConfig, EEGMaskedVAEConfig, EEGFoundationConfig, EEGConvTransformerConfig)
)


def run(args: ExportArguments) -> None:
    """Load, split, embed, write."""
    if args.gallery not in ("part", "all"):
        raise ValueError(f"gallery: expected part or all, got {args.gallery!r}")
    if args.baseline not in (None, "ridge"):
        raise ValueError(f"baseline: expected ridge, got {args.baseline!r}")
    if args.baseline:
        made = from_ridge(args)
    else:
        model, extractor = load_model(args.ckpt)
        is_aligned = isinstance(model.config, EEGCLIPConfig)
        made = (from_model if is_aligned else from_encoder)(args, model.to(args.device).eval(), extractor)
    embeddings = EEGImageEmbeddings(**made, split=args.split, model=args.baseline or str(args.ckpt))
    path = embeddings.save(args.out)
    people = sorted(set(embeddings.subjects.tolist()))
    sizes = {embeddings.eeg_embeddings.shape[1], embeddings.image_embeddings.shape[1]}
    sys.stdout.write(
        f"{path}: {len(embeddings.subjects):,} windows of {len(people)} subjects, "
        f"{len(embeddings.image_ids):,} images, {' and '.join(map(str, sorted(sizes)))} numbers each\n"
    )


def from_model(
    args: ExportArguments, model: PreTrainedModel, extractor: EEGFeatureExtractor
) -> dict[str, np.ndarray]:
    """Return the arrays of the file as an EEG-CLIP embeds them."""
    pairs = pair_arguments(args)
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


def from_encoder(
    args: ExportArguments, model: PreTrainedModel, extractor: EEGFeatureExtractor
) -> dict[str, np.ndarray]:
    """Return the arrays of the file: what an encoder makes of windows, and the images' own embeddings."""
    pairs = pair_arguments(args)
    images = load_image_embeddings(pairs, args.ckpt)
    _, rows, folder = open_part(args, pairs)
    places, shown = place_images(args, rows, images)
    latents = [*embed_latents(model, read_windows(rows, extractor, folder, args.batch_size))]
    return gather(rows, places, shown, images, np.concatenate(latents), images.embeddings[shown])


def from_ridge(args: ExportArguments) -> dict[str, np.ndarray]:
    """Return the arrays of the file as a linear fit predicts them."""
    pairs = pair_arguments(args)
    images = load_image_embeddings(pairs, "baseline")
    splits, rows, folder = open_part(args, pairs)
    extractor = EEGFeatureExtractor.from_pretrained(args.ckpt or folder, alignment=pairs.alignment)
    places, shown = place_images(args, rows, images)
    of_windows, of_images = predict_embeddings(
        splits,
        rows,
        lambda part: images.index.find(part["image"][:], part["concept"][:]),
        images.embeddings,
        lambda part: read_windows(part, extractor, folder, args.batch_size),
    )
    return gather(rows, places, shown, images, of_windows, of_images[shown].astype(np.float32))


def load_model(name: str | None) -> tuple[PreTrainedModel, EEGFeatureExtractor]:
    """Load an EEG-CLIP and the feature extractor beside it."""
    if name is None:
        raise ValueError("expected --ckpt, a model of eeg-hf train-clip, or --baseline ridge")
    if not Path(name).exists() and name.count("/") != 1:  # the Hub would be asked for half a minute
        raise FileNotFoundError(f"ckpt: {name} is neither a folder nor a Hub name: run eeg-hf train-clip")
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        saved = sorted(Path(name).glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
        last = f"take its last checkpoint, {saved[-1]}" if saved else "run eeg-hf train-clip"
        raise FileNotFoundError(f"ckpt: {name} holds no model, the training did not end: {last}")
    kind = AutoConfig.from_pretrained(name).model_type
    if kind not in _KINDS:
        raise ValueError(f"ckpt: {name} holds a model of type {kind}, expected one of {', '.join(_KINDS)}")
    return AutoModel.from_pretrained(name), EEGFeatureExtractor.from_pretrained(name)


def load_image_embeddings(pairs: PairArguments, what: str | None) -> ImageEmbeddings:
    """Load what a tower made of the images, where no model says which.

    Raises:
        ValueError: If nobody said where it lies.
    """
    if pairs.image_embeddings is None:
        raise ValueError(f"{what} embeds no images: say --image_embeddings (eeg-hf embed-images)")
    return ImageEmbeddings.load(pairs.image_embeddings)


def pair_arguments(args: ExportArguments) -> PairArguments:
    """Return what the model was trained with, and what was said instead.

    Raises:
        ValueError: If it is not known what the model was trained with, nor said where the windows are.
    """
    folders = [] if args.ckpt is None else [Path(args.ckpt), Path(args.ckpt).parent]  # or checkpoint-100
    path = next((folder / _SETTINGS for folder in folders if (folder / _SETTINGS).is_file()), None)
    known: dict[str, Any] = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
    names = {one.name for one in dataclasses.fields(PairArguments)} - {"fs", "bandpass", "notch"}
    said = {"data_root": args.data_root, "image_embeddings": args.image_embeddings}
    said |= {"images": args.images, "split": args.split_by}
    said = {name: value for name, value in said.items() if value is not None}
    if path is None and "data_root" not in said:
        reason = (
            f"{args.ckpt} has no {_SETTINGS} that says which windows" if args.ckpt else "no --ckpt says it"
        )
        raise ValueError(f"data_root: {reason}: say --data_root")
    if path is None:
        known = {"eeg_len": 0}
        logger.warning(f"no {_SETTINGS} of a training: split by {said.get('split', 'concept')}")
    return PairArguments(**{**{name: known[name] for name in names & set(known)}, **said})


def open_part(args: ExportArguments, pairs: PairArguments) -> tuple[DatasetDict, Dataset, Path]:
    """Return the split, the windows asked for, and the folder of the prepared corpus.

    Raises:
        ValueError: If there is no such part, or nobody of those asked for in it.
    """
    if args.subjects and pairs.split == "concept":
        pairs = dataclasses.replace(pairs, subjects=args.subjects)
    dataset, folder = open_windows(pairs)
    splits = split_pairs(pairs, dataset)
    if args.split not in splits:
        raise ValueError(f"split: expected one of {', '.join(splits)}, got {args.split!r}")
    rows = splits[args.split]
    if args.subjects:  # people of a split by person are split as they were in training
        rows = rows.select(np.flatnonzero(np.isin(rows["subject"][:], args.subjects)))
        missing = sorted(set(args.subjects) - set(rows["subject"]))
        if missing:
            raise ValueError(
                f"subjects: {', '.join(missing)} not in part {args.split!r} of the split by {pairs.split}, "
                f"which has {', '.join(sorted(set(splits[args.split]['subject'])))}"
            )
    return splits, rows, folder


def place_images(
    args: ExportArguments, rows: Dataset, images: ImageEmbeddings | ImageFolder
) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of each window's image, and the places of the gallery."""
    places = images.index.find(rows["image"][:], rows["concept"][:])
    return places, np.unique(places) if args.gallery == "part" else np.arange(len(images.index.image_ids))


@torch.inference_mode()
def embed_windows(model: PreTrainedModel, batches: Iterator[dict[str, torch.Tensor]]) -> Iterator[np.ndarray]:
    """Yield unit vectors (windows, size), some windows at a time."""
    for batch in batches:
        inputs = {name: values.to(model.device) for name, values in batch.items()}
        yield model.get_eeg_features(**inputs).float().cpu().numpy()


@torch.inference_mode()
def embed_latents(model: PreTrainedModel, batches: Iterator[dict[str, torch.Tensor]]) -> Iterator[np.ndarray]:
    """Yield what an encoder makes of windows, (windows, size), some at a time."""
    for batch in batches:
        outputs = model(**{name: values.to(model.device) for name, values in batch.items()})
        latents = outputs.get("latent_mean", outputs.pooler_output)  # (windows, channels, patches, latent)
        yield latents.flatten(1).float().cpu().numpy()


@torch.inference_mode()
def embed_images(
    model: PreTrainedModel, images: ImageEmbeddings | ImageFolder, places: np.ndarray, batch_size: int
) -> Iterator[np.ndarray]:
    """Yield unit vectors (images, size), some images at a time."""
    for start in range(0, len(places), batch_size):
        inputs = {
            name: values.to(model.device)
            for name, values in images.read(places[start : start + batch_size]).items()
        }
        yield model.get_image_features(**inputs).float().cpu().numpy()


def gather(
    rows: Dataset,
    places: np.ndarray,
    shown: np.ndarray,
    images: ImageEmbeddings | ImageFolder,
    of_windows: np.ndarray,
    of_images: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the arrays of the file; a window and its image have the concept that the windows say."""
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
