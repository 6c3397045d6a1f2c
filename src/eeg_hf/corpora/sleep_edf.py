# SPDX-License-Identifier: Apache-2.0
"""Sleep-EDF Expanded: 197 nights of 100 subjects with sleep stages (PhysioNet sleep-edfx 1.0.0).

https://physionet.org/content/sleep-edfx/1.0.0/ and https://doi.org/10.1109/10.867928

`SC4ssNE0-PSG.edf` is night N of subject ss of the cassette study (healthy, at home, about 20 h with the day
around the night), `ST7ssNJ0-PSG.edf` one of the telemetry study (mild trouble falling asleep, in hospital,
one night with placebo and one with temazepam). The name of the hypnogram beside it starts with the same seven
characters. Two derivations, `EEG Fpz-Cz` and `EEG Pz-Oz`, at 100 Hz; the others are EOG, EMG, respiration,
temperature and marker, some at 1 Hz, which MNE upsamples to 100 Hz.

Subjects 39, 68, 69, 78 and 79 of the cassette study do not exist, and one night each of 13, 36 and 52 was
lost. Both nights of a subject belong to one part of a split.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from transformers.utils import logging

from .corpus import Corpus, Event, Label, Recording, files_named
from .recordings.formats import read_recording

if TYPE_CHECKING:
    import mne

logger = logging.get_logger(__name__)

_NAME = re.compile(r"(?P<subject>SC4\d{2}|ST7\d{2})(?P<night>\d)[A-Z]\w-PSG\.edf")
_STUDIES = {"SC": "cassette", "ST": "telemetry"}
# Stages 3 and 4 of Rechtschaffen and Kales are N3 today; "?" and movement time are not stages.
_STAGES = {
    "Sleep stage W": "W",
    "Sleep stage 1": "N1",
    "Sleep stage 2": "N2",
    "Sleep stage 3": "N3",
    "Sleep stage 4": "N3",
    "Sleep stage R": "REM",
}
_UNKNOWN: dict[str, Label] = {"age": None, "sex": None, "treatment": None}


class SleepEDF(Corpus):
    """The 197 nights of Sleep-EDF Expanded; subjects are `"SC4ss"` and `"ST7ss"`, nights are sessions.

    Events: the stages `W`, `N1`, `N2`, `N3` (3 and 4) and `REM` as stretches of multiples of 30 s; cut them
        with `segments="annotations"` into windows of 30 s. Unscored and movement time are left out.
    Labels: `study` (`"cassette"` or `"telemetry"`), and from SC-subjects.xls and ST-subjects.xls, which need
        the package xlrd: `age` in years, `sex` (`"F"` or `"M"`), `treatment` (`"placebo"` or `"temazepam"`,
        of the telemetry nights). Empty without the tables or the package.

    Args:
        wake_minutes: Minutes of wakefulness to keep before the first and after the last sleep; the day
            would otherwise be most of a cassette recording. `None` keeps all.
    """

    name = "sleep_edf"
    label_names = {"study": str, "age": float, "sex": str, "treatment": str}
    has_events = True
    file_pattern = re.compile(
        r"sleep-\w+/(?P<subject>S[CT]\d{3})\d\w+-(?:PSG|Hypnogram)\.edf|S[CT]-subjects\.xls"
    )

    def __init__(self, wake_minutes: float | None = 30.0) -> None:
        if wake_minutes is not None and wake_minutes < 0:
            raise ValueError(f"wake_minutes must be 0 or more, or None to keep all, got {wake_minutes}")
        self.wake_minutes = wake_minutes

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        labels_of = _read_subjects(root)
        for path, match in files_named(root, _NAME):
            subject, night = match["subject"], match["night"]
            labels = {"study": _STUDIES[subject[:2]], **labels_of.get((subject, night), _UNKNOWN)}
            yield Recording(path, self.name, subject, night, "1", "sleep", labels)

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a night."""
        return read_recording(recording.path)

    def events(self, recording: Recording, raw: "mne.io.BaseRaw") -> list[Event]:
        """List the stretches of one stage, without wakefulness far from sleep."""
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
        """Include the hypnogram and the option, which decide the windows."""
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
    """Remove wakefulness that is further than some minutes from the first and the last sleep."""
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


def _read_subjects(root: Path) -> dict[tuple[str, str], dict[str, Label]]:
    """Read age, sex and treatment of each (subject, night); empty without the tables or xlrd."""
    tables = {root / "SC-subjects.xls": _parse_cassette, root / "ST-subjects.xls": _parse_telemetry}
    if not any(path.is_file() for path in tables):
        return {}
    try:
        import xlrd  # type: ignore[import-untyped]
    except ImportError:
        logger.warning_once('sleep_edf: age and sex stay empty; pip install "eeg-hf[sleep]" to read them')
        return {}
    subjects: dict[tuple[str, str], dict[str, Label]] = {}
    for path, parse in tables.items():
        if path.is_file():
            try:
                sheet = xlrd.open_workbook(path).sheet_by_index(0)
                rows = [row for row in map(sheet.row_values, range(sheet.nrows)) if any(row)]
                subjects.update(parse(rows))
            except (xlrd.XLRDError, ValueError, IndexError) as error:
                raise ValueError(f"{path.name} is not the table of this corpus: {error}") from None
    return subjects


def _parse_cassette(rows: list[list[object]]) -> dict[tuple[str, str], dict[str, Label]]:
    """Parse the rows subject, night, age, sex (F=1), lights off, under one line of names."""
    return {
        (f"SC4{_whole(subject):02d}", str(_whole(night))): {
            **_UNKNOWN,
            "age": float(_whole(age)),
            "sex": {1: "F", 2: "M"}.get(_whole(sex)),
        }
        for subject, night, age, sex, *_ in rows[1:]
    }


def _parse_telemetry(rows: list[list[object]]) -> dict[tuple[str, str], dict[str, Label]]:
    """Parse the rows nr, age, sex (M=1), number and lights off of each night, under two lines of names."""
    titles = [str(title).lower().split()[:1] for title in rows[0]]
    return {
        (f"ST7{_whole(row[0]):02d}", str(_whole(row[titles.index([treatment])]))): {
            "age": float(_whole(row[1])),
            "sex": {1: "M", 2: "F"}.get(_whole(row[2])),  # reversed compared with the cassette table
            "treatment": treatment,
        }
        for row in rows[2:]
        for treatment in ("placebo", "temazepam")
    }


def _whole(cell: object) -> int:
    """Return a cell as the integer that Excel stores as a float."""
    return int(float(str(cell)))
