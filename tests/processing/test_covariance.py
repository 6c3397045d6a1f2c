# SPDX-License-Identifier: Apache-2.0
"""Covariances and whitening matrices that are known in closed form."""

import numpy as np
import pytest

from eeg_hf.processing.covariance import mean_covariance, whitening_matrix


def test_covariance_of_known_signals():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(4, 4))
    windows = mixing @ rng.normal(size=(200, 4, 500)) + 7.0
    np.testing.assert_allclose(
        mean_covariance(windows.astype(np.float32)), mixing @ mixing.T, rtol=0.1, atol=0.1
    )
    single = mean_covariance(windows[:1])
    np.testing.assert_allclose(single, np.cov(windows[0], bias=True), rtol=1e-9)
    with pytest.raises(ValueError, match="num_windows, channels, time"):
        mean_covariance(windows[0])
    with pytest.raises(ValueError, match="NaN"):
        mean_covariance(np.full((1, 2, 3), np.nan))


def test_whitening_gives_identity():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(6, 6))
    covariance = root @ root.T + np.eye(6)
    white = whitening_matrix(covariance)
    assert white.dtype == np.float32
    np.testing.assert_allclose(white @ covariance @ white.T, np.eye(6), atol=1e-5)


def test_whitening_is_identity_on_the_range_of_average_referenced_data():
    windows = np.random.default_rng(0).normal(scale=20, size=(30, 5, 400))
    windows[:, 4] = 0.0  # a dead channel
    windows[:, :4] -= windows[:, :4].mean(axis=1, keepdims=True)
    covariance = mean_covariance(windows)
    white = whitening_matrix(covariance)
    whitened = mean_covariance(white @ windows)
    projector = np.zeros((5, 5))
    projector[:4, :4] = np.eye(4) - 0.25
    np.testing.assert_allclose(whitened, projector, atol=1e-5)
    np.testing.assert_allclose(white[4], 0.0, atol=1e-7)
    with pytest.raises(ValueError, match="no variance"):
        whitening_matrix(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="expected a finite"):
        whitening_matrix(np.full((3, 3), np.nan))
