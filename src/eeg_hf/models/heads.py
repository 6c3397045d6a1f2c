# SPDX-License-Identifier: Apache-2.0
"""Heads on top of an encoder."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .gathering import gather_rows, own_rows

HBN_AUXILIARY_TASKS: dict[str, dict[str, Any]] = {
    "age": {"num_outputs": 1, "weight": 1.0},
    "sex": {"num_outputs": 2, "weight": 0.5, "classes": ["F", "M"]},
    "p_factor": {"num_outputs": 1, "weight": 1.0},
    "attention": {"num_outputs": 1, "weight": 0.5},
    "internalizing": {"num_outputs": 1, "weight": 0.5},
    "externalizing": {"num_outputs": 1, "weight": 0.5},
}
"""What is known of the children of HBN-EEG (https://doi.org/10.1101/2024.10.03.615261), for
`EEGFoundationConfig(auxiliary_tasks=...)`: age in years, sex, and the four factors of a questionnaire."""


class GatheredBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the rows of all processes, also on a CPU, where `SyncBatchNorm` is not.

    2 processes of 8 windows give what one of 16 gives. All must have as many rows.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map (batch, features) to the same shape."""
        if not self.training:
            return super().forward(input)
        return super().forward(gather_rows(input))[own_rows(len(input))]


class ContrastiveProjectionHead(nn.Module):
    """Two layers onto the unit sphere, where windows are contrasted (SimCLR, https://arxiv.org/abs/2002.05709).

    Args:
        hidden_size: Width of what comes in.
        projection_size: Width of what goes out.
        batch_norm: Normalise between the layers over the batch, and use ReLU, as SimCLR does. Without it a
            window's features do not depend on the others of its batch.
    """

    def __init__(self, hidden_size: int, projection_size: int = 128, batch_norm: bool = True) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.norm = GatheredBatchNorm(hidden_size) if batch_norm else nn.Identity()
        self.activation = nn.ReLU() if batch_norm else nn.GELU()
        self.out = nn.Linear(hidden_size, projection_size)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, hidden_size) to unit vectors (batch, projection_size)."""
        projected = self.out(self.activation(self.norm(self.dense(features))))
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


class DemographicHead(nn.Module):
    """Two layers that tell one thing of a person: a number, or which of several classes.

    Args:
        hidden_size: Width of what comes in.
        num_outputs: Number of classes; 1 means a number.
        dropout: Between the layers.
        mean: Mean of the numbers in the training set: they come out in their own unit.
        std: Their standard deviation, likewise.
    """

    def __init__(
        self,
        hidden_size: int,
        num_outputs: int = 1,
        dropout: float = 0.1,
        mean: float = 0.0,
        std: float = 1.0,
    ) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden_size, hidden_size)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden_size, num_outputs)
        self.mean = mean
        self.std = std

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, hidden_size) to (batch, num_outputs): numbers in their unit, or logits."""
        predicted = self.out(self.dropout(self.activation(self.dense(features))))
        return predicted.float() * self.std + self.mean  # bfloat16 has no years between 1984 and 1992


class MultiAuxiliaryHead(nn.Module):
    """One [`DemographicHead`] a task.

    Args:
        hidden_size: Width of what comes in.
        tasks: Settings of each task by name: `num_outputs`, and of numbers `mean` and `std`; such as
            [`HBN_AUXILIARY_TASKS`].
        dropout: In every head.
    """

    def __init__(
        self, hidden_size: int, tasks: Mapping[str, Mapping[str, Any]], dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(
            {
                task: DemographicHead(
                    hidden_size,
                    settings.get("num_outputs", 1),
                    dropout,
                    settings.get("mean", 0.0),
                    settings.get("std", 1.0),
                )
                for task, settings in tasks.items()
            }
        )

    def forward(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        """Map (batch, hidden_size) to {task: (batch, outputs of the task)}."""
        return {task: head(features) for task, head in self.heads.items()}
