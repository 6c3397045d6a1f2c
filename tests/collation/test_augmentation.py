# SPDX-License-Identifier: Apache-2.0
"""Each transform does what it says, and the same for the same seed."""

import pytest
import torch

from eeg_hf.collation.augmentation import (
    DEFAULT_VIEW,
    AmplitudeScale,
    ChannelDrop,
    Compose,
    GaussianNoise,
    TimeMask,
    TimeShift,
)

TRANSFORMS = [GaussianNoise(), AmplitudeScale(), TimeShift(), TimeMask(), ChannelDrop(), DEFAULT_VIEW]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def ramp():
    return torch.arange(200.0).expand(8, 4, 200).clone() + 1


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda transform: type(transform).__name__)
def test_same_seed_same_bits_and_the_input_is_left_alone(transform, ramp):
    before = ramp.clone()
    first, second = transform(ramp, seeded()), transform(ramp, seeded())
    assert torch.equal(first, second) and torch.equal(ramp, before)
    assert first.shape == ramp.shape
    assert not torch.equal(first, transform(ramp, seeded(1)))


def test_noise_has_the_stated_deviation(ramp):
    assert (GaussianNoise(0.5)(ramp, seeded()) - ramp).std().item() == pytest.approx(0.5, rel=0.05)


def test_scale_is_one_factor_a_window_within_its_bounds(ramp):
    factor = AmplitudeScale(0.5, 2.0)(ramp, seeded()) / ramp
    assert factor.amin() >= 0.5 and factor.amax() <= 2.0
    torch.testing.assert_close(factor, factor[:, :1, :1].expand_as(factor))


def test_shift_fills_the_gap_with_the_edge(ramp):
    shifted = TimeShift(10)(ramp, seeded())
    steps = shifted[:, 0].diff(dim=-1)
    assert set(steps.unique().tolist()) <= {0.0, 1.0}  # a wrap-around would jump back
    assert (shifted - ramp).abs().amax() <= 10


def test_time_mask_silences_one_stretch_of_all_channels():
    ones = torch.ones(200, 3, 500)
    masked = TimeMask(probability=0.5, max_share=0.2, edge_samples=5)(ones, seeded())
    touched = (masked < 1).any(dim=-1)
    assert torch.equal(touched[:, 0], touched[:, 2])
    assert touched[:, 0].float().mean().item() == pytest.approx(0.5, abs=0.1)
    assert (masked == 0).float().sum(dim=-1).amax() <= 0.2 * 500 + 1


def test_channel_drop_zeroes_whole_channels():
    dropped = ChannelDrop(0.25)(torch.ones(500, 8, 10), seeded())
    is_zero = (dropped == 0).all(dim=-1)
    assert torch.equal(is_zero, (dropped == 0).any(dim=-1))
    assert is_zero.float().mean().item() == pytest.approx(0.25, abs=0.03)


def test_compose_applies_in_order(ramp):
    double, add = AmplitudeScale(2.0, 2.0), GaussianNoise(0.0)
    assert torch.equal(Compose((double, add))(ramp, seeded()), 2 * ramp)
