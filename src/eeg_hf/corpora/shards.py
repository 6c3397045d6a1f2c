# SPDX-License-Identifier: Apache-2.0
"""One subject's recordings to one Parquet shard, and the covariance of all his windows beside it.

A shard appears under its name only when it is whole, and says in its footer what it was made from. Nothing in
it depends on the clock or on the number of workers: an interrupted preparation that is started again writes
the same bytes.
"""

import contextlib
import errno
import hashlib
import json
import os
import uuid
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from ..channels import positions_from_raw
from ..preprocessing import FLAT_UV, mean_covariance
from .corpus import Corpus, Recording, annotated
from .encoding import ALIGNMENT_SCHEMA, encode_windows, window_schema

if TYPE_CHECKING:
    import mne

FORMAT_VERSION = 1
FOOTER_KEY = b"eeg_hf"
_ROWS_AT_ONCE = (
    256  # 256 windows of 20 x 2000 samples are 20 MB encoded: what a row group and a reader's buffer hold
)
_NOT_IN_WINDOWS = (
    "normalization",
    "clip",
    "alignment",
)  # applied when windows are read, not when they are cut


class Extractor(Protocol):
    """What preparation needs of a feature extractor."""

    sampling_rate: float
    window_seconds: float | None

    def preprocess(self, raw: "mne.io.BaseRaw") -> tuple["mne.io.BaseRaw", Any]:
        """Clean a recording; return it with a report that has `to_dict()`."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return the settings."""
        ...

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> Any:
        """Write the settings to a folder."""
        ...


@dataclass(frozen=True)
class WindowPlan:
    """Which stretches of a recording become windows.

    Attributes:
        segments: `"fixed"`, one after another, or `"events"`, one at each event.
        window_seconds: Length.
        stride_seconds: From start to start, for `"fixed"`.
        tmin: From the event to the start, for `"events"`.
    """

    segments: Literal["fixed", "events"]
    window_seconds: float
    stride_seconds: float
    tmin: float = 0.0

    def __post_init__(self) -> None:
        if self.segments not in ("fixed", "events"):
            raise ValueError(f"segments must be 'fixed' or 'events', got {self.segments!r}")
        if self.window_seconds <= 0 or self.stride_seconds <= 0:
            raise ValueError(
                f"window and stride must exceed 0 s, got {self.window_seconds} and {self.stride_seconds}"
            )

    def starts(
        self,
        num_samples: int,
        sampling_rate: float,
        events: Sequence[tuple[float, float, str]] = (),
        bad_spans: Sequence[tuple[float, float]] = (),
    ) -> tuple[np.ndarray, list[str | None], dict[str, int]]:
        """Choose the windows of one recording.

        Args:
            num_samples: Length of the recording.
            sampling_rate: In Hz.
            events: (onset s, duration s, name), for `"events"`.
            bad_spans: (start s, end s) that no window may overlap; a span of no length is an edge that none
                may cross.

        Returns:
            First sample of each window, the event of each window, and how many were dropped: `outside` the
            recording, or overlapping what is `annotated` as bad.
        """
        length = round(self.window_seconds * sampling_rate)
        names: list[str | None]
        if self.segments == "fixed":
            starts = np.arange(
                0, num_samples - length + 1, max(1, round(self.stride_seconds * sampling_rate))
            )
            names = [None] * len(starts)
        else:
            starts = np.array(
                [round((onset + self.tmin) * sampling_rate) for onset, _, _ in events], dtype=np.int64
            )
            names = [name for _, _, name in events]
        is_inside = (starts >= 0) & (starts + length <= num_samples)
        is_bad = np.zeros(len(starts), dtype=bool)
        for begin, end in bad_spans:
            is_bad |= (starts < end * sampling_rate) & (begin * sampling_rate < starts + length)
        keep = is_inside & ~is_bad
        dropped = {"outside": int((~is_inside).sum()), "annotated": int((is_inside & is_bad).sum())}
        return starts[keep], [name for name, is_kept in zip(names, keep, strict=True) if is_kept], dropped


