# SPDX-License-Identifier: Apache-2.0
"""Predict what is known of the subject: age, sex, questionnaire factors."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from .dropout import Dropout
from .losses import task_loss
from .objective import EncodedWindows, Objective

HBN_AUXILIARY_TASKS: dict[str, dict[str, Any]] = {
    "age": {"num_outputs": 1, "weight": 1.0},
    "sex": {"num_outputs": 2, "weight": 0.5, "classes": ["F", "M"]},
    "p_factor": {"num_outputs": 1, "weight": 1.0},
    "attention": {"num_outputs": 1, "weight": 0.5},
    "internalizing": {"num_outputs": 1, "weight": 0.5},
    "externalizing": {"num_outputs": 1, "weight": 0.5},
}
"""Auxiliary tasks of HBN-EEG (https://doi.org/10.1101/2024.10.03.615261) for
`EEGFoundationConfig(auxiliary_tasks=...)`: age in years, sex, and the four factors of a questionnaire."""


class DemographicHead(nn.Module):
    """Two layers that predict one property of the subject: a number, or one of several classes.

    Args:
        input_dim: Width of the input.
        hidden_dim: Width of the first layer's output; that of the input by default.
        num_outputs: Number of classes; 1 means a number.
        dropout: Between the layers.
        mean: Mean of the numbers in the training set; outputs are in their unit.
        std: Their standard deviation.
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int | None = None,
        num_outputs: int = 1,
        dropout: float = 0.1,
        mean: float = 0.0,
        std: float = 1.0,
    ) -> None:
        super().__init__()
        hidden_dim = hidden_dim or input_dim
        self.dense = nn.Linear(input_dim, hidden_dim)
        self.activation = nn.GELU()
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden_dim, num_outputs)
        self.mean = mean
        self.std = std

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, input_dim) to (batch, num_outputs): numbers in their unit, or logits."""
        predicted = self.out(self.dropout(self.activation(self.dense(features))))
        return predicted.float() * self.std + self.mean  # bfloat16 has no years between 1984 and 1992


class MultiAuxiliaryHead(nn.Module):
    """One [`DemographicHead`] for each task.

    Args:
        input_dim: Width of the input.
        tasks: Settings of each task by name: `num_outputs`, and for numbers `mean` and `std`; those of
            [`HBN_AUXILIARY_TASKS`] by default.
        dropout: In every head.
        hidden_dim: As in [`DemographicHead`].
    """

    def __init__(
        self,
        input_dim: int,
        tasks: Mapping[str, Mapping[str, Any]] = MappingProxyType(HBN_AUXILIARY_TASKS),
        dropout: float = 0.1,
        hidden_dim: int | None = None,
    ) -> None:
        super().__init__()
        options = ("num_outputs", "mean", "std")
        self.heads = nn.ModuleDict(
            {
                task: DemographicHead(
                    input_dim,
                    hidden_dim,
                    dropout=dropout,
                    **{name: settings[name] for name in options if name in settings},
                )
                for task, settings in tasks.items()
            }
        )

    def forward(self, features: torch.Tensor) -> dict[str, torch.Tensor]:
        """Map (batch, input_dim) to {task: (batch, outputs of the task)}."""
        return {task: head(features) for task, head in self.heads.items()}


def auxiliary_task_loss(
    predictions: Mapping[str, torch.Tensor],
    targets: Mapping[str, torch.Tensor],
    tasks: Mapping[str, Mapping[str, Any]],
) -> torch.Tensor:
    """Return the weighted sum over tasks of squared error (numbers) or cross entropy (classes).

    Missing targets (NaN or -100) are left out. A task without any target in a batch adds 0, through which
    gradients can flow. Numbers are compared in standard deviations of the training set.

    Args:
        predictions: {task: (batch, outputs)}, numbers in their unit.
        targets: {task: (batch,)} numbers in their unit, or class indices. Tasks may be absent.
        tasks: Settings of each task by name: `num_outputs` (1 = a number), `weight`, `std`.

    Raises:
        ValueError: If a target belongs to no task, or is not a class of its task.
    """
    unknown = sorted(set(targets) - set(tasks))
    if unknown:
        raise ValueError(f"auxiliary_targets: unknown task {unknown}, expected some of {sorted(tasks)}")
    losses = []
    for task, settings in tasks.items():
        predicted, num_outputs = predictions[task], settings.get("num_outputs", 1)
        if task not in targets:  # keeps the head in the graph, as DistributedDataParallel requires
            loss = predicted.sum() * 0.0
        else:
            try:
                loss = task_loss(predicted, targets[task], num_outputs)
            except ValueError as error:
                raise ValueError(f"auxiliary task {task!r}: {error}") from None
            if num_outputs == 1:  # in standard deviations, so that the unit does not matter
                loss = loss / settings.get("std", 1.0) ** 2
        losses.append(settings.get("weight", 1.0) * loss)
    return torch.stack(losses).sum()


class AuxiliaryTaskLoss(nn.Module):
    """[`auxiliary_task_loss`] of fixed tasks.

    Args:
        tasks: As in [`MultiAuxiliaryHead`].
    """

    def __init__(
        self, tasks: Mapping[str, Mapping[str, Any]] = MappingProxyType(HBN_AUXILIARY_TASKS)
    ) -> None:
        super().__init__()
        self.tasks = tasks

    def forward(
        self, predictions: Mapping[str, torch.Tensor], targets: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """Return the loss of predictions {task: (batch, outputs)} and targets {task: (batch,)}."""
        return auxiliary_task_loss(predictions, targets, self.tasks)


class AuxiliaryTasks(Objective):
    """One head for each of `config.auxiliary_tasks`, on the pooled tokens."""

    name = "auxiliary"
    columns = ("auxiliary_targets",)
    defaults = {}

    @property
    def weights(self) -> dict[str, float]:
        """Weight of all tasks together; 0 without tasks."""
        return {"auxiliary_loss": self.config.auxiliary_weight if self.config.auxiliary_tasks else 0.0}

    def build_heads(self) -> dict[str, Callable[[], nn.Module]]:
        """Return the head of all tasks."""
        config = self.config
        build = partial(
            MultiAuxiliaryHead, config.hidden_size, config.auxiliary_tasks or {}, config.classifier_dropout
        )
        return {"auxiliary_head": build}

    def compute(
        self, modules: Mapping[str, nn.Module], encoded: EncodedWindows, batch: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return `auxiliary_logits` {task: (batch, outputs)} and, with targets, `auxiliary_loss`."""
        predictions = modules["auxiliary_head"](encoded.output("pooler_output"))
        if "auxiliary_targets" not in batch:
            return {"auxiliary_logits": predictions}
        tasks: Mapping = self.config.auxiliary_tasks or {}
        loss = auxiliary_task_loss(predictions, batch["auxiliary_targets"], tasks)
        return {"auxiliary_logits": predictions, "auxiliary_loss": loss}


__all__ = [
    "HBN_AUXILIARY_TASKS",
    "AuxiliaryTaskLoss",
    "AuxiliaryTasks",
    "DemographicHead",
    "MultiAuxiliaryHead",
    "auxiliary_task_loss",
]
