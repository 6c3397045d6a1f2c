# SPDX-License-Identifier: Apache-2.0
"""Which recording a table means: people write a path, a file's name, or the name without its ending."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath


class RecordingNames:
    r"""Recordings that can be looked up by how a person names them.

    A text names a recording if one is the end of the other's path, whole parts compared: `S01/rest.edf`,
    `rest.edf`, `S01/rest`, `rest`, `D:\study\S01\REST.EDF` all name `S01/rest.edf`, and `S02/rest.edf`
    does not.

    Args:
        names: Paths of the recordings below the corpus's folder.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._ends: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._whole: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for name in names:
            for form in forms(name):
                self._whole[form][name] = None
                for end in ends(form):
                    self._ends[end][name] = None

    def find(self, text: str) -> str | None:
        """Return the recording that a text names, `None` if there is none.

        Raises:
            ValueError: If it names more than one, naming them.
        """
        key = plain(text)
        found = list(self._ends.get(key, ()))
        for end in ends(key):
            found = found or list(self._whole.get(end, ()))
        exact = [name for name in found if PurePosixPath(name) == PurePosixPath(text)]
        if len(found) > 1 and len(exact) != 1:
            raise ValueError(
                f"{text!r} names {len(found)} recordings: {', '.join(found[:3])}; write the path with "
                "its ending"
            )
        return next(iter(exact or found), None)


def plain(text: str) -> str:
    """Write a path with forward slashes, in small letters, without what says nothing."""
    parts = text.strip().replace("\\", "/").casefold().split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def forms(name: str) -> tuple[str, str]:
    """Return a recording's path as a table may write it: with and without the file's ending."""
    whole = plain(name)
    return whole, whole.removesuffix(PurePosixPath(whole).suffix)


def ends(path: str) -> list[str]:
    """Return a path and what is left of it when folders are taken away, longest first."""
    parts = path.split("/")
    return ["/".join(parts[first:]) for first in range(len(parts))]


__all__ = ["RecordingNames", "ends", "forms", "plain"]
