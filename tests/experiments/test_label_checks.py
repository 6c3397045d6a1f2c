# SPDX-License-Identifier: Apache-2.0
"""What a folder's labels must have, and what tells them besides the EEG."""

import pandas as pd
import pytest

from eeg_hf.experiments.study.arguments import StudyArguments
from eeg_hf.experiments.study.label_checks import (
    list_confounds,
    list_warnings,
    refuse_copies,
    refuse_unlearnable,
)
from eeg_hf.experiments.study.plan import make_plan
from eeg_hf.experiments.study.question import Question, ask, is_number
from eeg_hf.experiments.study.understanding import label_table


def make_table(**columns):
    """Return the facts of eight recordings of four subjects, two conditions each."""
    table = pd.DataFrame(
        {
            "file": [f"P{subject}/{name}.edf" for subject in range(4) for name in ("rest", "task")],
            "subject": [f"P{subject}" for subject in range(4) for _ in range(2)],
            "folder": [f"P{subject}" for subject in range(4) for _ in range(2)],
            "format": "edf",
            "sampling_rate": 250.0,
            "num_channels": 19,
            "channels": [[f"E{number}" for number in range(19)]] * 8,
            "day": "2026-01-01",
            "seconds": 60.0,
            "condition": ["rest", "task"] * 4,
            "samples": [f"hash {number}" for number in range(8)],
            "problem": None,
        }
    )
    return table.assign(**columns)


def test_a_clean_design_has_no_warning():
    assert list_warnings(make_table(), "condition") == []


@pytest.mark.parametrize(
    ("fact", "values"),
    [
        ("sampling_rate", [250.0, 500.0] * 4),
        ("format", ["edf", "bdf"] * 4),
        ("day", ["2026-01-01", "2026-02-01"] * 4),
        ("filters", ["not stated", "to 40 Hz"] * 4),
        ("measured", ["3.1.2026", "14.2.2026 09:30"] * 4),
        ("num_channels", [19, 21] * 4),
        ("Amplifier", ["actiCHamp", "g.tec"] * 4),
    ],
)
def test_a_fact_that_tells_the_label_is_said(fact, values):
    (warning,) = list_confounds(make_table(**{fact: values}), "condition")
    assert f"condition goes with the {fact.replace('_', ' ')}" in warning and "rest: mostly" in warning
    words = [str(value).replace("2026", "") for value in values]
    assert list_confounds(make_table(candidate=words, label_of_expert=words), "condition") == []


def test_a_day_for_each_recording_is_no_confound_and_one_wrong_file_does_not_hide_one():
    days = [f"2026-01-0{number}" for number in range(1, 9)]
    assert list_confounds(make_table(day=days), "condition") == []
    rates = [250.0, 500.0] * 7 + [250.0, 250.0]
    table = pd.concat([make_table(), make_table()], ignore_index=True).assign(sampling_rate=rates)
    assert len(list_confounds(table, "condition")) == 1


@pytest.mark.parametrize("fact", ["day", "measured on"])
def test_a_period_in_which_one_class_was_recorded_is_said(fact):
    days = [f"2026-0{1 + number % 2 * 3}-{10 + number}" for number in range(8)]  # patients after controls
    (warning,) = list_confounds(make_table(**{fact: days}), "condition")
    assert f"goes with the {fact} of" in warning and "task: mostly from 2026-04-11" in warning
    ages = [20.0, 50.0, 21.0, 52.0, 22.0, 54.0, 23.0, 70.0]
    (warning,) = list_confounds(make_table(condition=ages, **{fact: days}), "condition", True)
    assert f"goes with the {fact} of" in warning


def test_folders_that_are_named_after_the_classes_are_how_labels_are_stated():
    table = make_table(folder=["Rest", "Task"] * 4)
    assert list_confounds(table, "condition") == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"condition": [None] * 8}, "none of 8 recordings has a label"),
        ({"condition": ["rest"] * 8}, "the single class 'rest'"),
        ({"condition": list("abcdefgh")}, "names recordings and is no label"),
        ({"subject": ["P0"] * 8}, "are all of subject 'P0'"),
        ({"condition": ["a"] * 7 + ["b"]}, "class 'b' of 'condition' has one subject.*leave its cells empty"),
        ({"condition": ["Rest"] * 4 + ["task"] * 3 + ["rest"]}, "are 'Rest' and 'rest' one class"),
        ({"condition": list("22334455")}, "class '2' of 'condition' has one subject.*--task regression"),
        ({"condition": [f"{age} y" for age in range(20, 28)]}, "write it without words, not '20 y'"),
    ],
)
def test_labels_from_which_nothing_can_be_learned_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        refuse_unlearnable(make_table(**columns), "condition")


def test_copies_are_refused_across_subjects_and_said_within_one():
    copies = ["a", "a", *"bcdefg"]  # P0/rest.edf and P0/task.edf
    refuse_copies(make_table(samples=copies))
    assert "2 recordings hold the same samples, such as P0/rest.edf, P0/task.edf" in " ".join(
        list_warnings(make_table(samples=copies), "condition")
    )
    with pytest.raises(ValueError, match="P0/rest.edf of subject 'P0' and P1/rest.edf of 'P1' hold the same"):
        refuse_copies(make_table(samples=["a", "b", "a", *"cdefg"]))
    with pytest.raises(
        ValueError, match="hold the same"
    ):  # also where the last copy is the first's subject's
        refuse_copies(make_table(subject=list("ABAABBCC"), samples=["a", "a", "a", *"bcdef"]))
    refuse_copies(make_table(samples=[None] * 8))  # flat ones


