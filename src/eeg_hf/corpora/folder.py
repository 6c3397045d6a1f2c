# SPDX-License-Identifier: Apache-2.0
"""A laboratory's own folder of recordings, in any formats and any layout.

Subjects, sessions and labels are read, in this order, from

* `metadata.csv` (or .tsv, .jsonl, .parquet, .xlsx) in the folder or below it: `file_name` relative to the
  table, with or without its extension; `subject`, `session`, `run` and `task` where they exist; all other
  columns are labels. A table with `subject` and without files has a row for each subject. Where none is
  called metadata, the only table in the folder that names recordings or subjects is read;
* `subject_pattern`, a regular expression with named groups that is searched in each path;
* the names of folders and files, by the rules of `eeg_hf.corpora.folder_layout`.

If the subjects are unknown, every file counts as its own subject, and a warning says that a split by subject
is then only a split by file.
"""

import hashlib
import re
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from transformers.utils import logging

from ..legible_text import legible
from .corpus import NOT_EVENTS, Corpus, Event, Label, Recording, annotated, check_name, refuse_idle
from .folder_layout import LabelFrom, Place, match_pattern, read_layout, without_suffix
from .folder_table import FolderTable
from .recordings.bids import annotate
from .recordings.bids_tree import is_bids, refuse_pointers
from .recordings.formats import TABLE_EXTENSIONS, find_recordings, read_recording, takes_unit
from .recordings.recording_files import state_of
from .recordings.side_table import column_types, free_name, typed

if TYPE_CHECKING:
    import mne

logger = logging.get_logger(__name__)

_SAME_EVENT_SECONDS = 0.01
_CODE = re.compile(r"(?:stimulus/)?s?\s*(\d+)", re.IGNORECASE)  # "1", "S  1", "Stimulus/S  1"


