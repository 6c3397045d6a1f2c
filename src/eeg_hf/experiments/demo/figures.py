# SPDX-License-Identifier: Apache-2.0
"""The figures of the page: the recording in time and on a head, scores of windows, embeddings."""

from collections.abc import Mapping, Sequence
from typing import Any

import mne
import numpy as np
from matplotlib.figure import Figure
from scipy.signal import welch

from ...inference.explanation.band_parts import BANDS
from ...inference.explanation.explanation import describe_edges

COLOURS = (
    "#4053d3",
    "#ddb310",
    "#b51d14",
    "#00beff",
    "#fb49b0",
    "#00b25d",
    "#cacaca",
)  # Okabe and Ito's kind
_SECONDS_SHOWN = 10.0
_FLOOR_UV2 = 1e-6


def draw_traces(
    preview_uv: np.ndarray,
    rate: float,
    channels: Sequence[str],
    bad: Sequence[str],
    windows: Sequence[Mapping[str, Any]],
) -> Figure:
    """Draw the first seconds of all channels below each other, the windows behind them in their colours.

    Args:
        preview_uv: (channels, time) in uV.
        rate: In Hz.
        channels: Names.
        bad: Names of channels that are drawn grey.
        windows: Answers of the pipeline.
    """
    shown = preview_uv[:, : round(_SECONDS_SHOWN * rate)]
    time = np.arange(shown.shape[1]) / rate
    step = max(4 * float(np.median(shown.std(axis=1))), 1.0)
    figure = Figure(figsize=(9, max(3.0, 0.26 * len(channels) + 1.0)), layout="constrained")
    axis = figure.subplots()
    labels = sorted({window["label"] for window in windows if "label" in window})
    for window in windows:
        if "label" in window and window["start"] < time[-1]:
            colour = COLOURS[labels.index(window["label"]) % len(COLOURS)]
            end = min(window["end"], float(time[-1]))
            axis.axvspan(window["start"], end, color=colour, alpha=0.12, lw=0)
            axis.text(
                window["start"] + 0.05,
                1.01,
                window["label"],
                transform=axis.get_xaxis_transform(),
                fontsize=9,
            )
    for row, (name, values) in enumerate(zip(channels, shown, strict=True)):
        axis.plot(time, values - row * step, lw=0.6, color="#999999" if name in bad else "#222222")
    axis.set_yticks(-step * np.arange(len(channels)), channels, fontsize=max(5, 9 - len(channels) // 16))
    axis.set(xlim=(0, time[-1]), ylim=(-step * len(channels), step), xlabel="seconds")
    axis.set_title(f"cleaned signal, {step:.0f} µV between two lines", fontsize=10, pad=16)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def draw_power(preview_uv: np.ndarray, rate: float, channels: Sequence[str], positions: np.ndarray) -> Figure:
    """Draw the power of each band on a head, in decibel above or below its mean over electrodes."""
    places = dict(zip(channels, np.asarray(positions, float), strict=True))
    info = mne.create_info(list(channels), rate, "eeg", verbose="ERROR")
    info.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"), verbose="ERROR")
    frequency, power = welch(preview_uv, rate, nperseg=min(preview_uv.shape[1], round(2 * rate)))
    figure = Figure(figsize=(9, 2.4), layout="constrained")
    axes: Any = figure.subplots(1, len(BANDS))
    drawn: Any = None
    for axis, (name, edges) in zip(axes, BANDS.items(), strict=True):
        inside = (frequency >= max(edges[0], 0.5)) & (frequency < edges[1])
        level = 10 * np.log10(power[:, inside].mean(axis=1) + _FLOOR_UV2)
        level -= np.median(level)
        drawn, _ = mne.viz.plot_topomap(
            level, info, axes=axis, show=False, cmap="viridis", vlim=(-10, 10), contours=0, sphere="auto"
        )
        axis.set_title(f"{name}\n{describe_edges(edges)}", fontsize=9)
    figure.colorbar(drawn, ax=list(axes), shrink=0.8, label="dB")
    return figure


def draw_scores(windows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the scores, or values, of each window over time."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    axis = figure.subplots()
    edges = np.array([*(window["start"] for window in windows), windows[-1]["end"]])
    curves = [
        window.get("scores") or window.get("values") or {"value": window["value"]} for window in windows
    ]
    for number, name in enumerate(curves[0]):
        values = np.array([curve[name] for curve in curves])
        axis.stairs(values, edges, baseline=None, color=COLOURS[number % len(COLOURS)], lw=2, label=name)
    axis.set(xlabel="seconds", ylabel="score" if "scores" in windows[0] else "value", xlim=(0, edges[-1]))
    if "scores" in windows[0]:
        axis.set_ylim(0, 1)
    axis.legend(frameon=False, ncols=min(4, len(curves[0])), loc="upper center", bbox_to_anchor=(0.5, 1.18))
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def draw_embeddings(embeddings: np.ndarray, windows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw windows by the two directions in which their embeddings differ most, coloured by time.

    Args:
        embeddings: (windows, size).
        windows: Answers of the pipeline.
    """
    centred = embeddings - embeddings.mean(axis=0)
    left, spread, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(embeddings), 2))
    places[:, : min(2, left.shape[1])] = (left * spread)[:, :2]
    share = spread[:2] ** 2 / max(float((spread**2).sum()), 1e-12)
    figure = Figure(figsize=(6, 4.2), layout="constrained")
    axis = figure.subplots()
    starts = [window["start"] for window in windows]
    drawn = axis.scatter(
        places[:, 0], places[:, 1], c=starts, cmap="viridis", s=60, edgecolor="#222222", lw=0.5
    )
    axis.plot(places[:, 0], places[:, 1], color="#999999", lw=0.6, zorder=0)
    names = [f"direction {number + 1} ({value:.0%} of the variance)" for number, value in enumerate(share)]
    axis.set(xlabel=names[0], ylabel=names[1] if len(names) > 1 else "")
    figure.colorbar(drawn, label="seconds")
    axis.spines[["top", "right"]].set_visible(False)
    return figure
