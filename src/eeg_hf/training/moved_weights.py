# SPDX-License-Identifier: Apache-2.0
"""How many parameters a training changed, measured on the weights: what was meant to be frozen may not be."""

from dataclasses import dataclass

import torch
from torch import nn

FILE = "trained_parameters.json"
"""Beside the weights of a run: `trained` and `total`."""


@dataclass(frozen=True)
class MovedWeights:
    """What a training changed.

    Attributes:
        trained: Elements of the parameters of which at least one element changed, adapters' own included.
        total: Elements of all parameters, without those of adapters.
    """

    trained: int
    total: int


class WeightWatch:
    """Remember the parameters of a model, to say later which of them moved.

    Args:
        model: Before its training; the memory is that of its parameters once more.
    """

    def __init__(self, model: nn.Module) -> None:
        self.before = {name: value.detach().cpu().clone() for name, value in _unmerged(model).items()}
        self.total = sum(value.numel() for name, value in self.before.items() if not _is_of_adapter(name))

    def measure(self, model: nn.Module) -> MovedWeights:
        """Compare with the parameters now; those that were not there before count as moved."""
        trained = sum(
            value.numel()
            for name, value in _unmerged(model).items()
            if name not in self.before or not torch.equal(value.detach().cpu(), self.before[name])
        )
        return MovedWeights(trained, self.total)


def _is_of_adapter(name: str) -> bool:
    return any(mark in name for mark in ("lora_", "ia3_"))


def _unmerged(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters; of a layer that peft trains whole, its copy and not the one put aside."""
    return {name: value for name, value in model.named_parameters() if ".original_module." not in name}
