# SPDX-License-Identifier: Apache-2.0
"""Spherical splines (Perrin et al. 1989, https://doi.org/10.1016/0013-4694(89)90180-6) for batches.

They extend a signal at some positions to the smoothest signal on the whole sphere: stiffness 4, 50 Legendre
terms and a little smoothing, as in MNE. Everything is computed in float64: the condition number of the system
is about 1e6, so float32 would be wrong in the second digit.
"""

import math

import torch
from torch import nn

STIFFNESS = 4
NUM_TERMS = 50
SMOOTHING = 1e-5

# Centre and radius (metres) of the sphere fitted to MNE's montage colin27_1005 in the head frame (x right, y
# nose, z up, origin between the ears)
HEAD_CENTRE = (0.0, 0.015, 0.040)
HEAD_RADIUS = 0.1


@torch.no_grad()
def fit_centre(positions: torch.Tensor, is_real: torch.Tensor | None = None) -> torch.Tensor:
    """Fit a sphere to electrodes and return its centre.

    Least squares in `|p|^2 = 2 p c + k`, with a weak prior at the centre of an average head for electrodes
    that do not determine a sphere (fewer than four, or all in one plane).

    Args:
        positions: (batch, channels, 3), metres in the head frame.
        is_real: (batch, channels) bool, True = real; None means all.

    Returns:
        (batch, 1, 3) float64, metres.
    """
    places = positions.double() / HEAD_RADIUS
    rows = torch.cat([2 * places, torch.ones_like(places[..., :1])], dim=-1)  # (batch, channels, 4)
    targets = places.square().sum(dim=-1, keepdim=True)
    if is_real is not None:  # rows of zeros do not count
        rows = rows * is_real[..., None]
    average = [x / HEAD_RADIUS for x in HEAD_CENTRE]
    prior = rows.new_tensor([*average, 1 - math.hypot(*average) ** 2])[:, None]
    hold = 0.01 * torch.eye(4, dtype=rows.dtype, device=rows.device)
    fitted = torch.linalg.solve(rows.mT @ rows + hold, rows.mT @ targets + hold @ prior)  # (batch, 4, 1)
    return fitted[:, :3].mT * HEAD_RADIUS


@torch.no_grad()
def spline_matrix(
    from_positions: torch.Tensor, to_positions: torch.Tensor, is_real: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the weights that interpolate a signal from some positions of a sphere to others.

    Windows with the same positions share one solution, so a batch of one montage costs as much as one window.

    Args:
        from_positions: (batch, channels, 3) relative to the centre of the sphere; only directions count.
        to_positions: (batch or 1, targets, 3), likewise.
        is_real: (batch, channels) bool, True = real; the others get no weight. None means all.

    Returns:
        (batch, targets, channels) float64; the weights of a target add up to 1, or to 0 in a window without
        real channels.
    """
    batch, channels, _ = from_positions.shape
    if is_real is None:
        is_real = from_positions.new_ones(batch, channels, dtype=torch.bool)
    # One row for each window: its sources, targets and real channels
    to_positions = to_positions.expand(batch, -1, 3)
    parts = [from_positions.double().flatten(1), to_positions.double().flatten(1), is_real.double()]
    distinct, row = torch.unique(torch.cat(parts, dim=1), dim=0, return_inverse=True)
    sources, targets, real = distinct.split([part.shape[1] for part in parts], dim=1)
    return _solve(sources.unflatten(1, (-1, 3)), targets.unflatten(1, (-1, 3)), real)[row]


def _solve(sources: torch.Tensor, targets: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Solve the spline's equations for sources (batch, channels, 3), real where `real` is 1."""
    sources, targets = (nn.functional.normalize(places, dim=-1) for places in (sources, targets))
    count = real.shape[1]
    # The spline's equations, bordered by the condition that its weights add up to 0 (Perrin's eq. 2)
    both_real = real[:, :, None] * real[:, None]
    smoothing = SMOOTHING * torch.eye(count, dtype=real.dtype, device=real.device)
    system = real.new_zeros(real.shape[0], count + 1, count + 1)
    system[:, :count, :count] = both_real * _spline(sources @ sources.mT) + smoothing
    system[:, :count, count] = system[:, count, :count] = real
    system[:, count, count] = real.sum(dim=1) == 0  # otherwise singular without real channels
    known = real[:, None] * _spline(targets @ sources.mT)  # (batch, targets, channels)
    # The constant term of the spline, for which each target has a 1
    known = torch.cat([known, real.any(dim=1)[:, None, None].expand(-1, known.shape[1], 1)], dim=2)
    return torch.linalg.solve(system, known.mT).mT[..., :count]


def _spline(cosine: torch.Tensor) -> torch.Tensor:
    """Sum the Legendre series of the spline at the cosines of angles (Perrin's eq. 3)."""
    total, previous, current = torch.zeros_like(cosine), torch.ones_like(cosine), cosine
    for n in range(1, NUM_TERMS + 1):
        total = total + (2 * n + 1) / (n * (n + 1)) ** STIFFNESS / (4 * math.pi) * current
        # Bonnet's recursion of Legendre polynomials
        previous, current = current, ((2 * n + 1) * cosine * current - n * previous) / (n + 1)
    return total


__all__ = ["fit_centre", "spline_matrix"]
