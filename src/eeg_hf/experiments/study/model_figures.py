# SPDX-License-Identifier: Apache-2.0
"""The figures of what models show beyond their scores."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...evaluation.plots import BLUE, distinct_colors, drawing
from .figures import BANDS_HZ, plot_heads
from .model_facts import Embedding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_NAMES = 6


def plot_embedding(embedding: Embedding, colours: Mapping[str, Sequence[str]]) -> "Figure":
    """Draw the windows as points, once for each way of colouring them.

    Args:
        embedding: Of the windows.
        colours: Title -> value of each point.
    """
    with drawing(3.4 * len(colours), 3.6, None) as figure:
        panels = figure.subplots(1, len(colours), squeeze=False)[0]
        for axes, (title, values) in zip(panels, colours.items(), strict=True):
            names, places = np.unique(values, return_inverse=True)
            colors = distinct_colors(len(names))
            for index, name in enumerate(names):
                own = embedding.points[places == index]
                color = colors[index]
                shown = name if len(names) <= _MOST_NAMES else None
                axes.scatter(own[:, 0], own[:, 1], s=7, color=color, linewidth=0, alpha=0.7, label=shown)
            axes.set(title=f"{title} ({len(names)})", xticks=[], yticks=[])
            if len(names) <= _MOST_NAMES:
                axes.legend(fontsize=7, markerscale=2, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 0))
    return figure


def plot_learning_curve(scores: Mapping[int, Sequence[float]], is_regression: bool) -> "Figure":
    """Draw the score against the number of training subjects; a dot is a draw of subjects, a mean over folds.

    Args:
        scores: Number of subjects -> score of each draw.
        is_regression: Whether they are mean absolute errors.
    """
    with drawing(4.6, 3.2, None) as figure:
        axes = figure.add_subplot()
        numbers = sorted(scores)
        axes.plot(numbers, [np.mean(scores[number]) for number in numbers], color=BLUE)
        for number in numbers:
            axes.scatter([number] * len(scores[number]), scores[number], s=16, color=BLUE, zorder=3)
        title = "mean absolute error" if is_regression else "balanced accuracy"
        axes.set(xlabel="training subjects", ylabel=title, xticks=numbers)
    return figure


def plot_decision(correlations: np.ndarray, channels: Sequence[str], positions: np.ndarray) -> "Figure":
    """Draw with which power the predictions go, a head for each band.

    Args:
        correlations: (bands, channels).
        channels: Names.
        positions: (channels, 3) in metres.
    """
    return plot_heads(correlations, channels, positions, list(BANDS_HZ), "correlation", "PuOr_r")
