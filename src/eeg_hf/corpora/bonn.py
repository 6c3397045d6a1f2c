# SPDX-License-Identifier: Apache-2.0
"""Bonn: 500 single-channel segments of 23.6 s, from healthy volunteers and from epilepsy patients.

https://doi.org/10.1103/PhysRevE.64.061907 and https://www.upf.edu/web/ntsa/downloads

Five sets of 100 text files, one integer per line, 4,097 samples at 173.61 Hz. The files state no unit; the
literature takes them for microvolt:

    A  Z001.txt  five volunteers, eyes open, scalp       D  F001.txt  five patients, within the focus
    B  O001.txt  the same, eyes closed                   E  S001.txt  the same, during a seizure
    C  N001.TXT  five patients, hippocampus opposite the focus

Limits of these files:

* Subjects: no file says which of its five subjects it is from, so the only subjects here are `volunteers` and
  `patients`. All seizures are of the latter, and no split by subject tests anything. A split by file mixes
  the same five subjects into all parts; accuracies near 1 in the literature are of that kind.
* Electrodes: segments of A and B come from any electrode of the 10-20 system, those of C, D and E from
  electrodes in the brain. The one channel is called `EEG` and placed at the vertex so that models that need a
  position can run; the position means nothing.
* Reference: A and B were referred to the average, the others to an electrode in the brain. A classifier of
  healthy against ill may only separate scalp from depth.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..processing.electrode_positions import electrode_positions
from .corpus import Corpus, Recording

if TYPE_CHECKING:
    import mne

RATE = 173.61  # Hz
NUM_SAMPLES = 4097

_NAME = re.compile(r"(?P<letter>[ZONFS])(?P<number>\d{3})\.txt", re.IGNORECASE)

# Letter of the file -> set, condition, subject
_SETS = {
    "Z": ("A", "eyes_open", "volunteers"),
    "O": ("B", "eyes_closed", "volunteers"),
    "N": ("C", "interictal_opposite", "patients"),
    "F": ("D", "interictal_focus", "patients"),
    "S": ("E", "seizure", "patients"),
}


class Bonn(Corpus):
    """The 500 segments; subjects are `"volunteers"` and `"patients"`, sessions the sets, runs the files.

    Labels: `set` (`"A"` to `"E"`), `condition` (`eyes_open`, `eyes_closed`, `interictal_opposite`,
        `interictal_focus`, `seizure`) and `seizure` (`"yes"` or `"no"`).

    The files may lie in folders, or in .zip files as they are published.
    """

    name = "bonn"
    label_names = {"set": str, "condition": str, "seizure": str}

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        for path in _text_files(root):
            if match := _NAME.fullmatch(path.name):
                set_name, condition, subject = _SETS[match["letter"].upper()]
                seizure = "yes" if condition == "seizure" else "no"
                labels = {"set": set_name, "condition": condition, "seizure": seizure}
                yield Recording(path, self.name, subject, set_name, match["number"], condition, labels)

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a segment.

        Raises:
            ValueError: If the file does not hold 4,097 numbers.
        """
        import mne

        path = recording.path
        try:
            samples = np.array(_read_text(path).split(), dtype=np.float64)
        except ValueError as error:
            raise ValueError(f"{path.name}: expected one number per line: {error}") from None
        if len(samples) != NUM_SAMPLES or not np.isfinite(samples).all():
            raise ValueError(f"{path.name} has {len(samples)} samples, expected {NUM_SAMPLES} finite ones")
        raw = mne.io.RawArray(samples[None] * 1e-6, mne.create_info(["EEG"], RATE, "eeg"), verbose="ERROR")
        raw.info["chs"][0]["loc"][:3] = electrode_positions(["Cz"])[0]
        return raw

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Describe the file of the segment, or the .zip that it is in."""
        status = (_archive_of(recording.path) or recording.path).stat()
        return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _text_files(root: Path) -> Iterator[Path]:
    """Yield the text files below a folder; for those in a .zip, their paths as if it were a folder."""
    yield from (path for path in root.rglob("*") if path.suffix.lower() == ".txt")
    for archive in [root] if root.is_file() else sorted(root.rglob("*.zip")):
        if not zipfile.is_zipfile(archive):
            raise ValueError(f"{archive} is not a complete .zip file: download it again, or remove it")
        with zipfile.ZipFile(archive) as opened:
            yield from (archive / member for member in opened.namelist())


def _archive_of(path: Path) -> Path | None:
    """Return the .zip that a path leads into, None for an ordinary file."""
    return next((parent for parent in path.parents if parent.suffix == ".zip" and parent.is_file()), None)


def _read_text(path: Path) -> str:
    """Read a text file from a folder or a .zip."""
    archive = _archive_of(path)
    if archive is None:
        return path.read_text(encoding="ascii", errors="replace")
    with zipfile.ZipFile(archive) as opened:
        return opened.read(path.relative_to(archive).as_posix()).decode("ascii", errors="replace")
