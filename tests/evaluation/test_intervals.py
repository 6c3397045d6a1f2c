# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy.stats import t

from eeg_hf.evaluation.intervals import mean_interval, percentile_interval


@pytest.mark.parametrize("size", [10, 20, 200])
def test_an_interval_of_a_mean_covers_it(size):
    random = np.random.default_rng(0)
    covered = [
        low <= 0 <= high for low, high in (mean_interval(random.normal(size=size), 999) for _ in range(300))
    ]
    assert 0.91 <= np.mean(covered) <= 0.98


def test_the_ends_are_those_of_a_t_interval():
    values = np.random.default_rng(1).normal(size=30)
    half = t.ppf(0.975, 29) * values.std(ddof=1) / np.sqrt(30)
    assert mean_interval(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.03)


def test_strata_of_few_units_make_an_interval_wider():
    draws = np.random.default_rng(2).normal(size=9999)
    widths = [np.ptp(percentile_interval(draws, strata)) for strata in ([1000], [10], [5, 5], [2] * 5)]
    assert widths == sorted(widths)
    assert widths[0] == pytest.approx(2 * 1.96, abs=0.1)


def test_without_two_units_or_a_defined_draw_there_is_no_interval():
    assert mean_interval(np.array([0.5])) is None
    assert percentile_interval(np.ones(10), [1, 1, 1]) is None
    assert percentile_interval(np.full(10, np.nan), [5]) is None
    assert percentile_interval(np.array([np.nan, 1.0, 1.0]), [5]) == (1.0, 1.0)
    assert percentile_interval(np.array([np.nan, np.nan, 1.0]), [5]) is None
