# SPDX-License-Identifier: Apache-2.0
"""The slow time course of windows that are locked to an event.

An evoked response is the mean of many windows, at a fixed time after the event. A covariance forgets when
something happened; the course keeps it, as the cosine transform of each spatial component up to a frequency.
Before, each window is whitened by its own correlations, so that a response counts by how far it stands out of
what goes on in that window. It has no parameters.
"""

import math

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers import initialization as init

from .second_order import split_power
from .spatial_basis import spatial_matrix
from .spd_inverse_root import shrunk_inverse_root

SHRINKAGE = 0.1


def slow_cosines(num_samples: int, num_cosines: int, device: torch.device | None = None) -> torch.Tensor:
    """Return the slowest orthonormal cosines (DCT-II) of a window, (num_cosines, num_samples).

    The k-th has k half periods in the window.
    """
    time = (torch.arange(num_samples, device=device, dtype=torch.float32) + 0.5) / num_samples
    order = torch.arange(num_cosines, device=device, dtype=torch.float32)
    cosines = (math.pi * order[:, None] * time).cos() * math.sqrt(2 / num_samples)
    return torch.where(order[:, None] == 0, math.sqrt(1 / num_samples), cosines)


class TimeCourse(nn.Module):
    """The standardised time course of each spatial component of the second-order tokens."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.config = config
        self.num_samples = round(config.time_course_seconds * config.sampling_rate)
        shape = (config.num_components, config.num_cosines)
        self.register_buffer("mean", torch.empty(shape))
        self.register_buffer("scale", torch.empty(shape))

    def reset_parameters(self) -> None:
        """Scale by nothing."""
        init.zeros_(self.mean)
        init.ones_(self.scale)

    def forward(
        self, values: torch.Tensor, channel_positions: torch.Tensor, channel_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the course of the first `time_course_seconds`, (batch, components, num_cosines) float32.

        Args:
            values: (batch, channels, time), zeros where padded or masked. What a window lacks counts as zero.
            channel_positions: (batch, channels, 3), metres in the head frame.
            channel_mask: (batch, channels) bool, True = real.
        """
        with torch.autocast(values.device.type, enabled=False):
            basis = spatial_matrix(self.config, channel_positions, channel_mask)
            missing = max(self.num_samples - values.shape[-1], 0)
            values = nn.functional.pad(values.float(), (0, missing))[..., : self.num_samples]
            components = basis @ values  # (batch, components, num_samples)
            correlations, log_power = split_power(components @ components.mT / self.num_samples)
            whitening = shrunk_inverse_root(correlations, SHRINKAGE)  # (batch, components, components)
            cosines = slow_cosines(self.num_samples, self.config.num_cosines, values.device)
            course = components @ cosines.mT / (0.5 * log_power).exp()[..., None]
            course = whitening @ course  # (batch, components, num_cosines)
            return (course - self.mean.float()) / self.scale.float()

    @torch.no_grad()
    def reset_standardization(self) -> None:
        """Leave the course as it is, until `set_population` is called."""
        self.mean.zero_()
        self.scale.fill_(1.0)

    @torch.no_grad()
    def set_population(self, courses: torch.Tensor) -> None:
        """Standardise by training windows, (windows, components, num_cosines) as they come out before."""
        scale = courses.std(dim=0, correction=0)
        self.mean.copy_(courses.mean(dim=0))
        self.scale.copy_(torch.where(scale > 1e-6, scale, 1.0))


__all__ = ["TimeCourse", "slow_cosines"]
