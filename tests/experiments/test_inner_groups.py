# SPDX-License-Identifier: Apache-2.0
import pytest
from datasets import Dataset

from eeg_hf.experiments.inner_folds import inner_groups


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"subject": ["1", "2"], "session": ["a", "a"], "run": ["1", "2"]}, ["lab/1", "lab/2"]),
        ({"subject": ["1", "1"], "session": ["a", "b"], "run": ["1", "1"]}, ["lab/1/a", "lab/1/b"]),
        ({"subject": ["1", "1"], "session": ["a", "a"], "run": ["1", "2"]}, ["lab/1/a/1", "lab/1/a/2"]),
        ({"subject": ["1", "1"]}, ["lab/1", "lab/1"]),
    ],
)
def test_inner_folds_keep_apart_what_there_is(columns, expected):
    rows = Dataset.from_dict({"corpus": ["lab", "lab"], **columns})
    assert inner_groups(rows).tolist() == expected
