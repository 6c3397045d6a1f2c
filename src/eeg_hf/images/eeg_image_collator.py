# SPDX-License-Identifier: Apache-2.0
"""Rows of prepared corpora, each with the image that the person saw."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ..collation.data_collator import EEGDataCollator, Normalizer, _as_table
from .image_embeddings import ImageEmbeddings
from .image_folder import ImageFolder

PAIR_COLUMNS = ("image", "concept")


class EEGImageCollator(EEGDataCollator):
    """Add the image of each window: its embedding, or its pixels, and a number for it.

    Args:
        feature_extractor: As in [`EEGDataCollator`].
        images: [`ImageEmbeddings`], which adds `image_embeds`, or an [`ImageFolder`], which decodes the
            images again whenever they are seen and adds `pixel_values`.
        num_samples: Samples that every window must have; None for any.
        **kwargs: As in [`EEGDataCollator`].

    Example:
        >>> from datasets import load_dataset
        >>> windows = WindowDataset(load_dataset("runs/data/things"), PAIR_COLUMNS)  # doctest: +SKIP
        >>> images = ImageEmbeddings.load("runs/images")  # doctest: +SKIP
        >>> sorted(EEGImageCollator(extractor, images)(windows[0]))[3:5]  # doctest: +SKIP
        ['image_embeds', 'image_ids']
    """

    def __init__(
        self,
        feature_extractor: Normalizer,
        images: ImageEmbeddings | ImageFolder,
        num_samples: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(feature_extractor, **kwargs)
        self.images = images
        self.num_samples = num_samples

    def __call__(self, rows: pa.Table | Sequence[Mapping[str, Any]] | Sequence[pa.Table]) -> dict[str, Any]:
        """Collate rows.

        Args:
            rows: As in [`EEGDataCollator`], with the columns `image` and `concept`.

        Returns:
            What [`EEGDataCollator`] returns, `image_embeds` or `pixel_values`, and `image_ids` (rows,): equal
            where the image is, the same number in every process and every run.

        Raises:
            ValueError: If a row does not say its image, or that image is not there.
        """
        table = _as_table(rows)
        return {**super().__call__(table), **self.collate_images(table)}

    def collate_images(self, table: pa.Table) -> dict[str, torch.Tensor]:
        """Return the images of rows."""
        places = find_places(table, self.images)
        names = [self.images.index.image_ids[place] for place in places]
        return {
            **self.images.read(places),
            "image_ids": torch.tensor([zlib.crc32(name.encode()) for name in names]),
        }

    def collate_signals(self, table: pa.Table) -> dict[str, torch.Tensor]:
        """Return the signals.

        Raises:
            ValueError: If a window is longer or shorter than `num_samples`.
        """
        batch = super().collate_signals(table)
        found = batch["input_values"].shape[-1]
        if self.num_samples is not None and (found != self.num_samples or not batch["attention_mask"].all()):
            shortest = int(batch["attention_mask"].sum(dim=-1).min())
            raise ValueError(
                f"expected windows of {self.num_samples} samples, got {shortest} to {found}: say so, or "
                "prepare windows of that length"
            )
        return batch


def find_places(table: pa.Table, images: ImageEmbeddings | ImageFolder) -> np.ndarray:
    """Return the place of the image of each row, (rows,).

    Raises:
        ValueError: If rows do not say their image, or it is not there.
    """
    missing = [name for name in PAIR_COLUMNS if name not in table.column_names]
    if missing:
        raise ValueError(
            f"expected rows with {' and '.join(PAIR_COLUMNS)}, they lack {' and '.join(missing)}: "
            "WindowDataset(rows, PAIR_COLUMNS)"
        )
    names, concepts = (table.column(name).to_pylist() for name in PAIR_COLUMNS)
    return images.index.find(names, concepts)


__all__ = ["PAIR_COLUMNS", "EEGImageCollator", "find_places"]
