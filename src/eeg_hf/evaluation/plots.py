# SPDX-License-Identifier: Apache-2.0
"""Pictures of results, drawn on figures of their own: pyplot and its global state are never touched.

Every function returns its `matplotlib.figure.Figure` and saves it where `path` says so. Colours are those of
Okabe and Ito (https://jfly.uni-koeln.de/color), which colour-blind readers can tell apart.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .report import METRIC_TITLES, REGIMES, ResultRow, main_metric, sort_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
INK, GREY, PALE, PEACH = "#222222", "#8C8C8C", "#E4E4E4", "#FBE3D0"
# Of the bars, pale enough for whiskers and dots to be seen on them, and of the title
_REGIME_COLORS = {
    "unseen": ("#80B9D9", BLUE),
    **dict.fromkeys(("first_30s", "20P", "50P"), ("#D9CB80", "#7A6A00")),
    "aligned": ("#80CFB9", "#007A59"),
    "known": ("#EAAE80", "#A34A00"),
    **dict.fromkeys(("known_first_30s", "known_20P", "known_50P", "known_aligned"), ("#E5BCD3", "#8F4A73")),
}
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
_STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "savefig.dpi": 150,
    "savefig.facecolor": "white",
}


def plot_confusion_matrix(
    labels: Sequence[int] | np.ndarray,
    predictions: Sequence[int] | np.ndarray,
    class_names: Sequence[str],
    title: str | None = None,
    path: str | Path | None = None,
) -> "Figure":
    """Draw how often each class was taken for each other: counts, and shares of the true class as colour.

    Args:
        labels: (windows,) class indices; -100 is missing and left out.
        predictions: (windows,) class indices.
        class_names: Names of the classes, in order.
        title: By default the balanced accuracy.
        path: Where to save the picture.
    """
    from sklearn.metrics import ConfusionMatrixDisplay, confusion_matrix

    truth, said = np.asarray(labels), np.asarray(predictions)
    known, classes = truth >= 0, np.arange(len(class_names))
    counts = np.zeros((len(classes), len(classes)), int)
    if known.any():
        counts = confusion_matrix(truth[known], said[known], labels=classes)
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    if title is None:
        recalls = np.diag(shares)[totals > 0]
        title = f"Balanced accuracy {recalls.mean():.3f}" if len(recalls) else "No labelled window"
    longest = max(len(name) for name in class_names)
    size = len(classes)
    cell = max(0.35, min(1.1, 7.0 / size))  # inches: thirty classes are still a page
    is_dense, turn = cell < 0.6, 45 if 0.1 * longest > cell else 0
    with drawing(2.6 + 0.1 * longest + cell * size, 1.3 + cell * size, path, "compressed") as figure:
        axes = figure.add_subplot()
        display = ConfusionMatrixDisplay(shares, display_labels=class_names)
        display.plot(ax=axes, cmap="Blues", colorbar=False, im_kw={"vmin": 0, "vmax": 1})
        for text, share, count in zip(display.text_.flat, shares.flat, counts.flat, strict=True):
            text.set_text(f"{100 * share:.0f}" if is_dense else f"{share:.0%}\n{count:,}")
            text.set_fontsize(6 if is_dense else 11 * min(1.0, cell / 0.8))
        gap = " " if is_dense else "\n"
        names = [f"{name}{gap}n = {n:,}" for name, n in zip(class_names, totals, strict=True)]
        axes.set_yticks(classes, names, fontsize=7 if is_dense else None)
        style: dict[str, Any] = {"rotation": 90, "fontsize": 7} if is_dense else {"rotation": turn}
        axes.set_xticks(classes, class_names, ha="right" if turn and not is_dense else "center", **style)
        axes.set(xlabel="predicted", ylabel="true", title=title)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        bar = figure.colorbar(
            display.im_, ax=axes, fraction=0.046, pad=0.04, format=lambda share, _: f"{share:.0%}"
        )
        bar.set_label("share of the true class")
        bar.outline.set_visible(False)
    return figure


def plot_training_curves(
    log_history: Sequence[Mapping[str, Any]], title: str | None = None, path: str | Path | None = None
) -> "Figure":
    """Draw losses and validation metrics over the epochs.

    Args:
        log_history: `trainer.state.log_history`.
        title: Heading of the picture.
        path: Where to save the picture.

    Raises:
        ValueError: If nothing was logged over epochs.
    """
    losses = {"training": _curve(log_history, "loss"), "validation": _curve(log_history, "eval_loss")}
    losses = {name: curve for name, curve in losses.items() if len(curve)}
    names = [f"eval_{name}" for name in METRIC_TITLES if name != "mae"]  # which has a unit
    metrics = {name: _curve(log_history, name) for name in names}
    metrics = {name: curve for name, curve in metrics.items() if len(curve)}
    panels = [curves for curves in (losses, metrics) if curves]
    if not panels:
        raise ValueError("log_history: expected entries with an epoch and a loss or eval_ metrics, got none")
    with drawing(5.0 * len(panels), 3.8, path) as figure:
        for number, curves in enumerate(panels):
            axes = figure.add_subplot(1, len(panels), number + 1)
            is_loss = curves is losses
            _draw_curves(axes, curves)
            axes.set(xlabel="epoch", title="Loss" if is_loss else "Validation metrics")
            if not is_loss:
                low = min(float(curve[:, 1].min()) for curve in curves.values())
                axes.set_ylim(min(0.0, low) if low < 0.3 else 0.3, 1.0)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    return figure


def plot_reconstruction(
    original: np.ndarray,
    reconstruction: np.ndarray,
    mask: np.ndarray | None,
    sampling_rate: float,
    channel_names: Sequence[str],
    unit: str = "robust sd",
    max_channels: int = 8,
    title: str | None = None,
    path: str | Path | None = None,
) -> "Figure":
    """Draw a window, the stretches that were hidden from the model, and what it put there.

    Args:
        original: (channels, time) in `unit`.
        reconstruction: (channels, time) in `unit`.
        mask: (channels, time) or (time,), True = hidden from the model; None where nothing was.
        sampling_rate: Rate of the window in Hz.
        channel_names: Names of the channels.
        unit: Unit of the amplitude; by default that of robustly normalised windows.
        max_channels: Of more channels so many are drawn, evenly spaced.
        title: Heading of the picture.
        path: Where to save the picture.

    Raises:
        ValueError: If the shapes do not agree.
    """
    is_codec = mask is None
    hidden = np.zeros(original.shape, bool) if mask is None else np.asarray(mask)
    hidden = np.broadcast_to(hidden, original.shape) if hidden.ndim == 1 else hidden
    if not original.shape == reconstruction.shape == hidden.shape or len(channel_names) != len(original):
        raise ValueError(
            "expected original, reconstruction and mask (channels, time) with as many names, got "
            f"{original.shape}, {reconstruction.shape}, {hidden.shape} and {len(channel_names)} names"
        )
    drawn = np.linspace(0, len(original) - 1, min(max_channels, len(original))).round().astype(int)
    seconds = np.arange(original.shape[1]) / sampling_rate
    middles = np.median(original, axis=1, keepdims=True)
    # One scale for all channels, so that amplitudes compare; a single artefact does not set it
    size = _round_scale(1.3 * float(np.quantile(np.abs(original - middles)[drawn], 0.995)))
    places = -2 * size * np.arange(len(drawn))
    with drawing(10.0, 1.6 + 0.72 * len(drawn), path) as figure:
        axes = figure.add_subplot()
        for place, channel in zip(places, drawn, strict=True):
            for start, stop in _stretches(hidden[channel]):
                ends = seconds[[start, stop - 1]]
                axes.fill_between(ends, place - 0.92 * size, place + 0.92 * size, color=PEACH, linewidth=0)
            recorded = original[channel] - middles[channel]
            restored = reconstruction[channel] - middles[channel]
            # A codec restores every sample; of a masked model only what was hidden counts
            restored = restored if is_codec else np.where(hidden[channel], restored, np.nan)
            axes.plot(seconds, place + recorded, color=INK, linewidth=0.8)
            axes.plot(seconds, place + restored, color=VERMILION, linewidth=0.8 if is_codec else 1.5)
        axes.set_yticks(places, [channel_names[channel] for channel in drawn])
        axes.set_ylim(places[-1] - 1.15 * size, 1.15 * size)
        axes.set_xlim(0, len(seconds) / sampling_rate)
        axes.set(xlabel="time (s)", ylabel=f"channel, amplitude in {unit}")
        axes.set_title(title or ("Reconstruction" if is_codec else "Masked reconstruction"))
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        _draw_scale_bar(axes, size, unit)
        _draw_reconstruction_legend(axes, with_hidden=not is_codec)
    return figure


def plot_results(
    rows: Sequence[ResultRow],
    metric: str | None = None,
    chance: float | None = None,
    title: str | None = None,
    path: str | Path | None = None,
) -> "Figure":
    """Draw one bar a method, with each fold as a dot; the regimes stand apart and are never mixed.

    Bars start at chance, so that their length is what was gained over guessing.

    Args:
        rows: Results of one split.
        metric: Which metric; default: balanced accuracy, or R² of a regression.
        chance: Its value without any knowledge, see [`chance_level`]; without it bars start at 0.
        title: Heading of the picture.
        path: Where to save the picture.

    Raises:
        ValueError: If there is nothing to draw, or the rows are of several splits.
    """
    metric = metric or main_metric(rows)
    rows = [row for row in sort_rows(rows, metric) if metric in row.metrics]
    rows = [row for row in rows if not math.isnan(row.metrics[metric]["mean"])]
    splits = sorted({row.split for row in rows})
    if len(splits) != 1:
        raise ValueError(f"rows: expected results with {metric} of one split, got {splits or 'none'}")
    regimes = [regime for regime in REGIMES if any(row.regime == regime for row in rows)]
    groups = [[row for row in rows if row.regime == regime] for regime in regimes]
    start = 0.0 if chance is None else chance
    with drawing(9.6, 1.7 + 0.5 * len(rows) + 0.45 * len(groups), path) as figure:
        panels = figure.subplots(
            len(groups), 1, sharex=True, squeeze=False, height_ratios=[len(g) for g in groups]
        )
        for axes, regime, group in zip(panels[:, 0], regimes, groups, strict=True):
            bar_color, title_color = _REGIME_COLORS[regime]
            _draw_bars(axes, group, metric, start, bar_color)
            axes.set_title(REGIMES[regime].capitalize(), color=title_color, fontsize=11)
            if chance is not None:
                axes.axvline(chance, color=INK, linewidth=1.2)
        bottom = panels[-1, 0]
        note = "" if chance is None else f"   (bars start at chance, {chance:.2f})"
        bottom.set_xlabel(f"{METRIC_TITLES.get(metric, metric)}{note}")
        bottom.set_xlim(*_results_limits(rows, metric, start))
        figure.suptitle(title or splits[0], x=0.01, ha="left", fontweight="bold", fontsize=13)
    return figure


def distinct_colors(number: int) -> list[Any]:
    """Return a colour for each of some classes: those that everybody can tell apart, or shades of many."""
    from matplotlib import colormaps

    shades = colormaps["viridis"](np.linspace(0, 0.95, number))
    return list(CYCLE[:number]) if number <= len(CYCLE) else list(shades)


@contextmanager
def drawing(
    width: float,
    height: float,
    path: str | Path | None,
    layout: Literal["constrained", "compressed"] = "constrained",
) -> "Iterator[Figure]":
    """Open a figure of that size in inches with our style, and save it at the end."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(figure)  # draws without a screen, whatever backend the session has
        yield figure
        if path is not None:
            figure.savefig(path)


