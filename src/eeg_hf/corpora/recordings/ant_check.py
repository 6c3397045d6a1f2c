# SPDX-License-Identifier: Apache-2.0
"""Try an ANT recording in another process: of a damaged one, the compiled reader crashes or never returns."""

import functools
import subprocess
import sys
from pathlib import Path

_SECONDS, _BYTES_PER_SECOND = 20.0, 2**20
_MEMORY_BYTES = 2**32
_STEP = 10_000  # samples


def check_ant(path: Path) -> None:
    """Read all samples of an ANT recording once, in another process.

    Raises:
        ValueError: If that fails, or takes much longer than its size explains.
    """
    status = path.stat()
    why = _try(str(path.absolute()), status.st_size, status.st_mtime_ns)
    if why is not None:
        raise ValueError(f"{path.name} is truncated or damaged: {why}")


@functools.lru_cache(maxsize=256)
def _try(path: str, size: int, mtime_ns: int) -> str | None:
    """Return what went wrong with a file of some state; None for a whole one."""
    limit = _SECONDS + size / _BYTES_PER_SECOND
    command = [sys.executable, "-P", __file__, path]  # -P: modules beside this file are no packages
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return f"its reader needs more than {limit:.0f} s"
    if done.returncode < 0:
        return f"its reader crashes (signal {-done.returncode})"
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return None if done.returncode == 0 else (lines[-1] if lines else "its samples cannot be read")


def _read_all(path: str) -> None:
    """Read the samples of a file in steps, within a limit of memory."""
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except ImportError:  # Windows
        pass
    from antio import parser, read_cnt  # type: ignore[import-untyped]

    recording = read_cnt(path)
    for part in ("info", "meas_date", "device_info", "subject_info", "triggers"):
        getattr(parser, f"read_{part}")(recording)
    for start in range(0, recording.get_sample_count(), _STEP):
        recording.get_samples_as_nparray(start, min(start + _STEP, recording.get_sample_count()))


if __name__ == "__main__":
    _read_all(sys.argv[1])
