# SPDX-License-Identifier: Apache-2.0
"""One recording to windows: read, cleaned, cut, encoded; or the reason why not.

Windows are encoded a block at a time and handed on, so that overlapping windows of a long night cost no more
memory than its signal.
"""

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mne
import numpy as np
import pyarrow as pa

from ...processing.channels import positions_from_raw
from ...processing.preprocessing import FLAT_UV, mean_covariance
from ..corpus import Event, Recording, annotated
from ..recordings.recording_files import legible
from .encoding import encode_windows
from .limits import refuse_too_large, time_limit
from .shard_job import ShardJob
from .whole_file import WriteError
from .window_plan import Cuts, WindowPlan

_LARGEST_UV = 1e18  # squares of more than that are not finite in float32, in which covariances are stored
# Whitened samples have order 1 and no unit: times this, averages of many are not too small for EEG in uV
_WHITENED_SCALE = 10.0
_ROWS_AT_ONCE = 256  # of 20 x 2000 samples are 20 MB: what a row group and a reader's buffer hold


@dataclass
class MeanCovariance:
    """The mean covariance (channels, channels) in uV^2 of some windows of one set of channels."""

    channels: tuple[str, ...]
    num_windows: int = 0
    mean: np.ndarray | float = 0.0

    def add(self, other: "MeanCovariance") -> None:
        """Take windows in."""
        if other.num_windows:
            self.num_windows += other.num_windows
            self.mean = self.mean + (other.mean - self.mean) * (other.num_windows / self.num_windows)


@dataclass
class _Cleaned:
    """A recording ready to be cut: samples (channels, time) float32 in uV, bad channels zero."""

    signal: np.ndarray
    is_good: np.ndarray
    info: mne.Info
    positions: np.ndarray
    length: int
    cuts: Cuts
    event_names: Sequence[str]


def cut_or_report(
    job: ShardJob,
    recording: Recording,
    known: Sequence[tuple[str, ...]],
    write: Callable[[pa.Table], None],
) -> tuple[dict[str, Any], MeanCovariance | None]:
    """Cut one recording; where that fails, report why.

    Args:
        job: How.
        recording: What.
        known: Sets of channels that this subject's earlier recordings had.
        write: Takes the rows, some at a time.

    Returns:
        The report, and the covariance of the windows; `None` where there are none.
    """
    name = job.name_of(recording)
    report: dict[str, Any] = {
        "path": name,
        "subject": recording.subject,
        "session": recording.session,
        "run": recording.run,
        "task": recording.task,
        "status": "failed",
        "reason": job.unreadable.get(name),
        "seconds": None,
        "num_windows": 0,
        "dropped": {},
        "events_named": [],
        "decisions": None,
        "warnings": [],
    }
    if report["reason"] is not None:
        return report, None
    covariance = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", RuntimeWarning)
        warnings.simplefilter("always", UserWarning)
        try:
            with time_limit(job.timeout_seconds, job.may_exit):
                covariance = _cut(job, recording, known, write, report)
        except WriteError:
            raise
        except Exception as error:  # whatever a damaged file provokes, the other files must not suffer
            report["reason"] = _one_line(error)
    report["warnings"] = sorted({_one_line(warning.message) for warning in caught})
    return report, covariance


def _cut(
    job: ShardJob,
    recording: Recording,
    known: Sequence[tuple[str, ...]],
    write: Callable[[pa.Table], None],
    report: dict[str, Any],
) -> MeanCovariance:
    """Read, clean and cut one recording, filling in its report."""
    raw = job.corpus.read(recording)
    is_epoched = isinstance(raw, mne.BaseEpochs)
    if is_epoched:
        _check_epochs(job, raw)
    else:
        refuse_too_large(raw)
    cleaned = (
        _clean_epochs(job, recording, raw, report) if is_epoched else _clean(job, recording, raw, report)
    )
    channels = tuple(cleaned.info["ch_names"])
    total = MeanCovariance(channels)
    dropped = Counter(cleaned.cuts.dropped)
    for windows, rows in _blocks(cleaned, job.plan.reject_uv, dropped):
        write(_encode(job, recording, report, cleaned, windows, rows, alignment_group(job, channels, known)))
        total.add(MeanCovariance(channels, len(windows), mean_covariance(windows)))
    report["dropped"] = {why: number for why, number in dropped.items() if number}
    if not total.num_windows:
        raise ValueError(_why_no_window(job.plan, report, cleaned.event_names))
    report.update(status="ok", num_windows=total.num_windows)
    return total


