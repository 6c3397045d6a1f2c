# SPDX-License-Identifier: Apache-2.0
"""Groups of rows that share a subject, recording, concept, ..., by names that are unique across corpora."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

# Column -> columns within which its values are unique: subject 01 of one corpus is not subject 01 of another
WITHIN: dict[str, tuple[str, ...]] = {
    "subject": ("corpus",),
    "recording": ("corpus",),
    "session": ("corpus", "subject"),
    "run": ("corpus", "subject", "session"),
}
_SHOWN = 5


def group_rows(dataset: Dataset, column: str, qualified: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return the value of each row in a column as an index (rows,), and the names of the values.

    Args:
        dataset: Windows.
        column: Name of the column.
        qualified: Whether names include the corpus, as [`qualify`] writes them.

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
    """Return a column as strings that are unique across corpora, such as `eegmat/00` for a subject."""
    names = [*(name for name in WITHIN.get(column, ()) if name in dataset.column_names), column]
    table = read_strings(dataset, names)
    columns = [table.column(name).combine_chunks() for name in names]
    return pc.binary_join_element_wise(*columns, pa.scalar("/", pa.large_string()))


def distinct(dataset: Dataset, column: str) -> set[str]:
    """Return the different values of a column, qualified."""
    return set(qualify(dataset, column).drop_null().unique().to_pylist())


def read_strings(dataset: Dataset, names: Sequence[str]) -> pa.Table:
    """Read some columns as large strings, since ordinary ones overflow at millions of rows."""
    table = read_columns(dataset, names)
    return table.cast(pa.schema([(name, pa.large_string()) for name in names]))


def read_columns(dataset: Dataset, names: Sequence[str]) -> pa.Table:
    """Read some columns in the order of the rows, also of a dataset that was shuffled or selected from."""
    table = dataset.data.table.select(list(names))
    if dataset._indices is None:
        return table
    # dataset[:] gathers the rows of an indices mapping one by one: 20 s for a million of them, not 0.2 s
    return table.combine_chunks().take(dataset._indices.table.column(0).combine_chunks())


def find_overlaps(
    recordings: np.ndarray, starts: np.ndarray, seconds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of windows that overlap the window before them in their recording.

    Args:
        recordings: Recording of each window as an index, (windows,).
        starts: Start of each window in seconds, (windows,).
        seconds: Length of each window, (windows,).

    Returns:
        For each overlap, the row of the earlier and of the later window.
    """
    order = np.lexsort((starts, recordings))
    before, after = order[:-1], order[1:]
    is_same = recordings[before] == recordings[after]
    is_overlap = is_same & (starts[after] < starts[before] + seconds[before] - 1e-6)
    return before[is_overlap], after[is_overlap]


def plural(column: str) -> str:
    """Return a name for the values of a column in a sentence."""
    if column == "window_id":
        return "windows"
    return f"{column}s" if column in WITHIN else f"values of {column!r}"


def some(names: Iterable[str], shown: int = _SHOWN) -> str:
    """List the first few names, sorted, and the number of the others."""
    ordered = sorted(map(str, names))
    rest = f" and {len(ordered) - shown} more" if len(ordered) > shown else ""
    return ", ".join(ordered[:shown]) + rest
