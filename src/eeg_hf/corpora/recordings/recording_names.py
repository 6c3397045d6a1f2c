# SPDX-License-Identifier: Apache-2.0
"""Recordings looked up by path, by file name, or by file name without extension, as tables name them."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath


class RecordingNames:
    r"""An index of recordings by the ways in which a table may name them.

    A text names a recording if one is the end of the other's path, compared by whole parts: `S01/rest.edf`,
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
            ValueError: If it names more than one.
        """
        # The text is the end of a recording's path, or a recording's path is the end of the text
        key = plain(text)
        found = list(self._ends.get(key, ()))
        for end in ends(key):
            found = found or list(self._whole.get(end, ()))
        exact = [name for name in found if PurePosixPath(name) == PurePosixPath(text)]
        if len(found) > 1 and len(exact) != 1:
            raise ValueError(
                f"{text!r} names {len(found)} recordings: {', '.join(found[:3])}; write the path with "
                "its extension"
            )
        return next(iter(exact or found), None)


def plain(text: str) -> str:
    """Normalise a path: forward slashes, lower case, composed letters, no empty parts."""
    composed = unicodedata.normalize("NFC", text)  # macOS writes ü as two characters
    parts = composed.strip().replace("\\", "/").casefold().split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def forms(name: str) -> tuple[str, str]:
    """Return a recording's normalised path with and without its extension."""
    whole = plain(name)
    return whole, whole.removesuffix(PurePosixPath(whole).suffix)


def ends(path: str) -> list[str]:
    """Return a path and its ends after each leading folder is removed, longest first."""
    parts = path.split("/")
    return ["/".join(parts[first:]) for first in range(len(parts))]
