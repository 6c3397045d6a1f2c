# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from eeg_hf.evaluation import paired_difference, subject_interval


def people(values):
    return {f"s{number:02d}": value for number, value in enumerate(values)}


def test_interval_is_that_of_a_mean_of_many_people():
    scores = np.random.default_rng(0).normal(0.6, 0.1, size=200)
    low, high = subject_interval(people(scores))
    half = 1.96 * scores.std() / math.sqrt(200)
    assert (low, high) == pytest.approx((scores.mean() - half, scores.mean() + half), abs=0.002)
    assert subject_interval(people(scores), level=0.5)[0] > low


def test_differences_are_of_one_person_each():
    random = np.random.default_rng(0)
    theirs = random.normal(0.6, 0.2, size=12)  # people differ by far more than the methods do
    ours = theirs + 0.01 + 0.002 * random.normal(size=12)
    found = paired_difference(people(ours), people(theirs))
    low, high = found["interval"]
    assert 0 < low < found["mean"] < high < 0.02 and found["mean"] == pytest.approx(0.01, abs=0.002)
    assert (found["num_higher"], found["num_lower"], found["num_subjects"]) == (12, 0, 12)
    back = paired_difference(people(theirs), people(ours))
    assert (back["mean"], back["num_lower"]) == (-found["mean"], 12)


def test_people_in_whom_nothing_is_defined_do_not_count():
    found = paired_difference(people([0.5, math.nan, 0.7]), people([0.5, 0.1, 0.6]))
    assert (found["num_higher"], found["num_lower"], found["num_subjects"]) == (1, 0, 2)
    assert found["mean"] == pytest.approx(0.05)
    alone = paired_difference(people([0.5]), people([0.4]))
    assert alone["interval"] is None and alone["num_subjects"] == 1
    assert math.isnan(paired_difference(people([math.nan]), people([0.4]))["mean"])


def test_other_people_are_refused():
    with pytest.raises(ValueError, match=r"in one only: \['b', 'c'\]"):
        paired_difference({"a": 1.0, "b": 1.0}, {"a": 1.0, "c": 1.0})
