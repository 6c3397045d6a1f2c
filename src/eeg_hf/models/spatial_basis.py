# SPDX-License-Identifier: Apache-2.0
"""Spatial bases in which the channels of any montage become a fixed number of components.

Electrodes enter by their coordinates, so the order of the channels does not matter and masked channels drop
out of the sums.
"""

import math

import torch
from torch import nn
from transformers import PreTrainedConfig

from .spherical_splines import HEAD_CENTRE, HEAD_RADIUS

MAX_DEGREE = 3
RIDGE = 0.01
"""Ridge of the fit of harmonics, as a share of the mean eigenvalue of its normal equations."""
NEWTON_STEPS = 18
"""Newton's iteration doubles the correct digits; with this ridge it has converged in float32 after 16."""
NEAREST_METRES = 0.02
"""Electrodes of the 10-20 system are more than 3 cm apart; digitised ones sit within 2 cm of the template."""


def spherical_harmonics(directions: torch.Tensor, degree: int) -> torch.Tensor:
    """Return the real spherical harmonics of degrees 0 to `degree`.

    The normalisation makes the mean square of each over the sphere 1; formulas:
    https://en.wikipedia.org/wiki/Table_of_spherical_harmonics.

    Args:
        directions: (..., 3), of unit length.
        degree: 1 to 3.

    Returns:
        (..., (degree + 1)^2).
    """
    x, y, z = directions.unbind(-1)
    columns = [torch.ones_like(x)]
    columns += [math.sqrt(3) * axis for axis in (x, y, z)]
    if degree >= 2:
        columns += [math.sqrt(15) * product for product in (x * y, y * z, x * z)]
        columns += [math.sqrt(5) / 2 * (3 * z**2 - 1), math.sqrt(15) / 2 * (x**2 - y**2)]
    if degree >= 3:
        columns += [math.sqrt(35 / 8) * y * (3 * x**2 - y**2), math.sqrt(105) * x * y * z]
        columns += [math.sqrt(21 / 8) * y * (5 * z**2 - 1), math.sqrt(7) / 2 * z * (5 * z**2 - 3)]
        columns += [math.sqrt(21 / 8) * x * (5 * z**2 - 1), math.sqrt(105) / 2 * z * (x**2 - y**2)]
        columns += [math.sqrt(35 / 8) * x * (x**2 - 3 * y**2)]
    return torch.stack(columns, dim=-1)


def harmonic_matrix(positions: torch.Tensor, channel_mask: torch.Tensor | None, degree: int) -> torch.Tensor:
    """Return the ridge fit of spherical harmonics to channels, without the constant.

    The constant is fitted but dropped: it is what a change of reference adds to every channel.

    Args:
        positions: (batch, channels, 3), metres in the head frame.
        channel_mask: (batch, channels) bool, True = real; None means all.
        degree: 1 to 3: 3, 8 or 15 components.

    Returns:
        (batch, components, channels) float32: components = matrix @ channels.
    """
    centre = torch.tensor(HEAD_CENTRE, dtype=torch.float32, device=positions.device)
    basis = spherical_harmonics(nn.functional.normalize(positions.float() - centre, dim=-1), degree)
    if channel_mask is not None:
        basis = torch.where(channel_mask.bool()[..., None], basis, 0.0)  # (batch, channels, harmonics)
    normal = basis.mT @ basis
    identity = torch.eye(normal.shape[-1], device=normal.device)
    trace = normal.diagonal(dim1=-2, dim2=-1).sum(dim=-1)[..., None, None].clamp(min=1e-6)
    normal = normal / trace + RIDGE / normal.shape[-1] * identity  # eigenvalues between 0 and 2
    inverse = identity.expand_as(normal)
    for _ in range(NEWTON_STEPS):  # torch.linalg.solve has no ONNX operator
        inverse = inverse @ (2 * identity - normal @ inverse)
    return (inverse @ basis.mT / trace)[:, 1:]


def channel_matrix(
    positions: torch.Tensor, channel_mask: torch.Tensor | None, places: torch.Tensor
) -> torch.Tensor:
    """Return the matrix that picks the channels at some places, in the order of the places.

    A channel and a place belong together if each is the nearest of the other, at most 2 cm away.

    Args:
        positions: (batch, channels, 3), metres in the head frame.
        channel_mask: (batch, channels) bool, True = real; None means all.
        places: (places, 3), metres in the head frame.

    Returns:
        (batch, places, channels) float32 of zeros and ones; a place without a channel has a row of zeros.
    """
    difference = positions.float()[:, None] - places.float()[:, None]  # (batch, places, channels, 3)
    distance = difference.square().sum(dim=-1).clamp(min=1e-12).sqrt()
    if channel_mask is not None:
        distance = torch.where(channel_mask.bool()[:, None], distance, HEAD_RADIUS * 100)
    nearest = distance == distance.amin(dim=-1, keepdim=True)
    nearest &= distance == distance.amin(dim=-2, keepdim=True)
    picked = (nearest & (distance < NEAREST_METRES)).float()
    return picked / picked.sum(dim=-1, keepdim=True).clamp(min=1)  # channels at one place are averaged


def spatial_matrix(
    config: PreTrainedConfig, positions: torch.Tensor, channel_mask: torch.Tensor | None
) -> torch.Tensor:
    """Return the matrix from channels to the components of a config, (batch, components, channels)."""
    if config.second_order_basis == "harmonics":
        return harmonic_matrix(positions, channel_mask, config.second_order_degree)
    places = torch.tensor(config.channel_positions, device=positions.device)
    return channel_matrix(positions, channel_mask, places)


__all__ = ["MAX_DEGREE", "channel_matrix", "harmonic_matrix", "spatial_matrix", "spherical_harmonics"]
