# SPDX-License-Identifier: Apache-2.0
"""Labels in a table beside a corpus: one row for each labelled stretch of a recording.

    recording        onset   duration   grade   rater
    S01/night.edf    120.0   10         2       anna
    S01/night.edf    130.0   10         3       anna

Each row becomes an event, and its other columns become labels of the event and of the windows cut there.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..corpus import Event
from ..recordings.recording_names import RecordingNames, ends, forms, plain
from ..recordings.side_table import column_types, free_name, number, read_rows, typed

_DEFAULT_NAME = "row"


@dataclass(frozen=True)
class LabelTable:
    """Events of many recordings, read from one table.

    Attributes:
        label_names: Column -> `float` if all its known cells are numbers, else `str`.
        rows: Recording, as the table names it -> its events in order of onset.
        fingerprint: Digest of the table's contents and of the columns that were read.
    """

    label_names: Mapping[str, type[str] | type[float]]
    rows: Mapping[str, tuple[Event, ...]]
    fingerprint: str

    @classmethod
    def read(
        cls,
        path: Path | str,
        *,
        recording: str = "recording",
        onset: str = "onset",
        duration: str = "duration",
        event: str = "event",
    ) -> "LabelTable":
        """Read a table.

        Args:
            path: CSV, TSV, JSON-lines, Parquet or XLSX file.
            recording: Column with the recording: its path below the corpus's folder, or its file name, both
                with or without extension.
            onset: Column with the start in seconds after the recording's first sample.
            duration: Column with the length in seconds; optional, 0 if missing.
            event: Column with the event's name; optional, `row` if missing.

        Returns:
            The table. All other columns are labels; one with the name of a column of every window (`subject`,
            `run`, ...) becomes `subject_label`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If a column is missing, or a row has no recording or no time.

        Example:
            >>> LabelTable.read("labels.csv", onset="start_seconds")  # doctest: +SKIP
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"label table {path} not found")
        rows = read_rows(path)
        columns = list(dict.fromkeys(name for row in rows for name in row))
        missing = [name for name in (recording, onset) if name not in columns]
        if missing:
            raise ValueError(
                f"label table {path} has no column {', '.join(missing)}: it has "
                f"{', '.join(columns) or 'none'}"
            )
        labels = {free_name(c): c for c in columns if c not in (recording, onset, duration, event)}
        rows = [{**row, **{new: row.get(old) for new, old in labels.items()}} for row in rows]
        types = column_types(rows, labels)
        events: defaultdict[str, list[Event]] = defaultdict(list)
        for place, row in enumerate(rows, start=2):  # the header is row 1
            try:
                start, length = number(row.get(onset) or ""), number(row.get(duration) or "0")
            except ValueError as error:
                raise ValueError(f"label table {path}: row {place} has no time in seconds: {error}") from None
            text = row.get(recording)
            if text is None or length < 0:
                why = "names no recording" if text is None else f"lasts {length:g} s"
                raise ValueError(f"label table {path}: row {place} {why}")
            name = row.get(event) or _DEFAULT_NAME
            events[plain(text)].append(Event(start, length, name, typed(row, types)))
        made_of = path.read_bytes() + repr((recording, onset, duration, event)).encode()
        in_order = {text: tuple(sorted(some, key=lambda e: e.onset)) for text, some in events.items()}
        return cls(types, in_order, hashlib.sha256(made_of).hexdigest())

    def events_of(self, name: str) -> list[Event]:
        """Return the events of a recording in order of onset; none if it is not in the table.

        Args:
            name: Path of the recording below the corpus's folder.
        """
        texts = dict.fromkeys(end for form in forms(name) for end in ends(form) if end in self.rows)
        for form in forms(name):
            texts.update(dict.fromkeys(self._longer.get(form, ())))
        return sorted((event for text in texts for event in self.rows[text]), key=lambda e: e.onset)

    def unmatched(self, names: Iterable[str]) -> list[str]:
        """Return the entries of the table that match no recording.

        Args:
            names: Paths of all recordings below the corpus's folder.

        Raises:
            ValueError: If a row matches two recordings; names them.
        """
        recordings = RecordingNames(names)
        return [text for text in self.rows if recordings.find(text) is None]

    @cached_property
    def _longer(self) -> Mapping[str, list[str]]:
        """End of a path -> the table's paths with that end, for tables with longer paths than the corpus."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for text in self.rows:
            for end in ends(text)[1:]:
                found[end].append(text)
        return dict(found)
