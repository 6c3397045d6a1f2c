# SPDX-License-Identifier: Apache-2.0
"""Tables beside recordings: `participants.tsv`, `metadata.csv`, an expert's labels.

Such tables are written by hand and by many programs, so cells are read as text whatever the format: a subject
`01` stays `01`. A column holds numbers if every known cell is a number.
"""

import csv
import io
import json
import math
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
from transformers.utils import logging

from ...legible_text import legible
from ..corpus import Label
from ..windows.encoding import window_schema
from .file_checks import decode_text
from .memory_bound import bounded_batches, refuse_expansion

logger = logging.get_logger(__name__)

Row = Mapping[str, str | None]

TABLE_SUFFIXES: tuple[str, ...] = (".csv", ".tsv", ".jsonl", ".parquet", ".xlsx")

# n/a in BIDS; what spreadsheets and pandas write for a cell without a value
_MISSING = frozenset({"", "n/a", "#n/a", "#na", "#nv", "<na>"})
# Missing among numbers (NA in R, NaN and None in Python); in a column of text they may be a class
_MISSING_WORDS = frozenset({"na", "nan", "none", "null"})
_CODE = re.compile(r"[+-]?0\d")  # a number with a leading zero names something
_DELIMITERS = "\t,;"
_MAX_TEXT_BYTES = 2**28  # three million events
_BYTES_OF_CELL = 64  # in Python
_COLUMNS_OF_WINDOWS = frozenset(window_schema({}).names)


