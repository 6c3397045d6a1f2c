# SPDX-License-Identifier: Apache-2.0
"""Metrics of reconstructed images against pairs that are counted one by one, and against scikit-image."""

import sys

import numpy as np
import pytest
from scipy.spatial.distance import correlation
from skimage.color import rgb2gray
from skimage.metrics import structural_similarity as similarity

from eeg_hf.evaluation import (
    judge_reconstructions,
    pixel_correlation,
    plot_contact_sheet,
    structural_similarity,
    two_way_identification,
)


def draw_images(num, seed=0, size=16):
    return np.random.default_rng(seed).integers(256, size=(num, size, size, 3), dtype=np.uint8)


def count_pairs(truth, found):
    """Count right comparisons one by one; equal ones half."""
    points = []
    for j in range(len(found)):
        own = np.corrcoef(truth[j], found[j])[0, 1]
        others = [np.corrcoef(truth[i], found[j])[0, 1] for i in range(len(truth)) if i != j]
        points += [0.5 if abs(own - other) < 1e-12 else float(own > other) for other in others]
    return np.mean(points)


def test_identification_is_the_count_of_pairs():
    random = np.random.default_rng(3)
    truth = random.normal(size=(15, 6))
    found = truth + 1.5 * random.normal(size=truth.shape)
    score = two_way_identification(truth, found)
    assert score["mean"] == pytest.approx(count_pairs(truth, found))
    assert score["chance"] == 0.5
    low, high = score["interval"]
    assert low < score["mean"] < high


def test_identification_of_equals_counts_half():
    truth = np.repeat(np.random.default_rng(1).normal(size=(4, 5)), 2, axis=0)
    assert two_way_identification(truth, truth)["mean"] == pytest.approx(count_pairs(truth, truth))
    assert count_pairs(truth, truth) == pytest.approx(1 - 0.5 / 7)


def test_perfect_reversed_and_constant_reconstructions_have_closed_forms():
    truth = np.random.default_rng(0).normal(size=(20, 8))
    assert two_way_identification(truth, 3 * truth + 2) == {
        "mean": 1.0,
        "interval": (1.0, 1.0),
        "chance": 0.5,
        "p_value": pytest.approx(1 / 1001),
    }
    assert two_way_identification(truth, -truth)["mean"] == 0.0
    for same in (np.ones_like(truth), np.repeat(truth[:1], 20, axis=0)):
        blind = two_way_identification(truth, same)
        assert (blind["mean"], blind["interval"]) == (0.5, (0.5, 0.5))
        assert blind["p_value"] > 0.9


def test_knowing_nothing_is_at_chance_and_p_values_are_uniform():
    random = np.random.default_rng(5)
    scores = [two_way_identification(*random.normal(size=(2, 30, 10)), num_resamples=200) for _ in range(100)]
    assert np.mean([score["mean"] for score in scores]) == pytest.approx(0.5, abs=0.02)
    p_values = np.array([score["p_value"] for score in scores])
    assert np.mean(p_values < 0.1) < 0.2 and 0.4 < p_values.mean() < 0.6
    covered = [score["interval"][0] < 0.5 < score["interval"][1] for score in scores]
    assert np.mean(covered) > 0.85


def test_the_interval_narrows_with_the_root_of_the_images():
    random = np.random.default_rng(2)
    widths = []
    for num in (50, 200):
        truth = random.normal(size=(num, 10))
        low, high = two_way_identification(truth, truth + 3 * random.normal(size=truth.shape))["interval"]
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.4)


def test_pixcorr_is_the_correlation_of_each_pair():
    truth, found = draw_images(5), draw_images(5, seed=1)
    found[1] = 255 - truth[1]
    found[2] = truth[2]
    values = pixel_correlation(truth, found)
    expected = [
        np.corrcoef(one.ravel(), other.ravel())[0, 1] for one, other in zip(truth, found, strict=True)
    ]
    assert values == pytest.approx(expected)
    assert values[1:3] == pytest.approx([-1, 1])


@pytest.mark.parametrize("level", [0, 7, 255])
def test_pixcorr_with_a_single_colour_is_0(level):
    assert pixel_correlation(draw_images(2), np.full((2, 16, 16, 3), level, np.uint8)).tolist() == [0, 0]


def test_ssim_is_scikit_images_on_grey():
    truth, found = draw_images(3), draw_images(3, seed=1)
    found[0] = truth[0]
    values = structural_similarity(truth, found)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    assert values[1] == similarity(rgb2gray(truth[1]), rgb2gray(found[1]), **options)
    assert values[0] == pytest.approx(1)


def test_all_metrics_have_a_chance_and_an_interval():
    truth = draw_images(12)
    noise = np.random.default_rng(9).normal(0, 60, truth.shape)
    found = np.clip(truth + noise, 0, 255).astype(np.uint8)
    scores = judge_reconstructions(truth, found, {"mean_colour": lambda batch: batch.mean(axis=(1, 2))})
    two_way = {"two_way_pixels", "two_way_mean_colour"}
    assert set(scores) == {"pixcorr", "ssim", "distance_mean_colour", *two_way}
    distance = scores["distance_mean_colour"]
    for score in scores.values():
        assert score["interval"][0] <= score["mean"] <= score["interval"][1]
        assert (score["mean"] < score["chance"]) == (score is distance)
    colours = truth.mean(axis=(1, 2)), found.mean(axis=(1, 2))
    assert distance["mean"] == pytest.approx(np.mean([*map(correlation, *colours)]))
    mismatched = [pixel_correlation(truth, np.roll(found, shift, axis=0)) for shift in range(1, 11)]
    assert scores["pixcorr"]["chance"] == pytest.approx(np.mean(mismatched))
    assert scores["two_way_pixels"]["mean"] == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: judge_reconstructions(draw_images(1), draw_images(1)),
            "two or more images to tell apart, got 1",
        ),
        (lambda: judge_reconstructions(draw_images(3), draw_images(2)), "as large, got"),
        (lambda: pixel_correlation(draw_images(2) / 255, draw_images(2)), "images: expected uint8"),
        (lambda: pixel_correlation(draw_images(0), draw_images(0)), "images: expected uint8"),
        (lambda: structural_similarity(*[draw_images(2, size=8)] * 2), "11 pixels a side or more"),
        (lambda: two_way_identification(np.ones((3, 2)), np.ones((3, 4))), "both in one order, got"),
        (lambda: two_way_identification(np.full((3, 2), np.nan), np.ones((3, 2))), "finite numbers"),
        (lambda: plot_contact_sheet({"seen": draw_images(2), "made": draw_images(1)}), "as many images"),
        (lambda: plot_contact_sheet({"seen": draw_images(0)}), "at least one"),
    ],
)
def test_what_cannot_be_judged_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_without_scikit_image_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.color", None)
    with pytest.raises(ImportError, match=r"eeg-hf\[images\]"):
        structural_similarity(draw_images(2), draw_images(2))


def test_the_contact_sheet_shows_every_image_under_its_name(tmp_path):
    seen, made = draw_images(7), draw_images(7, seed=1)
    figure = plot_contact_sheet({"seen": seen, "made": made}, tmp_path / "sheet.png", columns=4)
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert len(figure.axes) == 2
    shown = figure.axes[1].images[0].get_array()
    np.testing.assert_array_equal(shown[:16, :16], seen[4])
    np.testing.assert_array_equal(shown[17:33, 34:50], made[6])
    assert (shown[:, 51:] == 255).all()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["seen", "made"]
