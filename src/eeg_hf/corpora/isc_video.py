# SPDX-License-Identifier: Apache-2.0
"""Fourteen people watch the same fractal animation: for inter-subject correlation.

`T5-N.set` with `T5-N.fdt` (EEGLAB): 20 s, 32 channels at 256 Hz, cut from a longer recording, filtered to
1-30 Hz and cleaned by ICA by those who published it. One of the 32 is `GND`, which is no electrode and left
out.

Seen in the files:

* There are 15 files but 14 people: `T5-10` is `T5-15` once more, to the byte (its own header says so). It is
  left out, or one person would stand on both sides of a split and correlate perfectly with himself.
* A mark `5sec` stands every 5 s, to the sample, but the first one comes 0.9 to 4.8 s after the start of the
  file, another time in each. The marks and not the starts of the files are what the people have in common.
  Over 15 s (average reference, shrinkage 0.1), the three strongest correlated components
  (https://arxiv.org/abs/1801.08881) sum to 0.221 when the files are laid over each other by their first mark
  and to 0.162 when by their first sample; 300 random circular shifts gave 0.180 +- 0.014, 0.7 % of them 0.221
  or more. So the stimulus is counted from the first mark; which second of the film that was is not known.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from .corpus import Corpus, Event, Label, Recording, annotated
from .recordings.formats import read_recording

if TYPE_CHECKING:
    import mne

_NAME = re.compile(r"T5-(?P<subject>\d+)\.set")
_MARK, _MARK_SECONDS = "5sec", 5.0
_FILM = "fractal_animation"


class ISCVideo(Corpus):
    """The video set; subjects are `"01"` to `"15"`, without `"10"`.

    Labels of an event: `stimulus`, the one film, and `stimulus_seconds`, since the first mark of the file,
        the same in all people.
    Events: the marks, `5sec`, each with the 5 s that follow it, and all of them together as `film`. The last
        mark is 0.2 to 4.1 s before the end of the file.
    """

    name = "isc_video"
    title = "Inter-subject correlation, fractal animation"
    licence = "MIT"
    hub_licence = "mit"
    citation = "Dorosti S. EEG of people watching a fractal animation, 2024 (MIT licence)"
    url = ""
    access = "by hand: 30 files, 11 MB"
    reference = "common, as EEGLAB states it"
    label_names = {"stimulus": str, "stimulus_seconds": float}
    has_events = True
    known_bad = {"T5-10.set": "a copy of T5-15.set"}
    layout = "T5-1.set and T5-1.fdt to T5-15.set and T5-15.fdt"
    num_subjects = 14
    num_recordings = 14
    hours = 14 * 20 / 3600

    def recordings(self, root: Path) -> list[Recording]:
        """List the recordings, one a person."""
        found = []
        for path in root.rglob("T5-*.set"):
            match = _NAME.fullmatch(path.name)
            if match:
                subject = f"{int(match['subject']):02d}"
                found.append(Recording(path, self.name, subject, "1", "1", _FILM))
        return self._found(found, root)

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording; MNE knows places and reads the samples from the .fdt beside it."""
        return read_recording(recording.path)

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List the marks that the film is counted by, and before them the film."""
        onsets = [mark.onset for mark in annotated(raw) if mark.name == _MARK]
        if not onsets:
            return []
        film = Event(onsets[0], onsets[-1] + _MARK_SECONDS - onsets[0], "film", _at(0.0))
        return [film, *(Event(onset, _MARK_SECONDS, _MARK, _at(onset - onsets[0])) for onset in onsets)]


def _at(second: float) -> dict[str, Label]:
    return {"stimulus": _FILM, "stimulus_seconds": round(second, 3)}


__all__ = ["ISCVideo"]