@dataclass(frozen=True)
class ShardJob:
    """All that is needed to write one subject's shard, in this process or in another.

    Attributes:
        corpus: How to read the recordings.
        root: Folder that recordings are named relative to.
        output_dir: Folder of the prepared corpus.
        subject: Whose shard it is.
        recordings: All of his recordings, in order.
        extractor: How to clean them.
        plan: How to cut them.
        unreadable: Names of recordings not to try -> why.
    """

    corpus: Corpus
    root: Path
    output_dir: Path
    subject: str
    recordings: tuple[Recording, ...]
    extractor: Extractor
    plan: WindowPlan
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def data_path(self) -> Path:
        """Where the windows go."""
        return self.output_dir / "data" / f"{self.corpus.name}-{self.subject}.parquet"

    @property
    def alignment_path(self) -> Path:
        """Where the covariance goes."""
        return self.output_dir / "alignment" / self.data_path.name

    @property
    def marker_path(self) -> Path:
        """Names the recording being prepared, so that it is known if the process dies of it."""
        return self.data_path.with_name(f".{self.data_path.name}.current")

    def name_of(self, recording: Recording) -> str:
        """Return a recording's path below the corpus's folder."""
        path = recording.path
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()

    def fingerprint(self) -> str:
        """Digest all that the shard's bytes depend on; of the samples, their files' sizes and times."""
        made_of = {
            "format": FORMAT_VERSION,
            "corpus": self.corpus.name,
            "licence": self.corpus.licence,
            "labels": {name: kind.__name__ for name, kind in self.corpus.label_names.items()},
            "extractor": {k: v for k, v in self.extractor.to_dict().items() if k not in _NOT_IN_WINDOWS},
            "plan": asdict(self.plan),
            "recordings": [
                (self.name_of(r), r.session, r.run, r.task, dict(r.labels), _provenance(self.corpus, r))
                for r in self.recordings
            ],
        }
        return hashlib.sha256(json.dumps(made_of, sort_keys=True, default=str).encode()).hexdigest()

    def current_reports(self) -> list[dict[str, Any]] | None:
        """Return the reports of the shard that is there; `None` if none is, of these files and settings."""
        fingerprint = self.fingerprint()
        footers = [_read_footer(path) for path in (self.data_path, self.alignment_path)]
        if any(footer is None or footer["fingerprint"] != fingerprint for footer in footers):
            return None
        reports: list[dict[str, Any]] = (footers[0] or {})["rows"]
        return reports

    def clear(self) -> None:
        """Remove what an earlier preparation left of this shard."""
        self.data_path.unlink(missing_ok=True)
        self.alignment_path.unlink(missing_ok=True)


@dataclass
class _Cut:
    """What one recording gave: its rows, what is reported of it, and its part of the covariance."""

    report: dict[str, Any]
    tables: list[pa.Table] = field(default_factory=list)
    channels: tuple[str, ...] = ()
    covariance: np.ndarray | None = None


def write_shard(job: ShardJob) -> list[dict[str, Any]]:
    """Prepare one subject: write his windows, then nothing but whole files is left.

    A recording that cannot be read, cleaned or cut is reported with its reason and does not stop the others.
    No shard is written if none gives a window.

    Returns:
        One report a recording.

    Raises:
        OSError: If the shard cannot be written (a full disk), which no other recording would survive either.
    """
    reports: list[dict[str, Any]] = []
    groups: dict[tuple[str, ...], tuple[str, int, np.ndarray]] = {}
    job.data_path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # On a busy machine BLAS threads wait for each other over small matrices: 7 s where one takes 0.1 s.
        with threadpool_limits(1), _WholeFile(job.data_path, window_schema(job.corpus.label_names)) as shard:
            for recording in job.recordings:
                job.marker_path.write_text(job.name_of(recording))
                cut = _cut_or_report(job, recording, list(groups))
                reports.append(cut.report)
                for table in cut.tables:
                    shard.write(table)
                if cut.covariance is not None:
                    number = cut.report["num_windows"]
                    group, total, mean = groups.get(
                        cut.channels, (_group(job, cut.channels, list(groups)), 0, 0.0)
                    )
                    mean = mean + (cut.covariance - mean) * (number / (total + number))
                    groups[cut.channels] = (group, total + number, mean)
            shard.footer = {"fingerprint": job.fingerprint(), "rows": reports}
            # Before the windows get their name: where they are, the covariance is.
            _write_alignment(job, groups)
    except OSError as error:
        raise OSError(
            error.errno or errno.EIO,
            f"could not write {job.data_path}: {error.strerror or error}; the whole shards are kept, "
            "run again to go on",
        ) from None
    finally:
        job.marker_path.unlink(missing_ok=True)
    return reports