def _clean(job: ShardJob, recording: Recording, raw: "mne.io.BaseRaw", report: dict[str, Any]) -> _Cleaned:
    """Clean a continuous recording and decide where its windows lie."""
    report["seconds"] = float(raw.n_times / raw.info["sfreq"])
    clean, decisions = job.extractor.preprocess(raw)
    report["decisions"] = decisions.to_dict()
    rate = float(clean.info["sfreq"])
    spans = [
        (mark.onset, mark.onset + mark.duration)
        for mark in annotated(clean)
        if mark.name.lower().startswith(("bad", "edge"))
    ]
    events = _events(job, recording, clean, report)
    cuts = job.plan.cut(clean.n_times, rate, events, spans)
    return _cleaned(clean, round(job.plan.window_seconds * rate), cuts, [event.name for event in events])


def _clean_epochs(
    job: ShardJob, recording: Recording, epochs: "mne.BaseEpochs", report: dict[str, Any]
) -> _Cleaned:
    """Choose and name the channels of what was published as epochs; each epoch becomes a window."""
    events = _events(job, recording, epochs, report)
    if len(events) != len(epochs):
        raise ValueError(f"{len(epochs)} epochs with {len(events)} labels: expected one label an epoch")
    data = epochs.get_data(copy=False)  # (epochs, channels, time) in V
    length = data.shape[-1]
    scale = _WHITENED_SCALE if job.corpus.is_whitened else 1.0
    joined = mne.io.RawArray(scale * np.concatenate(data, axis=-1), epochs.info, copy="auto", verbose="ERROR")
    report["seconds"] = float(joined.n_times / joined.info["sfreq"])
    clean, decisions = job.extractor.preprocess(joined)
    if scale != 1.0:
        clean.apply_function(lambda samples: samples / scale, picks="all", channel_wise=False)
        decisions.amplitude_uv /= scale
    report["decisions"] = decisions.to_dict()
    cuts = Cuts(np.arange(len(epochs), dtype=np.int64) * length, list(events), {})
    return _cleaned(clean, length, cuts, [event.name for event in events])


def _check_epochs(job: ShardJob, epochs: "mne.BaseEpochs") -> None:
    """Refuse to filter, resample or cut what was already cut: the edges would fill the epochs."""
    settings = job.extractor.to_dict()
    active = [name for name in ("highpass_hz", "lowpass_hz", "notch_hz") if settings.get(name) is not None]
    rate, seconds = float(epochs.info["sfreq"]), len(epochs.times) / float(epochs.info["sfreq"])
    if active:
        raise ValueError(
            f"published as epochs, which must not be filtered again: set {', '.join(active)} to none"
        )
    if job.extractor.sampling_rate != rate:
        raise ValueError(
            f"published as epochs at {rate:g} Hz, which must not be resampled: set sampling_rate to "
            f"{rate:g}, not {job.extractor.sampling_rate:g}"
        )
    if job.plan.segments != "events" or round(job.plan.window_seconds * rate) != len(epochs.times):
        raise ValueError(
            f"published as epochs of {seconds:g} s: set segments to events and window_seconds to {seconds:g}"
        )


def _events(
    job: ShardJob,
    recording: Recording,
    raw: "mne.io.BaseRaw | mne.BaseEpochs",
    report: dict[str, Any],
) -> Sequence[Event]:
    """List what decides where windows lie: the user's table, else what the corpus says."""
    if not job.plan.by_event:
        return ()
    if job.label_table is not None:
        events: Sequence[Event] = job.label_table.events_of(job.name_of(recording))
    else:
        events = job.corpus.events(recording, raw)
    report["events_named"] = job.plan.named(events)
    return events


