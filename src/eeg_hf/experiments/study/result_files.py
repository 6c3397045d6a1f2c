# SPDX-License-Identifier: Apache-2.0
"""The table of a study as CSV, LaTeX, Markdown and JSON."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ...evaluation import ResultRow, results_table
from ...evaluation.report import METRIC_TITLES, REGIMES, format_summary, sort_rows
from ...tables import markdown_table

_METRICS = ("balanced_accuracy", "auroc", "kappa", "macro_f1")


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
                f"{name}{suffix}": value for name in _METRICS for suffix, value in _numbers(row, name).items()
            },
            "subjects": row.num_subjects,
            "windows": row.num_windows,
        }
        for row in ordered
    ]
    pd.DataFrame(numbers).to_csv(folder / "results.csv", index=False)
    cells = [
        {
            "Method": row.method,
            "Regime": REGIMES[row.regime],
            **{METRIC_TITLES[name]: format_summary(row.metrics.get(name, {})) for name in _METRICS[:2]},
        }
        for row in ordered
    ]
    text = pd.DataFrame(cells).to_latex(index=False, escape=True, column_format="llrr")
    (folder / "results.tex").write_text(text.replace("±", r"$\pm$"), encoding="utf-8")
    (folder / "results.md").write_text(results_table(rows), encoding="utf-8")
    shutil.copyfile(metrics_json, folder / "results.json")


def short_table(rows: Sequence[ResultRow]) -> str:
    """Return the table that the report shows, as Markdown."""
    return markdown_table(
        [
            {
                "Method": row.method,
                "Regime": REGIMES[row.regime],
                **{METRIC_TITLES[name]: format_summary(row.metrics.get(name, {})) for name in _METRICS[:2]},
            }
            for row in sort_rows(rows)
        ],
        ["Method", "Regime"],
    )


def _numbers(row: ResultRow, name: str) -> dict[str, float | None]:
    summary = row.metrics.get(name, {})
    low, high = summary.get("interval") or (None, None)
    return {"": summary.get("mean"), "_sd": summary.get("sd"), "_low": low, "_high": high}


__all__ = ["short_table", "write_results"]
