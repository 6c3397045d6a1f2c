# SPDX-License-Identifier: Apache-2.0
"""Decoded recordings that remember what the column stores of them.

`map` writes the columns that it read back into the dataset. Of foreign types, datasets encodes those that
convert themselves to arrays. A decoded recording converts to an array that holds the stored value, so that
looking at a recording neither turns a path into bytes nor writes bytes again.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .recording_bundle import TemporaryFolder, pack

if TYPE_CHECKING:
    import mne

    from .eeg_feature import Eeg


@dataclass(frozen=True)
class Origin:
    """Origin of a decoded recording.

    Attributes:
        feature: The feature that decoded it.
        path: The path that the column stores.
        has_bytes: Whether the column stores bytes.
        file: The main file on this machine.
        folder: Its temporary folder, kept as long as the recording is used.
    """

    feature: "Eeg"
    path: str | None
    has_bytes: bool
    file: Path
    folder: TemporaryFolder | None


def remember(raw: "mne.io.BaseRaw", origin: Origin) -> None:
    """Attach its origin to a recording, in place."""
    kind: Any = type(raw)
    raw.__class__ = _remembering(kind)
    raw._eeg_hf_origin = origin


def stored_value(raw: "mne.io.BaseRaw") -> dict[str, Any] | None:
    """Return the stored value of a recording; None if it was not decoded from a column, or was changed.

    The recording is opened again and compared: header, annotations, and samples if it was loaded.
    """
    from mne.utils import object_diff

    origin: Origin | None = getattr(raw, "_eeg_hf_origin", None)
    if origin is None:
        return None
    fresh = origin.feature._open(origin.file)
    is_same = (
        (raw.first_samp, raw.last_samp) == (fresh.first_samp, fresh.last_samp)
        and raw.annotations == fresh.annotations
        and not object_diff(raw.info, fresh.info)
        and (not raw.preload or np.array_equal(raw.get_data(), fresh.get_data(), equal_nan=True))
    )
    if not is_same:
        return None
    return {"path": origin.path, "bytes": pack(origin.file) if origin.has_bytes else None}


class _Remembering:
    """Mixin for MNE's class of a decoded recording."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return a zero-dimensional array that holds the stored value."""
        from .eeg_feature import Eeg

        array = np.empty((), dtype=object)
        array[()] = Eeg().encode_example(self)
        return array

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # The class is made at run time, so pickle cannot find it by name
        state = super().__reduce_ex__(protocol)
        return (_blank, (type(self).__mro__[2],), *state[2:])


@cache
def _remembering(kind: type) -> Any:
    return type(kind.__name__, (_Remembering, kind), {"__module__": kind.__module__, "__doc__": kind.__doc__})


def _blank(kind: type) -> Any:
    remembering = _remembering(kind)
    return remembering.__new__(remembering)
