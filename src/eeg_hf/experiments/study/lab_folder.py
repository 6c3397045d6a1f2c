# SPDX-License-Identifier: Apache-2.0
"""What a folder holds: a row for each recording, with its subject, its labels and what its header states."""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from ...corpora import BIDSCorpus, Corpus, Event, FolderCorpus, Recording
from ...corpora.look_alikes import look_alikes
from ...corpora.recordings.bids_tree import is_bids
from ...corpora.recordings.recording_files import extension_of
from ...corpora.recordings.side_table import free_name
from ...corpora.windows.window_plan import WindowPlan
from ...processing.channel_selection import select_channels
from ...suggestions import did_you_mean

FACTS = ("format", "sampling_rate", "num_channels", "filters", "day", "folder")
"""Facts of a recording that must not tell its label."""
EVENT = "event"
"""Column of the labels of windows that are cut by events."""
_ALL_FACTS = frozenset(
    (*FACTS, "file", "seconds", "channels", "samples", "problem", "event_gap", "event_duration")
)
"""Columns that a label cannot have as its name."""
_FIELDS = ("task", "session", "run")
"""Fields of a recording that can be labels."""
_MOST_CLASSES = 20


def open_folder(folder: Path, options: dict[str, Any]) -> Corpus:
    """Return the corpus of a folder: a BIDS tree, or any other layout."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder: expected recordings with a metadata.csv")
    return BIDSCorpus(folder, **options) if is_bids(folder) else FolderCorpus(root=folder, **options)


def read_facts(
    corpus: Corpus,
    recordings: list[Recording],
    root: Path,
    by_event: bool = False,
    event_labels: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Return a table with a row for each recording.

    Args:
        corpus: Of the folder.
        recordings: Its recordings.
        root: The folder.
        by_event: Whether windows are cut by events, which are then read too.
        event_labels: Events to use and their labels; default: all.

    Returns:
        Columns `file`, `subject`, `session`, `run`, `task`, those of `FACTS`, `seconds`, `channels`,
        `samples`, the same of copies, one for each label, and `problem`, why a recording cannot be opened; by
        event, those of `read_events`.
    """
    rows = []
    for recording in tqdm(recordings, "reading headers", unit="recording", disable=None):
        path = recording.path
        place = Path(place_of(path, root))
        row: dict[str, Any] = {
            **{name: label for name, label in recording.labels.items() if name not in _ALL_FACTS},
            "file": place.as_posix(),
            "subject": recording.subject,
            **{field: getattr(recording, field) for field in _FIELDS},
            "format": extension_of(path).lstrip("."),
            "folder": place.parent.as_posix(),
            "day": recording.labels.get("day"),  # of the table, where the header has none
        }
        try:
            with warnings.catch_warnings():  # of readers: the preparation reports them
                warnings.simplefilter("ignore", RuntimeWarning)
                raw: Any = corpus.read(recording)
                row |= read_header(raw)
                row |= read_events(corpus.events(recording, raw), event_labels) if by_event else {}
        except (ValueError, OSError, ImportError) as error:
            row["problem"] = " ".join(str(error).split())
        rows.append(row)
    table = pd.DataFrame(rows)
    return table if "problem" in table else table.assign(problem=None)


def place_of(path: Path, root: Path) -> str:
    """Return the name of a recording in tables: its path below the folder."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def read_header(raw: Any) -> dict[str, Any]:
    """Return what the header of a recording states."""
    # Those that a preparation would use: an ECG that a file declares as EEG is none of them
    labels = list(select_channels(raw, unknown_channels="drop").wanted)
    date = raw.info["meas_date"]
    day = {"day": date.date().isoformat()} if date else {}
    return {
        "sampling_rate": float(raw.info["sfreq"]),
        "seconds": raw.n_times / raw.info["sfreq"],
        "num_channels": len(labels),
        "channels": labels,
        "filters": _describe_filters(raw.info),
        "samples": _digest_samples(raw),
        **day,
    }


def _digest_samples(raw: Any) -> str | None:
    """Return a hash of two seconds from the middle, which only copies share; None of flat ones."""
    middle, half = raw.n_times // 2, round(raw.info["sfreq"])
    samples = raw.get_data(start=max(middle - half, 0), stop=middle + half)
    if not np.ptp(samples, axis=-1).any():
        return None
    return hashlib.sha256(samples.astype(np.float32).tobytes()).hexdigest()[:16]


def _describe_filters(info: Any) -> str:
    """Return the pass band of the amplifier; MNE takes half of the rate where none is stated."""
    edges = [f"from {info['highpass']:g} Hz"] if info["highpass"] > 0 else []
    edges += [f"to {info['lowpass']:g} Hz"] if info["lowpass"] < info["sfreq"] / 2 else []
    return " ".join(edges) or "not stated"


def read_events(events: Sequence[Event], event_labels: Mapping[str, str] | None) -> dict[str, Any]:
    """Return the labels of the events of a recording, and how far apart and how long they are.

    Raises:
        ValueError: If there is none to use.
    """
    plan = WindowPlan("events", 1.0, 1.0, event_labels=event_labels or None)
    used = [event for event in events if plan.takes(event.name)]
    if not used:
        there = ", ".join(sorted({event.name for event in events})[:6]) or "none"
        raise ValueError(f"no event to use: the recording has {there}")
    onsets = np.array([event.onset for event in used])
    return {
        EVENT: sorted({plan.label_of(event.name) for event in used}),
        "event_gap": float(np.median(np.diff(onsets))) if len(onsets) > 1 else max(used[0].duration, 1.0),
        "event_duration": float(np.median([event.duration for event in used])),
    }


def choose_labels(
    table: pd.DataFrame, names: list[str], wanted: Sequence[str], by_event: bool = False
) -> list[str]:
    """Return the columns of labels: those that are named, or the only one that could be meant.

    Raises:
        ValueError: If there is none, several could be meant, or a named one does not exist or has the name of
            a fact of all recordings.
    """
    names = [*names, EVENT] if by_event and EVENT not in names else names
    if wanted or by_event:
        return list(dict.fromkeys(find_label(name, names) for name in wanted)) or [EVENT]
    possible = [name for name in names if name in table and 2 <= table[name].nunique() <= _MOST_CLASSES]
    possible = [name for name in possible if table[name].nunique() < table[name].count()]
    if not possible and 2 <= table["task"].nunique() < len(table):
        possible = ["task"]
    if len(possible) != 1:
        found = ", ".join(possible or names) or "no label"
        raise ValueError(
            f"expected --label_column, since the folder has {found}: labels are the columns of a "
            "metadata.csv with file_name and subject, of the BIDS tables, or names of folders, with "
            """--corpus_options '{"label_from": "folder"}'"""
        )
    return possible


def find_label(name: str, names: Sequence[str]) -> str:
    """Return the label that a name means: itself, or the only one that is spelt alike."""
    known = [each for each in (*names, *_FIELDS) if each not in _ALL_FACTS]
    if name in known:
        return name
    if name in names:
        raise ValueError(
            f"label_column {name!r}: every recording has a fact of this name: rename the column of the "
            f"table, such as to {name}_label"
        )
    alike = [each for each in known if look_alikes([name, each]) or each == free_name(name)]
    if len(alike) != 1:
        there = did_you_mean(name, known) or f": expected one of {', '.join(names) or 'none'}"
        raise ValueError(f"label_column {name!r} is not among the labels of the folder{there}")
    return alike[0]
