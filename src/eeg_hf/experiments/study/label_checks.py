# SPDX-License-Identifier: Apache-2.0
"""Whether a label can be learned from a folder, and what else tells it besides the EEG."""

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score

from .lab_folder import FACTS

STRONG = 0.5
"""Adjusted mutual information of label and fact from which a warning is given; 0 is chance, 1 the same."""


def is_number(labels: pd.Series) -> bool:
    """Return whether labels are measurements to predict rather than classes."""
    return bool(pd.api.types.is_float_dtype(labels) and labels.nunique() > 5)


def refuse_unlearnable(table: pd.DataFrame, label: str) -> None:
    """Refuse a label from which nothing can be learned.

    Raises:
        ValueError: If no recording is labelled, there is one class, one subject, or one class for each
            recording.
    """
    known = table[table[label].notna()]
    if known.empty:
        raise ValueError(f"label_column {label!r}: none of {len(table)} recordings has a label")
    classes = known[label].nunique()
    if classes == 1:
        raise ValueError(
            f"label_column {label!r} holds the single class {known[label].iloc[0]!r} in {len(known)} "
            "recordings: expected two or more"
        )
    if classes == len(known) and not pd.api.types.is_float_dtype(known[label]):
        raise ValueError(
            f"label_column {label!r} has another value for each of {len(known)} recordings: it names "
            "recordings and is no label"
        )
    if is_number(known[label]):
        raise ValueError(
            f"label_column {label!r} holds {classes} numbers, and a study compares classes: predict numbers "
            "with eeg-hf finetune --task regression, or write classes into the table"
        )
    if known["subject"].nunique() < 2:
        raise ValueError(
            f"{len(known)} labelled recordings are all of subject {known['subject'].iloc[0]!r}: a study "
            "tests on other subjects; with one, use eeg-hf finetune with a split by session or recording"
        )
    subjects = known.groupby(label)["subject"].nunique()
    if (subjects < 2).any():
        raise ValueError(
            f"class {subjects.idxmin()!r} of {label!r} has one subject: expected two or more for each class, "
            "to train on one and test on another"
        )


def list_warnings(table: pd.DataFrame, label: str) -> list[str]:
    """Return what a reader must know before any result of a folder: see `list_confounds`."""
    warnings = list_confounds(table, label)
    if (problems := table["problem"].notna().sum()) > 0:
        first = table[table["problem"].notna()].iloc[0]
        warnings.append(f"{problems} of {len(table)} recordings cannot be read, such as {first['problem']}")
    if (unknown := table[label].isna().sum()) > 0:
        warnings.append(f"{unknown} of {len(table)} recordings have no {label} and are left out")
    stems = table["file"].map(lambda name: name.rpartition("/")[2].partition(".")[0])
    if (table["subject"] == stems).all() or table["subject"].nunique() == len(table) > 2:
        warnings.append(
            "every recording counts as a subject of its own: if some are of the same person, name subjects "
            "in metadata.csv, or the result is too good"
        )
    counts = table[label].value_counts()
    if counts.max() > 4 * counts.min():
        warnings.append(
            f"classes are unequal ({', '.join(f'{name} {count}' for name, count in counts.items())} "
            "recordings): read balanced accuracy, not accuracy"
        )
    if (table.groupby("subject")[label].nunique() <= 1).all():
        warnings.append(
            f"{label} differs between subjects and never within one: whatever else differs between the "
            "groups (age, medication, amplifier) may be what is read"
        )
    return warnings


def list_confounds(table: pd.DataFrame, label: str) -> list[str]:
    """Return a warning for each fact of the recordings that tells their label.

    Args:
        table: As `read_facts` returns it.
        label: Column of the labels.
    """
    known = table[table[label].notna() & table["problem"].isna()]
    labels = known[label]
    warnings = []
    for fact in FACTS:
        if fact not in known or known[fact].nunique() < 2:
            continue
        values = known[fact].astype(str)
        if fact == "folder" and _is_named_after(values, labels):
            continue
        shared = adjusted_mutual_info_score(labels.astype(str), values)
        if shared >= STRONG:
            example = pd.crosstab(labels.astype(str), values).idxmax(axis=1)
            shown = ", ".join(f"{name}: mostly {value}" for name, value in list(example.items())[:4])
            warnings.append(
                f"{label} goes with the {fact.replace('_', ' ')} of the recordings ({shown}; adjusted mutual "
                f"information {shared:.2f}): a model may read that instead of the EEG"
            )
    return warnings


def _is_named_after(folders: pd.Series, labels: pd.Series) -> bool:
    """Return whether folders are named after the labels, which is how some laboratories state them."""
    pairs = zip(folders.str.lower(), labels.astype(str).str.lower(), strict=True)
    return bool(np.mean([label in folder.split("/") for folder, label in pairs]) > 0.9)


__all__ = ["is_number", "list_confounds", "list_warnings", "refuse_unlearnable"]
