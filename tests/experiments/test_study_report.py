# SPDX-License-Identifier: Apache-2.0
"""What the report of a study draws and counts."""

import sys
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors

from eeg_hf.evaluation import Predictions, ResultRow
from eeg_hf.experiments.study.figures import (
    plot_confusion,
    plot_curves,
    plot_electrodes,
    plot_evoked,
    plot_spectra,
    plot_subjects,
    plot_topographies,
    save_figure,
)
from eeg_hf.experiments.study.lab_folder import EVENT
from eeg_hf.experiments.study.methods_text import describe_windows, methods_paragraph
from eeg_hf.experiments.study.model_facts import _to_plane, neighbour_agreement, refer_to
from eeg_hf.experiments.study.plan import Plan
from eeg_hf.experiments.study.question import Question, name_groups
from eeg_hf.experiments.study.report_text import describe_recordings, summarize
from eeg_hf.processing.electrode_positions import electrode_positions


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


@pytest.mark.parametrize(("number", "are_named"), [(5, True), (500, False)])
def test_a_figure_of_many_subjects_stays_a_page_and_names_none(number, are_named):
    found = predict_many(2, 1000)
    subjects = np.array([f"s{row % number}" for row in range(1000)])
    figure = plot_subjects(Predictions(found.window_ids, subjects, found.labels, found.scores))
    axes = figure.axes[0]
    assert figure.get_figwidth() < 7 and len(axes.patches) == number
    assert ("s3" in [text.get_text() for text in axes.get_xticklabels()]) == are_named


def test_the_same_figure_is_the_same_bytes(tmp_path):
    found = []
    for name in ("first", "second"):
        save_figure(plot_confusion(predict_many(2), ["rest", "task"]), tmp_path / name, "confusion")
        found.append([path.read_bytes() for path in sorted((tmp_path / name).iterdir())])
    assert found[0] == found[1] and len(found[0]) == 3


def test_a_confusion_matrix_of_many_classes_stays_a_page():
    names = [f"class {number}" for number in range(30)]
    figure = plot_confusion(predict_many(30), names)
    assert max(figure.get_size_inches()) < 16
    axes = figure.axes[0]
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert not any(left.overlaps(right) for left, right in zip(boxes, boxes[1:], strict=False))


def test_names_of_64_electrodes_do_not_overlap():
    montage = mne.channels.make_standard_montage("biosemi64").get_positions()["ch_pos"]
    figure = plot_electrodes(list(montage), np.array(list(montage.values())))
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    overlaps = sum(left.overlaps(right) for at, left in enumerate(boxes) for right in boxes[at + 1 :])
    assert len(boxes) == 64 and overlaps <= 4


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


