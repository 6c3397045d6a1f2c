# SPDX-License-Identifier: Apache-2.0
"""Seeded transforms of normalised windows (batch, channels, time).

Every transform draws from the generator passed to it, on the CPU, and returns a new tensor; amplitudes are in
units of the normalised signal, times in samples. Transforms do not see the labels, so none may change them
(mirroring the head would swap left and right hand).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

Transform = Callable[[torch.Tensor, torch.Generator], torch.Tensor]


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low


@dataclass(frozen=True)
class GaussianNoise:
    """Add white noise of the given standard deviation."""

    std: float = 0.1

    def __call__(self, values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return values of the same shape."""
        return values + self.std * torch.randn(values.shape, generator=generator)


@dataclass(frozen=True)
class AmplitudeScale:
    """Multiply each window by one factor, uniform between `low` and `high`."""

    low: float = 0.7
    high: float = 1.4

    def __call__(self, values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return values of the same shape."""
        return values * _uniform((len(values), 1, 1), self.low, self.high, generator)


@dataclass(frozen=True)
class TimeShift:
    """Shift each window by up to `max_samples` in either direction and repeat its edge sample in the gap."""

    max_samples: int = 20

    def __call__(self, values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return values of the same shape."""
        shift = torch.randint(-self.max_samples, self.max_samples + 1, (len(values), 1), generator=generator)
        index = (torch.arange(values.shape[-1]) + shift).clamp(0, values.shape[-1] - 1)  # (batch, time)
        return values.gather(-1, index[:, None].expand(values.shape))


@dataclass(frozen=True)
class TimeMask:
    """With `probability`, fade one stretch of all channels to zero and back, without an abrupt step."""

    probability: float = 0.5
    max_share: float = 0.2
    edge_samples: int = 10

    def __call__(self, values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return values of the same shape."""
        batch, _, num_samples = values.shape
        width = _uniform((batch, 1), 0, self.max_share * num_samples, generator)
        centre = _uniform((batch, 1), 0, num_samples, generator)
        distance = (torch.arange(num_samples) - centre).abs() - width / 2  # below 0 inside the stretch
        keep = (distance / self.edge_samples).clamp(0, 1)  # (batch, time)
        is_hit = torch.rand((batch, 1), generator=generator) < self.probability
        return values * torch.where(is_hit, keep, 1.0)[:, None]


@dataclass(frozen=True)
class ChannelDrop:
    """Zero each channel with `probability`."""

    probability: float = 0.1

    def __call__(self, values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return values of the same shape."""
        return values * (torch.rand((*values.shape[:2], 1), generator=generator) >= self.probability)


@dataclass(frozen=True)
class Compose:
    """Apply several transforms in order."""

    transforms: Sequence[Transform]

    def __call__(self, values: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return values of the same shape."""
        for transform in self.transforms:
            values = transform(values, generator)
        return values


DEFAULT_VIEW = Compose((AmplitudeScale(), TimeShift(), TimeMask(), ChannelDrop(), GaussianNoise()))
