# SPDX-License-Identifier: Apache-2.0
"""Corpora of Temple University Hospital: TUEG (all), TUAB (normal or abnormal), TUEV (six kinds of event).

https://isip.piconepress.com/projects/nedc/html/tuh_eeg/ and https://doi.org/10.3389/fnins.2016.00196; layouts
as in each corpus's AAREADME.txt, for example
https://isip.piconepress.com/projects/nedc/data/tuh_eeg/tuh_eeg_abnormal/v3.0.1/AAREADME.txt

Clinical EDF files with labels such as `EEG FP1-REF` or `EEG FP1-LE`, between 19 and more than 30 electrodes,
and ECG, photic and other channels beside them. The rates differ from file to file (250, 256, 400 and 512 Hz);
each file's own is read. TUAB and TUEV are taken from TUEG: a model pretrained on TUEG has seen their test
recordings, and TUEV's eval files cannot be found in TUEG again because they are coded differently.

All three ask for a registration (a signed form) and nothing of them may be passed on. They were not at hand
when this was written: it is tested on trees written in the published layout.
"""

import csv
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .corpus import Corpus, Event, Recording
from .recordings.formats import read_recording

if TYPE_CHECKING:
    import mne

_NAME = re.compile(r"(?P<subject>[a-z0-9]{8})_(?P<session>s\d{3})_(?P<run>t\d{3})\.edf")
# Folder of a montage -> what its channels refer to; 03 and 04 lack A1 and A2.
_REFERENCES = {
    "01_tcp_ar": "average",
    "02_tcp_le": "linked ears",
    "03_tcp_ar_a": "average",
    "04_tcp_le_a": "linked ears",
}
_VALIDATION_SHARE = 10  # one in ten of the training subjects


class _TUH(Corpus):
    """What the corpora of the hospital have in common."""

    licence = "LicenseRef-TUH-EEG"
    hub_licence = "other"
    url = "https://isip.piconepress.com/projects/nedc/html/tuh_eeg/"
    access = "free of charge after registration with NEDC (a signed form); not to be passed on"

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording with the sampling rate that its own header states."""
        return read_recording(recording.path)


class TUEG(_TUH):
    """The whole TUH EEG Corpus: no labels but the reference, for pretraining.

    Also reads TUEP and other subsets in the same layout, whatever folders stand above the montage's.

    Labels: `recorded_reference`, `"average"` or `"linked ears"`, from the folder `01_tcp_ar`, `02_tcp_le`,
        `03_tcp_ar_a` or `04_tcp_le_a`; empty where there is no such folder. The two are not comparable before
        both are brought to one reference.
    """

    name = "tueg"
    title = "TUH EEG Corpus 2.0.1"
    citation = (
        "Obeid I, Picone J. The Temple University Hospital EEG Data Corpus. Frontiers in Neuroscience "
        "10:196, 2016. https://doi.org/10.3389/fnins.2016.00196"
    )
    reference = "average or linked ears"
    label_names = {"recorded_reference": str}
    layout = "edf/000/aaaaaaaa/s001_2015/01_tcp_ar/aaaaaaaa_s001_t000.edf"
    # https://arxiv.org/abs/2412.07236 (CBraMod), section 3.1
    num_recordings = 69652
    num_subjects = 14987
    hours = 27062.0

    def recordings(self, root: Path) -> list[Recording]:
        """List the recordings by the names of their files, none of which is opened."""
        found = []
        for path, subject, session, run in _named(root):
            labels = {"recorded_reference": _nearest(path, _REFERENCES)}
            found.append(Recording(path, self.name, subject, session, run, "clinical", labels))
        return self._found(found, root)

    def reference_of(self, recording: Recording) -> str:
        """Return the reference that the recording's folder states."""
        return str(recording.labels["recorded_reference"] or self.reference)


