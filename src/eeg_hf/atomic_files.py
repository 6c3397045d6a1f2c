# SPDX-License-Identifier: Apache-2.0
"""Files that are replaced as a whole: a reader, or a run that was killed, never leaves half of one."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


def partial_path(path: Path) -> Path:
    """Return a new hidden name beside a file, under which it is written until it is complete."""
    # A random name: a process that was thought dead may still write to the last one.
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that replaces a file when the block ends without an error.

    Args:
        path: The file to write; its folder is created.

    Yields:
        A path in the same folder, to be written in the block.

    Example:
        >>> with atomic_path("runs/scores.npz") as partial, partial.open("wb") as file:  # doctest: +SKIP
        ...     np.savez(file, scores=scores)
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        yield partial
        with partial.open("r+b") as file:
            os.fsync(file.fileno())  # else the new name may reach the disk before the content
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Wait until the files of a folder are on the disk, so that a new name cannot reach it before them."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def write_text(path: Path | str, text: str) -> None:
    """Write a UTF-8 text file atomically, unless it holds that text; its folder is created."""
    path = Path(path)
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.read_text(encoding="utf-8") == text:  # a finished folder can be used on a read-only disk
            return
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


__all__ = ["atomic_path", "partial_path", "sync_folder", "write_text"]
