# SPDX-License-Identifier: Apache-2.0
"""Cut signals into overlapping patches and back.

A signal of T samples has `ceil((T - patch_size) / hop_size) + 1` patches, at least one; the last one is
filled with zeros. A patch is real if it has at least one real sample that no earlier patch has, so
right-padding a signal adds only patches that are not real.
"""

import torch
from torch import nn


def count_patches(num_samples: int, patch_size: int, hop_size: int) -> int:
    """Return the number of patches that cover `num_samples` samples."""
    return -(-max(num_samples - patch_size, 0) // hop_size) + 1


def patchify(values: torch.Tensor, patch_size: int, hop_size: int) -> torch.Tensor:
    """Cut (..., time) into (..., num_patches, patch_size), filling the end with zeros."""
    num_samples = values.shape[-1]
    # Samples from the start of the first patch to the end of the last one
    covered = (count_patches(num_samples, patch_size, hop_size) - 1) * hop_size + patch_size
    filled = nn.functional.pad(values, (0, covered - num_samples))
    if hop_size == patch_size:  # exported files would gather the samples of each patch one by one
        return filled.unflatten(-1, (-1, patch_size))
    return filled.unfold(-1, patch_size, hop_size)


def unpatchify(patches: torch.Tensor, hop_size: int, num_samples: int) -> torch.Tensor:
    """Assemble (batch, channels, num_patches, patch_size) to (batch, channels, num_samples).

    Overlapping patches are averaged.
    """
    batch, channels, num_patches, patch_size = patches.shape
    covered = (num_patches - 1) * hop_size + patch_size
    if hop_size == patch_size:
        return patches.flatten(2)[..., :num_samples]
    columns = patches.flatten(0, 1).transpose(1, 2)  # (batch * channels, patch_size, num_patches)
    shape = {"output_size": (1, covered), "kernel_size": (1, patch_size), "stride": (1, hop_size)}
    # fold sums overlapping patches; folding ones counts them
    summed = nn.functional.fold(columns, **shape)  # (batch * channels, 1, 1, covered)
    counts = nn.functional.fold(torch.ones_like(columns[:1]), **shape)
    return (summed / counts).view(batch, channels, covered)[..., :num_samples]


def find_real_patches(attention_mask: torch.Tensor, patch_size: int, hop_size: int) -> torch.Tensor:
    """Turn a mask of real samples (batch, time) into one of real patches (batch, num_patches)."""
    first = attention_mask[:, :patch_size].any(dim=-1, keepdim=True)
    if attention_mask.shape[-1] <= patch_size:
        return first
    new_samples = patchify(attention_mask[:, patch_size:].float(), hop_size, hop_size)  # of later patches
    return torch.cat([first, new_samples.amax(dim=-1) > 0], dim=-1)
