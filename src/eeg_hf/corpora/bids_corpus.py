# SPDX-License-Identifier: Apache-2.0
"""Any EEG dataset in BIDS: OpenNeuro's, NEMAR's, or a laboratory's own tree.

https://bids-specification.readthedocs.io

Labels are the columns of participants.tsv (and of the subject's sessions.tsv, which go before them); events
are the rows of events.tsv. Licence, authors and DOI come from dataset_description.json, the reference from
`EEGReference` of the recordings' _eeg.json.
"""

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers.utils import logging

from .corpus import Corpus, Event, Label, Recording, annotated
from .recordings.bids import BIDSFile, bids_events, bids_file, bids_recordings, read_bids, read_json, sidecars
from .recordings.bids_tree import bids_root
from .recordings.recording_state import state_of
from .recordings.side_table import Row, column_types, free_name, typed

if TYPE_CHECKING:
    import mne

logger = logging.get_logger(__name__)

_NOT_EVENTS = ("bad", "edge", "boundary", "new segment")


class BIDSCorpus(Corpus):
    """A BIDS tree.

    What depends on the tree (licence, citation, title, reference, label_names) is known once `recordings` has
    been called.

    `session` is the session's label, `"1"` where the tree has no sessions; `run` is the rest of the file's
    name but for the subject (`"task-rest_run-01"`), since a run's index counts within its task. A column that
    is called like a column of every window becomes `<name>_label`.

    Args:
        root: The folder that holds `sub-*`; else it is given to `prepare` or looked for in
            `$EEG_HF_DATA/<name>`.
        name: Name of the corpus in its windows.
        task: Keep the recordings of these tasks only.
        labels: Columns of participants.tsv and sessions.tsv to keep as labels; all if left out.
        event_columns: Columns of events.tsv that become labels of the windows cut at events.
        event_name: Column of events.tsv that names an event; default: `trial_type`, and `value` where that is
            `n/a`.

    Example:
        >>> corpus = BIDSCorpus(name="ds003825", task="rest", labels=["age", "sex"])
    """

    name = "bids"
    title = "EEG in BIDS"
    licence = "unknown"
    citation = "not stated"
    url = "https://bids.neuroimaging.io"
    access = "a folder on this machine"
    reference = "not stated"
    label_names: Mapping[str, type[str] | type[float]] = {}
    has_events = True
    layout = "sub-01[/ses-a]/eeg/sub-01[_ses-a]_task-rest_eeg.{edf,bdf,vhdr,set}"

    def __init__(
        self,
        root: Path | str | None = None,
        name: str = "bids",
        task: str | Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        event_columns: Sequence[str] = (),
        event_name: str | None = None,
    ) -> None:
        if not re.fullmatch(r"[\w.-]+", name):
            raise ValueError(f"name must be letters, digits, '.', '_' or '-', got {name!r}")
        self.root = None if root is None else Path(root)
        self.name = name
        self.tasks = {task} if isinstance(task, str) else set(task or ())
        self.labels = labels
        self.event_columns = {free_name(column): column for column in event_columns}
        self.event_name = event_name
        self._event_types: Mapping[str, type[str] | type[float]] = {}

    def locate(
        self, root: Path | str | None = None, download: bool = True, subjects: Collection[str] | None = None
    ) -> Path:
        """Find the tree: the folder given here, or to the constructor, or `$EEG_HF_DATA/<name>`."""
        return super().locate(self.root if root is None else root, download, subjects)

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        """Find the recordings with the rows of their subjects and sessions."""
        files = bids_recordings(root)
        known = {file.task or "" for file in files}
        if files and self.tasks - known:
            raise ValueError(
                f"{self.name} has no task {', '.join(sorted(self.tasks - known))}: it has "
                f"{', '.join(sorted(known))}"
            )
        files = [file for file in files if not self.tasks or file.task in self.tasks]
        rows = [{**file.participant, **file.visit} for file in files]
        columns = self._label_columns(rows)
        types = column_types(rows, columns.values())
        self._event_types = self._types_of_events(files, root)
        self.label_names = {**{name: types[column] for name, column in columns.items()}, **self._event_types}
        self._describe(root, files)
        for file, row in zip(files, rows, strict=True):
            values = typed(row, types)
            yield self._recording(file, {name: values[column] for name, column in columns.items()})

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording with its channel types, bad channels, positions and annotations."""
        return read_bids(bids_file(recording.path), bids_root(recording.path))

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List the rows of events.tsv, and the recording's own annotations where there is no such table."""
        found = bids_events(bids_file(recording.path), bids_root(recording.path), self.event_name)
        if found is None:
            found = annotated(raw)
        events = [event for event in found if not event.name.lower().startswith(_NOT_EVENTS)]
        return [Event(e.onset, e.duration, e.name, self._labels_of(e)) for e in events]

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Add all parts of the recording and what its sidecars say: a channel marked bad later counts."""
        file, root = bids_file(recording.path), bids_root(recording.path)
        digest = hashlib.sha256(repr(self.event_name).encode())
        for name in ("channels.tsv", "events.tsv", "electrodes.tsv", "coordsystem.json", "eeg.json"):
            for path in sidecars(file, root, name):
                digest.update(path.read_bytes())
        return {**state_of(recording.path), "sidecars": digest.hexdigest()}

    def _recording(self, file: BIDSFile, labels: Mapping[str, Label]) -> Recording:
        rest = [f"{key}-{value}" for key, value in file.entities.items() if key not in ("sub", "ses")]
        run, task = "_".join(rest) or "1", file.task or "unknown"
        return Recording(file.path, self.name, file.subject, file.session or "1", run, task, labels)

    def _label_columns(self, rows: Sequence[Row]) -> dict[str, str]:
        """Label -> column of the tables of people and visits."""
        there = list(dict.fromkeys(column for row in rows for column in row))
        unknown = [column for column in self.labels or () if column not in there]
        if rows and unknown:
            raise ValueError(
                f"{self.name}: no column {', '.join(unknown)} in participants.tsv or sessions.tsv; there is "
                f"{', '.join(there) or 'none'}"
            )
        return {free_name(column): column for column in (there if self.labels is None else self.labels)}

    def _types_of_events(
        self, files: Sequence[BIDSFile], root: Path
    ) -> Mapping[str, type[str] | type[float]]:
        """Tell number columns from text columns of all events.tsv; read only where columns are asked for."""
        if not self.event_columns:
            return {}
        rows = [event.labels for file in files for event in _events_or_none(file, root, self.event_name)]
        there = {column for row in rows for column in row}
        unknown = [column for column in self.event_columns.values() if column not in there]
        if unknown and files:
            shown = ", ".join(sorted(there)) or "none"
            raise ValueError(
                f"{self.name}: no column {', '.join(unknown)} in any events.tsv; there is {shown}"
            )
        types = column_types(rows, self.event_columns.values())
        return {name: types[column] for name, column in self.event_columns.items()}

    def _labels_of(self, event: Event) -> dict[str, Label]:
        cells = {name: event.labels.get(column) for name, column in self.event_columns.items()}
        return typed(cells, self._event_types)

    def _describe(self, root: Path, files: Sequence[BIDSFile]) -> None:
        """Take licence, authors, DOI and reference from the tree."""
        about = _description(root / "dataset_description.json")
        self.title = str(about.get("Name") or type(self).title)
        self.licence = str(about.get("License") or type(self).licence)
        doi = str(about.get("DatasetDOI") or "").removeprefix("doi:").strip()
        if doi:
            self.url = doi if doi.startswith("http") else f"https://doi.org/{doi}"
        parts = [
            _listed(about.get("Authors")),
            about.get("Name"),
            doi,
            _listed(about.get("ReferencesAndLinks")),
        ]
        self.citation = ". ".join(str(part) for part in parts if part) or type(self).citation
        said = {_reference(file, root) for file in files} - {None}
        self.reference = " or ".join(sorted(str(one) for one in said)[:3]) or type(self).reference


def _description(path: Path) -> dict[str, Any]:
    try:
        return read_json([path]) if path.is_file() else {}
    except ValueError as error:  # the recordings are none the worse for it
        logger.warning(f"{error}: licence and authors are not known")
        return {}


def _reference(file: BIDSFile, root: Path) -> str | None:
    try:
        said = read_json(sidecars(file, root, "eeg.json")).get("EEGReference")
    except (OSError, ValueError):  # reading the recording will say so
        return None
    return None if said in (None, "", "n/a") else str(said)


def _events_or_none(file: BIDSFile, root: Path, name: str | None) -> list[Event]:
    try:
        return bids_events(file, root, name) or []
    except (OSError, ValueError) as error:  # one damaged table must not cost the other recordings
        logger.warning(f"{file.path.name}: {error}")
        return []


def _listed(entry: object) -> str:
    return ", ".join(str(one) for one in entry) if isinstance(entry, list) else str(entry or "")


__all__ = ["BIDSCorpus"]
