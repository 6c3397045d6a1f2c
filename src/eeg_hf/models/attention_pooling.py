# SPDX-License-Identifier: Apache-2.0
"""A mean of tokens whose weights are learned: an attentive probe reads an encoder through it."""

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import initialization as init


class AttentionPooling(nn.Module):
    """Pool the tokens of a window by learned queries, one for each head.

    The multihead attention pooling of https://arxiv.org/abs/1810.00825 without its feed-forward layer, as
    https://arxiv.org/abs/2202.03026 probes frozen encoders.

    Args:
        hidden_size: Width of a token.
        num_heads: Divides `hidden_size`.
    """

    def __init__(self, hidden_size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Parameter(torch.empty(hidden_size))
        self.key = nn.Linear(hidden_size, hidden_size)
        self.value = nn.Linear(hidden_size, hidden_size)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the queries; small ones weight all tokens nearly alike at first."""
        init.normal_(self.query, std=0.02)

    def forward(self, tokens: torch.Tensor, is_real: torch.Tensor) -> torch.Tensor:
        """Return one vector (batch, hidden_size) a window.

        Args:
            tokens: (batch, ..., hidden_size).
            is_real: (batch, ...) bool, True = real; a window without a real token is pooled over all.
        """
        tokens, is_real = tokens.flatten(1, -2), is_real.flatten(1)  # (batch, tokens, size), (batch, tokens)
        is_read = is_real | ~is_real.any(dim=1, keepdim=True)
        query = self.query.expand(len(tokens), 1, -1)
        query, key, value = (
            states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (batch, heads, tokens, width)
            for states in (query, self.key(tokens), self.value(tokens))
        )
        pooled = scaled_dot_product_attention(query, key, value, attn_mask=is_read[:, None, None])
        return pooled.flatten(1)


__all__ = ["AttentionPooling"]
