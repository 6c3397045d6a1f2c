# SPDX-License-Identifier: Apache-2.0
"""The matrix products of a piece of work, alone: the time that nothing in single precision can save."""

from collections import Counter
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmark_parts.timing import DEVICE, Work, repeat

_PRODUCTS = {
    torch.ops.aten.mm.default: 0,
    torch.ops.aten.addmm.default: 1,
    torch.ops.aten.bmm.default: 0,
    torch.ops.aten.baddbmm.default: 1,
}
"""Operation -> index of the first of its two factors."""


def products_alone(work: Work) -> Work:
    """Return a function that multiplies matrices of the sizes that one call of the work multiplies."""
    with _Recorder() as recorder:
        work()
    factors = [
        (torch.randn(left, device=DEVICE), torch.randn(right, device=DEVICE), count)
        for (left, right), count in recorder.sizes.items()
    ]

    @torch.no_grad()
    def multiply() -> None:
        for left, right, count in factors:
            for _ in range(count):
                torch.matmul(left, right)

    return repeat(multiply)


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.sizes: Counter[tuple[torch.Size, torch.Size]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _PRODUCTS:
            first = _PRODUCTS[func]
            self.sizes[args[first].shape, args[first + 1].shape] += 1
        return func(*args, **(kwargs or {}))