def test_recordings_with_several_events_are_counted_once():
    table = make_table(event=[["left", "right"]] * 6 + [None] * 2, problem=[None] * 6 + ["no event"] * 2)
    rows = label_table(table, "event", is_regression=False)
    assert list_warnings(rows, "event") == ["2 of 8 recordings cannot be read, such as no event"]


def test_half_labels_unnamed_subjects_and_group_labels_are_said():
    table = make_table(condition=["rest", "task"] * 2 + [None] * 4, subject=[f"S{n}" for n in range(8)])
    said = " ".join(list_warnings(table, "condition"))
    assert "4 of 8 recordings have no condition" in said
    assert "counts as a subject of its own" in said and "never within one" in said


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([20.0, 31.5, 20.0, 44.0, 51.0, 62.0, 70.0, 20.0], True),
        ([16.0, 17.0, 18.0, 19.0, 20.0, 21.0, 26.0, None], True),
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0, 1.0], False),  # stages of sleep
        (["20", "31", "44", "51", "62", "70", "80", "90"], False),
        ([True, False] * 4, False),
    ],
)
def test_numbers_of_many_values_are_predicted(values, expected):
    assert is_number(pd.Series(values)) is expected


@pytest.mark.parametrize(
    ("values", "task", "message"),
    [
        (["20", "31", "44", "51", "62", "70", "unknown", "90"], "auto", "numbers but for 'unknown': leave"),
        (["rest", "task"] * 4, "regression", "needs numbers, 'condition' holds 'rest'"),
        ([float(number) for number in range(21)], "classification", "21 different numbers, too many"),
    ],
)
def test_labels_that_do_not_fit_a_task_are_told(values, task, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        ask(pd.DataFrame({"condition": values}), "condition", task, tmp_path)


def test_words_and_codes_of_classes_are_asked_for_as_classes(tmp_path):
    for values in (["1", "2", "unknown", "1"], [0.0, 1.0, 0.0, 1.0], list("abab")):
        assert not ask(pd.DataFrame({"x": values}), "x", "auto", tmp_path).is_regression


def test_numbers_are_refused_where_they_count_recordings_and_have_confounds_too():
    with pytest.raises(ValueError, match="names recordings"):
        refuse_unlearnable(make_table(condition=range(1, 9)), "condition", is_regression=True)
    ages = [20.0, 21.0, 22.0, 23.0, 50.0, 52.0, 54.0, 70.0]
    refuse_unlearnable(make_table(condition=ages), "condition", is_regression=True)
    rates = [250.0] * 4 + [500.0] * 4
    (warning,) = list_confounds(make_table(condition=ages, sampling_rate=rates), "condition", True)
    assert "goes with the sampling rate" in warning


def plan_of(table, folds=2, label="condition", **options):
    """Return the plan of a table with one label of classes."""
    args = StudyArguments(["lab"], folds=folds, **options)
    return make_plan(table, {Question(label, False, None): table}, args)


def test_events_place_the_windows():
    near = plan_of(make_table(event_gap=0.5, event_duration=0.1), segments="events")
    assert (near.tmin, near.window_seconds) == (-0.2, 0.7)
    far = plan_of(make_table(event_gap=8.0, event_duration=0.1), segments="events")
    assert (far.tmin, far.window_seconds) == (0.0, 4.0)
    nights = plan_of(make_table(event_gap=60.0, event_duration=30.0), segments="annotations")
    assert nights.window_seconds == 30.0


def test_a_recording_that_was_broken_off_does_not_decide_for_all():
    plan = plan_of(make_table(seconds=[0.5, *[60.0] * 7]))
    assert plan.window_seconds == 5.0 and plan.reasons == ("no window of 1 recordings of less than 5 s",)
    plan = plan_of(make_table(seconds=[0.5, *[6.0] * 7]))
    assert plan.window_seconds == 1.5 and "one recording has 6.0 s; no window of 1" in plan.reasons[0]


def test_settings_fit_every_recording():
    names = [f"E{number}" for number in range(4)]
    few = make_table(sampling_rate=[128.0, 256.0] * 4, channels=[names, names[:3]] * 4, seconds=6.0)
    plan = plan_of(few.assign(num_channels=[4, 3] * 4), 5)
    assert (plan.sampling_rate, plan.reference, plan.channels) == (128.0, "original", names[:3])
    assert plan.window_seconds == 1.5 and plan.folds == 4 and len(plan.reasons) == 5
    plan = plan_of(make_table())
    assert (plan.sampling_rate, plan.reference, plan.channels, plan.reasons) == (200.0, "average", None, ())
    with pytest.raises(ValueError, match="share no electrode"):
        plan_of(make_table(channels=[["A"], ["B"]] * 4))
