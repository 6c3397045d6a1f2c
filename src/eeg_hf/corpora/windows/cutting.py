# SPDX-License-Identifier: Apache-2.0
"""Turn one recording into windows: read, clean, cut and encode it, or report why that failed.

Windows are encoded and passed on in blocks, so that overlapping windows of a long night need no more memory
than its signal.
"""

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import mne
import numpy as np
import pyarrow as pa

from ...legible_text import legible
from ...processing.covariance import mean_covariance
from ...processing.electrode_positions import positions_from_raw
from ...processing.long_recordings import StoredSignal
from ...processing.microvolts import to_microvolts
from ...processing.signal_quality import FLAT_UV, LARGEST_UV
from ...processing.stored_recording import StoredRecording
from ..corpus import Event, Recording, annotated
from .encoding import encode_windows
from .limits import refuse_too_large, time_limit
from .recording_report import RecordingReport
from .shard_job import ShardJob
from .whole_file import WriteError
from .window_plan import STIMULUS_SECONDS, Cuts, WindowPlan

_LARGEST_UV = 10 * LARGEST_UV  # filters overshoot
# Whitened samples have order 1 and no unit: times this, averages of many are not too small for EEG in uV
_WHITENED_SCALE = 10.0
# Windows at a time, which are a row group and what a reader holds: of 20 x 2000 samples, 40 MB
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 256, 42_000_000


@dataclass
class MeanCovariance:
    """The mean covariance (channels, channels) in uV^2 of windows that have the same channels."""

    channels: tuple[str, ...]
    num_windows: int = 0
    mean: np.ndarray | float = 0.0

    def add(self, other: "MeanCovariance") -> None:
        """Add the windows of another mean."""
        if other.num_windows:
            self.num_windows += other.num_windows
            self.mean = self.mean + (other.mean - self.mean) * (other.num_windows / self.num_windows)


@dataclass
class _Cleaned:
    """A recording ready to be cut; samples are float32 in uV, bad channels zero."""

    samples: np.ndarray | StoredSignal  # (channels, time); a long recording is in a file
    is_good: np.ndarray  # (channels,)
    info: mne.Info
    positions: np.ndarray  # (channels, 3) in metres
    length: int
    cuts: Cuts
    events: Sequence[Event]

    def windows(self, starts: np.ndarray) -> np.ndarray:
        """Return the windows that begin at some samples, (windows, channels, length), a copy."""
        if isinstance(self.samples, np.ndarray):
            return np.stack([self.samples[:, start : start + self.length] for start in starts])
        first, last = int(starts.min()), int(starts.max()) + self.length
        if last - first <= len(starts) * self.length:  # consecutive ones are read at once
            stretch = self.samples.read_uv(first, last)
            windows = np.stack([stretch[:, start : start + self.length] for start in starts - first])
        else:
            windows = np.stack(
                [self.samples.read_uv(start, start + self.length) for start in starts.tolist()]
            )
        windows[:, ~self.is_good] = 0.0
        return windows


def cut_or_report(
    job: ShardJob,
    recording: Recording,
    known: Sequence[tuple[str, ...]],
    write: Callable[[pa.Table], None],
) -> tuple[RecordingReport, MeanCovariance | None]:
    """Cut one recording; if that fails, report why.

    Args:
        job: The job of the recording's subject.
        recording: The recording.
        known: Channel sets of the subject's earlier recordings.
        write: Called with the rows of one block of windows at a time.

    Returns:
        The report, and the covariance of the windows; `None` if there are none.
    """
    name = job.name_of(recording)
    identity = (recording.subject, recording.session, recording.run, recording.task)
    report = RecordingReport(name, *identity, reason=job.unreadable.get(name))
    if report.reason is not None:
        return report, None
    covariance = None
    with warnings.catch_warnings(record=True) as caught:  # of readers, about the file: for the report
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", RuntimeWarning)
        warnings.simplefilter("always", UserWarning)
        try:
            with time_limit(job.timeout_seconds, job.may_exit):
                covariance = _cut(job, recording, known, write, report)
        except WriteError:
            raise
        except Exception as error:  # a damaged file can raise anything; the other files must not suffer
            report.reason = _one_line(error)
    report.warnings = sorted({_one_line(warning.message) for warning in caught})
    return report, covariance


