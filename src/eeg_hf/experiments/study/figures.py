# SPDX-License-Identifier: Apache-2.0
"""The figures of a study: each is saved as PNG (300 dpi), SVG and PDF, at the width of a column or a page."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mne
import numpy as np
import pandas as pd
from sklearn.calibration import calibration_curve
from sklearn.metrics import RocCurveDisplay, average_precision_score, precision_recall_curve
from transformers.utils import logging

from ...evaluation import Predictions, plot_confusion_matrix
from ...evaluation.metrics import balanced_accuracy
from ...evaluation.plots import BLUE, CYCLE, GREY, INK, distinct_colors, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS: Mapping[str, dict[str, None]] = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Without dates, so that the same study draws the same bytes."""
DPI = 300
_MOST_IN_COLUMN = 24
_FEWEST_FOR_HEADS = 4
_FEW_CHANNELS, _MOST_NAMED_CHANNELS = 32, 128
_MOST_NAMED_SUBJECTS = 60
BANDS_HZ: Mapping[str, tuple[float, float]] = {
    "delta": (1, 4),
    "theta": (4, 8),
    "alpha": (8, 13),
    "beta": (13, 30),
    "gamma": (30, 45),
}


def save_figure(figure: "Figure", folder: Path, name: str) -> Path:
    """Write a figure in every format and return the PNG."""
    from matplotlib import rc_context

    folder.mkdir(parents=True, exist_ok=True)
    with rc_context({"svg.hashsalt": name}):
        for kind, metadata in FORMATS.items():
            figure.savefig(folder / f"{name}.{kind}", dpi=DPI, metadata=metadata)
            figure.set_layout_engine("none")  # is laid out: a third of the time of each further format
    return folder / f"{name}.png"


def plot_electrodes(channels: Sequence[str], positions: np.ndarray) -> "Figure":
    """Draw the electrodes on a head.

    Args:
        channels: Names.
        positions: (channels, 3) in metres.
    """
    info, number = describe_places(channels, positions), len(channels)
    size = 3.4 if number <= _FEW_CHANNELS else 6.4
    with drawing(size, size, None) as figure:
        axes = figure.add_subplot()
        show_names = number <= _MOST_NAMED_CHANNELS
        mne.viz.plot_sensors(info, axes=axes, show_names=show_names, show=False, pointsize=12)
        for text in axes.texts:
            text.set_fontsize(9 if number <= _FEW_CHANNELS else 7)
    return figure


def plot_spectra(spectra: Mapping[str, np.ndarray], frequencies: np.ndarray) -> "Figure":
    """Draw the mean spectrum of each class with the spread over subjects.

    Args:
        spectra: Class -> (subjects, frequencies) in dB.
        frequencies: (frequencies,) in Hz.
    """
    with drawing(4.6, 3.2, None) as figure:
        axes = figure.add_subplot()
        for color, (name, each) in zip(distinct_colors(len(spectra)), spectra.items(), strict=True):
            mean, error = each.mean(axis=0), each.std(axis=0) / np.sqrt(len(each))
            axes.plot(frequencies, mean, color=color, label=f"{name} (n = {len(each)})")
            axes.fill_between(frequencies, mean - error, mean + error, color=color, alpha=0.2, linewidth=0)
        axes.set(xlabel="frequency in Hz", ylabel="power in dB (1 µV²/Hz)")
        add_legend(figure, axes, 9)
    return figure


def add_legend(figure: "Figure", axes: "Axes", fontsize: float) -> None:
    """Name the classes inside the axes, or beside the figure where they are many."""
    handles, names = axes.get_legend_handles_labels()
    if len(names) <= len(CYCLE):
        axes.legend(fontsize=fontsize)
        return
    columns = math.ceil(len(names) / _MOST_IN_COLUMN)
    figure.legend(handles, names, fontsize=6, ncols=columns, loc="outside right upper")
    figure.set_figwidth(figure.get_figwidth() + 1.4 * columns)


