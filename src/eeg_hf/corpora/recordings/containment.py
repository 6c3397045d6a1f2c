# SPDX-License-Identifier: Apache-2.0
"""What belongs to a folder: files that a stranger's header or link names must not lie anywhere else.

A header may name `/home/me/thesis.dat`, a link may lead there, and a push would publish it. Two programs keep
a folder's files outside of it by links, which therefore count as inside: the cache of the Hub (`blobs/`
beside `snapshots/`) and git-annex (`.git/annex/objects/` of the repository that the folder lies in).
"""

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

FOLLOW = "follow_links=True (corpus_options.follow_links=true in a command) reads it, if you trust the source"


class OutsideError(ValueError):
    """A recording names a file outside of its folder, or links to one."""


def is_inside(path: Path, folder: Path) -> bool:
    """Return whether a file lies in a folder, after all links are followed."""
    real, home = os.path.realpath(path), os.path.realpath(folder)
    return any(_is_below(real, place) for place in (home, *_stores(home))) or _is_annexed(real, home)


def leads_out(path: Path, folder: Path) -> bool:
    """Return whether a file, or a folder around it, is a link out of a folder; a dangling one is not."""
    return path.exists() and not is_inside(path, folder)


def refuse_outside(main: Path, parts: Iterable[Path], follow_links: bool = False) -> None:
    """Refuse files of a recording that lie outside of its folder.

    Args:
        main: The main file, or the folder of a recording; where it is a link, its target's folder counts too.
        parts: The other files.
        follow_links: Whether links out of the folder are followed; headers may still not name such files.

    Raises:
        OutsideError: With the first of them.
    """
    parts = [part for part in parts if part != main]
    if not parts:
        return
    homes = (main, main.resolve()) if main.is_dir() else (main.parent, main.resolve().parent)
    for part in parts:
        is_named_inside = any(_is_below(os.path.abspath(part), os.path.abspath(home)) for home in homes)
        if follow_links and is_named_inside:
            continue
        if not any(is_inside(part, home) for home in homes):
            how = "links to" if is_named_inside else "names"
            hint = FOLLOW if is_named_inside else "put the file beside it and name it without a folder"
            raise OutsideError(f"{main.name} {how} a file outside of its folder, {part}: {hint}")


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _is_annexed(real: str, home: str) -> bool:
    """Return whether a file is an object of git-annex in a repository that the folder lies in."""
    repository, found, objects = real.partition(f"{os.sep}.git{os.sep}")
    return bool(found) and f"annex{os.sep}objects{os.sep}" in objects and _is_below(home, repository)


@lru_cache(maxsize=256)
def _stores(home: str) -> tuple[str, ...]:
    """Return the folder in which the cache of the Hub keeps the files of a snapshot."""
    above = (Path(home), *Path(home).parents)
    return tuple(str(each.parent.parent / "blobs") for each in above if each.parent.name == "snapshots")