def _cut(
    job: ShardJob,
    recording: Recording,
    known: Sequence[tuple[str, ...]],
    write: Callable[[pa.Table], None],
    report: RecordingReport,
) -> MeanCovariance:
    """Read, clean and cut one recording, filling in its report."""
    raw = job.corpus.read(recording)
    if isinstance(raw, mne.BaseEpochs):
        cleaned = _clean_epochs(job, recording, raw, report)
    else:
        cleaned = _clean(job, recording, raw, report)
    channels = tuple(cleaned.info["ch_names"])
    total = MeanCovariance(channels)
    dropped = Counter(cleaned.cuts.dropped)
    # The fields that all rows of the recording share
    rate, reference = float(cleaned.info["sfreq"]), str((report.decisions or {}).get("reference", "average"))
    encode = partial(
        encode_windows,
        corpus=job.corpus,
        recording=recording,
        recording_name=report.path,
        label_names=job.label_names,
        channels=channels,
        bad_channels=cleaned.info["bads"],
        channel_positions=cleaned.positions,
        sampling_rate=rate,
        reference=job.corpus.reference_of(recording) if reference == "original" else reference,
        alignment_group=alignment_group(job, channels, known),
        decisions=report.decisions,
    )
    blocks = _blocks(cleaned, job.plan, dropped)
    if job.plan.average > 1:
        blocks = _averaged(blocks, cleaned.cuts.events, job.plan.average, dropped)
    for windows, rows in blocks:
        starts = (cleaned.cuts.starts[rows] / rate).tolist()
        write(encode(windows, starts, [cleaned.cuts.events[row] for row in rows]))
        total.add(MeanCovariance(channels, len(windows), mean_covariance(windows)))
    report.dropped = {why: number for why, number in dropped.items() if number}
    if not total.num_windows:
        raise ValueError(_why_no_window(job.plan, report, cleaned.events))
    report.status, report.num_windows = "ok", total.num_windows
    return total


def _clean(job: ShardJob, recording: Recording, raw: "mne.io.BaseRaw", report: RecordingReport) -> _Cleaned:
    """Clean a continuous recording and decide where its windows lie."""
    refuse_too_large(raw)
    report.seconds = float(raw.n_times / raw.info["sfreq"])
    clean, decisions = job.extractor.preprocess(raw)
    report.decisions = decisions.to_dict()
    rate = float(clean.info["sfreq"])
    # MNE's convention: "bad" marks stretches to exclude, "edge" the joints of a concatenated recording
    spans = [
        (mark.onset, mark.onset + mark.duration)
        for mark in annotated(clean)
        if mark.name.lower().startswith(("bad", "edge"))
    ]
    events = _events(job, recording, clean, report)
    cuts = job.plan.cut(clean.n_times, rate, events, spans)
    return _cleaned(clean, round(job.plan.window_seconds * rate), cuts, events)


def _clean_epochs(
    job: ShardJob, recording: Recording, epochs: "mne.BaseEpochs", report: RecordingReport
) -> _Cleaned:
    """Select and rename the channels of a recording published as epochs; each epoch becomes a window."""
    _check_epochs(job, epochs)
    events = _events(job, recording, epochs, report)
    if len(events) != len(epochs):
        raise ValueError(f"{len(epochs)} epochs with {len(events)} labels: expected one label per epoch")
    data = epochs.get_data(copy=False)  # (epochs, channels, time) in V
    length = data.shape[-1]
    scale = _WHITENED_SCALE if job.corpus.is_whitened else 1.0
    # End to end, so that channels are selected and renamed as in a continuous recording; nothing is filtered
    joined = mne.io.RawArray(scale * np.concatenate(data, axis=-1), epochs.info, copy="auto", verbose="ERROR")
    report.seconds = float(joined.n_times / joined.info["sfreq"])
    clean, decisions = job.extractor.preprocess(joined)
    if scale != 1.0:
        clean.load_data().apply_function(lambda samples: samples / scale, picks="all", channel_wise=False)
        decisions.amplitude_uv /= scale
    report.decisions = decisions.to_dict()
    cuts = Cuts(np.arange(len(epochs), dtype=np.int64) * length, list(events), {})
    return _cleaned(clean, length, cuts, events)


def _check_epochs(job: ShardJob, epochs: "mne.BaseEpochs") -> None:
    """Refuse to filter, resample or cut epochs: the artefacts at their edges would fill them."""
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
    report: RecordingReport,
) -> Sequence[Event]:
    """List the events that decide where windows lie: those of the label table, else of the corpus."""
    if not job.plan.by_event:
        return ()
    if job.label_table is not None:
        events: Sequence[Event] = job.label_table.events_of(job.name_of(recording))
    else:
        events = job.corpus.events(recording, raw)
    report.events_named = job.plan.named(events)
    return events


def _cleaned(clean: "mne.io.BaseRaw", length: int, cuts: Cuts, events: Sequence[Event]) -> _Cleaned:
    """Take the samples out of a cleaned recording; from here on they are in microvolts."""
    is_good = np.array([name not in clean.info["bads"] for name in clean.ch_names])
    samples: np.ndarray | StoredSignal
    if isinstance(clean, StoredRecording):
        samples, peak = clean.signal, clean.signal.peaks_uv
    else:
        samples = to_microvolts(clean)  # (channels, time)
        samples[~is_good] = 0.0
        peak = np.array([max(row.max(), -row.min()) for row in samples])
    finite = ~is_good | (peak < _LARGEST_UV)  # False for NaN too
    if not finite.all():
        spoilt = [name for name, is_finite in zip(clean.ch_names, finite, strict=True) if not is_finite]
        raise ValueError(f"samples that are not finite remain after cleaning, in {', '.join(spoilt)}")
    positions = positions_from_raw(clean, prefer="file")  # where cleaning placed them, user's positions first
    return _Cleaned(samples, is_good, clean.info, positions, length, cuts, events)


