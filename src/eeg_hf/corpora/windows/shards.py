# SPDX-License-Identifier: Apache-2.0
"""Write one subject's recordings to one Parquet shard, and their mean covariances beside it.

A shard appears under its name only once it is complete; its footer says what it was made from. Its bytes
depend neither on the clock nor on the number of workers: an interrupted preparation that is run again writes
the same.
"""

import errno
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
from threadpoolctl import ThreadpoolController

from .cutting import MeanCovariance, alignment_group, cut_or_report
from .encoding import ALIGNMENT_SCHEMA, window_schema
from .recording_report import RecordingReport
from .shard_job import ShardJob
from .whole_file import WholeFile


def write_shard(job: ShardJob) -> list[RecordingReport]:
    """Prepare one subject.

    A recording that cannot be read, cleaned or cut is reported with its reason and does not stop the others.
    If no recording gives a window, no shard is written.

    Returns:
        One report per recording.

    Raises:
        OSError: If the shard cannot be written (a full disk): no other recording could be written either.
    """
    job.data_path.parent.mkdir(parents=True, exist_ok=True)
    # glibc keeps twice the largest block that was ever freed, up to 32 MB. With less, the memory of each
    # recording goes back to the system and is cleared again for the next: 8 % of the time
    np.empty(2**25 - 2**16, np.uint8)
    try:
        # On a busy machine BLAS threads wait for each other over small matrices: 7 s where one takes 0.1 s
        with find_libraries().limit(limits=1):
            while True:
                reports, failed = _write(job)
                if failed is None:
                    if not any(report.is_ok for report in reports):
                        job.clear()  # what an earlier preparation left
                    return reports
                # Parquet cannot take rows back: start again without the recording that failed half-way
                job = replace(job, unreadable={**job.unreadable, failed.path: failed.reason or ""})
    except OSError as error:
        raise OSError(
            error.errno or errno.EIO,
            f"could not write {job.data_path}: {error.strerror or error}; the complete shards are kept, "
            "run again to continue",
        ) from None
    finally:
        job.marker_path.unlink(missing_ok=True)


@cache
def find_libraries() -> ThreadpoolController:
    """Find the libraries that compute in threads, once in a process: it takes 4 ms."""
    import scipy.signal  # noqa: F401  # loads the last of them

    return ThreadpoolController()


def _write(job: ShardJob) -> tuple[list[RecordingReport], RecordingReport | None]:
    """Write a shard; stop and return the report of a recording that fails after it has written rows."""
    reports: list[RecordingReport] = []
    covariances: dict[tuple[str, ...], MeanCovariance] = {}
    with WholeFile(job.data_path, window_schema(job.label_names)) as shard:
        for recording in job.recordings:
            job.marker_path.write_text(job.name_of(recording))  # for the parent, should this process die
            num_rows = shard.num_rows
            report, covariance = cut_or_report(job, recording, list(covariances), shard.write)
            if covariance is None and shard.num_rows > num_rows:
                shard.discard()
                return reports, report
            reports.append(report)
            if covariance is not None:
                empty = MeanCovariance(covariance.channels)
                covariances.setdefault(covariance.channels, empty).add(covariance)
        shard.flush()  # a full disk is met before the covariances are written
        fingerprint = job.fingerprint()
        shard.footer = {"fingerprint": fingerprint, "rows": [row.to_dict() for row in reports]}
        # Before the windows get their name: wherever a shard of windows is, its covariances are too
        _write_alignment(job, list(covariances.values()), fingerprint)
    return reports, None


def _write_alignment(job: ShardJob, covariances: Sequence[MeanCovariance], fingerprint: str) -> None:
    """Write one row per set of channels: the mean covariance of all windows recorded with it."""
    known = [covariance.channels for covariance in covariances]
    rows = [
        {
            "alignment_group": alignment_group(job, entry.channels, known),
            "channels": list(entry.channels),
            "num_windows": entry.num_windows,
            "covariance": np.asarray(entry.mean, np.float32).ravel(),
        }
        for entry in covariances
    ]
    job.alignment_path.parent.mkdir(parents=True, exist_ok=True)
    with WholeFile(job.alignment_path, ALIGNMENT_SCHEMA) as table:
        if rows:
            table.write(pa.Table.from_pylist(rows, ALIGNMENT_SCHEMA))
        table.footer = {"fingerprint": fingerprint}
