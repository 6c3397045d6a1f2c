# SPDX-License-Identifier: Apache-2.0
"""Open what `scripts/prepare.py` wrote, and split it."""

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset, DatasetDict, load_dataset
from transformers.utils import logging

from .splits import check_disjoint, official_split, split_by_subject, subject_folds

logger = logging.get_logger(__name__)

SPLIT_METHODS = ("official", "subject", "fold", "none")


def load_windows(source: str | Path) -> Dataset:
    """Load the windows of one prepared corpus.

    Args:
        source: Folder written by `scripts/prepare.py`, or Hub name of such a dataset.

    Raises:
        FileNotFoundError: If the folder holds no prepared corpus.
    """
    folder = Path(source)
    if folder.exists() and not any(folder.glob("data/*.parquet")):
        raise FileNotFoundError(
            f"no prepared windows in {folder}: expected data/*.parquet, run scripts/prepare.py first"
        )
    if folder.exists() and not (folder / "README.md").exists():  # it is written last
        raise FileNotFoundError(f"{folder} is unfinished: its preparation was interrupted, run it again")
    try:
        return load_dataset(str(source), split="train")
    except (OSError, ValueError) as error:
        if folder.exists():
            raise
        reason = str(error).splitlines()[0]
        raise FileNotFoundError(
            f"{source} is neither a prepared folder nor a dataset on the Hub: {reason}"
        ) from None


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
    labels = dataset[label_column]
    known = [row for row, label in enumerate(labels) if label is not None]
    if not known:
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
) -> DatasetDict:
    """Split the windows of one corpus by subject.

    Args:
        dataset: Windows of one corpus.
        method: `"official"` (the corpus's own), `"subject"` (80/10/10), `"fold"` (one of `num_folds`), or
            `"none"`.
        num_folds: Number of folds.
        fold: Which of them.
        num_validation_subjects: Subjects of each fold taken from training for validation.
        seed: Seed of `"subject"`, and of the validation subjects of a fold.

    Returns:
        `train`, and where the method makes them `validation` and `test`; no subject, recording or signal is
        shared.

    Raises:
        ValueError: If the method does not exist or cannot be applied to this corpus.
        LeakError: If parts share data.
    """
    if method == "official":
        from . import get_corpus

        names = dataset.unique("corpus")
        if len(names) != 1:
            raise ValueError(f"split='official' splits one corpus, the dataset has {sorted(names)}")
        splits = official_split(dataset, get_corpus(names[0]).official_split)
    elif method == "subject":
        splits = split_by_subject(dataset, seed=seed)
    elif method == "fold":
        if not 0 <= fold < num_folds:
            raise ValueError(f"fold: expected 0 to {num_folds - 1}, got {fold}")
        splits = subject_folds(dataset, num_folds, num_validation_subjects, seed)[fold]
    elif method == "none":
        splits = DatasetDict(train=dataset)
    else:
        raise ValueError(f"split: expected one of {', '.join(SPLIT_METHODS)}, got {method!r}")
    check_disjoint(splits)
    return splits


def split_for_pretraining(sources: Sequence[str | Path], method: str, **kwargs: int) -> list[DatasetDict]:
    """Split each corpus of a mixture; one that has too few subjects to be split is only trained on.

    Args:
        sources: Prepared corpora.
        method: As in `split_windows`.
        **kwargs: As in `split_windows`.
    """
    needed = {"official": 1, "subject": 3, "fold": int(kwargs.get("num_folds", 5)), "none": 1}
    splits = []
    for source in sources:
        dataset = load_windows(source)
        num_subjects = len(dataset.unique("subject"))
        has_split = method != "official" or has_official_split(dataset)
        if method in needed and (num_subjects < needed[method] or not has_split):
            logger.warning(
                f"{source}: {num_subjects} subjects, split {method!r} does not apply: all are trained on"
            )
            splits.append(split_windows(dataset, "none"))
        else:
            splits.append(split_windows(dataset, method, **kwargs))
    return splits


def has_official_split(dataset: Dataset) -> bool:
    """Return whether all windows are of one corpus that has an official split."""
    from . import CORPORA

    names = dataset.unique("corpus")
    return len(names) == 1 and names[0] in CORPORA and CORPORA[names[0]].official_split is not None
