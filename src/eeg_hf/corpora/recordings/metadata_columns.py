# SPDX-License-Identifier: Apache-2.0
"""The columns of a `metadata.csv` that say which recording a row describes, in any spelling.

`eeg-hf prepare` and `load_dataset("eegfolder")` find them by this table.
"""

from collections.abc import Iterable, Mapping, Sequence

FILE = "file_name"
# Canonical name -> names of columns in English, then in German
_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    FILE: ("file_name", "filename", "file", "path", "recording", "dateiname", "datei"),
    "subject": (
        *("subject", "subject_id", "participant_id", "participant", "patient_id", "patient"),
        *("proband", "probandin", "versuchsperson", "vp"),
    ),
    "session": ("session", "session_id", "sitzung"),
    "run": ("run", "durchgang"),
    "task": ("task", "aufgabe"),
}
FIELDS: Sequence[str] = tuple(name for name in _SPELLINGS if name != FILE)
"""Fields of a recording, which are text: a subject `01` stays `01`."""


def canonical_columns(columns: Iterable[str]) -> dict[str, str]:
    """Find the columns that name a recording and its fields; `Patient ID` is `patient_id`.

    Args:
        columns: Names of a table's columns.

    Returns:
        Column -> `file_name`, `subject`, `session`, `run` or `task`, at most one of each; all others are
        labels.

    Example:
        >>> canonical_columns(["Datei", "Versuchsperson", "Alter"])
        {'Datei': 'file_name', 'Versuchsperson': 'subject'}
    """
    spelt = {column.lower().replace(" ", "_").replace("-", "_"): column for column in columns}
    found = {
        name: next((spelt[spelling] for spelling in spellings if spelling in spelt), None)
        for name, spellings in _SPELLINGS.items()
    }
    return {column: name for name, column in found.items() if column is not None}


__all__ = ["FIELDS", "FILE", "canonical_columns"]
