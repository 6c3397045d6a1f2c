# SPDX-License-Identifier: Apache-2.0
"""Prepare a corpus: a folder of windows that plain `datasets.load_dataset` reads.

    data/<corpus>-<subject>.parquet        one shard per subject, one row per window
    alignment/<corpus>-<subject>.parquet   mean covariance of all windows of the subject
    preprocessor_config.json               how the recordings were cleaned
    corpus.json                            title, licence, page, citation, reference and unit of the corpus
    report.jsonl                           one line per recording: what was decided, or why it failed
    README.md                              the card; written last, so a folder without it is unfinished
    .huggingface.yaml                      there while it is: `datasets` then refuses the folder

A second run writes only what is missing: it keeps shards whose recordings and settings are unchanged,
rewrites the others and retries recordings that failed. A folder that holds shards of other subjects is
refused, because `datasets` would read them as part of this corpus.
"""

import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from transformers.utils import FEATURE_EXTRACTOR_NAME, logging

from ...atomic_files import write_text
from ...folder_lock import locked_folder, program
from ..corpus import Corpus, Recording
from .card import CARD, REPORT, UNFINISHED, UNFINISHED_TEXT, window_card
from .corpus_record import write_record
from .findings import summarize_findings
from .pool import run_jobs
from .ray_engine import require_ray, run_jobs_on_ray
from .recording_filter import keep_recordings
from .recording_report import RecordingReport
from .shard_job import ShardJob
from .window_plan import Segments, WindowPlan

if TYPE_CHECKING:
    from ...processing.feature_extraction_eeg import EEGFeatureExtractor
    from .label_table import LabelTable

logger = logging.get_logger(__name__)

Reports = dict[str, list[RecordingReport]]
"""Subject -> reports of the subject's recordings."""


