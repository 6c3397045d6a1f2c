# SPDX-License-Identifier: Apache-2.0
"""Splits by person, session or any other column, and the refusal of splits that leak.

Two windows of one person resemble each other more than two windows of one class do, so a random split of
windows measures how well people are recognised. Every split here keeps a person (or a session, a release, a
concept, …) in one part; `check_disjoint` refuses any other, and also the same recording, or the same samples,
turning up in two parts.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict
from transformers.utils import logging

logger = logging.get_logger(__name__)

PARTS: tuple[str, ...] = ("train", "validation", "test")
# What a column's values are unique within: subject 01 of one corpus is not subject 01 of another
_WITHIN: dict[str, tuple[str, ...]] = {
    "subject": ("corpus",),
    "recording": ("corpus",),
    "session": ("corpus", "subject"),
    "run": ("corpus", "subject", "session"),
}
# Columns that no recording holds two values of; others, such as a concept, change from window to window
_OF_RECORDINGS = frozenset({*_WITHIN, "release", "release_number", "patient", "patient_id"})
_SHOWN = 5


class LeakError(ValueError):
    """Two parts of a split share a subject, a recording or identical samples."""


def official_split(dataset: Dataset, parts: Mapping[str, Sequence[str]] | None) -> DatasetDict:
    """Split by lists of subjects, such as a corpus's `official_split`.

    Args:
        dataset: Windows with a column `subject`.
        parts: Part -> its subjects. Subjects of no part are left out, which is logged.

    Returns:
        One dataset a part, rows in their old order.

    Raises:
        LeakError: If a subject is named in two parts.
        ValueError: If there are no parts, or none of a part's subjects is in the dataset.
    """
    if not parts:
        raise ValueError("this corpus has no official split: use split_by_subject or subject_folds")
    _refuse_shared({name: set(subjects) for name, subjects in parts.items()}, "subjects")
    codes, names = _groups(dataset, "subject", qualified=False)
    empty = [name for name, subjects in parts.items() if not set(subjects) & set(names)]
    if empty:
        raise ValueError(f"no subject of part {empty[0]!r} is in the dataset, which has {_some(names)}")
    unused = sorted(set(names) - {subject for subjects in parts.values() for subject in subjects})
    if unused:
        logger.warning(
            f"{len(unused)} subjects are in no part of the official split and left out: {_some(unused)}"
        )
    members = {name: np.isin(names, list(subjects)) for name, subjects in parts.items()}
    return _select(dataset, codes, members)


def split_as_marked(dataset: Dataset, column: str) -> DatasetDict:
    """Split by a column that says `train`, `validation` or `test`, such as `official_split_column`.

    Args:
        dataset: Windows.
        column: Name of the column.

    Returns:
        The parts that are there, rows in their old order.

    Raises:
        ValueError: If the column is missing, has gaps, or holds anything else.
    """
    codes, names = _groups(dataset, column, qualified=False)
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        raise ValueError(f"column {column!r} must hold train, validation or test, it holds {_some(unknown)}")
    return _select(dataset, codes, {part: names == part for part in PARTS if part in names})


def split_by(
    dataset: Dataset, column: str = "subject", fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> DatasetDict:
    """Split at random into train, validation and test, each value of a column in one part.

    Args:
        dataset: Windows with that column; where several corpora are mixed, also `corpus`, since subjects,
            sessions, runs and recordings of two corpora may have one name.
        column: `subject`, `session`, `recording`, or any label, such as a release or a concept.
        fractions: Share of the values (not of the windows) in each part; a part with a share gets at least
            one.
        seed: The same seed gives the same split, whatever the order of the rows.

    Returns:
        `train`, `validation` and `test`, rows in their old order; a part with share 0 is left out.

    Raises:
        ValueError: If the fractions do not add up to 1, there are fewer values than parts, or rows have none.

    Example:
        >>> rows = Dataset.from_dict({"concept": ["cat", "dog", "cat", "eel"]})
        >>> {part: rows["concept"][:] for part, rows in split_by(rows, "concept", (0.4, 0.3, 0.3)).items()}
        {'train': ['eel'], 'validation': ['cat', 'cat'], 'test': ['dog']}
    """
    if len(fractions) != len(PARTS) or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"expected three fractions that add up to 1 (train, validation, test), got {tuple(fractions)}"
        )
    codes, names = _groups(dataset, column)
    wanted = [(part, fraction) for part, fraction in zip(PARTS, fractions, strict=True) if fraction > 0]
    if len(names) < len(wanted):
        raise ValueError(
            f"{len(wanted)} parts need as many {_plural(column)} or more, the dataset has {len(names)}: "
            f"{_some(names)}; fractions=(0.8, 0, 0.2) makes two parts"
        )
    counts = [max(1, round(fraction * len(names))) for _, fraction in wanted]
    while sum(counts) != len(names):  # rounding: take from or give to the largest part
        counts[int(np.argmax(counts))] += 1 if sum(counts) < len(names) else -1
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = np.split(order, np.cumsum(counts)[:-1])
    members = {
        part: np.isin(np.arange(len(names)), ids) for (part, _), ids in zip(wanted, chosen, strict=True)
    }
    return _select(dataset, codes, members)


def split_by_subject(
    dataset: Dataset, fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> DatasetDict:
    """Split at random, each subject in one part: `split_by` of the column `subject`."""
    return split_by(dataset, "subject", fractions, seed)


def folds(
    dataset: Dataset, num_folds: int = 5, num_validation: int = 4, seed: int = 0, column: str = "subject"
) -> list[DatasetDict]:
    """Cross-validate: each value of a column is tested in exactly one fold.

    The test parts are those of scikit-learn's `GroupKFold(num_folds)` with the values as groups, so that
    results can be compared with anything that used it. The validation values of a fold are drawn from the
    others.

    Args:
        dataset: Windows with that column.
        num_folds: Number of folds.
        num_validation: Values taken from the training part of each fold; 0 leaves `validation` out.
        seed: Decides which values validate, not which are tested.
        column: As in `split_by`.

    Returns:
        One `train`, `validation`, `test` a fold.

    Raises:
        ValueError: If there are too few values, or rows without one.
    """
    from sklearn.model_selection import GroupKFold

    codes, names = _groups(dataset, column)
    if len(names) < max(2, num_folds) or num_folds < 2:
        raise ValueError(
            f"{num_folds} folds need 2 or more, and as many {_plural(column)}; the dataset has {len(names)}"
        )
    found = []
    for fold, (_, test_rows) in enumerate(GroupKFold(num_folds).split(codes, groups=codes)):
        is_test = np.isin(np.arange(len(names)), codes[test_rows])
        others = np.flatnonzero(~is_test)
        if num_validation >= len(others):
            raise ValueError(
                f"{num_validation} validation {_plural(column)} leave none to train on: fold {fold} has "
                f"{len(others)} that are not tested"
            )
        chosen = np.random.default_rng([seed, fold]).choice(others, num_validation, replace=False)
        is_validation = np.isin(np.arange(len(names)), chosen)
        members = {"train": ~is_test & ~is_validation, "validation": is_validation, "test": is_test}
        found.append(
            _select(dataset, codes, {part: member for part, member in members.items() if member.any()})
        )
    return found


def subject_folds(
    dataset: Dataset, num_folds: int = 5, num_validation_subjects: int = 4, seed: int = 0
) -> list[DatasetDict]:
    """Cross-validate by subject: `folds` of the column `subject`."""
    return folds(dataset, num_folds, num_validation_subjects, seed)


def take_validation(splits: DatasetDict, fraction: float = 0.1, seed: int = 0) -> DatasetDict:
    """Give a split without a validation part some of the training subjects for one.

    Args:
        splits: With `train`; returned as it is where it has `validation`, or too few subjects to spare one.
        fraction: Share of the training subjects, at least one.
        seed: Decides which.
    """
    if "validation" in splits or "train" not in splits:
        return splits
    codes, names = _groups(splits["train"], "subject")
    if len(names) < 2:
        logger.warning("the official split has no validation part, and training no subject to spare for one")
        return splits
    number = max(1, round(fraction * len(names)))
    is_taken = np.isin(np.arange(len(names)), np.random.default_rng(seed).permutation(len(names))[:number])
    logger.warning(
        f"the official split has no validation part: {number} of its {len(names)} training subjects become "
        f"one (seed {seed}): {_some(names[is_taken])}"
    )
    train = _select(splits["train"], codes, {"train": ~is_taken, "validation": is_taken})
    return DatasetDict({**train, **{part: rows for part, rows in splits.items() if part != "train"}})


def check_disjoint(splits: Mapping[str, Dataset], by: str = "subject") -> None:
    """Refuse a split whose parts share what it is by, a recording or window, or identical samples.

    A split by concept shares people and recordings by its nature; there only windows must differ, and windows
    that overlap in time are warned of. Identical samples are found by the column `signal_hash`, which leaves
    the amplitude out: a copy of a recording in another unit counts as the same.

    Args:
        splits: Part -> windows, for example a `DatasetDict`.
        by: Column that the parts must not share a value of.

    Raises:
        LeakError: Naming what is shared, and by which parts.
        ValueError: If a part has no such column.
    """
    _refuse_shared({part: set(_groups(rows, by)[1].tolist()) for part, rows in splits.items()}, _plural(by))
    whole = "recording" if by in _OF_RECORDINGS else "window_id"
    for column, what in ((whole, _plural(whole)), ("signal_hash", "windows with identical samples, hash")):
        if all(column in rows.column_names for rows in splits.values()):
            _refuse_shared({part: _distinct(rows, column) for part, rows in splits.items()}, what)
    overlapping = 0 if by in _OF_RECORDINGS else _count_overlapping(splits)
    if overlapping:
        logger.warning(
            f"{overlapping} windows overlap one of another part in the same recording: a split by {by!r} "
            "does not keep their samples apart"
        )


def _count_overlapping(splits: Mapping[str, Dataset]) -> int:
    """Count windows that begin before the one before them ends, in one recording but in another part."""
    needed = ("recording", "start_seconds", "num_samples", "sampling_rate")
    if not all(set(needed) <= set(rows.column_names) for rows in splits.values()):
        return 0
    parts = np.repeat(np.arange(len(splits)), [len(rows) for rows in splits.values()])
    names = pa.concat_arrays([_qualified(rows, "recording") for rows in splits.values()])
    recordings = names.dictionary_encode().indices.to_numpy()
    tables = [read_columns(rows, needed[1:]) for rows in splits.values()]
    start, length, rate = (
        np.concatenate([table.column(name).to_numpy() for table in tables]).astype(np.float64)
        for name in needed[1:]
    )
    order = np.lexsort((start, recordings))
    end = start + length / rate
    before, after = order[:-1], order[1:]
    is_other = (recordings[after] == recordings[before]) & (parts[after] != parts[before])
    return int((is_other & (start[after] < end[before] - 1e-6)).sum())


def _groups(dataset: Dataset, column: str, qualified: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's value of a column as an index (rows,), and the names: `corpus/subject`."""
    if column not in dataset.column_names:
        raise ValueError(
            f"splitting by {column} needs a column {column!r}, the dataset has {sorted(dataset.column_names)}"
        )
    values = _qualified(dataset, column) if qualified else _strings(dataset, [column]).column(0)
    if values.null_count:
        raise ValueError(
            f"{values.null_count} of {len(values)} rows have no {column}: drop them before splitting"
        )
    encoded = values.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    names, codes = np.unique(np.array(encoded.dictionary.to_pylist(), dtype=str), return_inverse=True)
    return codes[encoded.indices.to_numpy(zero_copy_only=False)], names


