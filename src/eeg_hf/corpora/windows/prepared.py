# SPDX-License-Identifier: Apache-2.0
"""Open what `eeg-hf prepare` wrote, and split it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from datasets import Dataset, DatasetDict, concatenate_datasets, load_dataset
from transformers.utils import logging

from .leaks import check_disjoint
from .row_groups import read_columns
from .splits import (
    cross_splits,
    folds,
    leave_out,
    official_split,
    split_as_marked,
    split_by,
    take_validation,
)

logger = logging.get_logger(__name__)

SPLIT_METHODS = (
    *("official", "subject", "session", "fold", "none", "column:<name>", "leave_out:<subject>"),
    "several with + between",
)
_LEAVE_OUT = "leave_out:"


def load_windows(source: str | Path) -> Dataset:
    """Load the windows of one prepared corpus.

    Args:
        source: Folder written by `eeg-hf prepare`, or Hub name of such a dataset.

    Raises:
        FileNotFoundError: If the folder holds no prepared corpus.
        ValueError: If its shards hold no window.
    """
    refuse_unfinished(source)
    if not Path(source).exists() and str(source).count("/") != 1:  # the Hub would be asked for minutes
        raise FileNotFoundError(f"{source} is neither a folder nor a Hub name such as organisation/dataset")
    try:
        return load_dataset(str(source), split="train")
    except (OSError, ValueError) as error:
        if Path(source).exists():
            raise
        reason = str(error).splitlines()[0]
        raise FileNotFoundError(
            f"{source} is neither a prepared folder nor a dataset on the Hub: {reason}"
        ) from None


def refuse_unfinished(source: str | Path) -> None:
    """Refuse a folder that holds no prepared corpus, or only part of one.

    Args:
        source: A folder; anything else may be the name of a dataset on the Hub, and passes.

    Raises:
        FileNotFoundError: If the folder is empty or unfinished.
        ValueError: If its shards hold no window.
    """
    folder = Path(source)
    if folder.exists() and not any(folder.glob("data/*.parquet")):
        raise FileNotFoundError(
            f"no prepared windows in {folder}: expected data/*.parquet, run eeg-hf prepare first"
        )
    if folder.exists() and not (folder / "README.md").exists():  # it is written last
        raise FileNotFoundError(f"{folder} is unfinished: its preparation was interrupted, run it again")
    shards = sorted(folder.glob("data/*.parquet"))
    if shards and not any(pq.read_metadata(path).num_rows for path in shards):  # reads one, where all is well
        raise ValueError(f"{folder} holds no window: its {len(shards)} shards are empty, prepare it again")


def drop_unlabelled(dataset: Dataset, label_column: str) -> Dataset:
    """Leave out rows without a label, and say how many.

    Args:
        dataset: Windows.
        label_column: Column of the labels.

    Raises:
        ValueError: If there is no such column, or no row has a label.
    """
    if label_column not in dataset.column_names:
        raise ValueError(
            f"label_column {label_column!r} is not in the dataset, which has {sorted(dataset.column_names)}"
        )
    known = np.flatnonzero(read_columns(dataset, [label_column]).column(0).is_valid().to_numpy())
    if not len(known):
        raise ValueError(f"label_column {label_column!r}: none of the {len(dataset)} windows has a label")
    if len(known) < len(dataset):
        logger.warning(
            f"{len(dataset) - len(known)} of {len(dataset)} windows have no {label_column}: left out"
        )
    return dataset.select(known)


def split_windows(
    dataset: Dataset,
    method: str,
    *,
    num_folds: int = 5,
    fold: int = 0,
    num_validation_subjects: int = 4,
    seed: int = 0,
    column: str = "subject",
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
) -> DatasetDict:
    """Split the windows of one corpus, and refuse what leaks.

    Args:
        dataset: Windows of one corpus.
        method: `"official"` (the corpus's own), `"subject"` or `"session"` (80/10/10), `"column:<name>"` (so
            with any other column, such as a release or a concept), `"fold"` (one of `num_folds`),
            `"leave_out:<subject>"` (tests one value of `column`) or `"none"`. Several with a `+` between are
            crossed: `"subject+column:concept"` keeps people and concepts apart, `"official+leave_out:08"`
            tests one person on the official test part of a corpus split by concept.
        num_folds: Number of folds.
        fold: Which of them.
        num_validation_subjects: Subjects (values of `column`) of each fold, or of those not left out, taken
            from training for validation.
        seed: Seed of a random split, and of the validation subjects of a fold or of an official split that
            has none.
        column: What `"fold"` and `"leave_out"` keep together.
        fractions: Shares of train, validation and test in a random split.

    Returns:
        `train`, and where the method makes them `validation` and `test`; nothing that the split is by, no
        recording (of a split by subject, session, …) or window, and no signal is shared.

    Raises:
        ValueError: If the method does not exist or cannot be applied to this corpus.
        LeakError: If parts share data.
    """
    if "+" in method:
        settings: dict[str, Any] = {"num_folds": num_folds, "fold": fold, "seed": seed, "column": column}
        settings |= {"num_validation_subjects": num_validation_subjects, "fractions": fractions}
        return cross_splits([split_windows(dataset, one.strip(), **settings) for one in method.split("+")])
    by = "subject"
    if method == "official":
        splits, by = _official(dataset, seed)
    elif method == "fold":
        if not 0 <= fold < num_folds:
            raise ValueError(f"fold: expected 0 to {num_folds - 1}, got {fold}")
        splits, by = folds(dataset, num_folds, num_validation_subjects, seed, column)[fold], column
    elif method.startswith(_LEAVE_OUT):
        value, by = method.removeprefix(_LEAVE_OUT), column
        splits = leave_out(dataset, value, num_validation_subjects, seed, column)
    elif method == "none":
        splits = DatasetDict(train=dataset)
    elif split_column(method):
        by = split_column(method)
        splits = split_by(dataset, by, fractions, seed)
    else:
        raise ValueError(f"split: expected one of {', '.join(SPLIT_METHODS)}, got {method!r}")
    check_disjoint(splits, by)
    return splits


def split_column(method: str) -> str:
    """Return the column that a method of `split_windows` splits by at random, or nothing."""
    return method if method in ("subject", "session") else method.partition("column:")[2]


def split_for_pretraining(sources: Sequence[str | Path], method: str, **kwargs: Any) -> list[DatasetDict]:
    """Split each corpus of a mixture; one that has too few subjects to be split is only trained on.

    Args:
        sources: Prepared corpora.
        method: As in `split_windows`.
        **kwargs: As in `split_windows`.
    """
    splits = [
        split_where_possible(load_windows(source), method, name=str(source), **kwargs) for source in sources
    ]
    check_across(splits)
    return splits


def check_across(splits: Sequence[DatasetDict]) -> None:
    """Refuse corpora of which one trains on windows that another tests on, such as a corpus and its subset.

    Args:
        splits: The split of each corpus.

    Raises:
        LeakError: Naming the windows.
    """
    if len(splits) > 1:
        parts = {part for found in splits for part in found}
        light = ["window_id", "signal_hash"]
        check_disjoint(
            {
                part: concatenate_datasets(
                    [found[part].select_columns(light) for found in splits if part in found]
                )
                for part in sorted(parts)
            },
            by="window_id",
        )


def split_where_possible(dataset: Dataset, method: str, *, name: str, **kwargs: Any) -> DatasetDict:
    """Split the windows of one corpus; where the method does not apply to it, train on all, and say so.

    Args:
        dataset: Windows of one corpus.
        method: As in `split_windows`.
        name: What to call it in the log.
        **kwargs: As in `split_windows`.
    """
    column = str(kwargs.get("column", "subject")) if method == "fold" else split_column(method) or "subject"
    values = dataset.unique(column) if column in dataset.column_names else []
    needed = {"official": 1, "none": 0, "fold": int(kwargs.get("num_folds", 5))}.get(method, 3)
    if len(values) < needed or (method == "official" and not has_official_split(dataset)):
        logger.warning(
            f"{name}: {len(values)} {column}s, split {method!r} does not apply: all are trained on"
        )
        method = "none"
    return split_windows(dataset, method, **kwargs)


def has_official_split(dataset: Dataset) -> bool:
    """Return whether all windows are of one corpus that has an official split."""
    subjects, column = _official_parts(dataset)
    return subjects is not None or column is not None


def _official(dataset: Dataset, seed: int) -> tuple[DatasetDict, str]:
    """Split as the corpus does, by lists of subjects or by a column, and say what by."""
    names = dataset.unique("corpus")
    if len(names) != 1:
        raise ValueError(f"split='official' splits one corpus, the dataset has {sorted(names)}")
    subjects, column = _official_parts(dataset)
    if column is None:
        return take_validation(official_split(dataset, subjects), seed=seed), "subject"
    by = _official_column(dataset)
    whole = "subject" if by == "window_id" else by
    return take_validation(split_as_marked(dataset, column), seed=seed, column=whole), by


def _official_column(dataset: Dataset) -> str:
    """Name what the marks of an official split keep apart; windows where its corpus does not say."""
    from .. import CORPORA

    by = CORPORA[dataset.unique("corpus")[0]].official_split_by
    is_there = by in dataset.column_names and not read_columns(dataset, [by]).column(0).null_count
    return by if is_there else "window_id"


def _official_parts(dataset: Dataset) -> tuple[Any, str | None]:
    """Return the lists of subjects and the column of a corpus's official split, whichever it has."""
    from .. import CORPORA

    names = dataset.unique("corpus")
    corpus = CORPORA.get(names[0]) if len(names) == 1 else None
    return getattr(corpus, "official_split", None), getattr(corpus, "official_split_column", None)
