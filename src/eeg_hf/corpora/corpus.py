# SPDX-License-Identifier: Apache-2.0
"""The base class of all corpora: where their files are, which recordings they hold, what is known of each.

A corpus does not change a sample: `read` opens a recording lazily with MNE, in volts, as the laboratory
stored it. Cleaning and cutting are the same for all corpora (`eeg_hf.corpora.windows.prepare`).
"""

import json
import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers.utils import logging

from ..legible_text import legible
from .download import cache_folder, fetch_listed, is_complete
from .licences import hub_licence
from .look_alikes import describe_look_alikes
from .recordings.containment import FOLLOW, leads_out
from .recordings.recording_files import state_of

if TYPE_CHECKING:
    import mne

logger = logging.get_logger(__name__)

DATA_VARIABLE = "EEG_HF_DATA"
NOT_EVENTS = ("bad", "edge", "boundary", "new segment")  # beginnings of annotations of the recording itself
Label = str | float | None


@dataclass(frozen=True)
class Recording:
    """One recording of a corpus and what is known of it before it is opened.

    Attributes:
        path: Main file of the recording.
        corpus: Name of its corpus.
        subject: Identifier of the subject, unique within the corpus.
        session: Identifier of the session.
        run: Identifier of the recording within its session.
        task: What the subject did, in the corpus's own words.
        labels: One value for each of the corpus's `label_names`; `None` where it is unknown.
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
    """An event during a recording, or a labelled stretch of it.

    Attributes:
        onset: In seconds after the recording's first sample.
        duration: In seconds.
        name: Name of the event; becomes the window's `event`.
        labels: Labels of this event; they override those of the recording.
    """

    onset: float
    duration: float
    name: str
    labels: Mapping[str, Label] = field(default_factory=dict)


class Corpus(ABC):
    """A collection of recordings with one layout, one licence and one set of labels.

    A new corpus sets the attributes below and implements `_find_recordings` and `read`, and `events` where
    something happened at known times. Finding, downloading, cutting and splitting are shared. Facts that no
    code depends on (title, licence, citation, counts) may be kept in `facts.json` under the corpus's name
    instead: they become attributes of the class.

    Attributes:
        name: Short name, also the name of its folder in `EEG_HF_DATA`.
        title: Full name.
        licence: SPDX identifier of the licence.
        citation: What to cite.
        url: Web page of the corpus.
        access: How to get it, in one phrase.
        reference: Electrode(s) that the amplifier referred to.
        label_names: Column name -> `str` or `float`.
        official_split: Part -> subjects, where the corpus or its literature has fixed one.
        official_split_column: Label that holds `"train"`, `"validation"` or `"test"`, where the split
            is not by lists of subjects.
        official_split_by: Label that no two parts of such a split share, such as the concept of an image.
        has_events: Whether `events` finds any.
        is_whitened: Whether the samples are whitened and have no unit, so that no amplitude is refused.
        is_of_people: Whether people were recorded, in contrast to simulated signals.
        known_bad: Subject or file name -> why it is left out.
        num_subjects: Number of subjects of the whole corpus, 0 where unknown.
        hours: Length of the whole corpus, 0 where unknown.
        base_url: Folder of its files on a server; `None` where they cannot be downloaded.
        file_pattern: Names of the files to download, as listed under `base_url`. The group `subject` is the
            subject of the file; files without one are always downloaded.
        layout: Expected names of its recordings, for messages.
        num_recordings: Number of recordings of the whole corpus, 0 where it does not matter.
        download_retries: How often a file is requested again after its connection broke.
        follow_links: Whether links out of the corpus's folder are followed; for trusted sources.
    """

    name: str
    title: str
    licence: str
    citation: str
    url: str
    access: str
    reference: str
    label_names: Mapping[str, type[str] | type[float]] = {}
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
    follow_links: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Set the attributes that `facts.json` has for the corpus."""
        super().__init_subclass__(**kwargs)
        for fact, value in _facts().get(cls.__dict__.get("name", ""), {}).items():
            if fact not in cls.__dict__:
                setattr(cls, fact, value)

    @property
    def hub_licence(self) -> str:
        """The licence as the Hub spells it."""
        return hub_licence(self.licence)

    def recordings(self, root: Path | str | None = None) -> list[Recording]:
        """List the recordings, sorted by subject, session and run.

        Args:
            root: Folder of the corpus; found (or downloaded) by `locate` if left out.

        Returns:
            The recordings, without those in `known_bad`.

        Raises:
            FileNotFoundError: If there are none, or the corpus is not on this machine.
            ValueError: If the same recording is there twice.
        """
        root = self.locate() if root is None else Path(root)
        # Recordings that are known to be bad, or lie elsewhere, are reported and left out
        found, bad, outside = [], [], []
        for recording in self._find_recordings(root):
            why = self.known_bad.get(recording.subject) or self.known_bad.get(recording.path.name)
            if why:
                bad.append(f"{recording.subject} ({why})")
            elif not self.follow_links and leads_out(recording.path, root):
                outside.append(recording.path)
            else:
                found.append(recording)
        if bad:
            logger.warning_once(
                f"{self.name}: {len(bad)} recordings in {root} are known to be bad and left out: "
                f"{', '.join(sorted(set(bad))[:5])}"
            )
        if outside:
            logger.warning_once(
                f"{self.name}: {len(outside)} recordings in {root} are links out of it and left out, such as "
                f"{legible(str(outside[0]))}: {FOLLOW}"
            )
        if not found:
            state = "holds none" if root.is_dir() else "is not a folder"
            raise FileNotFoundError(f"no {self.name} recordings: {root} {state}; expected {self.layout}")
        self._refuse_duplicates(found, root)
        self._warn_of_look_alikes(found)
        if len(found) < self.num_recordings:
            logger.warning_once(
                f"{self.name}: {len(found)} of {self.num_recordings} recordings are in {root}"
            )
        return sorted(found, key=_key)

    def _warn_of_look_alikes(self, found: Sequence[Recording]) -> None:
        """Warn of subjects and classes that differ in case, spaces or leading zeros only."""
        if alike := describe_look_alikes({recording.subject for recording in found}):
            logger.warning_once(
                f"{self.name}: subjects {alike} count as different people: if they are not, write each in "
                "one way, or a split by subject leaks"
            )
        for column in sorted({name for recording in found for name in recording.labels}):
            values = {recording.labels.get(column) for recording in found}
            if alike := describe_look_alikes(value for value in values if isinstance(value, str)):
                logger.warning_once(
                    f"{self.name}: {alike} are different values of {column}: is it one class?"
                )

    @abstractmethod
    def _find_recordings(self, root: Path) -> Iterable[Recording]:
        """Find the recordings in a folder, in any order, by names and tables only."""

    @abstractmethod
    def read(self, recording: Recording) -> "mne.io.BaseRaw | mne.BaseEpochs":
        """Open a recording, unfiltered, in volts; its samples are not loaded where the format allows it.

        Returns:
            The recording; epochs where nothing else was published: each of them is a window.

        Raises:
            ValueError: If the file is damaged, truncated or of another format than its name says.
        """

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List the events of a recording.

        Args:
            recording: What is known of the recording.
            raw: The opened recording or a resampled copy of it, which has the same times in seconds.

        Returns:
            Events in order of onset; for epochs, one for each.
        """
        return []

    def reference_of(self, recording: Recording) -> str:
        """Return the reference of a recording: `reference`, unless recordings differ."""
        return self.reference

    def label_columns(self, recordings: Sequence[Recording]) -> Mapping[str, type[str] | type[float]]:
        """Return the labels of the windows: `label_names`, unless they depend on the recordings."""
        return self.label_names

    def refuse_idle_options(  # noqa: B027  (most corpora have no such option)
        self, recordings: Sequence[Recording], by_event: bool
    ) -> None:
        """Refuse options that change nothing for these recordings: their user expects something else.

        Args:
            recordings: What `recordings` returned.
            by_event: Whether windows are cut by events.

        Raises:
            ValueError: If there is such an option.
        """

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Describe the files that a shard is made from; the shard is valid while this stays the same."""
        return state_of(recording.path)

    def locate(
        self, root: Path | str | None = None, download: bool = True, subjects: Collection[str] | None = None
    ) -> Path:
        """Find the folder of this corpus.

        The folder is `root`, else `$EEG_HF_DATA/<name>`, else the cache, into which it is downloaded.

        Args:
            root: The user's own folder.
            download: Whether missing files may be downloaded.
            subjects: Download the files of these subjects only.

        Returns:
            The folder; if `root` was given, it holds at least one recording.

        Raises:
            FileNotFoundError: If it is not on this machine and not downloaded, with the places searched and
                how to get it.
            ConnectionError: If a download failed, with the URL and how to go on.
        """
        # The user's folder, then the shared one, then the cache
        if root is not None:
            self.recordings(root)  # raises where there are none
            return Path(root)
        shared = os.environ.get(DATA_VARIABLE)
        if shared and (Path(shared) / self.name).is_dir():
            return Path(shared) / self.name
        folder = cache_folder(self.name)
        wanted = self._wanted(subjects)
        if self.base_url is not None and wanted is not None:
            if is_complete(folder, wanted):
                return folder
            if download:
                logger.warning(
                    f"{self.name} is not on this machine: downloading it to {folder} ({self.access})"
                )
                return fetch_listed(self.base_url, folder, wanted, retries=self.download_retries)
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{self.name} not found: {DATA_VARIABLE} is {shared or 'not set'}, {folder} does not exist"
                f"{', and download is off' if self.base_url else ''}. Access: {self.access}. Set "
                f"{DATA_VARIABLE} to the folder that holds {self.name}/, or pass its own folder as root"
            )
        return folder

    def _wanted(self, subjects: Collection[str] | None) -> "re.Pattern[str] | None":
        """Return the pattern of the files to download, narrowed to some subjects."""
        if self.file_pattern is None or subjects is None:
            return self.file_pattern
        chosen = "|".join(re.escape(subject) for subject in sorted(subjects))
        return re.compile(
            re.sub(r"\(\?P<subject>[^)]*\)", f"(?P<subject>{chosen})", self.file_pattern.pattern)
        )

    def _refuse_duplicates(self, recordings: Sequence[Recording], root: Path) -> None:
        repeated = [key for key, count in Counter(map(_key, recordings)).items() if count > 1]
        if repeated:
            subject, session, run = repeated[0]
            paths = ", ".join(str(each.path) for each in recordings if _key(each) == repeated[0])
            raise ValueError(
                f"{len(repeated)} recordings of {self.name} are in {root} more than once, first subject "
                f"{subject} session {session} run {run}: {paths}; keep one copy of each"
            )


