# SPDX-License-Identifier: Apache-2.0
"""Batches for pretraining: noise for the mask, an augmented view, stimulus pairs and auxiliary targets."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import torch

from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .augmentation import DEFAULT_VIEW, Transform
from .data_collator import EEGDataCollator, apply_by_row, as_table
from .pair_columns import PairColumns


class EEGPreTrainingCollator(EEGDataCollator):
    """Add the noise that decides the mask, and an augmented view of each window.

    Args:
        feature_extractor: As in [`EEGDataCollator`].
        patch_size: Samples of one patch (the model's `patch_size`).
        view: Transform that makes the second view; None omits it.
        pairs: Columns that define which windows of different subjects belong together: adds `stimulus_ids`,
            `stimulus_seconds` and `subject_ids`.
        num_bands: Bands of the model's second-order tokens, of which a share is masked: adds `band_noise`.
        **kwargs: As in [`EEGDataCollator`]; the labels of several tasks become `auxiliary_targets`.
    """

    def __init__(
        self,
        feature_extractor: EEGFeatureExtractor,
        patch_size: int,
        view: Transform | None = DEFAULT_VIEW,
        pairs: PairColumns | None = None,
        num_bands: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(feature_extractor, **kwargs)
        self.patch_size = patch_size
        self.view = view
        self.pairs = pairs
        self.num_bands = num_bands

    def __call__(self, rows: pa.Table | Sequence[Mapping[str, Any]] | Sequence[pa.Table]) -> dict[str, Any]:
        """Collate rows, as [`EEGDataCollator`] does."""
        table = as_table(rows)
        batch = super().__call__(table)
        if isinstance(self.label_column, Mapping):
            batch["auxiliary_targets"] = batch.pop("labels")
        if self.pairs is not None:
            batch.update(self.pairs.collate(table))
        values = batch["input_values"]  # (rows, channels, time)
        generators = self.row_generators(table)
        shape = (values.shape[1], -(-values.shape[2] // self.patch_size))  # (channels, patches)
        batch["mask_noise"] = torch.stack(
            [torch.rand(shape, generator=generator) for generator in generators]
        )
        if self.num_bands:
            batch["band_noise"] = torch.stack(
                [torch.rand(self.num_bands, generator=each) for each in generators]
            )
        if self.view is not None:
            batch["augmented_values"] = apply_by_row(self.view, values, generators)
        return batch