def _cut_or_report(job: ShardJob, recording: Recording, known: Sequence[tuple[str, ...]]) -> _Cut:
    """Cut one recording; where that fails, report why."""
    report: dict[str, Any] = {
        "path": job.name_of(recording),
        "subject": recording.subject,
        "session": recording.session,
        "run": recording.run,
        "task": recording.task,
        "status": "failed",
        "reason": job.unreadable.get(job.name_of(recording)),
        "seconds": None,
        "num_windows": 0,
        "dropped": {},
        "decisions": None,
        "warnings": [],
    }
    if report["reason"] is not None:
        return _Cut(report)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", RuntimeWarning)
        warnings.simplefilter("always", UserWarning)
        try:
            cut = _cut(job, recording, known, report)
        except (
            Exception
        ) as error:  # whatever a damaged file provokes in a reader, the other files must not suffer
            report["reason"] = _one_line(error)
            cut = _Cut(report)
    report["warnings"] = sorted({_one_line(warning.message) for warning in caught})
    return cut


def _cut(
    job: ShardJob, recording: Recording, known: Sequence[tuple[str, ...]], report: dict[str, Any]
) -> _Cut:
    """Read, clean and cut one recording, filling in its report."""
    raw = job.corpus.read(recording)
    report["seconds"] = float(raw.n_times / raw.info["sfreq"])
    clean, decisions = job.extractor.preprocess(raw)
    report["decisions"] = decisions.to_dict()
    rate = float(clean.info["sfreq"])
    bad_spans = [
        (on, on + dur) for on, dur, mark in annotated(clean) if mark.lower().startswith(("bad", "edge"))
    ]
    events = job.corpus.events(recording, clean) if job.plan.segments == "events" else ()
    starts, names, report["dropped"] = job.plan.starts(clean.n_times, rate, events, bad_spans)
    windows, is_flat = _samples(clean, starts, round(job.plan.window_seconds * rate))
    report["dropped"]["flat"] = int(is_flat.sum())
    kept = np.flatnonzero(~is_flat)
    if not len(kept):
        raise ValueError(_why_no_window(job.plan, report, len(events)))
    channels = tuple(clean.ch_names)
    reference = str(report["decisions"].get("reference", "average"))
    tables = [
        encode_windows(
            windows[rows],
            starts=(starts[rows] / rate).tolist(),
            events=[names[row] for row in rows],
            corpus=job.corpus,
            recording=recording,
            recording_name=report["path"],
            channels=channels,
            bad_channels=clean.info["bads"],
            channel_positions=positions_from_raw(clean),
            sampling_rate=rate,
            reference=job.corpus.reference if reference == "original" else reference,
            alignment_group=_group(job, channels, known),
        )
        for rows in np.split(kept, range(_ROWS_AT_ONCE, len(kept), _ROWS_AT_ONCE))
    ]
    report.update(status="ok", num_windows=len(kept))
    return _Cut(report, tables, channels, mean_covariance(windows[kept]))


