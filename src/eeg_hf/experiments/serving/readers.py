# SPDX-License-Identifier: Apache-2.0
"""The readers of a server: as many as may work at a time, lent to one recording each."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .metrics import Metrics
from .reading import Job, Reader


class Readers:
    """A few processes that read recordings.

    Args:
        count: How many.
        megabytes: Memory that a recording may take.
        metrics: Counts those that were started anew.
    """

    def __init__(self, count: int, megabytes: float, metrics: Metrics) -> None:
        self.all = [Reader(megabytes) for _ in range(count)]
        self.metrics = metrics
        self.free: asyncio.Queue[Reader] = asyncio.Queue()
        for reader in self.all:
            self.free.put_nowait(reader)
        self.threads = ThreadPoolExecutor(count, "reader")

    async def ask(self, job: Job, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """Let a free reader do a job; a request that gives up leaves the reader to its own limit."""
        reader = await self.free.get()
        running = asyncio.get_running_loop().run_in_executor(self.threads, self._ask, reader, job, seconds)
        running.add_done_callback(lambda done: self._give_back(reader, done))
        return await asyncio.shield(running)

    def _give_back(self, reader: Reader, done: "asyncio.Future[Any]") -> None:
        self.free.put_nowait(reader)
        if not done.cancelled():
            done.exception()  # read, for a request that has given up

    def _ask(self, reader: Reader, job: Job, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
        before = reader.restarts
        try:
            return reader.ask(job, seconds)
        finally:
            if before >= 0:
                self.metrics.restarts.inc(reader.restarts - before)

    def close(self) -> None:
        """End all processes."""
        for reader in self.all:
            reader.close()
        self.threads.shutdown(wait=False, cancel_futures=True)
