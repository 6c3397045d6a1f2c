# SPDX-License-Identifier: Apache-2.0
"""Several labels of one folder: one table of all results, and a page that leads to their reports."""

import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from ...atomic_files import write_text
from ...evaluation import read_report
from ..plain_page import write_page
from .question import Question
from .report_text import describe_results

_INTRODUCTION = "<p>Each label was learned by itself, from the recordings that have it.</p>\n"


def write_overview_page(warnings: Mapping[Question, Sequence[str]], output_dir: Path) -> Path:
    """Write `results.csv` of all labels, and `report.html` with the table of each.

    Args:
        warnings: What was asked, and what a reader must know first; the folders are finished.
        output_dir: Of the study.
    """
    tables, sections = [], []
    for question in warnings:
        rows, provenance = read_report(question.folder / "table")
        tables.append(pd.read_csv(question.folder / "results.csv").assign(label=question.label))
        place = Path(os.path.relpath(question.folder, output_dir)).as_posix()
        said = "".join(f'<p class="alarm">{html.escape(each)}.</p>' for each in warnings[question])
        table = describe_results(rows, provenance.get("chance", {}))
        sections.append(
            f"<h2>{html.escape(question.label)}</h2>{said}{table}"
            f'<p><a href="{html.escape(place)}/report.html">the report</a>; the model is in '
            f"<code>{html.escape(place)}/model</code></p>"
        )
    results = pd.concat(tables, ignore_index=True)
    columns = ["label", *results.columns.drop("label")]
    write_text(output_dir / "results.csv", results[columns].to_csv(index=False))
    if (output_dir / "model" / "config.json").is_file():
        is_tested = (output_dir / "together").is_dir()
        tested = "Its scores are a row of each table." if is_tested else "It was not tested by folds."
        sections.append(
            "<h2>All at once</h2><p>The model in <code>model</code> answers all labels, each by a head of "
            f"its own on one encoder: a recording may lack some of them. {tested}</p>"
        )
    title = f"Can EEG tell {', '.join(question.label for question in warnings)}?"
    path = output_dir / "report.html"
    write_page(path, title, _INTRODUCTION + "\n".join(sections))
    return path
