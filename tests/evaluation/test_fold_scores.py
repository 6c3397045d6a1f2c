# SPDX-License-Identifier: Apache-2.0
"""Numbers over folds and seeds: each interval is of its number, and covers the truth."""

import math

import numpy as np
import pytest

from eeg_hf.evaluation import FoldScores, MethodRuns, Predictions, classification_metrics, compare_methods
from eeg_hf.evaluation.fold_scores import SubjectCounts
from eeg_hf.evaluation.metrics import METRIC_NAMES


def predictions(labels, scores, subjects, start=0):
    ids = np.array([f"w{start + number:05d}" for number in range(len(labels))])
    return Predictions(ids, np.asarray(subjects), np.asarray(labels), np.asarray(scores, float))


def draw_fold(random, names, num_classes=2, windows_each=20, skill=None, start=0):
    """Windows of subjects who are each easy or hard; in the long run 70 % of the predictions are right."""
    skills = random.beta(7, 3, len(names)) if skill is None else skill
    subjects = np.repeat(names, windows_each)
    labels = np.tile(np.arange(windows_each) % num_classes, len(names))
    is_right = random.random(len(labels)) < np.repeat(skills, windows_each)
    said = np.where(is_right, labels, (labels + 1) % num_classes)
    scores = np.eye(num_classes)[said] * 0.5 + random.dirichlet(np.ones(num_classes), len(labels)) * 0.5
    return predictions(labels, scores, subjects, start)


def draw_folds(random, num_folds, num_subjects, **options):
    names = [[f"s{fold}{number:02d}" for number in range(num_subjects)] for fold in range(num_folds)]
    return [draw_fold(random, fold, start=1000 * index, **options) for index, fold in enumerate(names)]


@pytest.mark.parametrize("num_classes", [2, 3])
def test_counts_by_subject_give_the_metrics_of_any_choice_of_subjects(num_classes):
    random = np.random.default_rng(0)
    part = draw_fold(random, ["a", "b", "c", "d"], num_classes)
    weights = np.array([[1, 1, 1, 1], [2, 0, 1, 0]])
    found = SubjectCounts(part).metrics(weights)
    for number, drawn in enumerate(([0, 1, 2, 3], [0, 0, 2])):
        rows = np.concatenate([np.flatnonzero(part.subjects == "abcd"[subject]) for subject in drawn])
        expected = classification_metrics(part.labels[rows], part.scores[rows])
        for name in METRIC_NAMES:
            assert found[name][number] == pytest.approx(expected[name]), name


def test_missing_labels_count_nowhere():
    random = np.random.default_rng(1)
    whole = draw_fold(random, ["a", "b", "c"])
    labels = whole.labels.astype(float)
    labels[:7] = np.nan
    labels[7:10] = -100
    part = Predictions(whole.window_ids, whole.subjects, labels, whole.scores)
    rest = SubjectCounts(predictions(whole.labels[10:], whole.scores[10:], whole.subjects[10:]))
    ones = np.ones((1, 3))
    assert SubjectCounts(part).metrics(ones) == rest.metrics(ones)


def test_the_number_is_the_mean_over_folds_and_seeds_and_others_stand_beside():
    random = np.random.default_rng(2)
    runs = [draw_folds(random, 3, 4), draw_folds(random, 3, 4)]
    summary = FoldScores(runs, 200).summary()
    each = np.array(
        [[classification_metrics(fold.labels, fold.scores)["auroc"] for fold in run] for run in runs]
    )
    auroc = summary["auroc"]
    assert auroc["mean"] == pytest.approx(each.mean())
    assert auroc["values"] == pytest.approx(each.mean(axis=0).tolist())
    assert auroc["sd"] == pytest.approx(each.mean(axis=0).std())
    whole = [Predictions.concatenate(run) for run in runs]
    pooled = [classification_metrics(part.labels, part.scores)["auroc"] for part in whole]
    assert auroc["pooled"] == pytest.approx(np.mean(pooled))
    subjects = np.unique(whole[0].subjects)
    by_subject = [
        classification_metrics(part.labels[part.subjects == name], part.scores[part.subjects == name])
        for part in whole
        for name in subjects
    ]
    assert auroc["subject_mean"] == pytest.approx(np.mean([scores["auroc"] for scores in by_subject]))
    assert "undefined_folds" not in auroc
    for name in METRIC_NAMES:
        low, high = summary[name]["interval"]
        assert low < summary[name]["mean"] < high


def test_one_fold_has_the_values_of_its_seeds():
    random = np.random.default_rng(3)
    runs = [draw_folds(random, 1, 5), draw_folds(random, 1, 5)]
    summary = FoldScores(runs, 50).summary()["accuracy"]
    each = [classification_metrics(fold.labels, fold.scores)["accuracy"] for (fold,) in runs]
    assert summary["values"] == pytest.approx(each) and summary["mean"] == pytest.approx(np.mean(each))
    assert "pooled" not in summary


