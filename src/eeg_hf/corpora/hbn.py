# SPDX-License-Identifier: Apache-2.0
"""Healthy Brain Network EEG: more than 3,000 people of 5 to 21 years, ten tasks, and the EEG2025 challenge.

https://doi.org/10.1101/2024.10.03.615261, https://neuromechanist.github.io/data/hbn/ and
https://eeg2025.github.io/data/

Releases lie beside each other in one folder, each a BIDS dataset of its own:

    ds005505/ ... ds005512/, ds005514/ ... ds005516/   R1 ... R8, R9 ... R11 on OpenNeuro: .set, 500 Hz
    R1_L100_bdf/, R5_mini_L100_bdf/, R1_L100/ ...      the challenge's copies: 100 Hz, 0.5-50 Hz, .bdf or .set

128 electrodes of an EGI net (`E1` to `E128`) and `Cz`, which is the reference: its row is zero, is reported
as flat, and that is as it should be. Some copies of the .bdf files lack it. Channels come out with the name
of their net before them (`GSN-HydroCel-129/E17`), since `E17` means nothing without it.

Traps:

* Keep full and mini copies of a release in different folders: they hold the same recordings.
* `seqLearning6target` was given to the younger children and `seqLearning8target` to the older: the task's
  name tells the age.
* Challenge 1 predicts the response time of each trial of `contrastChangeDetection`. It is counted from the
  change of contrast (`left_target`, `right_target`) and not from `contrastTrial_start`, to the first button
  press before the next trial starts; the window is 0.5 to 2.5 s after the change. As in the organisers' code
  (https://github.com/eegdash/EEGDash, `hbn/windows.py`), the last trial of a run, which no next trial closes,
  does not count.
* Challenge 2 predicts `externalizing` (the first version of its start kit said `p_factor`) of the person,
  from windows anywhere. The best published scores hardly beat the mean; much better ones are a leak.

Not verified here: what becomes of the answer's `feedback` other than `smiley_face` and `sad_face`, which
leaves `correct` empty.
"""

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ..channels import canonical_names
from .corpus import Corpus, Event, Label, Recording
from .recordings.bids import BIDSFile, bids_events, bids_file, bids_recordings, is_bids, read_bids, sidecars
from .recordings.bids_tree import bids_root
from .recordings.recording_state import state_of

if TYPE_CHECKING:
    import mne

MONTAGE = "GSN-HydroCel-129"

# https://openneuro.org/datasets/ds005505 and on; 5513 is something else.
_OPENNEURO = {f"ds{5504 + number:06d}": f"R{number}" for number in range(1, 9)}
_OPENNEURO |= {"ds005514": "R9", "ds005515": "R10", "ds005516": "R11"}
_RELEASE = re.compile(r"(?<![A-Za-z])(R\d{1,2}|NC)(?![A-Za-z0-9])")
_PARTS = {"R5": "validation", "R12": "test"}

_PEOPLE = ("age", "ehq_total", "p_factor", "attention", "internalizing", "externalizing")
_TRIAL_TASK = "contrastChangeDetection"
_TARGETS = ("left_target", "right_target")
_ANSWERS = ("left_buttonPress", "right_buttonPress")
_CORRECT = {"smiley_face": 1.0, "sad_face": 0.0}
_BAD = (
    *("NDARWV769JM7", "NDARME789TD2", "NDARUA442ZVF", "NDARJP304NK1", "NDARTY128YLU"),
    *("NDARDW550GU6", "NDARLD243KRE", "NDARUJ292JXV", "NDARBA381JGH"),
)


