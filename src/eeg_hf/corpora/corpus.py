# SPDX-License-Identifier: Apache-2.0
"""What a corpus is: where its files lie, which recordings they hold, what is known of each.

A corpus never touches a sample: `read` opens a recording lazily with MNE, in volts, as the laboratory stored
it. Cleaning and cutting are done for all corpora alike by `eeg_hf.corpora.windows.prepare`.
"""

import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from transformers.utils import logging

from .download import cache_folder, fetch_listed, is_complete
from .recordings.recording_state import state_of

if TYPE_CHECKING:
    import mne

logger = logging.get_logger(__name__)

DATA_VARIABLE = "EEG_HF_DATA"
Label = str | float | None


@dataclass(frozen=True)
class Recording:
    """One file that a laboratory owns, and what is known of it without opening it.

    Attributes:
        path: The file.
        corpus: Name of its corpus.
        subject: Who was recorded; unique within the corpus, so that a split by subject is a split by person.
        session: Which visit.
        run: Which recording of the visit.
        task: What the person did, in the corpus's own words.
        labels: One value for each of the corpus's `label_names`; `None` where it is not known.
    """

    path: Path
    corpus: str
    subject: str
    session: str
    run: str
    task: str
    labels: Mapping[str, Label] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """Something that happened during a recording, or a stretch of it that was given a label.

    Attributes:
        onset: In seconds after the recording's first sample.
        duration: In seconds.
        name: What it was; becomes the window's `event`.
        labels: What is known of this event and not of the whole recording; goes before the recording's own.
    """

    onset: float
    duration: float
    name: str
    labels: Mapping[str, Label] = field(default_factory=dict)


