# SPDX-License-Identifier: Apache-2.0
"""The folds of the protocols that MOABB names: within-session, cross-session and cross-subject.

* within-session: of each session, its trials in N folds; a model trains on the others of that session;
* cross-session: of each subject, each session is left out; a model trains on the subject's other sessions;
* cross-subject: each subject, or each of N groups of subjects, is left out; a model trains on all others.

As in MOABB (https://moabb.neurotechx.com) a model within a session or across sessions knows one subject only.
Unlike there, trials stay in the order of time, so that neighbours in time meet at the ends of the folds only,
and windows of one trial are never divided between parts. Where a session has too few trials, because it is
one long stretch, its windows are divided so, and training windows that overlap a tested one are left out.
"""

from collections.abc import Iterable, Iterator

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from transformers.utils import logging

from .leaks import check_disjoint
from .row_groups import find_overlaps, group_rows, read_columns, read_strings, some
from .split_contents import PROTOCOLS, Protocol
from .splits import usual_validation

logger = logging.get_logger(__name__)

NUM_TRIAL_FOLDS = 5
_TOUCHING_SECONDS = 0.01
_TIMES = ("recording", "start_seconds", "num_samples", "sampling_rate")
_APART = {"cross-subject": "subject", "cross-session": "session", "within-session": "window_id"}

Fold = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Rows that train, validate and test."""


class IndivisibleError(ValueError):
    """A subject or session that a protocol cannot divide."""


def protocol_folds(
    dataset: Dataset,
    protocol: Protocol,
    *,
    label_column: str | None = None,
    num_folds: int | None = None,
    num_validation_subjects: int | None = None,
    seed: int = 0,
) -> list[DatasetDict]:
    """Split windows into the folds of a protocol, and refuse leaks.

    Args:
        dataset: Windows with the columns subject, session, and for trials recording and start_seconds.
        protocol: "within-session", "cross-session" or "cross-subject".
        label_column: Classes, of which each fold gets its share, and of which none may be missing.
        num_folds: Of the trials of each session (default 5), of the sessions of each subject, or of all
            subjects (default: each is left out).
        num_validation_subjects: Subjects taken from training for validation, in "cross-subject". The other
            protocols take a session, or a fifth of the trials. With 0 there is no `validation`.
        seed: Seed of the choice of validation subjects and sessions; what is tested does not depend on it.

    Returns:
        `train`, `validation` and `test` of each fold, subject by subject and session by session. Those that
        cannot be divided are left out, which is logged.

    Raises:
        ValueError: If the protocol does not exist, or nothing in the dataset can be divided so.
        LeakError: If parts share data, such as identical samples.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol: expected one of {', '.join(PROTOCOLS)}, got {protocol!r}")
    labels = _Labels(dataset, label_column)
    random = np.random.default_rng(seed)
    is_validated = num_validation_subjects != 0
    if protocol == "cross-subject":
        found = _cross_subject(dataset, labels, num_folds, num_validation_subjects, random)
    elif protocol == "cross-session":
        found = _divide_each(
            "cross-session", "subject", _cross_session(dataset, labels, num_folds, is_validated, random)
        )
    else:
        found = _divide_each(
            "within-session", "session", _within_session(dataset, labels, num_folds, is_validated)
        )
    folds = [_select(dataset, rows) for rows in found]
    for parts in folds:
        check_disjoint(parts, "window_id")
        fitted = concatenate_datasets([rows for part, rows in parts.items() if part != "test"])
        check_disjoint({"train": fitted, "test": parts["test"]}, _APART[protocol])
    return folds


class _Labels:
    """The class of each row; one for all where no column is named."""

    def __init__(self, dataset: Dataset, column: str | None) -> None:
        self.codes, self.names = np.zeros(len(dataset), int), ["window"]
        if column is not None:
            self.codes, names = group_rows(dataset, column)
            self.names = names.tolist()

    def refuse_lonely(self, groups: np.ndarray, names: np.ndarray, what: str) -> None:
        """Refuse a class that a single group has: it cannot be both trained on and tested."""
        for code in np.unique(self.codes[groups >= 0]):
            having = np.unique(groups[(self.codes == code) & (groups >= 0)])
            if len(having) == 1:
                raise IndivisibleError(
                    f"class {self.names[code]!r} is in one {what} only ({names[having[0]]}): it cannot be "
                    "both trained on and tested"
                )


