# SPDX-License-Identifier: Apache-2.0
"""What contrastive objectives share: rows of all processes, similarities, the projection head.

Under torch.distributed the rows of all processes are gathered with gradients: 2 processes of 8 windows give
the loss of one batch of 16.
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from .objective import Objective
from .scalar_parameter import register_scalar

if torch.distributed.is_available():
    from torch.distributed.nn.functional import all_gather

NO_SIMILARITY = -1e4  # below any cosine over any temperature, but finite: infinities give NaN gradients


def is_gathered() -> bool:
    """Return whether there are other processes."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def gather_rows(rows: torch.Tensor) -> torch.Tensor:
    """Return the rows (batch, ...) of all processes in their order; all processes need the same number."""
    return torch.cat(all_gather(rows)) if is_gathered() else rows


def own_rows(num_rows: int) -> slice:
    """Return the place of this process's rows among the gathered ones."""
    start = torch.distributed.get_rank() * num_rows if is_gathered() else 0
    return slice(start, start + num_rows)


def similarities(anchors: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    """Return products of unit vectors in float32: bf16 would change the gradients by 2 %."""
    with torch.autocast(anchors.device.type, enabled=False):
        return anchors @ candidates.mT


def contrast_positives(
    similarity: torch.Tensor, is_positive: torch.Tensor, is_negative: torch.Tensor
) -> torch.Tensor:
    """Return for each anchor the sum over its positives of -log softmax(positive | positive and negatives).

    Args:
        similarity: (anchors, candidates), divided by the temperature.
        is_positive: (anchors, candidates) bool.
        is_negative: (anchors, candidates) bool.
    """
    # softplus(log sum exp(negatives) - positive) = -log(exp(positive) / (exp(positive) + sum exp(negatives)))
    hardness = similarity.masked_fill(~is_negative, NO_SIMILARITY).logsumexp(dim=-1, keepdim=True)
    return nn.functional.softplus(hardness - similarity).masked_fill(~is_positive, 0.0).sum(dim=-1)


def check_temperature(temperature: float | torch.Tensor) -> None:
    """Raise a ValueError if a temperature is not positive; a learned one is positive by construction."""
    if not torch.is_tensor(temperature) and temperature <= 0:
        raise ValueError(f"temperature: expected more than 0, got {temperature}")


class Temperature(nn.Module):
    """The divisor of similarities. With `is_learnable` its logarithm is trained, as in CLIP.

    Args:
        temperature: Its initial value.
        is_learnable: Train it.
    """

    log_temperature: nn.Parameter

    def __init__(self, temperature: float = 0.07, is_learnable: bool = False) -> None:
        super().__init__()
        check_temperature(temperature)
        self.start = temperature
        if is_learnable:
            register_scalar(self, "log_temperature", math.log(temperature))
        self.is_learnable = is_learnable

    def forward(self) -> float | torch.Tensor:
        """Return the temperature, at least 0.01: below, one pair decides all (CLIP, section 2.5)."""
        return self.log_temperature[0].exp().clamp(min=0.01) if self.is_learnable else self.start


class GatheredBatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the rows of all processes; other than `SyncBatchNorm`, also on CPUs."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Map (batch, features) to the same shape."""
        if not self.training:  # running statistics, the same on all processes
            return super().forward(input)
        return super().forward(gather_rows(input))[own_rows(input.shape[0])]


class ContrastiveProjectionHead(nn.Module):
    """Two layers onto the unit sphere, where windows are contrasted (SimCLR, https://arxiv.org/abs/2002.05709).

    Args:
        encoder_dim: Width of the input.
        projection_dim: Width of the output.
        batch_norm: Normalise over the batch between the layers and use ReLU, as SimCLR does. Without it the
            features of a window do not depend on the rest of its batch.
    """

    def __init__(self, encoder_dim: int, projection_dim: int = 128, batch_norm: bool = True) -> None:
        super().__init__()
        self.dense = nn.Linear(encoder_dim, encoder_dim)
        self.norm = GatheredBatchNorm(encoder_dim) if batch_norm else nn.Identity()
        self.activation = nn.ReLU() if batch_norm else nn.GELU()
        self.out = nn.Linear(encoder_dim, projection_dim)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, encoder_dim) to unit vectors (batch, projection_dim)."""
        projected = self.out(self.activation(self.norm(self.dense(features))))
        return nn.functional.normalize(projected.float(), dim=-1)


class ContrastiveObjective(Objective):
    """Base of the objectives that contrast windows: they share one head, one temperature and one weight."""

    defaults = {}

    @property
    def weights(self) -> dict[str, float]:
        """Weight of the loss."""
        return {"contrastive_loss": self.config.contrastive_weight}

    def build_heads(self) -> dict[str, Callable[[], nn.Module]]:
        """Return the projection head and the temperature."""
        config = self.config
        sizes = (config.hidden_size, config.projection_size)
        return {
            "projection_head": partial(ContrastiveProjectionHead, *sizes, config.projection_batch_norm),
            "temperature": partial(Temperature, config.contrastive_temperature, config.learnable_temperature),
        }


__all__ = [
    "ContrastiveObjective",
    "ContrastiveProjectionHead",
    "Temperature",
    "check_temperature",
    "contrast_positives",
    "gather_rows",
    "own_rows",
    "similarities",
]
