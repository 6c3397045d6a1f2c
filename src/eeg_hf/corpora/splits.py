# SPDX-License-Identifier: Apache-2.0
"""Splits by subject, and the refusal of splits that leak.

Two windows of one person resemble each other more than two windows of one class do, so a random split of
windows measures how well people are recognised. Every split here keeps a person in one part; `check_disjoint`
refuses any other, and also the same recording, or the same samples, turning up in two parts.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict
from transformers.utils import logging

logger = logging.get_logger(__name__)

PARTS: tuple[str, ...] = ("train", "validation", "test")
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
    codes, names = _subjects(dataset, qualified=False)
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


def split_by_subject(
    dataset: Dataset, fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> DatasetDict:
    """Split at random into train, validation and test, each subject in one part.

    Args:
        dataset: Windows with a column `subject` (and `corpus`, where subjects of several corpora are mixed).
        fractions: Share of the subjects (not of the windows) in each part; a part with a share gets at least
            one.
        seed: The same seed gives the same split, whatever the order of the rows.

    Returns:
        `train`, `validation` and `test`, rows in their old order; a part with share 0 is left out.

    Raises:
        ValueError: If the fractions do not add up to 1, or there are fewer subjects than parts.
    """
    if len(fractions) != len(PARTS) or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"expected three fractions that add up to 1 (train, validation, test), got {tuple(fractions)}"
        )
    codes, names = _subjects(dataset)
    wanted = [(part, fraction) for part, fraction in zip(PARTS, fractions, strict=True) if fraction > 0]
    if len(names) < len(wanted):
        raise ValueError(
            f"{len(wanted)} parts need as many subjects or more, the dataset has {len(names)}: {_some(names)}"
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


def subject_folds(
    dataset: Dataset, num_folds: int = 5, num_validation_subjects: int = 4, seed: int = 0
) -> list[DatasetDict]:
    """Cross-validate by subject: each subject is tested in exactly one fold.

    The test parts are those of scikit-learn's `GroupKFold(num_folds)` with the subjects as groups, so that
    results can be compared with anything that used it. The validation subjects of a fold are drawn from the
    others.

    Args:
        dataset: Windows with a column `subject`.
        num_folds: Number of folds.
        num_validation_subjects: Subjects taken from the training part of each fold; 0 leaves `validation`
            out.
        seed: Decides which subjects validate, not which are tested.

    Returns:
        One `train`, `validation`, `test` a fold.

    Raises:
        ValueError: If there are too few subjects.
    """
    from sklearn.model_selection import GroupKFold

    codes, names = _subjects(dataset)
    if len(names) < max(2, num_folds) or num_folds < 2:
        raise ValueError(
            f"{num_folds} folds need 2 or more, and as many subjects; the dataset has {len(names)}"
        )
    folds = []
    for fold, (_, test_rows) in enumerate(GroupKFold(num_folds).split(codes, groups=codes)):
        is_test = np.isin(np.arange(len(names)), codes[test_rows])
        others = np.flatnonzero(~is_test)
        if num_validation_subjects >= len(others):
            raise ValueError(
                f"{num_validation_subjects} validation subjects leave none to train on: fold {fold} has "
                f"{len(others)} that are not tested"
            )
        chosen = np.random.default_rng([seed, fold]).choice(others, num_validation_subjects, replace=False)
        is_validation = np.isin(np.arange(len(names)), chosen)
        members = {"train": ~is_test & ~is_validation, "validation": is_validation, "test": is_test}
        folds.append(
            _select(dataset, codes, {part: member for part, member in members.items() if member.any()})
        )
    return folds


def check_disjoint(splits: Mapping[str, Dataset]) -> None:
    """Refuse a split whose parts share a subject, a recording, or identical samples.

    Identical samples are found by the column `signal_hash`, which leaves the amplitude out: a copy of a
    recording in another unit counts as the same.

    Args:
        splits: Part -> windows, for example a `DatasetDict`.

    Raises:
        LeakError: Naming what is shared, and by which parts.
        ValueError: If a part has no column `subject`.
    """
    subjects = {part: set(_subjects(dataset)[1].tolist()) for part, dataset in splits.items()}
    _refuse_shared(subjects, "subjects")
    for column, what in (
        ("recording", "recordings"),
        ("signal_hash", "windows with identical samples, hash"),
    ):
        if all(column in dataset.column_names for dataset in splits.values()):
            _refuse_shared({part: _distinct(dataset, column) for part, dataset in splits.items()}, what)


def _subjects(dataset: Dataset, qualified: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's subject as an index (rows,), and the names, `corpus/subject` where known."""
    if "subject" not in dataset.column_names:
        raise ValueError(
            f"splitting by subject needs a column 'subject', the dataset has {sorted(dataset.column_names)}"
        )
    table = _columns(dataset, [name for name in ("corpus", "subject") if name in dataset.column_names])
    column = table.column("subject").combine_chunks()
    if column.null_count:
        raise ValueError(
            f"{column.null_count} of {len(column)} rows have no subject: drop them before splitting"
        )
    if qualified and "corpus" in table.column_names:
        column = pc.binary_join_element_wise(
            table.column("corpus").combine_chunks(), column, pa.scalar("/", pa.large_string())
        )
    encoded = column.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    names, codes = np.unique(np.array(encoded.dictionary.to_pylist(), dtype=str), return_inverse=True)
    return codes[encoded.indices.to_numpy(zero_copy_only=False)], names


def _columns(dataset: Dataset, names: list[str]) -> pa.Table:
    """Read some columns whole, in the order of the rows, with room for millions of strings."""
    table = dataset.data.table.select(names).cast(pa.schema([(name, pa.large_string()) for name in names]))
    if dataset._indices is None:
        return table
    # dataset[:] gathers one by one the rows of an indices mapping: 20 s for a million of them, not 0.2 s
    return table.combine_chunks().take(dataset._indices.table.column(0).combine_chunks())


def _distinct(dataset: Dataset, column: str) -> set[str]:
    """Return the values of a column; recordings of different corpora may have one name."""
    names = ["corpus", column] if column == "recording" and "corpus" in dataset.column_names else [column]
    table = _columns(dataset, names).group_by(names).aggregate([])
    return {
        "/".join(map(str, values))
        for values in zip(*(table.column(name).to_pylist() for name in names), strict=True)
    }


def _select(dataset: Dataset, codes: np.ndarray, members: Mapping[str, np.ndarray]) -> DatasetDict:
    """Select the rows of each part, given which subjects belong to it."""
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


def _some(names: Iterable[str]) -> str:
    """List a few names and say how many more there are."""
    ordered = sorted(map(str, names))
    rest = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + rest


__all__ = ["PARTS", "LeakError", "check_disjoint", "official_split", "split_by_subject", "subject_folds"]
