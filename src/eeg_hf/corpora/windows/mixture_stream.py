# SPDX-License-Identifier: Apache-2.0
"""A stream of windows of several corpora in which (seed, process, worker, position) determine every row.

`interleave_datasets` of streams with a shuffle buffer cannot resume exactly: `datasets` 5.2 does not save the
buffer ("the shuffle buffer will be refilled"), repeats a small corpus in the same order, and reaches a
position only by reading everything before it. Here the order is computed: each pass over a corpus visits its
row groups in a new order and permutes the rows of `buffer_rows` at a time. A position is found by counting
rows, so that a run resumed after a million batches starts immediately, with exactly the batch it would have
seen.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from datasets.table import InMemoryTable
from torch.utils.data import IterableDataset, get_worker_info

from .encoding import OPTIONAL_COLUMNS
from .parquet_rows import ParquetRows

_DRAWS = 1000  # sources drawn at a time
_FEW = 8  # with fewer row groups per worker, workers share rows instead of row groups


class MixtureStream(IterableDataset):
    """An endless stream of rows of several corpora, as Arrow tables of one row.

    Use it in a `DataLoader` with an [`EEGDataCollator`]; workers and processes read different rows, and
    repeat none before their pass over the corpus ends. All processes need the same number of workers, also
    after a restart.

    Args:
        sources: Rows of each corpus.
        weights: Share of each corpus in the rows; divided by their sum.
        columns: Columns of the rows; default: all columns of all corpora.
        seed: Seed of the order.
        rank: Index of this process.
        world_size: Number of processes.
        buffer_rows: Rows of each corpus that a worker holds and permutes at a time.
        run_length: Consecutive rows of one corpus; set to the batch size, each batch holds one corpus, and
            corpora with different channels need no padding.
    """

    def __init__(
        self,
        sources: Sequence[ParquetRows],
        weights: Sequence[float],
        *,
        columns: Sequence[str] | None = None,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        buffer_rows: int = 2048,
        run_length: int = 1,
    ) -> None:
        if not 0 <= rank < world_size:
            raise ValueError(f"expected a rank below {world_size}, the number of processes, got {rank}")
        if buffer_rows < 1 or run_length < 1:
            raise ValueError(
                f"expected 1 or more buffer_rows and run_length, got {buffer_rows} and {run_length}"
            )
        self.sources = list(sources)
        self.weights = np.asarray(weights, np.float64) / np.sum(weights)
        self.schema = _unify(self.sources, columns)
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.buffer_rows = buffer_rows
        self.run_length = run_length
        self._start = {"batches": 0, "batch_size": 1}
        self._rows_read = 0
        self.windows: list[Dataset] = []  # the provenance of the rows, without signals

    @property
    def num_rows(self) -> int:
        """Number of different rows."""
        return int(sum(source.counts.sum() for source in self.sources))

    def start_at(self, batches: int, batch_size: int = 1) -> None:
        """Start future iterations after some batches.

        Args:
            batches: Number of batches that the `DataLoader` of this process has returned, over all workers.
            batch_size: Its batch size.
        """
        self._start = {"batches": batches, "batch_size": batch_size}

    def state_dict(self) -> dict[str, int]:
        """Return the position of the iteration in this process; with workers, count batches instead."""
        rows = self._start["batches"] * self._start["batch_size"] + self._rows_read
        return {"batches": rows, "batch_size": 1}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Start at the position of a `state_dict`."""
        self.start_at(**state)

    def __iter__(self) -> Iterator[pa.Table]:
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        batches, self._rows_read = self._start["batches"], 0
        # A new loader starts with worker 0, which takes over from the worker whose turn it was
        number = (number + batches) % workers
        done = (batches - number + workers - 1) // workers
        stream = self.rank * workers + number
        for row in self._rows(stream, self.world_size * workers, done * self._start["batch_size"]):
            self._rows_read += 1
            yield row

    def take(self, num_rows: int) -> Dataset:
        """Return the next rows, at most `self.num_rows`, as a dataset in memory."""
        rows = pa.concat_tables(islice(self, min(num_rows, self.num_rows)))
        return Dataset(InMemoryTable(rows.combine_chunks()))

    def _rows(self, stream: int, num_streams: int, skip: int) -> Iterator[pa.Table]:
        """Yield the rows of one stream, from a position on."""
        draws = self._draws(stream)
        # Find the position: count the rows of each source among the first `skip` draws
        skipped = np.zeros(len(self.sources), np.int64)
        num_drawn = _DRAWS * self.run_length
        for _ in range(skip // num_drawn):
            skipped += np.bincount(next(draws), minlength=len(self.sources))
        begun = next(draws)
        skipped += np.bincount(begun[: skip % num_drawn], minlength=len(self.sources))
        rows = [
            self._rows_of(source, stream, num_streams, int(number)) for source, number in enumerate(skipped)
        ]
        chosen = begun[skip % num_drawn :]
        while True:
            for source in chosen:
                yield next(rows[source])
            chosen = next(draws)

    def _draws(self, stream: int) -> Iterator[np.ndarray]:
        random = np.random.default_rng([self.seed, stream])
        while True:
            chosen = random.choice(len(self.sources), size=_DRAWS, p=self.weights)
            yield np.repeat(chosen, self.run_length)

    def _rows_of(self, source: int, stream: int, num_streams: int, skip: int) -> Iterator[pa.Table]:
        """Yield a stream's rows of one corpus, pass after pass, from a position on."""
        rows = self.sources[source]
        # With few row groups, streams permute the same rows and take every n-th; else each has its own groups
        shares_rows = len(rows.counts) < _FEW * num_streams
        if rows.counts.sum() < num_streams * (1 if shares_rows else 0):
            raise ValueError(
                f"{rows.name}: {rows.counts.sum()} windows are too few for {num_streams} readers"
            )
        first, step = (stream, num_streams) if shares_rows else (0, 1)
        repeat = 0
        while True:
            groups = np.random.default_rng([self.seed, source, repeat]).permutation(len(rows.counts))
            groups = groups if shares_rows else groups[stream::num_streams]
            for number, block in enumerate(_blocks(groups, rows.counts, self.buffer_rows)):
                random = np.random.default_rng(
                    [self.seed, source, repeat, number, *([] if shares_rows else [stream])]
                )
                order = random.permutation(int(rows.counts[block].sum()))[first::step]
                if skip >= len(order):  # this block lies before the position: count it without reading it
                    skip -= len(order)
                    continue
                table = _of_pass(_conform(rows.read(block, self.schema.names), self.schema), repeat)
                yield from (table.slice(row, 1) for row in order[skip:])
                skip = 0
            repeat += 1


def _of_pass(table: pa.Table, repeat: int) -> pa.Table:
    """Mark the ids of later passes, so that random numbers seeded by them differ between passes."""
    if repeat == 0 or "window_id" not in table.column_names:
        return table
    index = table.column_names.index("window_id")
    ids = pc.binary_join_element_wise(table.column(index), f"#{repeat}", "")
    return table.set_column(index, table.schema.field(index), ids)


def _blocks(groups: np.ndarray, counts: np.ndarray, rows: int) -> list[np.ndarray]:
    """Split a list of row groups into blocks of about `rows` rows."""
    block = (np.cumsum(counts[groups]) - counts[groups]) // rows
    return np.split(groups, np.flatnonzero(np.diff(block)) + 1)


def _unify(sources: Sequence[ParquetRows], columns: Sequence[str] | None) -> pa.Schema:
    """Return the columns of all corpora, or the requested ones."""
    try:
        schema = pa.unify_schemas([source.schema for source in sources])
    except pa.ArrowTypeError as error:
        raise ValueError(
            f"mixture: a column differs between corpora: {' '.join(str(error).split())}"
        ) from None
    missing = sorted({*(columns or ())} - {*schema.names, *OPTIONAL_COLUMNS})
    if missing:
        raise ValueError(f"mixture: no corpus has the columns {missing}; there are {sorted(schema.names)}")
    if columns is None:
        return schema
    return pa.schema([schema.field(name) for name in columns if name in schema.names])


def _conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with the columns of all corpora, with nulls in those it lacks."""
    arrays: list[Any] = [
        table.column(name) if name in table.column_names else pa.nulls(len(table), kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)
