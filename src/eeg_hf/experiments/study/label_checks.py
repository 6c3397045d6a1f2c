# SPDX-License-Identifier: Apache-2.0
"""Whether a label can be learned from a folder, and what else tells it besides the EEG."""

import re

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_mutual_info_score

from ...corpora.look_alikes import describe_look_alikes
from .lab_folder import FACTS
from .question import name_groups

_OF_RECORDING = re.compile(
    r"amplif|verst\w+rker|device|ger(ä|ae)t|system|hardware|headset|machine|\b(cap|site|lab|room|raum|day|tag)\b|"
    r"(\b|_)date|datum|recording.?year|operator|experimenter",
    re.IGNORECASE,
)
"""Names of a table's columns that say how, where or when something was recorded."""
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}\b.*|\d{1,2}[./]\d{1,2}[./](\d{4}|\d{2})\b.*")
_STATED_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?\s*[^\W\d]+\.?")  # 20 y
STRONG = 0.5
"""Adjusted mutual information of label and fact from which a warning is given; 0 is chance, 1 the same."""


def refuse_unlearnable(table: pd.DataFrame, label: str, is_regression: bool = False) -> None:
    """Refuse a label from which nothing can be learned.

    Args:
        table: As `read_facts` returns it, recordings that can be read.
        label: Column of the labels.
        is_regression: Whether they are numbers to predict.

    Raises:
        ValueError: If no recording is labelled, there is one class or number, one subject, or one class for
            each recording.
    """
    known = table[table[label].notna()]
    if known.empty:
        raise ValueError(f"label_column {label!r}: none of {len(table)} recordings has a label")
    if known[label].nunique() == 1:
        only = f"number {known[label].iloc[0]:g}" if is_regression else f"class {known[label].iloc[0]!r}"
        raise ValueError(
            f"label_column {label!r} holds the single {only} in {len(known)} recordings: expected two or more"
        )
    if known["subject"].nunique() < 2:
        raise ValueError(
            f"{len(known)} labelled recordings are all of subject {known['subject'].iloc[0]!r}: a study "
            "tests on other subjects; with one, use eeg-hf finetune with a split by session or recording"
        )
    if _names_recordings(known[label], is_regression):
        has_units = not is_regression and all(map(_STATED_NUMBER.fullmatch, map(str, known[label])))
        example = known[label].iloc[0]
        hint = f"; if it is a number, write it without words, not {example!r}" if has_units else ""
        raise ValueError(
            f"label_column {label!r} has another value for each of {len(known)} recordings: it names "
            f"recordings and is no label{hint}"
        )
    if not is_regression:
        _refuse_rare_classes(known, label)


def refuse_copies(table: pd.DataFrame) -> None:
    """Refuse one recording as two subjects': tested on what it was trained on, any model is right.

    Args:
        table: As `read_facts` returns it, recordings that can be read.
    """
    for _, copies in table.groupby("samples"):
        different = copies.drop_duplicates("subject")
        if len(different) > 1:
            first, last = different.iloc[0], different.iloc[1]
            raise ValueError(
                f"{first['file']} of subject {first['subject']!r} and {last['file']} of {last['subject']!r} "
                "hold the same samples: leave the copy out of the folder, or name the same subject"
            )


def _names_recordings(labels: pd.Series, is_regression: bool) -> bool:
    """Return whether every recording has a label of its own: words, or numbers counted from 0 or 1."""
    if labels.nunique() < len(labels):
        return False
    if not is_regression:
        return True
    first = labels.min()
    return first in (0, 1) and sorted(labels) == list(range(int(first), int(first) + len(labels)))


def _refuse_rare_classes(known: pd.DataFrame, label: str) -> None:
    """Refuse classes of one subject."""
    subjects = known.groupby(label)["subject"].nunique()
    if (subjects >= 2).all():
        return
    alike = describe_look_alikes(known[label].unique())
    are_numbers = pd.to_numeric(known[label], errors="coerce").notna().all() and len(subjects) > 2
    hints = [
        f"are {alike} one class? Then write it in one way" if alike else "",
        "--task regression takes them as numbers" if are_numbers else "",
        "leave its cells empty to go on without it",
    ]
    raise ValueError(
        f"class {subjects.idxmin()!r} of {label!r} has one subject: expected two or more for each class, "
        f"to train on one and test on another; {next(filter(None, hints))}"
    )


