# SPDX-License-Identifier: Apache-2.0
"""Trainable numbers, as parameters of one element.

FSDP2 cuts parameters along their first dimension and refuses those that have none. Checkpoints made before
this was known hold such numbers without a dimension, and load all the same.
"""

from functools import partial
from typing import Any

import torch
from torch import nn
from transformers.core_model_loading import ConversionOps, WeightConverter, WeightRenaming

# Trainable numbers of each model type, by the end of their names
SCALARS = {
    "eeg_foundation": ("temperature.log_temperature",),
    "eeg_clip": ("logit_scale",),
    "eeg_masked_vae": ("spatial_guess.noise",),
}


def register_scalar(module: nn.Module, name: str, value: float = 0.0) -> None:
    """Register a trainable number as a parameter (1,) of a module."""
    module.register_parameter(name, nn.Parameter(torch.full((1,), value)))
    module.register_load_state_dict_pre_hook(partial(_add_dimension, name))


def _add_dimension(name: str, _: nn.Module, state: dict[str, torch.Tensor], prefix: str, *more: Any) -> None:
    """Give a number of an older state dict its dimension."""
    if prefix + name in state:
        state[prefix + name] = state[prefix + name].reshape(1)


class AddDimension(ConversionOps):
    """Gives a number of an older checkpoint its dimension; what is saved has it."""

    def convert(
        self,
        input_dict: dict[str, Any],
        source_patterns: list[str],
        target_patterns: list[str],
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the number by its name, (1,)."""
        ((_, tensors),) = input_dict.items()
        tensor = tensors[0] if isinstance(tensors, list) else tensors
        return {target_patterns[0]: tensor.reshape(1)}

    @property
    def reverse_op(self) -> "AddDimension":
        """What saving does: nothing, since the dimension is there."""
        return self


def conversions(model_type: str) -> list[WeightConverter | WeightRenaming]:
    """Return what `from_pretrained` does to checkpoints of an architecture."""
    return [WeightConverter(name, name, [AddDimension()]) for name in SCALARS[model_type]]


__all__ = ["SCALARS", "conversions", "register_scalar"]
