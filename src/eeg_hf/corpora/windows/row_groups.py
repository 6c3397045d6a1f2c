# SPDX-License-Identifier: Apache-2.0
"""What rows of windows share: a subject, recording, concept, …, by a name that means one thing only."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

# What a column's values are unique within: subject 01 of one corpus is not subject 01 of another
WITHIN: dict[str, tuple[str, ...]] = {
    "subject": ("corpus",),
    "recording": ("corpus",),
    "session": ("corpus", "subject"),
    "run": ("corpus", "subject", "session"),
}
_SHOWN = 5


def group_rows(dataset: Dataset, column: str, qualified: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return each row's value of a column as an index (rows,), and the names: `corpus/subject`.

    Args:
        dataset: Windows.
        column: Its name.
        qualified: Whether to name a value with the corpus it is of, as [`qualify`] does.

    Raises:
        ValueError: If there is no such column, or rows have no value.
    """
    if column not in dataset.column_names:
        raise ValueError(
            f"splitting by {column} needs a column {column!r}, the dataset has {sorted(dataset.column_names)}"
        )
    values = qualify(dataset, column) if qualified else read_strings(dataset, [column]).column(0)
    if values.null_count:
        raise ValueError(
            f"{values.null_count} of {len(values)} rows have no {column}: drop them before splitting"
        )
    encoded = values.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    names, codes = np.unique(np.array(encoded.dictionary.to_pylist(), dtype=str), return_inverse=True)
    return codes[encoded.indices.to_numpy(zero_copy_only=False)], names


def qualify(dataset: Dataset, column: str) -> pa.Array:
    """Return a column as strings that mean the same in every corpus: `eegmat/00` for a subject."""
    names = [*(name for name in WITHIN.get(column, ()) if name in dataset.column_names), column]
    table = read_strings(dataset, names)
    columns = [table.column(name).combine_chunks() for name in names]
    return pc.binary_join_element_wise(*columns, pa.scalar("/", pa.large_string()))


def read_strings(dataset: Dataset, names: Sequence[str]) -> pa.Table:
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


def distinct(dataset: Dataset, column: str) -> set[str]:
    """Return the values of a column, qualified."""
    return set(qualify(dataset, column).drop_null().unique().to_pylist())


def plural(column: str) -> str:
    """Name the values of a column in a sentence."""
    if column == "window_id":
        return "windows"
    return f"{column}s" if column in WITHIN else f"values of {column!r}"


def some(names: Iterable[str]) -> str:
    """List a few names and say how many more there are."""
    ordered = sorted(map(str, names))
    rest = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(ordered[:_SHOWN]) + rest


__all__ = ["distinct", "group_rows", "plural", "qualify", "read_columns", "read_strings", "some", "WITHIN"]
