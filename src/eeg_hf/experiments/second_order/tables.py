# SPDX-License-Identifier: Apache-2.0
"""The tables and the figure of a study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...evaluation.plots import CYCLE, drawing
from ...evaluation.report import format_summary
from ...tables import NOTHING, markdown_table


def methods_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the methods by regime, with what ours is above each of the others."""
    cells = []
    for row in rows:
        difference = row.get("ours_minus_this")
        cells.append(
            {
                "Method": row["method"],
                "Regime": f"`{row['regime']}`",
                "Balanced accuracy": format_summary(row["balanced_accuracy"]),
                "AUROC": format_summary(row["auroc"]),
                "Ours minus this": format_difference(difference["balanced_accuracy"])
                if difference
                else NOTHING,
            }
        )
    return markdown_table(cells, ["Method", "Regime"])


def format_difference(difference: Mapping[str, Any]) -> str:
    """Return `+0.010 [-0.021, +0.041], 13 of 36 higher`."""
    text = f"{difference['mean']:+.3f}"
    if difference["interval"]:
        text += " [{:+.3f}, {:+.3f}]".format(*difference["interval"])
    return f"{text}, higher in {difference['num_higher']} of {difference['num_subjects']}"


def labels_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the kinds of features by the number of labelled subjects."""
    cells = [
        {
            "Labelled": str(row["labelled"] or "all"),
            "Features": row["method"],
            **accuracy_cells(row),
            "AUROC": format_summary({"mean": row["auroc"]}),
            **difference_cells(row, rows[0]),
        }
        for row in rows
    ]
    return markdown_table(cells, ["Features"])


def shift_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the methods by what was left out of the tested subjects."""
    cells = [
        {
            "Kept": f"{row['kept']:.0%} of {row['left_out']}" if row["left_out"] else "all",
            "Method": row["method"],
            **accuracy_cells(row),
            **difference_cells(row, rows[0]),
        }
        for row in rows
    ]
    return markdown_table(cells, ["Kept", "Method"])


def accuracy_cells(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the balanced accuracy with its interval."""
    return {
        "Balanced accuracy": format_summary({"mean": row["balanced_accuracy"], "interval": row["interval"]})
    }


def difference_cells(row: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, str]:
    """Return what the first row is above another."""
    difference = row.get("first_minus_this")
    title = f"{str(first['method']).capitalize()} minus this"
    return {title: format_difference(difference) if difference else NOTHING}


def plot_labels(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Draw the balanced accuracy by the number of labelled subjects, with intervals over tested subjects."""
    with drawing(7.0, 4.2, path, "compressed") as figure:
        axes = figure.add_subplot()
        methods = [*dict.fromkeys(row["method"] for row in rows)]
        names = [str(count or "all") for count in dict.fromkeys(row["labelled"] for row in rows)]
        for number, method in enumerate(methods):
            own = [row for row in rows if row["method"] == method]
            places = [index + 0.06 * (number - 1.5) for index in range(len(own))]
            means = [row["balanced_accuracy"] for row in own]
            ends = [row["interval"] or (mean, mean) for row, mean in zip(own, means, strict=True)]
            spread = [[mean - low for mean, (low, _) in zip(means, ends, strict=True)]]
            spread += [[high - mean for mean, (_, high) in zip(means, ends, strict=True)]]
            axes.errorbar(
                places, means, yerr=spread, label=method, color=CYCLE[number], marker="o", capsize=3
            )
        axes.set(
            xlabel="labelled subjects",
            ylabel="balanced accuracy",
            xticks=range(len(names)),
            xticklabels=names,
        )
        axes.set_title("Few labels: frozen features, recentred subjects")
        axes.grid(axis="y")
        axes.legend()
