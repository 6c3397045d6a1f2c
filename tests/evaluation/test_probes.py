# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest

from eeg_hf.evaluation.plots import CYCLE
from eeg_hf.evaluation.probe_plot import plot_probe_curve
from eeg_hf.evaluation.probes import linear_probe, probe_chance


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(400, 6))


def halves(rows, targets):
    return rows[:200], targets[:200], rows[200:], targets[200:]


def test_classes_that_are_linear_are_read_and_unrelated_ones_are_not(features):
    labels = (features[:, 1] > 0).astype(int)
    scores = linear_probe(*halves(features, labels))
    assert set(scores) == {"balanced_accuracy", "auroc"}
    assert min(scores.values()) > 0.9
    unrelated = np.random.default_rng(1).integers(0, 2, 400)
    assert abs(linear_probe(*halves(features, unrelated))["auroc"] - 0.5) < 0.12


def test_rare_class_counts_as_much_as_the_others(features):
    labels = (features[:, 0] > 1.2).astype(int)  # 12 %
    assert linear_probe(*halves(features, labels))["balanced_accuracy"] > 0.85


def test_ridge_shrinks_by_as_much_as_its_penalty_says():
    values = np.random.default_rng(0).normal(40, 7, 300)
    scores = linear_probe(values[:, None], values, values[:, None], values, kind="regression")
    error = 100 / (300 + 100)  # alpha / (n + alpha) of one standardised feature that is the target
    assert scores["nrmse_std"] == pytest.approx(error)
    assert scores["r2"] == pytest.approx(1 - error**2)
    assert scores["mae"] == pytest.approx(error * np.abs(values - values.mean()).mean())


@pytest.mark.parametrize("missing", [None, math.nan, -100])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_rows_without_a_target_change_nothing(features, missing, kind):
    targets = list(np.sign(features[:, 0]) + 1)
    whole = linear_probe(*halves(features, targets), kind=kind)
    rows = np.insert(features, [0, 300], 50.0, axis=0)
    more = [missing, *targets[:300], missing, *targets[300:]]
    assert linear_probe(rows[:201], more[:201], rows[201:], more[201:], kind=kind) == whole


def test_same_rows_give_the_same_bits_and_features_of_any_scale_the_same_score(features):
    labels = (features[:, 0] + features[:, 1] > 0).astype(int)
    first = linear_probe(*halves(features, labels))
    assert linear_probe(*halves(features, labels)) == first
    assert linear_probe(*halves(1e-6 * features + 1, labels))["auroc"] == pytest.approx(first["auroc"])


def test_class_that_nobody_trained_on_is_missed(features):
    labels = np.digitize(features[:, 0], [0, 1])  # 0, 1, 2
    train = labels < 2
    scores = linear_probe(features[train], labels[train], features, labels)
    assert scores["balanced_accuracy"] < 0.67
    assert math.isfinite(scores["auroc"])


def test_chance_is_what_a_constant_guess_reaches(features):
    assert probe_chance([0, 0, 1, 2, None]) == {"balanced_accuracy": 1 / 3, "auroc": 0.5}
    assert probe_chance([1.0, 3.0, math.nan], "regression") == {"nrmse_std": 1.0, "r2": 0.0, "mae": 1.0}
    with pytest.raises(ValueError, match="got none"):
        probe_chance([None, -100], "regression")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_targets": np.zeros(4)}, "train targets: expected two different ones or more, got 1"),
        ({"test_targets": np.zeros(4), "kind": "regression"}, "test targets: expected two"),
        ({"test_targets": [None] * 4}, r"got 0 in 4 rows \(0 with a target\)"),
        ({"train_features": np.empty((0, 2)), "train_targets": []}, "got 0 in 0 rows"),
        ({"train_features": np.full((4, 2), np.nan)}, "train features: .* NaN or infinite in 4 of 4: did"),
        ({"train_features": np.zeros(4)}, r"expected features \(rows, features\)"),
        ({"test_features": np.zeros((4, 3))}, "expected 2 a row as in train, got 3"),
        ({"kind": "ranking"}, "kind: expected classification or regression, got 'ranking'"),
    ],
)
def test_bad_input_is_one_line(change, words):
    good = {
        "train_features": np.eye(4)[:, :2],
        "train_targets": [0, 1, 0, 1],
        "test_features": np.eye(4)[:, :2],
        "test_targets": [0, 1, 0, 1],
    }
    linear_probe(**good)
    with pytest.raises(ValueError, match=words) as caught:
        linear_probe(**{**good, **change})
    assert "\n" not in str(caught.value)


def test_curve_goes_on_over_the_phases(tmp_path):
    scores = {"masked": [0.52, 0.6, 0.66], "contrastive": [0.66, 0.7], "fine-tuning": [0.7, 0.78]}
    rows = [
        {"phase": phase, "step": 50 * index, "balanced_accuracy": value}
        for phase, values in scores.items()
        for index, value in enumerate(values)
    ]
    path = tmp_path / "curve.png"
    figure = plot_probe_curve(rows, path, chance=0.5)
    (axes,) = figure.axes
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in dots] == [[0, 50, 100], [100, 150], [150, 200]]
    assert [list(line.get_ydata()) for line in dots] == list(scores.values())
    assert [line.get_color() for line in dots] == list(CYCLE[:3])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == [*scores, "chance, 0.50"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("steps of all phases", "Balanced accuracy")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_curve_without_the_metric_is_refused():
    with pytest.raises(ValueError, match="at least one with auroc"):
        plot_probe_curve([{"phase": "a", "step": 0, "r2": 0.1}], metric="auroc")
