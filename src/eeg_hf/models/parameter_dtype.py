# SPDX-License-Identifier: Apache-2.0
"""The dtype that a module computes in."""

import torch
from torch import nn


def parameter_dtype(module: nn.Module) -> torch.dtype:
    """Return the dtype of a module's first floating-point parameter; float32 where it has none.

    Inputs are float32 whatever the dtype of the weights; modules cast them where they become features.
    NOTE: `module.weight.dtype` does not do: int8 layers of `torch.ao.quantization` take float32 and have no
        such attribute.
    """
    for parameter in module.parameters():
        if parameter.is_floating_point():
            return parameter.dtype
    return torch.float32


__all__ = ["parameter_dtype"]
