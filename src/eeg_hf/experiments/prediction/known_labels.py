# SPDX-License-Identifier: Apache-2.0
"""Compare predictions with labels that are known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...corpora import SeenWindows
from ...evaluation import classification_metrics, regression_metrics
from ...suggestions import did_you_mean
from ...tables import markdown_table
from .sources import Source

CORNER = "true, then predicted"


def refuse_unknown_label(sources: Sequence[Source], label_column: str) -> None:
    """Refuse a label that no recording has, before anything is predicted."""
    names = sorted({name for source in sources for name in source.labels})
    if sources and label_column not in names:
        there = did_you_mean(label_column, names) or f": expected one of {', '.join(names) or 'none'}"
        raise ValueError(f"label_column {label_column!r}: no recording has this label{there}")


def note_known_subjects(subjects: pd.Series, model: str) -> str:
    """Return a note if a model was trained on subjects of these names; recordings tell no more than names."""
    seen = SeenWindows.load(model) if Path(model).is_dir() else None
    if seen is None:
        return ""
    names = {name.partition("/")[2] for name in seen.subjects}
    known = sorted(set(subjects.dropna().astype(str)) & names)
    if not known:
        return ""
    return (
        f"{len(known)} of {subjects.nunique()} subjects have the name of one that the model was trained on "
        f"({', '.join(known[:5])}): if they are the same people, these figures say nothing about new ones"
    )


def judge(table: pd.DataFrame, label_column: str, config: Any) -> tuple[dict[str, Any], str]:
    """Return the metrics of a table of predictions, and a text that shows them.

    Args:
        table: With the columns `label`, `predicted` and, of a classifier, `score: <class>`; rows without a
            label, and those that made a calibration, are left out.
        label_column: Where the labels come from, for messages.
        config: Config of the model, which names the classes.

    Raises:
        ValueError: If no row has a label, or a label is not a class of the model.
    """
    known = table[table["label"].notna() & table["predicted"].notna()]
    if "is_calibration" in known:
        known = known[known["is_calibration"] != True]  # noqa: E712  a column with missing values
    if known.empty:
        raise ValueError(f"label_column {label_column!r}: no predicted recording has this label")
    names = [f"score: {name}" for name in config.id2label.values()]
    if names[0] not in known:
        metrics = regression_metrics(known["label"].astype(float), known["predicted"].astype(float))
        return metrics, _as_table(metrics)
    classes = list(config.id2label.values())
    labels = known["label"].map(_class_name)
    if others := sorted(set(labels) - set(classes)):
        raise ValueError(
            f"label_column {label_column!r} holds {', '.join(others[:10])}: the model knows "
            f"{', '.join(classes)}"
        )
    indices = labels.map(classes.index).to_numpy()
    metrics = classification_metrics(indices, known[names].to_numpy(float), classes)
    counts = pd.crosstab(labels, known["predicted"]).reindex(index=classes, columns=classes, fill_value=0)
    rows = [{CORNER: name, **{other: str(counts.loc[name, other]) for other in classes}} for name in classes]
    found = {**metrics, "confusion_matrix": counts.to_numpy().tolist(), "class_names": classes}
    return found, f"{_as_table(metrics)}\n\n{markdown_table(rows, [CORNER])}"


def _class_name(label: Any) -> str:
    """Return the text of a label as classes are named: 0.0 is `0`."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _as_table(metrics: dict[str, Any]) -> str:
    rows = [
        {"metric": name, "value": f"{value:.3f}" if isinstance(value, float) else str(value)}
        for name, value in metrics.items()
        if not (isinstance(value, float) and np.isnan(value))
    ]
    return markdown_table(rows, ["metric"])


__all__ = ["judge", "note_known_subjects", "refuse_unknown_label"]
