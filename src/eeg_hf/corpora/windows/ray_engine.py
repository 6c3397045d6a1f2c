# SPDX-License-Identifier: Apache-2.0
"""Run the shards of a corpus on Ray Data: on a cluster that is there, or on this machine.

The recordings' folder and the output folder must be seen by all nodes under the same path, and eeg_hf be
installed on them. Only a job and its reports travel; the windows are written where they are made.

Ray repeats a task for ever whose process died. So each job keeps a list of its deaths beside its shard, and a
recording that killed twice is reported and left out: once may have been the node, or a neighbour's memory.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from .pool import DEATH, Finished
from .recording_report import RecordingReport
from .shard_job import ShardJob
from .shards import write_shard

_DEADLY = 2  # deaths


def run_jobs_on_ray(jobs: Sequence[ShardJob], num_proc: int | None = None) -> Iterator[Finished]:
    """Write shards on Ray Data.

    Uses the Ray that this process is connected to, else the one that `RAY_ADDRESS` or a `ray start` on this
    machine names, else starts one here for as long as it takes.

    Args:
        jobs: One for each subject.
        num_proc: How many run at one time, each on one core; `None` for as many as the cluster has cores.

    Yields:
        Each job with its reports, as it is finished.

    Raises:
        ImportError: If Ray is not installed.
        OSError: If a shard cannot be written.
    """
    try:
        import ray.data
        from ray import cloudpickle
    except ImportError:
        raise ImportError('preparing on Ray needs Ray Data: pip install "eeg_hf[ray]"') from None
    if not jobs:
        return
    for job in jobs:  # of an earlier run that was killed, which is no death
        job.marker_path.unlink(missing_ok=True)
        _deaths_path(job).unlink(missing_ok=True)
    with _cluster(num_proc):
        ray.data.DataContext.get_current().enable_progress_bars = False  # prepare has its own
        items = [{"index": index, "job": cloudpickle.dumps(job)} for index, job in enumerate(jobs)]
        finished = ray.data.from_items(items, override_num_blocks=len(items)).map(
            _attempt, num_cpus=1, compute=ray.data.TaskPoolStrategy(num_proc)
        )
        for row in finished.iter_rows():
            result = cloudpickle.loads(row["result"])
            if isinstance(result, OSError):
                raise result
            yield jobs[row["index"]], result


@contextmanager
def _cluster(num_proc: int | None) -> Iterator[None]:
    """Connect to Ray; what is started here ends here."""
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address="auto")
    except ConnectionError:
        ray.init(address="local", num_cpus=num_proc, include_dashboard=False)
    try:
        yield
    finally:
        ray.shutdown()


def _attempt(row: dict[str, Any]) -> dict[str, Any]:
    """Write one shard in a process of Ray's, without the recordings that killed earlier ones."""
    from ray import cloudpickle

    job: ShardJob = cloudpickle.loads(row["job"])
    result: list[RecordingReport] | OSError
    try:
        result = write_shard(replace(job, unreadable={**job.unreadable, **_deadly(job)}))
        _deaths_path(job).unlink(missing_ok=True)
    except OSError as error:  # ends the whole preparation, and says what the matter is without Ray's frames
        result = error
    return {"index": row["index"], "result": cloudpickle.dumps(result)}


def _deadly(job: ShardJob) -> dict[str, str]:
    """Return which recordings to leave out and why; note where the last attempt died, if there was one."""
    marker, path = job.marker_path, _deaths_path(job)
    marker.parent.mkdir(parents=True, exist_ok=True)
    if marker.exists():  # write_shard removes it, unless its process died
        with path.open("a", encoding="utf-8") as deaths:
            deaths.write(marker.read_text() + "\n")
    marker.write_text("")  # until the first recording: a death before that is nobody's fault, so everybody's
    died_at = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    culprits = {name for name in died_at if died_at.count(name) >= _DEADLY}
    if "" in culprits:
        culprits = {job.name_of(recording) for recording in job.recordings}
    return dict.fromkeys(sorted(culprits), DEATH)


def _deaths_path(job: ShardJob) -> Path:
    """Names the recording of each attempt that died, a line each."""
    return job.data_path.with_name(f".{job.data_path.name}.deaths")


__all__ = ["run_jobs_on_ray"]
