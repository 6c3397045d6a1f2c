# SPDX-License-Identifier: Apache-2.0
"""EEG Motor Movement/Imagery: 109 people move or imagine moving fists and feet (PhysioNet eegmmidb 1.0.0).

https://physionet.org/content/eegmmidb/1.0.0/ and https://doi.org/10.1109/TBME.2004.827072

64 electrodes with dotted names (`Fc5.`) at 160 Hz, 14 runs a person: R01 eyes open, R02 eyes closed (one
minute each), then three rounds of four two-minute runs with cues T0, T1 and T2, whose meaning depends on the
run.

Known irregular: the headers of S088, S092 and S100 state 128 Hz, and their cues last 5.125 s instead of 4.1
s; both are 656 samples, so the rate itself is in doubt. S104 holds fewer trials than the protocol, and the
baseline runs of S089 carry a T1. Each file's own rate and cues are read here, so nothing breaks; studies of
the cues usually leave the first four out (`IRREGULAR_SUBJECTS`).
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .corpus import Corpus, Event, Recording, annotated
from .recordings.formats import read_recording

if TYPE_CHECKING:
    import mne

IRREGULAR_SUBJECTS: tuple[str, ...] = ("S088", "S092", "S100", "S104")

_NAME = re.compile(r"(?P<subject>S\d{3})R(?P<run>\d{2})\.edf")

_FISTS = {"T0": "rest", "T1": "left_fist", "T2": "right_fist"}
_FISTS_FEET = {"T0": "rest", "T1": "both_fists", "T2": "both_feet"}
_IMAGINED_FISTS = {"T0": "rest", "T1": "imagined_left_fist", "T2": "imagined_right_fist"}
_IMAGINED_FISTS_FEET = {"T0": "rest", "T1": "imagined_both_fists", "T2": "imagined_both_feet"}

# Run type -> (task, runs, names of the cues). T0 fills a whole baseline run; the eyes say more than "rest".
_RUN_TYPES: dict[str, tuple[str, tuple[int, ...], dict[str, str]]] = {
    "eyes_open": ("baseline", (1,), {"T0": "eyes_open"}),
    "eyes_closed": ("baseline", (2,), {"T0": "eyes_closed"}),
    "fists": ("motor_execution", (3, 7, 11), _FISTS),
    "imagined_fists": ("motor_imagery", (4, 8, 12), _IMAGINED_FISTS),
    "fists_feet": ("motor_execution", (5, 9, 13), _FISTS_FEET),
    "imagined_fists_feet": ("motor_imagery", (6, 10, 14), _IMAGINED_FISTS_FEET),
}
_TYPE_OF_RUN = {f"{run:02d}": name for name, (_, runs, _) in _RUN_TYPES.items() for run in runs}


class EEGMMIDB(Corpus):
    """The 1,526 recordings of the Motor Movement/Imagery set; subjects are `"S001"` to `"S109"`.

    Label: `run_type`, one of `eyes_open`, `eyes_closed`, `fists`, `imagined_fists`, `fists_feet`,
        `imagined_fists_feet`.
    Events: the cues by name: `rest`, `left_fist`, `right_fist`, `both_fists`, `both_feet`, the last four also
        with
    `imagined_` before them.
    """

    name = "eegmmidb"
    title = "EEG Motor Movement/Imagery Dataset 1.0.0"
    licence = "ODC-By-1.0"
    hub_licence = "odc-by"
    citation = (
        "Schalk G, McFarland DJ, Hinterberger T, Birbaumer N, Wolpaw JR. BCI2000: A General-Purpose "
        "Brain-Computer Interface (BCI) System. IEEE Trans Biomed Eng 51(6):1034-1043, 2004. "
        "https://doi.org/10.1109/TBME.2004.827072; PhysioNet, https://doi.org/10.13026/C28G6P"
    )
    url = "https://physionet.org/content/eegmmidb/1.0.0/"
    access = "open, about 3.4 GB from PhysioNet"
    reference = "not stated"
    label_names = {"run_type": str}
    has_events = True
    base_url = "https://physionet.org/files/eegmmidb/1.0.0"
    file_pattern = re.compile(r"(?P<subject>S\d{3})/S\d{3}R\d{2}\.edf")
    layout = "S001/S001R01.edf to S109/S109R14.edf, with or without the folders"
    num_recordings = 1526
    num_subjects = 109
    hours = 47.0

    def recordings(self, root: Path) -> list[Recording]:
        """List the recordings, whether or not each subject has a folder."""
        found = []
        for path in root.rglob("S*R*.edf"):
            match = _NAME.fullmatch(path.name)
            if match and match["run"] in _TYPE_OF_RUN:
                run_type = _TYPE_OF_RUN[match["run"]]
                task = _RUN_TYPES[run_type][0]
                found.append(
                    Recording(
                        path, self.name, match["subject"], "1", match["run"], task, {"run_type": run_type}
                    )
                )
        return self._found(found, root)

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording with the sampling rate that its own header states."""
        return read_recording(recording.path)

    def events(self, recording: Recording, raw: "mne.io.BaseRaw") -> list[Event]:
        """List the cues of a run by their names; other annotations are no events."""
        names = _RUN_TYPES[_TYPE_OF_RUN[recording.run]][2]
        return [replace(e, name=names[e.name]) for e in annotated(raw) if e.name in names]


__all__ = ["EEGMMIDB", "IRREGULAR_SUBJECTS"]
