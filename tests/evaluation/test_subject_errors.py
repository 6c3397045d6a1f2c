# SPDX-License-Identifier: Apache-2.0
"""Metrics of regressions over subjects: equal to those of the windows, for any weights."""

import numpy as np
import pytest

from eeg_hf.evaluation import (
    FoldScores,
    MethodRuns,
    Predictions,
    compare_methods,
    regression_metrics,
    results_table,
)
from eeg_hf.evaluation.subject_errors import REGRESSION_METRIC_NAMES, SubjectErrors


def predictions(targets, found, subjects, start=0):
    ids = np.array([f"w{number}" for number in range(start, start + len(targets))])
    return Predictions(ids, np.array(subjects), np.asarray(targets, float), np.reshape(found, (-1, 1)))


def make_part(seed, names="abcdef", scale=1.0, noise=5.0, start=0):
    """Return windows of subjects of 1000 years and more, so that squares are large."""
    random = np.random.default_rng(seed)
    targets = np.repeat(1000 + random.normal(0, 10, len(names)), 4)
    found = 1000 + scale * (targets - 1000) + random.normal(0, noise, len(targets))
    return predictions(targets, found, np.repeat(list(names), 4), start)


def test_any_weights_give_the_metrics_of_the_windows_drawn():
    part = make_part(0)
    weights = np.array([[1, 1, 1, 1, 1, 1], [2, 0, 1, 0, 3, 0], [0, 0, 4, 0, 0, 0]])
    found = SubjectErrors(part).metrics(weights)
    for row, counts in enumerate(weights):
        rows = np.concatenate(
            [
                np.flatnonzero(part.subjects == name)
                for name, n in zip("abcdef", counts, strict=True)
                for _ in range(n)
            ]
        )
        expected = regression_metrics(part.labels[rows], part.scores[rows])
        for name in REGRESSION_METRIC_NAMES:
            assert found[name][row] == pytest.approx(expected[name], rel=1e-9, nan_ok=True), name
    assert np.isnan(found["r2"][2]) and found["mae"][2] > 0


def test_constant_predictions_have_no_correlation():
    found = SubjectErrors(predictions([1, 2, 3, 4], [2.5] * 4, list("aabb"))).metrics(np.ones((1, 2)))
    assert np.isnan(found["pearson"][0])
    assert found["r2"][0] == pytest.approx(0) and found["nrmse_std"][0] == pytest.approx(1)


def test_all_folds_count_together_and_the_interval_holds_the_number():
    first, second = make_part(1, "abcdef"), make_part(2, "ghijkl", start=100)
    summary = FoldScores([[first, second]], 300).summary()
    whole = Predictions.concatenate([first, second])
    expected = regression_metrics(whole.labels, whole.scores)
    for name in REGRESSION_METRIC_NAMES:
        low, high = summary[name]["interval"]
        assert summary[name]["mean"] == pytest.approx(expected[name]) and low < expected[name] < high


def test_methods_are_compared_by_r2_and_missing_targets_are_left_out():
    good, poor = make_part(3, noise=1.0), make_part(3, scale=0.0, noise=1.0)
    targets = good.labels.copy()
    targets[0] = np.nan
    good, poor = (predictions(targets, part.scores, part.subjects) for part in (good, poor))
    runs = [MethodRuns("mean", "unseen", [[poor]], is_baseline=True), MethodRuns("ours", "unseen", [[good]])]
    rows = compare_methods(runs, "folds")
    difference = rows[1].difference
    assert difference["interval"][0] > 0 and difference["num_higher"] == difference["num_subjects"] == 6
    table = results_table(rows)
    assert table.index("| ours |") < table.index("| mean |") and "| MAE |" in table
    assert "it beats mean" in table and "Balanced" not in table