def _samples(clean: "mne.io.BaseRaw", starts: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (windows, channels, time) float32 in uV, bad channels zero, and which windows are flat."""
    signal = (clean.get_data() * 1e6).astype(np.float32)  # (channels, time); MNE's volts end here
    is_good = np.array([name not in clean.info["bads"] for name in clean.ch_names])
    signal[~is_good] = 0.0
    finite = np.isfinite(signal).all(axis=1)
    if not finite.all():
        spoilt = [name for name, is_finite in zip(clean.ch_names, finite, strict=True) if not is_finite]
        raise ValueError(f"samples that are not finite remain after cleaning, in {', '.join(spoilt)}")
    if len(starts) == 0:
        return np.zeros((0, len(signal), length), np.float32), np.zeros(0, dtype=bool)
    views = np.lib.stride_tricks.sliding_window_view(
        signal, length, axis=1
    )  # (channels, time - length + 1, length)
    windows = np.ascontiguousarray(views[:, starts].transpose(1, 0, 2))
    return windows, (windows[:, is_good].std(axis=-1) < FLAT_UV).all(axis=1)


def _why_no_window(plan: WindowPlan, report: Mapping[str, Any], num_events: int) -> str:
    """Say why a recording gave no window."""
    dropped = {why: number for why, number in report["dropped"].items() if number}
    if plan.segments == "events" and num_events == 0:
        return "no event in this recording: use segments='fixed'"
    if not dropped:
        return f"its {report['seconds']:.1f} s are less than one window of {plan.window_seconds:g} s"
    return "no window left: dropped " + ", ".join(f"{number} {why}" for why, number in dropped.items())


def _group(job: ShardJob, channels: tuple[str, ...], known: Sequence[tuple[str, ...]]) -> str:
    """Name the rows that share a covariance: the subject, and his channels where there are several sets."""
    group = f"{job.corpus.name}/{job.subject}"
    if not known or channels == known[0]:
        return group
    return f"{group}@{hashlib.sha256(','.join(channels).encode()).hexdigest()[:8]}"


def _write_alignment(job: ShardJob, groups: Mapping[tuple[str, ...], tuple[str, int, np.ndarray]]) -> None:
    """Write one row for each set of channels: the mean covariance of all windows recorded with it."""
    rows = [
        {
            "alignment_group": group,
            "channels": list(channels),
            "num_windows": number,
            "covariance": mean.astype(np.float32).ravel(),
        }
        for channels, (group, number, mean) in groups.items()
    ]
    job.alignment_path.parent.mkdir(parents=True, exist_ok=True)
    with _WholeFile(job.alignment_path, ALIGNMENT_SCHEMA) as table:
        if rows:
            table.write(pa.Table.from_pylist(rows, ALIGNMENT_SCHEMA))
        table.footer = {"fingerprint": job.fingerprint()}


class _WholeFile:
    """A Parquet file that gets its name when it is complete and on the disk; without rows it is none."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.footer: dict[str, Any] = {}
        for leftover in path.parent.glob(f".{path.name}.*.partial"):  # of a process that was killed
            leftover.unlink(missing_ok=True)
        # Never the same name twice: an orphaned worker may still be writing to the last one.
        self._partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
        self._file = self._partial.open("wb")
        dictionaries = [
            field.name
            for field in schema
            if field.name not in ("signal", "scale", "signal_hash", "window_id")
        ]
        self._writer = pq.ParquetWriter(self._file, schema, use_dictionary=dictionaries)
        self._num_rows = 0

    def write(self, table: pa.Table) -> None:
        """Append rows as one row group."""
        self._writer.write_table(table)
        self._num_rows += len(table)

    def __enter__(self) -> "_WholeFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None or self._num_rows == 0:
                with contextlib.suppress(OSError):  # a writer left open would try again when it is collected
                    self._writer.close()
            else:
                self._writer.add_key_value_metadata(
                    {FOOTER_KEY: json.dumps(self.footer, default=str).encode()}
                )
                self._writer.close()
                self._file.flush()
                os.fsync(self._file.fileno())
                self._partial.replace(self.path)
        finally:
            self._file.close()
            self._partial.unlink(missing_ok=True)


def _read_footer(path: Path) -> dict[str, Any] | None:
    """Return what a shard says it was made from; None where there is no whole one."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
        footer: dict[str, Any] = json.loads(metadata[FOOTER_KEY])
    except (OSError, KeyError, pa.ArrowException, json.JSONDecodeError):
        return None
    return footer


def _provenance(corpus: Corpus, recording: Recording) -> dict[str, Any]:
    try:
        return dict(corpus.provenance(recording))
    except OSError as error:  # gone since it was listed: reading it will report that
        return {"error": str(error)}


def _one_line(error: object) -> str:
    """Put an error or a warning into one line of readable length."""
    text = " ".join(str(error).split())
    name = (
        ""
        if isinstance(error, ValueError) or not isinstance(error, Exception)
        else f"{type(error).__name__}: "
    )
    return f"{name}{text or 'no message'}"[:400]


__all__ = ["FORMAT_VERSION", "Extractor", "ShardJob", "WindowPlan", "write_shard"]
