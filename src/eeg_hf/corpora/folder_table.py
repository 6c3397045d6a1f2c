# SPDX-License-Identifier: Apache-2.0
"""The table of a folder of recordings, one row per file: `metadata.csv`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transformers.utils import logging

from .recordings.containment import leads_out
from .recordings.metadata_columns import FILE, canonical_columns
from .recordings.recording_names import RecordingNames
from .recordings.side_table import TABLE_SUFFIXES, is_missing_word, read_rows

logger = logging.get_logger(__name__)


@dataclass(frozen=True)
class FolderTable:
    """The content of a folder's tables.

    Attributes:
        files: The tables.
        fields: Recording -> those of `subject`, `session`, `run` and `task` that its row has.
        labels: Recording -> all other columns, as text.
    """

    files: tuple[Path, ...] = ()
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)

    @classmethod
    def read(
        cls, root: Path, names: Sequence[str], path: Path | None = None, follow_links: bool = False
    ) -> "FolderTable":
        """Read the tables of a folder.

        Rows that name no recording, and recordings without a row, are listed in a warning.

        Args:
            root: The folder.
            names: Its recordings, as paths below it.
            path: The table; by default all files called metadata in the folder.
            follow_links: Whether links out of the folder are among these.

        Raises:
            FileNotFoundError: If there is no such table.
            ValueError: If a row names no file, two recordings, or the same one as another row.
        """
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"metadata {path} not found")
        files = _tables(root, follow_links) if path is None else [path]
        rows: dict[str, dict[str, str | None]] = {}
        strangers: list[str] = []
        for file in files:
            # A table describes the recordings at and below its folder
            below = file.parent.relative_to(root).as_posix() if file.is_relative_to(root) else "."
            inside = [name for name in names if below == "." or name.startswith(f"{below}/")]
            recordings = RecordingNames(inside)
            for place, row in enumerate(read_rows(file), start=2):
                column = next((old for old, new in canonical_columns(row).items() if new == FILE), None)
                text = row.pop(column) if column else None
                if text is None:
                    raise ValueError(f"{file}: row {place} names no file: expected a column file_name")
                name = recordings.find(text)
                if name is None:
                    strangers.append(text)
                elif name in rows:
                    raise ValueError(
                        f"{file}: row {place} is the second one for {name}: keep one; rows for stretches of "
                        "a recording belong in a label table"
                    )
                else:
                    rows[name] = row
        _report(files, strangers, [name for name in names if name not in rows and root / name not in files])
        fields = {name: _take_fields(row) for name, row in rows.items()}
        return cls(tuple(files), fields, rows)


def _tables(root: Path, follow_links: bool) -> list[Path]:
    return sorted(
        path
        for path in root.rglob("metadata.*")
        if path.suffix.lower() in TABLE_SUFFIXES
        and (follow_links or not leads_out(path, root))
        and (path.is_file() or not path.exists())  # reading a dangling link raises, a pipe would block
        and not any(part.startswith(".") for part in path.parts[len(root.parts) :])
    )


def _take_fields(row: dict[str, str | None]) -> dict[str, str]:
    """Move the fields of a recording out of a row."""
    fields = {}
    for column, name in canonical_columns(row).items():
        if name != FILE:
            cell = row.pop(column)
            if cell is not None and not is_missing_word(cell):
                fields[name] = cell
    return fields


def _report(files: Sequence[Path], strangers: Sequence[str], without: Sequence[str]) -> None:
    """Warn about rows without a recording and recordings without a row."""
    if not files:
        return
    if strangers:
        logger.warning(
            f"{files[0].name}: {len(strangers)} rows name no recording of the folder: "
            f"{', '.join(strangers[:5])}"
        )
    if without:
        logger.warning(
            f"{files[0].name}: {len(without)} recordings have no row, their labels are unknown: "
            f"{', '.join(without[:5])}"
        )


__all__ = ["FolderTable"]
