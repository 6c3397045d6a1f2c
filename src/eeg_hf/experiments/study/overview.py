# SPDX-License-Identifier: Apache-2.0
"""Several labels of one folder: one table of all results, and a page that leads to their reports."""

import html
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ...atomic_files import write_text
from ...evaluation import read_report
from ..plain_page import write_page
from .question import Question
from .report_text import describe_results

_INTRODUCTION = "<p>Each label was learned by itself, from the recordings that have it.</p>\n"


def write_overview_page(questions: Sequence[Question], output_dir: Path) -> Path:
    """Write `results.csv` of all labels, and `report.html` with the table of each.

    Args:
        questions: What was asked; their folders are finished.
        output_dir: Of the study.
    """
    tables, sections = [], []
    for question in questions:
        rows, provenance = read_report(question.folder / "table")
        tables.append(pd.read_csv(question.folder / "results.csv").assign(label=question.label))
        place = Path(os.path.relpath(question.folder, output_dir)).as_posix()
        sections.append(
            f"<h2>{html.escape(question.label)}</h2>{describe_results(rows, provenance.get('chance', {}))}"
            f'<p><a href="{html.escape(place)}/report.html">the report</a>; the model is in '
            f"<code>{html.escape(place)}/model</code></p>"
        )
    table = pd.concat(tables, ignore_index=True)
    write_text(output_dir / "results.csv", table[["label", *table.columns.drop("label")]].to_csv(index=False))
    if (output_dir / "model" / "config.json").is_file():
        sections.append(
            "<h2>All at once</h2><p>The model in <code>model</code> answers all labels, each by a head of "
            "its own on one encoder: a recording may lack some of them.</p>"
        )
    title = f"Can EEG tell {', '.join(question.label for question in questions)}?"
    path = output_dir / "report.html"
    write_page(path, title, _INTRODUCTION + "\n".join(sections))
    return path