def _blocks(
    cleaned: _Cleaned, plan: WindowPlan, dropped: Counter[str]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the windows to keep (windows, channels, time) and their indices among the cuts."""
    starts, baseline = cleaned.cuts.starts, plan.baseline_samples(float(cleaned.info["sfreq"]))
    at_once = min(_ROWS_AT_ONCE, max(1, _BYTES_AT_ONCE // (4 * len(cleaned.is_good) * cleaned.length)))
    for first in range(0, len(starts), at_once):
        rows = np.arange(first, min(first + at_once, len(starts)))
        windows = cleaned.windows(starts[rows])  # (windows, channels, time)
        if baseline is not None:
            windows -= windows[..., baseline].mean(axis=-1, keepdims=True)
        # (windows, good channels, time)
        good = windows if cleaned.is_good.all() else windows[:, cleaned.is_good]
        is_flat = np.array([(window.std(axis=-1) < FLAT_UV).all() for window in good])
        is_high = np.zeros(len(rows), dtype=bool)
        if plan.reject_uv is not None:
            is_high = ~is_flat & (np.abs(good).max(axis=(1, 2)) > plan.reject_uv)
        dropped.update(flat=int(is_flat.sum()), high=int(is_high.sum()))
        keep = ~is_flat & ~is_high
        if keep.all():
            yield windows, rows
        elif keep.any():
            yield windows[keep], rows[keep]


def _averaged(
    blocks: Iterator[tuple[np.ndarray, np.ndarray]],
    events: Sequence[Event | None],
    number: int,
    dropped: Counter[str],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the means of trials of the same event that follow each other, under the first one's index."""
    waiting: dict[object, list[tuple[np.ndarray, int]]] = {}
    for windows, rows in blocks:
        means, firsts = [], []
        for window, row in zip(windows, rows.tolist(), strict=True):
            trials = waiting.setdefault(_kind_of(events[row]), [])
            trials.append((window, row))
            if len(trials) == number:
                means.append(np.mean([trial for trial, _ in trials], axis=0))
                firsts.append(trials[0][1])
                trials.clear()
        if means:
            order = np.argsort(firsts)
            yield np.stack(means)[order], np.array(firsts)[order]
    dropped["unaveraged"] += sum(map(len, waiting.values()))


def _kind_of(event: Event | None) -> object:
    """Return what trials that may be averaged share."""
    if event is None:
        return None
    labels = {name: value for name, value in event.labels.items() if name != STIMULUS_SECONDS}
    return event.name, tuple(sorted(labels.items(), key=str))


def _why_no_window(plan: WindowPlan, report: RecordingReport, events: Sequence[Event]) -> str:
    """Explain why a recording gave no window."""
    event_names = [event.name for event in events]
    if plan.by_event and not events:
        return "no event in this recording: use segments='fixed'"
    if not report.dropped:
        return f"its {report.seconds:.1f} s are less than one window of {plan.window_seconds:g} s"
    if not any(map(plan.takes, event_names)) and plan.by_event:
        present = [repr(name) for name, _ in Counter(event_names).most_common(10)]
        return f"event_labels names none of its events, which are {', '.join(present)}"
    shown = ", ".join(f"{number} {why}" for why, number in report.dropped.items())
    onsets = [event.onset for event in events if plan.takes(event.name)]
    if set(report.dropped) == {"outside"} and onsets:
        shown += (
            f"; events lie between {min(onsets):.10g} and {max(onsets):.10g} s, the recording between 0 and "
            f"{report.seconds:.10g} s: are they on another clock, or in samples or milliseconds?"
        )
    return f"no window left: dropped {shown}"


def alignment_group(job: ShardJob, channels: tuple[str, ...], known: Sequence[tuple[str, ...]]) -> str:
    """Name the rows that share a covariance: the subject, and its channels if it has several channel sets."""
    group = f"{job.corpus.name}/{job.subject}"
    if not known or channels == known[0]:
        return group
    return f"{group}@{hashlib.sha256(','.join(channels).encode()).hexdigest()[:8]}"


def _one_line(error: object) -> str:
    """Return an error or a warning as one line of at most 400 characters."""
    text = " ".join(str(error).split()) or "no message"
    if isinstance(error, Exception) and not isinstance(error, ValueError):
        text = f"{type(error).__name__}: {text}"
    return legible(text)[:400]
