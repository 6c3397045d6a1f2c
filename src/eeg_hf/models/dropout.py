# SPDX-License-Identifier: Apache-2.0
"""Dropout whose mask is cheap to draw on a CPU.

torch draws one random number from its serial generator for each element, 10 ns each, which is a seventh of a
training step of a small model. Here each draw of 64 bits decides on four elements.
"""

import torch
from torch import nn

LEVELS = 1 << 16
"""Each element is compared with a random number of 16 bits, so that rates are rounded to 1 / 65,536."""


def dropout(values: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """Set elements to zero with probability p, and scale the others so that the expectation stays.

    The same as `nn.functional.dropout`, with other random numbers of the same generator. It is that function
    on other devices, in compiled and traced code, and for rates that 16 bits cannot tell from 0 or 1.

    Args:
        values: Floating point, of any shape.
        p: Probability of a zero, 0 to 1.
        training: If False, the values are returned as they are.
    """
    num_dropped = round(p * LEVELS)
    is_drawn_here = values.device.type == "cpu" and 0 < num_dropped < LEVELS
    if not training or not is_drawn_here or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return nn.functional.dropout(values, p, training)
    draws = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: values.numel()].view(values.shape)  # uniform on -32,768 … 32,767
    is_kept = bits >= num_dropped - LEVELS // 2
    return values * is_kept.to(values.dtype).mul_(LEVELS / (LEVELS - num_dropped))  # torch.where is slower


class Dropout(nn.Dropout):
    """A layer of `dropout`, which stands where `nn.Dropout` would and has no parameters either."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return values of the same shape."""
        return dropout(values, self.p, self.training)


__all__ = ["Dropout", "dropout"]