class HBN(Corpus):
    """The releases of HBN-EEG; subjects are `"NDAR..."`, runs are the task and its number.

    Labels: `release` (`"R1"` ...), `part` (`"validation"` for R5, `"test"` for R12, which is not public, else
        `"train"`), `age` in years, `sex`, `ehq_total` (handedness), the CBCL factors `p_factor`, `attention`,
        `internalizing` and `externalizing`, and `availability`, how whole the recording is said to be.
    Labels of a trial: `response_time` in seconds and `correct` (1 or 0).
    Events: of `contrastChangeDetection` the trials that were answered, `left_target` or `right_target`; of
        the other tasks all that events.tsv lists, such as `video_start`.
    """

    name = "hbn"
    title = "Healthy Brain Network EEG"
    licence = "CC-BY-SA-4.0"
    hub_licence = "cc-by-sa-4.0"
    citation = (
        "Shirazi SY, Franco A, Scopel Hoffmann M, Esper NB, Truong D, Delorme A, Milham MP, Makeig S. "
        "HBN-EEG: The FAIR implementation of the Healthy Brain Network (HBN) electroencephalography dataset. "
        "bioRxiv, 2024. https://doi.org/10.1101/2024.10.03.615261"
    )
    url = "https://neuromechanist.github.io/data/hbn/"
    access = (
        "open: OpenNeuro ds005505 and on, or `aws s3 cp --recursive --no-sign-request "
        "s3://nmdatasets/NeurIPS25/R1_L100_bdf R1_L100_bdf`"
    )
    reference = "Cz"
    label_names = {
        "release": str,
        "part": str,
        "sex": str,
        **dict.fromkeys(_PEOPLE, float),
        "availability": str,
        "response_time": float,
        "correct": float,
    }
    official_split_column = "part"
    has_events = True
    known_bad = dict.fromkeys(_BAD, "left out by the organisers of the EEG2025 challenge")
    layout = "BIDS folders of releases, such as ds005505/ or R5_L100_bdf/, or one of them"
    num_subjects = 3146
    num_recordings = 26615

    def recordings(self, root: Path) -> list[Recording]:
        """List the recordings of all releases in a folder."""
        releases = [root] if is_bids(root) else sorted(path for path in root.glob("*") if is_bids(path))
        return self._found(
            [self._describe(file, path) for path in releases for file in bids_recordings(path)], root
        )

    def _describe(self, file: BIDSFile, root: Path) -> Recording:
        """Collect what is known of a recording from its name and from participants.tsv."""
        person = file.participant
        release = _text(person.get("release_number")) or _release_of(root)
        run = "_".join(part for part in (file.task, file.run) if part)
        labels: dict[str, Label] = dict.fromkeys(self.label_names)
        labels.update({name: _number(person.get(name)) for name in _PEOPLE})
        labels.update(
            release=release,
            part=_PARTS.get(release, "train") if release else None,
            sex=_text(person.get("sex")),
            availability=_text(person.get(run) or person.get(file.task or "")),
        )
        return Recording(
            file.path, self.name, file.subject, file.session or "1", run, file.task or "", labels
        )

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording; its channels get the names of their net, all of them EEG."""
        raw = read_bids(bids_file(recording.path), bids_root(recording.path))
        raw.rename_channels(dict(zip(raw.ch_names, canonical_names(raw.ch_names, MONTAGE), strict=True)))
        # Some of the challenge's sidecars call every channel EMG, the default of the program that wrote them.
        electrodes = [name for name in raw.ch_names if name.startswith(MONTAGE) or name == "Cz"]
        return raw.set_channel_types(dict.fromkeys(electrodes, "eeg"), on_unit_change="ignore")

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List the answered trials of contrast change detection, or all that happened in another task.

        Trials without an answer have no response time: they are left out, with a warning that counts them.
        """
        events = bids_events(bids_file(recording.path), bids_root(recording.path), "value")
        if events is None:
            raise FileNotFoundError(f"{recording.path.name} has no events.tsv beside it")
        if recording.task != _TRIAL_TASK:
            return [replace(event, labels={}) for event in events]
        trials = _trials(events)
        answered = [trial for trial in trials if trial.labels]
        if len(answered) < len(trials):
            warnings.warn(
                f"{len(trials) - len(answered)} of {len(trials)} trials have no answer and are left out",
                stacklevel=2,
            )
        return answered

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Add the tables beside the recording: the trials are in one of them."""
        file, root = bids_file(recording.path), bids_root(recording.path)
        tables = [path for name in ("events.tsv", "channels.tsv") for path in sidecars(file, root, name)]
        changed = max((path.stat().st_mtime_ns for path in tables), default=0)
        return {**state_of(recording.path), "tables_mtime_ns": changed}


def _trials(events: Sequence[Event]) -> list[Event]:
    """List the trials with a change of contrast, in order; those not answered have no labels."""
    starts = [place for place, event in enumerate(events) if event.name == "contrastTrial_start"]
    trials = []
    for begin, end in pairwise(starts):
        trial = events[begin:end]
        target = next((event for event in trial if event.name in _TARGETS), None)
        if target is None:
            continue
        answers = [event for event in trial if event.name in _ANSWERS and event.onset >= target.onset]
        labels: dict[str, Label] = {}
        if answers:
            labels["response_time"] = answers[0].onset - target.onset
            labels["correct"] = _CORRECT.get(str(answers[0].labels.get("feedback")))
        trials.append(replace(target, labels=labels))
    return trials


def _release_of(root: Path) -> str | None:
    """Tell the release from its folder's name, where it says so."""
    match = _RELEASE.search(root.name.replace("_", " "))
    return _OPENNEURO.get(root.name) or (match[1] if match else None)


def _text(value: object) -> str | None:
    return None if value in (None, "", "n/a") else str(value)


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:  # n/a
        return None
    return number if math.isfinite(number) else None


__all__ = ["HBN", "MONTAGE"]
