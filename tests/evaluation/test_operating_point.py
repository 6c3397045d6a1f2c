# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from eeg_hf.evaluation.metrics import balanced_accuracy
from eeg_hf.evaluation.operating_point import choose_offsets

GROUPS = np.repeat(np.arange(12), 30)


def draw(num_classes, bias, seed=0):
    """Return logits that tell the classes apart but for a bias, and labels of which the first is common."""
    random = np.random.default_rng(seed)
    labels = np.tile(
        np.r_[np.zeros(30 - 4 * (num_classes - 1), int), np.repeat(np.arange(1, num_classes), 4)], 12
    )
    return np.eye(num_classes)[labels] * 4 + random.normal(size=(360, num_classes)) + bias, labels


@pytest.mark.parametrize("bias", [[0.0, 3.0], [4.0, 0.0, 0.0], [0.0, 2.5, -2.5, 0.0]])
def test_a_bias_is_taken_back(bias):
    logits, labels = draw(len(bias), bias)
    offsets = choose_offsets(logits, labels, GROUPS)
    fresh, truth = draw(len(bias), bias, seed=1)
    before, after = (balanced_accuracy(truth, each.argmax(axis=1)) for each in (fresh, fresh + offsets))
    assert after > 0.95 and after > before + 0.1
    assert offsets.sum() == pytest.approx(0)


def test_a_gain_by_chance_changes_nothing():
    random = np.random.default_rng(0)
    changed = 0
    for _ in range(50):
        shift = np.repeat(random.normal(0, 2, 12), 30)  # of each subject, in no direction
        labels = np.tile([0, 1], 180)
        margin = 4 * labels - 2 + shift + random.normal(size=360)
        changed += choose_offsets(np.stack([0 * margin, margin], axis=1), labels, GROUPS).any()
    assert changed < 25


def test_a_gain_of_one_subject_alone_is_not_one_of_others():
    logits, labels = draw(2, [0.0, 0.0])
    logits[:30, 1] += 5
    assert not choose_offsets(logits, labels, GROUPS).any()


@pytest.mark.parametrize("rows", [slice(0, 30), slice(0, 3)])
def test_one_subject_or_one_class_choose_nothing(rows):
    logits, labels = draw(2, [0.0, 3.0])
    assert not choose_offsets(logits[rows], labels[rows], GROUPS[rows]).any()
    # A class that no window has is never chosen
    three = np.c_[logits, np.full(360, -20.0)]
    assert (three + choose_offsets(three, labels, GROUPS)).argmax(axis=1).max() == 1
