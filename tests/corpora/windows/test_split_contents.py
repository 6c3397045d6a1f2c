# SPDX-License-Identifier: Apache-2.0
"""The protocol of a split is read from its windows, whatever the split is called."""

import pytest
from datasets import Dataset

from eeg_hf.corpora import SplitContents, folds, split_windows


def windows(subjects=("a", "b", "c"), sessions=("1", "2"), corpus="x"):
    """Two recordings a session, two windows a recording."""
    keys = [(s, d, f"{s}{d}{r}") for s in subjects for d in sessions for r in "pq" for _ in range(2)]
    subject, session, recording = map(list, zip(*keys, strict=True))
    columns = {"subject": subject, "session": session, "recording": recording, "corpus": [corpus] * len(keys)}
    return Dataset.from_dict({**columns, "window_id": [f"{corpus}{i}" for i in range(len(keys))]})


def contents(column, number=2):
    return SplitContents.of(folds(windows(), number, 0, column=column))


@pytest.mark.parametrize(
    ("column", "protocol", "words"),
    [
        ("subject", "cross-subject", "none of the 3 tested subjects was trained on"),
        ("session", "cross-session", "3 of 3 tested subjects were trained on, in other sessions"),
        (
            "recording",
            "within-session",
            "3 of 3 tested subjects were trained on, 6 of 6 tested sessions too, in",
        ),
        ("window_id", "within-session", "6 of 6 tested sessions too, 12 of 12 tested recordings too"),
    ],
)
def test_the_protocol_follows_from_the_windows(column, protocol, words):
    found = contents(column)
    assert found.protocol == protocol and words in found.describe()


def test_one_subject_that_is_known_decides():
    rows = windows()
    parts = {"train": rows.select(range(8, 24)), "test": rows.select([0, 1, 8, 9])}  # a is new, b is not
    found = SplitContents.of([parts])
    assert (found.protocol, dict(found.known)) == (
        "within-session",
        {"subject": 1, "session": 1, "recording": 1},
    )
    assert found.describe().startswith("1 of 2 tested subjects were trained on")


def test_validation_is_training_too():
    rows = windows()
    parts = {
        "train": rows.select(range(8)),
        "validation": rows.select(range(8, 12)),
        "test": rows.select([12]),
    }
    assert SplitContents.of([parts]).protocol == "cross-session"  # session 1 of b validates, 2 is tested


def test_subjects_of_two_corpora_with_one_name_are_two():
    assert SplitContents.of([{"train": windows(), "test": windows(corpus="y")}]).protocol == "cross-subject"


def test_without_sessions_a_subject_has_one():
    rows = windows().remove_columns(["session", "recording"])
    assert (
        SplitContents.of([{"train": rows.select([0]), "test": rows.select([1])}]).protocol == "within-session"
    )


def test_a_subject_that_is_tested_alone_is_said():
    found = SplitContents.of([split_windows(windows(), "leave_out:a", num_validation_subjects=1)])
    assert found.describe() == "the tested subject was not trained on"
