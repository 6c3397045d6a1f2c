# SPDX-License-Identifier: Apache-2.0
"""The spectrum of a patch, of which every token of the foundation model is made."""

import math

import pytest
import torch

from eeg_hf.models.temporal_encoder import POWER_FLOOR, FourierFilterbank


@pytest.fixture
def filterbank():
    bank = FourierFilterbank(40)
    bank.weight.data = bank.fourier_basis()
    return bank


def test_a_sine_has_its_power_in_its_own_band_and_in_the_next(filterbank):
    time = torch.arange(40) / 40
    amplitude, band = 3.0, 7  # periods in a window
    windows = amplitude * torch.sin(2 * math.pi * band * time + 0.4)[None]  # (num_windows, window_size)
    power = filterbank(windows).expm1() * POWER_FLOOR  # (num_bands,)
    # A Hann window has the mean 1/2, over the root of its length: (amplitude * 40 / 4)^2 / 40
    peak = amplitude**2 * 40 / 16  # and a quarter beside it
    expected = torch.zeros(20)
    expected[band - 1], expected[[band - 2, band]] = peak, peak / 4
    torch.testing.assert_close(power, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("num_windows", [1, 2, 8])
def test_power_is_averaged_over_windows(filterbank, num_windows):
    windows = torch.randn(2, 3, num_windows, 40, generator=torch.Generator().manual_seed(0))
    each = torch.stack([filterbank(windows[..., [n], :]).expm1() for n in range(num_windows)])
    torch.testing.assert_close(filterbank(windows), each.mean(dim=0).log1p())


def test_a_silent_band_is_zero(filterbank):
    assert torch.equal(filterbank(torch.zeros(1, 2, 40)), torch.zeros(1, 20))
