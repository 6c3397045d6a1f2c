# SPDX-License-Identifier: Apache-2.0
"""Heads on top of an encoder."""

import torch
from torch import nn


class ProjectionHead(nn.Module):
    """Two layers onto the unit sphere, where views are contrasted (SimCLR, https://arxiv.org/abs/2002.05709).

    NOTE: no batch normalisation, unlike SimCLR: it would let windows see each other and differ between
        processes.
    """

    def __init__(self, hidden_size: int, projection_size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.out = nn.Linear(hidden_size, projection_size)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, hidden_size) to unit vectors (batch, projection_size)."""
        projected = self.out(nn.functional.gelu(self.dense(features)))
        return nn.functional.normalize(projected.float(), dim=-1)


class ClassificationHead(nn.Module):
    """Dropout and one linear layer."""

    def __init__(self, hidden_size: int, num_labels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden_size, num_labels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, hidden_size) to (batch, num_labels)."""
        return self.out(self.dropout(features))
