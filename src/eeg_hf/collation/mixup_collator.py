# SPDX-License-Identifier: Apache-2.0
"""Mixup of windows and labels (Zhang et al. 2018, https://arxiv.org/abs/1710.09412)."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch


class MixupCollator:
    """Mix pairs of windows of a batch and their labels.

    Args:
        collator: Any collator that returns `input_values` and class indices as `labels`.
        num_classes: Number of classes.
        alpha: The share of the partner is drawn from Beta(alpha, alpha).
        seed: Seed of partners and shares.
    """

    def __init__(
        self,
        collator: Callable[[Any], dict[str, Any]],
        num_classes: int,
        alpha: float = 0.2,
        seed: int = 0,
    ) -> None:
        if alpha <= 0:
            raise ValueError(f"alpha: expected more than 0, got {alpha}")
        self.collator = collator
        self.num_classes = num_classes
        self.alpha = alpha
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw other random numbers from now on."""
        self.epoch = epoch
        if hasattr(self.collator, "set_epoch"):
            self.collator.set_epoch(epoch)

    def __call__(self, rows: Any) -> dict[str, Any]:
        """Collate rows; `labels` become class shares, shape (batch, num_classes)."""
        batch = self.collator(rows)
        values, labels = batch["input_values"], batch["labels"]
        if (labels < 0).any():
            raise ValueError("mixup: every row needs a label; drop the rows without one")
        content = zlib.crc32(values[0].numpy().tobytes())  # seeded by content: the same after a resume
        random = np.random.default_rng([self.seed, self.epoch, content])
        share = random.beta(self.alpha, self.alpha)
        partner = torch.from_numpy(random.permutation(len(labels)))
        targets = torch.nn.functional.one_hot(labels, self.num_classes).float()
        mixed = {
            "input_values": ((1 - share) * values + share * values[partner]).float(),
            "labels": ((1 - share) * targets + share * targets[partner]).float(),
        }
        return {**batch, **mixed}
