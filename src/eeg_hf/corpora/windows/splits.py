# SPDX-License-Identifier: Apache-2.0
"""Splits by subject, session or any other column, with each value in one part.

Two windows of one subject resemble each other more than two windows of one class, so a random split of
windows measures how well subjects are recognised. Every split here keeps a subject (or a session, a release,
a concept, ...) in one part; `check_disjoint` refuses any other. If all subjects saw the same images, a split
by subject keeps all images in training, and a split by image all subjects: `cross_splits` keeps both apart.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict
from transformers.utils import logging

from .leaks import refuse_shared
from .row_groups import group_rows, plural, read_strings, some

logger = logging.get_logger(__name__)

PARTS: tuple[str, ...] = ("train", "validation", "test")


def official_split(dataset: Dataset, parts: Mapping[str, Sequence[str]] | None) -> DatasetDict:
    """Split by lists of subjects, such as a corpus's `official_split`.

    Args:
        dataset: Windows with a column `subject`.
        parts: Part -> its subjects. Other subjects are dropped, which is logged.

    Returns:
        One dataset per part, rows in their original order.

    Raises:
        LeakError: If a subject is in two parts.
        ValueError: If there are no parts, or no subject of a part is in the dataset.
    """
    if not parts:
        raise ValueError("this corpus has no official split: choose another (--split subject)")
    refuse_shared({name: set(subjects) for name, subjects in parts.items()}, "subjects")
    codes, names = group_rows(dataset, "subject", qualified=False)
    empty = [name for name, subjects in parts.items() if not set(subjects) & set(names)]
    if empty:
        raise ValueError(f"no subject of part {empty[0]!r} is in the dataset, which has {some(names)}")
    unused = sorted(set(names) - {subject for subjects in parts.values() for subject in subjects})
    if unused:
        logger.warning(
            f"{len(unused)} subjects are in no part of the official split and dropped: {some(unused)}"
        )
    members = {name: np.isin(names, list(subjects)) for name, subjects in parts.items()}
    return _select(dataset, codes, members)


def split_as_marked(dataset: Dataset, column: str) -> DatasetDict:
    """Split by a column that holds `train`, `validation` or `test`, such as `official_split_column`.

    Args:
        dataset: Windows.
        column: Name of the column.

    Returns:
        The parts that occur, rows in their original order.

    Raises:
        ValueError: If the column is missing, has gaps, or holds anything else.
    """
    codes, names = group_rows(dataset, column, qualified=False)
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        raise ValueError(f"column {column!r} must hold train, validation or test, it holds {some(unknown)}")
    return _select(dataset, codes, {part: names == part for part in PARTS if part in names})


def split_by(
    dataset: Dataset, column: str = "subject", fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> DatasetDict:
    """Split at random into train, validation and test, with each value of a column in one part.

    Args:
        dataset: Windows with that column; of several corpora, also with `corpus`, since subjects, sessions,
            runs and recordings of two corpora may have the same name.
        column: `subject`, `session`, `recording`, or any label, such as a release or a concept.
        fractions: Share of the values (not of the windows) in each part; a part with a share above 0 gets at
            least one.
        seed: Seed of the split, which does not depend on the order of the rows.

    Returns:
        `train`, `validation` and `test`, rows in their original order, without parts of share 0.

    Raises:
        ValueError: If the fractions do not add up to 1, there are fewer values than parts, or rows without
            one.

    Example:
        >>> rows = Dataset.from_dict({"concept": ["cat", "dog", "cat", "eel"]})
        >>> {part: rows["concept"][:] for part, rows in split_by(rows, "concept", (0.4, 0.3, 0.3)).items()}
        {'train': ['eel'], 'validation': ['cat', 'cat'], 'test': ['dog']}
    """
    if len(fractions) != len(PARTS) or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"expected three fractions that add up to 1 (train, validation, test), got {tuple(fractions)}"
        )
    codes, names = group_rows(dataset, column)
    wanted = [(part, fraction) for part, fraction in zip(PARTS, fractions, strict=True) if fraction > 0]
    if len(names) < len(wanted):
        raise ValueError(
            f"{len(wanted)} parts need as many {plural(column)} or more, the dataset has {len(names)}: "
            f"{some(names)}; fractions=(0.8, 0, 0.2) makes two parts"
        )
    # Number of values in each part
    counts = [max(1, round(fraction * len(names))) for _, fraction in wanted]
    while sum(counts) != len(names):  # the largest part absorbs the rounding
        counts[int(np.argmax(counts))] += 1 if sum(counts) < len(names) else -1
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = np.split(order, np.cumsum(counts)[:-1])
    members = {
        part: np.isin(np.arange(len(names)), ids) for (part, _), ids in zip(wanted, chosen, strict=True)
    }
    return _select(dataset, codes, members)


def folds(
    dataset: Dataset,
    num_folds: int = 5,
    num_validation: int | None = None,
    seed: int = 0,
    column: str = "subject",
) -> list[DatasetDict]:
    """Split for cross-validation: each value of a column is tested in exactly one fold.

    The test parts are those of scikit-learn's `GroupKFold(num_folds)` with the values as groups, so that
    results are comparable with others that used it. The validation values of a fold are drawn from the
    others.

    Args:
        dataset: Windows with that column.
        num_folds: Number of folds.
        num_validation: Values taken from the training part of each fold; 0 for no `validation`. By default
            four, but no more than half of those that are not tested.
        seed: Seed of the validation values; the test values do not depend on it.
        column: As in `split_by`.

    Returns:
        `train`, `validation` and `test` of each fold.

    Raises:
        ValueError: If there are too few values, or rows without one.
    """
    from sklearn.model_selection import GroupKFold

    codes, names = group_rows(dataset, column)
    if len(names) < max(2, num_folds) or num_folds < 2:
        raise ValueError(
            f"{num_folds} folds need 2 or more, and as many {plural(column)}; the dataset has {len(names)}"
        )
    found = []
    # GroupKFold puts the largest groups first into the smallest fold, independent of a seed
    for fold, (_, test_rows) in enumerate(GroupKFold(num_folds).split(codes, groups=codes)):
        is_test = np.isin(np.arange(len(names)), codes[test_rows])
        members = _with_validation(is_test, num_validation, [seed, fold], f"fold {fold}", plural(column))
        found.append(_select(dataset, codes, members))
    return found


def leave_out(
    dataset: Dataset, value: str, num_validation: int | None = 1, seed: int = 0, column: str = "subject"
) -> DatasetDict:
    """Test on one value of a column, such as one subject, and train on the others.

    Args:
        dataset: Windows with that column.
        value: The tested value; of several corpora, with the name of its corpus: `things_eeg2/08`.
        num_validation: Values taken from the training part; 0 for no `validation`.
        seed: Seed of the validation values.
        column: As in `split_by`.

    Raises:
        ValueError: If there is no such value, or several, or none is left to train on.

    Example:
        >>> rows = Dataset.from_dict({"subject": ["01", "02", "03", "01"]})
        >>> {part: rows["subject"][:] for part, rows in leave_out(rows, "01", num_validation=0).items()}
        {'train': ['02', '03'], 'test': ['01', '01']}
    """
    codes, names = group_rows(dataset, column)  # (rows,), (values,)
    is_test = (names == value) | np.char.endswith(names, f"/{value}")
    if is_test.sum() != 1:
        found = "none is" if not is_test.any() else f"{is_test.sum()} are"
        raise ValueError(
            f"expected one of the {plural(column)} to leave out, {found} {value!r}: {some(names)}"
        )
    what = f"without {value!r} the dataset"
    return _select(dataset, codes, _with_validation(is_test, num_validation, [seed], what, plural(column)))


def cross_splits(splits: Sequence[Mapping[str, Dataset]]) -> DatasetDict:
    """Keep the windows that are in the same part of every split, which keeps apart what any of them does.

    A split by subject crossed with one by concept tests unseen subjects on unseen concepts; windows of
    training subjects with test concepts, and the reverse, are in no part.

    Args:
        splits: Splits of the same windows; only parts that all of them have are kept.

    Raises:
        ValueError: If a part becomes empty, or windows have no `window_id`.
    """
    first, *others = splits
    kept, total = DatasetDict(), sum(map(len, first.values()))
    for part, rows in first.items():
        if all(part in other for other in others):
            ids = _ids(rows)
            is_in_all = np.ones(len(ids), bool)
            for other in others:
                is_in_all &= pc.is_in(ids, value_set=_ids(other[part])).to_numpy(zero_copy_only=False)
            kept[part] = rows.select(np.flatnonzero(is_in_all))
    empty = [part for part in ("train", *kept) if not len(kept.get(part, ()))]
    if empty:
        raise ValueError(f"the splits have no window of part {empty[0]!r} in common")
    number = sum(map(len, kept.values()))
    logger.warning(
        f"{total - number} of {total} windows are in no part: the splits put them into different ones"
    )
    return kept


def take_validation(
    splits: DatasetDict, fraction: float = 0.1, seed: int = 0, column: str = "subject"
) -> DatasetDict:
    """Take some training subjects, or concepts, for validation if a split has no validation part.

    Args:
        splits: A split; returned unchanged if it has `validation`, or too few subjects.
        fraction: Share of the training subjects, at least one.
        seed: Seed of the choice.
        column: Column whose values stay in one part, as in `split_by`.
    """
    if "validation" in splits or "train" not in splits:
        return splits
    codes, names = group_rows(splits["train"], column)
    if len(names) < 2:
        logger.warning(
            f"the official split has no validation part, and training no {column} to spare for one"
        )
        return splits
    number = max(1, round(fraction * len(names)))
    is_taken = np.isin(np.arange(len(names)), np.random.default_rng(seed).permutation(len(names))[:number])
    logger.warning(
        f"the official split has no validation part: {number} of its {len(names)} training {plural(column)} "
        f"become one (seed {seed}): {some(names[is_taken])}"
    )
    train = _select(splits["train"], codes, {"train": ~is_taken, "validation": is_taken})
    return DatasetDict({**train, **{part: rows for part, rows in splits.items() if part != "train"}})


def usual_validation(num_others: int) -> int:
    """Return how many of those that are not tested validate: four, but no more than half of them."""
    return min(4, num_others // 2)


def _with_validation(
    is_test: np.ndarray, num_validation: int | None, seed: Sequence[int], what: str, values: str
) -> dict[str, np.ndarray]:
    """Return which values train, validate and test, (values,) bool each, without empty parts."""
    others = np.flatnonzero(~is_test)
    num_validation = usual_validation(len(others)) if num_validation is None else num_validation
    if num_validation >= len(others):
        raise ValueError(
            f"{num_validation} validation {values} leave none to train on: {what} has {len(others)} that are "
            "not tested"
        )
    chosen = np.random.default_rng(seed).choice(others, num_validation, replace=False)
    is_validation = np.isin(np.arange(len(is_test)), chosen)
    members = {"train": ~is_test & ~is_validation, "validation": is_validation, "test": is_test}
    return {part: member for part, member in members.items() if member.any()}


def _ids(dataset: Dataset) -> pa.Array:
    """Return the ids of windows."""
    if "window_id" not in dataset.column_names:
        raise ValueError(
            f"crossing splits needs a column 'window_id', the dataset has {dataset.column_names}"
        )
    return read_strings(dataset, ["window_id"]).column(0).combine_chunks()


def _select(dataset: Dataset, codes: np.ndarray, members: Mapping[str, np.ndarray]) -> DatasetDict:
    """Select the rows of each part, given the values that belong to it."""
    return DatasetDict(
        {part: dataset.select(np.flatnonzero(is_member[codes])) for part, is_member in members.items()}
    )
