# SPDX-License-Identifier: Apache-2.0
"""THINGS-EEG2: ten subjects look at 16,740 photographs of objects, as published preprocessed epochs.

https://doi.org/10.1016/j.neuroimage.2022.119754 and https://osf.io/3jk45/

    sub-01/preprocessed_eeg_training.npy   (16540 images, 4 repetitions, channels, time)
    sub-01/preprocessed_eeg_test.npy       (200 images, 80 repetitions, channels, time)
    image_metadata.npy                     file, concept and THINGS concept of each image

Two variants are in use, and both are read: 17 posterior channels at 100 Hz, -0.2 to 0.8 s, as published by
the authors (a dict within an .npy), and 63 channels at 250 Hz, 0 to 1 s, as used by NICE and ATM (a bare
pickle named .npy, whose `times` start 50 samples before its data).

Traps:

* These are epochs: cut, baseline-corrected, resampled and whitened. Each is one window; filters and the
  average reference must be off (recipe prepare_things_eeg2).
* Whitened (multivariate noise normalisation) means no unit and an order of magnitude of 1. The samples are
  stored as if 1 were 1 uV, which has no physical meaning. Each session was whitened with its test epochs too,
  so the published files contain information about the unlabelled test set.
* The four sessions are merged and the repetitions shuffled: the session of an epoch is unknown.
* All subjects saw the same images: a split by subject alone leaves all test images in training. The official
  split is by concept: 1,654 with ten images each to train, 200 others with one image each to test. There are
  only ten subjects; report within and across them.
* .npy files with a dict are pickles, which can run code. Only arrays, lists, dicts, strings and numbers are
  accepted (`RestrictedUnpickler`).

A file is held in memory in its own precision (0.45 GB for 17 channels of float32, 4.2 GB for 63), and
converted in blocks of 1,024 images of one repetition.

Not verified: the licence of the files (CC-BY-4.0 is the paper's), and that all 63-channel copies are
whitened; a median of |x| outside 0.01 to 100 is refused.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from .corpus import Corpus, Event, Label, Recording, files_named
from .restricted_pickle import load_restricted

if TYPE_CHECKING:
    import mne

_NAME = re.compile(r"preprocessed_eeg_(?P<part>training|test)\.npy")
_SUBJECT = re.compile(r"sub-?(?P<subject>\d+)", re.IGNORECASE)
_PARTS = {"training": "train", "test": "test"}
_SHAPES = {"train": (16540, 4), "test": (200, 80)}  # (images, repetitions)
_BLOCK = 1024  # images
_METADATA = "image_metadata.npy"
_VOLTS = {"whitened": 1e-6, "uV": 1e-6, "V": 1.0}  # whitened: 1 is stored as if it were 1 uV
# Unit -> range of the median of |x|
_PLAUSIBLE = {"whitened": (1e-2, 1e2), "uV": (1e-1, 1e3), "V": (1e-7, 1e-3)}


class ThingsEEG2(Corpus):
    """The epochs of THINGS-EEG2; subjects are `"01"` to `"10"`, runs repetitions and blocks of images.

    A recording's path is that of its file followed by its run.

    Args:
        average_repetitions: Average the 80 repetitions of each test image, as in zero-shot retrieval.
        unit: `"whitened"` as published; `"V"` or `"uV"` for epochs that you preprocessed yourself.

    Labels of an epoch: `image` (file), `concept` and `concept_index` (its number in THINGS, from 1),
        `image_index` (from 0, within the part; ten images per concept in training), `repetition` (from 0;
        empty for averages), and `part`, `"train"` or `"test"`. Without image_metadata.npy, the first three
        are empty.
    """

    name = "things_eeg2"
    label_names = {
        "image": str,
        "concept": str,
        "image_index": float,
        "concept_index": float,
        "repetition": float,
        "part": str,
    }
    official_split_column = "part"
    official_split_by = "concept"
    has_events = True

    def __init__(
        self, average_repetitions: bool = False, unit: Literal["whitened", "V", "uV"] = "whitened"
    ) -> None:
        if unit not in _VOLTS:
            raise ValueError(f"unit must be one of {', '.join(_VOLTS)}, got {unit!r}")
        self.average_repetitions = average_repetitions
        self.unit = unit
        self.is_whitened = unit == "whitened"

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        """List repetitions and blocks of images of the published files; no file is opened."""
        for path, match in files_named(root, _NAME):
            if folder := _SUBJECT.fullmatch(path.parent.name):
                part, subject = _PARTS[match["part"]], f"{int(folder['subject']):02d}"
                labels: dict[str, Label] = {**dict.fromkeys(self.label_names), "part": part}
                for run in self._runs(part):
                    yield Recording(path / run, self.name, subject, "1", run, "object_images", labels)

    def _runs(self, part: str) -> list[str]:
        """Return the names of the blocks of a part: part, repetition (or `mean`) and first image."""
        images, repetitions = _SHAPES[part]
        averaged = part == "test" and self.average_repetitions
        names = ["mean"] if averaged else [f"{number:02d}" for number in range(repetitions)]
        return [f"{part}_{name}_{first:05d}" for name in names for first in range(0, images, _BLOCK)]

    def read(self, recording: Recording) -> "mne.BaseEpochs":
        """Open a block of epochs.

        Raises:
            ValueError: If the file has another layout, holds objects that could run code, or has an
                amplitude that does not fit the unit.
        """
        import mne

        path = recording.path.parent
        epochs, names, rate, start = _load(path, path.stat().st_mtime_ns)
        part, repetition, first = _parse(recording.run)
        _check_shape(path, epochs, part)
        block = epochs[first : first + _BLOCK]  # (images, repetitions, channels, time)
        block = block.mean(axis=1, dtype=np.float64) if repetition is None else block[:, repetition]
        self._check_amplitude(path, block)
        length = block.shape[-1]
        marks = np.stack([np.arange(len(block)) * length, np.zeros(len(block)), np.ones(len(block))], axis=1)
        info = mne.create_info(names, rate, "eeg")
        scaled = block.astype(np.float64) * _VOLTS[self.unit]
        return mne.EpochsArray(scaled, info, marks.astype(int), tmin=start, baseline=None, verbose="ERROR")

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List the image of each epoch, named by its concept."""
        part, repetition, first = _parse(recording.run)
        images = _read_metadata(recording.path.parent, part)
        seconds = len(raw.times) / raw.info["sfreq"]
        events = []
        for row in range(len(raw)):
            file, number, concept = images[first + row] if images else (None, None, None)
            labels: dict[str, Label] = {
                "image": file,
                "concept": concept,
                "image_index": float(first + row),
                "concept_index": number,
                "repetition": None if repetition is None else float(repetition),
                "part": part,
            }
            events.append(Event(row * seconds, seconds, concept or f"image_{first + row}", labels))
        return events

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Describe the files of the epochs and of their labels."""
        status, metadata = recording.path.parent.stat(), _find_metadata(recording.path.parent)
        made_of: dict[str, int | float | str] = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
        made_of["unit"] = self.unit
        if metadata is not None:
            made_of["metadata_mtime_ns"] = metadata.stat().st_mtime_ns
        return made_of

    def _check_amplitude(self, path: Path, block: np.ndarray) -> None:
        """Refuse epochs whose amplitude does not fit the unit."""
        median = float(np.median(np.abs(block[:64])))
        low, high = _PLAUSIBLE[self.unit]
        if not low <= median <= high:
            raise ValueError(
                f"{path.name}: median |x| is {median:.2g}, expected {low:g} to {high:g} for "
                f"unit={self.unit!r}: set unit to one of {', '.join(_VOLTS)}"
            )


def _parse(run: str) -> tuple[str, int | None, int]:
    """Split a run's name into part, repetition (None for the mean) and first image."""
    part, repetition, first = run.split("_")
    return part, None if repetition == "mean" else int(repetition), int(first)


