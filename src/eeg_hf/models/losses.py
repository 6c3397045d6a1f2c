# SPDX-License-Identifier: Apache-2.0
"""Losses that several models or objectives use. Those of one objective are in its file `objective_<name>.py`.

Every loss is a mean over windows, so the losses of equal shares of a batch may be averaged.
"""

from collections.abc import Sequence

import torch
from torch import nn


def mean_over_windows(error: torch.Tensor, is_scored: torch.Tensor) -> torch.Tensor:
    """Average an error (batch, ...) where it is scored, within each window and then over windows."""
    error = error.masked_fill(~is_scored, 0.0).flatten(1).sum(dim=-1)  # (batch,)
    return (error / is_scored.flatten(1).sum(dim=-1).clamp(min=1)).mean()


def masked_reconstruction_loss(
    reconstruction: torch.Tensor, target: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Return the squared error over masked samples, averaged within each window and then over windows.

    Args:
        reconstruction: (batch, channels, time).
        target: Same shape, same unit.
        mask: Same shape, True = removed from the input and therefore scored.
    """
    return mean_over_windows((reconstruction - target).square(), mask)


def task_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    num_labels: int,
    *,
    class_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Return the loss of one task: squared error for one output, cross entropy for several.

    Args:
        logits: (batch, num_labels).
        labels: (batch,) values or class indices, or (batch, num_labels) class shares. NaN and -100 mean
            missing: such rows are left out. A batch without any label gives 0, through which gradients can
            flow.
        num_labels: 1 means regression.
        class_weights: Weight of each class; 1 on average, so that the loss stays a mean over windows.
        label_smoothing: Share of every label that is spread over all classes.

    Raises:
        ValueError: If a class index is not in [0, num_labels).
    """
    is_known = ~labels.isnan() & (labels != -100) if labels.is_floating_point() else labels != -100
    if labels.ndim == 2:
        is_known = is_known.all(dim=-1)  # (batch,)
    # Missing labels get a valid value first, so that no NaN or index -100 enters the loss
    if num_labels == 1:
        values = torch.where(is_known, labels.to(logits.dtype).view(-1), 0.0)
        losses = (logits.squeeze(-1) - values).square()
    else:
        missing = (~is_known)[:, None] if labels.ndim == 2 else ~is_known
        targets = labels.masked_fill(missing, 0).to(logits.dtype if labels.ndim == 2 else torch.long)
        if labels.ndim == 1 and not torch.compiler.is_compiling():
            check_classes(targets, num_labels)
        losses = nn.functional.cross_entropy(
            logits,
            targets,
            weight=None if class_weights is None else logits.new_tensor(class_weights),
            label_smoothing=label_smoothing,
            reduction="none",
        )
    return (losses * is_known).sum() / is_known.sum().clamp(min=1)


def check_classes(classes: torch.Tensor, num_classes: int) -> None:
    """Raise a ValueError naming a class index out of range; a GPU would stop with a nameless assertion."""
    lowest, highest = classes.min().item(), classes.max().item()
    if lowest < 0 or highest >= num_classes:
        wrong = lowest if lowest < 0 else highest
        raise ValueError(f"expected class indices 0 to {num_classes - 1}, got {wrong}")


__all__ = ["masked_reconstruction_loss", "mean_over_windows", "task_loss"]
