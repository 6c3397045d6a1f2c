# SPDX-License-Identifier: Apache-2.0
"""Collator of prepared windows, each with the image that the subject saw."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import torch

from ..collation.data_collator import EEGDataCollator, as_table
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .image_embeddings import ImageEmbeddings
from .image_folder import ImageFolder

PAIR_COLUMNS = ("image", "concept")


class EEGImageCollator(EEGDataCollator):
    """Add the image of each window, as an embedding or as pixels, and an id.

    Args:
        feature_extractor: As in [`EEGDataCollator`].
        images: [`ImageEmbeddings`], which add `image_embeds`; or an [`ImageFolder`], which decodes images on
            every access and adds `pixel_values`.
        num_samples: Required length of every window in samples; None accepts any.
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
        feature_extractor: EEGFeatureExtractor,
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
            The batch of [`EEGDataCollator`] with `image_embeds` or `pixel_values`, and `image_ids` (rows,):
            equal for equal images, and the same in every process and run.

        Raises:
            ValueError: If rows lack the columns, or an image is unknown.
        """
        table = as_table(rows)
        return {**super().__call__(table), **self.collate_images(table)}

    def collate_images(self, table: pa.Table) -> dict[str, torch.Tensor]:
        """Return the images of the rows and their ids."""
        missing = [name for name in PAIR_COLUMNS if name not in table.column_names]
        if missing:
            raise ValueError(
                f"expected rows with {' and '.join(PAIR_COLUMNS)}, they lack {' and '.join(missing)}: "
                "WindowDataset(rows, PAIR_COLUMNS)"
            )
        places = self.images.index.find(*(table.column(name).to_pylist() for name in PAIR_COLUMNS))
        # Not hash(), which Python seeds anew in each process
        ids = [zlib.crc32(self.images.index.image_ids[place].encode()) for place in places]
        return {**self.images.read(places), "image_ids": torch.tensor(ids)}

    def collate_signals(self, table: pa.Table) -> dict[str, torch.Tensor]:
        """Return the signals.

        Raises:
            ValueError: If a window is longer or shorter than `num_samples`.
        """
        batch = super().collate_signals(table)
        longest = batch["input_values"].shape[-1]
        if self.num_samples is not None and (
            longest != self.num_samples or not batch["attention_mask"].all()
        ):
            shortest = int(batch["attention_mask"].sum(dim=-1).min())
            raise ValueError(
                f"expected windows of {self.num_samples} samples, got {shortest} to {longest}: set that "
                "length, or prepare windows of the expected one"
            )
        return batch
