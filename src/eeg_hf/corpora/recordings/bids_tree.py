# SPDX-License-Identifier: Apache-2.0
"""The recordings of a BIDS tree, and the sidecars that describe them.

https://bids-specification.readthedocs.io/en/stable/modality-specific-files/electroencephalography.html

    sub-01[/ses-a]/eeg/sub-01[_ses-a]_task-rest[_acq-x][_run-1]_eeg.{edf,bdf,vhdr,set,...}

A sidecar describes every recording at or below its folder that has all the entities in the sidecar's name
(the inheritance principle). The most specific table is used; JSON files are merged key by key.

Files in `derivatives/`, `sourcedata/` and `code/`, hidden files, and those that `.bidsignore` names are not
recordings. A file whose name contradicts its folder is left out with a warning.

mne-bids is not used here: `find_matching_paths` of version 0.20 also lists `derivatives/` and `sourcedata/`,
misses `.mff` folders and names with unknown or reordered entities, and ignores `.bidsignore`;
`find_matching_sidecar` does not merge JSON files.
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

from ...legible_text import legible
from .containment import FOLLOW, leads_out
from .formats import EXTENSIONS
from .side_table import joined_rows, read_rows, text_of

logger = logging.get_logger(__name__)

_NAME = re.compile(r"(?P<entities>(?:[A-Za-z]+-[^_]+_)+)eeg(?P<suffix>\.[A-Za-z0-9]+)")
_EXTENSIONS = frozenset(EXTENSIONS) - {".eeg", ".vmrk", ".fdt"}  # parts of a .vhdr and of a .set
_FREE_ENTITIES = frozenset({"space"})  # the coordinate frame of an electrodes.tsv


@dataclass(frozen=True)
class BIDSFile:
    """One recording of a BIDS tree.

    Attributes:
        path: The file.
        entities: All entities of its name, in order: `{"sub": "01", "task": "rest", "run": "1"}`.
        subject_row: Its row of participants.tsv; cells are `None` where the table has `n/a`.
        session_row: Its row of the subject's sessions.tsv.
    """

    path: Path
    entities: Mapping[str, str]
    subject_row: Mapping[str, str | None]
    session_row: Mapping[str, str | None]

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


def is_bids(root: Path) -> bool:
    """Return whether a folder is the root of a BIDS tree with EEG in it."""
    return any(True for pattern in ("sub-*/eeg", "sub-*/ses-*/eeg") for _ in root.glob(pattern))


def is_in_bids_tree(path: Path) -> bool:
    """Return whether a recording has the name and the place of one in a BIDS tree."""
    is_placed = path.parent.name == "eeg" and any(folder.name.startswith("sub-") for folder in path.parents)
    return is_placed and "sub" in _entities_of(path)


def bids_root(path: Path) -> Path:
    """Return the root of the tree that a recording lies in: the folder above its `sub-*`."""
    above = next((folder.parent for folder in path.parents if folder.name.startswith("sub-")), None)
    return path.parent if above is None else above


def bids_recordings(root: Path, follow_links: bool = False) -> list[BIDSFile]:
    """List the EEG recordings of a BIDS tree, sorted by path.

    Args:
        root: The folder that holds `sub-*`.
        follow_links: Whether tables may be links out of the tree.

    Returns:
        One entry per recording, including those whose data were not downloaded.
    """
    subjects = _rows_by(root, "participants.tsv", "participant_id", "sub-", follow_links)
    ignored = _ignore_patterns(root)
    found, misplaced = [], []
    for path in sorted({*root.glob("sub-*/eeg/*_eeg.*"), *root.glob("sub-*/ses-*/eeg/*_eeg.*")}):
        relative = PurePosixPath(path.relative_to(root).as_posix())
        if path.name.startswith(".") or path.suffix.lower() not in _EXTENSIONS or _matches(relative, ignored):
            continue
        entities = _entities_of(path)
        if [f"{key}-{entities[key]}" for key in ("sub", "ses") if key in entities] != [*relative.parts[:-2]]:
            misplaced.append(relative.as_posix())
        elif int(re.sub(r"\D", "", entities.get("split", "")) or 1) == 1:  # later parts belong to the first
            subject_row = subjects.get(entities["sub"], {})
            found.append(BIDSFile(path, entities, subject_row, _session_row(root, entities, follow_links)))
    if misplaced:
        logger.warning(
            f"{root}: {len(misplaced)} files are left out, because their names do not match their folders: "
            f"{', '.join(misplaced[:5])}"
        )
    unknown = sorted({file.subject for file in found if subjects and file.subject not in subjects})
    if unknown:
        logger.warning(f"{root}: participants.tsv has no row for {', '.join(unknown[:10])}")
    return found


def sidecars(path: Path, name: str, follow_links: bool = False) -> list[Path]:
    """List the sidecars that describe a recording.

    Args:
        path: A recording of a BIDS tree.
        name: End of the sidecars' names, such as `"channels.tsv"`.
        follow_links: Whether links out of the tree are followed; by default they are left out with a warning.

    Returns:
        Paths from the most general to the most specific.

    Raises:
        ValueError: If the name of the recording is not a BIDS name.
    """
    entities, root = _entities_of(path), bids_root(path)
    if "sub" not in entities:
        raise ValueError(f"{path.name} is not the name of a BIDS recording: expected sub-..._task-..._eeg.*")
    below = path.parent.relative_to(root).parts
    found: list[Path] = []
    for depth in range(len(below) + 1):
        folder = root.joinpath(*below[:depth])
        here = []
        for listed in _side_files(folder):
            if listed == name or listed.endswith(f"_{name}"):
                given = _split_entities(listed.removesuffix(name))
                given = {key: value for key, value in given.items() if key not in _FREE_ENTITIES}
                if given.items() <= entities.items() and (follow_links or _is_of_tree(folder / listed, root)):
                    here.append((len(given), folder / listed))
        found += [sidecar for _, sidecar in sorted(here)]
    return found


def _is_of_tree(path: Path, root: Path) -> bool:
    """Return whether a table is no link out of its tree, whose target could be any file of this machine."""
    if not leads_out(path, root):
        return True
    logger.warning_once(f"{path} links to a file outside of {root.name} and is left out: {FOLLOW}")
    return False


def read_json(paths: Sequence[Path]) -> dict[str, Any]:
    """Merge JSON sidecars; later ones override earlier ones.

    Raises:
        ValueError: If one of them is not a JSON object.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            content = json.loads(text_of(path), object_pairs_hook=_legible_object)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"{path.name} is not JSON: {error}") from None
        if not isinstance(content, dict):
            raise ValueError(f"{path.name} is not a JSON object")
        merged.update(content)
    return merged