def prepare(
    corpus: Corpus,
    output_dir: Path | str,
    extractor: "EEGFeatureExtractor",
    *misplaced: object,
    root: Path | str | None = None,
    segments: Segments = "fixed",
    stride_seconds: float | None = None,
    tmin: float = 0.0,
    event_labels: Mapping[str, str] | None = None,
    label_table: "LabelTable | None" = None,
    reject_uv: float | None = None,
    baseline: tuple[float, float] | None = None,
    average: int = 1,
    subjects: Collection[str] | None = None,
    keep: Mapping[str, Collection[str]] | None = None,
    num_proc: int | None = None,
    engine: Literal["local", "ray"] = "local",
    part: tuple[int, int] = (0, 1),
    timeout_seconds: float = 0.0,
) -> dict[str, Any]:
    """Clean, cut and store all recordings of a corpus.

    Args:
        corpus: The corpus to prepare.
        output_dir: Folder for the windows.
        extractor: Its settings clean the recordings; `window_seconds` is the length of a window.
        *misplaced: Refused: all further arguments are keywords.
        root: Folder of the recordings; `None` for the one that `corpus.locate()` finds or downloads.
        segments: `"fixed"` cuts consecutive windows, `"events"` one window at each event, `"annotations"`
            consecutive windows within the span of each event.
        stride_seconds: Seconds between the starts of consecutive windows; default: the window length. Not for
            `"events"`.
        tmin: Seconds from an event to the start of its window. For `"events"`.
        event_labels: Name of an event -> name of its windows; other events are left out.
        label_table: Events listed beside the corpus, which replace its own.
        reject_uv: Drop windows in which a channel exceeds this many microvolts.
        baseline: Seconds from and to which, counted from the event, give the mean that is subtracted from
            each channel of a window. For `"events"`.
        average: Trials of the same event, one after another in a recording, whose mean becomes one window.
            For `"events"`.
        subjects: Prepare only these subjects, in addition to those already in the folder.
        keep: Prepare only recordings whose `task`, `session`, `run` or label is among the given values.
        num_proc: Number of processes, each with one recording in memory; default: 1, with Ray all cores.
        engine: `"ray"` for Ray Data, on a running cluster or on this machine.
        part: `(i, n)` prepares the i-th of n parts of the subjects, counted from 0, for job arrays.
        timeout_seconds: Give up a recording that takes longer; 0 for no limit.

    Returns:
        Counts (`recordings_ok`, `recordings_failed`, `subjects`, `windows`, `dropped`, `hours`,
        `shards_written`, `shards_reused`), `failures` (path and reason), speed (`hours_per_minute_per_core`,
        of what this call prepared), `channel_counts`, `findings` (what was warned of, changed or guessed, a
        line a kind), `is_complete` (false while other parts are missing), and the paths `output_dir` and
        `report`.

    Raises:
        RuntimeError: If no recording gives a window; names the most common reasons.
        ValueError: If the settings contradict each other, or `output_dir` holds shards of something else.
        OSError: If a shard cannot be written.
        FolderInUseError: If another process prepares this folder, or the same part of it.
        TypeError: If the arguments come in another order.

    Example:
        >>> from eeg_hf import EEGFeatureExtractor, get_corpus
        >>> report = prepare(get_corpus("simulated"), "out", EEGFeatureExtractor())  # doctest: +SKIP
    """
    if misplaced or isinstance(extractor, (str, os.PathLike)) or output_dir is None:
        raise TypeError(
            "expected prepare(corpus, output_dir, extractor, root=folder_of_recordings), got "
            f"({', '.join(type(value).__name__ for value in (corpus, output_dir, extractor, *misplaced))})"
        )

    # Refuse impossible settings before anything is located, downloaded or written
    length = extractor.window_seconds
    if length is None:
        raise ValueError("preparing windows needs a length: set window_seconds of the feature extractor")
    plan = WindowPlan(
        segments,
        length,
        length if stride_seconds is None else stride_seconds,
        tmin,
        event_labels,
        reject_uv,
        baseline,
        average,
    )
    if plan.by_event and not corpus.has_events and label_table is None:
        raise ValueError(f"{corpus.name} has no events: use segments='fixed', or a label table")
    _refuse_idle_settings(plan, stride_seconds, label_table)
    if num_proc is not None and num_proc < 1:
        raise ValueError(f"num_proc must be 1 or more, got {num_proc}")
    if not timeout_seconds >= 0:
        raise ValueError(f"timeout_seconds must be 0 (no limit) or more, got {timeout_seconds}")
    if engine not in ("local", "ray"):
        raise ValueError(f"engine must be 'local' or 'ray', got {engine!r}")
    if engine == "ray":
        require_ray()
    if not 0 <= part[0] < part[1]:
        raise ValueError(f"part must be (i, n) with i from 0 to n - 1, got {part}")

    # One job per subject, in an order that depends only on the corpus
    root = corpus.locate(subjects=subjects) if root is None else Path(root)
    output_dir = Path(output_dir)
    recordings = keep_recordings(corpus.recordings(root), keep)
    corpus.refuse_idle_options(recordings, plan.by_event)
    labels = {**corpus.label_columns(recordings), **(label_table.label_names if label_table else {})}
    jobs = [
        ShardJob(
            *(corpus, root, output_dir, subject, tuple(group), extractor, plan, labels),
            label_table=label_table,
            timeout_seconds=timeout_seconds,
        )
        for subject, group in groupby(sorted(recordings, key=_order), key=lambda recording: recording.subject)
    ]
    with _lock(output_dir, part):
        try:
            return _write_corpus(jobs, subjects, engine, num_proc, part)
        finally:
            if not any(output_dir.glob("data/*.parquet")):  # there is nothing to hide from `datasets`
                (output_dir / UNFINISHED).unlink(missing_ok=True)


def _refuse_idle_settings(
    plan: WindowPlan, stride_seconds: float | None, label_table: "LabelTable | None"
) -> None:
    """Refuse settings that change nothing where windows are placed so: their user expects something else."""
    idle = {
        "stride_seconds": stride_seconds is not None and plan.segments == "events",
        "tmin": bool(plan.tmin) and plan.segments != "events",
        "event_labels": bool(plan.event_labels) and not plan.by_event,
        "label_table": label_table is not None and not plan.by_event,
    }
    if names := [name for name, is_idle in idle.items() if is_idle]:
        other = "fixed or annotations" if plan.segments == "events" else "events"
        raise ValueError(
            f"{', '.join(names)}: no effect with segments={plan.segments!r}: leave it out, or set segments "
            f"to {other}"
        )


@contextlib.contextmanager
def _lock(output_dir: Path, part: tuple[int, int]) -> Iterator[None]:
    """Hold the folder alone, or share it with the processes that prepare other parts."""
    with contextlib.ExitStack() as locks:
        locks.enter_context(locked_folder(output_dir, program(), shared=part[1] > 1))
        if part[1] > 1:
            mine = output_dir.with_name(f"{output_dir.name}.{part[0]}-of-{part[1]}")
            locks.enter_context(locked_folder(mine, program()))
        yield