def plot_evoked(
    responses: Mapping[str, np.ndarray], seconds: np.ndarray, channels: Sequence[str]
) -> "Figure":
    """Draw the mean response of each class at the electrodes where they differ most.

    Args:
        responses: Class -> (subjects, channels, time) in uV.
        seconds: (time,) from the event.
        channels: Names.
    """
    means = np.stack([each.mean(axis=0) for each in responses.values()])  # (classes, channels, time)
    shown = np.argsort(-means.var(axis=0).mean(axis=-1), kind="stable")[:3]
    with drawing(9.4, 3.0, None) as figure:
        panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for axes, channel in zip(panels, shown, strict=True):
            for color, (name, each) in zip(distinct_colors(len(responses)), responses.items(), strict=True):
                mean, error = each[:, channel].mean(axis=0), each[:, channel].std(axis=0) / np.sqrt(len(each))
                axes.plot(seconds, mean, color=color, label=f"{name} (n = {len(each)})")
                axes.fill_between(seconds, mean - error, mean + error, color=color, alpha=0.2, linewidth=0)
            axes.axvline(0, color=GREY, linewidth=1, linestyle="--")
            axes.set(title=channels[channel], xlabel="seconds from the event")
        panels[0].set_ylabel("µV")
        add_legend(figure, panels[0], 7)
    return figure


def plot_topographies(differences: np.ndarray, channels: Sequence[str], positions: np.ndarray) -> "Figure":
    """Draw where power goes with the label, a head for each band.

    Args:
        differences: (bands, channels) t-values over subjects.
        channels: Names.
        positions: (channels, 3) in metres.
    """
    names = [f"{name}\n{low:g}-{high:g} Hz" for name, (low, high) in BANDS_HZ.items()]
    return plot_heads(differences, channels, positions, names, "t over subjects", "RdBu_r")


def plot_heads(
    values: np.ndarray,
    channels: Sequence[str],
    positions: np.ndarray,
    titles: Sequence[str],
    label: str,
    colours: str,
) -> "Figure":
    """Draw a head for each band, all on one scale around zero; bars of fewer than four electrodes.

    Args:
        values: (bands, channels).
        channels: Names.
        positions: (channels, 3) in metres.
        titles: One for each head.
        label: Of the scale.
        colours: Diverging colour map of matplotlib.
    """
    if len(channels) < _FEWEST_FOR_HEADS:
        return _plot_bars(values, channels, titles, label)
    info = describe_places(channels, positions)
    limit = float(np.abs(values).max()) or 1.0
    with drawing(1.6 * len(values) + 0.8, 2.3, None) as figure:
        panels = figure.subplots(1, len(values), squeeze=False)[0]
        for axes, title, row in zip(panels, titles, values, strict=False):
            image, _ = mne.viz.plot_topomap(
                row, info, axes=axes, show=False, vlim=(-limit, limit), cmap=colours, contours=0
            )
            axes.set_title(title, fontsize=9, color=INK)
        figure.colorbar(image, ax=list(panels), label=label, shrink=0.8)
    return figure


def _plot_bars(values: np.ndarray, channels: Sequence[str], titles: Sequence[str], label: str) -> "Figure":
    """Draw (bands, channels) as bars: nothing lies between few electrodes."""
    with drawing(4.6, 3.2, None) as figure:
        axes, width = figure.add_subplot(), 0.8 / len(channels)
        for index, (name, color) in enumerate(zip(channels, CYCLE, strict=False)):
            places = np.arange(len(values)) + (index - (len(channels) - 1) / 2) * width
            axes.bar(places, values[:, index], width, color=color, label=name)
        axes.axhline(0, color=INK, linewidth=1)
        axes.set_xticks(range(len(values)), titles[: len(values)], fontsize=8)
        axes.set(ylabel=label)
        axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(channels))
    return figure


