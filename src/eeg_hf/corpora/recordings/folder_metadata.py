# SPDX-License-Identifier: Apache-2.0
"""Subjects, sessions and tables of a BIDS tree as columns of a dataset."""

import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from datasets import DownloadConfig, Features, Value
from datasets.utils.file_utils import is_local_path, xopen
from transformers.utils import logging

from ..corpus import Label
from .bids_tree import BIDSFile, bids_recordings
from .metadata_columns import FIELDS, FILE, canonical_columns, find_described
from .recording_bundle import TemporaryFolder
from .recording_names import RecordingNames
from .side_table import column_types, is_missing_word, joined_rows, read_rows, typed

logger = logging.get_logger(__name__)

_ENTITIES = ("subject", "session", "task", "run")
_IN_A_TREE = re.compile(r"(?P<root>.*?/|)(?P<below>sub-[^/]+/(?:ses-[^/]+/)?eeg/sub-[^/]*_eeg\.[^/]+)")
_TABLE = re.compile(
    r"(?P<root>.*?/|)(?P<below>participants\.tsv|(?P<subject>sub-[^/]+)/(?P=subject)_sessions\.tsv)"
)


def bids_rows(
    files: Iterable[str], names: Iterable[str], download_config: DownloadConfig | None = None
) -> dict[str, dict[str, Label]]:
    """Describe the recordings of BIDS trees.

    Args:
        files: Main files of recordings: paths or URLs, also into archives.
        names: All files that are there, including the tables of the trees.
        download_config: Holds the token for URLs.

    Returns:
        File -> `subject`, `session`, `task`, `run`, and the columns of participants.tsv and sessions.tsv:
        numbers where a column holds nothing else, `None` for `n/a`. Files outside of the trees, and those in
        a tree's `sourcedata` and `derivatives`, are left out.
    """
    trees = _by_root(files, _IN_A_TREE)
    tables = _by_root(names, _TABLE)
    found: dict[str, BIDSFile] = {}
    for root, inside in trees.items():
        if not any(root != other and root.startswith(other) for other in trees):
            found |= _read_tree(root, inside, tables.get(root, {}), download_config)
    described = {
        name: {
            (f"participant_{column}" if column in (*_ENTITIES, "eeg") else column): cell
            for column, cell in (*file.subject_row.items(), *file.session_row.items())
        }
        for name, file in found.items()
    }
    types = column_types(list(described.values()))
    return {
        name: {entity: getattr(file, entity) for entity in _ENTITIES} | typed(described[name], types)
        for name, file in found.items()
    }


def row_features(rows: Iterable[Mapping[str, Label]]) -> Features:
    """Return the features of the columns of `bids_rows`."""
    is_number: dict[str, bool] = {}
    for row in rows:
        for column, cell in row.items():
            is_number[column] = is_number.get(column, False) or isinstance(cell, float)
    return Features(
        {column: Value("float64" if number else "string") for column, number in is_number.items()}
    )


def metadata_rows(
    file: str, names: Sequence[str] = (), download_config: DownloadConfig | None = None
) -> pa.Table:
    """Read a `metadata.csv` and the like as `eeg-hf prepare` reads them.

    Rows that name no recording are left out, and recordings without a row get an empty one, with a warning.

    Args:
        file: Path or URL of the table, of any of the types of `read_rows`.
        names: Recordings that it may describe, as paths below its folder; empty if unknown.
        download_config: Holds the token for URLs.

    Returns:
        Its columns, in canonical names: `file_name`, as text `subject`, `session`, `run` and `task`, and
        labels, which are text, whole numbers or numbers.

    Raises:
        ValueError: If the table is damaged or names no files.
    """
    if "::" not in file and is_local_path(file):
        rows = read_rows(Path(file))
    else:
        keep = TemporaryFolder()
        copy = keep.path / Path(file.partition("::")[0]).name
        with xopen(file, "rb", download_config=download_config) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
        rows = read_rows(copy)
    spelt = canonical_columns(dict.fromkeys(name for row in rows for name in row))
    rows = [{spelt.get(column, column): cell for column, cell in row.items()} for row in rows]
    if names and any(FILE in row for row in rows):
        rows = _matched(file, rows, names)
    types = {name: str if name in (FILE, *FIELDS) else kind for name, kind in column_types(rows).items()}
    return pa.table({name: _column(rows, name, kind) for name, kind in types.items()})


def _matched(
    file: str, rows: Sequence[Mapping[str, str | None]], names: Sequence[str]
) -> list[dict[str, str | None]]:
    """Replace what the rows call the recordings by their paths."""
    described, strangers = find_described(file, rows, RecordingNames(names))
    found, _ = joined_rows(file, ((name, {**row, FILE: name}) for name, row in described))
    lacking = [name for name in names if name not in found]
    for what, which in (("rows name no recording", strangers), ("recordings have no row", lacking)):
        if which:
            logger.warning(f"{Path(file).name}: {len(which)} {what}: {', '.join(which[:5])}")
    return [*found.values(), *[dict[str, str | None]({FILE: name}) for name in lacking]]


def _column(rows: Sequence[Mapping[str, str | None]], name: str, kind: type) -> pa.Array:
    """Return one column: text, whole numbers, or numbers."""
    cells = [row.get(name) for row in rows]
    if name == FILE:
        return pa.array(cells, pa.string())
    if name in FIELDS:
        return pa.array([None if is_missing_word(cell) else cell for cell in cells], pa.string())
    values = [typed(row, {name: kind})[name] for row in rows]
    if kind is str:
        return pa.array(values, pa.string())
    if all(isinstance(value, float) and value.is_integer() for value in values):
        return pa.array([int(value) for value in values if isinstance(value, float)], pa.int64())
    return pa.array(values, pa.float64())


def _by_root(names: Iterable[str], pattern: re.Pattern[str]) -> dict[str, dict[str, str]]:
    """Group names that match a pattern by the root of their tree: root -> path below it -> name."""
    trees: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        hop, separator, rest = name.partition("::")
        if match := pattern.fullmatch(hop):
            trees[match["root"] + separator + rest][match["below"]] = name
    return trees


def _read_tree(
    root: str, files: Mapping[str, str], tables: Mapping[str, str], download_config: DownloadConfig | None
) -> dict[str, BIDSFile]:
    """Describe the recordings of one tree; return name -> entry."""
    if "::" not in root and is_local_path(root):
        folder, keep = Path(root), None
    else:
        keep = TemporaryFolder()  # gets a copy of the tree: its tables, and empty files for its recordings
        folder = keep.path
        for below in (*files, *tables):
            (folder / below).parent.mkdir(parents=True, exist_ok=True)
            (folder / below).touch()
        for below, name in tables.items():
            with (
                xopen(name, "rb", download_config=download_config) as source,
                (folder / below).open("wb") as target,
            ):
                shutil.copyfileobj(source, target)
    entries = {file.path.relative_to(folder).as_posix(): file for file in bids_recordings(folder)}
    return {name: entries[below] for below, name in files.items() if below in entries}


__all__ = ["bids_rows", "metadata_rows", "row_features"]