def read_rows(path: Path, has_classes: bool = True) -> list[dict[str, str | None]]:
    """Read a table as text.

    Args:
        path: A CSV (commas, semicolons or tabs), TSV, JSON-lines, Parquet or XLSX file. Text may be UTF-8
            with or without a byte-order mark, UTF-16 with one, or Latin-1.
        has_classes: Whether `None`, `NA`, `nan` and `null` in a column of text are classes of these names; a
            warning names them. Elsewhere they are missing.

    Returns:
        One mapping from column to stripped cell per row; `None` for empty cells, `n/a` and `#N/A`, and for
        `NA` and the like in a column of numbers.
        Columns without a name, such as the index of pandas, are left out.

    Raises:
        ValueError: If every row has more cells than the header, two columns have the same name, or the file
            is too large for a table. Single rows with too many cells are left out with a warning.
        ImportError: If the file is XLSX and openpyxl is not installed.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        try:
            rows: Iterable[Mapping[str, Any]] = _read_parquet(path)
        except (ValueError, pa.ArrowException) as error:
            raise ValueError(f"{path} is not a complete Parquet file: {error}") from None
    elif suffix == ".xlsx":
        rows = _read_xlsx(path)
    elif suffix == ".jsonl":
        rows = _read_jsonl(path)
    else:
        rows = _read_delimited(path)
    table = [
        {legible(name.strip()): _text(cell) for name, cell in row.items() if name.strip()} for row in rows
    ]
    for name in dict.fromkeys(name for row in table for name in row):
        _decide_words(path, table, name, has_classes)
    return table


def is_missing_word(cell: str | None) -> bool:
    """Return whether a cell is `NA`, `nan`, `None` or `null` in any case, which never name a subject."""
    return cell is not None and cell.lower() in _MISSING_WORDS


def _decide_words(path: Path, rows: Sequence[dict[str, str | None]], name: str, has_classes: bool) -> None:
    """Set `NA` and the like of a column to None, in place, unless they are classes."""
    marked = [row for row in rows if is_missing_word(row.get(name))]
    if not marked:
        return
    known = [row[name] for row in rows if row.get(name) is not None and not is_missing_word(row[name])]
    if has_classes and known and not all(map(_parses, known)):
        listed = ", ".join(sorted({str(row[name]) for row in marked}))
        logger.warning_once(
            f"{path.name}: {listed} in the column {name} are {len(marked)} values of that name; leave the "
            "cells empty, or write n/a, where the value is unknown"
        )
        return
    words = sorted({str(row[name]) for row in marked})
    if has_classes and not known and len(words) > 1:
        logger.warning_once(
            f"{path.name}: the column {name} holds only {', '.join(words)}, which are missing values: write "
            "other words if they are classes"
        )
    for row in marked:
        row[name] = None


def text_of(path: Path) -> str:
    """Read a text file: UTF-8 with or without a byte-order mark, UTF-16 with one, else Latin-1."""
    size = path.stat().st_size
    if size > _MAX_TEXT_BYTES:
        raise ValueError(f"{path} has {size} bytes, too many for a table: expected at most {_MAX_TEXT_BYTES}")
    return decode_text(path.read_bytes())


def column_types(
    rows: Sequence[Mapping[str, Label]], columns: Iterable[str] | None = None
) -> dict[str, type[str] | type[float]]:
    """Separate number columns from text columns.

    Args:
        rows: Rows of a table.
        columns: Columns to return; by default all, in the order of their first appearance.

    Returns:
        Column -> `float` where every known cell is a number, else `str`, also where no cell is known.
    """
    names = dict.fromkeys(name for row in rows for name in row) if columns is None else columns
    return {
        name: float if _all_numbers([row[name] for row in rows if row.get(name) is not None]) else str
        for name in names
    }


def typed(row: Mapping[str, Label], types: Mapping[str, type[str] | type[float]]) -> dict[str, Label]:
    """Convert the cells of a row to labels; unknown ones become `None`."""
    return {
        name: None if (cell := row.get(name)) is None else (number(cell) if kind is float else str(cell))
        for name, kind in types.items()
    }


def joined_rows(
    path: Path | str, rows: Iterable[tuple[str, Mapping[str, str | None]]]
) -> tuple[dict[str, dict[str, str | None]], dict[str, list[str]]]:
    """Make one row of those that describe the same thing; cells that contradict each other become unknown.

    A warning names what has several rows, and where they contradict each other.

    Args:
        path: The table, for the warning.
        rows: What a row describes, and its cells.

    Returns:
        What is described -> its cells, and what is described -> the columns that contradict each other.
    """
    joined: dict[str, dict[str, str | None]] = {}
    repeated: dict[str, list[str]] = {}
    for what, row in rows:
        known = {name: cell for name, cell in row.items() if cell is not None}
        if what not in joined:
            joined[what] = dict(row)
            continue
        before, different = joined[what], repeated.setdefault(what, [])
        for name, cell in known.items():
            if before.get(name) not in (None, cell) and name not in different:
                different.append(name)
            before[name] = None if name in different else cell
    if repeated:
        shown = [f"{what} ({', '.join(names) or 'which agree'})" for what, names in repeated.items()]
        logger.warning(
            f"{path} has more than one row for {', '.join(shown[:5])}: cells that contradict each other are "
            "unknown; keep one row"
        )
    return joined, {what: names for what, names in repeated.items() if names}


def free_name(column: str) -> str:
    """Return a column's name as a label, with a suffix where every window has a column of that name."""
    return f"{column}_label" if column in _COLUMNS_OF_WINDOWS else column


def number(cell: str | float) -> float:
    """Read a number.

    Raises:
        ValueError: If it is not a number, or not finite.
    """
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(f"{cell!r} is not finite")
    return value


def _all_numbers(cells: Sequence[Label]) -> bool:
    """Return whether all cells are finite numbers; `001` and `1_000` name something."""
    return bool(cells) and all(map(_is_number, cells))


def _is_number(cell: Label) -> bool:
    is_code = isinstance(cell, str) and ("_" in cell or _CODE.match(cell) is not None)
    return not is_code and _parses(cell)


def _parses(cell: Label) -> bool:
    try:
        return cell is not None and math.isfinite(float(cell))
    except ValueError:
        return False


def _text(cell: Any) -> str | None:
    """Return a cell as text.

    A whole float becomes an integer, because gaps turn integer columns into floats; midnight becomes its day.
    """
    if isinstance(cell, float) and math.isnan(cell):
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, datetime) and cell.time() == time():
        cell = cell.date()
    text = "" if cell is None else legible(str(cell).strip())
    return None if text.lower() in _MISSING else text