def test_the_interval_repeats_with_its_seed():
    runs = [draw_folds(np.random.default_rng(4), 2, 5)]
    assert FoldScores(runs, 50).summary() == FoldScores(runs, 50).summary()
    assert FoldScores(runs, 50).draws["auroc"][0] != FoldScores(runs, 50, seed=1).draws["auroc"][0]


@pytest.mark.parametrize(
    ("num_folds", "num_subjects"),
    [(5, 7), (1, 12), (5, 2), (12, 1)],
    ids=["folds", "one split", "small folds", "leave one subject out"],
)
def test_the_interval_covers_the_truth_and_holds_its_number(num_folds, num_subjects):
    num_covered = 0
    for seed in range(60):
        runs = [draw_folds(np.random.default_rng(seed), num_folds, num_subjects)]
        summary = FoldScores(runs, 300).summary()["balanced_accuracy"]
        low, high = summary["interval"]
        num_covered += low <= 0.7 <= high
        assert low < summary["mean"] < high
    # With a coverage of 95 %, 52 of 60 experiments or more do in 99 of 100 tries
    assert num_covered >= 52


def test_an_interval_of_pooled_scores_is_another_one():
    # Two folds whose classifiers are as good, at other thresholds: pooled, half of the order is lost
    random = np.random.default_rng(5)
    first, second = draw_folds(random, 2, 8, skill=np.full(8, 0.95))
    shifted = predictions(second.labels, second.scores + np.array([0.0, 3.0]), second.subjects, start=1000)
    summary = FoldScores([[first, shifted]], 200).summary()["auroc"]
    assert summary["pooled"] < summary["interval"][0] < summary["mean"]


def test_a_fold_without_a_class_is_said_and_the_number_is_the_pooled_one():
    random = np.random.default_rng(6)
    first, second = draw_folds(random, 2, 6)
    one_class = second.labels == 0
    second = Predictions(*(getattr(second, name)[one_class] for name in second.__dataclass_fields__))
    summary = FoldScores([[first, second]], 200).summary()
    whole = Predictions.concatenate([first, second])
    expected = classification_metrics(whole.labels, whole.scores)
    for name in ("auroc", "balanced_accuracy", "kappa", "macro_f1"):
        found = summary[name]
        assert found["mean"] == pytest.approx(expected[name]) and found["undefined_folds"] == (1, 2)
        assert math.isnan(found["values"][1]) and not math.isnan(found["values"][0])
        assert found["interval"][0] < found["mean"] < found["interval"][1]
    assert "undefined_folds" not in summary["accuracy"]
    assert summary["accuracy"]["mean"] == pytest.approx(np.mean(summary["accuracy"]["values"]))


def test_subjects_who_are_in_every_fold_are_drawn_once_for_all():
    random = np.random.default_rng(7)
    names = [f"s{number}" for number in range(10)]
    skill = random.beta(7, 3, 10)
    sessions = [draw_fold(random, names, skill=skill, start=1000 * fold) for fold in range(2)]
    low, high = FoldScores([sessions], 500).summary()["accuracy"]["interval"]
    strangers = draw_fold(random, [f"t{number}" for number in range(10)], skill=skill, start=1000)
    other_low, other_high = FoldScores([[sessions[0], strangers]], 500).summary()["accuracy"]["interval"]
    assert high - low > 1.15 * (other_high - other_low)  # ten subjects, not twenty


