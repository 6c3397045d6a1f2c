# SPDX-License-Identifier: Apache-2.0
"""Any EEG dataset in BIDS: from OpenNeuro or NEMAR, or a laboratory's own tree.

https://bids-specification.readthedocs.io

Labels are the columns of participants.tsv and of the subject's sessions.tsv, which override them; events are
the rows of events.tsv. Licence, authors and DOI come from dataset_description.json, the reference from
`EEGReference` of the recordings' _eeg.json.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from transformers.utils import logging

from .corpus import NOT_EVENTS, Corpus, Event, Label, Recording, annotated, check_name, refuse_idle
from .recordings.bids import bids_events, read_bids
from .recordings.bids_tree import BIDSFile, bids_recordings, read_json, sidecars
from .recordings.recording_files import state_of
from .recordings.side_table import Row, column_types, free_name, typed

if TYPE_CHECKING:
    import mne

logger = logging.get_logger(__name__)


@dataclass(eq=False)
class BIDSCorpus(Corpus):
    """A BIDS tree.

    Licence, citation, title, reference and label_names depend on the tree and are known after `recordings`
    was called.

    `session` is the session's label, `"1"` where the tree has no sessions; `run` is the rest of the file's
    name without the subject (`"task-rest_run-01"`), because a run's index counts within its task. A column
    with the name of a column of every window becomes `<name>_label`.

    Args:
        root: The folder that holds `sub-*`; by default `$EEG_HF_DATA/<name>`.
        name: Name of the corpus in its windows.
        task: Keep the recordings of these tasks only.
        labels: Columns of participants.tsv and sessions.tsv to keep as labels; all by default.
        event_columns: Columns of events.tsv that become labels of the windows cut at events.
        event_name: Column of events.tsv that names an event; default: `trial_type`, and `value` where that is
            `n/a`.

    Example:
        >>> corpus = BIDSCorpus(name="ds003825", task="rest", labels=["age", "sex"])
    """

    has_events = True

    root: Path | str | None = None
    name: str = "bids"
    task: str | Sequence[str] | None = None
    labels: Sequence[str] | None = None
    event_columns: Sequence[str] = ()
    event_name: str | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        self._event_types: Mapping[str, type[str] | type[float]] = {}

    def locate(
        self, root: Path | str | None = None, download: bool = True, subjects: Collection[str] | None = None
    ) -> Path:
        """Find the tree: `root`, else that of the constructor, else `$EEG_HF_DATA/<name>`."""
        return super().locate(self.root if root is None else root, download, subjects)

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        """Find the recordings with the rows of their subjects and sessions."""
        files = bids_recordings(root, self.follow_links)
        tasks = {file.task or "" for file in files}
        wanted = {self.task} if isinstance(self.task, str) else set(self.task or ())
        if files and wanted - tasks:
            raise ValueError(
                f"{self.name} has no task {', '.join(sorted(wanted - tasks))}: it has "
                f"{', '.join(sorted(tasks))}"
            )
        files = [file for file in files if not wanted or file.task in wanted]
        rows = [{**file.subject_row, **file.session_row} for file in files]
        columns = self._label_columns(rows)
        types = column_types(rows, columns.values())
        self._event_types = self._types_of_events(files)
        self.label_names = {**{name: types[column] for name, column in columns.items()}, **self._event_types}
        self._describe(root, files)
        for file, row in zip(files, rows, strict=True):
            values = typed(row, types)
            yield self._recording(file, {name: values[column] for name, column in columns.items()})

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording with its channel types, bad channels, positions and annotations."""
        return read_bids(recording.path, self.follow_links)

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List the rows of events.tsv, or the recording's own annotations without such a table."""
        found = bids_events(recording.path, self.event_name, self.follow_links)
        if found is None:
            found = annotated(raw)
        events = [event for event in found if not event.name.lower().startswith(NOT_EVENTS)]
        return [Event(e.onset, e.duration, e.name, self._labels_of(e)) for e in events]

    def refuse_idle_options(self, recordings: Sequence[Recording], by_event: bool) -> None:
        """Refuse options of events where windows are not cut by them."""
        given = {"event_name": self.event_name, "event_columns": self.event_columns}
        if not by_event:
            refuse_idle(
                self.name, given, "windows are not cut by events: set segments to events or annotations"
            )

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Include all parts of the recording and the content of its sidecars."""
        digest = hashlib.sha256(repr(self.event_name).encode())
        for name in ("channels.tsv", "events.tsv", "electrodes.tsv", "coordsystem.json", "eeg.json"):
            for path in sidecars(recording.path, name, self.follow_links):
                digest.update(path.read_bytes())
        return {**state_of(recording.path), "sidecars": digest.hexdigest()}

    def _recording(self, file: BIDSFile, labels: Mapping[str, Label]) -> Recording:
        rest = [f"{key}-{value}" for key, value in file.entities.items() if key not in ("sub", "ses")]
        run, task = "_".join(rest) or "1", file.task or "unknown"
        return Recording(file.path, self.name, file.subject, file.session or "1", run, task, labels)

    def _label_columns(self, rows: Sequence[Row]) -> dict[str, str]:
        """Return label -> column of participants.tsv or sessions.tsv."""
        there = list(dict.fromkeys(column for row in rows for column in row))
        if rows:
            self._refuse_unknown(self.labels or (), there, "participants.tsv or sessions.tsv")
        return {free_name(column): column for column in (there if self.labels is None else self.labels)}

    def _types_of_events(self, files: Sequence[BIDSFile]) -> Mapping[str, type[str] | type[float]]:
        """Return the types of the event columns; all events.tsv are read only if there are some."""
        if not self.event_columns:
            return {}
        rows = [event.labels for file in files for event in self._events_or_none(file.path)]
        if files:
            there = sorted({column for row in rows for column in row})
            self._refuse_unknown(self.event_columns, there, "any events.tsv")
        types = column_types(rows, self.event_columns)
        return {free_name(column): kind for column, kind in types.items()}

    def _refuse_unknown(self, columns: Collection[str], there: Collection[str], tables: str) -> None:
        unknown = [column for column in columns if column not in there]
        if unknown:
            raise ValueError(
                f"{self.name}: no column {', '.join(unknown)} in {tables}; there is "
                f"{', '.join(there) or 'none'}"
            )

    def _events_or_none(self, path: Path) -> list[Event]:
        try:
            return bids_events(path, self.event_name, self.follow_links) or []
        except (OSError, ValueError) as error:  # one damaged table must not stop the other recordings
            logger.warning(f"{path.name}: {error}")
            return []

    def _labels_of(self, event: Event) -> dict[str, Label]:
        cells = {free_name(column): event.labels.get(column) for column in self.event_columns}
        return typed(cells, self._event_types)

    def _describe(self, root: Path, files: Sequence[BIDSFile]) -> None:
        """Set licence, authors, DOI and reference as the tree states them."""
        path, default = root / "dataset_description.json", type(self)
        try:
            about = read_json([path]) if path.is_file() else {}
        except ValueError as error:  # the recordings can be used without it
            logger.warning(f"{error}: licence and authors are unknown")
            about = {}
        self.title = str(about.get("Name") or default.title)
        self.licence = str(about.get("License") or default.licence)
        doi = str(about.get("DatasetDOI") or "").removeprefix("doi:").strip()
        if doi:
            self.url = doi if doi.startswith("http") else f"https://doi.org/{doi}"
        authors, links = _listed(about.get("Authors")), _listed(about.get("ReferencesAndLinks"))
        parts = (authors, about.get("Name"), doi, links)
        self.citation = ". ".join(str(part) for part in parts if part) or default.citation
        references = {_reference(file.path) for file in files} - {None}
        self.reference = " or ".join(sorted(map(str, references))[:3]) or default.reference


def _reference(path: Path) -> str | None:
    try:
        stated = read_json(sidecars(path, "eeg.json")).get("EEGReference")
    except (OSError, ValueError):  # reported when the recording is read
        return None
    return None if stated in (None, "", "n/a") else str(stated)


def _listed(entry: object) -> str:
    return ", ".join(str(one) for one in entry) if isinstance(entry, list) else str(entry or "")
