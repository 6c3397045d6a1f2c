# SPDX-License-Identifier: Apache-2.0
"""Covariances of windows, and the whitening matrices of Euclidean alignment made from them.

Euclidean alignment: He & Wu 2020, https://arxiv.org/abs/1808.05464.
"""

import numpy as np


def mean_covariance(windows_uv: np.ndarray) -> np.ndarray:
    """Average the channel covariance over windows.

    Args:
        windows_uv: Windows of one subject or session in uV, shape (num_windows, channels, time).

    Returns:
        Mean over windows of the covariance over time, in uV^2, float64, shape (channels, channels).

    Raises:
        ValueError: If the shape is wrong, there is no window, or a sample is NaN.
    """
    windows = np.asarray(windows_uv)
    if windows.ndim != 3 or 0 in windows.shape:
        raise ValueError(
            f"expected windows of shape (num_windows, channels, time), none of them 0, got {windows.shape}"
        )
    total = np.zeros((windows.shape[1], windows.shape[1]))
    for start in range(0, len(windows), 64):  # 64 windows at a time keep the float64 copy small
        block = windows[start : start + 64].astype(np.float64)
        block -= block.mean(axis=-1, keepdims=True)
        total += np.matmul(block, block.transpose(0, 2, 1)).sum(axis=0)
    if not np.isfinite(total).all():
        raise ValueError("windows hold NaN or infinite samples: set bad channels to zero first")
    return total / (len(windows) * windows.shape[2])


def whitening_matrix(covariance: np.ndarray, rank_tolerance: float = 1e-4) -> np.ndarray:
    """Compute the inverse square root of a covariance on the subspace that holds signal.

    The average reference, an interpolated channel and a dead one each reduce the rank by one. An ordinary
    inverse square root would amplify the rounding noise in those directions, so they are mapped to zero
    instead.

    Args:
        covariance: Symmetric matrix, shape (channels, channels).
        rank_tolerance: Eigenvalues below this fraction of the largest count as zero.

    Returns:
        The pseudo-inverse of the square root, float32, shape (channels, channels).

    Raises:
        ValueError: If the matrix is not finite and square, or holds no variance.
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(f"expected a finite (channels, channels) covariance, got shape {matrix.shape}")
    # Symmetrised: eigh reads one triangle only
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    if values[-1] <= 0:
        raise ValueError("the covariance holds no variance: all channels are flat")
    is_signal = values > rank_tolerance * values[-1]
    return ((vectors[:, is_signal] / np.sqrt(values[is_signal])) @ vectors[:, is_signal].T).astype(np.float32)
