# SPDX-License-Identifier: Apache-2.0
"""The table of a study as CSV, LaTeX, Markdown and JSON."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ...evaluation import ResultRow, results_table
from ...evaluation.report import METRIC_TITLES, REGIMES, format_summary, sort_rows
from ...tables import markdown_table
from .report_text import shown_metrics

_METRICS = ("balanced_accuracy", "auroc", "kappa", "macro_f1", "r2", "mae", "nrmse_std", "pearson")


def write_results(rows: Sequence[ResultRow], folder: Path, metrics_json: Path) -> None:
    """Write `results.csv`, `.tex`, `.md` and `.json`.

    Args:
        rows: As `eeg-hf evaluate` found them.
        folder: Of the study.
        metrics_json: The report of `eeg-hf evaluate`, which is copied.
    """
    ordered = sort_rows(rows)
    numbers = [
        {
            "method": row.method,
            "regime": row.regime,
            **{
                f"{name}{suffix}": value
                for name in _METRICS
                if name in row.metrics
                for suffix, value in _numbers(row, name).items()
            },
            "subjects": row.num_subjects,
            "windows": row.num_windows,
        }
        for row in ordered
    ]
    pd.DataFrame(numbers).to_csv(folder / "results.csv", index=False)
    cells = _cells(rows)
    text = pd.DataFrame(cells).to_latex(
        index=False, escape=True, column_format="ll" + "r" * (len(cells[0]) - 2)
    )
    (folder / "results.tex").write_text(text.replace("±", r"$\pm$"), encoding="utf-8")
    (folder / "results.md").write_text(results_table(rows), encoding="utf-8")
    shutil.copyfile(metrics_json, folder / "results.json")


def short_table(rows: Sequence[ResultRow]) -> str:
    """Return the table that the report shows, as Markdown."""
    return markdown_table(_cells(rows), ["Method", "Regime"])


def _cells(rows: Sequence[ResultRow]) -> list[dict[str, str]]:
    """Return the cells of a short table by the titles of their columns."""
    names = shown_metrics(rows)
    return [
        {
            "Method": row.method,
            "Regime": REGIMES[row.regime],
            **{METRIC_TITLES[name]: format_summary(row.metrics.get(name, {})) for name in names},
        }
        for row in sort_rows(rows)
    ]


def _numbers(row: ResultRow, name: str) -> dict[str, float | None]:
    summary = row.metrics.get(name, {})
    low, high = summary.get("interval") or (None, None)
    return {"": summary.get("mean"), "_sd": summary.get("sd"), "_low": low, "_high": high}
