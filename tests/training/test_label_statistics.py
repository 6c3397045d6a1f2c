# SPDX-License-Identifier: Apache-2.0
"""Class weights, auxiliary tasks fitted to a training set, and what cannot be learned from it."""

import doctest
import math

import numpy as np
import pytest

from eeg_hf import HBN_AUXILIARY_TASKS, EEGFoundationConfig
from eeg_hf.training import balanced_class_weights, fit_auxiliary_tasks, label_statistics
from eeg_hf.training.label_statistics import is_missing


def test_docstrings_say_what_happens():
    result = doctest.testmod(label_statistics)
    assert result.attempted and not result.failed


def test_the_tasks_of_hbn_are_fitted_to_the_people_there_are():
    targets = {
        "age": [6.0, 8.0, None, 10.0, math.nan],
        "sex": ["F", None, "F", "M", "F"],
        **{task: [0.0, 1.0, None, None, None] for task in HBN_AUXILIARY_TASKS if task not in ("age", "sex")},
    }
    fitted = fit_auxiliary_tasks(HBN_AUXILIARY_TASKS, targets)
    spread = math.sqrt(8 / 3)  # that of the population, as NRMSE has it
    assert fitted["age"] == {"num_outputs": 1, "weight": 1.0, "mean": 8.0, "std": pytest.approx(spread)}
    assert fitted["sex"] == {"num_outputs": 2, "weight": 0.5, "classes": ["F", "M"]}
    assert fitted["p_factor"]["mean"] == fitted["p_factor"]["std"] == 0.5
    assert "mean" not in HBN_AUXILIARY_TASKS["age"]  # what everyone shares stays as it was
    assert EEGFoundationConfig(auxiliary_tasks=fitted).auxiliary_tasks == fitted


def test_classes_are_those_found_or_those_named():
    assert fit_auxiliary_tasks({"eyes": {"num_outputs": 2}}, {"eyes": ["open", "closed", None]}) == {
        "eyes": {"num_outputs": 2, "classes": ["closed", "open"]}
    }
    named = {"eyes": {"num_outputs": 3, "classes": ["open", "half", "closed"]}}  # nobody had them half open
    assert fit_auxiliary_tasks(named, {"eyes": ["open", "closed"]}) == named
    fitted = fit_auxiliary_tasks({"level": {"num_outputs": 2}}, {"level": [1, 0, 1]})
    assert fitted["level"]["classes"] == [0, 1]


@pytest.mark.parametrize(
    ("settings", "values", "message"),
    [
        ({}, [None, math.nan], "none of the 2 windows to train on has a value; leave the task out"),
        ({}, [], "none of the 0 windows"),
        ({}, [7.0, 7.0, None], "all windows to train on have the value 7.0"),
        ({}, ["F", "M"], "expected numbers, got 'F'; for classes give num_outputs"),
        ({}, [1.0, math.inf], "expected finite numbers, got infinity"),
        ({"num_outputs": 3}, ["F", "M"], r"expected 3 classes, the windows have \['F', 'M'\]"),
        (
            {"num_outputs": 2, "classes": ["F", "M"]},
            ["f", "M"],
            r"\['F', 'M'\], the windows have \['M', 'f'\]",
        ),
        ({"num_outputs": 2, "classes": ["F"]}, ["F", "M"], r"expected 2 classes \['F'\]"),
    ],
)
def test_what_cannot_be_learned_is_refused(settings, values, message):
    with pytest.raises(ValueError, match=f"auxiliary task 'it': .*{message}"):
        fit_auxiliary_tasks({"it": settings}, {"it": values})


def test_a_task_without_a_column_is_refused():
    with pytest.raises(ValueError, match=r"'hieght': no such column, there is \['height'\]"):
        fit_auxiliary_tasks({"hieght": {}}, {"height": [1.0, 2.0]})


def test_missing_is_none_and_any_nan():
    assert all(map(is_missing, [None, math.nan, np.float32("nan")]))
    assert not any(map(is_missing, [0, 0.0, "", "F", -100.0]))


def test_class_weights_are_one_on_average():
    labels = [0, 0, 0, 1, 2, 2, -100]
    weights = balanced_class_weights(labels, 3)
    assert weights == [6 / 9, 2.0, 1.0]
    assert np.mean([weights[label] for label in labels if label >= 0]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("labels", "counts"), [([0, 0, 2], r"\[2, 0, 1\]"), ([0, 1, 2, 3], r"\[1, 1, 1, 1\]")]
)
def test_a_class_without_labels_is_refused(labels, counts):
    with pytest.raises(ValueError, match=f"every class of 0 to 2, got counts {counts}"):
        balanced_class_weights(labels, 3)
