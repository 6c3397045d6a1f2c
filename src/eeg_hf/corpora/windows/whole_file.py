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
from .limits import TimeLimitError

_NO_DICTIONARY = ("signal", "scale", "quartiles", "signal_hash", "window_id")  # no value occurs twice


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
        # Dictionaries make repeated values such as subject and channels almost free
        dictionaries = [field.name for field in schema if field.name not in _NO_DICTIONARY]
        self._writer = pq.ParquetWriter(self._file, schema, use_dictionary=dictionaries)
        self.num_rows = 0

    def write(self, table: pa.Table) -> None:
        """Append rows as one row group.

        Raises:
            WriteError: If writing fails.
            TimeLimitError: If the time limit of the recording ends meanwhile.
        """
        self.num_rows += len(table)  # before writing: rows written in part must be discarded too
        try:
            self._writer.write_table(table)
        except TimeLimitError:
            raise
        except OSError as error:
            raise WriteError(error.errno, error.strerror or str(error)) from None

    def discard(self) -> None:
        """Discard all rows, so that no file is created."""
        self.num_rows = 0

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


def read_footer(path: Path) -> dict[str, Any] | None:
    """Return the footer of a shard, which says what it was made from; None if there is no complete shard."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
        footer: dict[str, Any] = json.loads(metadata[FOOTER_KEY])
    except (OSError, KeyError, pa.ArrowException, json.JSONDecodeError):
        return None
    return footer
