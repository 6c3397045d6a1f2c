# SPDX-License-Identifier: Apache-2.0
"""Contrast two views of each window, as SimCLR does (https://arxiv.org/abs/2002.05709)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .contrast import (
    ContrastiveObjective,
    Temperature,
    check_temperature,
    gather_rows,
    own_rows,
    similarities,
)
from .objective import EncodedWindows


def info_nce_loss(
    first: torch.Tensor,
    second: torch.Tensor,
    temperature: float | torch.Tensor = 0.07,
    negatives: torch.Tensor | None = None,
) -> torch.Tensor:
    """Contrast two views: each row must find its partner among the rows of all processes.

    InfoNCE (van den Oord et al. 2018, https://arxiv.org/abs/1807.03748), symmetric in the two views. Under
    torch.distributed the candidates are gathered with gradients, so 2 x 8 windows give the loss of 1 x 16.

    Args:
        first: (batch, features); scaled to unit length.
        second: (batch, features); row i is the positive of row i of `first`.
        temperature: Divisor of the cosine similarities.
        negatives: (num_negatives, features), or (batch, num_negatives, features) for separate negatives of
            each row: `first` must find its partner among these instead of among the other windows.

    Raises:
        ValueError: If the temperature is not positive, or the shapes do not fit each other.
    """
    check_temperature(temperature)
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(
            f"expected two views (batch, features), got {tuple(first.shape)} and {tuple(second.shape)}"
        )
    first, second = (nn.functional.normalize(view.float(), dim=-1) for view in (first, second))
    if negatives is not None:
        batch, size = first.shape
        if negatives.ndim < 2 or negatives.shape[-1] != size or negatives.shape[:-2] not in ((), (batch,)):
            raise ValueError(
                f"negatives: expected (num_negatives, {size}), or ({batch}, num_negatives, {size}), got "
                f"{tuple(negatives.shape)}"
            )
        # Logits (batch, 1 + num_negatives), the partner first
        unlike = nn.functional.normalize(negatives.float(), dim=-1).expand(batch, -1, -1)
        others = similarities(first[:, None], unlike).squeeze(1)  # (batch, num_negatives)
        logits = torch.cat([(first * second).sum(dim=-1, keepdim=True), others], dim=-1)
        targets = torch.zeros(first.shape[0], dtype=torch.long, device=first.device)
        return nn.functional.cross_entropy(logits / temperature, targets)
    # Partner i of this process is row own.start + i among the rows of all processes
    own = own_rows(first.shape[0])
    targets = torch.arange(own.start, own.stop, device=first.device)
    losses = [
        nn.functional.cross_entropy(similarities(anchors, gather_rows(candidates)) / temperature, targets)
        for anchors, candidates in ((first, second), (second, first))
    ]
    return torch.stack(losses).mean()


class InfoNCE(nn.Module):
    """[`info_nce_loss`] with its own temperature, learned or not.

    Args:
        temperature: Its value; the initial value if it is learned.
        is_learnable: Train the temperature.

    Example:
        >>> import torch
        >>> from eeg_hf import InfoNCE
        >>> views = torch.eye(4)
        >>> round(InfoNCE(temperature=0.5)(views, views).item(), 3)
        0.341
    """

    def __init__(self, temperature: float = 0.07, is_learnable: bool = False) -> None:
        super().__init__()
        self.temperature = Temperature(temperature, is_learnable)

    def forward(
        self, first: torch.Tensor, second: torch.Tensor, negatives: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the loss of two views, each (batch, features)."""
        return info_nce_loss(first, second, self.temperature(), negatives)


class TwoViews(ContrastiveObjective):
    """InfoNCE between the windows and their augmented views.

    Batches with `stimulus_ids` are left to [`SameStimulus`], which shares the heads. Without
    `augmented_values` there is no loss, but the features are returned.
    """

    name = "two_views"
    columns = ("augmented_values",)

    def extend_inputs(
        self, inputs: dict[str, torch.Tensor | None], batch: Mapping[str, Any]
    ) -> dict[str, torch.Tensor | None]:
        """Append the views, unmasked, to the windows: DistributedDataParallel expects one forward a step."""
        if "augmented_values" not in batch or "stimulus_ids" in batch:
            return inputs
        # The other inputs, such as positions, are those of the windows
        mask = inputs["mask"]
        changed = {
            "input_values": batch["augmented_values"],
            "mask": mask if mask is None else torch.zeros_like(mask),
        }
        return {
            name: None if value is None else torch.cat([value, changed.get(name, value)])
            for name, value in inputs.items()
        }

    def compute(
        self, modules: Mapping[str, nn.Module], encoded: EncodedWindows, batch: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return `contrastive_features` (batch, projection_size) and, with views, `contrastive_loss`."""
        if "stimulus_ids" in batch:
            return {}
        features = modules["projection_head"](encoded.outputs["pooler_output"])  # windows, then their views
        batch_size = encoded.values.shape[0]
        windows, views = features[:batch_size], features[batch_size:]
        if "augmented_values" not in batch:
            return {"contrastive_features": windows}
        loss = info_nce_loss(windows, views, modules["temperature"]())
        return {"contrastive_features": windows, "contrastive_loss": loss}


__all__ = ["InfoNCE", "TwoViews", "info_nce_loss"]
