# SPDX-License-Identifier: Apache-2.0
"""Predicting the codes of a codec with finite scalar quantization.

Each dimension of a code has a softmax of its own: 39 outputs for levels 8, 8, 8, 5, 5, 5, where one softmax
over all codes would have 64,000. Most codes occur seldom or never in a corpus, so a class for each would not
be learned; and a code that differs in one level is nearly right, which only separate dimensions can tell. The
price: dimensions are taken to be independent, given what the model sees.
"""

from collections.abc import Sequence

import torch
from torch import nn

from .finite_scalar_quantization import FiniteScalarQuantizer


class CodeHead(nn.Module):
    """Tokens of the encoder to logits of every dimension of every code.

    Args:
        hidden_size: Width of a token.
        levels: Levels of each dimension of a code.
        codes_per_patch: Codes of one patch.
    """

    def __init__(self, hidden_size: int, levels: Sequence[int], codes_per_patch: int) -> None:
        super().__init__()
        self.quantizer = FiniteScalarQuantizer(levels)
        self.codes_per_patch = codes_per_patch
        self.out = nn.Linear(hidden_size, codes_per_patch * sum(levels))

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Map (..., hidden_size) to (..., codes_per_patch, sum of the levels)."""
        return self.out(hidden_states).unflatten(-1, (self.codes_per_patch, -1))

    def indices_to_digits(self, indices: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Return the level of each dimension, (*shape, codes_per_patch, code_dim), of tokens.

        Args:
            indices: (batch, channels, num_patches * codes_per_patch).
            shape: (batch, channels, num_patches).

        Raises:
            ValueError: If the tokens are of another shape or of another codebook.
        """
        expected = (*shape[:2], shape[2] * self.codes_per_patch)
        if indices.shape != expected:
            raise ValueError(f"code_indices: expected {expected} tokens, got {tuple(indices.shape)}")
        return self.quantizer.indices_to_digits(indices).unflatten(2, (shape[2], self.codes_per_patch))
