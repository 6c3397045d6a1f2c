# SPDX-License-Identifier: Apache-2.0
"""Embeddings of electrode positions; models never use the index of a channel."""

import math

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from .parameter_dtype import parameter_dtype

HEAD_RADIUS_METRES = 0.1  # brings electrode coordinates to about [-1, 1]
NUM_POSITION_OCTAVES = 4  # sin and cos of x, y, z at 1, 2, 4, 8 half periods per head radius
NUM_PLACE_FEATURES = 3 + 6 * NUM_POSITION_OCTAVES


def place_features(positions: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Map positions (..., 3) in metres to features (..., NUM_PLACE_FEATURES)."""
    scaled = positions.to(dtype) / HEAD_RADIUS_METRES
    octaves = math.pi / 2 * 2.0 ** torch.arange(NUM_POSITION_OCTAVES, device=scaled.device, dtype=dtype)
    phase = (scaled[..., None] * octaves).flatten(-2)  # (..., 3 * octaves)
    return torch.cat([scaled, phase.sin(), phase.cos()], dim=-1)


class ChannelPositionEmbedding(nn.Module):
    """Embed electrode coordinates."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(NUM_PLACE_FEATURES, config.hidden_size)
        self.activation = ACT2FN[config.hidden_act]
        self.out = nn.Linear(config.hidden_size, config.hidden_size)
        # Without the norm, an untrained embedding is a hundred times smaller than a token and has no effect
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, channel_positions: torch.Tensor) -> torch.Tensor:
        """Map (batch, channels, 3) in metres to (batch, channels, hidden_size)."""
        # (batch, channels, NUM_PLACE_FEATURES)
        features = place_features(channel_positions, parameter_dtype(self.dense))
        return self.norm(self.out(self.activation(self.dense(features))))
