# SPDX-License-Identifier: Apache-2.0
"""The protocols of MOABB: what each fold trains on, validates on and tests."""

from itertools import product

import numpy as np
import pytest
from datasets import Dataset

from eeg_hf.corpora import SplitContents, protocol_folds, split_windows
from eeg_hf.corpora.windows.split_contents import PROTOCOLS


def windows(
    subjects="abc", sessions="12", runs="1", labels=("left", "right"), trials=10, stride=10.0, event=True
):
    """Trials of 4 s in turn, two windows of 2 s each, or sliding windows of 4 s where there are no events."""
    rows = []
    for subject, session, run in product(subjects, sessions, runs):
        for place in range(trials * (2 if event else 1)):
            trial = place // 2 if event else place
            start = trial * stride + (2.0 * (place % 2) if event else 0.0)
            label = labels[trial % len(labels)]
            rows.append(
                {
                    **{"corpus": "x", "subject": subject, "session": session, "label": label},
                    **{"recording": f"{subject}{session}{run}", "start_seconds": start},
                    **{"num_samples": 200 if event else 400, "sampling_rate": 100.0},
                    "event": label if event else None,
                    "window_id": f"{subject}{session}{run}{place}",
                }
            )
    return Dataset.from_list(rows)


def ids(rows):
    return set(rows["window_id"])


def keys(rows, *names):
    return set(zip(*(rows[name] for name in names), strict=True))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_window_is_tested_once_and_the_contents_agree_with_the_name(protocol):
    rows = windows()
    folds = protocol_folds(rows, protocol, label_column="label", num_validation_subjects=1)
    assert len(folds) == {"within-session": 30, "cross-session": 6, "cross-subject": 3}[protocol]
    tested = [one for parts in folds for one in parts["test"]["window_id"]]
    assert sorted(tested) == sorted(rows["window_id"])
    assert SplitContents.of(folds).protocol == protocol
    assert all(set(parts["test"]["label"]) == {"left", "right"} for parts in folds)
    assert all([*parts] == ["train", "validation", "test"] for parts in folds)


def test_a_model_within_a_session_knows_that_session_only():
    for parts in protocol_folds(windows(), "within-session", label_column="label"):
        (session,) = keys(parts["test"], "subject", "session")
        assert all(keys(rows, "subject", "session") == {session} for rows in parts.values())


def test_a_model_across_sessions_knows_one_subject_and_validates_on_a_session_where_it_can():
    for parts in protocol_folds(windows(sessions="123"), "cross-session", label_column="label"):
        assert len(keys(parts["test"], "subject") | keys(parts["train"], "subject")) == 1
        assert sorted(len(keys(rows, "session")) for rows in parts.values()) == [1, 1, 1]
        assert len(set().union(*(keys(rows, "session") for rows in parts.values()))) == 3


def test_windows_of_one_trial_stay_together():
    rows = windows(subjects="a", sessions="1")
    for parts in protocol_folds(rows, "within-session", label_column="label"):
        trials = {part: {start // 10 for start in found["start_seconds"]} for part, found in parts.items()}
        assert len(set().union(*trials.values())) == sum(map(len, trials.values())) == 10
        assert len(parts["test"]) == 4  # a trial of each class, two windows each


def test_a_column_trial_keeps_windows_together_too():
    rows = windows(subjects="a", sessions="1", trials=12, event=False)
    rows = rows.add_column("trial", [str(number // 2 % 6) for number in range(12)])
    rows = rows.remove_columns("label").add_column("label", ["left", "left", "right", "right"] * 3)
    for parts in protocol_folds(rows, "within-session", label_column="label", num_folds=3):
        assert not set(parts["test"]["trial"]) & set(parts["train"]["trial"])


def test_overlapping_windows_of_one_stretch_meet_in_no_two_parts():
    rows = windows(subjects="a", sessions="1", trials=40, stride=1.0, event=False)  # 4 s every second
    folds = protocol_folds(rows, "within-session", label_column="label")
    for parts in folds:
        starts = {part: np.array(found["start_seconds"]) for part, found in parts.items()}
        for one, other in (("train", "test"), ("train", "validation"), ("validation", "test")):
            assert np.abs(starts[one][:, None] - starts[other]).min() >= 4.0
    assert sum(len(parts["test"]) for parts in folds) == 40


def test_folds_of_subjects_are_stratified():
    rows = windows(subjects="abcdef", sessions="1")
    ill = {"a": "ill", "b": "ill", "c": "ill"}
    rows = rows.add_column("group", [ill.get(subject, "well") for subject in rows["subject"]])
    folds = protocol_folds(
        rows, "cross-subject", label_column="group", num_folds=3, num_validation_subjects=0
    )
    assert len(folds) == 3 and all(set(parts["test"]["group"]) == {"ill", "well"} for parts in folds)
    assert all("validation" not in parts for parts in folds)


def test_what_cannot_be_divided_is_left_out_by_name(caplog):
    rows = windows(subjects="ab")
    rows = rows.filter(lambda row: (row["subject"], row["session"]) != ("b", "2"))
    folds = protocol_folds(rows, "cross-session", label_column="label")
    assert {subject for parts in folds for subject in parts["test"]["subject"]} == {"a"}


@pytest.mark.parametrize(
    ("rows", "protocol", "options", "words"),
    [
        (
            windows(subjects="a"),
            "cross-subject",
            {},
            "cross-subject: expected two or more subjects, got one (x/a)",
        ),
        (
            windows(sessions="1"),
            "cross-session",
            {},
            "none of 3 subjects can be divided so (x/a: one session,",
        ),
        (
            windows(),
            "cross-session",
            {"num_folds": 3},
            "3 folds need 2 or more, and as many sessions: there are 2",
        ),
        (
            windows(),
            "cross-subject",
            {"num_folds": 4},
            "4 folds need 2 or more, and as many subjects: there are 3",
        ),
        (windows(), "cross-subject", {"num_validation_subjects": 2}, "lower num_validation_subjects"),
        (
            windows(trials=4),
            "within-session",
            {"num_folds": 9},
            "9 folds need 2 or more, and as many windows of",
        ),
        (
            windows(labels=("left",)).map(lambda row: {"label": row["session"]}),
            "within-session",
            {},
            "only class",
        ),
        (
            windows().map(lambda row: {"label": row["subject"]}),
            "cross-subject",
            {},
            "class 'a' is in one subject only",
        ),
        (
            windows().map(lambda row: {"label": row["session"]}),
            "cross-session",
            {},
            "class '1' is in one session only",
        ),
        (
            windows(),
            "cross-film",
            {},
            "protocol: expected one of cross-subject, cross-session, within-session, got",
        ),
    ],
)
def test_data_that_do_not_allow_a_protocol_are_refused_in_one_line(rows, protocol, options, words):
    with pytest.raises(ValueError) as raised:
        protocol_folds(rows, protocol, label_column="label", **options)
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_one_fold_of_a_protocol_is_a_split():
    rows = windows()
    folds = protocol_folds(rows, "cross-session", label_column="label")
    one = split_windows(rows, "cross-session", fold=3, label_column="label")
    assert ids(one["test"]) == ids(folds[3]["test"]) and ids(one["train"]) == ids(folds[3]["train"])
    with pytest.raises(ValueError, match="fold: expected 0 to 5, got 6"):
        split_windows(rows, "cross-session", fold=6, label_column="label")
