# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from sklearn import metrics as sk
from transformers import EvalPrediction

from eeg_hf.evaluation.metric_intervals import bootstrap_interval
from eeg_hf.evaluation.metrics import (
    aggregate_folds,
    chance_level,
    classification_metrics,
    make_compute_metrics,
    regression_metrics,
)

PERFECT = {"balanced_accuracy": 1, "accuracy": 1, "auroc": 1, "kappa": 1, "macro_f1": 1}


def random_scores(num_windows, num_classes, seed=0):
    """Labels with unequal classes, and probabilities that know something about them."""
    random = np.random.default_rng(seed)
    labels = random.choice(
        num_classes, num_windows, p=np.arange(1, num_classes + 1) / sum(range(num_classes + 1))
    )
    logits = random.normal(size=(num_windows, num_classes)) + np.eye(num_classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return labels, logits, probabilities


def test_perfect_scores_reach_one_in_every_metric():
    labels = np.repeat([0, 1, 2], 5)
    metrics = classification_metrics(labels, np.eye(3)[labels])
    assert {name: metrics[name] for name in PERFECT} == PERFECT


def test_constant_prediction_is_chance():
    labels = np.array([0, 0, 0, 1])
    metrics = classification_metrics(labels, np.full((4, 2), 0.5))
    assert {name: metrics[name] for name in chance_level(labels)} == pytest.approx(chance_level(labels))


def test_known_table_gives_the_kappa_of_the_textbook():
    # Two raters of 50 proposals: 20 yes-yes, 15 no-no, 5 and 10 in disagreement; Cohen's kappa is 0.4
    labels = np.repeat([1, 1, 0, 0], [20, 5, 10, 15])
    predictions = np.repeat([1, 0, 1, 0], [20, 5, 10, 15])
    assert classification_metrics(labels, predictions)["kappa"] == pytest.approx(0.4)


@pytest.mark.parametrize("num_classes", [2, 3, 5])
def test_metrics_agree_with_scikit_learn(num_classes):
    labels, _, probabilities = random_scores(300, num_classes)
    predictions = probabilities.argmax(axis=1)
    metrics = classification_metrics(labels, probabilities)
    expected_auroc = (
        sk.roc_auc_score(labels, probabilities[:, 1])
        if num_classes == 2
        else sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    )
    assert metrics["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, predictions))
    assert metrics["auroc"] == pytest.approx(expected_auroc)
    assert metrics["kappa"] == pytest.approx(sk.cohen_kappa_score(labels, predictions))
    assert metrics["macro_f1"] == pytest.approx(sk.f1_score(labels, predictions, average="macro"))


@pytest.mark.parametrize("num_classes", [2, 4])
def test_logits_and_probabilities_give_the_same_metrics(num_classes):
    labels, logits, probabilities = random_scores(200, num_classes)
    assert classification_metrics(labels, logits) == pytest.approx(
        classification_metrics(labels, probabilities)
    )


def test_confident_logits_keep_their_order():
    # As float32 probabilities all four would be 1.0, and the AUROC 0.5
    logits = np.array([[0, 40], [0, 50], [0, 60], [0, 70]], np.float32)
    assert classification_metrics([0, 0, 1, 1], logits)["auroc"] == 1.0


def test_missing_labels_are_left_out_and_counted():
    labels, _, probabilities = random_scores(100, 2)
    with_missing = labels.astype(float)
    with_missing[:20] = np.nan
    with_missing[20:30] = -100
    metrics = classification_metrics(with_missing, probabilities)
    expected = classification_metrics(labels[30:], probabilities[30:])
    assert metrics == pytest.approx({**expected, "num_missing": 30})
    assert metrics["num_samples"] == 70


def test_class_without_references_is_left_out_of_the_averages():
    labels = np.array([0, 0, 1, 1])
    scores = np.array([[0.8, 0.1, 0.1], [0.1, 0.2, 0.7], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1]])
    metrics = classification_metrics(labels, scores, ["rest", "task", "sleep"])
    assert metrics["balanced_accuracy"] == pytest.approx(0.75)
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 1) / 2)
    assert metrics["auroc"] == pytest.approx((0.625 + 1) / 2)  # 2.5 of 4 pairs, and all
    assert metrics["recall_task"] == 1.0
    assert math.isnan(metrics["recall_sleep"])


def test_single_class_has_no_auroc_and_no_agreement_beyond_chance():
    metrics = classification_metrics([1, 1, 1], [[0.1, 0.9]] * 3)
    assert metrics["accuracy"] == 1.0
    assert metrics["kappa"] == 0.0
    assert math.isnan(metrics["auroc"])


def test_hard_predictions_have_no_auroc():
    metrics = classification_metrics([0, 1, 1], [0, 1, 0])
    assert metrics["accuracy"] == pytest.approx(2 / 3)
    assert math.isnan(metrics["auroc"])


@pytest.mark.parametrize(
    ("labels", "scores", "names", "message"),
    [
        ([0, 1], [[0.5, 0.5]], None, r"got \(2,\) and \(1, 2\)"),
        ([[0, 1]], [[0.5, 0.5]], None, "expected labels"),
        ([0, 2], [[0.5, 0.5]] * 2, None, "labels: expected class indices 0 to 1"),
        ([0, -1], [[0.5, 0.5]] * 2, None, "got -1"),
        ([0, 0.5], [[0.5, 0.5]] * 2, None, "got 0.5"),
        ([0, 1], [0.2, 0.7], None, "predictions: expected class indices"),
        ([0, 1], [[0.5], [0.5]], None, "a regression"),
        ([0, 1], [[0.5, np.nan]] * 2, None, "did the training diverge"),
        ([0, 1], [[0.5, 0.5]] * 2, ["rest"], "class_names: expected one for each of 2"),
        ([-100, np.nan], [[0.5, 0.5]] * 2, None, "all are missing"),
    ],
)
def test_what_cannot_be_judged_is_refused(labels, scores, names, message):
    with pytest.raises(ValueError, match=message):
        classification_metrics(labels, scores, names)