def plot_subjects(predictions: Predictions) -> "Figure":
    """Draw the balanced accuracy, or the mean absolute error, of each subject, the best first."""
    is_number = predictions.scores.shape[1] == 1
    scores = []
    for subject in np.unique(predictions.subjects):
        rows = predictions.subjects == subject
        labels, found = predictions.labels[rows], predictions.scores[rows]
        error = np.abs(found[:, 0] - labels).mean()
        scores.append((error if is_number else balanced_accuracy(labels, found.argmax(axis=1)), str(subject)))
    scores.sort(reverse=not is_number)
    are_named = len(scores) <= _MOST_NAMED_SUBJECTS
    width = max(4.6, 0.16 * len(scores) + 1.5) if are_named else 6.4
    with drawing(width, 3.0, None) as figure:
        axes = figure.add_subplot()
        places = np.arange(len(scores))
        axes.bar(places, [score for score, _ in scores], color=BLUE, width=0.75 if are_named else 1.0)
        if not is_number:
            chance = 1 / predictions.scores.shape[1]
            axes.axhline(chance, color=INK, linewidth=1, linestyle="--")
            beside = axes.get_yaxis_transform()  # not on the bars
            axes.text(1.02, chance, "chance", transform=beside, va="center", fontsize=8)
            axes.set_ylim(0, 1)
        if are_named:
            axes.set_xticks(places, [name for _, name in scores], rotation=90, fontsize=7)
        title = "mean absolute error" if is_number else "balanced accuracy"
        xlabel = "subject" if are_named else f"{len(scores)} subjects, the best first"
        axes.set(xlabel=xlabel, ylabel=title, xlim=(-0.7, len(scores) - 0.3))
    return figure


def plot_agreement(predictions: Predictions, label: str) -> "Figure":
    """Draw predicted against true numbers, and their difference against their mean (Bland and Altman 1986).

    A dot is the mean prediction of a subject for one value of the label. The dashed lines hold 95 % of the
    differences, https://doi.org/10.1016/S0140-6736(86)90837-8.

    Args:
        predictions: Of a regression.
        label: Its name.
    """
    columns = {"subject": predictions.subjects, "true": predictions.labels, "found": predictions.scores[:, 0]}
    means = pd.DataFrame(columns).groupby(["subject", "true"], as_index=False)["found"].mean()
    true, found = means["true"].to_numpy(float), means["found"].to_numpy(float)
    difference = found - true
    bias, spread = difference.mean(), 1.96 * (difference.std(ddof=1) if len(difference) > 1 else 0.0)
    with drawing(8.6, 3.8, None) as figure:
        left, right = figure.subplots(1, 2)
        ends = (min(true.min(), found.min()), max(true.max(), found.max()))
        left.plot(ends, ends, color=GREY, linewidth=1, linestyle="--")
        left.scatter(true, found, s=18, color=BLUE, alpha=0.7, linewidth=0)
        left.set(xlabel=f"{label}, true", ylabel=f"{label}, predicted", title=f"{len(means)} means")
        right.scatter((true + found) / 2, difference, s=18, color=BLUE, alpha=0.7, linewidth=0)
        for height, style in ((bias, "-"), (bias - spread, "--"), (bias + spread, "--")):
            right.axhline(height, color=INK, linewidth=1, linestyle=style)
            right.annotate(
                f"{height:+.3g}",
                (1.0, height),
                xycoords=("axes fraction", "data"),
                va="bottom",
                ha="right",
                fontsize=8,
            )
        right.set(xlabel=f"mean of both {label}", ylabel="predicted - true", title="Bland-Altman")
    return figure


def plot_confusion(predictions: Predictions, class_names: Sequence[str]) -> "Figure":
    """Draw the confusion matrix of the windows of all folds."""
    return plot_confusion_matrix(predictions.labels, predictions.scores.argmax(axis=1), class_names)


