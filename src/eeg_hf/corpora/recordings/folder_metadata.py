# SPDX-License-Identifier: Apache-2.0
"""Subjects, sessions and tables of a BIDS tree as columns of a dataset."""

import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
from datasets import DownloadConfig, Features, Value
from datasets.utils.file_utils import is_local_path, xopen

from ..corpus import Label
from .bids_tree import BIDSFile, bids_recordings
from .recording_bundle import TemporaryFolder
from .side_table import column_types, read_rows, typed

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


def metadata_rows(file: str, download_config: DownloadConfig | None = None) -> pa.Table:
    """Read a `metadata.csv` as `eeg-hf prepare` reads it.

    Args:
        file: Path or URL of the table.
        download_config: Holds the token for URLs.

    Returns:
        Its columns, of which `file_name` has the first place: text, whole numbers or numbers.

    Raises:
        ValueError: If the table is damaged.
    """
    if "::" not in file and is_local_path(file):
        rows = read_rows(Path(file))
    else:
        keep = TemporaryFolder()
        copy = keep.path / "metadata.csv"
        with xopen(file, "rb", download_config=download_config) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
        rows = read_rows(copy)
    columns: dict[str, pa.Array] = {}
    for name, kind in column_types(rows).items():
        cells = [typed(row, {name: kind})[name] for row in rows]
        is_whole = kind is float and all(isinstance(cell, float) and cell.is_integer() for cell in cells)
        type_ = pa.int64() if is_whole else pa.float64() if kind is float else pa.string()
        is_name = name in ("file_name", "file_names")
        values: list = cells
        if is_name:
            values = [row.get(name) for row in rows]
        elif is_whole:
            values = [int(cell) for cell in cells if isinstance(cell, float)]
        columns[name] = pa.array(values, pa.string() if is_name else type_)
    return pa.table(columns)


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