def _write_corpus(
    jobs: list[ShardJob],
    subjects: Collection[str] | None,
    engine: str,
    num_proc: int | None,
    part: tuple[int, int],
) -> dict[str, Any]:
    """Write what is missing in the folder of some jobs; return the summary."""
    corpus, root, output_dir = jobs[0].corpus, jobs[0].root, jobs[0].output_dir
    plan, extractor = jobs[0].plan, jobs[0].extractor
    _refuse_other_shards(jobs, output_dir)
    _check_label_table(jobs)
    jobs = _choose(jobs, subjects)

    # Write the missing shards of this part
    mine = jobs[part[0] :: part[1]]
    started = time.monotonic()
    reports, todo = _run(mine, output_dir, engine, num_proc)
    elapsed = time.monotonic() - started
    if part[1] == 1:  # no other process writes to this folder
        for leftover in output_dir.glob(".*.partial"):
            leftover.unlink(missing_ok=True)

    # Report on all subjects, including those that other parts have finished
    others = {job.subject: job.current_reports() for job in jobs if job.subject not in reports}
    reports.update((subject, found) for subject, found in others.items() if found is not None)
    in_order = [report for job in jobs for report in reports.get(job.subject, ())]
    summary = {
        "corpus": corpus.name,
        **_summarize(in_order, output_dir),
        "is_complete": len(reports) == len(jobs),
        "shards_written": sum(job.data_path.exists() for job in todo),
        "shards_reused": len(mine) - len(todo),
        "elapsed_seconds": elapsed,
        "hours_per_minute_per_core": _speed(todo, reports, elapsed, num_proc),
    }
    write_text(
        output_dir / REPORT, "".join(json.dumps(row.to_dict(), default=str) + "\n" for row in in_order)
    )
    _refuse_nothing(summary, root)  # after the report, which then explains the failures
    _warn_of_unused_labels(plan, in_order)
    write_text(output_dir / FEATURE_EXTRACTOR_NAME, extractor.to_json_string())
    write_record(output_dir, corpus)
    if summary["is_complete"]:
        write_text(output_dir / CARD, window_card(jobs, summary))
        if (output_dir / UNFINISHED).exists():
            (output_dir / UNFINISHED).unlink()
    return summary


def _order(recording: Recording) -> tuple[str, str, str, str]:
    return recording.subject, recording.session, recording.run, str(recording.path)


def _refuse_other_shards(jobs: Sequence[ShardJob], output_dir: Path) -> None:
    """Raise if the folder holds shards of something else: `datasets` would read them with this corpus."""
    present = {path.name for kind in ("data", "alignment") for path in (output_dir / kind).glob("*.parquet")}
    others = sorted(present - {job.data_path.name for job in jobs})
    if others:
        raise ValueError(
            f"{output_dir} already holds {len(others)} shards of something else ("
            f"{', '.join(others[:3])}, ...): remove them or choose another output folder"
        )


def _check_label_table(jobs: Sequence[ShardJob]) -> None:
    """Warn of rows of the label table that match no recording; refuse a table that matches none."""
    table = jobs[0].label_table
    if table is None:
        return
    names = [job.name_of(recording) for job in jobs for recording in job.recordings]
    unmatched = table.unmatched(names)
    if unmatched:
        shown = ", ".join(unmatched[:3])
        logger.warning(f"label table: {len(unmatched)} recordings named there are not here: {shown}")
    if not any(table.events_of(name) for name in names):
        raise ValueError(
            f"label table: no row belongs to any of the {len(names)} recordings, such as {names[0]}"
        )


def _choose(jobs: Sequence[ShardJob], subjects: Collection[str] | None) -> list[ShardJob]:
    """Select the requested subjects, and those already prepared with the same settings."""
    if subjects is None:
        return list(jobs)
    known = [job.subject for job in jobs]
    unknown = sorted(set(subjects) - set(known))
    if unknown:
        raise ValueError(
            f"{jobs[0].corpus.name} has no subject {', '.join(unknown)} here; it has {', '.join(known)}"
        )
    others = [job for job in jobs if job.subject not in subjects and job.data_path.exists()]
    stale = [job.subject for job in others if job.current_reports() is None]
    if stale:
        raise ValueError(
            f"{jobs[0].output_dir} holds windows of subjects not asked for ({', '.join(stale[:3])}) that "
            "were made with other settings or files: prepare them too, or choose another output folder"
        )
    kept = {*subjects, *(job.subject for job in others)}
    return [job for job in jobs if job.subject in kept]


