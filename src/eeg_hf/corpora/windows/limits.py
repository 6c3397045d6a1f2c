# SPDX-License-Identifier: Apache-2.0
"""What one recording may cost: a file that wants more is reported, and the others go on."""

import contextlib
import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import mne

_COPIES = 3  # of a recording in float64 that cleaning holds at one time
_PATIENCE = 1.5  # times the limit, after which a process that does not listen is ended


class TimeLimitError(TimeoutError):
    """A recording took longer than it may."""


@contextlib.contextmanager
def time_limit(seconds: float, may_exit: bool = False) -> Iterator[None]:
    """End what runs inside after some seconds.

    Works in the main thread of a process on systems that have SIGALRM; elsewhere there is no limit. Compiled
    code is ended when it returns to Python; if it never does, only the end of the process ends it.

    Args:
        seconds: 0 for no limit.
        may_exit: End the process, with code 1, where one and a half times as long did not help.

    Raises:
        TimeLimitError: When the time is over.
    """
    with _exit_after(_PATIENCE * seconds) if may_exit and seconds > 0 else contextlib.nullcontext():
        in_main_thread = threading.current_thread() is threading.main_thread()
        if seconds <= 0 or not in_main_thread or not hasattr(signal, "setitimer"):
            yield
            return

        def stop(number: int, frame: FrameType | None) -> None:
            raise TimeLimitError(f"took longer than the {seconds:g} s that one recording may take")

        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds / 10)  # again, if a reader catches the first
        try:
            try:
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        finally:  # once more: the time may have ended on the way there
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _exit_after(seconds: float) -> Iterator[None]:
    """End the process after some seconds; the clock is no thread of Python's, which could be locked out."""
    with open(os.devnull, "wb") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


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


__all__ = ["TimeLimitError", "refuse_too_large", "time_limit"]
