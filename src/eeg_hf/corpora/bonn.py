# SPDX-License-Identifier: Apache-2.0
"""Bonn: 500 single-channel segments of 23.6 s, from healthy people and from epilepsy patients.

https://doi.org/10.1103/PhysRevE.64.061907 and https://www.upf.edu/web/ntsa/downloads

Five sets of 100 text files, one integer a line, 4,097 samples at 173.61 Hz, in microvolt as the literature
takes them (the files do not say):

    A  Z001.txt  five volunteers, eyes open, scalp       D  F001.txt  five patients, within the focus
    B  O001.txt  the same, eyes closed                   E  S001.txt  the same, during a seizure
    C  N001.TXT  five patients, hippocampus opposite the focus

What these files cannot tell:

* Who: no file says which of the five people it is of, so the only subjects are `volunteers` and `patients`,
  every seizure is of the latter, and no split by subject is possible that still tests anything. A split by
  file mixes the same five people in all parts; accuracies near 1 in the literature are of that kind.
* Where: segments of A and B are of any electrode of the 10-20 system, those of C, D and E of electrodes in
  the brain. The one channel is called `EEG` and put at the vertex so that models which need a place can run;
  that place means nothing.
* With what: A and B were referred to the average, the others to an electrode in the brain, and a classifier
  that tells healthy from ill may only tell scalp from depth.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..processing.channels import electrode_positions
from .corpus import Corpus, Recording

if TYPE_CHECKING:
    import mne

RATE = 173.61
NUM_SAMPLES = 4097

_NAME = re.compile(r"(?P<letter>[ZONFS])(?P<number>\d{3})\.txt", re.IGNORECASE)

# Letter of the file -> set, condition, whose it is.
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
    title = "Bonn epilepsy EEG"
    licence = "LicenseRef-free-for-research"
    hub_licence = "other"
    citation = (
        "Andrzejak RG, Lehnertz K, Mormann F, Rieke C, David P, Elger CE. Indications of nonlinear "
        "deterministic and finite-dimensional structures in time series of brain electrical activity. "
        "Phys Rev E 64:061907, 2001. https://doi.org/10.1103/PhysRevE.64.061907"
    )
    url = "https://www.upf.edu/web/ntsa/downloads"
    access = "open for research, five .zip files of 3 MB in all, by hand"
    reference = "average (A, B), an electrode in the brain (C, D, E)"
    label_names = {"set": str, "condition": str, "seizure": str}
    layout = "Z001.txt to Z100.txt, and so on for O, N, F and S, in folders or in .zip files"
    num_subjects = 10
    num_recordings = 500
    hours = 500 * NUM_SAMPLES / RATE / 3600

    def recordings(self, root: Path) -> list[Recording]:
        """List the segments in folders and .zip files."""
        found = []
        for path in _text_files(root):
            match = _NAME.fullmatch(path.name)
            if match:
                letter, condition, people = _SETS[match["letter"].upper()]
                seizure = "yes" if condition == "seizure" else "no"
                labels = {"set": letter, "condition": condition, "seizure": seizure}
                run = match["number"]
                found.append(Recording(path, self.name, people, letter, run, condition, labels))
        return self._found(found, root)

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
            raise ValueError(f"{path.name} is not one number a line: {error}") from None
        if len(samples) != NUM_SAMPLES or not np.isfinite(samples).all():
            raise ValueError(f"{path.name} has {len(samples)} samples, expected {NUM_SAMPLES} finite ones")
        raw = mne.io.RawArray(samples[None] * 1e-6, mne.create_info(["EEG"], RATE, "eeg"), verbose="ERROR")
        raw.info["chs"][0]["loc"][:3] = electrode_positions(["Cz"])[0]
        return raw

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Say what the segment was read from: the file, or the .zip that it is in."""
        status = (_archive_of(recording.path) or recording.path).stat()
        return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _text_files(root: Path) -> Iterator[Path]:
    """Yield the text files below a folder; of those in a .zip, the paths they would have if it were one."""
    yield from (path for path in root.rglob("*") if path.suffix.lower() == ".txt")
    for archive in [root] if root.is_file() else sorted(root.rglob("*.zip")):
        if not zipfile.is_zipfile(archive):
            raise ValueError(f"{archive} is not a whole .zip file: fetch it again, or remove it")
        with zipfile.ZipFile(archive) as opened:
            yield from (archive / member for member in opened.namelist())


def _archive_of(path: Path) -> Path | None:
    """Return the .zip that a path leads into, None where it is a file of its own."""
    return next((parent for parent in path.parents if parent.suffix == ".zip" and parent.is_file()), None)


def _read_text(path: Path) -> str:
    """Read a text file, in a folder or in a .zip."""
    archive = _archive_of(path)
    if archive is None:
        return path.read_text(encoding="ascii", errors="replace")
    with zipfile.ZipFile(archive) as opened:
        return opened.read(path.relative_to(archive).as_posix()).decode("ascii", errors="replace")


__all__ = ["NUM_SAMPLES", "RATE", "Bonn"]
