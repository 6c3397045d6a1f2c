# SPDX-License-Identifier: Apache-2.0
"""Random masks for masked pretraining.

Masks remove stretches of samples of one channel, not patches: where patches overlap, the samples of a removed
patch would remain in its neighbours. Convention: True is removed in `mask`, and real in a real-mask.
"""

import functools

import torch


def random_stretch_mask(
    is_real: torch.Tensor, *, stretch_size: int, mask_ratio: float, noise: torch.Tensor | None = None
) -> torch.Tensor:
    """Mask a share of the stretches of every window.

    Args:
        is_real: (batch, channels, time), True where a sample is real.
        stretch_size: Samples of one stretch.
        mask_ratio: Share of the real stretches of each window to mask; at least one is masked, and one is
            left.
        noise: (batch, channels, num_stretches) in [0, 1): the stretches with the smallest noise are masked.
            Drawn from the global generator by default.

    Returns:
        (batch, channels, time) bool, True = removed; never True where `is_real` is False.
    """
    batch, channels, num_samples = is_real.shape
    num_stretches = -(-num_samples // stretch_size)
    if noise is None:
        noise = torch.rand(batch, channels, num_stretches, device=is_real.device)
    if noise.shape != (batch, channels, num_stretches):
        raise ValueError(
            f"noise: expected shape {(batch, channels, num_stretches)}, got {tuple(noise.shape)}"
        )
    # Stretches without real samples sort last, so that they are never masked
    has_samples = is_real[..., ::stretch_size]  # a stretch counts as real when its first sample is
    noise = noise.masked_fill(~has_samples, 2.0).flatten(1)  # (batch, channels * num_stretches)
    num_real = has_samples.flatten(1).sum(dim=-1, keepdim=True)
    num_masked = (num_real * mask_ratio).round().clamp(min=1).minimum((num_real - 1).clamp(min=1))
    # The rank of each stretch by its noise decides, which keeps the number of masked stretches exact
    rank = noise.argsort(dim=-1, stable=True).argsort(dim=-1)
    is_masked = (rank < num_masked).view(batch, channels, num_stretches)
    return is_masked.repeat_interleave(stretch_size, dim=-1)[..., :num_samples] & is_real


def zero_masked(
    values: torch.Tensor,
    channel_mask: torch.Tensor | None,
    attention_mask: torch.Tensor | None,
    mask: torch.Tensor | None,
) -> torch.Tensor:
    """Set samples that are masked or not real to zero, by selection: a product would keep NaN."""
    removed = [mask] if mask is not None else []
    if channel_mask is not None:
        removed.append(~channel_mask.bool()[:, :, None])
    if attention_mask is not None:
        removed.append(~attention_mask.bool()[:, None])
    # Joined first: filling values takes longer than joining masks
    return values.masked_fill(functools.reduce(torch.logical_or, removed), 0.0) if removed else values
