# SPDX-License-Identifier: Apache-2.0
"""The parts of several corpora, joined."""

from collections.abc import Sequence

from datasets import Dataset, DatasetDict, concatenate_datasets

from ..corpora.windows.encoding import OPTIONAL_COLUMNS
from ..corpora.windows.seen_windows import COLUMNS


def join_parts(splits: Sequence[DatasetDict], columns: Sequence[str]) -> dict[str, Dataset]:
    """Concatenate corpora part by part; a part that no corpus has is left out.

    Args:
        splits: The split of each corpus.
        columns: Columns to keep, which every corpus must have; what tells windows apart, and what spares
            computing, is kept where it is.
    """
    names = [set(rows.column_names) for found in splits for rows in found.values()]
    others = (*COLUMNS, *OPTIONAL_COLUMNS)
    kept = [
        *columns,
        *(name for name in others if name not in columns and all(name in there for there in names)),
    ]
    return {
        part: concatenate_datasets([found[part].select_columns(kept) for found in splits if part in found])
        for part in ("train", "validation", "test")
        if any(part in found for found in splits)
    }
