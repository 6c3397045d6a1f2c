# SPDX-License-Identifier: Apache-2.0
"""Healthy Brain Network EEG: more than 3,000 subjects of 5 to 21 years, ten tasks; the EEG2025 challenge.

https://doi.org/10.1101/2024.10.03.615261, https://neuromechanist.github.io/data/hbn/ and
https://eeg2025.github.io/data/

Releases lie beside each other in one folder, each its own BIDS dataset:

    ds005505/ ... ds005512/, ds005514/ ... ds005516/   R1 ... R8, R9 ... R11 on OpenNeuro: .set, 500 Hz
    R1_L100_bdf/, R5_mini_L100_bdf/, R1_L100/ ...      the challenge's copies: 100 Hz, 0.5-50 Hz, .bdf or .set

128 electrodes of an EGI net (`E1` to `E128`) and `Cz`, the reference, whose signal is zero and is rightly
reported as flat. Some copies of the .bdf files lack it. Channel names are prefixed with the name of the net
(`GSN-HydroCel-129/E17`), since `E17` means nothing without it.

Traps:

* Keep full and mini copies of a release in different folders: they hold the same recordings.
* `seqLearning6target` was given to the younger children and `seqLearning8target` to the older ones: the name
  of the task leaks the age.
* Challenge 1 predicts the response time of each trial of `contrastChangeDetection`. It is counted from the
  change of contrast (`left_target`, `right_target`) and not from `contrastTrial_start`, to the first button
  press before the next trial starts; the window is 0.5 to 2.5 s after the change. As in the organisers' code
  (https://github.com/eegdash/EEGDash, `hbn/windows.py`), the last trial of a run does not count, because no
  next trial closes it.
* Challenge 2 predicts `externalizing` (`p_factor` in the first version of its start kit) of the subject, from
  windows anywhere. The best published scores hardly beat the mean; much better ones are a leak.
* A film lasts from `video_start` to `video_stop`, and eyes stay open or closed until the next instruction. A
  gap (`boundary`, `break cnt`) ends both, because the second of the film is unknown after it. Spans without
  an end in events.tsv last to the end of the recording.
* The window starts at the sample nearest to its second of the film: up to half a sample off, 5 ms at 100 Hz.
* Subjects react late: EEGDash (`hbn/preprocessing.py`) takes 5 to 19 s after `instructed_toOpenEyes` and 15
  to 29 s after `instructed_toCloseEyes`. Here the spans are whole, 20 s and 40 s in turn.

Names and order of the marks are those of the event lists in https://github.com/braininahat/cerebro
(`docs/task_metadata`), where the films last 170.5 s (DespicableMe), 117.4 s (DiaryOfAWimpyKid), 203.1 s
(ThePresent) and 163.0 s (FunwithFractals) in one recording of each.

Not verified: that `video_start` is the same frame in all recordings; that a film has the same length for all
subjects; the meaning of an answer's `feedback` other than `smiley_face` and `sad_face`, for which `correct`
stays empty.
"""

import math
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from ..processing.channels import canonical_names
from .corpus import Corpus, Event, Label, Recording
from .recordings.bids import bids_events, read_bids
from .recordings.bids_tree import BIDSFile, bids_recordings, is_bids, sidecars
from .recordings.recording_files import state_of

if TYPE_CHECKING:
    import mne

MONTAGE = "GSN-HydroCel-129"

# https://openneuro.org/datasets/ds005505 and on; ds005513 is another dataset.
_OPENNEURO = {f"ds{5504 + number:06d}": f"R{number}" for number in range(1, 9)}
_OPENNEURO |= {"ds005514": "R9", "ds005515": "R10", "ds005516": "R11"}
_RELEASE = re.compile(r"(?<![A-Za-z])(R\d{1,2}|NC)(?![A-Za-z0-9])")
_PARTS = {"R5": "validation", "R12": "test"}