def _cleaned(clean: "mne.io.BaseRaw", length: int, cuts: Cuts, event_names: Sequence[str]) -> _Cleaned:
    """Take the samples out of a cleaned recording; MNE's volts end here."""
    is_good = np.array([name not in clean.info["bads"] for name in clean.ch_names])
    signal = (clean.get_data() * 1e6).astype(np.float32)  # (channels, time)
    signal[~is_good] = 0.0
    peak = np.maximum(signal.max(axis=1), -signal.min(axis=1))
    finite = peak < _LARGEST_UV  # not so of NaN
    if not finite.all():
        spoilt = [name for name, is_finite in zip(clean.ch_names, finite, strict=True) if not is_finite]
        raise ValueError(f"samples that are not finite remain after cleaning, in {', '.join(spoilt)}")
    positions = positions_from_raw(clean, prefer="file")  # where cleaning placed them, by the user's word too
    return _Cleaned(signal, is_good, clean.info, positions, length, cuts, event_names)


def _blocks(
    cleaned: _Cleaned, reject_uv: float | None, dropped: Counter[str]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the windows (windows, channels, time) worth keeping and their indices among the cuts."""
    starts = cleaned.cuts.starts
    for first in range(0, len(starts), _ROWS_AT_ONCE):
        rows = np.arange(first, min(first + _ROWS_AT_ONCE, len(starts)))
        windows = np.stack([cleaned.signal[:, start : start + cleaned.length] for start in starts[rows]])
        good = windows[:, cleaned.is_good]
        is_flat = (good.std(axis=-1) < FLAT_UV).all(axis=1)
        is_high = np.zeros(len(rows), dtype=bool)
        if reject_uv is not None:
            is_high = ~is_flat & (np.abs(good).max(axis=(1, 2)) > reject_uv)
        dropped.update(flat=int(is_flat.sum()), high=int(is_high.sum()))
        keep = ~is_flat & ~is_high
        if keep.any():
            yield windows[keep], rows[keep]


def _encode(
    job: ShardJob,
    recording: Recording,
    report: Mapping[str, Any],
    cleaned: _Cleaned,
    windows: np.ndarray,
    rows: np.ndarray,
    group: str,
) -> pa.Table:
    """Turn windows into rows with their provenance."""
    rate = float(cleaned.info["sfreq"])
    reference = str(report["decisions"].get("reference", "average"))
    return encode_windows(
        windows,
        starts=(cleaned.cuts.starts[rows] / rate).tolist(),
        events=[cleaned.cuts.events[row] for row in rows],
        corpus=job.corpus,
        recording=recording,
        recording_name=report["path"],
        label_names=job.label_names,
        channels=cleaned.info["ch_names"],
        bad_channels=cleaned.info["bads"],
        channel_positions=cleaned.positions,
        sampling_rate=rate,
        reference=job.corpus.reference_of(recording) if reference == "original" else reference,
        alignment_group=group,
        decisions=report["decisions"],
    )


def _why_no_window(plan: WindowPlan, report: Mapping[str, Any], event_names: Sequence[str]) -> str:
    """Say why a recording gave no window."""
    if plan.by_event and not event_names:
        return "no event in this recording: use segments='fixed'"
    if not report["dropped"]:
        return f"its {report['seconds']:.1f} s are less than one window of {plan.window_seconds:g} s"
    if not any(map(plan.takes, event_names)) and plan.by_event:
        there = [repr(name) for name, _ in Counter(event_names).most_common(10)]
        return f"event_labels names none of its events, which are {', '.join(there)}"
    shown = ", ".join(f"{number} {why}" for why, number in report["dropped"].items())
    return f"no window left: dropped {shown}"


def alignment_group(job: ShardJob, channels: tuple[str, ...], known: Sequence[tuple[str, ...]]) -> str:
    """Name the rows that share a covariance: the subject, and his channels where there are several sets."""
    group = f"{job.corpus.name}/{job.subject}"
    if not known or channels == known[0]:
        return group
    return f"{group}@{hashlib.sha256(','.join(channels).encode()).hexdigest()[:8]}"


def _one_line(error: object) -> str:
    """Put an error or a warning into one line of readable length."""
    text = " ".join(str(error).split())
    name = (
        ""
        if isinstance(error, ValueError) or not isinstance(error, Exception)
        else f"{type(error).__name__}: "
    )
    return legible(f"{name}{text or 'no message'}")[:400]


__all__ = ["MeanCovariance", "alignment_group", "cut_or_report"]
