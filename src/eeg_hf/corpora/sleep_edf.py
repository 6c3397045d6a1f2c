# SPDX-License-Identifier: Apache-2.0
"""Sleep-EDF Expanded: 197 nights of 100 people with sleep stages (PhysioNet sleep-edfx 1.0.0).

https://physionet.org/content/sleep-edfx/1.0.0/ and https://doi.org/10.1109/10.867928

`SC4ssNE0-PSG.edf` is night N of person ss of the cassette study (healthy, at home, about 20 h with the day
around the night), `ST7ssNJ0-PSG.edf` one of the telemetry study (mild trouble falling asleep, in hospital,
one night with placebo and one with temazepam). The hypnogram beside it shares the first seven characters and
has any letters after them. Two derivations, `EEG Fpz-Cz` and `EEG Pz-Oz`, at 100 Hz; EOG, EMG, respiration,
temperature and marker are no EEG, and some come at 1 Hz, which MNE raises to 100 Hz.

Persons 39, 68, 69, 78 and 79 of the cassette study do not exist, and one night each of 13, 36 and 52 was
lost. Both nights of a person belong in one part of a split.
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from transformers.utils import logging

from .corpus import Corpus, Event, Label, Recording
from .recordings.formats import read_recording

if TYPE_CHECKING:
    import mne

logger = logging.get_logger(__name__)

_NAME = re.compile(r"(?P<person>SC4\d{2}|ST7\d{2})(?P<night>\d)[A-Z]\w-PSG\.edf")
_STUDIES = {"SC": "cassette", "ST": "telemetry"}
# Rechtschaffen and Kales scored stages 3 and 4, today they are one; "?" and movement are no stages.
_STAGES = {
    "Sleep stage W": "W",
    "Sleep stage 1": "N1",
    "Sleep stage 2": "N2",
    "Sleep stage 3": "N3",
    "Sleep stage 4": "N3",
    "Sleep stage R": "REM",
}
_NOBODY: dict[str, Label] = {"age": None, "sex": None, "treatment": None}


class SleepEDF(Corpus):
    """The 197 nights of Sleep-EDF Expanded; subjects are `"SC4ss"` and `"ST7ss"`, nights are sessions.

    Events: the stages `W`, `N1`, `N2`, `N3` (3 and 4) and `REM` as stretches of multiples of 30 s; cut them
        with `segments="annotations"` into windows of 30 s. Not scored and movement time are left out.
    Labels: `study` (`"cassette"` or `"telemetry"`), and from SC-subjects.xls and ST-subjects.xls, which need
        the package xlrd: `age` in years, `sex` (`"F"` or `"M"`), `treatment` (`"placebo"` or `"temazepam"`,
        of the telemetry nights). Empty without the tables or the package.

    Args:
        wake_minutes: How long before the first and after the last sleep the wake stretches are kept; the day
            would otherwise be most of a cassette recording. `None` keeps all.
    """

    name = "sleep_edf"
    title = "Sleep-EDF Database Expanded 1.0.0"
    licence = "ODC-By-1.0"
    hub_licence = "odc-by"
    citation = (
        "Kemp B, Zwinderman AH, Tuk B, Kamphuisen HAC, Oberye JJL. Analysis of a sleep-dependent neuronal "
        "feedback loop: the slow-wave microcontinuity of the EEG. IEEE Trans Biomed Eng 47(9):1185-1194, "
        "2000. https://doi.org/10.1109/10.867928; PhysioNet, https://doi.org/10.13026/C2X676"
    )
    url = "https://physionet.org/content/sleep-edfx/1.0.0/"
    access = "open, about 8 GB from PhysioNet"
    reference = "bipolar"
    label_names = {"study": str, "age": float, "sex": str, "treatment": str}
    has_events = True
    base_url = "https://physionet.org/files/sleep-edfx/1.0.0"
    file_pattern = re.compile(
        r"sleep-\w+/(?P<subject>S[CT]\d{3})\d\w+-(?:PSG|Hypnogram)\.edf|S[CT]-subjects\.xls"
    )
    layout = "sleep-cassette/SC4001E0-PSG.edf and SC4001EC-Hypnogram.edf, sleep-telemetry/ST7011J0-PSG.edf"
    num_recordings = 197
    num_subjects = 100

    def __init__(self, wake_minutes: float | None = 30.0) -> None:
        if wake_minutes is not None and wake_minutes < 0:
            raise ValueError(f"wake_minutes must be 0 or more, or None to keep all, got {wake_minutes}")
        self.wake_minutes = wake_minutes

    def recordings(self, root: Path) -> list[Recording]:
        """List the nights; both of one person have one subject."""
        people = _read_people(root)
        found = []
        for path in root.rglob("S*-PSG.edf"):
            match = _NAME.fullmatch(path.name)
            if match:
                person, night = match["person"], match["night"]
                labels = {"study": _STUDIES[person[:2]], **people.get((person, night), _NOBODY)}
                found.append(Recording(path, self.name, person, night, "1", "sleep", labels))
        return self._found(found, root)

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a night."""
        return read_recording(recording.path)

    def events(self, recording: Recording, raw: "mne.io.BaseRaw") -> list[Event]:
        """List the stretches of one stage, wake far from sleep left out."""
        import mne

        hypnogram = _hypnogram(recording)
        marks = mne.read_annotations(hypnogram)
        stages = [
            Event(float(onset), float(duration), _STAGES[description])
            for onset, duration, description in zip(
                marks.onset, marks.duration, marks.description, strict=True
            )
            if description in _STAGES
        ]
        if not stages:
            raise ValueError(f"{hypnogram.name} holds no sleep stages: is it a hypnogram?")
        return _crop(stages, self.wake_minutes)

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Take the hypnogram and the option in: both decide which windows there are."""
        scored = _hypnogram(recording).stat()
        return {
            **super().provenance(recording),
            "hypnogram_size": scored.st_size,
            "hypnogram_mtime_ns": scored.st_mtime_ns,
            "wake_minutes": str(self.wake_minutes),
        }


def _hypnogram(recording: Recording) -> Path:
    """Find the hypnogram of a night."""
    pattern = f"{recording.path.name[:7]}*-Hypnogram.edf"
    found = sorted(recording.path.parent.glob(pattern))
    if len(found) != 1:
        raise FileNotFoundError(
            f"{recording.path.name}: expected one {pattern} with the stages beside it, found {len(found)}"
        )
    return found[0]


def _crop(stages: list[Event], wake_minutes: float | None) -> list[Event]:
    """Cut wake off that is further than so many minutes from the first and the last sleep."""
    asleep = [stage for stage in stages if stage.name != "W"]
    if wake_minutes is None or not asleep:
        return stages
    first = min(stage.onset for stage in asleep) - 60 * wake_minutes
    last = max(stage.onset + stage.duration for stage in asleep) + 60 * wake_minutes
    cropped = []
    for stage in stages:
        start, end = max(stage.onset, first), min(stage.onset + stage.duration, last)
        if start < end:
            cropped.append(replace(stage, onset=start, duration=end - start))
    return cropped


def _read_people(root: Path) -> dict[tuple[str, str], dict[str, Label]]:
    """Read age, sex and treatment of each (person, night); empty without the tables or xlrd."""
    tables = [root / "SC-subjects.xls", root / "ST-subjects.xls"]
    if not any(path.is_file() for path in tables):
        return {}
    try:
        import xlrd  # type: ignore[import-untyped]
    except ImportError:
        logger.warning_once("sleep_edf: age and sex stay empty; pip install xlrd to read them")
        return {}
    people: dict[tuple[str, str], dict[str, Label]] = {}
    for path, parse in zip(tables, (_cassette, _telemetry), strict=True):
        if path.is_file():
            try:
                sheet = xlrd.open_workbook(path).sheet_by_index(0)
                people.update(parse([row for row in map(sheet.row_values, range(sheet.nrows)) if any(row)]))
            except (xlrd.XLRDError, ValueError, IndexError) as error:
                raise ValueError(f"{path.name} is not the table of this corpus: {error}") from None
    return people


def _cassette(rows: list[list[object]]) -> dict[tuple[str, str], dict[str, Label]]:
    """Read the rows subject, night, age, sex (F=1), lights off, under one line of names."""
    return {
        (f"SC4{_whole(person):02d}", str(_whole(night))): {
            **_NOBODY,
            "age": float(_whole(age)),
            "sex": {1: "F", 2: "M"}.get(_whole(sex)),
        }
        for person, night, age, sex, *_ in rows[1:]
    }


def _telemetry(rows: list[list[object]]) -> dict[tuple[str, str], dict[str, Label]]:
    """Read the rows nr, age, sex (M=1), then each night's number and lights off, under two lines of names."""
    titles = [str(title).lower().split()[:1] for title in rows[0]]
    return {
        (f"ST7{_whole(row[0]):02d}", str(_whole(row[titles.index([treatment])]))): {
            "age": float(_whole(row[1])),
            "sex": {1: "M", 2: "F"}.get(_whole(row[2])),  # the other way round than in the other table
            "treatment": treatment,
        }
        for row in rows[2:]
        for treatment in ("placebo", "temazepam")
    }


def _whole(cell: object) -> int:
    """Turn a cell into the number that Excel stores as a float."""
    return int(float(str(cell)))


__all__ = ["SleepEDF"]
