# SPDX-License-Identifier: Apache-2.0
"""Rows of all processes, with a way back for gradients: 2 processes of 8 windows are one batch of 16."""

import torch

if torch.distributed.is_available():
    from torch.distributed.nn.functional import all_gather


def is_gathered() -> bool:
    """Return whether there are other processes."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """Return the rows (batch, ...) of all processes, in their order; all must have as many."""
    return torch.cat(all_gather(rows)) if is_gathered() else rows


def own_rows(num_rows: int) -> slice:
    """Return where the rows of this process stand among those of all."""
    start = torch.distributed.get_rank() * num_rows if is_gathered() else 0
    return slice(start, start + num_rows)