@dataclass(eq=False)
class FolderCorpus(Corpus):
    r"""Any folder of recordings.

    Events are a recording's annotations and the codes of its trigger channel. `label_names`
    is known after `recordings` was called. A label with the name of a column of every window becomes
    `<name>_label`.

    Args:
        name: Name of the corpus in its windows.
        root: The folder; by default `$EEG_HF_DATA/<name>`.
        subject_pattern: Regular expression with the group `(?P<subject>...)`, searched in each path below the
            folder. Further groups: `session`, `run`, `task`; all others are labels.
        label_from: `"folder"` for a `label` from the folder's name in any case, `"metadata"` for none from
            there; by default there is one if exactly one level of folders can be it.
        metadata: Path of the table, if it is not called metadata.
        sampling_rate: In Hz, for recordings in tables (`.csv`, `.tsv`, `.parquet`, `.txt`), which are read
            only if it is set; other files state their own.
        unit: `"V"`, `"mV"` or `"uV"`, for files without a unit.
        channel_names: Label in the files -> electrode (`{"EXG Channel 0": "Fp1"}`), for amplifiers that
            number their inputs. Labels that a file lacks are ignored.
        event_id: Name -> code of a trigger or text of an annotation. Other events are left out.
        licence: Licence of the recordings.
        reference: Electrodes that the amplifier referred to.
        citation: What to cite.

    Example:
        >>> corpus = FolderCorpus("mylab", subject_pattern=r"(?P<subject>P\d+)_(?P<condition>[a-z]+)")
    """

    has_events = True

    name: str = "folder"
    root: Path | str | None = None
    subject_pattern: str | None = None
    label_from: LabelFrom | None = None
    metadata: Path | str | None = None
    sampling_rate: float | None = None
    unit: str | None = None
    event_id: Mapping[str, str | int] | None = None
    channel_names: Mapping[str, str] | None = None
    licence: str = "unknown"
    reference: str = "not stated"
    citation: str = "not stated"

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.label_from not in (None, "folder", "metadata"):
            raise ValueError(f"label_from must be 'folder', 'metadata' or None, got {self.label_from!r}")
        if self.subject_pattern is not None and self.label_from is not None:
            why = "subject_pattern names the labels: further groups of it become labels"
            refuse_idle(self.name, {"label_from": self.label_from}, why)
        self.title = f"Recordings of {self.name}"
        self._names_of_events = {str(code): event for event, code in (self.event_id or {}).items()}
        self._warned: set[str] = set()

    def locate(
        self, root: Path | str | None = None, download: bool = True, subjects: Collection[str] | None = None
    ) -> Path:
        """Find the folder: `root`, else that of the constructor, else `$EEG_HF_DATA/<name>`."""
        return super().locate(self.root if root is None else root, download, subjects)

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        """Find the recordings and describe them by tables and names."""
        if is_bids(root):
            logger.warning_once(f"{root} is a BIDS tree: the corpus 'bids' reads its tables too")
        # Tables of metadata have the extensions of tables of samples
        there = find_recordings(root, self.sampling_rate is not None, self.follow_links)
        paths = {legible(path.relative_to(root).as_posix()): path for path in there}
        metadata = None if self.metadata is None else Path(self.metadata)
        table = FolderTable.read(root, list(paths), metadata, self.follow_links)
        left_out = table.unclear
        paths = {n: path for n, path in paths.items() if path not in table.files and n not in left_out}
        places = self._places(list(paths), table)
        of_subjects = table.of_subjects({place.subject for place in places.values() if place.subject})
        # Labels of the table override those of the path
        rows = {
            name: {**place.labels, **of_subjects.get(place.subject or "", {}), **table.labels.get(name, {})}
            for name, place in places.items()
        }
        types = column_types(list(rows.values()))
        self.label_names = {free_name(column): kind for column, kind in types.items()}
        self.official_split_column = "split" if "split" in types else None
        for name, place in places.items():
            labels = {free_name(column): label for column, label in typed(rows[name], types).items()}
            yield self._recording(paths[name], name, place, labels)

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording; its triggers become annotations, except those that are annotated already."""
        raw = self._open(recording)
        names = self.channel_names or {}
        raw.rename_channels({old: new for old, new in names.items() if old in raw.ch_names})
        _add_triggers(raw)
        return raw

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List annotations and triggers under their names in `event_id`."""
        found = [event for event in annotated(raw) if not event.name.lower().startswith(NOT_EVENTS)]
        if self.event_id is None:
            return found
        named = [(event, self._named(event.name)) for event in found]
        return [replace(event, name=name) for event, name in named if name is not None]

    def refuse_idle_options(self, recordings: Sequence[Recording], by_event: bool) -> None:
        """Refuse a rate, a unit, names or events that none of the files takes."""
        paths = [recording.path for recording in recordings]
        if not any(path.suffix.lower() in TABLE_EXTENSIONS for path in paths):
            refuse_idle(
                self.name,
                {"sampling_rate": self.sampling_rate},
                "no recording is a table, and other files state their own rate",
            )
        if not by_event:
            why = "windows are not cut by events: set segments to events or annotations"
            refuse_idle(self.name, {"event_id": self.event_id}, why)
        if self.unit and not any(takes_unit(path) for path in paths):
            refuse_idle(self.name, {"unit": self.unit}, "every file states its own unit")
        if self.channel_names and not any(self._has_named(recording) for recording in recordings):
            why = "no file has a channel of these names: write them as the files do"
            refuse_idle(self.name, {"channel_names": dict(self.channel_names)}, why)

    def _has_named(self, recording: Recording) -> bool:
        """Return whether a recording has a channel of `channel_names`; a damaged one may have."""
        try:
            raw = self._open(recording)
        except Exception:  # reported when it is prepared
            return True
        return not set(self.channel_names or ()).isdisjoint(raw.ch_names)

    def _open(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording with the names of its file."""
        refuse_pointers(recording.path)
        is_table = recording.path.suffix.lower() in TABLE_EXTENSIONS
        rate = self.sampling_rate if is_table else None
        return read_recording(
            recording.path, sampling_rate=rate, unit=self.unit, follow_links=self.follow_links
        )

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Include all files of the recording and the options of reading it."""
        events = None if self.event_id is None else self._names_of_events
        how = repr((self.sampling_rate, self.unit, events, dict(self.channel_names or {})))
        return {**state_of(recording.path), "how": hashlib.sha256(how.encode()).hexdigest()}

    def _places(self, names: Sequence[str], table: FolderTable) -> dict[str, Place]:
        """Return the fields of each file; those of the table override those of the path."""
        if self.subject_pattern is None:
            places = read_layout(names, self.label_from)
            if self.label_from == "metadata":
                places = {name: replace(place, labels={}) for name, place in places.items()}
        else:
            places = match_pattern(names, self.subject_pattern)
            left_out = [name for name in names if name not in places and name not in table.fields]
            if left_out:
                logger.warning(
                    f"{self.name}: {len(left_out)} files are left out, subject_pattern does not match their "
                    f"paths: {', '.join(left_out[:5])}"
                )
            places.update(
                {name: Place(None) for name in names if name not in places and name in table.fields}
            )
        places = {
            name: _override(place, table.fields.get(name, {}), without_suffix(name))
            for name, place in places.items()
        }
        self._report_subjects(places, table)
        return places

    def _report_subjects(self, places: Mapping[str, Place], table: FolderTable) -> None:
        """Warn about unknown subjects, and about those that were inferred from names."""
        unknown = [name for name, place in places.items() if place.subject is None]
        if unknown:
            folders = sorted({name.partition("/")[0] for name in unknown if "/" in name})
            could_be = (
                f"; if {', '.join(folders[:2])}, ... are conditions, set label_from='folder'; if they are "
                "subjects, subject_pattern='^(?P<subject>[^/]+)/'"
                if self.label_from is None and 1 < len(folders) < len(unknown)
                else ""
            )
            self._warn_once(
                f"{self.name}: the subject of {len(unknown)} of {len(places)} files is unknown "
                f"({', '.join(unknown[:3])}): each counts as its own subject, and a split by subject is then "
                "only a split by file; set subject_pattern=, or write a metadata.csv with file_name and "
                f"subject{could_be}"
            )
        inferred = [
            name for name, p in places.items() if p.subject and "subject" not in table.fields.get(name, {})
        ]
        if inferred and self.subject_pattern is None and not all("sub-" in name for name in inferred):
            subjects = sorted({str(places[name].subject) for name in inferred})
            shown = f"{', '.join(subjects[:3])}{', ...' if len(subjects) > 3 else ''}"
            self._warn_once(
                f"{self.name}: {len(subjects)} subjects by the names of folders or files ({shown}); if "
                "that is wrong, set subject_pattern="
            )

    def _warn_once(self, text: str) -> None:
        """Warn once for all listings of one folder."""
        if text not in self._warned:
            self._warned.add(text)
            logger.warning(text)

    def _recording(self, path: Path, name: str, place: Place, labels: Mapping[str, Label]) -> Recording:
        subject = place.subject or without_suffix(name)
        return Recording(path, self.name, subject, place.session, place.run, place.task, labels)

    def _named(self, text: str) -> str | None:
        """Return the name of an event by its text, or by the code in it."""
        names, code = self._names_of_events, _CODE.fullmatch(text.strip())
        return names.get(text) or (names.get(str(int(code[1]))) if code else None)


def stim_events(raw: "mne.io.BaseRaw") -> list[Event]:
    """List the triggers of a recording; a damaged trigger channel gives a warning and no events.

    Args:
        raw: The recording. Its whole trigger channel is read, which reads all channels of most formats.

    Returns:
        One event per trigger, named by its value, without a duration.
    """
    import mne

    if len(mne.pick_types(raw.info, meg=False, stim=True)) == 0:
        return []
    try:
        resting = _events_of_resting_port(raw)
        found = mne.find_events(raw, shortest_event=1, consecutive=True, verbose="ERROR")
        if resting is not None:
            idle, found = resting
            warnings.warn(
                f"the trigger channel rests at {idle}: only other codes are events",
                RuntimeWarning,
                stacklevel=2,
            )
    except Exception as error:  # MNE raises many kinds on noise, floats and constant channels
        warnings.warn(f"triggers cannot be read: {error}", RuntimeWarning, stacklevel=2)
        return []
    if len(found) > max(10, raw.n_times / 10):
        warnings.warn(
            f"{len(found)} triggers in {raw.n_times} samples are noise and not used",
            RuntimeWarning,
            stacklevel=2,
        )
        return []
    rate = raw.info["sfreq"]
    return [Event((int(at) - raw.first_samp) / rate, 0.0, str(int(code))) for at, _, code in found]


def _events_of_resting_port(raw: "mne.io.BaseRaw") -> tuple[int, np.ndarray] | None:
    """Find the events of a trigger port that rests at another code than 0 (at 255 if its bits are inverted).

    A port rests at a code if every change starts or ends there, three times or more, and no other code lasts
    half as long. Codes that are held until the next one last about as long as each other.

    Returns:
        The code, and (sample, 0, code) of each event, shape (num_events, 3); None if the port rests at 0.
    """
    import mne

    values = np.rint(raw.get_data(picks=mne.pick_types(raw.info, meg=False, stim=True)[:1])[0]).astype(int)
    starts = np.r_[0, np.flatnonzero(np.diff(values)) + 1]
    codes, lengths = values[starts], np.diff(np.r_[starts, len(values)])
    if len(codes) < 7:
        return None
    candidates, places = np.unique(codes, return_inverse=True)
    idle = int(candidates[np.argmax(np.bincount(places, lengths))])
    is_idle = codes == idle
    alternates = bool((is_idle[1:] != is_idle[:-1]).all())
    if idle == 0 or not alternates or lengths[~is_idle].max() > 0.5 * np.median(lengths[is_idle]):
        return None
    is_event = ~is_idle
    is_event[0] = False  # what the port holds when the recording starts is no event
    at, which = starts[is_event] + raw.first_samp, codes[is_event]
    return idle, np.stack([at, np.zeros_like(at), which], axis=1)


def _add_triggers(raw: "mne.io.BaseRaw") -> None:
    """Add the triggers of a recording to its annotations; those that are annotated already are left out.

    Amplifiers' programs often write one event twice: as a trigger, and as an annotation a sample later.
    """
    triggers, marks = stim_events(raw), annotated(raw)
    onsets = np.sort([mark.onset for mark in marks if not mark.name.lower().startswith(NOT_EVENTS)])
    new = triggers
    if len(onsets) and triggers:
        at = np.array([trigger.onset for trigger in triggers])
        right = np.clip(np.searchsorted(onsets, at), 0, len(onsets) - 1)
        distance = np.minimum(np.abs(onsets[right] - at), np.abs(onsets[np.maximum(right - 1, 0)] - at))
        is_twice = distance <= max(_SAME_EVENT_SECONDS, 2 / raw.info["sfreq"])
        new = [trigger for trigger, twice in zip(triggers, is_twice, strict=True) if not twice]
        warnings.warn(
            f"the recording has {len(onsets)} annotations and {len(triggers)} triggers: {len(new)} triggers "
            "are added as events, the others coincide with an annotation",
            RuntimeWarning,
            stacklevel=2,
        )
    if new:
        annotate(raw, [*marks, *new])


def _override(place: Place, fields: Mapping[str, str], whole_path: str) -> Place:
    """Replace the fields of a path by those of the table; the run is then the whole path."""
    run = whole_path if {"subject", "session"} & set(fields) else place.run
    return replace(place, **{"run": run, **fields})  # type: ignore[arg-type]


__all__ = ["FolderCorpus", "stim_events"]
