# SPDX-License-Identifier: Apache-2.0
"""Split windows by the name of a method, as the option `--split` of the commands does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict
from transformers.utils import logging

from ..corpus import Corpus
from .leaks import check_across, check_disjoint
from .prepared import load_windows
from .protocols import protocol_folds
from .row_groups import read_columns
from .split_contents import PROTOCOLS
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
    *PROTOCOLS,
    "several joined by +",
)
NUM_FOLDS = 5
_LEAVE_OUT = "leave_out:"


def split_windows(
    dataset: Dataset,
    method: str,
    *,
    num_folds: int | None = None,
    fold: int = 0,
    num_validation_subjects: int | None = None,
    seed: int = 0,
    column: str = "subject",
    label_column: str | None = None,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
) -> DatasetDict:
    """Split the windows of one corpus, and refuse leaks.

    Args:
        dataset: Windows of one corpus.
        method: `"official"` (the corpus's own split), `"subject"` or `"session"` (80/10/10),
            `"column:<name>"` (80/10/10 by any other column, such as a release or a concept), `"fold"` (one of
            `num_folds`), `"leave_out:<subject>"` (tests one value of `column`), `"none"`, or a protocol of
            MOABB (`"within-session"`, `"cross-session"`, `"cross-subject"`; one of the folds of
            `protocol_folds`). Several methods joined by `+` are crossed: `"subject+column:concept"` keeps
            both subjects and concepts apart, `"official+leave_out:08"` tests one subject on the official test
            part of a corpus split by concept.
        num_folds: Number of folds; by default 5, and as in `protocol_folds` for a protocol.
        fold: Index of the fold to return.
        num_validation_subjects: Subjects (values of `column`) taken from training for validation, for
            `"fold"` and `"leave_out"`; by default four, but no more than half of those that are not tested.
        seed: Seed of a random split, and of the validation subjects of a fold or of an official split that
            has none.
        column: Column whose values `"fold"` and `"leave_out"` keep in one part.
        label_column: Classes of which each fold of a protocol gets its share.
        fractions: Shares of train, validation and test in a random split.

    Returns:
        `train` and, depending on the method, `validation` and `test`. They share no value of the column they
        are split by, no recording (for splits by subject, session, ...) or window, and no samples.

    Raises:
        ValueError: If the method does not exist or cannot be applied to this corpus.
        LeakError: If parts share data.
    """
    if "+" in method:
        settings: dict[str, Any] = {"num_folds": num_folds, "fold": fold, "seed": seed, "column": column}
        settings |= {"num_validation_subjects": num_validation_subjects, "fractions": fractions}
        settings |= {"label_column": label_column}
        return cross_splits([split_windows(dataset, one.strip(), **settings) for one in method.split("+")])
    by = column
    if method == "official":
        splits, by = _official(dataset, seed)
    elif method == "fold":
        number = NUM_FOLDS if num_folds is None else num_folds
        splits = _fold(folds(dataset, number, num_validation_subjects, seed, column), fold)
    elif method in PROTOCOLS:
        how: dict[str, Any] = {"label_column": label_column, "num_folds": num_folds, "seed": seed}
        how |= {"num_validation_subjects": num_validation_subjects}
        return _fold(protocol_folds(dataset, method, **how), fold)
    elif method.startswith(_LEAVE_OUT):
        splits = leave_out(dataset, method.removeprefix(_LEAVE_OUT), num_validation_subjects, seed, column)
    elif method == "none":
        splits, by = DatasetDict(train=dataset), "subject"
    elif by := _random_column(method):
        splits = split_by(dataset, by, fractions, seed)
    else:
        raise ValueError(f"split: expected one of {', '.join(SPLIT_METHODS)}, got {method!r}")
    check_disjoint(splits, by)
    return splits


def _fold(found: Sequence[DatasetDict], fold: int) -> DatasetDict:
    if not 0 <= fold < len(found):
        raise ValueError(f"fold: expected 0 to {len(found) - 1}, got {fold}")
    return found[fold]


def split_for_pretraining(sources: Sequence[str | Path], method: str, **kwargs: Any) -> list[DatasetDict]:
    """Split each corpus of a mixture; one with too few subjects for the split is only trained on.

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


def split_where_possible(dataset: Dataset, method: str, *, name: str, **kwargs: Any) -> DatasetDict:
    """Split the windows of one corpus; if the method does not apply, train on all of them and log it.

    Args:
        dataset: Windows of one corpus.
        method: As in `split_windows`.
        name: Name of the corpus in the log.
        **kwargs: As in `split_windows`.
    """
    column = str(kwargs.get("column", "subject")) if method == "fold" else _random_column(method) or "subject"
    values = dataset.unique(column) if column in dataset.column_names else []
    needed = {"official": 1, "none": 0, "fold": int(kwargs.get("num_folds") or NUM_FOLDS)}.get(method, 3)
    applies = len(values) >= needed
    if applies and method == "official":
        corpus = _corpus_of(dataset)
        applies = corpus is not None and bool(corpus.official_split or corpus.official_split_column)
    if not applies:
        logger.warning(
            f"{name}: {len(values)} {column}s, split {method!r} does not apply: all are trained on, and none "
            "is left to validate or test on"
            + (" (--split subject leaves some)" if method == "official" and len(values) >= 3 else "")
        )
        method = "none"
    return split_windows(dataset, method, **kwargs)


def _random_column(method: str) -> str:
    """Return the column by which a method splits at random, else an empty string."""
    return method if method in ("subject", "session") else method.partition("column:")[2]


def _official(dataset: Dataset, seed: int) -> tuple[DatasetDict, str]:
    """Return the corpus's own split, by lists of subjects or by a column, and what it keeps apart."""
    names = dataset.unique("corpus")
    if len(names) != 1:
        raise ValueError(f"split='official' splits one corpus, the dataset has {sorted(names)}")
    corpus = _corpus_of(dataset)
    if corpus is None or corpus.official_split_column is None:
        parts = None if corpus is None else corpus.official_split
        return take_validation(official_split(dataset, parts), seed=seed), "subject"
    # Marks may keep a label apart (the concepts of THINGS) that a corpus prepared earlier does not have
    by = corpus.official_split_by
    if by not in dataset.column_names or read_columns(dataset, [by]).column(0).null_count:
        by = "window_id"
    whole = "subject" if by == "window_id" else by
    marked = split_as_marked(dataset, corpus.official_split_column)
    return take_validation(marked, seed=seed, column=whole), by


def _corpus_of(dataset: Dataset) -> type[Corpus] | None:
    """Return the class of the corpus of all windows; None if there are several or it is unknown."""
    from .. import CORPORA

    names = dataset.unique("corpus")
    return CORPORA.get(names[0]) if len(names) == 1 else None
