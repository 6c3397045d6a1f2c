# SPDX-License-Identifier: Apache-2.0
"""CHB-MIT: days of scalp EEG of children with epilepsy, seizures marked (PhysioNet chbmit 1.0.0).

https://physionet.org/content/chbmit/1.0.0/ and https://doi.org/10.13026/C2K01R

24 cases `chb01` to `chb24` at 256 Hz, cut into files of mostly an hour, with the bipolar derivations of the
double banana and some more; `T8-P8` comes twice, and channels named `-` hold nothing. The montage changes
within some cases: three files of chb12 have single electrodes (`F7`, or `F7-CS2`, against the second cervical
vertebra), from which the usual derivations can be computed; ask for them by name
(`eeg_hf.channels.DOUBLE_BANANA`).

Trap: case chb21 is the girl of chb01, a year and a half later. She is one subject here with two sessions;
splits by case have her in two parts.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..processing.channels import electrode_positions
from .corpus import Corpus, Event, Label, Recording
from .recordings.formats import read_recording

if TYPE_CHECKING:
    import mne

_NAME = re.compile(r"(?P<case>chb\d{2})(?P<run>[a-z]?_\d{2}\+?)\.edf")
_SAME_PERSON = {"chb21": "chb01"}
_PERSON = re.compile(r"(chb\d{2})\s+([FM])\s+([\d.]+)")
_COUNT = re.compile(r"Number of Seizures in File:\s*(\d+)")
_TIME = re.compile(r"Seizure\s*\d*\s*(Start|End) Time:\s*([\d.]+)\s*sec", re.IGNORECASE)


class CHBMIT(Corpus):
    """The 686 recordings of CHB-MIT; subjects are `"chb01"` to `"chb24"` without `"chb21"`, who is chb01.

    Events: `seizure` (198 in all) and `background`, which together cover each recording; cut them with
        `segments="annotations"`, so that no window holds both.
    Labels: `sex` and `age` in years at that session, from SUBJECT-INFO; empty where it is missing.
    """

    name = "chbmit"
    title = "CHB-MIT Scalp EEG Database 1.0.0"
    licence = "ODC-By-1.0"
    hub_licence = "odc-by"
    citation = (
        "Guttag J. CHB-MIT Scalp EEG Database. PhysioNet, 2010. https://doi.org/10.13026/C2K01R; Shoeb A. "
        "Application of Machine Learning to Epileptic Seizure Onset Detection and Treatment. PhD thesis, "
        "MIT, 2009"
    )
    url = "https://physionet.org/content/chbmit/1.0.0/"
    access = "open, about 43 GB from PhysioNet"
    reference = "bipolar"
    label_names = {"sex": str, "age": float}
    has_events = True
    base_url = "https://physionet.org/files/chbmit/1.0.0"
    file_pattern = re.compile(r"(?P<subject>chb\d{2})/chb\d{2}(?:\w*\+?\.edf|-summary\.txt)|SUBJECT-INFO")
    layout = "chb01/chb01_03.edf and chb01/chb01-summary.txt to chb24"
    num_recordings = 686
    num_subjects = 23

    def recordings(self, root: Path) -> list[Recording]:
        """List the recordings; the case is the session, the person the subject."""
        people = _read_people(root / "SUBJECT-INFO")
        found = []
        for path in root.rglob("chb*.edf"):
            match = _NAME.fullmatch(path.name)
            if match:
                case = match["case"]
                labels = people.get(case, dict.fromkeys(self.label_names))
                subject, run = _SAME_PERSON.get(case, case), match["run"].lstrip("_")
                found.append(Recording(path, self.name, subject, case, run, "monitoring", labels))
        return self._found(found, root)

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording; electrodes lose the reference `-CS2` in their names, other signals are no EEG."""
        raw = read_recording(recording.path)
        raw.rename_channels({name: name.removesuffix("-CS2") for name in raw.ch_names})
        nowhere = np.isnan(electrode_positions(raw.ch_names, on_missing="nan")).any(axis=1)
        others = [name for name, is_other in zip(raw.ch_names, nowhere, strict=True) if is_other]
        return raw.set_channel_types(dict.fromkeys(others, "misc"), verbose="ERROR")

    def events(self, recording: Recording, raw: "mne.io.BaseRaw") -> list[Event]:
        """Lay out seizures, and background before, between and after them, over the whole recording."""
        spans: list[Event] = []
        end, last = 0.0, raw.n_times / float(raw.info["sfreq"])
        for start, stop in [*_read_seizures(_summary(recording), recording.path.name), (last, last)]:
            start, stop = max(end, min(start, last)), min(stop, last)
            spans += [Event(end, start - end, "background"), Event(start, stop - start, "seizure")]
            end = max(end, stop)
        return [span for span in spans if span.duration > 0]

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Take the summary in: the seizures are in there."""
        summary = _summary(recording).stat()
        return {**super().provenance(recording), "summary_mtime_ns": summary.st_mtime_ns}

    def _wanted(self, subjects: Collection[str] | None) -> "re.Pattern[str] | None":
        """Pattern of the files to fetch: of all the cases of a person."""
        if subjects is not None:
            subjects = {*subjects, *(case for case, person in _SAME_PERSON.items() if person in subjects)}
        return super()._wanted(subjects)


def _summary(recording: Recording) -> Path:
    """Return where the seizures of a recording's case are listed."""
    return recording.path.with_name(f"{recording.session}-summary.txt")


def _read_seizures(path: Path, name: str) -> list[tuple[float, float]]:
    """Read start s and end s of the seizures in one file from the summary of its case."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing beside {name}: it says where its seizures are")
    summary = path.read_text(encoding="utf-8", errors="replace")
    # Each file's lines start with its name; what stands before the first is the rate and the montage.
    entry = next((part for part in summary.split("File Name:")[1:] if part.split()[:1] == [name]), None)
    if entry is None:
        raise ValueError(f"{name} is not in {path.name}: whether it holds seizures is not known")
    count, times = _COUNT.search(entry), _TIME.findall(entry)
    starts = [float(seconds) for which, seconds in times if which.lower() == "start"]
    ends = [float(seconds) for which, seconds in times if which.lower() == "end"]
    stated = int(count[1]) if count else None
    if not len(starts) == len(ends) == stated or any(a >= b for a, b in zip(starts, ends, strict=True)):
        raise ValueError(
            f"{path.name}: expected a start and a later end of each of the {stated} seizures in {name}, "
            f"got starts {starts} and ends {ends}"
        )
    return sorted(zip(starts, ends, strict=True))


def _read_people(path: Path) -> dict[str, dict[str, Label]]:
    """Read sex and age of every case; empty without the file."""
    if not path.is_file():
        return {}
    rows = _PERSON.findall(path.read_text(encoding="utf-8", errors="replace"))
    return {case: {"sex": sex, "age": float(age)} for case, sex, age in rows}


__all__ = ["CHBMIT"]
