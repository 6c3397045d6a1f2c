# SPDX-License-Identifier: Apache-2.0
"""The samples of prepared shards, mapped into memory where they lie.

`datasets` copies Parquet files into its cache before it maps them: 40 s and another 20 GB for a corpus of
20 GB. The page of a row group that `WholeFile` writes ends with the samples of its windows, back to back,
which is what a column of Arrow is in memory. All other columns, a hundredth of the bytes, are copied.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset, concatenate_datasets, load_dataset
from datasets.fingerprint import Hasher
from datasets.table import TableBlock, table_cast, table_flatten

from .encoding import SIGNAL, hash_signal
from .whole_file import CONCATENATED

_BYTES_PER_SAMPLE = 2
_LARGEST_COLUMN = 2**31 - 1  # Arrow counts the bytes of a binary column in 32 bits
_CHANGES: Mapping[str, Callable[..., pa.Table]] = {"cast": table_cast, "flatten": table_flatten}
"""Methods of a table for which `datasets` has its own function."""


def load_mapped(folder: Path) -> Dataset | None:
    """Load a prepared corpus without copying its samples.

    Args:
        folder: A complete folder of `eeg-hf prepare`.

    Returns:
        What `load_dataset(folder, split="train")` returns; `None` if the samples cannot be mapped, because
        an earlier version prepared the corpus, or another program wrote it.
    """
    paths = sorted(folder.glob("data/*.parquet"))
    pages = [_find_pages(path) for path in paths]
    if not all(pages):
        return None
    names = pq.read_schema(paths[0]).names
    columns = [name for name in names if name != SIGNAL]
    # The cache of datasets knows a folder by its name and its card: rows that do not fit are of another one
    for mode in ("reuse_dataset_if_exists", "force_redownload"):
        light = load_dataset(str(folder), split="train", columns=columns, download_mode=mode)
        shards = _place_all(dict(zip(paths, pages, strict=True)), light.data.table)
        if shards is None:
            continue
        identity = Hasher.hash([(shard.path, shard.size, shard.modified_ns) for shard in shards])
        signals = Dataset(MappedSignals(shards), fingerprint=identity)
        whole = concatenate_datasets([light, signals], split=light.split, axis=1)
        return whole.select_columns(names)
    return None


@dataclass(frozen=True)
class _Page:
    """The samples of a row group in its file: bytes `first` to `end` hold them, after a header."""

    num_rows: int
    first: int
    end: int


@dataclass(frozen=True)
class SignalShard:
    """Where the samples of a shard lie.

    Attributes:
        path: Absolute path of the shard.
        size: Its size in bytes.
        modified_ns: When it was last written.
        groups: For each row group, the byte where its samples begin, and where each window begins after that,
            (rows + 1,) int32.
    """

    path: str
    size: int
    modified_ns: int
    groups: Sequence[tuple[int, np.ndarray]]

    def map(self) -> list[pa.Array]:
        """Return the samples of each row group as an array of bytes that are read when they are used.

        Raises:
            OSError: If the file has been replaced since it was opened.
        """
        stat = os.stat(self.path)
        if (stat.st_size, stat.st_mtime_ns) != (self.size, self.modified_ns):
            raise OSError(f"{self.path} has changed since it was opened: load the windows again")
        file = pa.memory_map(self.path).read_buffer()
        return [
            pa.Array.from_buffers(
                pa.binary(), len(starts) - 1, [None, pa.py_buffer(starts), file.slice(first, int(starts[-1]))]
            )
            for first, starts in self.groups
        ]

    def holds(self, hashes: pa.ChunkedArray) -> bool:
        """Return whether the first window of each row group is the one with the hash that its row states."""
        row = 0
        for group in self.map():
            if hash_signal(group[0].as_buffer()) != hashes[row].as_py():
                return False
            row += len(group)
        return True


class MappedSignals(TableBlock):
    """A table of one column, `signal`, for `datasets` to put beside others.

    It is pickled as the places of the samples and the changes that were made to it: processes that read
    windows map the same files.

    Args:
        shards: Where the samples lie.
        changes: Name, positional and keyword arguments of each method that was applied to the table.
        table: The changed table, if it is known.
    """

    def __init__(
        self,
        shards: Sequence[SignalShard],
        changes: Sequence[tuple[str, tuple[Any, ...], dict[str, Any]]] = (),
        table: pa.Table | None = None,
    ) -> None:
        self.shards, self.changes = shards, changes
        if table is None:
            groups = [group for shard in shards for group in shard.map()]
            table = pa.table({SIGNAL: pa.chunked_array(groups, pa.binary())})
            for name, args, kwargs in changes:
                table = _change(table, name, *args, **kwargs)
        super().__init__(table)

    def __getstate__(self) -> dict[str, Any]:
        return {"shards": self.shards, "changes": self.changes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        MappedSignals.__init__(self, **state)

    def _changed(self, name: str, *args: Any, **kwargs: Any) -> "MappedSignals":
        table = _change(self.table, name, *args, **kwargs)
        return MappedSignals(self.shards, [*self.changes, (name, args, kwargs)], table)

    # All that `datasets` asks of a block of a table; written out, so that readers and type checkers see them
    slice = partialmethod(_changed, "slice")
    filter = partialmethod(_changed, "filter")
    flatten = partialmethod(_changed, "flatten")
    combine_chunks = partialmethod(_changed, "combine_chunks")
    cast = partialmethod(_changed, "cast")
    replace_schema_metadata = partialmethod(_changed, "replace_schema_metadata")
    add_column = partialmethod(_changed, "add_column")
    append_column = partialmethod(_changed, "append_column")
    remove_column = partialmethod(_changed, "remove_column")
    set_column = partialmethod(_changed, "set_column")
    rename_columns = partialmethod(_changed, "rename_columns")
    drop = partialmethod(_changed, "drop")
    select = partialmethod(_changed, "select")


def _change(table: pa.Table, name: str, *args: Any, **kwargs: Any) -> pa.Table:
    change = _CHANGES.get(name)
    return change(table, *args, **kwargs) if change else getattr(table, name)(*args, **kwargs)


def _find_pages(path: Path) -> list[_Page]:
    """Return the page of samples of each row group; nothing if they are not stored back to back."""
    metadata = pq.read_metadata(path)
    columns = [i for i in range(metadata.num_columns) if metadata.schema.column(i).path == SIGNAL]
    if len(columns) != 1:
        return []
    pages = []
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        chunk = group.column(columns[0])
        if chunk.compression != "UNCOMPRESSED" or CONCATENATED not in chunk.encodings:
            return []
        first = chunk.data_page_offset
        pages.append(_Page(group.num_rows, first, first + chunk.total_compressed_size))
    return pages


def _place_all(pages: Mapping[Path, list[_Page]], rows: pa.Table) -> "list[SignalShard] | None":
    """Return where the samples of all rows lie; None if these are not the rows of the shards."""
    channels = pc.list_value_length(rows.column("scale")).to_numpy()
    sizes = rows.column("num_samples").to_numpy() * channels * _BYTES_PER_SAMPLE  # (windows,) in bytes
    if sum(page.num_rows for found in pages.values() for page in found) != len(sizes):
        return None
    shards, first = [], 0
    for path, found in pages.items():
        last = first + sum(page.num_rows for page in found)
        shard = _place(path, found, sizes[first:last])
        if shard is None or not shard.holds(rows.column("signal_hash").slice(first, last - first)):
            return None
        shards.append(shard)
        first = last
    return shards


def _place(path: Path, pages: Sequence[_Page], sizes: np.ndarray) -> SignalShard | None:
    """Return where each window of a shard lies, by the sizes (windows,) of its windows in bytes."""
    groups, stat = [], path.stat()
    for page, of_page in zip(pages, _split(sizes, pages), strict=True):
        starts = np.concatenate([[0], np.cumsum(of_page)])
        first = page.end - int(starts[-1])  # the samples come last
        if first <= page.first or starts[-1] > _LARGEST_COLUMN:
            return None
        groups.append((first, starts.astype(np.int32)))
    return SignalShard(str(path.absolute()), stat.st_size, stat.st_mtime_ns, groups)


def _split(sizes: np.ndarray, pages: Sequence[_Page]) -> Iterator[np.ndarray]:
    return iter(np.split(sizes, np.cumsum([page.num_rows for page in pages])[:-1]))
