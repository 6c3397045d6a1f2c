# SPDX-License-Identifier: Apache-2.0
"""Dropout whose mask is cheap to draw on a CPU.

torch draws one random number from its serial generator for each element, 10 ns each, which is a seventh of a
training step of a small model. Here each draw of 64 bits decides on four elements.
"""

from typing import Any

import torch
from torch import nn

LEVELS = 1 << 16
"""Each element is compared with a random number of 16 bits, so that rates are rounded to 1 / 65,536."""


def dropout(values: torch.Tensor, p: float, training: bool) -> torch.Tensor:
    """Set elements to zero with probability p, and scale the others so that the expectation stays.

    The same as `nn.functional.dropout`, with other random numbers of the same generator. It is that function
    on other devices, in traced code, and for rates that 16 bits cannot tell from 0 or 1.

    Args:
        values: Floating point, of any shape.
        p: Probability of a zero, 0 to 1.
        training: If False, the values are returned as they are.
    """
    num_dropped = round(p * LEVELS)
    is_drawn_here = values.device.type == "cpu" and 0 < num_dropped < LEVELS
    if not training or not is_drawn_here or torch.jit.is_tracing():
        return nn.functional.dropout(values, p, training)
    words = _draw_words(-(-values.numel() // 4)).view(torch.int16)  # uniform on -32,768 … 32,767
    bits = words[: values.numel()].view(values.shape)
    is_kept = bits >= num_dropped - LEVELS // 2
    factor = LEVELS / (LEVELS - num_dropped)
    if torch.compiler.is_compiling():  # the compiler decides what is kept for backward
        return values * (is_kept.to(values.dtype) * factor)
    dropped: torch.Tensor = _Dropped.apply(values, is_kept, factor)
    return dropped


def _draw_words(number: int) -> torch.Tensor:
    """Return random words of 64 bits, int64 (number,)."""
    if torch.compiler.is_compiling():  # which knows no random_
        return torch.randint(-(2**63), 2**63 - 1, (number,))
    return torch.empty(number, dtype=torch.int64).random_(-(2**63), None)  # of the whole range: no division


class _Dropped(torch.autograd.Function):
    """Multiply by a mask and a factor; the mask is kept for backward in one byte an element, not in four."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, is_kept: torch.Tensor, factor: float) -> torch.Tensor:
        ctx.save_for_backward(is_kept)
        ctx.factor = factor
        return is_kept.to(values.dtype).mul_(factor).mul_(values)  # in one new tensor; where is slower

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (is_kept,) = ctx.saved_tensors
        return is_kept.to(gradients[0].dtype).mul_(ctx.factor).mul_(gradients[0]), None, None


class Dropout(nn.Dropout):
    """A layer of `dropout`, which stands where `nn.Dropout` would and has no parameters either."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return values of the same shape."""
        return dropout(values, self.p, self.training)


__all__ = ["Dropout", "dropout"]
