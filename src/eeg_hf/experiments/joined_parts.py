# SPDX-License-Identifier: Apache-2.0
"""The parts of several corpora, joined."""

from collections.abc import Sequence

from datasets import Dataset, DatasetDict, concatenate_datasets


def join_parts(splits: Sequence[DatasetDict], columns: Sequence[str]) -> dict[str, Dataset]:
    """Concatenate corpora part by part; a part that no corpus has is left out.

    Args:
        splits: The split of each corpus.
        columns: Columns to keep, which every corpus must have.
    """
    return {
        part: concatenate_datasets([found[part].select_columns(columns) for found in splits if part in found])
        for part in ("train", "validation", "test")
        if any(part in found for found in splits)
    }


__all__ = ["join_parts"]
