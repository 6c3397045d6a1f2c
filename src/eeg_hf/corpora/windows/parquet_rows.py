# SPDX-License-Identifier: Apache-2.0
"""Read the shards of a prepared corpus by row group, from disk or from the Hub.

All columns except the samples, a hundredth of the bytes, are read once: they determine the split, and with it
the rows of each row group that belong to a part.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset
from datasets.table import InMemoryTable

from .prepared import refuse_unfinished
from .row_groups import read_columns

ROW = "__row__"
_HEAVY = ("signal", "scale", "quartiles", "channel_positions")
_THREADS = 8  # hide the latency of the Hub


@dataclass(frozen=True)
class ParquetRows:
    """Some rows of the shards of one corpus.

    Attributes:
        name: Folder or Hub name.
        filesystem: File system of the shards.
        paths: Paths of the shards.
        schema: Columns of the shards.
        places: (groups, 2) shard and row group within it.
        sizes: (groups,) number of rows of each row group, including those outside the part.
        index: One row per window, in order, without the samples; empty once a part is selected.
        rows: For each row group, its rows that belong to the part.
    """

    name: str
    filesystem: fsspec.AbstractFileSystem = field(repr=False)
    paths: Sequence[str] = field(repr=False)
    schema: pa.Schema = field(repr=False)
    places: np.ndarray = field(repr=False)
    sizes: np.ndarray = field(repr=False)
    index: Dataset = field(repr=False)
    rows: Sequence[np.ndarray] = field(repr=False)

    @property
    def counts(self) -> np.ndarray:
        """Number of rows of the part in each row group, (groups,)."""
        return np.array([len(rows) for rows in self.rows])

    def only(self, part: Dataset) -> "ParquetRows":
        """Keep the rows of a part of `index`, and their row groups."""
        numbers = np.sort(read_columns(part, [ROW]).column(0).to_numpy())
        ends = np.cumsum(self.sizes)
        # Row numbers of the corpus, divided at the ends of the row groups
        split = np.split(numbers, np.searchsorted(numbers, ends[:-1]))
        is_used = np.array([len(rows) > 0 for rows in split])
        rows = [found - start for found, start in zip(split, ends - self.sizes, strict=True) if len(found)]
        places, sizes = self.places[is_used], self.sizes[is_used]
        return replace(self, places=places, sizes=sizes, index=Dataset.from_dict({}), rows=rows)

    def read(self, groups: Iterable[int], columns: Sequence[str]) -> pa.Table:
        """Read the part's rows of some row groups.

        Args:
            groups: Indices of the row groups.
            columns: Names of the columns; those that this corpus lacks are ignored.
        """

        def read_group(group: int) -> pa.Table:
            shard, number = self.places[group]
            with self.filesystem.open(self.paths[shard]) as file:
                wanted = [name for name in columns if name in self.schema.names]
                table = pq.ParquetFile(file).read_row_group(number, columns=wanted)
            rows = self.rows[group]
            return table if len(rows) == len(table) else table.take(rows)

        with ThreadPoolExecutor(_THREADS) as pool:
            return pa.concat_tables(pool.map(read_group, groups))


def open_shards(source: str | Path) -> ParquetRows:
    """Open a prepared corpus without loading its samples.

    Args:
        source: Folder written by `eeg-hf prepare`, or Hub name of such a dataset.

    Raises:
        FileNotFoundError: If there is no prepared corpus.
    """
    refuse_unfinished(source)
    folder = Path(source)
    filesystem, root = fsspec.core.url_to_fs(
        str(folder.absolute()) if folder.exists() else f"hf://datasets/{source}"
    )
    try:
        paths = sorted(filesystem.glob(f"{root}/data/*.parquet"))
    except (OSError, ValueError) as error:
        paths, reason = [], str(error).splitlines()[0]
    else:
        reason = "no data/*.parquet"
    if not paths:
        raise FileNotFoundError(
            f"{source} is neither a prepared folder nor a dataset on the Hub: {reason}"
        ) from None

    def read_light(path: str) -> tuple[list[int], pa.Table, pa.Schema]:
        with filesystem.open(path) as file:
            shard = pq.ParquetFile(file)
            light = [name for name in shard.schema_arrow.names if name not in _HEAVY]
            sizes = [shard.metadata.row_group(i).num_rows for i in range(shard.num_row_groups)]
            return sizes, shard.read(columns=light), shard.schema_arrow

    with ThreadPoolExecutor(_THREADS) as pool:
        sizes, tables, schemas = zip(*pool.map(read_light, paths), strict=True)
    table = pa.concat_tables(tables, promote_options="default").replace_schema_metadata()
    table = table.append_column(ROW, pa.array(np.arange(len(table))))
    flat = np.array([size for found in sizes for size in found])
    return ParquetRows(
        name=str(source),
        filesystem=filesystem,
        paths=paths,
        schema=pa.unify_schemas([schema.remove_metadata() for schema in schemas]),
        places=np.array([(shard, i) for shard, found in enumerate(sizes) for i in range(len(found))]),
        sizes=flat,
        index=Dataset(InMemoryTable(table)),
        rows=[np.arange(size) for size in flat],
    )
