# SPDX-License-Identifier: Apache-2.0
"""Write the shards of a corpus on Ray Data, on a running cluster or on this machine.

All nodes must have eeg_hf installed and see the folders of recordings and output under the same path. Only
jobs and reports are sent; the windows are written by the node that makes them.

Ray repeats a task forever if its process dies. Each job therefore keeps a list of its deaths beside its
shard, and a recording that has killed two processes is reported and skipped; one death may be due to the
node.
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

_DEADLY = 2  # deaths after which a recording is skipped


def require_ray() -> None:
    """Raise an ImportError that names the extra if Ray Data is not installed."""
    try:
        import ray.data  # noqa: F401
    except ImportError:
        raise ImportError('preparing on Ray needs Ray Data: pip install "eeg-hf[ray]"') from None


def run_jobs_on_ray(jobs: Sequence[ShardJob], num_proc: int | None = None) -> Iterator[Finished]:
    """Write shards on Ray Data.

    Uses the cluster that this process is connected to, else that of `RAY_ADDRESS` or of a `ray start` on this
    machine, else a temporary one.

    Args:
        jobs: One for each subject.
        num_proc: Number of jobs at a time, each on one core; `None` for all cores of the cluster.

    Yields:
        Each job with its reports, in order of completion.

    Raises:
        OSError: If a shard cannot be written.
    """
    import ray.data
    from ray import cloudpickle

    if not jobs:
        return
    for job in jobs:  # left by an earlier run that was killed, which does not count as a death
        job.marker_path.unlink(missing_ok=True)
        _deaths_path(job).unlink(missing_ok=True)
    with cluster(num_proc):
        ray.data.DataContext.get_current().enable_progress_bars = False  # prepare shows its own
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
def cluster(num_proc: int | None = None) -> Iterator[None]:
    """Connect to Ray; end a cluster that was started here."""
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
    """Write one shard in a process of Ray, without the recordings that killed earlier ones."""
    from ray import cloudpickle

    job: ShardJob = cloudpickle.loads(row["job"])
    result: list[RecordingReport] | OSError
    try:
        result = write_shard(replace(job, unreadable={**job.unreadable, **_deadly(job)}))
        _deaths_path(job).unlink(missing_ok=True)
    except OSError as error:  # returned, so that it ends the preparation without the traceback of Ray
        result = error
    return {"index": row["index"], "result": cloudpickle.dumps(result)}


def _deadly(job: ShardJob) -> dict[str, str]:
    """Return which recordings to skip and why, after recording where the last attempt died."""
    marker, path = job.marker_path, _deaths_path(job)
    marker.parent.mkdir(parents=True, exist_ok=True)
    if marker.exists():  # write_shard removes it unless its process dies
        with path.open("a", encoding="utf-8") as deaths:
            deaths.write(marker.read_text() + "\n")
    marker.write_text("")  # a death before the first recording counts for all of them
    died_at = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    culprits = {name for name in died_at if died_at.count(name) >= _DEADLY}
    if "" in culprits:
        culprits = {job.name_of(recording) for recording in job.recordings}
    return dict.fromkeys(sorted(culprits), DEATH)


def _deaths_path(job: ShardJob) -> Path:
    """Return the path of a file with one line per death: the recording being prepared."""
    return job.data_path.with_name(f".{job.data_path.name}.deaths")
