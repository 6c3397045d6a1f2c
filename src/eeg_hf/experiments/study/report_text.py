# SPDX-License-Identifier: Apache-2.0
"""The words and tables of a study's report, as HTML."""

import html
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...evaluation import ResultRow
from ...evaluation.by_subject import describe_difference
from ...evaluation.report import METRIC_TITLES, REGIMES, format_summary, main_metric, sort_rows
from ..classifiers.choosing import Choice
from .lab_folder import EVENT
from .plan import Plan
from .question import Question, name_groups
from .understanding import describe_length

_OF_GROUPS = (
    " The label never differs within a subject: their own windows remove what differs between subjects, and "
    "so the label."
)


def summarize(
    rows: Sequence[ResultRow],
    question: Question,
    used: pd.DataFrame,
    chance: Mapping[str, float],
    warnings: Sequence[str],
) -> str:
    """Return the warnings, and the answer in two sentences a regime.

    Args:
        rows: Of the table.
        question: What was asked.
        used: Recordings, as `read_facts` returns them.
        chance: What guessing reaches; empty for numbers.
        warnings: What a reader must know first.
    """
    parts = [f'<p class="warning">{html.escape(each)}.</p>' for each in warnings]
    of_groups = used.groupby("subject")[question.label].nunique().max() == 1
    for regime, row, number_of_rows in best_rows(rows):
        tell = _tell_number if question.is_regression else _tell_class
        method = html.escape(row.method)
        best = f"the best of {number_of_rows} rows, {method}," if number_of_rows > 1 else method
        note = _OF_GROUPS if of_groups and regime != "unseen" else ""
        answer = tell(row, question.label, chance)
        parts.append(f"<p>{html.escape(REGIMES[regime].capitalize())}: {best} {answer}{note}</p>")
    recordings = used.drop_duplicates("file")
    number = (
        "of all folds together"
        if question.is_regression
        else "the mean over folds of subjects, ± its standard deviation"
    )
    parts.append(
        f"<p>{len(recordings)} recordings of {used['subject'].nunique()} subjects, "
        f"{describe_length(recordings['seconds'].sum())}. The number in front is {number}, in brackets the "
        "95 % interval for other subjects of this kind. The best of several rows is somewhat too good; "
        "differences below say whether it is better than the next.</p>"
    )
    return "".join(parts)


def best_rows(rows: Sequence[ResultRow]) -> Iterator[tuple[str, ResultRow, int]]:
    """Yield each regime with its best row, and how many rows it has."""
    ordered = sort_rows(rows)
    for regime, number in Counter(row.regime for row in ordered).items():
        yield regime, next(row for row in ordered if row.regime == regime), number


def describe_kept(kept: Choice | None, run: Path) -> str:
    """Return which model is kept, and what was chosen in each fold of the run that is shown below."""
    if kept is None:
        return ""
    folds = [Choice.load(folder) for folder in sorted(run.glob("fold-*"))]
    names = Counter(each.architecture for each in folds if each)
    below = (
        f" Figures below are of the folds, each of which chose by its own training subjects: "
        f"{', '.join(f'{name} {number}×' for name, number in names.items())}."
        if names
        else " Its choice was not tested by folds of its own; figures below are of our model."
    )
    return (
        "<p>The model that is kept, in <code>model/</code>, was chosen by inner folds of subjects and fitted "
        f"on everybody: {html.escape(kept.describe())}.{html.escape(below)}</p>"
    )


def _tell_class(row: ResultRow, label: str, chance: Mapping[str, float]) -> str:
    summary, guess = row.metrics["balanced_accuracy"], chance["balanced_accuracy"]
    verdict = "better than guessing" if _low(summary) > guess else "not shown to be better than guessing"
    return (
        f"tells {html.escape(label)} with a balanced accuracy of <b>{format_summary(summary)}</b>. Guessing "
        f"gives {guess:.2f}; this is {verdict}."
    )


