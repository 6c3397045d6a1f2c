# SPDX-License-Identifier: Apache-2.0
"""Finite scalar quantization: VQ-VAE made simple (Mentzer et al. 2023, https://arxiv.org/abs/2309.15505).

Each dimension of a latent is squashed by tanh into the range of its levels and rounded. The codebook is the
grid of all combinations. It has no parameters, needs no loss, and cannot collapse as a learned codebook does.
The index of a code is the number whose digits are its levels, least significant first. Codes lie in [-1, 1].
With an even number of levels, zero is not a level and the grid has one step more below than above, as in the
paper.
"""

from collections.abc import Sequence

import torch
from torch import nn
from transformers import initialization as init

# From the paper: the outermost levels are reached before tanh saturates
RANGE_MARGIN = 1e-3
# Assumed position of a latent in the outermost cell, in levels from the end of tanh's range. Values from 0.1
# to 0.5 work; the error of a linear codec was smallest with 0.25.
OUTER_CELL = 0.25
# Codes whose latents are kept: 5 MB in 10 dimensions. Divisions by levels take ten times as long as reading.
LARGEST_TABLE = 2**17


class FiniteScalarQuantizer(nn.Module):
    """Round latents to a fixed grid whose points are numbered.

    Args:
        levels: Number of values of each dimension, at least 2.

    Example:
        >>> quantizer = FiniteScalarQuantizer([8, 5])
        >>> codes = quantizer(torch.zeros(1, 2))
        >>> quantizer.codes_to_indices(codes)
        tensor([20])
    """

    levels: torch.Tensor
    strides: torch.Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if not levels or any(type(level) is not int or level < 2 for level in levels):
            raise ValueError(f"levels: expected whole numbers of at least 2, got {list(levels)}")
        self.num_levels = tuple(levels)
        for name in ("levels", "strides"):
            self.register_buffer(name, torch.empty(len(levels), dtype=torch.int64), persistent=False)
        self.table: torch.Tensor | None = None  # latents of all codes, once they are asked for
        self.reset_buffers()

    def reset_buffers(self) -> None:
        """Compute the buffers from the levels; they are not saved, so loading leaves them empty."""
        levels = torch.tensor(self.num_levels)
        init.copy_(self.levels, levels)
        init.copy_(self.strides, torch.cat([levels.new_ones(1), levels.cumprod(0)[:-1]]))

    @property
    def codebook_size(self) -> int:
        """Number of codes."""
        return int(self.strides[-1] * self.levels[-1])

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        """Quantize latents (..., code_dim) to codes of the same shape; gradients pass straight through."""
        bounded = self.bound(latents.float())  # half precision cannot resolve the levels of a large grid
        rounded = bounded.round()
        if bounded.requires_grad:
            rounded = bounded + (rounded - bounded).detach()  # straight-through gradient
        return rounded / self._half_levels()

    def bound(self, latents: torch.Tensor) -> torch.Tensor:
        """Squash latents into the range that rounds to the levels."""
        half, offset = self._half_range(1 + RANGE_MARGIN)
        return (latents - self.middle()).tanh() * half - offset

    def middle(self) -> torch.Tensor:
        """Return the latent (code_dim,) in the middle of the range: 0, or less if levels are even.

        NOTE: 0 also for two levels, where the paper's formula gives -3.8, in the tails of tanh, where
            gradients vanish.
        """
        half, offset = self._half_range(1 + RANGE_MARGIN)
        return -(torch.where(self.levels > 2, offset, 0.0) / half).atanh()

    def unbound(self, codes: torch.Tensor) -> torch.Tensor:
        """Return approximate latents (..., code_dim) of codes, minus the middle of the range."""
        half, offset = self._half_range(1.0)
        return ((codes * self._half_levels() + offset) / (half + OUTER_CELL)).atanh()

    def codes_to_indices(self, codes: torch.Tensor) -> torch.Tensor:
        """Return the codebook indices (...) int64 of codes (..., code_dim)."""
        half = self._half_levels()
        digits = (codes.float() * half).round_().add_(half).long()  # float until here takes half the memory
        return digits.mul_(self.strides).sum(dim=-1)

    def indices_to_digits(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the level of each dimension, (..., code_dim) int64, counted from 0.

        Raises:
            ValueError: If an index is outside the codebook.
        """
        self.check_indices(indices)
        return indices[..., None] // self.strides % self.levels

    def indices_to_codes(self, indices: torch.Tensor) -> torch.Tensor:
        """Return the codes (..., code_dim) of indices (...)."""
        half = self.levels // 2
        return (self.indices_to_digits(indices) - half) / half

    def indices_to_latents(self, indices: torch.Tensor) -> torch.Tensor:
        """Return what `unbound` makes of the codes of indices (...), (..., code_dim).

        Raises:
            ValueError: If an index is outside the codebook.
        """
        if self.codebook_size > LARGEST_TABLE or torch.compiler.is_compiling():
            return self.unbound(self.indices_to_codes(indices))
        self.check_indices(indices)
        if self.table is None or self.table.device != indices.device:
            every = torch.arange(self.codebook_size, device=indices.device)
            self.table = self.unbound(self.indices_to_codes(every))
        return nn.functional.embedding(indices.long(), self.table)

    def check_indices(self, indices: torch.Tensor) -> None:
        """Raise a ValueError if an index is outside the codebook."""
        if torch.compiler.is_compiling() or not indices.numel():
            return
        low, high = (int(each) for each in indices.aminmax())
        if low < 0 or high >= self.codebook_size:
            raise ValueError(
                f"indices: expected 0 to {self.codebook_size - 1:,}, got {low:,} to {high:,}: encode with "
                "the codec of this codebook"
            )

    def _half_levels(self) -> torch.Tensor:
        """Return half the levels of each dimension, rounded down, as numbers that need no conversion."""
        return (self.levels // 2).float()

    def _half_range(self, margin: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return half the range of each dimension, and the distance of its middle from a level."""
        offset = (self.levels % 2 == 0) * 0.5
        return (self.levels - 1) * margin / 2, offset
