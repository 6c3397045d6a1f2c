# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy.special import i0

from eeg_hf.evaluation import alignment, matching_accuracy, positive_pairs, uniformity


def design(num_people=3, num_moments=4, stimulus="film"):
    """Return stimulus, second and person of each window: everybody saw every moment."""
    people, moments = np.divmod(np.arange(num_people * num_moments), num_moments)
    return [stimulus] * len(people), moments * 2.0, [f"p{person}" for person in people]


def random_embeddings(num_windows, size=8, seed=0):
    return np.random.default_rng(seed).normal(size=(num_windows, size))


def test_alignment_is_the_mean_distance_of_pairs():
    same = random_embeddings(5)
    assert alignment(same, 3 * same) == pytest.approx(0)
    assert alignment(same, -same) == pytest.approx(4)  # opposite: a distance of 2
    assert alignment(same, -same, alpha=1) == pytest.approx(2)
    assert alignment([[1, 0], [1, 0]], [[0, 1], [1, 0]]) == pytest.approx(1)  # 2 and 0
    random = random_embeddings(20000, seed=1)
    assert alignment(random[::2], random[1::2]) == pytest.approx(2, abs=0.02)


@pytest.mark.parametrize("t", [1.0, 2.0])
def test_uniformity_of_the_circle_and_the_sphere(t):
    assert uniformity(np.ones((5, 3)), t) == pytest.approx(0)
    assert uniformity([[1, 0], [-2, 0]], t) == pytest.approx(-4 * t)
    angles = 2 * np.pi * np.arange(64) / 64
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    everything = np.exp(-2 * t) * i0(2 * t)  # a point and itself among all pairs
    assert uniformity(circle, t) == pytest.approx(np.log((64 * everything - 1) / 63))
    sphere = random_embeddings(2000, size=3)
    assert uniformity(sphere, t) == pytest.approx(np.log((1 - np.exp(-4 * t)) / (4 * t)), abs=0.02)


def test_positive_pairs_are_the_same_moment_of_the_same_stimulus_in_two_people():
    stimuli = ["a", "a", "a", "b", "a", None, "a", "a"]
    seconds = [0.0, 0.004, 2.0, 0.0, 0.0, 0.0, np.nan, 2.006]
    subjects = ["x", "y", "y", "y", "x", "z", "z", "x"]
    pairs = {tuple(sorted(pair)) for pair in positive_pairs(stimuli, seconds, subjects).tolist()}
    assert pairs == {(0, 1), (1, 4)}  # 2.0 and 2.006 are not the same, nor is x a pair with himself
    assert positive_pairs([-1, -1], [0.0, 0.0], [1, 2]).shape == (0, 2)


def test_pairs_and_alignment_work_together():
    windows = design()
    pairs = positive_pairs(*windows)
    assert len(pairs) == 4 * 3  # moments, pairs of three people
    code = random_embeddings(4)
    first, second = np.tile(code, (3, 1))[pairs.T]
    assert alignment(first, second) == pytest.approx(0)


def test_matching_is_perfect_where_moments_have_a_code_of_their_own():
    stimuli, seconds, subjects = design(5, 6)
    code = random_embeddings(6)
    features = np.tile(code, (5, 1)) + 0.01 * random_embeddings(30, seed=1)
    result = matching_accuracy(features, stimuli, seconds, subjects)
    assert result["matching_accuracy"] == 1.0
    assert result["matching_chance"] == pytest.approx(1 / 6)
    assert (result["num_windows"], result["num_left_out"]) == (30, 0)


def test_matching_of_noise_is_at_chance_and_of_a_constant_exactly():
    windows = design(20, 40)
    result = matching_accuracy(random_embeddings(800), *windows)
    assert result["matching_accuracy"] == pytest.approx(1 / 40, abs=0.017)  # three standard errors
    assert result["matching_chance"] == pytest.approx(1 / 40)
    constant = matching_accuracy(np.ones((800, 8)), *windows)
    assert constant["matching_accuracy"] == pytest.approx(constant["matching_chance"])


def test_matching_does_not_find_people_instead_of_moments():
    """Somebody's own windows are no candidates, nor are windows of another stimulus."""
    stimuli, seconds, subjects = design(3, 4)
    people, code = random_embeddings(3, seed=2), random_embeddings(4)
    features = np.repeat(people, 4, axis=0) * 100 + np.tile(code, (3, 1))
    repeated = np.concatenate([features, features])
    other = ["other film"] * 12
    both = matching_accuracy(repeated, stimuli + other, np.tile(seconds, 2), subjects * 2)
    alone = matching_accuracy(features, stimuli, seconds, subjects)
    assert both["matching_accuracy"] == alone["matching_accuracy"]
    assert both["matching_chance"] == alone["matching_chance"] == pytest.approx(1 / 4)


def test_chance_counts_the_candidates_where_people_have_different_moments():
    stimuli, subjects = ["film"] * 5, ["x", "x", "y", "y", "z"]
    seconds = [0.0, 2.0, 0.0, 4.0, 0.0]
    result = matching_accuracy(np.ones((5, 2)), stimuli, seconds, subjects)
    # x at 0: two of three others; y at 0: two of three; z at 0: two of four; 2 and 4 have nobody
    assert result["matching_chance"] == pytest.approx(np.mean([2 / 3, 2 / 3, 2 / 4]))
    assert (result["num_windows"], result["num_left_out"]) == (3, 2)


def test_matching_in_blocks_is_matching_at_once(monkeypatch):
    windows, features = design(6, 5), random_embeddings(30)
    expected = matching_accuracy(features, *windows)
    monkeypatch.setattr("eeg_hf.evaluation.embedding_metrics._BLOCK", 7)
    assert matching_accuracy(features, *windows) == expected


def test_what_cannot_be_judged_is_refused():
    stimuli, seconds, subjects = design()
    features = random_embeddings(12)
    for act, message in (
        (lambda: alignment(features, features[:3]), "as many first as second"),
        (lambda: alignment(features, np.zeros((12, 8))), "got zero, NaN or infinite"),
        (lambda: alignment(features, np.full((12, 8), np.nan)), "got zero, NaN or infinite"),
        (lambda: alignment(np.empty((0, 8)), np.empty((0, 8))), r"got \(0, 8\)"),
        (lambda: uniformity(features[:1]), "expected two or more"),
        (lambda: matching_accuracy(features[:5], stimuli, seconds, subjects), "expected 12 windows"),
        (lambda: matching_accuracy(features, stimuli[:5], seconds, subjects), "got 5, 12 and 12"),
        (lambda: matching_accuracy(features, stimuli, seconds, ["x"] * 12), "in two subjects, got none"),
        (lambda: matching_accuracy(features, [None] * 12, seconds, subjects), "in two subjects, got none"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            act()
        assert "\n" not in str(error.value)
