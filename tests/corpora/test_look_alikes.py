# SPDX-License-Identifier: Apache-2.0
import pytest

from eeg_hf.corpora.look_alikes import describe_look_alikes, look_alikes


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["S01", "s1", "S2"], [("S01", "s1")]),
        (["rest", "Rest ", "REST", "task"], [("REST", "Rest ", "rest")]),
        (["1", "10", "01", "100"], [("01", "1")]),
        (["-1", "1", "a_b", "ab"], [("a_b", "ab")]),
        (["0", "00", "s0"], [("0", "00")]),
        (["1", "1.0", "10", "1-1", "11"], [("1", "1.0")]),  # a gap turns the subject 1 into 1.0
        (["eyes-open", "eyes  open", "S-1", "s1"], [("S-1", "s1"), ("eyes  open", "eyes-open")]),
        (["a", "b"], []),
        ([], []),
    ],
)
def test_groups(names, groups):
    assert look_alikes(names) == groups


def test_many_groups_are_counted():
    names = [f"{case}{number}" for number in range(5) for case in "sS"]
    assert describe_look_alikes(names).endswith("'S2' and 's2' and 2 more")
