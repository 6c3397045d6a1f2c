# SPDX-License-Identifier: Apache-2.0
"""Batches for a tokenizer: whole patches, and the rate at which they were sampled."""

from typing import Any

import pyarrow as pa
import torch

from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .data_collator import EEGDataCollator
from .window_dataset import WindowDataset

_RATE = "sampling_rate"


class EEGTokenizerCollator(EEGDataCollator):
    """Add the sampling rate of each window, and cut the windows to whole patches.

    A window is normalised as a whole before it is cut, as the feature extractor normalises a recording.

    Args:
        feature_extractor: As in [`EEGDataCollator`].
        patch_size: Samples of one patch (the tokenizer's `patch_size`).
        **kwargs: As in [`EEGDataCollator`].

    Example:
        >>> from datasets import load_dataset
        >>> rows = load_dataset("runs/data/eegmat", split="train")  # doctest: +SKIP
        >>> windows = WindowDataset(rows, ["sampling_rate"])  # doctest: +SKIP
        >>> EEGTokenizerCollator(extractor, 256)(windows[0])["sampling_rate"]  # doctest: +SKIP
        tensor([200.])
    """

    def __init__(self, feature_extractor: EEGFeatureExtractor, patch_size: int, **kwargs: Any) -> None:
        super().__init__(feature_extractor, **kwargs)
        self.patch_size = patch_size

    def collate_signals(self, table: pa.Table) -> dict[str, torch.Tensor]:
        """Return the signals, cut, with `sampling_rate` (batch,) in Hz.

        Raises:
            ValueError: If rows lack their rate, or a window is shorter than one patch.
        """
        if _RATE not in table.column_names:
            raise ValueError(f"expected rows with a {_RATE}: WindowDataset(rows, ['{_RATE}'])")
        shortest = min(table.column("num_samples").to_pylist())
        if shortest < self.patch_size:
            raise ValueError(
                f"expected windows of a patch of {self.patch_size} samples or more, got one of {shortest}: "
                "prepare longer windows, or choose a smaller patch_size"
            )
        batch = super().collate_signals(table)
        length = batch["input_values"].shape[-1] // self.patch_size * self.patch_size
        for name in ("input_values", "attention_mask"):
            batch[name] = batch[name][..., :length].contiguous()
        return {**batch, _RATE: torch.tensor(table.column(_RATE).to_pylist(), dtype=torch.float32)}


def sample_patches(
    windows: WindowDataset, collator: EEGTokenizerCollator, limit: int = 50_000, seed: int = 0
) -> torch.Tensor:
    """Return patches of randomly drawn windows, from whose statistics a tokenizer is initialised.

    Args:
        windows: Windows with the column `sampling_rate`.
        collator: The collator of the training.
        limit: Maximum number of patches. Every patch of a drawn window is used.
        seed: Seed of the draw.

    Returns:
        Real, whole, normalised patches (patches, patch_size).

    Raises:
        ValueError: If there is no window.
    """
    if not len(windows):
        raise ValueError("expected windows to train on, got none: prepare more, or split otherwise")
    order = torch.randperm(len(windows), generator=torch.Generator().manual_seed(seed)).tolist()
    found: list[torch.Tensor] = []
    while order and sum(map(len, found)) < limit:
        rows, order = order[:32], order[32:]
        batch = collator(windows.__getitems__(rows))
        patches = batch["input_values"].unflatten(-1, (-1, collator.patch_size))
        found.append(patches[real_patches(batch, collator.patch_size)])
    return torch.cat(found)[:limit]


def real_patches(batch: dict[str, torch.Tensor], patch_size: int) -> torch.Tensor:
    """Return which patches (batch, channels, patches) are whole and of a real channel."""
    is_whole = batch["attention_mask"].unflatten(-1, (-1, patch_size)).all(dim=-1)  # (batch, patches)
    return batch["channel_mask"][:, :, None] & is_whole[:, None, :]
