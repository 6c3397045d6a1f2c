# SPDX-License-Identifier: Apache-2.0
"""What changes when the files of a recording do."""

from pathlib import Path

from .formats import companions


def state_of(path: Path) -> dict[str, int | float | str]:
    """Return size and time of a recording, of its samples too where they lie in another file.

    Args:
        path: Main file of the recording.

    Raises:
        OSError: If it is not there.
    """
    status = path.stat()
    try:
        others = [(part.name, part.stat().st_size, part.stat().st_mtime_ns) for part in companions(path)]
    except (OSError, ValueError):  # a header that names no file: reading the recording will say so
        others = []
    return {
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        **({"parts": repr(others)} if others else {}),
    }


__all__ = ["state_of"]
