# SPDX-License-Identifier: Apache-2.0
"""CHB-MIT: days of scalp EEG of children with epilepsy, seizures marked (PhysioNet chbmit 1.0.0).

https://physionet.org/content/chbmit/1.0.0/ and https://doi.org/10.13026/C2K01R

24 cases `chb01` to `chb24` at 256 Hz, cut into files of mostly an hour, with the bipolar derivations of the
double banana and some more; `T8-P8` occurs twice, and channels named `-` are empty. The montage changes
within some cases: three files of chb12 have single electrodes (`F7`, or `F7-CS2`, against the second cervical
vertebra), from which the usual derivations can be computed when they are requested by name
(`eeg_hf.processing.channels.DOUBLE_BANANA`).

Trap: case chb21 is the girl of chb01, a year and a half later. She is one subject with two sessions here;
splits by case have her in two parts.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..processing.electrode_positions import electrode_positions
from .corpus import Corpus, Event, Label, Recording, files_named
from .recordings.formats import read_recording

if TYPE_CHECKING:
    import mne

_NAME = re.compile(r"(?P<case>chb\d{2})(?P<run>[a-z]?_\d{2}\+?)\.edf")
_SUBJECT_OF_CASE = {"chb21": "chb01"}  # all other cases are their own subject
_SUBJECT_ROW = re.compile(r"(chb\d{2})\s+([FM])\s+([\d.]+)")
_COUNT = re.compile(r"Number of Seizures in File:\s*(\d+)")
_TIME = re.compile(r"Seizure\s*\d*\s*(Start|End) Time:\s*([\d.]+)\s*sec", re.IGNORECASE)


class CHBMIT(Corpus):
    """The 686 recordings of CHB-MIT; subjects are `"chb01"` to `"chb24"` without `"chb21"`, who is chb01.

    Events: `seizure` (198 in all) and `background`, which together cover each recording; cut them with
        `segments="annotations"`, so that no window holds both.
    Labels: `sex` and `age` in years at that session, from SUBJECT-INFO; empty where it is missing.
    """

    name = "chbmit"
    label_names = {"sex": str, "age": float}
    has_events = True
    file_pattern = re.compile(r"(?P<subject>chb\d{2})/chb\d{2}(?:\w*\+?\.edf|-summary\.txt)|SUBJECT-INFO")

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        """Find the recordings; the case is the session."""
        labels_of = _read_subjects(root / "SUBJECT-INFO")
        for path, match in files_named(root, _NAME):
            case, run = match["case"], match["run"].lstrip("_")
            labels = labels_of.get(case, dict.fromkeys(self.label_names))
            subject = _SUBJECT_OF_CASE.get(case, case)
            yield Recording(path, self.name, subject, case, run, "monitoring", labels)

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording without the `-CS2` in electrode names; other signals become miscellaneous."""
        raw = read_recording(recording.path)
        raw.rename_channels({name: name.removesuffix("-CS2") for name in raw.ch_names})
        is_placeless = np.isnan(electrode_positions(raw.ch_names, on_missing="nan")).any(axis=1)
        others = [name for name, is_other in zip(raw.ch_names, is_placeless, strict=True) if is_other]
        return raw.set_channel_types(dict.fromkeys(others, "misc"), verbose="ERROR")

    def events(self, recording: Recording, raw: "mne.io.BaseRaw") -> list[Event]:
        """List the seizures, and the background before, between and after them."""
        spans: list[Event] = []
        end, last = 0.0, raw.n_times / float(raw.info["sfreq"])
        for start, stop in [*_read_seizures(_summary(recording), recording.path.name), (last, last)]:
            start, stop = max(end, min(start, last)), min(stop, last)
            spans += [Event(end, start - end, "background"), Event(start, stop - start, "seizure")]
            end = max(end, stop)
        return [span for span in spans if span.duration > 0]

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Include the summary, which lists the seizures."""
        summary = _summary(recording).stat()
        return {**super().provenance(recording), "summary_mtime_ns": summary.st_mtime_ns}

    def _wanted(self, subjects: Collection[str] | None) -> "re.Pattern[str] | None":
        """Return the pattern of the files to download, with all cases of a subject."""
        if subjects is not None:
            cases = {case for case, subject in _SUBJECT_OF_CASE.items() if subject in subjects}
            subjects = {*subjects, *cases}
        return super()._wanted(subjects)


def _summary(recording: Recording) -> Path:
    """Return the file that lists the seizures of a recording's case."""
    return recording.path.with_name(f"{recording.session}-summary.txt")


def _read_seizures(path: Path, name: str) -> list[tuple[float, float]]:
    """Read start and end in seconds of the seizures in one file from the summary of its case."""
    if not path.is_file():
        raise FileNotFoundError(f"{path.name} is missing beside {name}: it lists the seizures")
    summary = path.read_text(encoding="utf-8", errors="replace")
    # Each file's lines start with its name; the text before the first is the rate and the montage.
    entry = next((part for part in summary.split("File Name:")[1:] if part.split()[:1] == [name]), None)
    if entry is None:
        raise ValueError(f"{name} is not in {path.name}: its seizures are unknown")
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


def _read_subjects(path: Path) -> dict[str, dict[str, Label]]:
    """Read sex and age of every case; empty without the file."""
    if not path.is_file():
        return {}
    rows = _SUBJECT_ROW.findall(path.read_text(encoding="utf-8", errors="replace"))
    return {case: {"sex": sex, "age": float(age)} for case, sex, age in rows}