def plot_curves(predictions: Predictions, class_names: Sequence[str]) -> "Figure":
    """Draw ROC, precision against recall, and calibration, a curve for each class (of two: the second)."""
    shown = [1] if len(class_names) == 2 else [*range(len(class_names))]
    scores = predictions.scores / predictions.scores.sum(axis=1, keepdims=True)
    with drawing(9.4, 3.2, None) as figure:
        panels = figure.subplots(1, 3)
        for color, index in zip(distinct_colors(len(shown)), shown, strict=True):
            truth, score = (predictions.labels == index).astype(int), scores[:, index]
            style: dict[str, Any] = {"name": class_names[index], "curve_kwargs": {"color": color}}
            RocCurveDisplay.from_predictions(truth, score, ax=panels[0], **style)
            precision, recall, _ = precision_recall_curve(truth, score)
            title = f"{class_names[index]} (AP = {average_precision_score(truth, score):.2f})"
            panels[1].step(recall, precision, color=color, where="post", label=title)
            observed, expected = calibration_curve(truth, score, n_bins=8, strategy="quantile")
            panels[2].plot(expected, observed, "o-", color=color, label=class_names[index])
        for axes in (panels[0], panels[2]):
            axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
        panels[0].set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
        panels[1].set(xlabel="recall", ylabel="precision", title="Precision and recall")
        error = expected_calibration_error(predictions)
        panels[2].set(xlabel="stated probability", ylabel="share that is right", title="Calibration")
        panels[2].annotate(f"ECE {error:.3f}", (0.97, 0.05), xycoords="axes fraction", ha="right")
        for axes in panels:
            axes.legend().remove()
        for axes in panels if len(shown) <= len(CYCLE) else panels[2:]:
            add_legend(figure, axes, 7)
    return figure


def expected_calibration_error(predictions: Predictions, num_bins: int = 10) -> float:
    """Return how far the confidence in the predicted class is from the share of right ones.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    """
    scores = predictions.scores / predictions.scores.sum(axis=1, keepdims=True)
    confidence, is_right = scores.max(axis=1), scores.argmax(axis=1) == predictions.labels
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = [
        (bins == each).mean() * abs(is_right[bins == each].mean() - confidence[bins == each].mean())
        for each in np.unique(bins)
    ]
    return float(sum(gaps))


def plot_examples(windows: Sequence[Mapping[str, Any]], channels: Sequence[str]) -> "Figure":
    """Draw windows that were classified with most confidence, right and wrong ones.

    Args:
        windows: Mappings of `signal_uv` (channels, time), `times` (time,) in seconds and `title`.
        channels: Names.
    """
    shown = np.linspace(0, len(channels) - 1, min(8, len(channels))).round().astype(int)
    with drawing(9.4, 5.2, None) as figure:
        panels = figure.subplots(2, (len(windows) + 1) // 2, squeeze=False).ravel()
        spread = 4 * float(np.median([np.std(window["signal_uv"]) for window in windows])) or 1.0
        for axes, window in zip(panels, windows, strict=False):
            for place, row in enumerate(shown):
                axes.plot(
                    window["times"], window["signal_uv"][row] - place * spread, color=INK, linewidth=0.5
                )
            axes.set_title(window["title"], fontsize=8)
            axes.set_yticks([-place * spread for place in range(len(shown))], [channels[i] for i in shown])
            axes.tick_params(labelsize=7)
            axes.set_ylim(-(len(shown) - 0.2) * spread, 0.9 * spread)
        for axes in panels[len(windows) :]:
            axes.set_visible(False)
        figure.supxlabel("seconds", fontsize=8)
    return figure


def draw_all(drawings: Mapping[str, Callable[[], "Figure"]], folder: Path) -> pd.Series:
    """Draw every figure and return the path of each PNG by its name."""
    bar = logging.tqdm([*drawings.items()], desc="figures", unit="figure")
    return pd.Series({name: save_figure(draw(), folder, name) for name, draw in bar})


def describe_places(channels: Sequence[str], positions: np.ndarray) -> mne.Info:
    """Return a header with the positions of electrodes, (channels, 3) in metres."""
    info = mne.create_info(list(channels), 100.0, "eeg")
    places = dict(zip(channels, np.asarray(positions, float), strict=True))
    return info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
