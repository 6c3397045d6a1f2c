# SPDX-License-Identifier: Apache-2.0
"""The grid of tokens (batch, channels, num_patches): electrode positions, real tokens, attention masks."""

from typing import Any

import torch
from transformers import PreTrainedConfig
from transformers.masking_utils import create_bidirectional_mask

from .masking import random_stretch_mask
from .patching import count_patches, find_real_patches


def resolve_positions(
    config: PreTrainedConfig, input_values: torch.Tensor, positions: torch.Tensor | None
) -> torch.Tensor:
    """Return positions (batch, channels, 3), by default the config's; check the shape of the signal."""
    if input_values.ndim != 3:
        raise ValueError(f"input_values: expected (batch, channels, time), got {tuple(input_values.shape)}")
    batch, channels, num_samples = input_values.shape
    refuse_empty(input_values)
    if not 0 < num_samples <= config.max_seq_length:
        raise ValueError(
            f"input_values: expected 1 to {config.max_seq_length} samples (max_seq_length), got "
            f"{num_samples}; cut the signal into windows"
        )
    # The default positions only fit the config's number of channels
    if positions is None:
        if channels != config.num_channels or config.channel_positions is None:
            raise ValueError(
                f"input_values has {channels} channels, the config has positions of "
                f"{len(config.channel_positions or ())}: pass channel_positions (batch, channels, "
                "3) in metres"
            )
        positions = torch.tensor(config.channel_positions, device=input_values.device)
    if positions.shape[-2:] != (channels, 3):
        raise ValueError(f"channel_positions: expected (batch, {channels}, 3), got {tuple(positions.shape)}")
    return positions.expand(batch, channels, 3)


def refuse_empty(input_values: torch.Tensor) -> None:
    """Raise a ValueError if there is no window or no channel: losses would be means of nothing."""
    if not torch.compiler.is_compiling() and 0 in input_values.shape[:2]:
        raise ValueError(
            f"input_values: expected one window and one channel or more, got {tuple(input_values.shape)}"
        )


def find_real_samples(
    input_values: torch.Tensor, channel_mask: torch.Tensor | None, attention_mask: torch.Tensor | None
) -> torch.Tensor:
    """Return which samples are real, (batch, channels, time) bool."""
    is_real = torch.ones_like(input_values, dtype=torch.bool)
    if channel_mask is not None:
        is_real = is_real & channel_mask.bool()[:, :, None]
    return is_real if attention_mask is None else is_real & attention_mask.bool()[:, None]


def find_real_tokens(
    values: torch.Tensor,
    channel_mask: torch.Tensor | None,
    attention_mask: torch.Tensor | None,
    patch_size: int,
    hop_size: int,
) -> torch.Tensor:
    """Return which tokens are real, (batch, channels, num_patches) bool."""
    batch, channels, num_samples = values.shape
    num_patches = count_patches(num_samples, patch_size, hop_size)
    is_real = values.new_ones(batch, channels, num_patches, dtype=torch.bool)
    if channel_mask is not None:
        is_real = is_real & channel_mask.bool()[:, :, None]
    if attention_mask is not None:
        is_real = is_real & find_real_patches(attention_mask.bool(), patch_size, hop_size)[:, None]
    return is_real


def create_attention_masks(
    config: PreTrainedConfig,
    hidden_states: torch.Tensor,
    is_real: torch.Tensor,
    channel_mask: torch.Tensor | None,
    attention_mask: torch.Tensor | None,
) -> tuple[Any, Any]:
    """Return the masks of temporal and channel attention, in the form of the attention implementation.

    A padded channel still attends to its own patches, so that no row of an attention is empty: softmax would
    turn it into NaN.
    """
    temporal_mask = spatial_mask = None
    if attention_mask is not None:
        # A patch is real in time if any channel is; the same for all channels of a window
        real_patches = is_real.any(dim=1, keepdim=True).expand(is_real.shape).flatten(0, 1)
        tokens = hidden_states.flatten(0, 1)  # (batch * channels, num_patches, hidden_size)
        temporal_mask = create_bidirectional_mask(config, tokens, real_patches)
    if channel_mask is not None and config.use_channel_attention:
        # A channel is real or not for all patches
        real_channels = channel_mask.bool()[:, None].expand(-1, is_real.shape[2], -1).flatten(0, 1)
        tokens = hidden_states.transpose(1, 2).flatten(0, 1)  # (batch * num_patches, channels, hidden_size)
        spatial_mask = create_bidirectional_mask(config, tokens, real_channels)
    return temporal_mask, spatial_mask


def mean_over_real(hidden_states: torch.Tensor, is_real: torch.Tensor) -> torch.Tensor:
    """Average (batch, channels, num_patches, hidden_size) over real tokens to (batch, hidden_size)."""
    weights = is_real[..., None].to(hidden_states.dtype)  # (batch, channels, num_patches, 1)
    return (hidden_states * weights).sum(dim=(1, 2)) / weights.sum(dim=(1, 2)).clamp(min=1)


def resolve_mask(
    is_real: torch.Tensor,
    stretch_size: int,
    mask: torch.Tensor | None,
    mask_ratio: float,
    mask_noise: torch.Tensor | None,
) -> torch.Tensor:
    """Return the mask (batch, channels, time) bool: the given one, or a random one."""
    if mask is not None:
        if mask.shape != is_real.shape:
            raise ValueError(f"mask: expected {tuple(is_real.shape)}, got {tuple(mask.shape)}")
        return mask.bool() & is_real
    if not 0 < mask_ratio < 1:
        raise ValueError(f"mask_ratio: expected a share between 0 and 1, got {mask_ratio}")
    return random_stretch_mask(is_real, stretch_size=stretch_size, mask_ratio=mask_ratio, noise=mask_noise)
