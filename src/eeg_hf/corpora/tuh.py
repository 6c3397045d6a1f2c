# SPDX-License-Identifier: Apache-2.0
"""Corpora of Temple University Hospital: TUEG (all), TUAB (normal or abnormal), TUEV (six kinds of event).

https://isip.piconepress.com/projects/nedc/html/tuh_eeg/ and https://doi.org/10.3389/fnins.2016.00196; layouts
as in each corpus's AAREADME.txt, for example
https://isip.piconepress.com/projects/nedc/data/tuh_eeg/tuh_eeg_abnormal/v3.0.1/AAREADME.txt

Clinical EDF files with labels such as `EEG FP1-REF` or `EEG FP1-LE`, between 19 and more than 30 electrodes,
and ECG, photic and other channels beside them. Sampling rates differ between files (250, 256, 400 and
512 Hz). TUAB and TUEV are taken from TUEG: a model pretrained on TUEG has seen their test recordings, and the
eval files of TUEV cannot be identified in TUEG because they are coded differently.

All three require a registration (a signed form) and must not be redistributed. They were not available when
this was written: the code is tested on trees written in the published layout.
"""

import csv
import re
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .corpus import Corpus, Event, Recording, files_named
from .recordings.formats import read_recording

if TYPE_CHECKING:
    import mne

_NAME = re.compile(r"(?P<subject>[a-z0-9]{8})_(?P<session>s\d{3})_(?P<run>t\d{3})\.edf")
# Folder of a montage -> reference of its channels; 03 and 04 lack A1 and A2.
_REFERENCES = {
    "01_tcp_ar": "average",
    "02_tcp_le": "linked ears",
    "03_tcp_ar_a": "average",
    "04_tcp_le_a": "linked ears",
}
_VALIDATION_SHARE = 10  # one in ten of the training subjects
_KINDS = dict(enumerate(("spsw", "gped", "pled", "eyem", "artf", "bckg"), start=1))


class _TUH(Corpus):
    """Base class of the corpora of the hospital."""

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording with the sampling rate of its own header."""
        return read_recording(recording.path)


class TUEG(_TUH):
    """The whole TUH EEG Corpus: no labels but the reference, for pretraining.

    Also reads TUEP and other subsets in the same layout, whatever folders are above the montage's. The size
    of the corpus is that of https://arxiv.org/abs/2412.07236 (CBraMod), section 3.1.

    Labels: `recorded_reference`, `"average"` or `"linked ears"`, from the folder `01_tcp_ar`, `02_tcp_le`,
        `03_tcp_ar_a` or `04_tcp_le_a`; empty without such a folder. Recordings of the two are not comparable
        before they are rereferenced.
    """

    name = "tueg"
    label_names = {"recorded_reference": str}

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        for path, match in files_named(root, _NAME):
            labels = {"recorded_reference": _REFERENCES.get(_nearest(path, _REFERENCES) or "")}
            subject, session, run = match.group("subject", "session", "run")
            yield Recording(path, self.name, subject, session, run, "clinical", labels)

    def reference_of(self, recording: Recording) -> str:
        """Return the reference that the recording's folder states."""
        return str(recording.labels["recorded_reference"] or self.reference)


class TUAB(_TUH):
    """TUH Abnormal: 2,993 recordings that were reported as normal or abnormal.

    Labels: `pathology`, `"normal"` or `"abnormal"`, of the recording and not of the subject: some 54 subjects
        have both. `part`, the official split: `"test"` is the folder `eval`, and of the subjects in `train`
        one in ten is `"validation"`, chosen by a checksum of the subject's name, so that they are always the
        same subjects, however much of the corpus is there. Published results whose validation part was drawn
        by class or without a seed are not comparable, and may have one subject in both parts.

    The published counts (893 + 1,237 subjects in train, 253 in eval, 2,329 different ones) imply that no
    subject is in both train and eval; `check_disjoint` names those who are.
    """

    name = "tuab"
    label_names = {"pathology": str, "part": str}
    official_split_column = "part"

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        for path, match in files_named(root, _NAME):
            pathology, folder = _nearest(path, ("normal", "abnormal")), _nearest(path, ("train", "eval"))
            if pathology and folder:
                subject, session, run = match.group("subject", "session", "run")
                labels = {"pathology": pathology, "part": _part(folder, subject)}
                yield Recording(path, self.name, subject, session, run, "clinical", labels)