def _check_shape(path: Path, epochs: np.ndarray, part: str) -> None:
    """Refuse files with another number of images or repetitions than published."""
    if epochs.ndim != 4 or epochs.shape[:2] != _SHAPES[part]:
        images, repetitions = _SHAPES[part]
        raise ValueError(
            f"{path.name} has shape {epochs.shape}, expected ({images}, {repetitions}, channels, time)"
        )


@lru_cache(maxsize=1)  # one file holds 68 recordings, read one after another
def _load(path: Path, mtime_ns: int) -> tuple[np.ndarray, list[str], float, float]:
    """Read a file: epochs (images, repetitions, channels, time), channel names, rate in Hz, start in s."""
    content = load_restricted(path)
    if not isinstance(content, dict) or not {"preprocessed_eeg_data", "ch_names", "times"} <= set(content):
        keys = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path.name} holds {keys}, expected preprocessed_eeg_data, ch_names and times")
    epochs, times = np.asarray(content["preprocessed_eeg_data"]), np.asarray(content["times"], np.float64)
    names = [str(name) for name in content["ch_names"]]
    if epochs.dtype.kind != "f" or epochs.ndim != 4 or epochs.shape[2] != len(names):
        raise ValueError(
            f"{path.name} has data of {epochs.dtype}, shape {epochs.shape}, and {len(names)} channel names: "
            "expected floats (images, repetitions, channels, time)"
        )
    if len(times) < max(2, epochs.shape[3]):
        raise ValueError(f"{path.name} has {len(times)} times for {epochs.shape[3]} samples")
    rate = (len(times) - 1) / (times[-1] - times[0])  # Hz
    # NICE removed the time before the image from the data but not from the times.
    return epochs, names, round(rate, 3), float(times[len(times) - epochs.shape[3]])


def _read_metadata(path: Path, part: str) -> list[tuple[str, float, str]]:
    """Return file, THINGS number and concept of each image; empty without image_metadata.npy."""
    place = _find_metadata(path)
    if place is None:
        return []
    table, prefix = _load_metadata(place), {"train": "train_img", "test": "test_img"}[part]
    files, concepts = (list(table.get(f"{prefix}_{what}", ())) for what in ("files", "concepts_THINGS"))
    if len(files) != _SHAPES[part][0] or len(concepts) != len(files):
        raise ValueError(
            f"{place.name} lists {len(files)} {part} images and {len(concepts)} concepts, expected "
            f"{_SHAPES[part][0]} in {prefix}_files and {prefix}_concepts_THINGS"
        )
    parted = [str(concept).partition("_") for concept in concepts]  # 00001_aardvark
    return [(str(file), float(number), name) for file, (number, _, name) in zip(files, parted, strict=True)]


def _find_metadata(path: Path) -> Path | None:
    """Find image_metadata.npy beside or above the epochs, or in the folders of published scripts."""
    folders = ("", "image_set", "images_set", "Image_set")
    places = [folder / name / _METADATA for folder in path.parents[:4] for name in folders]
    return next((place for place in places if place.is_file()), None)


@lru_cache(maxsize=2)
def _load_metadata(path: Path) -> Mapping[str, list[str]]:
    """Read image_metadata.npy."""
    content = load_restricted(path)
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds {type(content).__name__}, expected a dict of lists")
    return content
