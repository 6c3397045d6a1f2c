# SPDX-License-Identifier: Apache-2.0
"""What a study asks of the EEG: which class a recording is of, or which number."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from ...corpora.windows.prepared import MAX_NUMBERED_CLASSES
from ..classifiers.arguments import CLASSICAL, EVOKED, OF_NUMBERS

OURS = "eeg_foundation"
Task = Literal["auto", "classification", "regression"]
_MOST_NUMBERED_CLASSES = 6
"""Whole numbers of more values are measurements; of fewer, codes of classes."""
_MOST_GROUPS = 3


@dataclass(frozen=True)
class Question:
    """A label to predict.

    Attributes:
        label: Its column.
        is_regression: Whether it is a number to predict rather than classes.
        folder: Where its results go.
        votes: Columns of several experts' votes for each class, if those are learned.
    """

    label: str
    is_regression: bool
    folder: Path
    votes: tuple[str, ...] = ()

    def candidates(self, are_evoked: bool) -> tuple[str, ...]:
        """Return the methods that a model is chosen from.

        Args:
            are_evoked: Whether windows are locked to events.
        """
        if self.votes:  # the others learn the class with most of them
            return (OURS,)
        if self.is_regression:
            return (OURS, *OF_NUMBERS)
        return (OURS, *[name for name in CLASSICAL if are_evoked or name not in EVOKED])

    def describe(self, table: pd.DataFrame) -> str:
        """Return in a line what the recordings hold of the label."""
        known = table[self.label].dropna()
        if not self.is_regression:
            return f"{self.label}: " + ", ".join(f"{name} {n}" for name, n in known.value_counts().items())
        return (
            f"{self.label}: numbers from {known.min():g} to {known.max():g}, mean {known.mean():.4g}: a "
            "regression (--task classification takes them as classes)"
        )


def is_number(labels: pd.Series) -> bool:
    """Return whether labels are measurements to predict rather than classes."""
    known = labels.dropna()
    if not pd.api.types.is_numeric_dtype(known) or pd.api.types.is_bool_dtype(known):
        return False
    is_whole = bool((known.astype(float) % 1 == 0).all())
    if not is_whole and known.is_unique:
        return True
    return bool(known.nunique() > (_MOST_NUMBERED_CLASSES if is_whole else _MOST_NUMBERED_CLASSES - 1))


def ask(table: pd.DataFrame, label: str, task: Task, folder: Path, votes: Sequence[str] = ()) -> Question:
    """Return the question of a label.

    Args:
        table: As `read_facts` returns it.
        label: Its column.
        task: Whether labels are classes or numbers; `auto` looks at them.
        folder: Where its results go.
        votes: Columns of votes for each class.

    Raises:
        ValueError: If a regression is asked of words, words are among numbers, or numbers are too many to be
            classes.
    """
    is_regression = is_number(table[label]) if task == "auto" else task == "regression"
    is_numeric = pd.api.types.is_numeric_dtype(table[label])
    if task != "classification" and (words := words_among_numbers(table[label])):
        raise ValueError(
            f"label_column {label!r} holds numbers but for {', '.join(map(repr, words[:5]))}: leave these "
            "cells empty, or set --task classification"
        )
    if is_regression and not is_numeric:
        example = table[label].dropna().iloc[0]
        raise ValueError(f"task: a regression needs numbers, {label!r} holds {example!r}")
    if not is_regression and is_numeric and table[label].nunique() > MAX_NUMBERED_CLASSES:
        raise ValueError(
            f"label_column {label!r} holds {table[label].nunique()} different numbers, too many for classes: "
            "name the classes by words, or leave out --task classification"
        )
    return Question(label, is_regression, folder, tuple(votes))


def words_among_numbers(labels: pd.Series) -> list[str]:
    """Return the words that keep a column of measurements from being one, such as `unknown` among ages."""
    known = labels.dropna()
    if pd.api.types.is_numeric_dtype(known):
        return []
    numbers = pd.to_numeric(known.astype(str), errors="coerce")
    is_word = numbers.isna()
    if is_word.mean() > 0.5 or not is_number(numbers.dropna()):
        return []
    return sorted(set(known[is_word].astype(str)))


def name_groups(
    values: np.ndarray | pd.Series, recordings: np.ndarray | pd.Series | None = None
) -> np.ndarray:
    """Return the third of the numbers that each is in, by names of its ends: `20 to 34`.

    Args:
        values: (rows,) numbers.
        recordings: (rows,) of which recording each is; each counts once, so that windows are grouped as their
            recordings are. Default: every row is one.
    """
    numbers = pd.Series(np.asarray(values, float))
    places = numbers.index if recordings is None else np.asarray(recordings)
    once = numbers.groupby([places, numbers]).first()
    edges = once.quantile(np.linspace(0, 1, _MOST_GROUPS + 1)[1:-1], interpolation="nearest").unique()
    if numbers.nunique() > 1 and numbers.min() == edges[-1]:  # most are equal
        edges = [numbers[numbers > numbers.min()].min()]
    groups = numbers.groupby(np.searchsorted(edges, numbers, side="right"))
    ends = zip(groups.transform("min"), groups.transform("max"), strict=True)
    return np.array([f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}" for low, high in ends])
