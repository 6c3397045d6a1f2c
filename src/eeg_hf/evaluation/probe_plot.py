# SPDX-License-Identifier: Apache-2.0
"""The curve of a linear probe over the phases of a training, in the style of the other pictures."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .plots import CYCLE, GREY, INK, PALE, drawing
from .report import METRIC_TITLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TITLES = {
    **METRIC_TITLES,
    "nrmse_std": "NRMSE (population sd)",
    "r2": "R²",
    "mae": "Mean absolute error",
}


def plot_probe_curve(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path | None = None,
    metric: str = "balanced_accuracy",
    chance: float | None = None,
) -> "Figure":
    """Draw one curve over all phases: a colour a phase, each beginning at the step where the last one ended.

    Args:
        rows: One a measurement, with `phase`, `step` (within its phase) and the metric, in the order of the
            phases; see `read_probe_curve` of eeg_hf.training.
        path: Where to save the picture.
        metric: What to draw.
        chance: What guessing scores, as a dashed line.

    Raises:
        ValueError: If no row has the metric.
    """
    rows = [row for row in rows if metric in row]
    if not rows:
        raise ValueError(f"rows: expected at least one with {metric}, got none")
    with drawing(8.0, 4.2, path) as figure:
        axes = figure.add_subplot()
        start, last = 0, np.empty((0, 2))
        for number, (name, color) in enumerate(zip(_phases(rows), cycle(CYCLE), strict=False)):
            points = np.array([(start + row["step"], row[metric]) for row in rows if row["phase"] == name])
            points = points[points[:, 0].argsort()]
            line = np.concatenate([last, points])  # from where the last phase ended
            axes.plot(line[:, 0], line[:, 1], color=color, linewidth=1.8)
            axes.plot(points[:, 0], points[:, 1], "o", color=color, markersize=4.5, label=name or "training")
            if number % 2 == 0:
                axes.axvspan(start, points[-1, 0], color=PALE, alpha=0.6, linewidth=0)
            start, last = int(points[-1, 0]), points[-1:]
        if chance is not None:
            axes.axhline(chance, color=INK, linewidth=1.2, linestyle="--", label=f"chance, {chance:.2f}")
        axes.set(xlabel="steps of all phases", ylabel=_TITLES.get(metric, metric), title="Linear probe")
        axes.grid(axis="y", color=GREY, alpha=0.3)
        axes.margins(x=0.02)
        figure.legend(loc="outside lower center", ncols=4, fontsize=10)
    return figure


def _phases(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the phases in order of their first row."""
    return list(dict.fromkeys(row["phase"] for row in rows))
