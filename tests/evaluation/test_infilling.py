# SPDX-License-Identifier: Apache-2.0
"""Filling in, where the best answer is known."""

import math

import numpy as np
import pytest
from scipy.linalg import toeplitz

from eeg_hf.evaluation import WienerInfilling, hidden_scores, interpolate_linearly, level_differences

TIME = np.arange(200) / 100


def test_a_line_is_interpolated_exactly_and_a_hidden_end_is_level():
    windows = np.tile(np.linspace(0, 1, 101), (1, 3, 1))
    mask = np.zeros(windows.shape, bool)
    mask[0, 0, 20:60] = mask[0, 1, 80:] = mask[0, 2] = True
    spoiled = np.where(mask, np.nan, windows)
    filled = interpolate_linearly(spoiled, mask)
    np.testing.assert_allclose(filled[0, 0], windows[0, 0])
    np.testing.assert_allclose(filled[0, 1, 80:], 0.79)
    assert not filled[0, 2].any()
    assert np.isnan(spoiled[0, 0, 30])  # what came in is left alone


def draw(covariance, num_windows, num_channels, seed=0):
    random = np.random.default_rng(seed)
    flat = random.multivariate_normal(np.zeros(len(covariance)), covariance, num_windows)
    return flat.reshape(num_windows, num_channels, -1)


def conditional_mean(covariance, flat, hidden):
    known = ~hidden
    gain = covariance[np.ix_(hidden, known)] @ np.linalg.inv(covariance[np.ix_(known, known)])
    return flat[:, known] @ gain.T


def test_wiener_is_the_conditional_mean_of_the_normal_distribution():
    """Three channels of 12 samples, correlated in space and along time: all of a window is looked at."""
    covariance = np.kron(toeplitz([1.0, 0.8, 0.5]), toeplitz(0.9 ** np.arange(12)))
    fill_in = WienerInfilling(patch_size=4, reach=1, explained_variance=0.9999)
    fill_in.fit(draw(covariance, 40_000, 3))
    windows = draw(covariance, 500, 3, seed=1)
    mask = np.zeros((3, 12), bool)
    mask[0, 4:8] = mask[1, 4:8] = True
    masks = np.broadcast_to(mask, windows.shape)
    filled = fill_in.fill(np.where(masks, np.nan, windows), masks)
    best = conditional_mean(covariance, windows.reshape(500, -1), mask.ravel())
    assert np.sqrt(np.mean((filled[masks].reshape(500, -1) - best) ** 2)) < 0.05
    np.testing.assert_array_equal(filled[~masks], windows[~masks])


def test_wiener_fills_windows_that_end_within_a_patch_and_hides_all():
    covariance = np.kron(toeplitz([1.0, 0.9]), toeplitz(0.9 ** np.arange(30)))
    fill_in = WienerInfilling(4).fit(draw(covariance, 2000, 2))
    windows = draw(covariance, 5, 2, seed=1)  # 30 samples: seven patches and a half
    mask = np.zeros(windows.shape, bool)
    mask[:, 0, 21:] = True
    assert hidden_scores(windows, fill_in.fill(windows, mask), mask)["nrmse_std"][:, 0].mean() < 0.8
    nothing_known = fill_in.fill(windows, np.ones(windows.shape, bool))
    np.testing.assert_allclose(nothing_known, 0, atol=0.1)


def test_wiener_beats_the_line_where_channels_share_a_signal():
    shared = np.cumsum(np.random.default_rng(0).normal(size=(300, 1, 100)), axis=-1)
    windows = shared * np.array([1.0, -2.0, 0.5])[:, None]
    mask = np.zeros(windows.shape, bool)
    mask[:, 1, 40:80] = True
    best = WienerInfilling(10).fit(windows[:200]).fill(windows[200:], mask[200:])
    line = interpolate_linearly(windows[200:], mask[200:])
    scores = [
        hidden_scores(windows[200:], filled, mask[200:])["nrmse_std"][:, 1].mean() for filled in (best, line)
    ]
    assert scores[0] < 0.5 * scores[1]


@pytest.mark.parametrize("shape", [(5, 3, 20), (5, 300), (0, 3, 20)])
def test_training_windows_that_are_too_short_are_refused(shape):
    with pytest.raises(ValueError, match="windows: expected finite"):
        WienerInfilling(10).fit(np.zeros(shape))


def test_what_does_not_fit_is_refused():
    windows = np.random.default_rng(0).normal(size=(20, 3, 60))
    fill_in = WienerInfilling(10).fit(windows)
    with pytest.raises(ValueError, match="channels of the training windows, got 2"):
        fill_in.fill(windows[:, :2], np.zeros((20, 2, 60), bool))
    with pytest.raises(ValueError, match="windows and mask"):
        interpolate_linearly(windows, np.zeros((20, 3, 10), bool))
    with pytest.raises(ValueError, match="as many samples filled in"):
        hidden_scores(windows, windows[:, :2], np.ones(windows.shape, bool))
    with pytest.raises(ValueError, match="both"):
        level_differences(windows, windows[:, :2], 100)


def test_only_hidden_samples_are_scored():
    wave = np.tile(np.sin(2 * np.pi * 3 * TIME), (1, 3, 1))
    mask = np.zeros(wave.shape, bool)
    mask[0, :2, 50:150] = True
    filled = np.where(mask, 0.5 * wave, 7.0)
    filled[0, 1] = np.where(mask[0, 1], 0.0, filled[0, 1])
    scores = hidden_scores(wave, filled, mask)
    assert scores["correlation"][0, 0] == pytest.approx(1.0)
    assert scores["nrmse_std"][0, :2] == pytest.approx([0.5, 1.0])  # 1 for who says the mean
    assert math.isnan(scores["correlation"][0, 1]) and math.isnan(scores["nrmse_std"][0, 2])


def test_levels_are_compared_in_decibel_whatever_the_phase():
    original = np.random.default_rng(0).normal(size=(2, 3, 4000))
    found = level_differences(original, -np.sqrt(10) * original, 200)
    assert {*found} == {"amplitude", "delta", "theta", "alpha", "beta", "gamma"}
    for values in found.values():
        np.testing.assert_allclose(values, 10.0)
    assert {*level_differences(original, original, 60)} == {"amplitude", "delta", "theta", "alpha", "beta"}


def test_a_band_that_was_lost_is_the_one_that_differs():
    slow, fast = np.sin(2 * np.pi * 6 * TIME), np.sin(2 * np.pi * 20 * TIME)
    found = level_differences((slow + fast)[None, None], (slow + 0.1 * fast)[None, None], 100)
    assert found["theta"].item() == pytest.approx(0, abs=0.1)
    assert found["beta"].item() == pytest.approx(-20, abs=0.1)
    assert np.isnan(level_differences(np.zeros((1, 1, 400)), np.ones((1, 1, 400)), 100)["amplitude"]).all()
