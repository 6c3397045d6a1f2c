# SPDX-License-Identifier: Apache-2.0
"""What a folder holds: a row for each recording, with its subject, its labels and what its header states."""

from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from ...corpora import BIDSCorpus, Corpus, FolderCorpus, Recording
from ...corpora.recordings.bids_tree import is_bids
from ...corpora.recordings.recording_files import extension_of
from ...processing.channels import canonical_names
from ...suggestions import did_you_mean

FACTS = ("format", "sampling_rate", "num_channels", "day", "folder")
"""Facts of a recording that must not tell its label."""
_MOST_CLASSES = 20


def open_folder(folder: Path, options: dict[str, Any]) -> Corpus:
    """Return the corpus of a folder: a BIDS tree, or any other layout."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: expected recordings with a metadata.csv")
    return BIDSCorpus(folder, **options) if is_bids(folder) else FolderCorpus(root=folder, **options)


def read_facts(corpus: Corpus, recordings: list[Recording], root: Path) -> pd.DataFrame:
    """Return a table with a row for each recording.

    Args:
        corpus: Of the folder.
        recordings: Its recordings.
        root: The folder.

    Returns:
        Columns `file`, `subject`, `session`, those of `FACTS`, `seconds`, `channels`, one for each label, and
        `problem`, why a recording cannot be opened.
    """
    rows = []
    for recording in tqdm(recordings, "reading headers", unit="recording", disable=None):
        path = recording.path
        place = path.relative_to(root) if path.is_relative_to(root) else path
        row: dict[str, Any] = {
            "file": place.as_posix(),
            "subject": recording.subject,
            "session": recording.session,
            "format": extension_of(path).lstrip("."),
            "folder": place.parent.as_posix(),
            **recording.labels,
        }
        try:
            row |= read_header(corpus.read(recording))
        except (ValueError, OSError, ImportError) as error:
            row["problem"] = " ".join(str(error).split())
        rows.append(row)
    table = pd.DataFrame(rows)
    return table if "problem" in table else table.assign(problem=None)


def read_header(raw: Any) -> dict[str, Any]:
    """Return what the header of a recording states."""
    kinds = raw.get_channel_types()
    labels = [name for name, kind in zip(raw.ch_names, kinds, strict=True) if kind == "eeg"]
    date = raw.info["meas_date"]
    return {
        "sampling_rate": float(raw.info["sfreq"]),
        "seconds": raw.n_times / raw.info["sfreq"],
        "num_channels": len(labels),
        "channels": canonical_names(labels),
        "day": date.date().isoformat() if date else None,
    }


def choose_label(table: pd.DataFrame, names: list[str], wanted: str | None) -> str:
    """Return the column of labels: the one that is named, or the only one that could be meant.

    Raises:
        ValueError: If there is none, several could be meant, or the named one does not exist.
    """
    if wanted is not None:
        if wanted not in names:
            there = did_you_mean(wanted, names) or f": expected one of {', '.join(names) or 'none'}"
            raise ValueError(f"label_column {wanted!r} is not among the labels of the folder{there}")
        return wanted
    possible = [name for name in names if 2 <= table[name].nunique() <= _MOST_CLASSES]
    possible = [name for name in possible if table[name].nunique() < table[name].count()]
    if len(possible) != 1:
        found = ", ".join(possible or names) or "no label"
        raise ValueError(
            f"expected --label_column, since the folder has {found}: labels are the columns of a "
            "metadata.csv with file_name and subject, of the BIDS tables, or names of folders"
        )
    return possible[0]


__all__ = ["FACTS", "choose_label", "open_folder", "read_facts"]