def test_two_subjects_of_other_classes_have_no_interval():
    """Draws of one of them lack a class; those of both are the sample, whose interval would have no width."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1], 50)
    scores = random.dirichlet([1, 1], 100)
    subjects = np.repeat(["volunteers", "patients"], 50)
    found = FoldScores([[Predictions(np.arange(100).astype(str), subjects, labels, scores)]]).summary()
    assert "interval" not in found["balanced_accuracy"] and "interval" in found["accuracy"]


def test_one_subject_alone_has_no_interval():
    (fold,) = draw_folds(np.random.default_rng(8), 1, 1)
    assert "interval" not in FoldScores([[fold]], 50).summary()["accuracy"]


def test_seeds_of_other_subjects_or_folds_are_refused():
    random = np.random.default_rng(9)
    runs = draw_folds(random, 3, 4)
    for other in (runs[:2], draw_folds(random, 3, 5)):
        with pytest.raises(ValueError, match="expected as many folds, of the same subjects, in each seed"):
            FoldScores([runs, other], 10)
    with pytest.raises(ValueError, match="tested on the same windows in the same folds"):
        FoldScores([runs], 10).difference(FoldScores([runs[::-1]], 10))


def part_of(whole, names):
    rows = np.isin(whole.subjects, names)
    return Predictions(*(getattr(whole, name)[rows] for name in whole.__dataclass_fields__))


def test_seeds_may_divide_the_subjects_into_other_folds():
    whole = Predictions.concatenate(draw_folds(np.random.default_rng(11), 3, 4))
    subjects, runs = np.unique(whole.subjects), []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(subjects)
        runs.append([part_of(whole, order[fold::3]) for fold in range(3)])
    found = FoldScores(runs, 500)
    each = [[classification_metrics(part.labels, part.scores)["auroc"] for part in run] for run in runs]
    auroc = found.summary()["auroc"]
    assert auroc["mean"] == pytest.approx(np.mean(each))
    assert auroc["values"] == pytest.approx(np.mean(each, axis=1).tolist())
    assert auroc["interval"][0] < auroc["mean"] < auroc["interval"][1]
    # Three divisions of the same predictions: as many subjects as one, so as wide an interval
    width, alone = (
        np.ptp(FoldScores(part, 500).summary()["accuracy"]["interval"]) for part in (runs, runs[:1])
    )
    assert width == pytest.approx(alone, rel=0.35)
    assert found.num_windows == len(whole.labels)


def better_and_worse(seed, gain, num_subjects=20):
    """Two methods on the same subjects, who differ by far more than the methods do."""
    random = np.random.default_rng(seed)
    skill = random.uniform(0.5, 0.85, num_subjects)
    names = [f"s{number:02d}" for number in range(num_subjects)]
    return [draw_fold(random, names, windows_each=100, skill=skill + more) for more in (gain, 0.0)]


def test_methods_are_compared_subject_by_subject_with_the_best_baseline():
    ours, theirs = better_and_worse(0, 0.08)
    names, weak_skill = [f"s{n:02d}" for n in range(20)], np.full(20, 0.55)
    weak = draw_fold(np.random.default_rng(1), names, windows_each=100, skill=weak_skill)
    rows = compare_methods(
        [
            MethodRuns("ours", "unseen", [[ours]], seeds=(4,)),
            MethodRuns("CSP", "unseen", [[theirs]], is_baseline=True),
            MethodRuns("guess", "unseen", [[weak]], is_baseline=True),
            MethodRuns("alone", "aligned", [[theirs]]),
        ],
        "official split",
    )
    own, best, other, alone = rows
    assert (own.num_subjects, own.num_windows, own.seeds) == (20, 2000, (4,))
    assert best.difference is other.difference is alone.difference is None
    assert own.difference["baseline"] == "CSP"
    means = {row.method: row.metrics["balanced_accuracy"]["mean"] for row in rows}
    assert own.difference["mean"] == pytest.approx(means["ours"] - means["CSP"])
    low, high = own.difference["interval"]
    assert 0 < low < own.difference["mean"] < high < 0.2
    assert own.difference["num_higher"] + own.difference["num_lower"] <= own.difference["num_subjects"] == 20
    # The intervals of the two numbers overlap, since subjects differ by more than the methods
    ends = [row.metrics["balanced_accuracy"]["interval"] for row in (own, best)]
    assert ends[0][0] < ends[1][1]


def test_without_a_difference_about_one_in_twenty_is_found():
    num_found = 0
    for seed in range(60):
        pair = [FoldScores([[part]], 300) for part in better_and_worse(seed, 0.0)]
        low, high = pair[0].difference(pair[1])["interval"]
        num_found += not low <= 0 <= high
    assert num_found <= 8


def test_where_no_method_is_a_baseline_each_is_compared_with_the_best_of_the_others():
    ours, theirs = better_and_worse(2, 0.2)
    rows = compare_methods(
        [MethodRuns("a", "unseen", [[ours]]), MethodRuns("b", "unseen", [[theirs]])], "one split"
    )
    assert [row.difference["baseline"] for row in rows] == ["b", "a"]
    assert rows[0].difference["mean"] == pytest.approx(-rows[1].difference["mean"])


def test_subjects_of_one_class_each_are_counted_by_accuracy():
    random = np.random.default_rng(10)
    names = [f"s{number}" for number in range(12)]
    subjects = np.repeat(names, 10)
    labels = np.repeat(np.arange(12) % 2, 10)
    parts = [predictions(labels, random.dirichlet([1, 1], 120), subjects) for _ in range(2)]
    pair = [FoldScores([[part]], 200) for part in parts]
    summary = pair[0].summary()
    assert "subject_mean" not in summary["auroc"] and "subject_mean" in summary["accuracy"]
    right = [(part.scores.argmax(axis=1) == labels).reshape(12, 10).mean(axis=1) for part in parts]
    found = pair[0].difference(pair[1])
    assert found["num_higher"] == (right[0] > right[1]).sum() and found["num_subjects"] == 12
    assert found["mean"] == pytest.approx(
        summary["balanced_accuracy"]["mean"] - pair[1].summary()["balanced_accuracy"]["mean"]
    )
