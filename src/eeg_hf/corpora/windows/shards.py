# SPDX-License-Identifier: Apache-2.0
"""One subject's recordings to one Parquet shard, and the covariance of all his windows beside it.

A shard appears under its name only when it is whole, and says in its footer what it was made from. Nothing in
it depends on the clock or on the number of workers: an interrupted preparation that is started again writes
the same bytes.
"""

import errno
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from .cutting import MeanCovariance, alignment_group, cut_or_report
from .encoding import ALIGNMENT_SCHEMA, window_schema
from .shard_job import FORMAT_VERSION, Extractor, ShardJob
from .whole_file import WholeFile


def write_shard(job: ShardJob) -> list[dict[str, Any]]:
    """Prepare one subject: write his windows, then nothing but whole files is left.

    A recording that cannot be read, cleaned or cut is reported with its reason and does not stop the others.
    No shard is written if none gives a window.

    Returns:
        One report a recording.

    Raises:
        OSError: If the shard cannot be written (a full disk), which no other recording would survive either.
    """
    job.data_path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # On a busy machine BLAS threads wait for each other over small matrices: 7 s where one takes 0.1 s.
        with threadpool_limits(1):
            while True:
                reports, half_written = _write(job)
                if half_written is None:
                    return reports
                job = replace(job, unreadable={**job.unreadable, **half_written})
    except OSError as error:
        raise OSError(
            error.errno or errno.EIO,
            f"could not write {job.data_path}: {error.strerror or error}; the whole shards are kept, "
            "run again to go on",
        ) from None
    finally:
        job.marker_path.unlink(missing_ok=True)


def _write(job: ShardJob) -> tuple[list[dict[str, Any]], dict[str, str] | None]:
    """Write a shard; stop where a recording fails that has already given rows, and say which and why."""
    reports: list[dict[str, Any]] = []
    covariances: dict[tuple[str, ...], MeanCovariance] = {}
    with WholeFile(job.data_path, window_schema(job.label_names)) as shard:
        for recording in job.recordings:
            job.marker_path.write_text(job.name_of(recording))
            num_rows = shard.num_rows
            report, covariance = cut_or_report(job, recording, list(covariances), shard.write)
            if covariance is None and shard.num_rows > num_rows:
                shard.discard()
                return reports, {report["path"]: report["reason"]}
            reports.append(report)
            if covariance is not None:
                covariances.setdefault(covariance.channels, MeanCovariance(covariance.channels)).add(
                    covariance
                )
        shard.footer = {"fingerprint": job.fingerprint(), "rows": reports}
        # Before the windows get their name: where they are, the covariance is.
        _write_alignment(job, list(covariances.values()))
    return reports, None


def _write_alignment(job: ShardJob, covariances: Sequence[MeanCovariance]) -> None:
    """Write one row for each set of channels: the mean covariance of all windows recorded with it."""
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
        table.footer = {"fingerprint": job.fingerprint()}


__all__ = ["FORMAT_VERSION", "Extractor", "ShardJob", "write_shard"]