def _run(
    jobs: Sequence[ShardJob], output_dir: Path, engine: str, num_proc: int | None
) -> tuple[Reports, list[ShardJob]]:
    """Write the missing shards; return the reports of every subject, and the jobs that had to run."""
    for job in jobs:
        if job.marker_path.exists():  # left by a preparation that was killed
            job.marker_path.unlink()
    done = {job.subject: job.current_reports() or [] for job in jobs}
    # A shard is kept if it is current and no recording failed, since a failure may not repeat
    retries = os.access(output_dir, os.W_OK)
    todo = [
        job
        for job in jobs
        if not done[job.subject] or (retries and not all(row.is_ok for row in done[job.subject]))
    ]
    if todo:
        # Without a card, a run that is killed cannot be taken for a finished one. Outdated shards stay until
        # they are replaced, for those who are reading them
        write_text(output_dir / UNFINISHED, UNFINISHED_TEXT)
        for name in (CARD, REPORT):
            (output_dir / name).unlink(missing_ok=True)
    results = run_jobs_on_ray(todo, num_proc) if engine == "ray" else run_jobs(todo, num_proc or 1)
    total = sum(len(job.recordings) for job in jobs)
    initial = total - sum(len(job.recordings) for job in todo)
    with logging.tqdm(total=total, initial=initial, desc="preparing", unit="recording") as bar:
        for job, reports in results:
            done[job.subject] = reports
            bar.update(len(reports))
            for row in reports:
                if not row.is_ok:
                    logger.warning(f"{row.path}: {row.reason}")
    return done, todo


def _summarize(reports: Sequence[RecordingReport], output_dir: Path) -> dict[str, Any]:
    """Count recordings, windows, reasons and hours over all reports."""
    ok = [row for row in reports if row.is_ok]
    dropped: Counter[str] = Counter()
    for row in reports:
        dropped.update(row.dropped)
    return {
        "recordings_ok": len(ok),
        "recordings_failed": len(reports) - len(ok),
        "subjects": len({row.subject for row in ok}),
        "windows": sum(row.num_windows for row in ok),
        "dropped": {why: number for why, number in dropped.items() if number},
        "hours": _seconds(ok) / 3600,
        "channel_counts": dict(Counter(len((row.decisions or {})["channels"]) for row in ok)),
        "findings": [str(finding) for finding in summarize_findings(reports)],
        "failures": [{"path": row.path, "reason": row.reason} for row in reports if not row.is_ok],
        "output_dir": str(output_dir),
        "report": str(output_dir / REPORT),
    }


def _seconds(reports: Sequence[RecordingReport]) -> float:
    return sum(row.seconds or 0.0 for row in reports if row.is_ok)


def _speed(todo: Sequence[ShardJob], reports: Reports, elapsed: float, num_proc: int | None) -> float | None:
    """Return the hours of EEG prepared now per minute and core; `None` if nothing was prepared."""
    if not todo:
        return None
    seconds = sum(_seconds(reports[job.subject]) for job in todo)
    return seconds / 3600 / (elapsed / 60) / max(1, min(num_proc or 1, len(todo)))


def _refuse_nothing(summary: Mapping[str, Any], root: Path) -> None:
    """Raise if no recording gave a window, with the most common reasons."""
    if summary["windows"]:
        return
    reasons = Counter(failure["reason"] for failure in summary["failures"]).most_common(3)
    shown = "; ".join(f"{reason} ({number} recordings)" for reason, number in reasons)
    raise RuntimeError(
        f"no window could be prepared from {summary['recordings_failed']} recordings in {root}: {shown}"
    )


def _warn_of_unused_labels(plan: WindowPlan, reports: Sequence[RecordingReport]) -> None:
    """Name the keys of `event_labels` that no recording has: a misspelt key loses a whole class."""
    unused = set(plan.event_labels or ()) - {name for row in reports for name in row.events_named}
    if unused:
        logger.warning(f"event_labels: no recording has an event {', '.join(map(repr, sorted(unused)))}")


__all__ = ["CARD", "REPORT", "prepare"]
