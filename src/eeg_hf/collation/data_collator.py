# SPDX-License-Identifier: Apache-2.0
"""Batches from rows of a prepared corpus: decoded, aligned, normalised, padded, masked and labelled.

All randomness is drawn per row from (seed, epoch, window_id): a row gets the same mask and the same
augmentation in every batch, with any number of processes or workers, and after a resume.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ..processing.calibration import Calibration, stack_calibrations
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .augmentation import Transform
from .window_arrays import LARGEST_COUNT, decode_positions, decode_quartiles, decode_windows, quartiles_of


class EEGDataCollator:
    """Turn prepared rows into `input_values`, `channel_positions`, masks and labels.

    Args:
        feature_extractor: The [`EEGFeatureExtractor`] of the model, whose `normalize` is applied.
        label_column: Column of the label; or {task: column} for several tasks.
        label2id: Class index of each label value, or {task: such a mapping}; without it labels are numbers.
        alignments: Whitening matrix (channels, channels) of each `alignment_group`, for
            `alignment="euclidean"`.
        augmentation: Transform of the normalised windows; for training only.
        seed: Seed of all random numbers.
        calibrations: Recentring of each `alignment_group` for models with second-order tokens, see
            `calibrate_groups`; adds `recentring_whitening` and `recentring_log_power`.
        window_filter: Matrix that filters windows of one length, see `filtering.window_filter`.
    """

    def __init__(
        self,
        feature_extractor: EEGFeatureExtractor,
        label_column: str | Mapping[str, str] | None = None,
        label2id: Mapping[str, Any] | None = None,
        alignments: Mapping[str, np.ndarray] | None = None,
        augmentation: Transform | None = None,
        seed: int = 0,
        calibrations: Mapping[str, Calibration] | None = None,
        window_filter: np.ndarray | None = None,
    ) -> None:
        if feature_extractor.alignment != "none" and not alignments:
            raise ValueError(
                f"alignment={feature_extractor.alignment!r} needs alignments: the whitening matrix of every "
                "group, see load_alignments"
            )
        for calibration in (calibrations or {}).values():
            calibration.check(feature_extractor)
        self.feature_extractor = feature_extractor
        self.label_column = label_column
        self.label2id = label2id
        self.alignments = alignments
        self.augmentation = augmentation
        self.seed = seed
        self.calibrations = calibrations
        self.window_filter = None if window_filter is None else torch.from_numpy(window_filter)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw other random numbers from now on."""
        self.epoch = epoch

    def __call__(self, rows: pa.Table | Sequence[Mapping[str, Any]] | Sequence[pa.Table]) -> dict[str, Any]:
        """Collate rows.

        Args:
            rows: An Arrow table (from `WindowDataset`), or a list of tables or of rows as dicts (from a
                stream).
        """
        table = as_table(rows)
        batch: dict[str, Any] = {**self.collate_signals(table)}
        if self.label_column is not None:
            batch["labels"] = self.collate_labels(table)
        if self.augmentation is not None:
            generators = self.row_generators(table)
            batch["input_values"] = apply_by_row(self.augmentation, batch["input_values"], generators)
        return batch

    def collate_signals(self, table: pa.Table) -> dict[str, torch.Tensor]:
        """Return the normalised signals with their positions and masks."""
        in_counts = self.feature_extractor.ignores_scale
        # Small columns come first: samples push them out of the processor's cache
        positions, stored = decode_positions(table), decode_quartiles(table) if in_counts else None
        decoded = decode_windows(table, in_counts)
        values, channel_mask, attention_mask = (torch.from_dlpack(array) for array in decoded)
        quartiles, largest = None, None
        if self.window_filter is not None:
            if values.shape[-1] != len(self.window_filter) or not attention_mask.all():
                raise ValueError(f"the filter is for windows of {len(self.window_filter)} samples")
            values = values @ self.window_filter  # (rows, channels, time)
        elif in_counts:
            quartiles, largest = quartiles_of(stored, decoded[0], decoded[2]), LARGEST_COUNT
        matrices = self.collate_alignments(table, values.shape[1])
        mask = None if decoded[2].all() else attention_mask  # asking numpy takes a tenth of asking torch
        batch = {
            "input_values": self.feature_extractor.normalize(
                values, channel_mask, mask, matrices, values, quartiles, largest
            ),
            "channel_positions": positions,
            "channel_mask": channel_mask,
            "attention_mask": attention_mask,
        }
        if self.calibrations is not None:
            groups = table.column("alignment_group").to_pylist()
            batch.update(stack_calibrations(self.calibrations, groups))
        return batch

    def collate_alignments(self, table: pa.Table, num_channels: int) -> torch.Tensor | None:
        """Return the whitening matrices (rows, channels, channels), padded with zeros."""
        if self.feature_extractor.alignment == "none" or self.alignments is None:
            return None
        matrices = torch.zeros(len(table), num_channels, num_channels)
        for row, group in enumerate(table.column("alignment_group").to_pylist()):
            if group not in self.alignments:
                raise ValueError(
                    f"no alignment for {group!r}: prepare its corpus again, or use alignment='none'"
                )
            matrix = torch.as_tensor(self.alignments[group])
            matrices[row, : len(matrix), : len(matrix)] = matrix
        return matrices

    def collate_labels(self, table: pa.Table) -> torch.Tensor | dict[str, torch.Tensor]:
        """Return class indices or values; missing labels become -100 or NaN."""
        if isinstance(self.label_column, str):
            return encode_labels(table.column(self.label_column).to_pylist(), self.label2id)
        return {
            task: encode_labels(table.column(column).to_pylist(), (self.label2id or {}).get(task))
            for task, column in (self.label_column or {}).items()
        }

    def row_generators(self, table: pa.Table) -> list[torch.Generator]:
        """Return one generator per row, seeded by the row's id and not by its place in the batch."""
        generators = []
        for window_id in table.column("window_id").to_pylist():
            entropy = [self.seed, self.epoch, zlib.crc32(window_id.encode())]
            state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)
            # A torch seed is signed
            generators.append(torch.Generator().manual_seed(int(state[0] >> np.uint64(1))))
        return generators


def apply_by_row(
    transform: Transform, values: torch.Tensor, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    """Apply a transform to each row of (rows, channels, time) with the row's own generator."""
    rows = [transform(values[[row]], generator) for row, generator in enumerate(generators)]
    return torch.cat(rows)


def encode_labels(labels: Sequence[Any], label2id: Mapping[Any, int] | None) -> torch.Tensor:
    """Turn label values into class indices (None becomes -100), or into numbers (None becomes NaN)."""
    if label2id is None:
        return torch.tensor([float("nan") if label is None else float(label) for label in labels])
    unknown = sorted({str(label) for label in labels if label is not None and label not in label2id})
    if unknown:
        raise ValueError(f"unknown label {unknown}: expected one of {sorted(map(str, label2id))}")
    return torch.tensor([-100 if label is None else label2id[label] for label in labels])


def as_table(rows: pa.Table | Sequence[Any]) -> pa.Table:
    """Return rows, in any form that a collator takes, as one Arrow table."""
    if not len(rows):
        raise ValueError("expected one row or more to collate, got none: is a part of the split empty?")
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows[0], pa.Table):
        return pa.concat_tables(rows)
    return pa.Table.from_pylist([dict(row) for row in rows])


__all__ = ["EEGDataCollator", "apply_by_row", "as_table", "encode_labels"]
