# SPDX-License-Identifier: Apache-2.0
"""THINGS-EEG1: 50 subjects see 22,248 photographs of 1,854 objects, ten per second (OpenNeuro ds003825).

https://doi.org/10.1038/s41597-021-01102-7 and https://openneuro.org/datasets/ds003825

    sub-01/eeg/sub-01_task-rsvp_eeg.vhdr   BrainVision, 63 channels at 1000 Hz, recorded against Cz
    sub-01/eeg/sub-01_task-rsvp_events.tsv 24,648 images: 12 of each concept, then 200 images 12 times each

Traps:

* The published events.tsv states onset and duration in samples (1 ms), where BIDS requires seconds. If an
  onset lies beyond the end of the recording, the times are read as samples; corrected copies in seconds are
  read as such.
* sub-49 and sub-50 have 127 channels; Cz, the reference, is in no file.
* An image follows every 100 ms, so any window of an evoked response holds ten, and neighbouring windows share
  most of their samples. Sequences are 309 images in training and 200 in the test, with pauses between them.
* The concepts of the 200 test images (called validation images in the paper) also occur in training: this
  split is by image. For a split by concept, hold out concepts, for example the 200 of THINGS-EEG2.
* `object` is -1 for test images; the concept is taken from the folder of the image.

Not verified: that the licence is OpenNeuro's CC0, and the names of the further channels of the last two
subjects. The length of the corpus is an estimate, an hour for each subject.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .corpus import Corpus, Event, Label, Recording
from .recordings.bids import bids_events
from .recordings.bids_tree import bids_recordings, sidecars
from .recordings.formats import read_recording
from .recordings.recording_files import state_of

if TYPE_CHECKING:
    import mne

_PUBLISHED_RATE = 1000.0


class ThingsEEG1(Corpus):
    """The recordings of THINGS-EEG1; subjects are `"01"` to `"50"`.

    Labels of an event: `image` (file), `concept`, `sequence` (number from 0), `is_target` (1 where the
        fixation mark, not the image, was the target of the task), and `part`, `"train"` or `"test"`.
    Events: the images, by concept.
    """

    name = "things_eeg1"
    label_names = {"image": str, "concept": str, "sequence": float, "is_target": float, "part": str}
    official_split_column = "part"
    has_events = True

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        for file in bids_recordings(root, self.follow_links):
            if file.task == "rsvp":
                yield Recording(file.path, self.name, file.subject, "1", "1", "rsvp")

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Open a recording, without its events.tsv, whose times are in samples."""
        return read_recording(recording.path, follow_links=self.follow_links)

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List the images shown."""
        shown = bids_events(recording.path, "stim", self.follow_links)
        if shown is None:
            raise FileNotFoundError(f"{recording.path.name} has no events.tsv beside it")
        last = max((event.onset for event in shown), default=0.0)
        is_in_samples = last > len(raw.times) / raw.info["sfreq"]
        return [_describe(event, 1 / _PUBLISHED_RATE if is_in_samples else 1.0) for event in shown]

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Include the table of the images."""
        tables = sidecars(recording.path, "events.tsv", self.follow_links)
        changed = max((path.stat().st_mtime_ns for path in tables), default=0)
        return {**state_of(recording.path), "tables_mtime_ns": changed}


def _describe(shown: Event, scale: float) -> Event:
    """Label an event with its image and concept."""
    row = shown.labels
    *_, concept, image = shown.name.replace("\\", "/").split("/")  # some paths were written under Windows
    labels: dict[str, Label] = {
        "image": image,
        "concept": concept,
        "sequence": _number(row.get("sequencenumber")),
        "is_target": _number(row.get("istarget")),
        "part": "test" if _number(row.get("isteststim")) else "train",
    }
    return Event(shown.onset * scale, shown.duration * scale, concept, labels)


def _number(cell: Label) -> float | None:
    return None if cell is None else float(cell)
