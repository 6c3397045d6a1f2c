# SPDX-License-Identifier: Apache-2.0
"""Random masks for masked pretraining.

What is hidden are stretches of samples on one channel, never patches: with overlapping patches a hidden patch
would still stand in its neighbours. Convention: True in `mask` = hidden; True in a real-mask = real.
"""

import torch


def random_stretch_mask(
    is_real: torch.Tensor, stretch_size: int, mask_ratio: float, noise: torch.Tensor | None = None
) -> torch.Tensor:
    """Hide a share of the stretches of every window.

    Args:
        is_real: (batch, channels, time), True where a sample is real.
        stretch_size: Samples of one stretch.
        mask_ratio: Share of the real stretches of each window to hide; at least one is hidden, and one is
            left.
        noise: (batch, channels, num_stretches) in [0, 1): the stretches with the smallest noise are hidden.
            Drawn from the global generator when not given.

    Returns:
        (batch, channels, time) bool, True = hidden; never True where `is_real` is False.
    """
    batch, channels, num_samples = is_real.shape
    num_stretches = -(-num_samples // stretch_size)
    if noise is None:
        noise = torch.rand(batch, channels, num_stretches, device=is_real.device)
    if noise.shape != (batch, channels, num_stretches):
        raise ValueError(
            f"noise: expected shape {(batch, channels, num_stretches)}, got {tuple(noise.shape)}"
        )
    has_samples = is_real[..., ::stretch_size]  # a stretch counts as real when its first sample is
    noise = noise.masked_fill(~has_samples, 2.0).flatten(1)  # (batch, channels * num_stretches)
    num_real = has_samples.flatten(1).sum(dim=-1, keepdim=True)
    num_hidden = (num_real * mask_ratio).round().clamp(min=1).minimum((num_real - 1).clamp(min=1))
    rank = noise.argsort(dim=-1, stable=True).argsort(dim=-1)
    hidden = (rank < num_hidden).view(batch, channels, num_stretches)
    return hidden.repeat_interleave(stretch_size, dim=-1)[..., :num_samples] & is_real


def hide(
    values: torch.Tensor,
    channel_mask: torch.Tensor | None,
    attention_mask: torch.Tensor | None,
    mask: torch.Tensor | None,
) -> torch.Tensor:
    """Zero what is not real or hidden; by selection, not by product, so that not even a NaN gets through."""
    if channel_mask is not None:
        values = torch.where(channel_mask.bool()[:, :, None], values, 0.0)
    if attention_mask is not None:
        values = torch.where(attention_mask.bool()[:, None], values, 0.0)
    if mask is not None:
        values = torch.where(mask, 0.0, values)
    return values
