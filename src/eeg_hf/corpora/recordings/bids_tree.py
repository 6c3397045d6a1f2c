# SPDX-License-Identifier: Apache-2.0
"""Which files of a BIDS tree are recordings, and which sidecars speak of them.

https://bids-specification.readthedocs.io/en/stable/modality-specific-files/electroencephalography.html

    sub-01[/ses-a]/eeg/sub-01[_ses-a]_task-rest[_acq-x][_run-1]_eeg.{edf,bdf,vhdr,set,...}

A sidecar speaks of every recording at or below its folder that has all the entities in the sidecar's name
(the inheritance principle). Of tables the most specific one counts; JSON files are merged key by key.

What lies in `derivatives/`, `sourcedata/` and `code/`, what is hidden, and what `.bidsignore` names is no
recording. A file whose name contradicts its folder is left out with a warning that names it.
"""

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import lru_cache
from glob import escape
from pathlib import Path, PurePosixPath
from typing import Any

from transformers.utils import logging

from .formats import EXTENSIONS
from .side_table import read_rows, text_of

logger = logging.get_logger(__name__)

_NAME = re.compile(r"(?P<entities>(?:[A-Za-z]+-[^_]+_)+)eeg(?P<suffix>\.[A-Za-z0-9]+)")
_PARTS_OF_A_RECORDING = frozenset({".eeg", ".vmrk", ".fdt"})  # of a .vhdr and of a .set
_EXTENSIONS = frozenset(EXTENSIONS) - _PARTS_OF_A_RECORDING
_FREE_ENTITIES = frozenset({"space"})  # an electrodes.tsv says with it in which frame its positions are


@dataclass(frozen=True)
class BIDSFile:
    """One recording of a BIDS tree.

    Attributes:
        path: The file.
        entities: All of its name, in order: `{"sub": "01", "task": "rest", "run": "1"}`.
        participant: Its row of participants.tsv; `None` where the table says `n/a`.
        visit: Its row of the subject's sessions.tsv.
    """

    path: Path
    entities: Mapping[str, str]
    participant: Mapping[str, str | None]
    visit: Mapping[str, str | None]

    @property
    def subject(self) -> str:
        """Label of the subject, without `sub-`."""
        return self.entities["sub"]

    @property
    def session(self) -> str | None:
        """Label of the session."""
        return self.entities.get("ses")

    @property
    def task(self) -> str | None:
        """Label of the task."""
        return self.entities.get("task")

    @property
    def run(self) -> str | None:
        """Index of the run."""
        return self.entities.get("run")

    @property
    def acquisition(self) -> str | None:
        """Label of the acquisition."""
        return self.entities.get("acq")


def is_bids(root: Path) -> bool:
    """Tell whether a folder is the root of a BIDS tree with EEG in it."""
    return any(True for pattern in ("sub-*/eeg", "sub-*/ses-*/eeg") for _ in root.glob(pattern))


def bids_recordings(root: Path) -> list[BIDSFile]:
    """List the EEG recordings of a BIDS tree, sorted by path.

    Args:
        root: The folder that holds `sub-*`.

    Returns:
        One entry a recording, also for those whose data were not downloaded.
    """
    people = _rows_by(root / "participants.tsv", "participant_id", "sub-")
    ignored = _ignore_patterns(root)
    found, strange = [], []
    for path in sorted({*root.glob("sub-*/eeg/*_eeg.*"), *root.glob("sub-*/ses-*/eeg/*_eeg.*")}):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        if path.name.startswith(".") or path.suffix.lower() not in _EXTENSIONS or _matches(relative, ignored):
            continue
        match = _NAME.fullmatch(path.name)
        entities = _entities(match["entities"]) if match else {}
        if not _agrees(entities, relative):
            strange.append(relative.as_posix())
        elif int(re.sub(r"\D", "", entities.get("split", "")) or 1) == 1:  # the others belong to the first
            found.append(BIDSFile(path, entities, people.get(entities["sub"], {}), _visit(root, entities)))
    if strange:
        logger.warning(
            f"{root}: {len(strange)} files are left out, their names are not those of BIDS recordings in "
            f"their folders: {', '.join(strange[:5])}"
        )
    unknown = sorted({file.subject for file in found if people and file.subject not in people})
    if unknown:
        logger.warning(f"{root}: participants.tsv has no row for {', '.join(unknown[:10])}")
    return found


def bids_file(path: Path) -> BIDSFile:
    """Describe one recording of a BIDS tree by its path alone.

    Raises:
        ValueError: If its name is not that of a BIDS recording.
    """
    match = _NAME.fullmatch(path.name)
    if match is None or "sub" not in _entities(match["entities"]):
        raise ValueError(f"{path.name} is not the name of a BIDS recording: expected sub-..._task-..._eeg.*")
    return BIDSFile(path, _entities(match["entities"]), {}, {})


def bids_root(path: Path) -> Path:
    """Return the root of the tree that a recording lies in: the folder above its `sub-*`."""
    above = next((folder.parent for folder in path.parents if folder.name.startswith("sub-")), None)
    return path.parent if above is None else above


