# SPDX-License-Identifier: Apache-2.0
"""A Parquet file that is either complete or absent."""

import contextlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...atomic_files import partial_path
from ..recordings.recording_files import FOOTER_KEY
from .encoding import SIGNAL
from .limits import TimeLimitError

CONCATENATED = "DELTA_LENGTH_BYTE_ARRAY"
"""The encoding of Parquet that stores the lengths of all values first, and then the values without gaps."""
_GROUP_BYTES = 2**25
_PAGE_BYTES = 2**30  # more than any group has
_NO_DICTIONARY = (SIGNAL, "scale", "quartiles", "signal_hash", "window_id")  # no value occurs twice


class WriteError(OSError):
    """Writing to the disk failed."""


class WholeFile:
    """A Parquet file that appears once it is complete and on the disk; without rows it is not created."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.footer: dict[str, Any] = {}
        for leftover in path.parent.glob(f".{path.name}.*.partial"):  # of a process that was killed
            leftover.unlink(missing_ok=True)
        self._partial = partial_path(path)  # a new name, since an orphaned worker may still be writing
        self._file = self._partial.open("wb")
        self._writer = pq.ParquetWriter(self._file, schema, **_how_to_store(schema.names))
        self._waiting: list[pa.Table] = []
        self.num_rows = 0

    def write(self, table: pa.Table) -> None:
        """Append rows; those of short recordings wait for others, since each row group costs readers a step.

        Raises:
            WriteError: If writing fails.
            TimeLimitError: If the time limit of the recording ends meanwhile.
        """
        self.num_rows += len(table)  # before writing: rows written in part must be discarded too
        self._waiting.append(table)
        if sum(waiting.nbytes for waiting in self._waiting) >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the rows that wait as a row group.

        Raises:
            As `write`.
        """
        group, self._waiting = self._waiting, []
        try:
            if group:
                self._writer.write_table(pa.concat_tables(group))
        except TimeLimitError:
            raise
        except OSError as error:
            raise WriteError(error.errno, error.strerror or str(error)) from None

    def discard(self) -> None:
        """Discard all rows, so that no file is created."""
        self.num_rows, self._waiting = 0, []

    def __enter__(self) -> "WholeFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None or self.num_rows == 0:
                # A writer left open would try to write again when it is garbage-collected
                with contextlib.suppress(OSError, pa.ArrowException):
                    self._writer.close()
            else:
                self.flush()
                self._writer.add_key_value_metadata(
                    {FOOTER_KEY: json.dumps(self.footer, default=str).encode()}
                )
                self._writer.close()
                self._file.flush()
                os.fsync(self._file.fileno())  # else the name may reach the disk before the content
                self._partial.replace(self.path)
        finally:
            try:
                self._file.close()  # writes what is buffered, which a full disk refuses
            finally:
                self._partial.unlink(missing_ok=True)


def _how_to_store(names: list[str]) -> dict[str, Any]:
    """Return the options of the writer.

    Samples stay as they are, since no compression makes them smaller: back to back in one page of each row
    group, where `mapped_signals` maps them into memory.
    """
    # Dictionaries make repeated values such as subject and channels almost free
    options: dict[str, Any] = {"use_dictionary": [name for name in names if name not in _NO_DICTIONARY]}
    if SIGNAL in names:
        options["column_encoding"] = {SIGNAL: CONCATENATED}
        options["compression"] = {name: "none" if name == SIGNAL else "snappy" for name in names}
        options["data_page_size"] = _PAGE_BYTES
    return options


def read_footer(path: Path) -> dict[str, Any] | None:
    """Return the footer of a shard, which says what it was made from; None if there is no complete shard."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
        footer: dict[str, Any] = json.loads(metadata[FOOTER_KEY])
    except (OSError, KeyError, pa.ArrowException, json.JSONDecodeError):
        return None
    return footer