def _curve(log_history: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Return (points, 2): the epochs at which a value was logged, and the finite values."""
    points = [(entry["epoch"], entry[name]) for entry in log_history if name in entry and "epoch" in entry]
    curve = np.array(points, float).reshape(-1, 2)
    return curve[np.isfinite(curve).all(axis=1)]


def _draw_curves(axes: "Axes", curves: Mapping[str, np.ndarray]) -> None:
    for color, (name, curve) in zip(CYCLE, curves.items(), strict=False):
        label = METRIC_TITLES.get(name.removeprefix("eval_"), name)
        marker = "o" if len(curve) <= 30 else None
        axes.plot(
            curve[:, 0], curve[:, 1], color=color, linewidth=1.8, marker=marker, markersize=4, label=label
        )
    axes.grid(axis="y")
    axes.legend(fontsize=10)


def _draw_bars(axes: "Axes", rows: Sequence[ResultRow], metric: str, start: float, color: str) -> None:
    for place, row in enumerate(rows):
        summary = row.metrics[metric]
        mean, values = summary["mean"], np.array(summary.get("values", []))
        values = values[np.isfinite(values)]
        axes.barh(place, mean - start, left=start, height=0.62, color=color, linewidth=0)
        if len(values) > 1:
            axes.errorbar(mean, place, xerr=summary["sd"], color=INK, capsize=4, linewidth=1.4, capthick=1.4)
            spread = place + np.linspace(-0.18, 0.18, len(values))
            axes.scatter(values, spread, s=20, color="white", edgecolor=INK, linewidth=0.8, zorder=3)
        elif "interval" in summary:
            axes.plot(summary["interval"], (place, place), color=INK, linewidth=1.4, marker="|")
        text = f"{mean:.3f}" + (f" ± {summary['sd']:.3f}" if len(values) > 1 else "")
        axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), va="center", fontsize=10)
    axes.set_yticks(range(len(rows)), [row.method for row in rows])
    axes.set_ylim(len(rows) - 0.45, -0.55)  # the first row on top
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)


def _results_limits(rows: Sequence[ResultRow], metric: str, start: float) -> tuple[float, float]:
    """Return the ends of the axis, so that all that is drawn lies between them."""
    summaries = [row.metrics[metric] for row in rows]
    values = [value for summary in summaries for value in (*summary.get("values", []), summary["mean"])]
    values += [summary["mean"] + summary.get("sd", 0.0) for summary in summaries]
    ends = [
        summary["interval"]
        for summary in summaries
        if len(summary.get("values", [])) <= 1 and "interval" in summary
    ]
    values += [end for pair in ends for end in pair]
    low, high = min(float(np.nanmin(values)), start), float(np.nanmax(values))
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


def _draw_scale_bar(axes: "Axes", size: float, unit: str) -> None:
    """Draw at the right edge how long an amplitude of that size is."""
    bottom = axes.get_ylim()[0]
    low = bottom + 0.3 * size
    axes.annotate(
        "",
        xy=(1.012, low),
        xytext=(1.012, low + size),
        xycoords=axes.get_yaxis_transform(),
        textcoords=axes.get_yaxis_transform(),
        arrowprops={"arrowstyle": "|-|,widthA=0.25,widthB=0.25", "color": INK, "shrinkA": 0, "shrinkB": 0},
        annotation_clip=False,
    )
    axes.text(
        1.022,
        low + size / 2,
        f"{size:g} {unit}",
        transform=axes.get_yaxis_transform(),
        va="center",
        fontsize=10,
    )


def _draw_reconstruction_legend(axes: "Axes", with_hidden: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=PEACH, label="hidden from the model"),
        Line2D([], [], color=INK, linewidth=0.8, label="recorded"),
        Line2D([], [], color=VERMILION, linewidth=1.5, label="reconstructed"),
    ]
    axes.legend(
        handles=handles if with_hidden else handles[1:],
        ncols=3,
        handlelength=1.4,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        borderaxespad=0.2,
    )


def _stretches(hidden: np.ndarray) -> list[tuple[int, int]]:
    """Return first and one past last sample of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], hidden, [False]]).astype(int)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def _round_scale(value: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten; 1 for 0, so that a flat window can be drawn too."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value)
