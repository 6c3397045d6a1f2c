# SPDX-License-Identifier: Apache-2.0
"""Activations and norms that are computed again for backward instead of being kept."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

SMALLEST = 2**21
"""Numbers from which a tensor is computed again: smaller ones cost more time than their memory is worth."""


@dataclass(frozen=True)
class _Recomputed:
    """What stands for the result in the graph."""

    shape: torch.Size


def recomputed(
    result: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor
) -> AbstractContextManager[object]:
    """Return a context in which operations on `result` keep nothing of it for backward.

    For cheap functions whose own backward keeps their input, such as GELU or a layer norm: one of the two is
    then enough. Each operation on the result computes it once more.

    Args:
        result: `function(values)`.
        function: Gives the same whenever it is called.
        values: Its input.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # before any size is looked at
        return contextlib.nullcontext()
    keeps_input = any(hasattr(type(result.grad_fn), name) for name in ("_saved_self", "_saved_input"))
    if not keeps_input or result.numel() < SMALLEST:
        return contextlib.nullcontext()
    # The graph holds both functions: a reference to `result` in one of them would keep it after all
    place, number, kept_input = result.data_ptr(), result.numel(), values.detach()

    def pack(tensor: torch.Tensor) -> Any:
        is_it = tensor.data_ptr() == place and tensor.numel() == number and tensor.is_contiguous()
        return _Recomputed(tensor.shape) if is_it else tensor

    def unpack(packed: Any) -> torch.Tensor:
        return function(kept_input).view(packed.shape) if isinstance(packed, _Recomputed) else packed

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


__all__ = ["recomputed"]
