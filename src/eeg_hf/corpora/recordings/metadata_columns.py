# SPDX-License-Identifier: Apache-2.0
"""The columns of a `metadata.csv` that say which recording a row describes, in any spelling.

`eeg-hf prepare` and `load_dataset("eegfolder")` find them by this table.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from transformers.utils import logging

from .recording_names import RecordingNames

logger = logging.get_logger(__name__)

FILE = "file_name"
# Canonical name -> names of columns in English, then in German, without spaces, hyphens and the like. `id`
# and `code` are none: often they count the rows, and every recording would be another subject
_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    FILE: ("filename", "file", "filepath", "path", "recording", "eegfile", "dateiname", "datei", "dateipfad"),
    "subject": (
        *("subject", "subjectid", "participantid", "participant", "patientid", "patient", "subj"),
        *("subjid", "subjectnumber", "subjectno", "subjectcode", "participantnumber", "participantcode"),
        *("proband", "probandin", "versuchsperson", "vp", "vpnr", "vpnummer", "vpcode", "probandid"),
        *("probandenid", "probandennummer", "probandnr", "patientenid", "patientin", "teilnehmer"),
    ),
    "session": ("session", "sessionid", "sitzung"),
    "run": ("run", "durchgang"),
    "task": ("task", "aufgabe"),
}
FIELDS: Sequence[str] = tuple(name for name in _SPELLINGS if name != FILE)
"""Fields of a recording, which are text: a subject `01` stays `01`."""


def canonical_columns(columns: Iterable[str]) -> dict[str, str]:
    """Find the columns that name a recording and its fields; `Patient ID` and `patient_id` are the same.

    Args:
        columns: Names of a table's columns.

    Returns:
        Column -> `file_name`, `subject`, `session`, `run` or `task`, at most one of each; all others are
        labels.

    Example:
        >>> canonical_columns(["Datei", "Versuchsperson", "Alter"])
        {'Datei': 'file_name', 'Versuchsperson': 'subject'}
    """
    spelt = {re.sub(r"[\s_.-]+", "", column.casefold()): column for column in columns}
    found = {
        name: next((spelt[spelling] for spelling in spellings if spelling in spelt), None)
        for name, spellings in _SPELLINGS.items()
    }
    return {column: name for name, column in found.items() if column is not None}


def find_described(
    file: Path | str, rows: Sequence[Mapping[str, str | None]], recordings: RecordingNames
) -> tuple[list[tuple[str, Mapping[str, str | None]]], list[str]]:
    """Find the recording of each row; unclear rows are left out with a warning.

    Args:
        file: The table, for messages.
        rows: Its rows, whose columns have any spelling.
        recordings: The recordings that it may describe.

    Returns:
        Recording and row of each, and the names that are no recording's.

    Raises:
        ValueError: If every row names no file or several recordings.
    """
    described, strangers, unclear = [], [], []
    for place, row in enumerate(rows, start=2):
        column = next((old for old, new in canonical_columns(row).items() if new == FILE), None)
        text = None if column is None else row[column]
        if text is None:
            unclear.append(f"row {place} names no file: expected a column {FILE}")
            continue
        try:
            name = recordings.find(text)
        except ValueError as error:
            unclear.append(f"row {place}: {error}")
        else:
            described.append((name, row)) if name is not None else strangers.append(text)
    if unclear and not described:
        raise ValueError(f"{file}: {unclear[0]}")
    if unclear:
        logger.warning(f"{file}: {unclear[0]}; {len(unclear)} such rows are left out")
    return described, strangers


__all__ = ["FIELDS", "FILE", "canonical_columns", "find_described"]
