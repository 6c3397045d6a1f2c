# SPDX-License-Identifier: Apache-2.0
"""What the report of a study draws and counts."""

import mne
import numpy as np
import pytest

from eeg_hf.evaluation import Predictions
from eeg_hf.experiments.study.figures import plot_confusion, plot_curves, plot_evoked, plot_spectra
from eeg_hf.experiments.study.model_facts import neighbour_agreement, refer_to


def predict_many(num_classes, num_windows=400):
    rng = np.random.default_rng(0)
    labels = np.arange(num_windows) % num_classes
    scores = rng.dirichlet(np.ones(num_classes), num_windows)
    scores[np.arange(num_windows), labels] += 0.3
    ids = np.array([f"w{number}" for number in range(num_windows)])
    subjects = np.array([f"s{number % 5}" for number in range(num_windows)])
    return Predictions(ids, subjects, labels, scores / scores.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("num_classes", [2, 6, 30])
def test_every_class_is_drawn_in_a_colour_of_its_own(num_classes):
    names = [f"class {number}" for number in range(num_classes)]
    rng = np.random.default_rng(0)
    spectra = plot_spectra({name: rng.normal(size=(3, 45)) for name in names}, np.arange(1, 46))
    evoked = plot_evoked(
        {name: rng.normal(size=(3, 4, 20)) for name in names}, np.arange(20) / 20, ["Fz", "Cz", "Pz", "Oz"]
    )
    for figure in (spectra, evoked):
        lines = figure.axes[0].get_lines()[:num_classes]
        assert (
            len(
                {
                    line.get_color() if isinstance(line.get_color(), str) else tuple(line.get_color())
                    for line in lines
                }
            )
            == num_classes
        )
        legend = figure.axes[0].get_legend() or figure.legends[0]
        assert [text.get_text().partition(" (n")[0] for text in legend.get_texts()] == names
    curves = plot_curves(predict_many(num_classes), names)
    shown = num_classes if num_classes > 2 else 1
    assert len(curves.axes[2].get_lines()) == shown + 1  # and the diagonal


def test_a_confusion_matrix_of_many_classes_stays_a_page():
    names = [f"class {number}" for number in range(30)]
    figure = plot_confusion(predict_many(30), names)
    assert max(figure.get_size_inches()) < 16
    axes = figure.axes[0]
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert not any(left.overlaps(right) for left, right in zip(boxes, boxes[1:], strict=False))


def test_neighbours_of_other_groups_are_counted():
    # Two subjects with two recordings each: windows lie by subject, and in each by label
    subjects, labels = np.repeat(["a", "b"], 8), np.tile(np.repeat([0, 1], 4), 2)
    recordings = np.array([f"{name}{label}" for name, label in zip(subjects, labels, strict=True)])
    places = 100.0 * (subjects == "b") + 10.0 * labels + np.arange(16) / 100
    agreement = neighbour_agreement(places[:, None], subjects, recordings)
    assert agreement == (1.0, pytest.approx(4 / 12))
    points = np.stack([places % 100, 100.0 * (subjects == "b")], axis=1)  # subjects apart, labels alike
    assert neighbour_agreement(points, labels, subjects) == (1.0, 0.5)
    assert neighbour_agreement(points, subjects, subjects) is None  # nobody of another subject agrees


def test_an_electrode_is_found_by_its_name_in_the_montage():
    info = mne.create_info(["EEG Fp1", "EEG C3", "EEG O1"], 100.0, "eeg")
    raw = mne.io.RawArray(np.random.default_rng(0).normal(size=(3, 200)), info, verbose="ERROR")
    changed = refer_to(raw.copy(), "C3").get_data()
    np.testing.assert_allclose(changed[0], raw.get_data()[0] - raw.get_data()[1])
    assert not changed[1].any()
    with pytest.raises(ValueError, match="no electrode Cz"):
        refer_to(raw, "Cz")