class Corpus(ABC):
    """A collection of recordings with one layout, one licence and one set of labels.

    A new corpus sets the attributes below and writes `recordings` and `read`; `events` too, where something
    happened at known times. Everything else (finding, downloading, cutting, splitting) is shared.

    Attributes:
        name: Short name, also the name of its folder in `EEG_HF_DATA`.
        title: Full name.
        licence: SPDX identifier of the licence.
        hub_licence: The same licence as the Hub spells it.
        citation: What to cite.
        url: Where a person reads about it.
        access: How one gets it, in one sentence.
        reference: Electrode(s) the amplifier referred to.
        label_names: Column name -> `str` or `float`.
        official_split: Part -> subjects, where the corpus or its literature has fixed one.
        official_split_column: Label that holds `"train"`, `"validation"` or `"test"`, where the split
            is not by lists of subjects.
        official_split_by: Label that no two parts of such a split share, such as the concept of an image.
        has_events: Whether `events` finds any.
        is_whitened: Whether the samples have no unit any more, so that no amplitude is wrong.
        is_of_people: Whether people were recorded.
        known_bad: Subject or file name -> why it is left out.
        num_subjects: How many people the whole corpus has, 0 where it is not known.
        hours: How long the whole corpus is, 0 where it is not known.
        base_url: Where its files are downloaded from, without the file's name; `None` where they cannot be.
        file_pattern: Names of its files as listed under `base_url`; the group `subject` names whose file it
            is, and files without a subject belong to everybody.
        layout: Expected names of its recordings, for messages.
        num_recordings: How many the whole corpus has, 0 where it does not matter.
        download_retries: How often a file whose connection broke is asked for again.
    """

    name: str
    title: str
    licence: str
    hub_licence: str
    citation: str
    url: str
    access: str
    reference: str
    label_names: Mapping[str, type[str] | type[float]]
    official_split: Mapping[str, tuple[str, ...]] | None = None
    official_split_column: str | None = None
    official_split_by: str = "window_id"
    has_events: bool = False
    is_whitened: bool = False
    is_of_people: bool = True
    known_bad: Mapping[str, str] = {}
    num_subjects: int = 0
    hours: float = 0.0
    base_url: str | None = None
    file_pattern: re.Pattern[str] | None = None
    layout: str = ""
    num_recordings: int = 0
    download_retries: int = 3

    @abstractmethod
    def recordings(self, root: Path) -> list[Recording]:
        """List the recordings in a folder, sorted by subject, session and run.

        Args:
            root: Folder of the corpus, as `locate` returns it.

        Raises:
            FileNotFoundError: If there is none.
        """

    @abstractmethod
    def read(self, recording: Recording) -> "mne.io.BaseRaw | mne.BaseEpochs":
        """Open a recording, unfiltered, in volts, its samples not loaded yet where the format allows it.

        Returns:
            The recording; epochs where that is all that was published: each of them is a window.

        Raises:
            ValueError: If the file is not what it claims to be, or is truncated.
        """

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List what happened during a recording.

        Args:
            recording: What is known of the recording.
            raw: The opened recording, or a resampled copy of it: times are in seconds and survive that.

        Returns:
            Events in order of onset; of epochs, one for each.
        """
        return []

    def reference_of(self, recording: Recording) -> str:
        """Say what a recording's voltages refer to: `reference`, unless its recordings differ."""
        return self.reference

    def label_columns(self, recordings: Sequence[Recording]) -> Mapping[str, type[str] | type[float]]:
        """Name the labels of the windows: `label_names`, unless they are known only from the recordings."""
        return self.label_names

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Say what a shard must have been made from to be still valid: here the files' sizes and times."""
        return state_of(recording.path)

    def locate(
        self, root: Path | str | None = None, download: bool = True, subjects: Collection[str] | None = None
    ) -> Path:
        """Find the folder of this corpus.

        Looked for in `root`, else in `$EEG_HF_DATA/<name>`, else in the cache, where it is downloaded to.

        Args:
            root: The user's own folder.
            download: Whether what is not on this machine may be fetched.
            subjects: Download the files of these subjects only.

        Returns:
            A folder with at least one recording.

        Raises:
            FileNotFoundError: If it is nowhere, naming the places looked at.
            ConnectionError: If a download failed, naming the URL, the cache and the way around it.
        """
        if root is not None:
            self.recordings(Path(root))  # raises where there is none
            return Path(root)
        shared = os.environ.get(DATA_VARIABLE)
        if shared and (Path(shared) / self.name).is_dir():
            return Path(shared) / self.name
        cache = cache_folder(self.name)
        wanted = self._wanted(subjects)
        if self.base_url is not None and wanted is not None and not is_complete(cache, wanted):
            if download:
                logger.warning(
                    f"{self.name} is not on this machine: downloading it to {cache} ({self.access})"
                )
                return fetch_listed(self.base_url, cache, wanted, retries=self.download_retries)
            if not cache.is_dir():
                raise FileNotFoundError(
                    f"{self.name} not found: {DATA_VARIABLE} is {shared or 'not set'}, {cache} does not "
                    f"exist, and download is off; set {DATA_VARIABLE} to the folder that holds {self.name}/"
                )
        return cache

    def _wanted(self, subjects: Collection[str] | None) -> "re.Pattern[str] | None":
        """Pattern of the files to fetch, narrowed to the subjects asked for."""
        if self.file_pattern is None or subjects is None:
            return self.file_pattern
        chosen = "|".join(re.escape(subject) for subject in sorted(subjects))
        return re.compile(
            re.sub(r"\(\?P<subject>[^)]*\)", f"(?P<subject>{chosen})", self.file_pattern.pattern)
        )

    def _found(self, recordings: Sequence[Recording], root: Path) -> list[Recording]:
        """Check and sort the recordings found in a folder; say it where the corpus is not whole."""
        bad = [r for r in recordings if self._why_bad(r)]
        if bad:
            shown = ", ".join(sorted({f"{r.subject} ({self._why_bad(r)})" for r in bad})[:5])
            logger.warning_once(
                f"{self.name}: {len(bad)} recordings are known to be bad and left out: {shown}"
            )
            recordings = [r for r in recordings if not self._why_bad(r)]
        if not recordings:
            state = "is not a folder" if not root.is_dir() else "holds none"
            raise FileNotFoundError(f"no {self.name} recordings: {root} {state}; expected {self.layout}")
        twice = [
            key for key, n in Counter((r.subject, r.session, r.run) for r in recordings).items() if n > 1
        ]
        if twice:
            subject, session, run = twice[0]
            paths = [str(r.path) for r in recordings if (r.subject, r.session, r.run) == twice[0]]
            raise ValueError(
                f"{len(twice)} recordings of {self.name} are in {root} more than once, first subject "
                f"{subject} session {session} run {run}: {', '.join(paths)}; keep one copy of each"
            )
        if self.num_recordings and len(recordings) < self.num_recordings:
            logger.warning_once(
                f"{self.name}: {len(recordings)} of {self.num_recordings} recordings are in {root}"
            )
        return sorted(recordings, key=lambda r: (r.subject, r.session, r.run))

    def _why_bad(self, recording: Recording) -> str | None:
        """Say why a recording is known to be bad, None where it is not."""
        return self.known_bad.get(recording.subject) or self.known_bad.get(recording.path.name)


def annotated(raw: "mne.io.BaseRaw") -> list[Event]:
    """List a recording's annotations with onsets counted from its first sample.

    MNE counts them from the start of the measurement, which differs where a recording was cropped.
    """
    marks = raw.annotations
    return [
        Event(float(onset) - raw.first_time, float(duration), str(description))
        for onset, duration, description in zip(marks.onset, marks.duration, marks.description, strict=True)
    ]


__all__ = ["DATA_VARIABLE", "Corpus", "Event", "Label", "Recording", "annotated"]
