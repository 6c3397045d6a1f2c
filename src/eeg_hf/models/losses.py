# SPDX-License-Identifier: Apache-2.0
"""The losses, each written once.

Every loss is a mean over windows, so those of equal shares of a batch may be averaged.
"""

import math
from collections.abc import Sequence

import torch
from torch import nn

if torch.distributed.is_available():
    from torch.distributed.nn.functional import all_gather


def masked_reconstruction_loss(
    reconstruction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Return the squared error over hidden samples, averaged within each window and then over windows.

    Args:
        reconstruction: (batch, channels, time).
        target: Same shape, same unit.
        mask: Same shape, True = hidden and therefore scored.
    """
    error = (reconstruction - target).square().masked_fill(~mask, 0.0)
    return (error.flatten(1).sum(dim=-1) / mask.flatten(1).sum(dim=-1).clamp(min=1)).mean()


def masked_code_loss(
    logits: torch.Tensor, digits: torch.Tensor, levels: Sequence[int], is_hidden: torch.Tensor
) -> torch.Tensor:
    """Return the cross entropy over hidden patches, averaged within each window and then over windows.

    That of a dimension with L levels is divided by log(L): 1 is what knowing nothing costs, whatever the
    levels, so that the loss is on the scale of the reconstruction of a normalised signal.

    Args:
        logits: (batch, channels, num_patches, codes_per_patch, sum of the levels).
        digits: (batch, channels, num_patches, codes_per_patch, code_dim), the right levels.
        levels: Number of levels of each dimension.
        is_hidden: (batch, channels, num_patches), True = scored.
    """
    losses = [
        nn.functional.cross_entropy(scores.movedim(-1, 1).float(), right, reduction="none") / math.log(level)
        for level, scores, right in zip(
            levels, logits.split(list(levels), -1), digits.unbind(-1), strict=True
        )
    ]
    error = torch.stack(losses).mean(dim=(0, -1))  # (batch, channels, num_patches)
    error = error.masked_fill(~is_hidden, 0.0).flatten(1).sum(dim=-1)
    return (error / is_hidden.flatten(1).sum(dim=-1).clamp(min=1)).mean()


def info_nce_loss(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Contrast two views: each must find its partner among the windows of all processes.

    InfoNCE (van den Oord et al. 2018, https://arxiv.org/abs/1807.03748), symmetric in the two views. Under
    torch.distributed the candidates are gathered with gradients, so 2 x 8 windows give the loss of 1 x 16.

    Args:
        first: (batch, features) of unit length.
        second: (batch, features) of unit length; row i is the positive of row i of `first`.
        temperature: Divides the cosine similarities.
    """
    if temperature <= 0:
        raise ValueError(f"temperature: expected more than 0, got {temperature}")
    is_gathered = torch.distributed.is_available() and torch.distributed.is_initialized()
    rank = torch.distributed.get_rank() if is_gathered else 0
    targets = torch.arange(len(first), device=first.device) + rank * len(first)
    losses = []
    for anchors, candidates in ((first, second), (second, first)):
        if is_gathered:
            candidates = torch.cat(all_gather(candidates))
        losses.append(nn.functional.cross_entropy(anchors @ candidates.T / temperature, targets))
    return torch.stack(losses).mean()


def task_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    num_labels: int,
    class_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Return the loss of one task: squared error for one output, cross entropy for several.

    Args:
        logits: (batch, num_labels).
        labels: (batch,) values or class indices, or (batch, num_labels) class shares. NaN and -100 mean
            missing: such rows are left out, and a batch without any label gives 0 with a path for gradients.
        num_labels: 1 means regression.
        class_weights: Weight of each class; 1 on average, so that the loss stays a mean over windows.
        label_smoothing: Share of every label spread over all classes.
    """
    is_known = ~labels.isnan() & (labels != -100) if labels.is_floating_point() else labels != -100
    if labels.ndim == 2:
        is_known = is_known.all(dim=-1)
    if num_labels == 1:
        values = torch.where(is_known, labels.to(logits.dtype).view(-1), 0.0)
        losses = (logits.squeeze(-1) - values).square()
    else:
        missing = (~is_known)[:, None] if labels.ndim == 2 else ~is_known
        targets = labels.masked_fill(missing, 0).to(logits.dtype if labels.ndim == 2 else torch.long)
        losses = nn.functional.cross_entropy(
            logits,
            targets,
            weight=None if class_weights is None else logits.new_tensor(class_weights),
            label_smoothing=label_smoothing,
            reduction="none",
        )
    return (losses * is_known).sum() / is_known.sum().clamp(min=1)