def sidecars(file: BIDSFile, root: Path, name: str) -> list[Path]:
    """List the sidecars that speak of a recording.

    Args:
        file: The recording.
        root: Root of its tree.
        name: What the sidecar's name ends with, such as `"channels.tsv"`.

    Returns:
        Paths from the most general to the most specific.
    """
    below = file.path.parent.relative_to(root).parts
    folders = [root.joinpath(*below[:depth]) for depth in range(len(below) + 1)]
    found: list[Path] = []
    for folder in folders:
        here = []
        for listed in _side_files(folder):
            if listed != name and not listed.endswith(f"_{name}"):
                continue
            entities = _entities(listed.removesuffix(name))
            given = {key: value for key, value in entities.items() if key not in _FREE_ENTITIES}
            if given.items() <= file.entities.items():
                here.append((len(given), folder / listed))
        found += [path for _, path in sorted(here)]
    return found


def read_json(paths: Sequence[Path]) -> dict[str, Any]:
    """Merge JSON sidecars, later ones going before earlier ones.

    Raises:
        ValueError: If one of them is not a JSON object.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            content = json.loads(text_of(path))
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"{path.name} is not JSON: {error}") from None
        if not isinstance(content, dict):
            raise ValueError(f"{path.name} is not a JSON object")
        merged.update(content)
    return merged


def refuse_pointers(path: Path) -> None:
    """Refuse a recording of which git-annex or git-lfs left only a pointer.

    Raises:
        FileNotFoundError: Saying how to get the data.
    """
    # A .vhdr is small and often there while its .eeg is not.
    parts = [path] if path.is_dir() else sorted({path, *path.parent.glob(f"{escape(path.stem)}.*")})
    for part in parts:
        is_dangling = part.is_symlink() and not part.exists()
        head = (
            b""
            if is_dangling or not part.is_file() or part.stat().st_size > 32768
            else part.read_bytes()[:256]
        )
        if is_dangling or b"annex/objects/" in head[:64]:
            raise FileNotFoundError(
                f"{part.name} was not downloaded, only its pointer is here: datalad get {part}"
            )
        if head.startswith(b"version https://git-lfs"):
            raise FileNotFoundError(f"{part.name} was not downloaded, only its pointer is here: git lfs pull")


def _side_files(folder: Path) -> tuple[str, ...]:
    """List what may be a sidecar; a root with thousands of subjects is listed once."""
    changed = folder.stat().st_mtime_ns
    is_settled = time.time_ns() - changed > 10**9  # a second change within the clock's tick would not show
    return _listed(folder, changed) if is_settled else _listed.__wrapped__(folder, changed)


@lru_cache(maxsize=64)
def _listed(folder: Path, changed_ns: int) -> tuple[str, ...]:
    return tuple(sorted(name for name in os.listdir(folder) if name.endswith((".tsv", ".json"))))


def _entities(text: str) -> dict[str, str]:
    """Split `sub-01_task-rest_` into its entities."""
    return {key: value for key, _, value in (part.partition("-") for part in text.split("_") if part)}


def _agrees(entities: Mapping[str, str], relative: PurePosixPath) -> bool:
    """Tell whether a name says the same subject and session as its folders."""
    named = [f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities]
    return named == list(relative.parts[:-2])


def _visit(root: Path, entities: Mapping[str, str]) -> Mapping[str, str | None]:
    """Return the session's row of the subject's sessions.tsv."""
    if "ses" not in entities:
        return {}
    subject = f"sub-{entities['sub']}"
    rows = _rows_by(root / subject / f"{subject}_sessions.tsv", "session_id", "ses-")
    return rows.get(entities["ses"], {})


def _rows_by(path: Path, key: str, prefix: str) -> dict[str, dict[str, str | None]]:
    """Read a table of people or visits: label without its prefix -> row without the key."""
    if not path.is_file():
        return {}
    rows = read_rows(path)
    if rows and key not in rows[0]:
        raise ValueError(f"{path} has no column {key}: it has {', '.join(rows[0])}")
    labels = [(row.get(key) or "").removeprefix(prefix) for row in rows]
    twice = sorted({label for label in labels if label and labels.count(label) > 1})
    if twice:
        raise ValueError(f"{path} has more than one row for {', '.join(twice[:5])}: keep one")
    return {
        label: {name: cell for name, cell in row.items() if name != key}
        for label, row in zip(labels, rows, strict=True)
        if label
    }


def _ignore_patterns(root: Path) -> list[str]:
    path = root / ".bidsignore"
    lines = text_of(path).splitlines() if path.is_file() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _matches(relative: PurePosixPath, patterns: Sequence[str]) -> bool:
    """Tell whether .bidsignore names a file or a folder above it; the last pattern that fits decides."""
    is_ignored = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!").removeprefix("**/").removesuffix("/**").rstrip("/")
        above = [relative, *relative.parents][:-1]
        by_path = "/" in wanted
        if any(fnmatch(str(p) if by_path else p.name, wanted.lstrip("/")) for p in above):
            is_ignored = not pattern.startswith("!")
    return is_ignored


__all__ = [
    "BIDSFile",
    "bids_file",
    "bids_recordings",
    "bids_root",
    "is_bids",
    "read_json",
    "refuse_pointers",
    "sidecars",
]
