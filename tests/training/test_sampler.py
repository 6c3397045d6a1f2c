# SPDX-License-Identifier: Apache-2.0
"""Batches of one number of channels, and what they save."""

import numpy as np
import pytest

from eeg_hf.training import ChannelGroupedSampler, padding_share

WIDTHS = np.array([19] * 64 + [64] * 64)


def batches(sampler: ChannelGroupedSampler) -> list[np.ndarray]:
    return [sampler.num_channels[rows] for rows in np.array(list(sampler)).reshape(-1, sampler.batch_size)]


@pytest.mark.parametrize(
    ("widths", "share"),
    [([[19, 19], [64, 64]], 0.0), ([[19, 64]], 45 / 128), ([[64, 64], [64, 16]], 48 / 256), ([[4]], 0.0)],
)
def test_the_padding_share_is_what_is_added_over_what_is_given(widths, share):
    assert padding_share(widths) == pytest.approx(share)


def test_grouped_batches_hold_one_width_and_no_padding():
    sampler = ChannelGroupedSampler(WIDTHS, batch_size=16)
    assert all(len(set(batch)) == 1 for batch in batches(sampler))
    assert sampler.padding_share() == 0.0


def test_without_groups_half_of_the_narrow_rows_are_padding():
    # Nearly every batch of 16 holds both widths, so the 64 rows of 19 channels are padded by 45 each
    without = ChannelGroupedSampler(WIDTHS, batch_size=16).padding_share(grouped=False)
    assert without == pytest.approx(64 * 45 / (128 * 64), rel=1e-3)


def test_what_fills_no_batch_is_mixed_at_the_end():
    sampler = ChannelGroupedSampler([19] * 6 + [64] * 10, batch_size=4)
    assert sorted(sampler) == list(range(16))
    # Whole batches: one of 19, two of 64; what is left, two rows of each, is the last
    assert sorted(batches(sampler)[-1]) == [19, 19, 64, 64]
    assert sampler.padding_share() == pytest.approx(2 * 45 / (4 * 19 + 8 * 64 + 4 * 64))


def test_the_order_follows_from_seed_and_epoch():
    first, again, other = (ChannelGroupedSampler(WIDTHS, 16, seed) for seed in (3, 3, 4))
    assert list(first) == list(again) != list(other)
    again.set_epoch(1)
    assert list(first) != list(again)