class _Clock:
    """When windows were recorded, and which of them are of one trial.

    Windows of one event that overlap or touch are of one trial, as are those of one recording with the same
    value in a column `trial`, where there is one. Any other window is a trial.

    Attributes:
        trials: (windows,) trial of each window as an index.
        order: (windows,) rank of each window in time.
    """

    def __init__(self, dataset: Dataset) -> None:
        number, names = len(dataset), set(dataset.column_names)
        self.recordings = np.zeros(number, int)
        self.starts, self.ends = np.arange(number, dtype=float), np.arange(number) + 1.0
        if set(_TIMES) <= names:
            self.recordings, _ = group_rows(dataset, "recording")
            table = read_columns(dataset, _TIMES[1:])
            starts, lengths, rates = (table.column(name).to_numpy().astype(float) for name in _TIMES[1:])
            self.starts, self.ends = starts, starts + lengths / rates
        self.order = np.lexsort((self.starts, self.recordings)).argsort()
        edges = [*self._of_events(dataset), *self._of_column(dataset)]
        before, after = np.concatenate([np.zeros((2, 0), int), *edges], axis=1)
        graph = coo_array((np.ones(len(before), bool), (before, after)), shape=(number, number))
        self.trials = connected_components(graph, directed=False)[1]

    def _of_events(self, dataset: Dataset) -> Iterator[np.ndarray]:
        """Yield pairs (2, pairs) of windows of one event that overlap or touch."""
        if "event" in dataset.column_names:
            seconds = self.ends - self.starts + _TOUCHING_SECONDS
            pairs = np.stack(find_overlaps(self.recordings, self.starts, seconds))
            events = np.array(read_strings(dataset, ["event"]).column(0).to_pylist(), object)[pairs]
            yield pairs[:, [a is not None and a == b for a, b in events.T]]

    def _of_column(self, dataset: Dataset) -> Iterator[np.ndarray]:
        """Yield pairs (2, pairs) of windows with one value in the column `trial`."""
        if "trial" in dataset.column_names:
            codes, _ = group_rows(dataset, "trial", qualified=False)
            keys = np.stack([self.recordings, codes])
            _, first, owners = np.unique(keys, axis=1, return_index=True, return_inverse=True)
            yield np.stack([np.arange(len(dataset)), first[owners.ravel()]])

    def apart(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Return those of some rows that overlap none of the others in time."""
        overlaps = (
            (self.recordings[rows][:, None] == self.recordings[others])
            & (self.starts[rows][:, None] < self.ends[others] - 1e-6)
            & (self.ends[rows][:, None] > self.starts[others] + 1e-6)
        )
        return rows[~overlaps.any(axis=1)]


def _cross_subject(
    dataset: Dataset,
    labels: _Labels,
    num_folds: int | None,
    num_validation: int | None,
    random: np.random.Generator,
) -> list[Fold]:
    """Return the folds over all subjects."""
    codes, names = group_rows(dataset, "subject")
    if len(names) < 2:
        raise ValueError(
            f"cross-subject: expected two or more subjects, got one ({names[0]}): within-session tests new "
            "trials of one subject"
        )
    try:
        labels.refuse_lonely(codes, names, "subject")
        tests = [*_leave_out(codes, labels.codes, num_folds, "subjects")]
    except IndivisibleError as reason:
        raise ValueError(f"cross-subject: {reason}") from None
    folds = []
    for test in tests:
        others = np.setdiff1d(codes, codes[test])
        number = usual_validation(len(others)) if num_validation is None else num_validation
        if number >= len(others):
            raise ValueError(
                f"cross-subject: {number} validation subjects leave none to train on: {len(others)} "
                "are not tested; lower num_validation_subjects"
            )
        is_validation = np.isin(codes, random.choice(others, number, replace=False))
        is_test = np.isin(np.arange(len(codes)), test)
        folds.append((np.flatnonzero(~is_test & ~is_validation), np.flatnonzero(is_validation), test))
    return folds


def _cross_session(
    dataset: Dataset, labels: _Labels, num_folds: int | None, is_validated: bool, random: np.random.Generator
) -> "Iterator[tuple[str, list[Fold] | IndivisibleError]]":
    """Yield the folds of each subject over its sessions, or why it has none."""
    subjects, names = group_rows(dataset, "subject")
    sessions, session_names = group_rows(dataset, "session")
    clock = _Clock(dataset)
    for subject, name in enumerate(names):
        rows = np.flatnonzero(subjects == subject)
        own = np.where(subjects == subject, sessions, -1)
        try:
            if len(np.unique(sessions[rows])) < 2:
                raise IndivisibleError("one session")
            labels.refuse_lonely(own, session_names, "session")
            folds = []
            for at in _leave_out(sessions[rows], labels.codes[rows], num_folds, "sessions"):
                rest, left = np.delete(rows, at), np.unique(np.delete(sessions[rows], at))
                if is_validated and len(left) > 1:
                    is_validation = sessions[rest] == random.choice(left)
                    folds.append((rest[~is_validation], rest[is_validation], rows[at]))
                else:
                    folds.append((*_take_validation(rest, clock, labels, is_validated), rows[at]))
            yield name, folds
        except IndivisibleError as reason:
            yield name, reason


def _within_session(
    dataset: Dataset, labels: _Labels, num_folds: int | None, is_validated: bool
) -> "Iterator[tuple[str, list[Fold] | IndivisibleError]]":
    """Yield the folds of each session over its trials, or why it has none."""
    sessions, names = group_rows(dataset, "session")
    clock = _Clock(dataset)
    for session, name in enumerate(names):
        rows = np.flatnonzero(sessions == session)
        try:
            folds = []
            for test in _trial_folds(rows, clock, labels, num_folds or NUM_TRIAL_FOLDS):
                rest = clock.apart(np.setdiff1d(rows, test), test)
                folds.append((*_take_validation(rest, clock, labels, is_validated), test))
            yield name, folds
        except IndivisibleError as reason:
            yield name, reason


def _divide_each(
    protocol: str, group: str, found: "Iterable[tuple[str, list[Fold] | IndivisibleError]]"
) -> list[Fold]:
    """Return the folds of all groups; log which have none, and refuse where none has any."""
    folds: list[Fold] = []
    reasons: list[str] = []
    number = 0
    for name, each in found:
        number += 1
        if isinstance(each, IndivisibleError):
            reasons.append(f"{name}: {each}")
        else:
            folds += each
    if not folds:
        raise ValueError(
            f"{protocol}: none of {number} {group}s can be divided so ({some(reasons, 3)}): choose another "
            "number of folds or another protocol"
        )
    if reasons:
        logger.warning(f"{protocol}: {len(reasons)} of {number} {group}s are left out: {some(reasons, 3)}")
    return folds


def _leave_out(
    groups: np.ndarray, labels: np.ndarray, num_folds: int | None, what: str
) -> Iterator[np.ndarray]:
    """Yield the rows that each fold tests: one group, or a share of them with its share of each class."""
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold

    number = len(np.unique(groups))
    if num_folds is not None and not 2 <= num_folds <= number:
        raise IndivisibleError(f"{num_folds} folds need 2 or more, and as many {what}: there are {number}")
    divide = LeaveOneGroupOut() if num_folds in (None, number) else StratifiedGroupKFold(num_folds)
    for _, test in divide.split(labels, labels, groups):
        yield test


def _trial_folds(rows: np.ndarray, clock: _Clock, labels: _Labels, num_folds: int) -> Iterator[np.ndarray]:
    """Yield the rows that each fold tests: whole trials in the order of time, with a share of each class.

    Where a class has fewer trials than there are folds, windows are divided in their place.
    """
    from sklearn.model_selection import StratifiedKFold

    rows = rows[np.argsort(clock.order[rows])]
    present = np.unique(labels.codes[rows])
    if len(labels.names) > 1 and len(present) < 2:
        raise IndivisibleError(f"{labels.names[present[0]]!r} is its only class")
    for units in (clock.trials[rows], np.arange(len(rows))):
        _, first, owners = np.unique(units, return_index=True, return_inverse=True)
        kinds = labels.codes[rows[first]]
        counts = np.bincount(kinds, minlength=len(labels.names))[present]
        if 2 <= num_folds <= counts.min():
            in_time = np.argsort(first)
            for _, test in StratifiedKFold(num_folds).split(in_time, kinds[in_time]):
                yield rows[np.isin(owners, in_time[test])]
            return
    raise IndivisibleError(
        f"{num_folds} folds need 2 or more, and as many windows of each class: there are {counts.min()} of "
        f"{labels.names[present[counts.argmin()]]!r}"
    )


def _take_validation(
    rows: np.ndarray, clock: _Clock, labels: _Labels, is_validated: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Divide rows into those that train and a fifth (of few trials up to a half) that validates."""
    if not is_validated:
        return rows, rows[:0]
    codes, trials = labels.codes[rows], clock.trials[rows]
    fewest = min(len(np.unique(trials[codes == code])) for code in np.unique(codes))
    *_, validation = _trial_folds(rows, clock, labels, max(2, min(NUM_TRIAL_FOLDS, fewest)))
    return clock.apart(np.setdiff1d(rows, validation), validation), validation


def _select(dataset: Dataset, fold: Fold) -> DatasetDict:
    """Select the rows of each part, in their original order; an empty part is left out."""
    parts = zip(("train", "validation", "test"), fold, strict=True)
    return DatasetDict({name: dataset.select(np.sort(rows)) for name, rows in parts if len(rows)})
