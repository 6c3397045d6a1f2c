# SPDX-License-Identifier: Apache-2.0
"""What a user names on the command line: files, folders, patterns, BIDS trees or prepared corpora."""

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...corpora import BIDSCorpus, Corpus, FolderCorpus, Recording
from ...corpora.recordings.bids_tree import is_bids
from ...corpora.recordings.formats import read_recording

if TYPE_CHECKING:
    import mne


@dataclass(frozen=True)
class Source:
    """One recording to predict, and what is known of it.

    Attributes:
        path: Its main file.
        subject: The subject; empty where unknown.
        labels: Known labels by column.
    """

    path: Path
    subject: str = ""
    labels: Mapping[str, Any] = field(default_factory=dict)
    corpus: Corpus | None = None
    recording: Recording | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def read(self) -> "mne.io.BaseRaw":
        """Open the recording in volts."""
        if self.corpus is None or self.recording is None:
            wanted: dict[str, Any] = {name: self.options.get(name) for name in ("sampling_rate", "unit")}
            return read_recording(self.path, **wanted)
        raw: Any = self.corpus.read(self.recording)
        return raw


def find_sources(inputs: Sequence[str], options: Mapping[str, Any]) -> list[Source]:
    """List the recordings that the words of a command line name, each once.

    Args:
        inputs: Files, folders or patterns.
        options: Options of `FolderCorpus`, such as `unit`, for folders and files.

    Raises:
        FileNotFoundError: If a word names nothing, or a folder holds no recording.
    """
    found: dict[Path, Source] = {}
    for word in inputs:
        for path in _expand(word):
            sources = _of_folder(path, options) if _is_folder(path) else [Source(path, options=options)]
            for source in sources:
                found.setdefault(source.path.resolve(), source)
    return list(found.values())


def is_prepared(word: str) -> bool:
    """Return whether a word names a folder of prepared windows."""
    return any(Path(word).glob("data/*.parquet"))


def _expand(word: str) -> list[Path]:
    path = Path(word)
    if path.exists():
        return [path]
    paths = [Path(name) for name in sorted(glob.glob(word, recursive=True))]
    if not paths:
        raise FileNotFoundError(f"{word} is no file, no folder and matches none: expected recordings")
    return paths


def _is_folder(path: Path) -> bool:
    return path.is_dir() and path.suffix.lower() != ".mff"


def _of_folder(folder: Path, options: Mapping[str, Any]) -> Iterator[Source]:
    """Yield the recordings of a folder with the subjects and labels of its tables."""
    corpus: Corpus = BIDSCorpus(folder) if is_bids(folder) else FolderCorpus(root=folder, **options)
    for recording in corpus.recordings(folder):
        yield Source(recording.path, recording.subject, recording.labels, corpus, recording)