_SUBJECT_COLUMNS = ("age", "ehq_total", "p_factor", "attention", "internalizing", "externalizing")
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


class HBN(Corpus):
    """The releases of HBN-EEG; subjects are `"NDAR..."`, runs are the task and its number.

    Labels: `release` (`"R1"` ...), `part` (`"validation"` for R5, `"test"` for R12, which is not public, else
        `"train"`), `age` in years, `sex`, `ehq_total` (handedness), the CBCL factors `p_factor`, `attention`,
        `internalizing` and `externalizing`, and `availability`, the stated completeness of the recording.
    Labels of a trial: `response_time` in seconds and `correct` (1 or 0). Labels of a film: `stimulus`, its
        name, and `stimulus_seconds`, the time since its start.
    Events: of `contrastChangeDetection` the answered trials, `left_target` or `right_target`; of the other
        tasks all rows of events.tsv, such as `video_start`, and the spans `film`, `eyes_open` and
        `eyes_closed`. Columns of participants.tsv are empty where it says `n/a`.
    """

    name = "hbn"
    label_names = {
        "release": str,
        "part": str,
        "sex": str,
        **dict.fromkeys(_SUBJECT_COLUMNS, float),
        "availability": str,
        "response_time": float,
        "correct": float,
        "stimulus": str,
        "stimulus_seconds": float,
    }
    official_split_column = "part"
    has_events = True

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        for release in [root] if is_bids(root) else filter(is_bids, sorted(root.glob("*"))):
            for file in bids_recordings(release, self.follow_links):
                yield self._describe(file, release)

    def _describe(self, file: BIDSFile, root: Path) -> Recording:
        """Collect the labels of a recording from its name and from participants.tsv."""
        row = file.subject_row
        release = row.get("release_number") or _release_of(root)
        run = "_".join(part for part in (file.task, file.run) if part)
        labels: dict[str, Label] = dict.fromkeys(self.label_names)
        labels.update({name: _number(row.get(name)) for name in _SUBJECT_COLUMNS})
        labels.update(
            release=release,
            part=_PARTS.get(release, "train") if release else None,
            sex=row.get("sex"),
            availability=row.get(run) or row.get(file.task or ""),
        )
        return Recording(
            file.path, self.name, file.subject, file.session or "1", run, file.task or "", labels
        )

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording; its channels get the names of the net, and all of them are EEG."""
        raw = read_bids(recording.path, self.follow_links)
        raw.rename_channels(dict(zip(raw.ch_names, canonical_names(raw.ch_names, MONTAGE), strict=True)))
        # Some of the challenge's sidecars type every channel as EMG, the default of the tool that wrote them.
        electrodes = [name for name in raw.ch_names if name.startswith(MONTAGE) or name == "Cz"]
        return raw.set_channel_types(dict.fromkeys(electrodes, "eeg"), on_unit_change="ignore")

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List the answered trials of contrast change detection, or all events of another task.

        Trials without an answer have no response time: they are left out with a warning that counts them.
        """
        events = bids_events(recording.path, "value", self.follow_links)
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
        """Include the tables beside the recording, which list the trials."""
        names = ("events.tsv", "channels.tsv")
        tables = [path for name in names for path in sidecars(recording.path, name, self.follow_links)]
        changed = max((path.stat().st_mtime_ns for path in tables), default=0)
        return {**state_of(recording.path), "tables_mtime_ns": changed}


def _spans(events: Sequence[Event], task: str, seconds: float) -> list[Event]:
    """List the films and the stretches of open or closed eyes; the last one may end with the recording."""
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
    """List the trials with a change of contrast, in order; unanswered ones have no labels."""
    # A trial lasts from one start to the next: the last one is not closed, and left out
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
    """Return the release that a folder's name states."""
    match = _RELEASE.search(root.name.replace("_", " "))
    return _OPENNEURO.get(root.name) or (match[1] if match else None)


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:  # n/a
        return None
    return number if math.isfinite(number) else None
