# SPDX-License-Identifier: Apache-2.0
"""What one recording may cost: a file that wants more is reported, and the others go on."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import mne

_COPIES = 3  # of a recording in float64 that cleaning holds at one time


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """End what runs inside after some seconds.

    Works in the main thread of a process on systems that have SIGALRM; elsewhere there is no limit.

    Args:
        seconds: 0 for no limit.

    Raises:
        TimeoutError: When the time is over.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if seconds <= 0 or not in_main_thread or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took longer than the {seconds:g} s that one recording may take")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def refuse_too_large(raw: "mne.io.BaseRaw") -> None:
    """Refuse a recording that does not fit into the memory that is free now.

    Args:
        raw: The opened recording, not loaded.

    Raises:
        MemoryError: Saying how much it needs and how much there is.
    """
    needed = _COPIES * 8 * len(raw.ch_names) * raw.n_times
    free = psutil.virtual_memory().available
    if needed > free:
        raise MemoryError(
            f"{len(raw.ch_names)} channels x {raw.n_times} samples need {needed / 2**30:.1f} GiB of memory, "
            f"{free / 2**30:.1f} GiB are free: cut the recording into parts, or use fewer processes"
        )


__all__ = ["refuse_too_large", "time_limit"]