def _read_delimited(path: Path) -> list[dict[str, str]]:
    text = re.sub(r"\A\s*sep=.\r?\n", "", text_of(path))  # by which Excel tells itself the delimiter
    header = text.lstrip().partition("\n")[0]
    # By the header and not by the extension, which is often wrong
    delimiter = max(_DELIMITERS, key=lambda sign: (sign in header, sign == "\t", header.count(sign)))
    is_tabbed = delimiter == "\t"  # a quotation mark is an ordinary character in tabbed tables
    reader = csv.reader(
        io.StringIO(text.lstrip(), newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if is_tabbed else csv.QUOTE_MINIMAL,
        strict=True,
    )
    try:
        lines = [line for line in reader if any(cell.strip() for cell in line)]  # without empty lines
    except csv.Error as error:
        raise ValueError(f"{path}: line {reader.line_num} is damaged: {error}") from None
    if not lines:
        return []
    names = [name.strip().strip('"') for name in lines[0]]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ValueError(f"{path} has more than one column {', '.join(twice)}: rename one of them")
    rows, surplus = [], []
    for place, line in enumerate(lines[1:], start=2):
        if any(cell.strip() for cell in line[len(names) :]):
            surplus.append((place, len(line)))  # which of its cells belong to which column is unknown
            continue
        cells = [cell.strip().strip('"') for cell in line] if is_tabbed else line
        rows.append(dict(zip(names, cells, strict=False)))
    _report_surplus(path, surplus, len(names), is_all=not rows)
    if delimiter == ";":  # Excel's delimiter in locales with a decimal comma
        for name in names:
            _write_points(rows, name)
    return rows


def _report_surplus(path: Path, surplus: Sequence[tuple[int, int]], num_columns: int, is_all: bool) -> None:
    """Warn of rows with more cells than the header has columns; refuse a table of nothing else."""
    if not surplus:
        return
    place, number = surplus[0]
    message = f"{path}: row {place} has {number} cells, its header names {num_columns} columns"
    if is_all:
        raise ValueError(message)
    logger.warning(
        f"{message}: {len(surplus)} such rows are left out; put cells with a comma into quotation marks"
    )


def _write_points(rows: Sequence[dict[str, str]], name: str) -> None:
    """Replace decimal commas in a column whose known cells are all numbers, in place."""
    # "1,5" is a number only where the whole column is one: it could be a list
    cells = {place: row[name].strip() for place, row in enumerate(rows) if name in row}
    pointed = {p: re.sub(r"^([+-]?\d+),(\d+)$", r"\1.\2", cell) for p, cell in cells.items()}
    if _all_numbers([cell for cell in pointed.values() if cell.lower() not in _MISSING | _MISSING_WORDS]):
        for place, cell in pointed.items():
            rows[place][name] = cell


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    """Read a Parquet table in small steps: a cell that repeats a million times is stored once."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        num_cells = file.metadata.num_rows * file.metadata.num_columns
        refuse_expansion(path.name, path.stat().st_size, _BYTES_OF_CELL * num_cells)
        return [row for batch in bounded_batches(path, file, 64) for row in batch.to_pylist()]


def _read_jsonl(path: Path) -> list[dict[str, Any]]:
    rows = []
    for place, line in enumerate(text_of(path).splitlines(), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise ValueError(f"{path}: line {place} is not JSON: {error}") from None
            if not isinstance(row, dict):
                raise ValueError(f"{path}: line {place} is not an object: {line[:40]}")
            rows.append(row)
    return rows


def _read_xlsx(path: Path) -> list[dict[str, Any]]:
    try:
        from openpyxl import load_workbook  # type: ignore[import-untyped]
    except ImportError:
        raise ImportError(
            f'{path.name} needs openpyxl: pip install "eeg-hf[formats]", or save it as CSV'
        ) from None
    try:
        with zipfile.ZipFile(path) as archive:
            refuse_expansion(path.name, path.stat().st_size, sum(e.file_size for e in archive.infolist()))
        sheet = load_workbook(path, read_only=True, data_only=True).worksheets[0]
    except (zipfile.BadZipFile, KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{path} is not a complete XLSX file: {error}") from None
    cells = sheet.iter_rows(values_only=True)
    names = [str(name or "") for name in next(cells, ())]
    return [dict(zip(names, row, strict=False)) for row in cells if any(cell is not None for cell in row)]


__all__ = [
    "TABLE_SUFFIXES",
    "Row",
    "column_types",
    "free_name",
    "is_missing_word",
    "joined_rows",
    "number",
    "read_rows",
    "text_of",
    "typed",
]