def test_predicting_the_mean_is_an_error_of_one_deviation():
    targets = np.random.default_rng(0).normal(40, 12, 50)
    assert regression_metrics(targets, np.full(50, targets.mean()))["nrmse_std"] == pytest.approx(1.0)


def test_regression_metrics_know_scale_and_missing_targets():
    metrics = regression_metrics([1.0, 2.0, 3.0, np.nan], [[3.0], [5.0], [7.0], [0.0]])
    assert metrics["pearson"] == pytest.approx(1.0)
    assert metrics["nrmse_std"] == pytest.approx(math.sqrt((4 + 9 + 16) / 3) / math.sqrt(2 / 3))
    assert (metrics["num_samples"], metrics["num_missing"]) == (3, 1)


def test_constant_targets_have_no_normalised_error():
    assert math.isnan(regression_metrics([2.0, 2.0], [1.0, 3.0])["nrmse_std"])
    with pytest.raises(ValueError, match="each of 2 targets, got 3"):
        regression_metrics([1.0, 2.0], [1.0, 2.0, 3.0])


def people(num_people, windows_each, seed):
    """Windows of people who are each easy or hard to classify; in the long run 70 % are right."""
    random = np.random.default_rng(seed)
    skill = random.beta(7, 3, num_people)
    subjects = np.repeat(np.arange(num_people), windows_each)
    labels = np.tile(np.arange(windows_each) % 2, num_people)
    is_right = random.random(len(labels)) < skill[subjects]
    return labels, np.where(is_right, labels, 1 - labels), subjects


def accuracy(labels, predictions):
    return np.mean(labels == predictions)


def test_interval_over_people_covers_the_truth():
    # 40 experiments; a 90 % interval misses 0.7 in about 4 of them, one over windows in most
    over_people = over_windows = 0
    for seed in range(40):
        labels, predictions, subjects = people(20, 20, seed)
        options = {"metric": accuracy, "num_resamples": 100, "level": 0.9}
        low, high = bootstrap_interval(labels, predictions, subjects, **options)
        over_people += low <= 0.7 <= high
        low, high = bootstrap_interval(labels, predictions, np.arange(len(labels)), **options)
        over_windows += low <= 0.7 <= high
    assert over_people >= 32
    assert over_windows <= 30


def test_interval_repeats_with_its_seed_and_holds_the_estimate():
    labels, predictions, subjects = people(12, 10, 0)
    first = bootstrap_interval(labels, predictions, subjects, num_resamples=50)
    assert first == bootstrap_interval(labels, predictions, subjects, num_resamples=50)
    assert first != bootstrap_interval(labels, predictions, subjects, num_resamples=50, seed=1)
    assert first[0] < classification_metrics(labels, predictions)["balanced_accuracy"] < first[1]


def test_interval_of_a_metric_of_ones_own_leaves_missing_labels_out():
    labels = np.array([0, 0, 1, np.nan, 1, 1])
    subjects = ["a", "a", "b", "b", "c", "c"]
    low, high = bootstrap_interval(
        labels, np.zeros(6, int), subjects, metric=lambda truth, _: np.isnan(truth).mean(), num_resamples=20
    )
    assert (low, high) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("subjects", "metric", "message"),
    [
        (["a", "a"], "accuracy", "at least 2"),
        (["a"], "accuracy", "each of 2 windows, got 1"),
        (["a", "b"], "speed", "expected one of balanced_accuracy"),
    ],
)
def test_interval_needs_people_and_a_metric(subjects, metric, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval([0, 1], [0, 1], subjects, metric)


def test_there_is_no_interval_of_what_is_never_defined():
    assert bootstrap_interval([1, 1], [[0.1, 0.9]] * 2, ["a", "b"], "auroc", num_resamples=10) is None


def test_folds_are_summarised_by_population_deviation_over_those_that_define_a_metric():
    summary = aggregate_folds([{"kappa": 0.2, "auroc": math.nan}, {"kappa": 0.6, "auroc": 0.8}])
    assert summary["kappa"] == {"mean": pytest.approx(0.4), "sd": pytest.approx(0.2), "values": [0.2, 0.6]}
    assert (summary["auroc"]["mean"], summary["auroc"]["sd"]) == (0.8, 0.0)


def test_folds_that_differ_are_refused():
    with pytest.raises(ValueError, match=r"fold 1 differs in \['auroc'\]"):
        aggregate_folds([{"kappa": 0.2}, {"kappa": 0.6, "auroc": 0.8}])
    with pytest.raises(ValueError, match="at least one"):
        aggregate_folds([])


def test_trainer_metrics_take_the_logits_out_of_several_outputs():
    labels, logits, _ = random_scores(50, 2)
    compute = make_compute_metrics(["rest", "task"])
    prediction = EvalPrediction(predictions=(logits, np.zeros((50, 3))), label_ids=labels)
    assert compute(prediction) == classification_metrics(labels, logits, ["rest", "task"])
    with pytest.raises(ValueError, match="one task, got several"):
        compute(EvalPrediction(predictions={"age": logits}, label_ids={"age": labels}))


def test_equal_targets_have_no_nrmse_whatever_is_left_of_rounding():
    targets = np.full(7, 0.1)
    assert targets.std() > 0
    metrics = regression_metrics(targets, np.linspace(0, 1, 7))
    assert np.isnan(metrics["nrmse_std"]) and np.isnan(metrics["pearson"])
