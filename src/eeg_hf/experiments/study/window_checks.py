# SPDX-License-Identifier: Apache-2.0
"""What is left of a label once recordings are windows: found before anything is trained."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ...corpora import load_windows
from ...corpora.windows.card import REPORT
from ...corpora.windows.row_groups import read_columns
from ..classifiers.target import load_target
from .plan import count_folds
from .question import Question
from .understanding import Study, label_table


def check_windows(folder: Path, study: Study) -> Study:
    """Return the study with no more folds than the windows allow.

    Args:
        folder: The prepared windows.
        study: What was understood of the recordings.

    Raises:
        ValueError: If a class lost all its windows, or all but those of one subject.
    """
    reports = [json.loads(line) for line in (folder / REPORT).read_text(encoding="utf-8").splitlines()]
    possible = {}
    for question in study.questions:
        left = labels_of_windows(folder, question)
        refuse_lost(study.used(question), left, question, reports)
        possible[question.label] = count_folds(left, question)
    label = min(possible, key=lambda name: possible[name])
    if possible[label] >= study.plan.folds:
        return study
    reason = f"{possible[label]} folds, because recordings of {label} without a window leave no more subjects"
    reasons = (*study.plan.reasons, reason)
    return replace(study, plan=replace(study.plan, folds=possible[label], reasons=reasons))


def labels_of_windows(folder: Path, question: Question) -> pd.DataFrame:
    """Return the subject and the label of each labelled window."""
    label = question.label
    rows = load_target(str(folder), label, False, None, question.votes)[0] if question.votes else None
    table = read_columns(rows or load_windows(folder), ["subject", label]).to_pandas()
    return label_table(table[table[label].notna()], label, question.is_regression)


def refuse_lost(used: pd.DataFrame, left: pd.DataFrame, question: Question, reports: list[dict]) -> None:
    """Refuse labels of whose recordings too little is left.

    Args:
        used: A row for each recording and label.
        left: A row for each window, with its subject and label.
        question: What is asked.
        reports: What the preparation says of each recording.

    Raises:
        ValueError: If a class, or all numbers together, have windows of fewer than two subjects, or the
            numbers that are left are equal.
    """
    label = question.label
    if question.is_regression:
        groups = [(f"label_column {label!r}", used, left)]
    else:
        groups = [
            (f"class {name!r} of {label!r}", rows, left[left[label] == name])
            for name, rows in used.groupby(label)
        ]
    for name, recordings, windows in groups:
        subjects = windows["subject"].nunique()
        if subjects >= 2 and not (question.is_regression and windows[label].nunique() < 2):
            continue
        have = {0: "no subject", 1: "one subject"}.get(subjects, "subjects with the same number")
        raise ValueError(
            f"{name} is left with windows of {have} in {len(recordings)} recordings: "
            f"{_why(set(recordings['file']), reports)}; mend that, such as by --window_seconds, or empty the "
            "cells of this label to go on without it"
        )


def _why(files: set[str], reports: list[dict]) -> str:
    """Return in words why recordings have no windows."""
    about = [each for each in reports if each["path"] in files]
    reasons = Counter(each["reason"] for each in about if not each["num_windows"])
    if reasons:
        reason, number = reasons.most_common(1)[0]
        return f"{number} of them gave none, {reason}"
    dropped = sum((Counter(each["dropped"]) for each in about), Counter[str]())
    return "windows were dropped, " + ", ".join(f"{number} {why}" for why, number in dropped.items())
