# SPDX-License-Identifier: Apache-2.0
import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_hex

from eeg_hf.evaluation.metrics import aggregate_folds
from eeg_hf.evaluation.plots import (
    PEACH,
    plot_confusion_matrix,
    plot_reconstruction,
    plot_results,
    plot_training_curves,
)
from eeg_hf.evaluation.report import ResultRow


def texts(figure):
    """All that is written in a picture, after it was drawn."""
    figure.canvas.draw()
    return {text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))}


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5000


def is_inside(figure):
    """Whether nothing that is written leaves the picture."""
    figure.canvas.draw()
    renderer, frame = figure.canvas.get_renderer(), figure.bbox
    boxes = [
        text.get_window_extent(renderer)
        for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text"))
        if text.get_text() and text.get_visible()
    ]
    return all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes if box.width)


def test_confusion_matrix_shows_counts_and_shares_of_each_true_class(tmp_path):
    labels = np.repeat([0, 1, -100], [4, 5, 2])
    predictions = np.array([0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 1])
    path = tmp_path / "confusion.png"
    figure = plot_confusion_matrix(labels, predictions, ["rest", "serial subtraction"], path=path)
    axes = figure.axes[0]
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [0.2, 0.8]]
    assert {text.get_text() for text in axes.texts} == {"75%\n3", "25%\n1", "20%\n1", "80%\n4"}
    assert axes.get_title("left") == "Balanced accuracy 0.775"
    assert {"rest\nn = 4", "serial subtraction\nn = 5", "predicted", "true"} <= texts(figure)
    assert is_inside(figure)
    assert is_png(path)


def test_class_that_never_occurs_has_an_empty_row():
    figure = plot_confusion_matrix([0, 1], [0, 1], ["a", "b", "c"])
    assert figure.axes[0].images[0].get_array()[2].tolist() == [0, 0, 0]
    assert figure.axes[0].get_title("left") == "Balanced accuracy 1.000"


LOG = [
    {"epoch": 1.0, "loss": 0.7, "learning_rate": 1e-3},
    {"epoch": 1.0, "eval_loss": 0.6, "eval_auroc": 0.7, "eval_runtime": 3.0},
    {"epoch": 2.0, "loss": 0.5, "learning_rate": 1e-3},
    {"epoch": 2.0, "eval_loss": 0.65, "eval_auroc": float("nan"), "eval_runtime": 3.0},
    {"epoch": 2.0, "train_runtime": 12.0, "train_loss": 0.6},
]


def test_training_curves_show_losses_and_metrics_over_epochs(tmp_path):
    path = tmp_path / "curves.png"
    losses, metrics = plot_training_curves(LOG, path=path).axes
    curves = {line.get_label(): line.get_xydata().tolist() for line in losses.lines}
    assert curves == {"training": [[1, 0.7], [2, 0.5]], "validation": [[1, 0.6], [2, 0.65]]}
    assert {line.get_label(): line.get_xydata().tolist() for line in metrics.lines} == {"AUROC": [[1, 0.7]]}
    assert losses.get_xlabel() == metrics.get_xlabel() == "epoch"
    assert is_png(path)


def test_training_curves_without_metrics_have_one_panel():
    figure = plot_training_curves([{"epoch": 1, "loss": 0.7}], title="Pretraining")
    assert len(figure.axes) == 1
    assert "Pretraining" in texts(figure)


def test_log_without_curves_is_refused():
    with pytest.raises(ValueError, match="expected entries with an epoch"):
        plot_training_curves([{"train_runtime": 12.0}])


def window(num_channels):
    """Channels of 200 samples, what a model made of them, and which samples it did not see: two stretches."""
    random = np.random.default_rng(0)
    original = random.normal(0, 10, (num_channels, 200))
    mask = np.zeros((num_channels, 200), bool)
    mask[0, 50:100] = mask[0, 150:] = True
    return original, original + random.normal(0, 5, original.shape), mask


def hidden_stretches(axes):
    boxes = [stretch.get_paths()[0].get_extents() for stretch in axes.collections]
    assert all(to_hex(stretch.get_facecolor()[0]).upper() == PEACH for stretch in axes.collections)
    return sorted((round(box.x0, 3), round(box.x1, 3)) for box in boxes)


