# SPDX-License-Identifier: Apache-2.0
"""What a study is about: the recordings of a folder, the questions asked, and the settings that fit."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...corpora import Corpus
from ...corpora.windows.prepared import class_name
from ..classifiers.several_tasks import task_folders
from ..classifiers.target import class_names_of_votes
from .arguments import StudyArguments
from .lab_folder import EVENT, choose_labels, open_folder, read_facts
from .label_checks import list_warnings, refuse_copies, refuse_unlearnable
from .plan import Plan, make_plan
from .question import Question, ask

VOTED = "voted"
"""Name of the class that most experts voted for, where no label is named."""


@dataclass(frozen=True)
class Study:
    """A folder that was understood.

    Attributes:
        root: The folder.
        corpus: Of it.
        table: A row for each recording, see `read_facts`.
        questions: What is asked.
        plan: How recordings are prepared and divided.
        told: What the folder's tables and names made the corpus warn of.
        is_at_events: Whether there is a window at each event.
    """

    root: Path
    corpus: Corpus
    table: pd.DataFrame
    questions: list[Question]
    plan: Plan
    told: Sequence[str] = ()
    is_at_events: bool = False

    @property
    def readable(self) -> pd.DataFrame:
        """The recordings that can be read."""
        return self.table[self.table["problem"].isna()]

    def used(self, question: Question) -> pd.DataFrame:
        """Return the recordings that answer a question."""
        table = label_table(self.readable, question.label, question.is_regression)
        return table[table[question.label].notna()]

    def warnings(self, question: Question) -> list[str]:
        """Return what a reader must know before any result."""
        table = label_table(self.table, question.label, question.is_regression)
        return list_warnings(table, question.label, question.is_regression)

    @property
    def has_equal_recordings(self) -> bool:
        """Whether all labels are known of the same recordings, so that their folds are the same."""
        return len({tuple(self.used(question)["file"]) for question in self.questions}) == 1

    def describe(self) -> Iterator[str]:
        """Yield what was understood, line by line."""
        labels = [question.label for question in self.questions if question.label != EVENT]
        used = self.readable.dropna(subset=labels, how="all") if labels else self.readable
        length = describe_length(used["seconds"].sum())
        yield f"{len(used)} recordings of {used['subject'].nunique()} subjects, {length}"
        for question in self.questions:
            yield question.describe(self.used(question))
        for reason in self.plan.reasons:
            yield f"chosen: {reason}"
        for question in self.questions:
            for warning in self.warnings(question):
                yield f"WARNING: {warning}"


def understand(args: StudyArguments) -> Study:
    """Read the headers and the labels of a folder, and choose settings that fit all recordings.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If nothing can be learned of a label, see `refuse_unlearnable`.
    """
    root = Path(args.data_dir[0])
    corpus = open_folder(root, args.corpus_options)
    with collect_warnings() as told:
        recordings = corpus.recordings(root)
    if subjects := set(map(str, args.prepare.get("subjects") or ())):
        there = sorted({recording.subject for recording in recordings})
        recordings = [recording for recording in recordings if recording.subject in subjects]
        if unknown := sorted(subjects - set(there)):
            raise ValueError(
                f"prepare.subjects names {', '.join(unknown[:5])}: the folder has {', '.join(there[:10])}"
            )
    table = read_facts(corpus, recordings, root, args.by_event, args.events)
    if args.votes:
        table, label = with_votes(table, args)
        args.label_column = [label]
    labels = choose_labels(
        table,
        [*corpus.label_names, *args.label_column[: 1 if args.votes else 0]],
        args.label_column,
        args.by_event,
    )
    readable = table[table["problem"].isna()]
    if readable.empty:
        raise ValueError(f"none of {len(table)} recordings can be read, such as {table['problem'].iloc[0]}")
    refuse_copies(readable)
    folders = name_folders(Path(args.output_dir), labels)
    questions = [ask(readable, label, args.task, folders[label], args.votes) for label in labels]
    tables = {each: label_table(readable, each.label, each.is_regression) for each in questions}
    for question, rows in tables.items():
        refuse_unlearnable(rows, question.label, question.is_regression)
    plan = make_plan(readable, tables, args)
    return Study(root, corpus, table, questions, plan, told, args.segments == "events")


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Collect what the library warns of, which is printed all the same."""
    told: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger(__name__.partition(".")[0])
    logger.addHandler(handler)
    try:
        yield told
    finally:
        logger.removeHandler(handler)


def with_votes(table: pd.DataFrame, args: StudyArguments) -> tuple[pd.DataFrame, str]:
    """Return the table with a column of the class that most experts voted for, and its name.

    Raises:
        ValueError: If a column of votes is missing or holds no numbers.
    """
    for name in args.votes:
        if name not in table or not pd.api.types.is_numeric_dtype(table[name]):
            there = ", ".join(map(str, table.columns))
            raise ValueError(f"votes: expected a column {name!r} of numbers, the recordings have {there}")
    label = (args.label_column or [VOTED])[0]
    counts = table[args.votes].fillna(0).to_numpy(float)
    names = np.array(class_names_of_votes(args.votes), dtype=object)
    voted = np.where(counts.sum(axis=1) > 0, names[counts.argmax(axis=1)], None)
    return table.assign(**{label: voted}), label


def name_folders(output_dir: Path, labels: Sequence[str]) -> dict[str, Path]:
    """Return where the results of each label go: of several, each has a folder of its own."""
    if len(labels) == 1:
        return {labels[0]: output_dir}
    return task_folders(output_dir, labels, ("windows", "model", "together"))


def label_table(table: pd.DataFrame, label: str, is_regression: bool) -> pd.DataFrame:
    """Return a row for each recording and label: of events, one for each name that a recording has.

    Classes that are stated as numbers are called as the model calls them.
    """
    if label == EVENT:
        return table.explode(EVENT, ignore_index=True)
    if is_regression:
        return table
    return table.assign(**{label: table[label].map(class_name, na_action="ignore").astype(object)})


def describe_length(seconds: float) -> str:
    """Return a time in words: hours, or minutes of what is shorter."""
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds / 60:.1f} min"