def _qualified(dataset: Dataset, column: str) -> pa.Array:
    """Return a column as strings that mean the same in every corpus: `eegmat/00` for a subject."""
    names = [*(name for name in _WITHIN.get(column, ()) if name in dataset.column_names), column]
    table = _strings(dataset, names)
    columns = [table.column(name).combine_chunks() for name in names]
    return pc.binary_join_element_wise(*columns, pa.scalar("/", pa.large_string()))


def _strings(dataset: Dataset, names: Sequence[str]) -> pa.Table:
    """Read some columns as strings, with room for millions of them."""
    table = read_columns(dataset, names)
    return table.cast(pa.schema([(name, pa.large_string()) for name in names]))


def read_columns(dataset: Dataset, names: Sequence[str]) -> pa.Table:
    """Read some columns whole, in the order of the rows.

    Args:
        dataset: Any dataset of `datasets`, also one that was shuffled or selected from.
        names: Its columns to read.
    """
    table = dataset.data.table.select(list(names))
    if dataset._indices is None:
        return table
    # dataset[:] gathers one by one the rows of an indices mapping: 20 s for a million of them, not 0.2 s
    return table.combine_chunks().take(dataset._indices.table.column(0).combine_chunks())


def _distinct(dataset: Dataset, column: str) -> set[str]:
    """Return the values of a column, qualified."""
    return set(_qualified(dataset, column).drop_null().unique().to_pylist())


def _select(dataset: Dataset, codes: np.ndarray, members: Mapping[str, np.ndarray]) -> DatasetDict:
    """Select the rows of each part, given which values belong to it."""
    return DatasetDict(
        {part: dataset.select(np.flatnonzero(is_member[codes])) for part, is_member in members.items()}
    )


def _refuse_shared(parts: Mapping[str, set[str]], what: str) -> None:
    """Raise where two sets have something in common."""
    names = list(parts)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            shared = parts[first] & parts[second]
            if shared:
                raise LeakError(f"{first!r} and {second!r} share {len(shared)} {what}: {_some(shared)}")


def _plural(column: str) -> str:
    """Name the values of a column in a sentence."""
    if column == "window_id":
        return "windows"
    return f"{column}s" if column in _WITHIN else f"values of {column!r}"


def _some(names: Iterable[str]) -> str:
    """List a few names and say how many more there are."""
    ordered = sorted(map(str, names))
    rest = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + rest


__all__ = [
    "PARTS",
    "LeakError",
    "check_disjoint",
    "folds",
    "official_split",
    "read_columns",
    "split_as_marked",
    "split_by",
    "split_by_subject",
    "subject_folds",
    "take_validation",
]
