# SPDX-License-Identifier: Apache-2.0
"""EEGMAT: rest and serial subtraction of 36 students (PhysioNet eegmat 1.0.0).

https://physionet.org/content/eegmat/1.0.0/ and https://doi.org/10.3390/data4010014

`SubjectNN_1.edf` is three minutes of rest, `SubjectNN_2.edf` one minute of counting down by a two-digit
number. Each has 19 electrodes against linked ears at 500 Hz, with old names behind an `EEG ` prefix, one ECG
channel, and `A2-A1`, the difference between the ears, which has no position and is left out of an average
reference.

Trap: each file was cleaned by its own ICA. What the removed components took along (a loss of rank, a changed
spectrum) belongs to the file and therefore to the condition. Whitening each file by its own covariance would
leak the label or wash it out, and part of any accuracy on this corpus may come from the cleaning. All
covariances of this package are taken over all windows of a subject.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .corpus import Corpus, Label, Recording, files_named
from .recordings.formats import read_recording

if TYPE_CHECKING:
    import mne

_NAME = re.compile(r"Subject(?P<subject>\d{2})_(?P<run>[12])\.edf")
# Run -> condition, task
_RUNS = {"1": ("rest", "rest"), "2": ("task", "serial_subtraction")}
_COLUMNS = {"Subject", "Age", "Gender", "Number of subtractions", "Count quality"}


class EEGMAT(Corpus):
    """The 72 recordings of EEGMAT; subjects are `"00"` to `"35"`.

    Labels: `condition` (`"rest"` or `"task"`), and of the subject `age` in years, `sex` (`"F"` or `"M"`),
        `subtractions` (mean number in four minutes) and `count_quality` (`"good"` or `"bad"`), which are
        empty without `subject-info.csv`.
    """

    name = "eegmat"
    label_names = {"condition": str, "age": float, "sex": str, "subtractions": float, "count_quality": str}
    # The split of the published benchmarks; with four test subjects, subject folds tell more.
    official_split = {
        "train": tuple(f"{i:02d}" for i in range(28)),
        "validation": tuple(f"{i:02d}" for i in range(28, 32)),
        "test": tuple(f"{i:02d}" for i in range(32, 36)),
    }
    file_pattern = re.compile(r"Subject(?P<subject>\d{2})_[12]\.edf|subject-info\.csv")

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        subjects = _read_subjects(root / "subject-info.csv")
        for path, match in files_named(root, _NAME):
            subject, run = match["subject"], match["run"]
            condition, task = _RUNS[run]
            labels: dict[str, Label] = {**dict.fromkeys(self.label_names), **subjects.get(subject, {})}
            labels["condition"] = condition
            yield Recording(path, self.name, subject, "1", run, task, labels)

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording; `A2-A1` becomes a miscellaneous channel."""
        raw = read_recording(recording.path)
        ears = [name for name in raw.ch_names if name.endswith("A2-A1")]
        return raw.set_channel_types(dict.fromkeys(ears, "misc"), verbose="ERROR")


def _read_subjects(path: Path) -> dict[str, dict[str, Label]]:
    """Read subject-info.csv: subject -> labels; empty without the file."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        if not set(reader.fieldnames or ()) >= _COLUMNS:
            raise ValueError(f"{path} has columns {reader.fieldnames}, expected at least {sorted(_COLUMNS)}")
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
