# SPDX-License-Identifier: Apache-2.0
"""The inverse square root of shrunk covariances by a fixed number of matrix products, without `eigh`."""

import torch

from .spd_logarithm import SMALLEST_TRACE, shrink

STEPS = 15
"""A step multiplies a small eigenvalue by 9/4: enough for 128 channels that are shrunk by 0.1."""


def shrunk_inverse_root(matrices: torch.Tensor, amount: float) -> torch.Tensor:
    """Shrink positive semidefinite matrices and return their inverse square roots.

    The coupled iteration of Newton and Schulz (Higham 2008, chapter 6, https://doi.org/10.1137/1.9780898717778).

    Args:
        matrices: (..., n, n), symmetric positive semidefinite.
        amount: Share of the sphere, see `shrink`; 0.1 or more.

    Example:
        >>> import torch
        >>> shrunk_inverse_root(torch.eye(2) * 4.0, amount=0.5)
        tensor([[0.5000, 0.0000],
                [0.0000, 0.5000]])
    """
    identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    shrunk = shrink(matrices, amount)
    trace = shrunk.diagonal(dim1=-2, dim2=-1).sum(dim=-1).clamp(min=SMALLEST_TRACE)[..., None, None]
    root, inverse = shrunk / trace, identity.expand_as(shrunk)  # eigenvalues between 0 and 1
    for _ in range(STEPS):
        step = 1.5 * identity - 0.5 * inverse @ root
        root, inverse = root @ step, step @ inverse
    return inverse / trace.sqrt()


__all__ = ["shrunk_inverse_root"]
