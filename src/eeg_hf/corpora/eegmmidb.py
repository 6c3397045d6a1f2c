# SPDX-License-Identifier: Apache-2.0
"""EEG Motor Movement/Imagery: 109 subjects move or imagine moving fists and feet (PhysioNet eegmmidb 1.0.0).

https://physionet.org/content/eegmmidb/1.0.0/ and https://doi.org/10.1109/TBME.2004.827072

64 electrodes with dotted names (`Fc5.`) at 160 Hz, 14 runs per subject: R01 eyes open, R02 eyes closed (one
minute each), then three rounds of four two-minute runs with cues T0, T1 and T2, whose meaning depends on the
run.

Known irregularities: the headers of S088, S092 and S100 state 128 Hz, and their cues last 5.125 s instead of
4.1 s. Both are 656 samples, so the rate itself is in doubt. S104 has fewer trials than the protocol, and the
baseline runs of S089 carry a T1. Each file is read with its own rate and cues; studies of the cues usually
exclude the first four subjects (`IRREGULAR_SUBJECTS`).
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .corpus import Corpus, Event, Recording, annotated, files_named
from .recordings.formats import read_recording

if TYPE_CHECKING:
    import mne

IRREGULAR_SUBJECTS: tuple[str, ...] = ("S088", "S092", "S100", "S104")

_NAME = re.compile(r"(?P<subject>S\d{3})R(?P<run>0[1-9]|1[0-4])\.edf")

# Run type -> (task, runs, names of the cues T0, T1, T2)
_RUN_TYPES: dict[str, tuple[str, tuple[int, ...], tuple[str, ...]]] = {
    # T0 fills a whole baseline run; the eyes say more than "rest"
    "eyes_open": ("baseline", (1,), ("eyes_open",)),
    "eyes_closed": ("baseline", (2,), ("eyes_closed",)),
    "fists": ("motor_execution", (3, 7, 11), ("rest", "left_fist", "right_fist")),
    "imagined_fists": ("motor_imagery", (4, 8, 12), ("rest", "imagined_left_fist", "imagined_right_fist")),
    "fists_feet": ("motor_execution", (5, 9, 13), ("rest", "both_fists", "both_feet")),
    "imagined_fists_feet": (
        "motor_imagery",
        (6, 10, 14),
        ("rest", "imagined_both_fists", "imagined_both_feet"),
    ),
}
_TYPE_OF_RUN = {f"{run:02d}": name for name, (_, runs, _) in _RUN_TYPES.items() for run in runs}


class EEGMMIDB(Corpus):
    """The 1,526 recordings of the Motor Movement/Imagery set; subjects are `"S001"` to `"S109"`.

    Label: `run_type`, one of `eyes_open`, `eyes_closed`, `fists`, `imagined_fists`, `fists_feet`,
        `imagined_fists_feet`.
    Events: the cues by name: `rest`, `left_fist`, `right_fist`, `both_fists`, `both_feet`, and the last four
        with `imagined_` before them.
    """

    name = "eegmmidb"
    label_names = {"run_type": str}
    has_events = True
    file_pattern = re.compile(r"(?P<subject>S\d{3})/S\d{3}R\d{2}\.edf")

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        for path, match in files_named(root, _NAME):
            run_type = _TYPE_OF_RUN[match["run"]]
            task, labels = _RUN_TYPES[run_type][0], {"run_type": run_type}
            yield Recording(path, self.name, match["subject"], "1", match["run"], task, labels)

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording with the sampling rate of its own header."""
        return read_recording(recording.path)

    def events(self, recording: Recording, raw: "mne.io.BaseRaw") -> list[Event]:
        """List the cues of a run by their names; other annotations are not events."""
        cues = _RUN_TYPES[_TYPE_OF_RUN[recording.run]][2]
        names = dict(zip(("T0", "T1", "T2"), cues, strict=False))
        return [replace(e, name=names[e.name]) for e in annotated(raw) if e.name in names]
