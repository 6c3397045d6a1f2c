# SPDX-License-Identifier: Apache-2.0
"""Limits of time and memory for one recording; a recording that exceeds them is reported as failed."""

import contextlib
import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

import psutil

from ...processing.long_recordings import is_long

if TYPE_CHECKING:
    import mne

_COPIES = 3  # of a recording in float64 that cleaning holds at a time
_BLOCKS_BYTES = 2**30  # cleaning in blocks, with the pieces that are kept of a recording
_PATIENCE = 1.5  # times the limit, after which a process that ignores it is ended


class TimeLimitError(TimeoutError):
    """A recording exceeded its time limit."""


@contextlib.contextmanager
def time_limit(seconds: float, may_exit: bool = False) -> Iterator[None]:
    """Interrupt the block after some seconds.

    Works in the main thread of a process on systems with SIGALRM; elsewhere there is no limit. Compiled code
    is interrupted when it returns to Python; if it never does, only ending the process helps.

    Args:
        seconds: The limit; 0 for none.
        may_exit: Whether to end the process, with code 1, after one and a half times the limit.

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
        signal.setitimer(signal.ITIMER_REAL, seconds, seconds / 10)  # repeats, in case a reader catches it
        try:
            try:
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        finally:  # once more: the time may have ended in between
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _exit_after(seconds: float) -> Iterator[None]:
    """End the process after some seconds, by a clock outside Python, whose threads may be blocked."""
    with open(os.devnull, "wb") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def refuse_too_large(raw: "mne.io.BaseRaw") -> None:
    """Refuse a recording that does not fit into the free memory.

    Args:
        raw: The opened recording, not loaded.

    Raises:
        MemoryError: If it does not fit; names the needed and the free memory.
    """
    whole = 8 * len(raw.ch_names) * raw.n_times
    needed = _BLOCKS_BYTES if is_long(len(raw.ch_names), raw.n_times) else _COPIES * whole
    free = psutil.virtual_memory().available
    if needed > free:
        raise MemoryError(
            f"{len(raw.ch_names)} channels x {raw.n_times} samples need {needed / 2**30:.1f} GiB of memory, "
            f"{free / 2**30:.1f} GiB are free: cut the recording into parts, or use fewer processes"
        )