@pytest.mark.parametrize(
    ("has_umap", "number", "expected"),
    [
        (False, 40, 't-SNE of 3 principal components (UMAP needs pip install "eeg-hf[umap]")'),
        (True, 12, "t-SNE of 3 principal components (UMAP needs more than 15 windows)"),
        (True, 40, "UMAP of 3 principal components"),
    ],
)
def test_windows_are_placed_by_umap_where_it_is_installed(has_umap, number, expected, monkeypatch):
    if has_umap:
        pytest.importorskip("umap", reason="umap-learn is not installed")
    else:
        monkeypatch.setitem(sys.modules, "umap", None)
    features = np.random.default_rng(0).normal(size=(number, 3))
    features[: number // 2] += 20
    points, method = _to_plane(features)
    assert method == expected and points.shape == (number, 2)
    is_near = NearestNeighbors(n_neighbors=2).fit(points).kneighbors(points, return_distance=False)[:, 1]
    assert ((is_near < number // 2) == (np.arange(number) < number // 2)).all()


def test_an_electrode_is_found_by_its_name_in_the_montage():
    info = mne.create_info(["EEG Fp1", "EEG C3", "EEG O1"], 100.0, "eeg")
    raw = mne.io.RawArray(np.random.default_rng(0).normal(size=(3, 200)), info, verbose="ERROR")
    changed = refer_to(raw.copy(), "C3").get_data()
    np.testing.assert_allclose(changed[0], raw.get_data()[0] - raw.get_data()[1])
    assert not changed[1].any()
    with pytest.raises(ValueError, match="no electrode Cz"):
        refer_to(raw, "Cz")


def test_numbers_are_grouped_by_recording_and_named_by_what_is_there():
    ages = np.array([16.0, 17, 17, 17, 18, 19, 20, 26])
    names = name_groups(ages)
    assert list(dict.fromkeys(names)) == ["16", "17 to 18", "19 to 26"]
    # A recording with many windows does not move the groups
    windows, recordings = (
        np.repeat(ages, [90, 1, 1, 1, 1, 1, 1, 1]),
        np.repeat(np.arange(8), [90, 1, 1, 1, 1, 1, 1, 1]),
    )
    assert set(name_groups(windows, recordings)) == set(names)
    assert list(name_groups(pd.Series([1.0, 1, 1, 1, 5]))) == ["1"] * 4 + ["5"]
    assert list(name_groups(np.array([2.0, 2.0]))) == ["2", "2"]


def test_windows_at_events_are_described_and_counted(tmp_path):
    plan = Plan(200.0, 45.0, 1.0, -0.2, "average", None, 3, baseline=(-0.2, 0.0), average=5)
    assert describe_windows(plan, 252, True) == (
        "252 windows from -0.2 to 0.8 s of an event, less the mean of each channel from -0.2 to 0 s, each "
        "the mean of 5 trials of the same event"
    )
    assert describe_windows(plan, 1252, False) == "1,252 windows of 1 s"
    used = pd.DataFrame(
        {"file": ["a", "a"], "subject": "x", "seconds": 60.0, EVENT: ["odd", "plain"], "problem": None}
    )
    text = describe_recordings(used, used, Question(EVENT, False, tmp_path), plan, {"odd": 7, "plain": 45})
    assert "<td>45</td>" in text and "hours" not in text


@pytest.mark.parametrize("number", [1, 2, 3, 4, 15])
def test_power_is_drawn_for_any_number_of_electrodes(number):
    names = ["Fz", "Cz", "Pz", "Oz", "F7", "F3", "F4", "F8", "T7", "C3", "C4", "T8", "P7", "P3", "P4"][
        :number
    ]
    positions = electrode_positions(names)
    values = np.arange(5.0 * number).reshape(5, number) - 2
    figure = plot_topographies(values, names, positions)
    figure.canvas.draw()
    bars = [patch for patch in figure.axes[0].patches if hasattr(patch, "get_height")]
    assert len(figure.axes) == (1 if number < 4 else 6)
    assert number >= 4 or sorted(bar.get_height() for bar in bars) == sorted(values.ravel())
    assert plot_electrodes(names, positions).axes


@pytest.mark.parametrize(
    ("subjects", "is_said"), [(["a", "a", "b", "b"], False), (["a", "b", "c", "d"], True)]
)
def test_it_is_said_that_recentring_removes_a_label_of_groups(subjects, is_said, tmp_path):
    used = pd.DataFrame({"file": list("wxyz"), "subject": subjects, "seconds": 60.0, "group": ["p", "q"] * 2})
    summary = {"mean": 0.5, "sd": 0.1, "interval": (0.4, 0.6)}
    rows = [
        ResultRow("ours", regime, "folds", {"balanced_accuracy": summary}, 4, 40)
        for regime in ("unseen", "aligned")
    ]
    text = summarize(rows, Question("group", False, tmp_path), used, {"balanced_accuracy": 0.5}, ["first"])
    assert text.startswith('<p class="warning">first.</p>') and text.count("never differs within") == is_said


@pytest.mark.parametrize("are_at_events", [False, True])
def test_the_methods_say_what_the_model_reads(are_at_events):
    row = {"file": "a.edf", "seconds": 60.0, "subject": "01", "event": "target", "channels": ["Cz", "Pz"]}
    plan = Plan(200.0, 45.0, 1.0, -0.2, "average", None, 2)
    question = Question("event", False, Path("unused"))
    text = methods_paragraph(pd.DataFrame([row]), question, plan, "1 window", {}, None, are_at_events)
    assert "cross-spectra of twelve bands" in text and ("time course" in text) == are_at_events
