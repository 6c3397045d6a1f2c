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
* A film lasts from `video_start` to `video_stop` and eyes stay open or closed until the next instruction; a
  gap (`boundary`, `break cnt`) ends both, for behind it the second of the film is not known any more. What
  has no end in events.tsv lasts to the end of the recording.
* The window starts at the sample nearest to its second of the film: up to half a sample off, 5 ms at 100 Hz.
* People take a moment to obey: EEGDash (`hbn/preprocessing.py`) takes 5 to 19 s after `instructed_toOpenEyes`
  and 15 to 29 s after `instructed_toCloseEyes`. Here the spans are whole, 20 s and 40 s in turn.

Names and order of the marks are those of the event lists in https://github.com/braininahat/cerebro
(`docs/task_metadata`), where the films last 170.5 s (DespicableMe), 117.4 s (DiaryOfAWimpyKid), 203.1 s
(ThePresent) and 163.0 s (FunwithFractals) in one recording of each.

Not verified here: that `video_start` is the same frame in all recordings; that a film is as long in
everybody; what becomes of the answer's `feedback` other than `smiley_face` and `sad_face`, which
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

from ..processing.channels import canonical_names
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
_BEGINNINGS = {
    "video_start": "film",
    "instructed_toOpenEyes": "eyes_open",
    "instructed_toCloseEyes": "eyes_closed",
}
_ENDS = {*_BEGINNINGS, "video_stop", "boundary", "break cnt"}
_BAD = (
    *("NDARWV769JM7", "NDARME789TD2", "NDARUA442ZVF", "NDARJP304NK1", "NDARTY128YLU"),
    *("NDARDW550GU6", "NDARLD243KRE", "NDARUJ292JXV", "NDARBA381JGH"),
)


class HBN(Corpus):
    """The releases of HBN-EEG; subjects are `"NDAR..."`, runs are the task and its number.

    Labels: `release` (`"R1"` ...), `part` (`"validation"` for R5, `"test"` for R12, which is not public, else
        `"train"`), `age` in years, `sex`, `ehq_total` (handedness), the CBCL factors `p_factor`, `attention`,
        `internalizing` and `externalizing`, and `availability`, how whole the recording is said to be.
    Labels of a trial: `response_time` in seconds and `correct` (1 or 0). Labels of a film: `stimulus`, its
        name, and `stimulus_seconds`, since its start.
    Events: of `contrastChangeDetection` the trials that were answered, `left_target` or `right_target`; of
        the other tasks all that events.tsv lists, such as `video_start`, and what lasts: `film`, `eyes_open`
        and `eyes_closed`.
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
        "stimulus": str,
        "stimulus_seconds": float,
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
        """List the answered trials of contrast change detection, or all that another task's events.tsv tells.

        Trials without an answer have no response time: they are left out, with a warning that counts them.
        """
        events = bids_events(bids_file(recording.path), bids_root(recording.path), "value")
        if events is None:
            raise FileNotFoundError(f"{recording.path.name} has no events.tsv beside it")
        if recording.task != _TRIAL_TASK:
            spans = _spans(events, recording.task, raw.times[-1] + 1 / raw.info["sfreq"])
            return sorted([*(replace(event, labels={}) for event in events), *spans], key=lambda e: e.onset)
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


def _spans(events: Sequence[Event], task: str, seconds: float) -> list[Event]:
    """List what lasts from one event to another, or to the end of the recording."""
    ends = [event.onset for event in events if event.name in _ENDS] + [seconds]
    spans = []
    for event in events:
        if event.name in _BEGINNINGS:
            name = _BEGINNINGS[event.name]
            labels: dict[str, Label] = {"stimulus": task, "stimulus_seconds": 0.0} if name == "film" else {}
            end = min((onset for onset in ends if onset > event.onset), default=event.onset)
            spans.append(Event(event.onset, end - event.onset, name, labels))
    return spans


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