@cache
def _facts() -> dict[str, dict[str, Any]]:
    """Read what `facts.json` says of each corpus."""
    facts: dict[str, dict[str, Any]] = json.loads(
        Path(__file__).with_name("facts.json").read_text(encoding="utf-8")
    )
    return facts


def _key(recording: Recording) -> tuple[str, str, str]:
    return recording.subject, recording.session, recording.run


def check_name(name: str) -> None:
    """Refuse a name that cannot be that of a corpus and its folder."""
    if not re.fullmatch(r"[\w.-]+", name):
        raise ValueError(f"name must be letters, digits, '.', '_' or '-', got {name!r}")


def files_named(root: Path, pattern: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
    """Yield the files below a folder whose whole name matches a pattern, with the match."""
    for path in root.rglob("*"):
        if match := pattern.fullmatch(path.name):
            yield path, match


def refuse_idle(corpus: str, options: Mapping[str, Any], why: str) -> None:
    """Refuse options that were given although they change nothing.

    Args:
        corpus: Name of the corpus.
        options: Options and their values; those that are empty were not given.
        why: Why they change nothing, and what to do.

    Raises:
        ValueError: If one was given.
    """
    given = [f"{name}={value!r}" for name, value in options.items() if value]
    if given:
        raise ValueError(f"{corpus}: {', '.join(given)} has no effect, because {why}; or leave it out")


def annotated(raw: "mne.io.BaseRaw") -> list[Event]:
    """Return a recording's annotations as events, with onsets counted from its first sample.

    MNE counts them from the start of the measurement, which differs where a recording was cropped.
    """
    marks = raw.annotations
    return [
        Event(float(onset) - raw.first_time, float(duration), str(description))
        for onset, duration, description in zip(marks.onset, marks.duration, marks.description, strict=True)
    ]


__all__ = [
    "DATA_VARIABLE",
    "NOT_EVENTS",
    "Corpus",
    "Event",
    "Label",
    "Recording",
    "annotated",
    "check_name",
    "files_named",
    "refuse_idle",
]
