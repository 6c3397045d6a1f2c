# SPDX-License-Identifier: Apache-2.0
"""The state of a recording's files, by which a change of them is noticed."""

from pathlib import Path

from .formats import companions


def state_of(path: Path) -> dict[str, int | float | str]:
    """Return size and modification time of a recording and of its companion files.

    Args:
        path: Main file of the recording.

    Raises:
        OSError: If it is not there.
    """
    status = path.stat()
    try:
        others = [(part.name, part.stat().st_size, part.stat().st_mtime_ns) for part in companions(path)]
    except (OSError, ValueError):  # a damaged header; reported when the recording is read
        others = []
    return {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        **({"parts": repr(others)} if others else {}),
    }


__all__ = ["state_of"]
