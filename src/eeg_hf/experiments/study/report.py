# SPDX-License-Identifier: Apache-2.0
"""`report.html` of a study: one file that a reader without Python understands, by mne.Report."""

import html
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mne
import numpy as np
from PIL import Image

from ...atomic_files import write_text
from ...evaluation import ResultRow, read_report
from ...evaluation.plots import plot_results
from ...evaluation.report import provenance_lines
from ..classifiers.choosing import Choice
from .contents import StudiedWindows, load_folds
from .details import look_inside
from .figures import (
    DPI,
    draw_all,
    plot_agreement,
    plot_confusion,
    plot_curves,
    plot_electrodes,
    plot_evoked,
    plot_examples,
    plot_spectra,
    plot_subjects,
    plot_topographies,
)
from .lab_folder import EVENT
from .methods_text import REFERENCES, describe_windows, methods_paragraph
from .question import Question
from .report_text import (
    as_items,
    describe_differences,
    describe_kept,
    describe_recordings,
    describe_results,
    summarize,
)
from .understanding import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...evaluation import Predictions

STYLE = """
body { line-height: 1.5; }
.study table { border-collapse: collapse; border: 0; margin: 0.5em 0; display: block; overflow-x: auto; }
.study td, .study th { padding: 0.25em 0.7em; border: 0; border-bottom: 1px solid #8886; text-align: left; }
.study .number { white-space: nowrap; }
.study code { color: inherit; }
.study p, .study li { overflow-wrap: anywhere; }
.study .warning { border-left: 4px solid #D55E00; padding: 0.3em 0.8em; margin: 0.5em 0; }
.study .best { font-weight: bold; }
.accordion-body img { max-width: 100% !important; height: auto; }
#filter-by-tags-dropdown-menu, .accordion-header .badge { display: none !important; }
@media (max-width: 48rem) {
  #toc { display: none; }
  #content { width: 100% !important; margin-left: 0 !important; }
  .navbar-brand .fs-3 { font-size: 1rem !important; white-space: normal; }
  .accordion-body { padding: 0.8rem 0.6rem !important; }
  .study td, .study th { padding: 0.25em 0.3em; font-size: 0.8rem; }
  .accordion-body figure { overflow-x: auto; max-width: 100%; }
}
@media (prefers-color-scheme: dark) {
  body, .accordion, .accordion-item, .accordion-body { background: #16181c; color: #e4e6ea; }
  .accordion-item { border-color: #3a3f47; }
  .navbar, .bg-light, .accordion-button, .accordion-button:not(.collapsed), .list-group-item {
    background: #23272e !important; color: #cfe0ff !important; border-color: #3a3f47 !important;
  }
  .navbar-brand, .navbar span, h5, .study table { color: #e4e6ea !important; }
  .accordion-button::after { filter: invert(0.8); }
  a { color: #8fbaff; }
  .figure-caption, figcaption { color: #a9b0ba !important; }
  .accordion-body img { background: #fff; border-radius: 4px; padding: 4px; }
}
@media print {
  nav, #toc, .navbar, footer { display: none !important; }
  #content { width: 100% !important; margin: 0 !important; }
  body, #container { padding: 0 !important; margin: 0 !important; }
  .accordion-item { break-inside: avoid; border: 0; }
  .accordion-header { break-after: avoid; }
  .accordion-button::after { display: none; }
  .accordion-collapse { display: block !important; }
  .study table { display: table; }
  .accordion-body img { max-height: 9cm; width: auto !important; }
}
"""
_META = (
    '<meta charset="UTF-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
)
"""What mne.Report lacks for telephones and dark screens."""
CAPTIONS = {
    "electrodes": "Electrodes, seen from above.",
    "spectra": "Mean spectrum over electrodes and subjects; the band is the standard error over subjects.",
    "evoked": "Mean response where classes differ most; the band is the standard error over subjects.",
    "results": "Each method in each regime; dots are folds, whiskers their spread, or the 95 % interval over "
    "subjects where there are no dots.",
    "subjects": "How well each subject was predicted when no window of theirs was trained on.",
    "confusion": "Windows of all folds: how often each class was taken for each other.",
    "curves": "Trade-offs of the scores, and whether a stated probability is kept.",
    "agreement": "Left: on the dashed line, prediction and truth are equal. Right: the line is the mean "
    "difference, and 95 % of the differences lie between the dashed lines. A slope to the right below means "
    "that predictions stay close to the mean.",
    "topographies": "Where power goes with the label; red: more in the last class, or with higher numbers.",
    "decision": "With which power the predictions for unseen subjects go: the pattern of the model.",
    "embedding": "Each dot is a window as the model's head reads it, by {placed}, coloured three times.",
    "learning": "The score when fewer subjects are trained on; a dot is a draw of subjects.",
    "examples": "Predictions that were right above, wrong ones below: those with most confidence, or with "
    "the smallest and the largest errors.",
}
_REM_PER_INCH, _MOST_REM, _REM_OF_TELEPHONE = 4.6, 56.0, 30.0
DETAILS = ("decision", "embedding", "learning")
Drawings = Mapping[str, "Callable[[], Figure]"]


@dataclass(frozen=True)
class Notes:
    """What a report shows.

    Attributes:
        run: Folder of the cross-validation whose predictions are shown.
        left_out: What was not done to keep within the time.
        details: Whether models are looked at beyond their scores, which needs a run in the regime `unseen`.
    """

    run: Path
    left_out: Sequence[str] = ()
    details: bool = True