def _legible_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        legible(name): [legible(each) if isinstance(each, str) else each for each in value]
        if isinstance(value, list)
        else legible(value)
        if isinstance(value, str)
        else value
        for name, value in pairs
    }


def refuse_pointers(path: Path) -> None:
    """Refuse a recording of which only a pointer of git-annex or git-lfs is there.

    Raises:
        FileNotFoundError: With the command that downloads the data.
    """
    # A .vhdr is small and often there while its .eeg is not.
    parts = [path] if path.is_dir() else sorted({path, *path.parent.glob(f"{escape(path.stem)}.*")})
    for part in parts:
        is_dangling = part.is_symlink() and not part.exists()
        is_small = not is_dangling and part.is_file() and part.stat().st_size <= 32768
        head = part.read_bytes()[:256] if is_small else b""
        if is_dangling or b"annex/objects/" in head[:64]:
            command = f"datalad get {part}"
        elif head.startswith(b"version https://git-lfs"):
            command = "git lfs pull"
        else:
            continue
        raise FileNotFoundError(f"{part.name} was not downloaded, only its pointer is here: {command}")


def _entities_of(path: Path) -> dict[str, str]:
    """Return the entities of a recording's name; empty for another name."""
    match = _NAME.fullmatch(path.name)
    return _split_entities(match["entities"]) if match else {}


def _split_entities(text: str) -> dict[str, str]:
    """Split `sub-01_task-rest_` into its entities."""
    return {key: value for key, _, value in (part.partition("-") for part in text.split("_") if part)}


def _side_files(folder: Path) -> tuple[str, ...]:
    """List the possible sidecars of a folder; the root may have thousands of entries and is cached."""
    changed = folder.stat().st_mtime_ns
    is_settled = time.time_ns() - changed > 10**9  # a second change within the clock's tick would be missed
    return _listed(folder, changed) if is_settled else _listed.__wrapped__(folder, changed)


@lru_cache(maxsize=64)
def _listed(folder: Path, changed_ns: int) -> tuple[str, ...]:
    return tuple(sorted(name for name in os.listdir(folder) if name.endswith((".tsv", ".json"))))


def _session_row(root: Path, entities: Mapping[str, str], follow_links: bool) -> Mapping[str, str | None]:
    """Return the session's row of the subject's sessions.tsv."""
    if "ses" not in entities:
        return {}
    subject = f"sub-{entities['sub']}"
    rows = _rows_by(root, f"{subject}/{subject}_sessions.tsv", "session_id", "ses-", follow_links)
    return rows.get(entities["ses"], {})


def _rows_by(
    root: Path, name: str, key: str, prefix: str, follow_links: bool
) -> dict[str, dict[str, str | None]]:
    """Read a table of subjects or sessions: label without its prefix -> row without the key."""
    path = root / name
    if not path.is_file() or not (follow_links or _is_of_tree(path, root)):
        return {}
    rows = read_rows(path)
    if rows and key not in rows[0]:
        raise ValueError(f"{path} has no column {key}: it has {', '.join(rows[0])}")
    labels = [(row.pop(key, None) or "").removeprefix(prefix) for row in rows]
    joined, _ = joined_rows(path, [each for each in zip(labels, rows, strict=True) if each[0]])
    return joined


def _ignore_patterns(root: Path) -> list[str]:
    path = root / ".bidsignore"
    lines = text_of(path).splitlines() if path.is_file() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _matches(relative: PurePosixPath, patterns: Sequence[str]) -> bool:
    """Return whether .bidsignore excludes a file or a folder above it; the last matching pattern decides."""
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
    "bids_recordings",
    "bids_root",
    "is_bids",
    "is_in_bids_tree",
    "read_json",
    "refuse_pointers",
    "sidecars",
]
