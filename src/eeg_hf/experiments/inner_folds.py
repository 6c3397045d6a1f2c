# SPDX-License-Identifier: Apache-2.0
"""Folds of the training windows, which choose what is left to choose without a look at tested subjects."""

import numpy as np
from datasets import Dataset, DatasetDict
from sklearn.model_selection import GroupKFold


def inner_groups(train: Dataset) -> np.ndarray:
    """Return what inner folds keep apart, (windows,): subjects; of one subject sessions, else runs."""
    groups = [
        f"{corpus}/{name}" for corpus, name in zip(train["corpus"][:], train["subject"][:], strict=True)
    ]
    for column in ("session", "run"):
        if len(set(groups)) == 1 and column in train.column_names:
            groups = [f"{group}/{name}" for group, name in zip(groups, train[column][:], strict=True)]
    return np.array(groups)


def inner_splits(train: Dataset, num_folds: int) -> list[DatasetDict]:
    """Return folds of the training windows, by subject; of one subject by session or run.

    Raises:
        ValueError: If there are fewer groups than folds.
    """
    groups = inner_groups(train)
    if (found := len(np.unique(groups))) < num_folds:
        raise ValueError(f"--search_folds {num_folds}: expected as many training subjects, got {found}")
    folds = GroupKFold(num_folds).split(np.zeros(len(train)), groups=groups)
    return [
        DatasetDict({"train": train.select(fit), "validation": train.select(held)}) for fit, held in folds
    ]


__all__ = ["inner_groups", "inner_splits"]