def list_warnings(table: pd.DataFrame, label: str, is_regression: bool = False) -> list[str]:
    """Return what a reader must know before any result of a folder: see `list_confounds`."""
    warnings = list_confounds(table, label, is_regression)
    files = table.drop_duplicates("file")  # a recording with several events has a row for each
    is_broken = files["problem"].notna()
    if is_broken.any():
        first = files[is_broken].iloc[0]
        warnings.append(
            f"{is_broken.sum()} of {len(files)} recordings cannot be read, such as {first['problem']}"
        )
    if (unknown := (files[label].isna() & ~is_broken).sum()) > 0:
        warnings.append(f"{unknown} of {len(files)} recordings have no {label} and are left out")
    stems = files["file"].map(lambda name: name.rpartition("/")[2].partition(".")[0])
    if (files["subject"] == stems).all() or files["subject"].nunique() == len(files) > 2:
        warnings.append(
            "every recording counts as a subject of its own: if some are of the same person, name subjects "
            "in metadata.csv, or the result is too good"
        )
    copies = files[files.duplicated("samples", keep=False) & files["samples"].notna()]
    if len(copies):
        warnings.append(
            f"{len(copies)} recordings hold the same samples, such as {', '.join(copies['file'][:2])}"
        )
    counts = table[label].value_counts()
    if not is_regression and counts.max() > 4 * counts.min():
        warnings.append(
            f"classes are unequal ({', '.join(f'{name} {count}' for name, count in counts.items())} "
            "recordings): read balanced accuracy, not accuracy"
        )
    if (table.groupby("subject")[label].nunique() <= 1).all():
        others = "medication, amplifier" if label.lower() == "age" else "age, medication, amplifier"
        warnings.append(
            f"{label} differs between subjects and never within one: whatever else differs between the "
            f"groups ({others}) may be what is read"
        )
    return warnings


def list_confounds(table: pd.DataFrame, label: str, is_regression: bool = False) -> list[str]:
    """Return a warning for each fact of the recordings that tells their label.

    Args:
        table: As `read_facts` returns it.
        label: Column of the labels.
        is_regression: Whether they are numbers, whose variance is looked at.
    """
    known = table[table[label].notna() & table["problem"].isna()]
    labels = known[label]
    name = "share of variance" if is_regression else "adjusted mutual information"
    measure = _share_explained if is_regression else _shared
    warnings = []
    dated = [name for name in known.columns if name != label and _holds_dates(known[name])]
    told = [str(name) for name in known.columns if _OF_RECORDING.search(str(name)) and name != label]
    for fact in dict.fromkeys((*FACTS, *told, *dated)):
        if fact not in known or known[fact].nunique() < 2:
            continue
        values = known[fact].astype(str)
        if fact in dated and values.nunique() > len(values) / 2:
            values = _periods(values, 3 if is_regression else labels.nunique())
        is_of_subject = known.groupby(fact)["subject"].nunique().max() == 1
        if fact == "folder" and (is_of_subject or _is_named_after(values, labels)):
            continue
        shared = measure(labels, values)
        if shared >= STRONG:
            groups = name_groups(labels) if is_regression else labels.astype(str)
            example = pd.crosstab(groups, values).idxmax(axis=1)
            shown = ", ".join(f"{each}: mostly {value}" for each, value in list(example.items())[:4])
            warnings.append(
                f"{label} goes with the {fact.replace('_', ' ')} of the recordings ({shown}; {name} "
                f"{shared:.2f}): a model may read that instead of the EEG"
            )
    return warnings


def _holds_dates(values: pd.Series) -> bool:
    """Return whether a column says on which day something was recorded."""
    known = values.dropna()
    return len(known) > 0 and all(isinstance(cell, str) and _DATE.fullmatch(cell) for cell in known)


def _periods(days: pd.Series, number: int) -> pd.Series:
    """Return the period that each day is in, of equally many: hardly two recordings are of the same day."""
    is_iso = days.str.match(r"\d{4}-").any()
    dates = pd.to_datetime(days, format="mixed", dayfirst=not is_iso, errors="coerce")
    places = np.ceil(dates.rank(method="first") / dates.notna().sum() * number)
    return "from " + dates.groupby(places).transform("min").dt.date.astype(str)


def _shared(labels: pd.Series, values: pd.Series) -> float:
    """Return how much a fact tells of classes: 0 is chance, 1 all."""
    return float(adjusted_mutual_info_score(labels.astype(str), values))


def _share_explained(numbers: pd.Series, values: pd.Series) -> float:
    """Return the share of the variance of numbers that a fact explains, less what chance does."""
    groups, number = values.nunique(), len(values)
    if groups > number / 2:
        return 0.0
    rest = ((numbers - numbers.groupby(values).transform("mean")) ** 2).sum() / (number - groups)
    return float(1 - rest / numbers.var())


def _is_named_after(folders: pd.Series, labels: pd.Series) -> bool:
    """Return whether folders are named after the labels, which is how some laboratories state them."""
    pairs = zip(folders.str.lower(), labels.astype(str).str.lower(), strict=True)
    return bool(np.mean([label in folder.split("/") for folder, label in pairs]) > 0.9)
