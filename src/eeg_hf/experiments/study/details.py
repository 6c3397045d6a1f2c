# SPDX-License-Identifier: Apache-2.0
"""The part of a report that looks at the models of a study beyond their scores."""

import html
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ...evaluation import Predictions
from .contents import StudiedWindows
from .lab_folder import place_of
from .model_facts import Embedding, decision_maps, embed, learning_curve, sensitivity
from .model_figures import plot_decision, plot_embedding, plot_learning_curve
from .question import Question
from .understanding import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Details:
    """What was found.

    Attributes:
        drawings: The figures, by name.
        placed: How windows were placed in a plane.
        reading: What the model reads, as HTML.
        flipping: What flips its predictions, as HTML.
    """

    drawings: "dict[str, Callable[[], Figure]]"
    placed: str
    reading: str
    flipping: str


def look_inside(
    windows: StudiedWindows, predictions: Predictions, study: Study, question: Question, run: Path
) -> Details:
    """Look at the models of a study.

    Args:
        windows: Of the study.
        predictions: For unseen subjects.
        study: The folder that was understood.
        question: What was asked; its folder holds `model`.
        run: Folder of the cross-validation.
    """
    model_dir = question.folder / "model"
    embedding, curve = embed(windows, model_dir), learning_curve(windows, run)
    rows = embedding.rows
    colours = {
        question.label: np.array(windows.group_names)[windows.groups[rows]],
        "subject": np.array(windows.rows["subject"][:])[rows],
        "recording": np.array(windows.rows["recording"][:])[rows],
    }
    places = (windows.channels, windows.positions)
    drawings: dict[str, Any] = {
        "decision": lambda: plot_decision(decision_maps(windows, predictions), *places),
        "embedding": lambda: plot_embedding(embedding, colours),
    }
    if len(curve) > 1:
        drawings["learning"] = lambda: plot_learning_curve(curve, question.is_regression)
    flipping = "<p>Not tried: a changed recording is read window after window, and not at its events.</p>"
    if not study.is_at_events:
        channel = windows.channels[len(windows.channels) // 2]
        flipping = describe_changes(sensitivity(list_sources(study), model_dir, channel))
    return Details(drawings, embedding.method, describe_reading(embedding, question), flipping)


def list_sources(study: Study) -> list[Callable[[], Any]]:
    """Return what opens each recording that can be read."""
    readable = set(study.readable["file"])
    return [
        partial(study.corpus.read, recording)
        for recording in study.corpus.recordings(study.root)
        if place_of(recording.path, study.root) in readable
    ]


def describe_reading(embedding: Embedding, question: Question) -> str:
    """Return whether neighbours share the label or the subject."""
    others = {"label": "subject", "subject": "recording"}
    lines = [
        f"{what}: {share:.0%} of the windows have it in common with the nearest window of another "
        f"{others[what]} (chance {chance:.0%})"
        for what, (share, chance) in embedding.neighbours.items()
    ]
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    person = "Where the subject is shared far above chance, it is the person that is read."
    if "subject" not in embedding.neighbours:
        person = "Whether it is the person that is read cannot be told: no subject has two recordings."
    return (
        f"<p>Windows as the model for {html.escape(question.label)} reads them. {person}</p><ul>{items}</ul>"
    )


def describe_changes(rows: list[dict[str, Any]]) -> str:
    """Return how predictions change when recordings had been made otherwise."""
    if not rows:
        return "<p>No change could be made to these recordings.</p>"
    table = pd.DataFrame(rows)
    if "shift" in table:
        table["shift"] = table["shift"].map("{:.3g}".format)
    if "flipped" in table:
        table["flipped"] = table["flipped"].map("{:.1%}".format)
    return (
        "<p>The first minute of up to twelve recordings, changed before the model cleans it: the share of "
        "windows whose class flips, or how far the number moves. The model has learned from these recordings."
        f"</p>{table.to_html(index=False)}"
    )
