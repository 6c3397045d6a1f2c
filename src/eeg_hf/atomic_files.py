# SPDX-License-Identifier: Apache-2.0
"""Files that are replaced as a whole: a reader, or a run that was killed, never leaves half of one."""

import contextlib
import os
import socket
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

import psutil

_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"  # process numbers are those of one machine


def partial_path(path: Path) -> Path:
    """Return a new hidden name beside a file, under which it is written until it is complete."""
    # A random name: a process that was thought dead may still write to the last one.
    return path.with_name(f".{path.name}.{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}.partial")


def remove_abandoned(path: Path) -> None:
    """Remove what killed processes of this machine left of a file that they were writing."""
    start = f".{path.name}.{_HOST}-"
    with os.scandir(path.parent) as entries:
        names = [e.name for e in entries if e.name.startswith(start) and e.name.endswith(".partial")]
    for name in names:
        number = name.removeprefix(start).partition("-")[0]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            with contextlib.suppress(OSError):  # a read-only disk keeps it
                path.with_name(name).unlink()


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
        remove_abandoned(path)
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
            remove_abandoned(path)
            return
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


__all__ = ["atomic_path", "partial_path", "remove_abandoned", "sync_folder", "write_text"]