class TUEV(_TUH):
    """TUH Events: one-second events of six kinds, for windows of 5 s with the event after 2 s.

    Events: `spsw` (spike and sharp wave), `gped` and `pled` (periodic discharges, generalised and
        lateralised), `eyem` (eye movement), `artf` (artefact), `bckg` (background). The `.rec` file beside
        each EDF file marks an event once for every channel that shows it; here it is one event. Where
        channels disagree, the same second is an event of two kinds.
    Label: `part`, the official split, made as that of TUAB.

    Trap: the number of an eval file (`bckg_032_a_.edf`) counts sessions, not subjects, so `"eval_032"` may
    share its subject with other eval files.
    """

    name = "tuev"
    label_names = {"part": str}
    official_split_column = "part"
    has_events = True

    # Folder of a part -> pattern of its files, prefix of its subjects
    _files = {
        "train": (re.compile(r"(?P<subject>[a-z0-9]{8})_\d{8}\.edf"), ""),
        "eval": (re.compile(r"[a-z_]+_(?P<subject>\d{3})_a_\d*\.edf"), "eval_"),
    }

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        """Find the recordings; the two parts name their files differently."""
        for part, (pattern, prefix) in self._files.items():
            for path, match in files_named(root, pattern):
                subject = prefix + match["subject"]
                labels = {"part": _part(part, subject)}
                yield Recording(path, self.name, subject, "1", path.stem, "clinical", labels)

    def events(self, recording: Recording, raw: "mne.io.BaseRaw") -> list[Event]:
        """Read the `.rec` file and merge the rows of its channels."""
        return _merge(sorted(_read_rec(recording.path.with_suffix(".rec"))))

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Include the `.rec` file, which holds the labels."""
        rec = recording.path.with_suffix(".rec").stat()
        return {**super().provenance(recording), "rec_size": rec.st_size, "rec_mtime_ns": rec.st_mtime_ns}


def _nearest(path: Path, folders: Collection[str]) -> str | None:
    """Return the nearest folder above a file that is one of those given."""
    return next((parent.name for parent in path.parents if parent.name in folders), None)


def _part(folder: str, subject: str) -> str:
    """Return the part of the official split that a subject belongs to."""
    if folder == "eval":
        return "test"
    # CRC-32 and not hash(): the same in every process and on every machine.
    return "train" if zlib.crc32(subject.encode()) % _VALIDATION_SHARE else "validation"


def _read_rec(path: Path) -> list[tuple[float, float, str]]:
    """Read start s, stop s and kind of each row of a `.rec` file: channel, start, stop, kind, no header."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing beside its EDF file: it holds the events")
    rows = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if not any(field.strip() for field in row):
                continue
            try:
                _, start, stop, kind = row
                rows.append((float(start), float(stop), _KINDS[int(kind)]))
                if not rows[-1][0] < rows[-1][1]:
                    raise ValueError("its stop is not after its start")
            except (KeyError, ValueError):
                raise ValueError(
                    f"{path.name} line {number}: expected channel, start, stop and a kind of 1 to 6, got "
                    f"{','.join(row)!r}"
                ) from None
    return rows


def _merge(rows: list[tuple[float, float, str]]) -> list[Event]:
    """Merge the rows of one kind that overlap the first of them into one event.

    Only the first: rows that overlap in a chain would become one event as long as the file.
    """
    events: list[Event] = []
    latest: dict[str, tuple[int, float]] = {}  # kind -> index of its last event, end of the row that began it
    for start, stop, kind in rows:
        index, end = latest.get(kind, (-1, -1.0))
        if start < end - 1e-3:  # a millisecond is rounding, not overlap
            onset = events[index].onset
            events[index] = Event(onset, max(events[index].duration, stop - onset), kind)
        else:
            latest[kind] = (len(events), stop)
            events.append(Event(start, stop - start, kind))
    return events
