# SPDX-License-Identifier: Apache-2.0
"""EEGMAT: rest against serial subtraction in 36 students (PhysioNet eegmat 1.0.0).

https://physionet.org/content/eegmat/1.0.0/ and https://doi.org/10.3390/data4010014

`SubjectNN_1.edf` is three minutes of rest, `SubjectNN_2.edf` one minute of counting down by a two-digit
number; 19 electrodes against linked ears at 500 Hz, with old names behind an `EEG ` prefix, one ECG channel,
and `A2-A1`, the difference of the two ears, which is no place on the head and takes no part in an average
reference.

Trap: each file was cleaned by ICA on its own. What a component took with it (a loss of rank, a changed
spectrum) belongs to the file and so to the condition: whitening each file by its own covariance would give
the label away or wash it out, and part of any accuracy on this corpus may be the cleaning's. Everything here
that uses a covariance takes it over all of a subject's windows.
"""

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

from .corpus import Corpus, Label, Recording
from .recordings.formats import read_recording

if TYPE_CHECKING:
    import mne

_NAME = re.compile(r"Subject(?P<subject>\d{2})_(?P<run>[12])\.edf")
_CONDITIONS = {"1": "rest", "2": "task"}
_INFO = "subject-info.csv"


class EEGMAT(Corpus):
    """The 72 recordings of EEGMAT; subjects are `"00"` to `"35"`.

    Labels: `condition` (`"rest"` or `"task"`), and of the person `age` in years, `sex` (`"F"` or `"M"`),
        `subtractions`
    (mean number in four minutes) and `count_quality` (`"good"` or `"bad"`); empty where `subject-info.csv` is
    missing.
    """

    name = "eegmat"
    title = "EEG During Mental Arithmetic Tasks 1.0.0"
    licence = "ODC-By-1.0"
    hub_licence = "odc-by"
    citation = (
        "Zyma I, Tukaev S, Seleznov I, Kiyono K, Popov A, Chernykh M, Shpenkov O. Electroencephalograms "
        "during Mental Arithmetic Task Performance. Data 4(1):14, 2019. https://doi.org/10.3390/data4010014; "
        "PhysioNet, https://doi.org/10.13026/C2JQ1P"
    )
    url = "https://physionet.org/content/eegmat/1.0.0/"
    access = "open, about 180 MB from PhysioNet"
    reference = "linked ears"
    label_names = {"condition": str, "age": float, "sex": str, "subtractions": float, "count_quality": str}
    # The split of the published benchmarks; four test subjects decide little, subject folds say more.
    official_split = {
        "train": tuple(f"{i:02d}" for i in range(28)),
        "validation": tuple(f"{i:02d}" for i in range(28, 32)),
        "test": tuple(f"{i:02d}" for i in range(32, 36)),
    }
    base_url = "https://physionet.org/files/eegmat/1.0.0"
    file_pattern = re.compile(r"Subject(?P<subject>\d{2})_[12]\.edf|subject-info\.csv")
    layout = "SubjectNN_1.edf, SubjectNN_2.edf and subject-info.csv"
    num_recordings = 72
    num_subjects = 36
    hours = 2.4

    def recordings(self, root: Path) -> list[Recording]:
        """List the recordings with what subject-info.csv says of each person."""
        people = _read_people(root / _INFO)
        found = []
        for path in root.rglob("Subject*.edf"):
            match = _NAME.fullmatch(path.name)
            if match:
                subject, run = match["subject"], match["run"]
                labels: dict[str, Label] = {**dict.fromkeys(self.label_names), **people.get(subject, {})}
                labels["condition"] = _CONDITIONS[run]
                task = {"1": "rest", "2": "serial_subtraction"}[run]
                found.append(Recording(path, self.name, subject, "1", run, task, labels))
        return self._found(found, root)

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording; `A2-A1` counts as a miscellaneous channel and not as EEG."""
        raw = read_recording(recording.path)
        ears = [name for name in raw.ch_names if name.endswith("A2-A1")]
        return raw.set_channel_types(dict.fromkeys(ears, "misc"), verbose="ERROR")


def _read_people(path: Path) -> dict[str, dict[str, Label]]:
    """Read subject-info.csv: subject -> labels; empty without the file."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        expected = {"Subject", "Age", "Gender", "Number of subtractions", "Count quality"}
        if not expected <= set(reader.fieldnames or ()):
            raise ValueError(f"{path} has columns {reader.fieldnames}, expected at least {sorted(expected)}")
        return {
            row["Subject"].removeprefix("Subject"): {
                "age": _number(row["Age"]),
                "sex": row["Gender"] or None,
                "subtractions": _number(row["Number of subtractions"]),
                "count_quality": {"0": "bad", "1": "good"}.get(row["Count quality"]),
            }
            for row in reader
        }


def _number(text: str) -> float | None:
    return float(text) if text else None


__all__ = ["EEGMAT"]
