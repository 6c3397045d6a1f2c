# SPDX-License-Identifier: Apache-2.0
"""Bounds on what a file may become in memory: a file of a megabyte must not want gigabytes."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

_FREE_BYTES = 2**28
_MAX_RATIO = 100  # recordings shrink by less than ten times, also sparse ones
MAX_CHANNELS = 4096
"""Channels that a recording may have: eight times those of the densest caps and grids."""


def bound_of(num_packed: int) -> int:
    """Return the largest number of bytes that a file may decompress to."""
    return max(_FREE_BYTES, _MAX_RATIO * num_packed)


def refuse_expansion(name: str, num_packed: int, num_bytes: float) -> None:
    """Refuse a file that decompresses to more than a hundred times its size, above 256 MiB.

    Args:
        name: The file, for the message.
        num_packed: Its size in bytes.
        num_bytes: Bytes that its content takes.

    Raises:
        ValueError: If it is too large.
    """
    if num_bytes > bound_of(num_packed):
        raise ValueError(
            f"{name} of {num_packed} bytes wants {num_bytes / 2**20:.0f} MiB of memory, expected at most "
            f"{bound_of(num_packed) / 2**20:.0f}: it is damaged, or made to exhaust the memory"
        )


def refuse_channels(name: str, number: float) -> None:
    """Refuse a file that promises more channels than any recording has, before a reader lists them.

    Args:
        name: The file, for the message.
        number: Channels that its header promises.

    Raises:
        ValueError: If these are too many.
    """
    if number > MAX_CHANNELS:
        raise ValueError(
            f"{name} promises {number:.0f} channels, expected at most {MAX_CHANNELS}: it is damaged or no EEG"
        )


def bounded_batches(path: Path, file: "ParquetFile", num_rows: int) -> "Iterator[pa.RecordBatch]":
    """Yield the rows of a Parquet file: one value may stand in it for any number of equal ones.

    Args:
        path: The file, for the message.
        file: The file, opened.
        num_rows: Rows read at a time.

    Raises:
        ValueError: If the rows become too large.
    """
    num_bytes = 0
    for batch in file.iter_batches(batch_size=num_rows):
        num_bytes += batch.nbytes
        refuse_expansion(path.name, path.stat().st_size, num_bytes)
        yield batch


__all__ = ["MAX_CHANNELS", "bound_of", "bounded_batches", "refuse_channels", "refuse_expansion"]
