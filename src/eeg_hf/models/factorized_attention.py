# SPDX-License-Identifier: Apache-2.0
"""Transformer layers that attend along time within a channel, then across channels within a patch.

The factorisation of CBraMod (https://arxiv.org/abs/2412.07236): the cost grows with channels * patches *
(channels + patches), not with (channels * patches)^2.
"""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from .attention import Attention
from .dropout import Dropout
from .recomputed import recomputed


class TemporalAttention(Attention):
    """Attention among the patches of one channel."""

    def forward(  # type: ignore[override]  # the grid is its own
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend along axis 2 of (batch, channels, num_patches, hidden_size)."""
        grid = hidden_states.shape[:2]
        attended, weights = super().forward(hidden_states.flatten(0, 1), attention_mask, grid, **kwargs)
        return attended.unflatten(0, grid), weights


class ChannelAttention(Attention):
    """Attention among the channels of one patch.

    Args:
        config: With the sizes of [`EEGFoundationConfig`]; or the sizes alone:
        d_model: Width of a token.
        n_channels: Number of channels; any by default.
        attention_heads: Divides `d_model`.
        dropout: Of the attention.

    Example:
        >>> import torch
        >>> from eeg_hf.models.factorized_attention import ChannelAttention
        >>> attention = ChannelAttention(d_model=512, n_channels=19, attention_heads=8)
        >>> attention(torch.randn(2, 19, 5, 512))[0].shape
        torch.Size([2, 19, 5, 512])
    """

    def __init__(
        self,
        config: PreTrainedConfig | None = None,
        *,
        d_model: int | None = None,
        n_channels: int | None = None,
        attention_heads: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        if config is None:
            if not d_model or not attention_heads or d_model % attention_heads:
                raise ValueError(
                    "ChannelAttention: expected a config, or d_model, a multiple of attention_heads; got "
                    f"d_model {d_model} and attention_heads {attention_heads}"
                )
            fields: dict[str, Any] = {"hidden_size": d_model, "num_attention_heads": attention_heads}
            fields |= {"dropout": dropout, "attn_implementation": "sdpa"}
            config = PreTrainedConfig(**fields)
        super().__init__(config)
        self.n_channels = n_channels

    def forward(  # type: ignore[override]  # the grid is its own
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Attend along axis 1 of (batch, channels, num_patches, hidden_size)."""
        if self.n_channels not in (None, hidden_states.shape[1]):
            raise ValueError(
                f"expected tokens (batch, {self.n_channels} channels, num_patches, hidden_size), got "
                f"{tuple(hidden_states.shape)}"
            )
        by_patch = hidden_states.transpose(1, 2)  # (batch, num_patches, channels, hidden_size)
        grid = by_patch.shape[:2]
        attended, weights = super().forward(by_patch.flatten(0, 1), attention_mask, grid, **kwargs)
        return attended.unflatten(0, grid).transpose(1, 2), weights


class FeedForward(nn.Module):
    """Two linear layers, applied to each token separately."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Map (..., hidden_size) to the same shape."""
        raised = self.up_proj(hidden_states)  # (..., intermediate_size), the widest of all
        activated = self.activation(raised)
        with recomputed(activated, self.activation, raised):
            return self.down_proj(activated)


class FactorizedLayer(GradientCheckpointingLayer):
    """Pre-norm residual layer: temporal attention, channel attention, feed-forward."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.temporal_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.temporal_attention = TemporalAttention(config)
        if config.use_channel_attention:
            self.channel_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
            self.channel_attention = ChannelAttention(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.dropout = Dropout(config.dropout)
        self.use_channel_attention = config.use_channel_attention

    def forward(
        self,
        hidden_states: torch.Tensor,
        temporal_mask: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        **kwargs: object,
    ) -> torch.Tensor:
        """Map tokens (batch, channels, num_patches, hidden_size) to the same shape."""
        # Along time within each channel
        attended, _ = self.temporal_attention(self.temporal_norm(hidden_states), temporal_mask, **kwargs)
        hidden_states = hidden_states + self.dropout(attended)
        if self.use_channel_attention:  # across the channels of each patch
            attended, _ = self.channel_attention(self.channel_norm(hidden_states), channel_mask, **kwargs)
            hidden_states = hidden_states + self.dropout(attended)
        normed = self.feed_forward_norm(hidden_states)
        with recomputed(normed, self.feed_forward_norm, hidden_states):
            return hidden_states + self.dropout(self.feed_forward(normed))
