# SPDX-License-Identifier: Apache-2.0
"""Write the shards of a corpus in several processes, and survive the death of one of them.

A reader that crashes or never ends, or a recording larger than the memory, kills its process and with it
Python's whole pool. The jobs that were running are then repeated one at a time: a recording that kills its
process again is reported as failed and skipped.
"""

import multiprocessing
import multiprocessing.connection
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from .recording_report import RecordingReport
from .shard_job import ShardJob
from .shards import write_shard

DEATH = "the process preparing it died: out of memory, out of time, killed, or a crash in the reader"

Finished = tuple[ShardJob, list[RecordingReport]]


def run_jobs(jobs: Sequence[ShardJob], num_proc: int) -> Iterator[Finished]:
    """Write shards, in this process or in several.

    Args:
        jobs: One for each subject.
        num_proc: Number of processes; 1 uses this process, which a crash then ends.

    Yields:
        Each job with its reports, in order of completion.

    Raises:
        OSError: If a shard cannot be written.
    """
    if num_proc == 1:
        for job in jobs:
            yield job, write_shard(job)
        return
    waiting = deque(jobs)
    while waiting:
        running: dict[Future[list[RecordingReport]], ShardJob] = {}
        with _pool(min(num_proc, len(waiting))) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < num_proc:  # no more, so that a death has few suspects
                        running[pool.submit(write_shard, replace(waiting[0], may_exit=True))] = waiting[0]
                        waiting.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        reports = future.result()
                        yield running.pop(future), reports
            except BrokenProcessPool:
                pass
        for job in running.values():  # the suspects, one at a time
            yield job, _run_alone(job)


def _run_alone(job: ShardJob) -> list[RecordingReport]:
    """Write one shard in its own process, skipping each recording that kills it."""
    while True:
        job.marker_path.unlink(missing_ok=True)
        with _pool(1) as pool:
            try:
                return pool.submit(write_shard, replace(job, may_exit=True)).result()
            except BrokenProcessPool:
                marked = job.marker_path.read_text() if job.marker_path.exists() else ""
        names = [job.name_of(recording) for recording in job.recordings]
        # Died before the first recording, or twice at the same: skip them all
        culprits = [marked] if marked in names and marked not in job.unreadable else names
        job = replace(job, unreadable={**job.unreadable, **dict.fromkeys(culprits, DEATH)})


def _pool(num_proc: int) -> ProcessPoolExecutor:
    """Open a pool of processes that are not forked from this one, since threads do not survive a fork."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        context: multiprocessing.context.BaseContext = multiprocessing.get_context("spawn")
    else:
        context = multiprocessing.get_context("forkserver")
        # Imported once instead of once per process: torch alone takes two seconds
        context.set_forkserver_preload(["__main__", "eeg_hf.corpora.windows.preloaded"])
    return ProcessPoolExecutor(num_proc, mp_context=context, initializer=_follow_parent)


def _follow_parent() -> None:
    """End this process when its parent ends, which a SIGKILL of the parent alone would not do."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
