# SPDX-License-Identifier: Apache-2.0
"""The table of a folder of recordings, one row per file, or per subject: `metadata.csv`."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from transformers.utils import logging

from .look_alikes import plain_form
from .recordings.containment import leads_out
from .recordings.file_checks import decode_text
from .recordings.metadata_columns import FILE, canonical_columns, find_described
from .recordings.recording_names import RecordingNames
from .recordings.side_table import TABLE_SUFFIXES, is_missing_word, joined_rows, read_rows

logger = logging.get_logger(__name__)

_MOST_BYTES = 2**22
"""Of a table that is looked at without being called metadata."""
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class FolderTable:
    """The content of a folder's tables.

    Attributes:
        files: The tables.
        fields: Recording -> those of `subject`, `session`, `run` and `task` that its row has.
        labels: Recording -> all other columns, as text.
        unclear: Recordings whose rows name different subjects.
        subjects: Plain form of a subject -> the columns of their row, of tables that name no files.
    """

    files: tuple[Path, ...] = ()
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    unclear: Collection[str] = frozenset()
    subjects: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)

    @classmethod
    def read(
        cls, root: Path, names: Sequence[str], path: Path | None = None, follow_links: bool = False
    ) -> "FolderTable":
        """Read the tables of a folder.

        Rows that name no recording, recordings without a row, and those with several are listed in warnings.
        A table of another name is taken where there is no other and it names recordings, once each.

        Args:
            root: The folder.
            names: Its recordings, as paths below it.
            path: The table; by default all files called metadata in the folder, or the only one there.
            follow_links: Whether links out of the folder are among these.

        Raises:
            FileNotFoundError: If there is no such table.
            ValueError: If every row names no file, two recordings, or none of the folder.
        """
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"metadata {path} not found")
        files = (
            (_tables(root, follow_links) or _other_tables(root, names, follow_links))
            if path is None
            else [path]
        )
        found: list[tuple[str, dict[str, str | None]]] = []
        strangers: list[str] = []
        subjects: dict[str, dict[str, str | None]] = {}
        for file in files:
            rows = read_rows(file)
            if of_subjects := _rows_of_subjects(rows):
                subjects |= of_subjects
                continue
            # A table describes the recordings at and below its folder
            below = file.parent.relative_to(root).as_posix() if file.is_relative_to(root) else "."
            inside = [name for name in names if below == "." or name.startswith(f"{below}/")]
            recordings = RecordingNames(inside)
            described, unknown = find_described(file, rows, recordings)
            strangers += unknown
            if unknown and inside and not described:
                raise ValueError(
                    f"{file}: none of its {len(unknown)} rows names a recording of the folder, such as "
                    f"{unknown[0]!r}: expected paths such as {inside[0]!r} in the column of files"
                )
            found += [(name, _without_file(row)) for name, row in described]
        joined, contradicting = joined_rows(files[0] if files else root, found)
        unclear = [
            name
            for name, columns in contradicting.items()
            if "subject" in canonical_columns(columns).values()
        ]
        if unclear:
            logger.warning(
                f"{files[0].name}: {len(unclear)} recordings are left out, because their rows name different "
                f"subjects: {', '.join(unclear[:5])}"
            )
        if not subjects:
            without = [name for name in names if name not in joined and root / name not in files]
            _report(files, strangers, without)
        fields = {name: _take_fields(row) for name, row in joined.items()}
        return cls(tuple(files), fields, joined, frozenset(unclear), subjects)

    def of_subjects(self, subjects: Collection[str]) -> dict[str, Mapping[str, str | None]]:
        """Return the row of each subject who has one, spelt alike; the others are listed in a warning."""
        if not self.subjects:
            return {}
        found = {
            name: self.subjects[plain_form(name)] for name in subjects if plain_form(name) in self.subjects
        }
        if without := sorted(set(subjects) - set(found)):
            logger.warning(
                f"{self.files[0].name}: {len(without)} subjects have no row, their labels are unknown: "
                f"{', '.join(without[:5])}; it names {', '.join(list(self.subjects)[:5])}"
            )
        return found


def _tables(root: Path, follow_links: bool) -> list[Path]:
    return sorted(
        path
        for path in root.rglob("[mM][eE][tT][aA][dD][aA][tT][aA].*")
        if path.suffix.lower() in TABLE_SUFFIXES
        and (follow_links or not leads_out(path, root))
        and (path.is_file() or not path.exists())  # reading a dangling link raises, a pipe would block
        and not any(part.startswith(".") for part in path.parts[len(root.parts) :])
    )


def _other_tables(root: Path, names: Sequence[str], follow_links: bool) -> list[Path]:
    """Return the one table in a folder that names recordings or subjects, once each, whatever its name."""
    recordings, found = RecordingNames(names), []
    for path in sorted(root.iterdir() if root.is_dir() else ()):
        is_table = path.suffix.lower() in TABLE_SUFFIXES and not path.name.startswith((".", "~$"))
        is_here = follow_links or not leads_out(path, root)
        if is_table and is_here and path.is_file() and path.stat().st_size <= _MOST_BYTES:
            if path.suffix.lower() in (".csv", ".tsv") and not _may_describe(path):
                continue  # samples: hundreds of such tables would take minutes
            try:
                rows = read_rows(path)
                if _rows_of_subjects(rows):
                    found.append(path)
                    continue
                described, _ = find_described(path, rows, recordings)
            except (ValueError, ImportError):  # of samples, damaged
                continue
            if described and len({name for name, _ in described}) == len(described):
                found.append(path)
    if found:
        names_there = ", ".join(path.name for path in found)
        logger.warning(
            f"there is no metadata.csv: labels are read from {names_there}"
            if len(found) == 1
            else f"there is no metadata.csv, and {names_there} all name recordings or subjects: none is "
            "read; name one by corpus_options.metadata"
        )
    return found if len(found) == 1 else []


def _may_describe(path: Path) -> bool:
    """Return whether the head of a text table has a column of files or subjects."""
    with path.open("rb") as file:
        head = decode_text(file.read(_HEAD_BYTES))
    cells = re.split(r"[,;|\t\r\n]", head)
    return not {FILE, "subject"}.isdisjoint(canonical_columns(cell.strip(' "') for cell in cells).values())


def _rows_of_subjects(rows: Sequence[Mapping[str, str | None]]) -> dict[str, dict[str, str | None]]:
    """Return the row of each subject of a table without files; none where a subject has several rows."""
    columns = canonical_columns(dict.fromkeys(name for row in rows for name in row))
    column = next((old for old, new in columns.items() if new == "subject"), None)
    if column is None or FILE in columns.values():
        return {}
    known = [row for row in rows if row.get(column) is not None and not is_missing_word(row[column])]
    found = {
        plain_form(str(row[column])): {name: cell for name, cell in row.items() if name not in columns}
        for row in known
    }
    return found if len(found) == len(known) else {}


def _without_file(row: Mapping[str, str | None]) -> dict[str, str | None]:
    column = next(old for old, new in canonical_columns(row).items() if new == FILE)
    return {name: cell for name, cell in row.items() if name != column}


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
