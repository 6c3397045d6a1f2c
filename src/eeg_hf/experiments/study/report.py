# SPDX-License-Identifier: Apache-2.0
"""`report.html` of a study: one file that a reader without Python understands, by mne.Report."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mne
import pandas as pd

from ...evaluation import ResultRow, read_report
from ...evaluation.by_subject import describe_difference
from ...evaluation.plots import plot_results
from ...evaluation.report import METRIC_TITLES, REGIMES, format_summary, provenance_lines, sort_rows
from .contents import StudiedWindows, load_folds
from .figures import (
    draw_all,
    plot_confusion,
    plot_curves,
    plot_electrodes,
    plot_examples,
    plot_spectra,
    plot_subjects,
    plot_topographies,
)
from .methods_text import REFERENCES, methods_paragraph
from .plan import Plan

STYLE = """
body { line-height: 1.5; }
.study table { border-collapse: collapse; margin: 0.5em 0; display: block; overflow-x: auto; }
.study td, .study th { padding: 0.25em 0.7em; border-bottom: 1px solid #8886; text-align: left; }
.study .warning { border-left: 4px solid #D55E00; padding: 0.3em 0.8em; margin: 0.5em 0; }
.study .best { font-weight: bold; }
.accordion-body img { max-width: min(100%, 44rem) !important; height: auto; }
@media print { nav, #toc, .navbar { display: none !important; } }
"""
CAPTIONS = {
    "electrodes": "Electrodes, seen from above.",
    "spectra": "Mean spectrum over electrodes and subjects; the band is the standard error over subjects.",
    "results": "Each method in each regime; dots are folds, whiskers the 95 % interval over subjects.",
    "subjects": "How well each subject was classified when no window of theirs was trained on.",
    "confusion": "Windows of all folds: how often each class was taken for each other.",
    "curves": "Trade-offs of the scores, and whether a stated probability is kept.",
    "topographies": "Where the power of the classes differs; red: more in the last class.",
    "examples": "The windows with most confidence: right ones above, wrong ones below.",
}


def write_report(
    output_dir: Path,
    label: str,
    table: pd.DataFrame,
    plan: Plan,
    warnings: Sequence[str],
    run: Path,
) -> Path:
    """Draw the figures and write `report.html` and `methods.md`.

    Args:
        output_dir: Of the study, with `windows` and `table`.
        label: Column of the labels.
        table: All recordings, as `read_facts` returns them.
        plan: How they were prepared and divided.
        warnings: What a reader must know first.
        run: Folder of the cross-validation whose predictions are shown.
    """
    rows, provenance = read_report(output_dir / "table")
    windows, predictions = StudiedWindows.load(output_dir / "windows", label), load_folds(run)
    names, chance = windows.class_names, provenance["chance"]["balanced_accuracy"]
    drawings = {
        "electrodes": lambda: plot_electrodes(windows.channels, windows.positions),
        "spectra": lambda: plot_spectra(windows.spectra_by_class(), windows.shown_frequencies()),
        "results": lambda: plot_results(rows, chance=chance),
        "subjects": lambda: plot_subjects(predictions),
        "confusion": lambda: plot_confusion(predictions, names),
        "curves": lambda: plot_curves(predictions, names),
        "topographies": lambda: plot_topographies(
            windows.band_differences(), windows.channels, windows.positions
        ),
        "examples": lambda: plot_examples(windows.examples(predictions), windows.channels),
    }
    figures = draw_all(drawings, output_dir / "figures")
    used = table[table[label].notna() & table["problem"].isna()]
    methods = methods_paragraph(used, label, plan, len(windows.rows), provenance)
    references = "\n".join(f"- {each}" for each in REFERENCES)
    (output_dir / "methods.md").write_text(f"{methods}\n\n{references}\n", encoding="utf-8")

    report = mne.Report(title=f"Can EEG tell {label}?", verbose="ERROR")
    report.add_custom_css(STYLE)

    def add(title: str, content: str, *images: str) -> None:
        report.add_html(f'<div class="study">{content}</div>', title, section=None)
        for name in images:
            report.add_image(figures[name], name.capitalize(), caption=CAPTIONS[name])

    add("In short", _summary(rows, label, used, chance, warnings))
    add("The recordings", _recordings(used, table, label, plan), "electrodes", "spectra")
    add("How well it works", _results(rows, chance), "results", "subjects")
    add(
        "Where it errs",
        "<p>Every window was tested once, by a model that never saw its subject.</p>",
        *("confusion", "curves", "examples"),
    )
    add("What differs between the classes", _decides(names), "topographies")
    add("Methods", f"<p>{html.escape(methods)}</p>" + _items(REFERENCES))
    add("Provenance", _items(line.removeprefix("- ") for line in provenance_lines(provenance)))
    path = output_dir / "report.html"
    report.save(path, open_browser=False, overwrite=True, verbose="ERROR")
    return path


def best_row(rows: Sequence[ResultRow], regime: str) -> ResultRow:
    """Return the method with the best balanced accuracy of a regime."""
    return next(row for row in sort_rows(rows) if row.regime == regime)


def _summary(
    rows: Sequence[ResultRow], label: str, used: pd.DataFrame, chance: float, warnings: Sequence[str]
) -> str:
    """Return the answer in two sentences a regime, and the warnings above it."""
    parts = [f'<p class="warning">{html.escape(each)}.</p>' for each in warnings]
    for regime in dict.fromkeys(row.regime for row in sort_rows(rows)):
        row = best_row(rows, regime)
        summary = row.metrics["balanced_accuracy"]
        low = (summary.get("interval") or (summary["mean"],))[0]
        verdict = "better than guessing" if low > chance else "not shown to be better than guessing"
        parts.append(
            f"<p>{html.escape(REGIMES[regime].capitalize())}: the best of {len(rows)} rows, "
            f"{html.escape(row.method)}, tells {html.escape(label)} with a balanced accuracy of "
            f"<b>{format_summary(summary)}</b>. Guessing gives {chance:.2f}; this is {verdict}.</p>"
        )
    parts.append(
        f"<p>{len(used)} recordings of {used['subject'].nunique()} subjects, "
        f"{used['seconds'].sum() / 3600:.1f} hours. The number in front is the mean over folds of "
        "subjects, ± its standard deviation, in brackets the 95 % interval for other subjects of this "
        "kind. The best of several rows is somewhat too good; differences below say whether it is better "
        "than the next.</p>"
    )
    return "".join(parts)


def _recordings(used: pd.DataFrame, table: pd.DataFrame, label: str, plan: Plan) -> str:
    counts = used.groupby(label).agg(
        recordings=("file", "count"), subjects=("subject", "nunique"), hours=("seconds", "sum")
    )
    counts["hours"] = (counts["hours"] / 3600).round(2)
    problems = table[table["problem"].notna()][["file", "problem"]]
    left_out = f"<p>Not read:</p>{problems.to_html(index=False)}" if len(problems) else ""
    chosen = f"<p>Chosen for these recordings:</p>{_items(plan.reasons)}" if plan.reasons else ""
    return f"{counts.reset_index().to_html(index=False)}{chosen}{left_out}"


def _results(rows: Sequence[ResultRow], chance: float) -> str:
    lines = []
    for row in sort_rows(rows):
        cells = [row.method, REGIMES[row.regime]]
        cells += [format_summary(row.metrics.get(name, {})) for name in ("balanced_accuracy", "auroc")]
        lines.append("".join(f"<td>{html.escape(cell)}</td>" for cell in cells))
    heads = ["Method", "Regime", METRIC_TITLES["balanced_accuracy"], METRIC_TITLES["auroc"]]
    tests = [
        f"{row.method} ({REGIMES[row.regime]}): {describe_difference(row.difference)}"
        for row in sort_rows(rows)
        if row.difference
    ]
    table = "".join(f"<tr>{line}</tr>" for line in lines)
    head = "".join(f"<th>{each}</th>" for each in heads)
    return f"<table><tr>{head}</tr>{table}</table><p>Chance is {chance:.2f}.</p>{_items(tests)}"


def _decides(names: Sequence[str]) -> str:
    return (
        f"<p>Log power of {html.escape(names[-1])} against {html.escape(names[0])}, electrode by electrode, "
        "as t-values over subjects. This is what the classes differ in, not all that a model reads: it also "
        "uses what electrodes share.</p>"
    )


def _items(lines: Any) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(str(line))}</li>" for line in lines) + "</ul>"


__all__ = ["best_row", "write_report"]
