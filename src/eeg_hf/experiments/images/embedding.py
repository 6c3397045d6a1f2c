# SPDX-License-Identifier: Apache-2.0
"""Embed images once with a frozen vision tower, so that training does not decode them again."""

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from transformers.utils import logging

from ...images.image_embeddings import ImageEmbeddings, read_features
from ...images.image_folder import find_images, open_image
from ...images.vision_towers import VisionTower, create_vision_tower, full_tower_name
from .arguments import EmbedArguments

logger = logging.get_logger(__name__)


class Pixels(Dataset):
    """Images of a folder as pixels; None for an unreadable image if such images are skipped."""

    def __init__(self, root: str, image_ids: list[str], tower: VisionTower, skip_broken: bool) -> None:
        self.root = Path(root)
        self.image_ids = image_ids
        self.preprocess = tower.preprocess
        self.skip_broken = skip_broken

    def __len__(self) -> int:
        return len(self.image_ids)

    def __getitem__(self, index: int) -> tuple[str, torch.Tensor | None]:
        image_id = self.image_ids[index]
        try:
            return image_id, self.preprocess(open_image(self.root / image_id))
        except ValueError as error:
            if not self.skip_broken:
                raise ValueError(f"{error}; --skip_broken true leaves such images out") from None
            logger.warning(f"left out: {error}")
            return image_id, None


def run(args: EmbedArguments) -> None:
    """Embed the images of a folder, or convert existing embeddings."""
    if args.images is not None and args.features is None:
        found = embed(args.images, args)
    elif args.features is not None and args.images is None:
        found = convert(args.features, args)
    else:
        raise ValueError("expected either --images or --features")
    path = found.save(args.output_dir)
    logger.warning(f"{len(found):,} images, {found.dim} numbers each, by {found.tower}: {path}")


@torch.inference_mode()
def embed(images: str, args: EmbedArguments) -> ImageEmbeddings:
    """Embed all images of a folder, in the order of their ids."""
    image_ids = find_images(images)
    tower = create_vision_tower(args.vision_encoder).to(args.device)
    pixels = Pixels(images, image_ids, tower, args.skip_broken)
    loader = DataLoader(pixels, args.batch_size, num_workers=args.num_workers, collate_fn=list)
    names: list[str] = []
    parts: list[np.ndarray] = []
    for batch in loader:
        readable = {name: image for name, image in batch if image is not None}
        if readable:
            names += readable
            values = torch.stack([*readable.values()]).to(args.device)  # (images, 3, height, width)
            parts.append(tower(values).float().cpu().numpy())
    if not names:
        raise ValueError(f"none of the {len(image_ids)} images of {images} can be read")
    if len(names) < len(image_ids):
        logger.warning(f"{len(image_ids) - len(names)} of {len(image_ids)} images left out as unreadable")
    return ImageEmbeddings(names, np.concatenate(parts), tower.name)


def convert(path: str, args: EmbedArguments) -> ImageEmbeddings:
    """Read existing embeddings and the ids of their images."""
    if args.ids is None:
        raise ValueError("--features needs --ids: the path of each row's image, in order")
    features = read_features(path, args.features_key)
    if features.ndim > 2:  # such as (images, 1, dim)
        features = features.reshape(len(features), -1)
    ids = read_ids(Path(args.ids), args.ids_key)
    return ImageEmbeddings(ids, features, full_tower_name(args.vision_encoder))


def read_ids(path: Path, key: str | None) -> list[str]:
    """Read ids from an array, or from a text file with one per line."""
    if path.suffix in (".npy", ".npz"):
        return [str(name) for name in read_features(path, key).reshape(-1)]
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