def test_reconstruction_shades_what_was_hidden_and_draws_it_only_there(tmp_path):
    original, reconstruction, mask = window(2)
    path = tmp_path / "reconstruction.png"
    figure = plot_reconstruction(original, reconstruction, mask, 100, ["Cz", "O1"], unit="µV", path=path)
    axes = figure.axes[0]
    recorded, restored, _, untouched = (line.get_ydata() for line in axes.lines)
    assert hidden_stretches(axes) == [(0.5, 0.99), (1.5, 1.99)]
    assert np.array_equal(~np.isnan(restored), mask[0])
    assert np.isnan(untouched).all()
    assert np.allclose((restored - recorded)[mask[0]], (reconstruction - original)[0, mask[0]])
    assert axes.lines[0].get_xdata()[-1] == 1.99
    assert {"Cz", "O1", "time (s)", "hidden from the model", "recorded", "reconstructed"} <= texts(figure)
    assert any("µV" in text for text in texts(figure) - {axes.get_ylabel()})  # the scale bar
    assert is_inside(figure)
    assert is_png(path)


def test_traces_of_channels_do_not_run_into_each_other():
    original, reconstruction, mask = window(6)
    axes = plot_reconstruction(original, reconstruction, mask, 100, list("abcdef")).axes[0]
    recorded = np.stack([line.get_ydata() for line in axes.lines[::2]])
    assert (np.quantile(recorded[:-1], 0.01, axis=1) > np.quantile(recorded[1:], 0.99, axis=1)).all()


def test_many_channels_are_thinned_out_evenly():
    original, reconstruction, mask = window(19)
    names = [str(channel) for channel in range(19)]
    axes = plot_reconstruction(original, reconstruction, mask[0], 100, names, max_channels=4).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "6", "12", "18"]
    assert hidden_stretches(axes) == sorted([(0.5, 0.99), (1.5, 1.99)] * 4)


def test_flat_window_and_wrong_shapes():
    flat = np.zeros((2, 50))
    plot_reconstruction(flat, flat, np.ones((2, 50), bool), 100, ["a", "b"])
    with pytest.raises(ValueError, match=r"got \(2, 50\), \(2, 50\), \(2, 40\) and 2 names"):
        plot_reconstruction(flat, flat, np.ones((2, 40), bool), 100, ["a", "b"])


def row(method, regime, *accuracies, split="5 subject folds"):
    metrics = aggregate_folds([{"balanced_accuracy": accuracy} for accuracy in accuracies])
    return ResultRow(method, regime, split, metrics, num_subjects=36, num_windows=1707)


RESULTS = [
    row("EEGNet", "unseen", 0.6, 0.7),
    row("tangent space and logistic regression", "unseen", 0.7, 0.8),
    row("tangent space and logistic regression", "aligned", 0.8, 0.86),
]


def test_results_keep_regimes_apart_with_the_best_on_top(tmp_path):
    path = tmp_path / "results.png"
    figure = plot_results(RESULTS, chance=0.5, path=path)
    unseen, aligned = figure.axes
    assert [axes.get_title("left") for axes in (unseen, aligned)] == [
        "Subject unseen",
        "Unlabelled windows of the subject used",
    ]
    names = [label.get_text() for label in unseen.get_yticklabels()]
    assert names == ["tangent space and logistic regression", "EEGNet"]
    assert unseen.yaxis_inverted()
    assert is_inside(figure)
    assert is_png(path)


def test_bars_start_at_chance_and_end_at_the_mean_with_a_dot_a_fold():
    axes = plot_results(RESULTS, chance=0.5).axes[0]
    ends = [(bar.get_x(), round(bar.get_x() + bar.get_width(), 6)) for bar in axes.patches]
    assert ends == [(0.5, 0.75), (0.5, 0.65)]
    dots = [dots.get_offsets()[:, 0].tolist() for dots in axes.collections if len(dots.get_offsets()) == 2]
    assert dots == [[0.7, 0.8], [0.6, 0.7]]
    assert [text.get_text() for text in axes.texts] == ["0.750 ± 0.050", "0.650 ± 0.050"]
    assert [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2][-1] == [0.5, 0.5]


def test_results_of_a_single_run_have_no_whisker():
    axes = plot_results([row("EEGNet", "unseen", 0.65)]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.650"]
    assert axes.patches[0].get_x() == 0
    assert not axes.collections


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "got none"),
        ([row("EEGNet", "unseen", float("nan"))], "got none"),
        ([row("a", "unseen", 0.6), row("b", "unseen", 0.7, split="official")], "5 subject folds.*official"),
    ],
)
def test_results_without_a_common_split_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        plot_results(rows)


def test_drawing_leaves_pyplot_and_its_settings_alone(tmp_path):
    settings = dict(matplotlib.rcParams)
    plot_training_curves(LOG, path=tmp_path / "curves.png")
    assert pyplot.get_fignums() == []
    assert dict(matplotlib.rcParams) == settings
