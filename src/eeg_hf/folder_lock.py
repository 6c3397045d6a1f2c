# SPDX-License-Identifier: Apache-2.0
"""One writer for each folder: the first process has it, the next one says which process that is.

The lock is the kernel's (`flock`), so that a process that was killed leaves none behind. It lies beside the
folder as `.<name>.lock`, because the folder's files are listed, pushed and counted. Windows has no such lock.
"""

import contextlib
import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_held: dict[str, int] = {}  # this process may lock a folder again
_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class FolderInUseError(ValueError):
    """Another process writes into a folder."""


@contextlib.contextmanager
def locked_folder(folder: Path | str, what: str, shared: bool = False) -> Iterator[None]:
    """Hold a folder for writing while the block runs.

    Where the disk is read-only or knows no locks, the block runs without one.

    Args:
        folder: The folder, which need not exist.
        what: What this process does, for the message of others: `"eeg-hf prepare"`.
        shared: Whether others that ask for a shared lock may write too.

    Raises:
        FolderInUseError: If another process holds it; names the process, its machine and since when.
    """
    path = _path_of(Path(folder))
    key = str(path)
    if _held.get(key):
        _held[key] += 1
        try:
            yield
        finally:
            _held[key] -= 1
        return
    descriptor = _acquire(path, Path(folder), what, shared)
    _held[key] = 1
    try:
        yield
    finally:
        _held.pop(key)
        if descriptor is not None:
            _release(path, descriptor, shared)


def is_locked_elsewhere(folder: Path | str) -> str | None:
    """Return which other process holds a folder, in words; None for a free one."""
    path = _path_of(Path(folder))
    if _held.get(str(path)):
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return None if fcntl is None or _try(descriptor, fcntl.LOCK_SH) else _holder(descriptor)
    finally:
        os.close(descriptor)


def _path_of(folder: Path) -> Path:
    real = Path(os.path.realpath(folder))
    return real.with_name(f".{real.name}.lock") if real.name else real / ".lock"


def _acquire(path: Path, folder: Path, what: str, shared: bool) -> int | None:
    """Lock a file; return its descriptor, or None where there can be no lock."""
    if fcntl is None:
        return None
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            if error.errno in _UNWRITABLE:
                return None
            raise
        try:
            is_mine = _try(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _UNSUPPORTED:
                return None
            raise
        if not is_mine:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise FolderInUseError(
                f"{folder} is in use by {holder}: wait until it ends, or choose another folder"
            )
        if _is_at(path, descriptor):
            _sign(descriptor, what)
            return descriptor
        os.close(descriptor)  # its last holder has removed it meanwhile


def _release(path: Path, descriptor: int, shared: bool) -> None:
    # A file is removed only by who holds it alone: others may be waiting to look at it
    if (not shared or _try(descriptor, fcntl.LOCK_EX)) and _is_at(path, descriptor):
        with contextlib.suppress(OSError):
            path.unlink()
    os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sign(descriptor: int, what: str) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    text = json.dumps({"what": what, "pid": os.getpid(), "host": socket.gethostname(), "since": since})
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _holder(descriptor: int) -> str:
    try:
        made = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {made['pid']} on {made['host']} since {made['since']} ({made['what']})"
    except (ValueError, KeyError, TypeError):  # it has not signed yet
        return "another process"


def program() -> str:
    """Return the command of this process, as a lock names it."""
    return " ".join([Path(sys.argv[0]).name or "python", *sys.argv[1:2]])