def _tell_number(row: ResultRow, label: str, chance: Mapping[str, float]) -> str:
    summary = row.metrics["r2"]
    verdict = "better than the mean" if _low(summary) > 0 else "not shown to be better than the mean"
    return (
        f"predicts {html.escape(label)} with a mean absolute error of "
        f"<b>{format_summary(row.metrics['mae'], 2)}</b> and an R² of <b>{format_summary(summary)}</b>. "
        f"Always saying the mean gives an R² of 0; this is {verdict}."
    )


def _low(summary: Mapping[str, Any]) -> float:
    return float((summary.get("interval") or (summary["mean"],))[0])


def describe_recordings(
    used: pd.DataFrame, table: pd.DataFrame, question: Question, plan: Plan, windows: Mapping[str, int]
) -> str:
    """Return how many recordings each class, or third of the numbers, has, and what was left out.

    Args:
        used: Recordings, as `read_facts` returns them.
        table: All recordings of the folder.
        question: What was asked.
        plan: How they were prepared.
        windows: Number of windows of each class or third.
    """
    groups = used[question.label]
    if question.is_regression:
        groups = pd.Series(name_groups(groups), used.index)
    counts = (
        used.assign(**{question.label: groups})
        .groupby(question.label)
        .agg(recordings=("file", "count"), subjects=("subject", "nunique"), hours=("seconds", "sum"))
    )
    counts["hours"] = (counts["hours"] / 3600).round(2)
    counts["windows"] = [windows.get(str(name), 0) for name in counts.index]
    if question.label == EVENT:  # a recording has events of all classes
        counts = counts.drop(columns="hours")
    problems = table[table["problem"].notna()][["file", "problem"]]
    left_out = f"<p>Not read:</p>{problems.to_html(index=False)}" if len(problems) else ""
    chosen = f"<p>Chosen for these recordings:</p>{as_items(plan.reasons)}" if plan.reasons else ""
    return f"{counts.reset_index().to_html(index=False)}{chosen}{left_out}"


def describe_results(rows: Sequence[ResultRow], chance: Mapping[str, float]) -> str:
    """Return the table of methods, and the tests below it."""
    names = shown_metrics(rows)
    lines, before = [], ""
    for row in sort_rows(rows):
        if row.regime != before:
            before = row.regime
            title = html.escape(REGIMES[row.regime].capitalize())
            lines.append(f'<th colspan="{1 + len(names)}">{title}</th>')
        cells = [format_summary(row.metrics.get(name, {})) for name in names]
        numbers = "".join(f'<td class="number">{_broken(cell)}</td>' for cell in cells)
        lines.append(f"<td>{html.escape(row.method)}</td>{numbers}")
    heads = ["Method", *(METRIC_TITLES[name] for name in names)]
    tests = [
        f"{row.method} ({REGIMES[row.regime]}): {describe_difference(row.difference)}"
        for row in sort_rows(rows)
        if row.difference
    ]
    table = "".join(f"<tr>{line}</tr>" for line in lines)
    head = "".join(f"<th>{each}</th>" for each in heads)
    note = f"Chance is {chance['balanced_accuracy']:.2f}." if chance else "The mean has an R² of 0."
    return f"<table><tr>{head}</tr>{table}</table><p>{note}</p>{as_items(tests)}"


def _broken(cell: str) -> str:
    """Return a number with its interval on a line of its own, which fits a telephone."""
    return html.escape(cell).replace(" [", "<br>[")


def shown_metrics(rows: Sequence[ResultRow]) -> tuple[str, ...]:
    """Return the metrics that a short table shows."""
    return ("r2", "mae", "nrmse_std") if main_metric(rows) == "r2" else ("balanced_accuracy", "auroc")


def describe_differences(names: Sequence[str], question: Question) -> str:
    """Return what the maps of power show."""
    label = html.escape(question.label)
    what = (
        f"How log power goes with {label}"
        if question.is_regression
        else f"Log power of {html.escape(names[-1])} against {html.escape(names[0])}"
    )
    return (
        f"<p>{what}, electrode by electrode, as t-values over subjects. This is what the recordings differ "
        "in, not all that a model reads: it also uses what electrodes share.</p>"
    )


def as_items(lines: Iterable[Any]) -> str:
    """Return an HTML list."""
    return "<ul>" + "".join(f"<li>{html.escape(str(line))}</li>" for line in lines) + "</ul>"
