# SPDX-License-Identifier: Apache-2.0
"""What of a study fits into a time."""

import pandas as pd
import pytest

from eeg_hf.experiments.study.budget import (
    Work,
    choose_subjects,
    choose_work,
    keep_work,
    kept_work,
    parse_seconds,
)

ALL = Work(5, ("unseen", "all"))


def test_times_are_read_as_people_write_them():
    assert [parse_seconds(text) for text in ("90s", "10min", "1.5 h", "2 MIN")] == [90, 600, 5400, 120]
    for text in ("soon", "10 parsecs", "0min", "-5min", ""):
        with pytest.raises(ValueError, match="expected a time such as"):
            parse_seconds(text)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (1000, Work(5, ("unseen", "all"))),
        (290, Work(5, ("unseen", "all"), details=False)),
        (240, Work(5, ("unseen",), details=False)),
        (110, Work(2, ("unseen",), details=False)),
        (50, Work(2, ("unseen",), baselines=False, details=False)),
        (1, Work(2, ("unseen",), baselines=False, details=False)),
    ],
)
def test_details_go_first_then_regimes_folds_and_baselines(seconds, expected):
    work = choose_work(ALL, seconds, fit_seconds=10)
    assert (work.folds, work.regimes, work.baselines) == (
        expected.folds,
        expected.regimes,
        expected.baselines,
    )
    assert bool(work.left_out) == (not work.details)
    assert any("baselines" in line for line in work.left_out) != work.baselines


def test_a_part_of_the_subjects_has_every_group():
    table = pd.DataFrame(
        {
            "subject": [f"P{number:02}" for number in range(40) for _ in range(2)],
            "group": ["patient"] * 60 + ["control"] * 20,
            "seconds": 600.0,
            "num_channels": 64,
            "sampling_rate": 500.0,
        }
    )
    assert len(choose_subjects(table, ["group"], 3600, 2)) == 40
    few = choose_subjects(table, ["group"], 120, 2)
    groups = table[table["subject"].isin(few)].groupby("group")["subject"].nunique()
    assert 4 <= len(few) < 12 and groups["patient"] > groups["control"] >= 2


def test_the_choice_is_kept_for_the_same_study(tmp_path):
    assert kept_work(tmp_path, "10min") is None
    keep_work(tmp_path, choose_work(ALL, 150, 10), "10min")
    assert kept_work(tmp_path, "10min") == choose_work(ALL, 150, 10)
    assert kept_work(tmp_path, "20min") is None
