# SPDX-License-Identifier: Apache-2.0
"""Mix several prepared corpora by weights: 70 % HBN and 30 % TUH, whatever their sizes.

Local data become one map-style dataset (`interleave_datasets`), which Trainer shuffles, distributes and
resumes as any other. `streaming=True` reads Parquet incrementally, from disk or from the Hub, see
`MixtureStream`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, concatenate_datasets, interleave_datasets

from .encoding import OPTIONAL_COLUMNS
from .leaks import check_across
from .parquet_rows import open_shards
from .prepared import load_windows
from .row_groups import read_columns
from .split_methods import split_where_possible
from .splits import PARTS

if TYPE_CHECKING:
    from .mixture_stream import MixtureStream
    from .parquet_rows import ParquetRows

Agreement = Literal["same", "keep"]


def mixture(
    sources: Mapping[str, float],
    *,
    streaming: bool = False,
    split: str = "official",
    split_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    rates: Agreement = "same",
    channels: Agreement = "keep",
    columns: Sequence[str] | None = None,
    rank: int = 0,
    world_size: int = 1,
    buffer_rows: int = 2048,
    run_length: int = 1,
) -> "DatasetDict | dict[str, MixtureStream]":
    """Mix prepared corpora.

    `train` is drawn by the weights until every row of every corpus was seen, so that rows of a corpus that is
    small for its weight are repeated; a stream has no end. The other parts are not weighted: every row once,
    or in a stream in proportion to the number of rows. A column that a corpus lacks, such as a label, is
    filled with `None`.

    Args:
        sources: Prepared folder or Hub name -> weight; weights are divided by their sum.
        streaming: Read rows as they are needed instead of loading the corpora.
        split: How each corpus is split, as in `split_windows`; a corpus that cannot be split is trained on.
        split_options: Other arguments of `split_windows`.
        seed: Seed of all random numbers.
        rates: `"same"` refuses windows of different sampling rates, since a model would confuse their time
            scales; `"keep"` is for models that get the rate as an input.
        channels: `"keep"` allows different channels, for which batches are padded; `"same"` refuses them.
        columns: Columns to read; all by default.
        rank: For streams: index of this process.
        world_size: For streams: number of processes; each reads its own part.
        buffer_rows: For streams: rows of each corpus in memory, from which the next is drawn.
        run_length: For streams: consecutive rows of one corpus; set to the batch size, each batch holds one
            corpus, and corpora with different channels need no padding.

    Returns:
        `train` and, if the corpora have them, `validation` and `test`.

    Raises:
        ValueError: If a weight is not positive, or the corpora differ in what must be the same.
        FileNotFoundError: If a source does not exist.

    Example:
        >>> parts = mixture({"runs/data/hbn": 0.7, "runs/data/tuh": 0.3})  # doctest: +SKIP
        >>> parts["train"][0]["corpus"]  # doctest: +SKIP
        'hbn'
    """
    if not sources or min(sources.values()) <= 0:
        raise ValueError(f"mixture: expected sources with positive weights, got {dict(sources)}")
    weights = [weight / sum(sources.values()) for weight in sources.values()]
    shards = [open_shards(name) for name in sources] if streaming else []
    rows = [found.index for found in shards] if streaming else [load_windows(name) for name in sources]
    _refuse_unlike(dict(zip(sources, rows, strict=True)), rates, channels)
    splits = [
        split_where_possible(found, split, name=name, **(split_options or {}))
        for name, found in zip(sources, rows, strict=True)
    ]
    # A subject may train one corpus and test another: each split alone would not see it
    check_across(splits)
    if not streaming:
        return _mix_loaded(dict(zip(sources, splits, strict=True)), weights, columns, seed)
    return _mix_streams(
        shards,
        splits,
        weights,
        columns=columns,
        seed=seed,
        rank=rank,
        world_size=world_size,
        buffer_rows=buffer_rows,
        run_length=run_length,
    )


def _mix_loaded(
    splits: Mapping[str, DatasetDict], weights: Sequence[float], columns: Sequence[str] | None, seed: int
) -> DatasetDict:
    """Interleave the training parts of loaded corpora and join their other parts."""
    if columns is not None:
        splits = {name: _select(found, columns) for name, found in splits.items()}
        _refuse_absent(splits, columns)
    _refuse_clashing({name: found["train"] for name, found in splits.items()})
    train = [found["train"].shuffle(seed, keep_in_memory=True) for found in splits.values()]
    mixed = interleave_datasets(
        train, probabilities=list(weights), seed=seed, stopping_strategy="all_exhausted"
    )
    others = {
        part: concatenate_datasets([found[part] for found in splits.values() if part in found])
        for part in _parts(splits.values())[1:]
    }
    return DatasetDict({"train": mixed, **others})


def _select(found: DatasetDict, columns: Sequence[str]) -> DatasetDict:
    """Select the requested columns that a corpus has; the others will be None in its rows."""
    return found.select_columns([name for name in columns if name in found["train"].column_names])


def _refuse_absent(splits: Mapping[str, DatasetDict], columns: Sequence[str]) -> None:
    """Refuse columns that no corpus has."""
    there = {name for found in splits.values() for name in found["train"].column_names}
    if absent := sorted({*columns} - {*there, *OPTIONAL_COLUMNS}):
        raise ValueError(f"mixture: no corpus has the columns {absent}; {', '.join(splits)} were asked")


def _mix_streams(
    shards: "Sequence[ParquetRows]", splits: Sequence[DatasetDict], weights: Sequence[float], **options: Any
) -> "dict[str, MixtureStream]":
    """Stream the training parts by the weights, the others in proportion to their rows."""
    from .mixture_stream import MixtureStream

    streams = {}
    for part in _parts(splits):
        held = [(there, found[part]) for there, found in zip(shards, splits, strict=True) if part in found]
        shares = weights if part == "train" else [len(rows) for _, rows in held]
        streams[part] = MixtureStream([there.only(rows) for there, rows in held], shares, **options)
        streams[part].windows = [rows for _, rows in held]
    return streams


def _parts(splits: Iterable[DatasetDict]) -> list[str]:
    """Return the parts that any corpus has; all have `train`."""
    there = {part for found in splits for part in found}
    return [part for part in PARTS if part in there]


def _refuse_unlike(sources: Mapping[str, Dataset], rates: Agreement, channels: Agreement) -> None:
    """Refuse corpora that differ in what must be the same."""
    for wish, column in ((rates, "sampling_rate"), (channels, "channels")):
        if wish not in ("same", "keep"):
            raise ValueError(f"mixture: expected 'same' or 'keep' for {column}, got {wish!r}")
        found = {name: _distinct(rows, column) for name, rows in sources.items()} if wish == "same" else {}
        if len(set().union(*found.values())) > 1:
            shown = ", ".join(f"{name} has {' and '.join(values)}" for name, values in found.items())
            raise ValueError(
                f"mixture: the corpora differ in {column}: {shown}; prepare them alike (eeg-hf prepare "
                f"--{column} ... --output_dir another folder), or pass 'keep'"
            )


def _distinct(dataset: Dataset, column: str) -> list[str]:
    """Return the different values of a column: rates in Hz, or lists joined by spaces."""
    values = read_columns(dataset, [column]).column(0)
    if column == "sampling_rate":
        return [f"{rate:g} Hz" for rate in sorted(values.unique().to_pylist())]
    return sorted(pc.binary_join(values, " ").unique().to_pylist())


def _refuse_clashing(sources: Mapping[str, Dataset]) -> None:
    """Refuse a column that holds text in one corpus and numbers in another."""
    seen: dict[str, tuple[str, object]] = {}
    for source, rows in sources.items():
        for column, kind in rows.features.items():
            first, other = seen.setdefault(column, (source, kind))
            if kind != other:
                raise ValueError(
                    f"mixture: column {column!r} is {other} in {first} and {kind} in {source}: rename or "
                    "omit it (columns=...)"
                )