def write_report(windows_dir: Path, question: Question, study: Study, notes: Notes) -> Path:
    """Draw the figures and write `report.html` and `methods.md`.

    Args:
        windows_dir: The prepared windows.
        question: What was asked; its folder holds `table`.
        study: The folder that was understood.
        notes: What is shown.
    """
    output_dir = question.folder
    rows, provenance = read_report(output_dir / "table")
    windows, predictions = StudiedWindows.load(windows_dir, question), load_folds(notes.run)
    chance = provenance.get("chance", {})
    drawings = {
        **common_drawings(windows, predictions, study.plan.tmin),
        "results": lambda: plot_comparison(rows, chance),
        **(number_drawings if question.is_regression else class_drawings)(windows, predictions),
    }
    is_evoked = study.plan.baseline is not None and not question.is_regression
    if is_evoked:
        drawings["evoked"] = partial(draw_responses, windows, study.plan.tmin)
    details = look_inside(windows, predictions, study, question, notes.run) if notes.details else None
    placed = details.placed if details else ""
    figures = draw_all({**drawings, **(details.drawings if details else {})}, output_dir / "figures")
    used, kept = study.used(question), Choice.load(output_dir / "model")
    cut = describe_windows(study.plan, len(windows.rows), study.is_at_events)
    methods = methods_paragraph(used, question, study.plan, cut, provenance, kept, study.is_at_events)
    references = "\n".join(f"- {each}" for each in REFERENCES)
    (output_dir / "methods.md").write_text(f"{methods}\n\n{references}\n", encoding="utf-8")

    asked = " from ".join(windows.group_names[:2]) if len(windows.group_names) == 2 else "events apart"
    title = f"Can EEG tell {asked if question.label == EVENT else question.label}?"
    report = mne.Report(title=title, verbose="ERROR")
    report.add_custom_css(STYLE + "".join(width_rule(name, path) for name, path in figures.items()))

    def add(title: str, content: str, *images: str) -> None:
        report.add_html(f'<div class="study">{content}</div>', title, section=None)
        for name in images:
            report.add_image(figures[name], name.capitalize(), caption=CAPTIONS[name].format(placed=placed))

    warnings = [
        *study.warnings(question),
        *study.told,
        *(f"Left out to keep within the time: {each}" for each in notes.left_out),
    ]
    add("In short", summarize(rows, question, used, chance, warnings) + describe_kept(kept, notes.run))
    add(
        "The recordings",
        describe_recordings(used, study.table, question, study.plan, Counter(windows.names_of_rows())),
        "electrodes",
        "spectra",
    )
    add("How well it works", describe_results(rows, chance), "results", "subjects")
    shown = ("agreement",) if question.is_regression else ("confusion", "curves")
    tested = "<p>Every window was tested once, by a model that never saw its subject.</p>"
    add("Where it errs", tested, *shown, "examples")
    differ = ("evoked", "topographies") if is_evoked else ("topographies",)
    add("What differs", describe_differences(windows.group_names, question), *differ)
    if details:
        add("What the model reads", details.reading, *[name for name in DETAILS if name in details.drawings])
        add("What flips predictions", details.flipping)
    add("Methods", f"<p>{html.escape(methods)}</p>" + as_items(REFERENCES))
    add("Provenance", as_items(line.removeprefix("- ") for line in provenance_lines(provenance)))
    path = output_dir / "report.html"
    report.save(path, open_browser=False, overwrite=True, verbose="ERROR")
    write_text(path, path.read_text(encoding="utf-8").replace('<meta charset="UTF-8">', _META, 1))
    return path


def width_rule(name: str, path: Path) -> str:
    """Return the CSS by which letters have the same size in all figures; wide ones scroll on a telephone."""
    with Image.open(path) as image:
        rem = min(image.width / DPI * _REM_PER_INCH, _MOST_REM)
    which = f'.accordion-body img[alt="{name.capitalize()}"]'
    scrolls = f"@media (max-width: 48rem) {{ {which} {{ max-width: none !important; }} }}\n"
    return f"{which} {{ width: {rem:.1f}rem; }}\n" + (scrolls if rem > _REM_OF_TELEPHONE else "")


def draw_responses(windows: StudiedWindows, tmin: float) -> "Figure":
    """Draw the mean responses to the events, from `tmin` seconds after them."""
    responses = windows.responses()
    length = next(iter(responses.values())).shape[-1]
    seconds = tmin + np.arange(length) / float(windows.rows[0]["sampling_rate"])
    return plot_evoked(responses, seconds, windows.channels)


def plot_comparison(rows: Sequence[ResultRow], chance: Mapping[str, float]) -> "Figure":
    """Draw the methods by balanced accuracy, or by the mean absolute error: R² of few subjects is wild."""
    if not chance:
        return plot_results(rows, "mae")
    return plot_results(rows, chance=chance["balanced_accuracy"])


def common_drawings(windows: StudiedWindows, predictions: "Predictions", tmin: float) -> dict[str, Any]:
    """Return the figures that every report has; windows begin `tmin` seconds after their event."""
    places = (windows.channels, windows.positions)
    return {
        "electrodes": lambda: plot_electrodes(*places),
        "spectra": lambda: plot_spectra(windows.spectra_by_group(), windows.shown_frequencies()),
        "subjects": lambda: plot_subjects(predictions),
        "topographies": lambda: plot_topographies(windows.band_differences(), *places),
        "examples": lambda: plot_examples(windows.examples(predictions, tmin), windows.channels),
    }


def class_drawings(windows: StudiedWindows, predictions: "Predictions") -> dict[str, Any]:
    """Return the figures of a classification."""
    names = windows.group_names
    return {
        "confusion": lambda: plot_confusion(predictions, names),
        "curves": lambda: plot_curves(predictions, names),
    }


def number_drawings(windows: StudiedWindows, predictions: "Predictions") -> dict[str, Any]:
    """Return the figures of a regression."""
    return {"agreement": lambda: plot_agreement(predictions, windows.target.column)}
