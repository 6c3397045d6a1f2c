# SPDX-License-Identifier: Apache-2.0
"""The tests of `eeg-hf monitor` hold the rate of false alarms that they state, and see what changed."""

import numpy as np
import pytest

from eeg_hf.experiments.monitoring.drift_tests import (
    join,
    raise_alarms,
    recording_p_values,
    shift_p_values,
    tail_probability,
)
from eeg_hf.experiments.training_statistics import TrainingStatistics

RATE = 0.2


def draw(random, number, shift=0.0):
    """Return recordings, two a subject, with heavy tails and what subjects share."""
    found, owns = [], random.standard_t(4, (number, 6))
    for row in range(number):
        values = owns[row // 2] + 0.5 * random.standard_t(4, 6) + shift
        quality = np.array([1 - max(0.0, 0.1 * random.normal())])
        found.append({"spectrum": values[:5], "amplitude": values[5:], "quality": quality})
    return found, [str(row // 2) for row in range(number)]


def alarms_of(random, shift=0.0):
    """Return whether single recordings, and all together, raise an alarm."""
    statistics = TrainingStatistics.of(*draw(random, 40))
    recordings, subjects = draw(random, 8, shift)
    joined = [join(recording_p_values(statistics, facts)) for facts in recordings]
    shifts = shift_p_values(statistics, recordings, subjects)
    return raise_alarms(joined, RATE / 2).any(), join(shifts) <= RATE / 2


def test_the_rate_of_false_alarms_is_held_and_changes_are_seen():
    random = np.random.default_rng(0)
    unchanged = np.array([alarms_of(random) for _ in range(80)])
    # Each half of the rate, and three standard errors of 80 calls
    assert (unchanged.mean(axis=0) <= RATE / 2 + 3 * np.sqrt(RATE / 2 * (1 - RATE / 2) / 80)).all()
    shifted = np.array([alarms_of(random, shift=2.5) for _ in range(10)])
    assert shifted[:, 1].mean() > 0.8
    far = np.array([alarms_of(random, shift=30.0) for _ in range(10)])
    assert far[:, 0].all()


def test_a_p_value_is_a_share_and_goes_on_beyond_the_farthest():
    calibration = np.random.default_rng(0).gamma(4, size=60)
    inside = np.quantile(calibration, 0.75)
    assert tail_probability(inside, calibration) == pytest.approx(0.25, abs=0.03)
    assert tail_probability(0.0, calibration) == 1
    distances = calibration.max() * np.array([1.0, 1.01, 2.0, 5.0, 50.0])
    found = [tail_probability(each, calibration) for each in distances]
    assert found == sorted(found, reverse=True) and found[1] <= 1 / 61 and found[-1] < 1e-4 < found[2]
    assert 0 < tail_probability(0.02, np.zeros(20)) <= 1 / 21  # all of the training are equal
