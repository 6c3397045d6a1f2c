# SPDX-License-Identifier: Apache-2.0
"""Takes samples from a source as they come, so that a slow model or consumer does not hold up the source."""

import queue
import threading
import time
from collections.abc import Iterator

from .sources import Piece, Source, SourceLostError


class SourceReader:
    """A thread that reads a source into a queue of bounded length.

    Args:
        source: The source.
        queue_seconds: Samples that wait at most; further ones of a live source are dropped and counted.
        wait_seconds: How long a source that stopped is waited for.

    Attributes:
        dropped_samples: Samples that nobody took in time.
        interruptions: How often the source stopped and came back.
    """

    def __init__(self, source: Source, queue_seconds: float, wait_seconds: float) -> None:
        self.source, self._wait_seconds = source, wait_seconds
        self.dropped_samples = self.interruptions = 0
        self._most = queue_seconds * source.sampling_rate
        self._waiting = 0  # samples in the queue
        self._lost = 0  # samples that the next piece lacks before it
        self._has_returned = False  # and the next piece is the first since
        self._pieces: queue.SimpleQueue[Piece | Exception | None] = queue.SimpleQueue()
        self._room = threading.Condition()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Piece]:
        """Yield pieces until the source ends.

        Raises:
            Exception: What reading the source raised.
        """
        while True:
            try:
                piece = self._pieces.get(timeout=0.5)  # so that an interrupt is noticed
            except queue.Empty:
                continue
            if piece is None:
                return
            if isinstance(piece, Exception):
                raise piece
            with self._room:
                self._waiting -= piece.samples.shape[1]
                self._room.notify()
            yield piece

    def close(self) -> None:
        """Stop reading and give up the source."""
        self._is_over.set()
        with self._room:
            self._room.notify()
        self._thread.join(timeout=10.0)
        self.source.close()

    def _run(self) -> None:
        try:
            while not self._is_over.is_set():
                try:
                    piece = self.source.read()
                except SourceLostError as error:
                    self._reopen(error)
                    continue
                if piece is None:
                    break
                self._put(piece)
            self._pieces.put(None)
        except Exception as error:  # the main thread reports it
            self._pieces.put(error)

    def _reopen(self, error: SourceLostError) -> None:
        """Wait for the source to come back; end if it does not."""
        until = time.monotonic() + self._wait_seconds
        while not self._is_over.is_set():
            if self.source.reopen():
                self.interruptions += 1
                self._has_returned = True
                return
            if time.monotonic() > until:
                raise ValueError(f"{error} and was not back within {self._wait_seconds:g} s") from None

    def _put(self, piece: Piece) -> None:
        count = piece.samples.shape[1]
        with self._room:
            if self.source.is_live and self._waiting + count > max(self._most, count):
                self.dropped_samples += count
                self._lost += count + piece.lost
                return
            while self._waiting > self._most and not self._is_over.is_set():
                self._room.wait(0.5)
            self._waiting += count
        piece.lost += self._lost
        piece.is_return |= self._has_returned
        self._lost, self._has_returned = 0, False
        self._pieces.put(piece)


__all__ = ["SourceReader"]
