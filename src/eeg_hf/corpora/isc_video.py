# SPDX-License-Identifier: Apache-2.0
"""Fourteen subjects watch the same fractal animation, for inter-subject correlation.

`T5-N.set` with `T5-N.fdt` (EEGLAB): 20 s, 32 channels at 256 Hz, cut from a longer recording, filtered to
1-30 Hz and cleaned by ICA before publication. One of the 32 channels is `GND`, which is no electrode and is
left out.

Observed in the files:

* There are 15 files but 14 subjects: `T5-10` is a byte-identical copy of `T5-15` (its own header says so). It
  is left out: one subject would be in two parts of a split and correlate perfectly with themselves.
* A mark `5sec` occurs every 5 s, to the sample, but the first one comes 0.9 to 4.8 s after the start of the
  file, at another time in each. Subjects are aligned by the marks and not by the starts of the files: over
  15 s (average reference, shrinkage 0.1), the three strongest correlated components
  (https://arxiv.org/abs/1801.08881) sum to 0.221 when files are aligned by their first mark and to 0.162 when
  aligned by their first sample; 300 random circular shifts gave 0.180 +- 0.014, 0.7 % of them 0.221 or more.
  Stimulus time is therefore counted from the first mark. Which second of the film that was is unknown.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .corpus import Corpus, Event, Label, Recording, annotated, files_named
from .recordings.formats import read_recording

if TYPE_CHECKING:
    import mne

_NAME = re.compile(r"T5-(?P<subject>\d+)\.set")
_MARK, _MARK_SECONDS = "5sec", 5.0
_FILM = "fractal_animation"


class ISCVideo(Corpus):
    """The video set; subjects are `"01"` to `"15"`, without `"10"`.

    Labels of an event: `stimulus`, the one film, and `stimulus_seconds`, the time since the first mark of the
        file, the same for all subjects.
    Events: the marks, `5sec`, each with the 5 s that follow it, and all of them together as `film`. The last
        mark is 0.2 to 4.1 s before the end of the file.
    """

    name = "isc_video"
    label_names = {"stimulus": str, "stimulus_seconds": float}
    has_events = True

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        for path, match in files_named(root, _NAME):
            yield Recording(path, self.name, f"{int(match['subject']):02d}", "1", "1", _FILM)

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording, with electrode positions; the samples are read from the .fdt file beside it."""
        return read_recording(recording.path)

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List the film, then the marks within it."""
        onsets = [mark.onset for mark in annotated(raw) if mark.name == _MARK]
        if not onsets:
            return []
        film = Event(onsets[0], onsets[-1] + _MARK_SECONDS - onsets[0], "film", _labels_at(0.0))
        return [film, *(Event(at, _MARK_SECONDS, _MARK, _labels_at(at - onsets[0])) for at in onsets)]


def _labels_at(second: float) -> dict[str, Label]:
    return {"stimulus": _FILM, "stimulus_seconds": round(second, 3)}