class TUAB(_TUH):
    """TUH Abnormal: 2,993 recordings that were reported as normal or abnormal.

    Labels: `pathology`, `"normal"` or `"abnormal"`, of the recording and not of the person: some 54 people
        have both. `part`, the official split: `"test"` is the folder `eval`, and of the subjects in `train`
        one in ten is `"validation"`, chosen by a checksum of the subject's name, so that it is always the
        same people, however much of the corpus is there. Published results whose validation part was drawn by
        class or unseeded are not comparable, and may have one person in both parts.

    The published counts (893 + 1,237 patients in train, 253 in eval, 2,329 different ones) are what they
    would be if nobody were in both train and eval; `check_disjoint` names whoever is.
    """

    name = "tuab"
    title = "TUH Abnormal EEG Corpus 3.0.1"
    citation = (
        "Lopez S. Automated Identification of Abnormal EEGs. MS thesis, Temple University, 2017; Obeid I, "
        "Picone J. The Temple University Hospital EEG Data Corpus. Frontiers in Neuroscience 10:196, 2016. "
        "https://doi.org/10.3389/fnins.2016.00196"
    )
    reference = "average"
    label_names = {"pathology": str, "part": str}
    official_split_column = "part"
    layout = "edf/train/normal/01_tcp_ar/aaaaaaaa_s001_t000.edf, and eval, and abnormal"
    num_recordings = 2993
    num_subjects = 2329

    def recordings(self, root: Path) -> list[Recording]:
        """List the recordings with the labels of the nearest such folder above them."""
        found = []
        for path, subject, session, run in _named(root):
            pathology, part = _nearest(path, ("normal", "abnormal")), _nearest(path, ("train", "eval"))
            if pathology and part:
                labels = {"pathology": pathology, "part": _part(part, subject)}
                found.append(Recording(path, self.name, subject, session, run, "clinical", labels))
        return self._found(found, root)


class TUEV(_TUH):
    """TUH Events: one-second events of six kinds, for windows of 5 s with the event after 2 s.

    Events: `spsw` (spike and sharp wave), `gped` and `pled` (periodic discharges, generalised and
        lateralised), `eyem` (eye movement), `artf` (artefact), `bckg` (background). The `.rec` file beside
        each EDF file marks an event once for every channel that shows it; here it is one event. Where
        channels disagree, the same second is an event of two kinds.
    Label: `part`, the official split, made as that of TUAB.

    Trap: the number of an eval file (`bckg_032_a_.edf`) counts sessions, not patients, so `"eval_032"` is a
    person only as far as anybody outside can tell.
    """

    name = "tuev"
    title = "TUH EEG Events Corpus 2.0.1"
    citation = (
        "Harati A, Golmohammadi M, Lopez S, Obeid I, Picone J. Improved EEG Event Classification Using "
        "Differential Energy. IEEE SPMB 2015. https://doi.org/10.1109/SPMB.2015.7405421; Obeid I, Picone J. "
        "Frontiers in Neuroscience 10:196, 2016. https://doi.org/10.3389/fnins.2016.00196"
    )
    reference = "average"
    label_names = {"part": str}
    official_split_column = "part"
    has_events = True
    layout = "edf/train/aaaaaaar/aaaaaaar_00000001.edf and edf/eval/032/bckg_032_a_.edf, each with its .rec"
    num_recordings = 518
    num_subjects = 370

    _train = re.compile(r"(?P<subject>[a-z0-9]{8})_\d{8}\.edf")
    _eval = re.compile(r"[a-z_]+_(?P<subject>\d{3})_a_\d*\.edf")

    def recordings(self, root: Path) -> list[Recording]:
        """List the recordings; the two parts are told apart by how their files are named."""
        found = []
        for path in root.rglob("*.edf"):
            for part, pattern, prefix in (("train", self._train, ""), ("eval", self._eval, "eval_")):
                match = pattern.fullmatch(path.name)
                if match:
                    subject = prefix + match["subject"]
                    labels = {"part": _part(part, subject)}
                    found.append(Recording(path, self.name, subject, "1", path.stem, "clinical", labels))
        return self._found(found, root)

    def events(self, recording: Recording, raw: "mne.io.BaseRaw") -> list[Event]:
        """Read the `.rec` file and merge what it says of each channel."""
        return _merge(sorted(_read_rec(recording.path.with_suffix(".rec"))))

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Take the `.rec` file in: the labels are in there."""
        rec = recording.path.with_suffix(".rec").stat()
        return {**super().provenance(recording), "rec_size": rec.st_size, "rec_mtime_ns": rec.st_mtime_ns}


_KINDS = dict(enumerate(("spsw", "gped", "pled", "eyem", "artf", "bckg"), start=1))


def _named(root: Path) -> Iterator[tuple[Path, str, str, str]]:
    """Yield path, subject, session and run of every file named as in TUEG."""
    for path in root.rglob("*.edf"):
        match = _NAME.fullmatch(path.name)
        if match:
            yield path, match["subject"], match["session"], match["run"]


def _nearest(path: Path, folders: "dict[str, str] | tuple[str, ...]") -> str | None:
    """Name the nearest folder above a file that is one of those given, or what it stands for."""
    name = next((parent.name for parent in path.parents if parent.name in folders), None)
    return folders.get(name) if isinstance(folders, dict) and name else name


def _part(folder: str, subject: str) -> str:
    """Name the part of the official split that a subject belongs to."""
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
    """Make one event of the rows of one kind that overlap the first of them.

    Only the first: rows that touch or overlap in a chain would end in one event as long as the file.
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


__all__ = ["TUAB", "TUEG", "TUEV"]
