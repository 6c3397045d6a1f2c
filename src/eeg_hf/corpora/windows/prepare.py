# SPDX-License-Identifier: Apache-2.0
"""A corpus to a folder of windows that plain `datasets.load_dataset` reads.

    data/<corpus>-<subject>.parquet        one shard a subject, one row a window
    alignment/<corpus>-<subject>.parquet   mean covariance of all of a subject's windows
    preprocessor_config.json               how the recordings were cleaned
    report.jsonl                           one line a recording: what was decided, or why it failed
    README.md                              the card, written last: without it, the rest is unfinished

Running it again does what is missing: shards whose recordings and settings are unchanged are kept, others are
written anew, and recordings that failed are tried again. Shards of subjects that the corpus does not have are
never touched: they are refused, since they would be read along.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from transformers.utils import logging

from ...atomic_files import write_text
from ..corpus import Corpus, Recording
from .card import REPORT, window_card
from .pool import run_jobs
from .recording_filter import keep_recordings
from .shard_job import Extractor, ShardJob
from .window_plan import Segments, WindowPlan

if TYPE_CHECKING:
    from .label_table import LabelTable

logger = logging.get_logger(__name__)

CARD = "README.md"
Rows = dict[str, list[dict[str, Any]]]
Runner = Callable[[Sequence[ShardJob]], Iterator[tuple[ShardJob, list[dict[str, Any]]]]]


def prepare(
    corpus: Corpus,
    root: Path | str | None,
    output_dir: Path | str,
    extractor: Extractor,
    *,
    segments: Segments = "fixed",
    stride_seconds: float | None = None,
    tmin: float = 0.0,
    event_labels: Mapping[str, str] | None = None,
    label_table: "LabelTable | None" = None,
    reject_uv: float | None = None,
    subjects: Collection[str] | None = None,
    keep: Mapping[str, Collection[str]] | None = None,
    num_proc: int | None = None,
    engine: Literal["local", "ray"] = "local",
    part: tuple[int, int] = (0, 1),
    timeout_seconds: float = 0.0,
) -> dict[str, Any]:
    """Clean, cut and store all recordings of a corpus.

    Args:
        corpus: What to prepare.
        root: Its folder, as `corpus.locate()` returns it; `None` to locate it.
        output_dir: Where the windows go.
        extractor: How recordings are cleaned, and `window_seconds`, how long a window is.
        segments: `"fixed"` cuts windows one after another, `"events"` one at each event, `"annotations"` one
            after another within the span of each event.
        stride_seconds: From the start of one window to that of the next; default: their length. Not for
            `"events"`.
        tmin: From an event to the start of its window, in seconds. For `"events"`.
        event_labels: Name of an event -> name its windows get; events that are not named are left out.
        label_table: Events listed beside the corpus, which take the place of its own.
        reject_uv: Drop windows in which a channel exceeds this many microvolt.
        subjects: Prepare these only, beside those that the folder already holds.
        keep: Prepare only recordings whose `task`, `session`, `run` or label is among those named.
        num_proc: Processes, each with one recording in memory; default: 1, on Ray as many as it has.
        engine: `"ray"` for Ray Data, on the cluster that runs or on this machine.
        part: `(i, n)` prepares the i-th of n parts of the subjects, counted from 0, for job arrays.
        timeout_seconds: Give up a recording that takes longer, 0 for never.

    Returns:
        Counts (`recordings_ok`, `recordings_failed`, `subjects`, `windows`, `dropped`, `hours`,
        `shards_written`, `shards_reused`), `failures` (path and reason), speed (`hours_per_minute_per_core`,
        of what was prepared now), `channel_counts`, `is_complete` (false where other parts are missing), and
        the paths `output_dir` and `report`.

    Raises:
        RuntimeError: If no recording gave a window, with the reasons.
        ValueError: If the settings contradict each other, or `output_dir` holds shards of something else.
        OSError: If a shard cannot be written.

    Example:
        >>> from eeg_hf import EEGFeatureExtractor, get_corpus
        >>> report = prepare(get_corpus("simulated"), None, "out", EEGFeatureExtractor())  # doctest: +SKIP
    """
    plan = _plan(corpus, extractor, segments, stride_seconds, tmin, event_labels, label_table, reject_uv)
    if num_proc is not None and num_proc < 1:
        raise ValueError(f"num_proc must be 1 or more, got {num_proc}")
    if not 0 <= part[0] < part[1]:
        raise ValueError(f"part must be (i, n) with i from 0 to n - 1, got {part}")
    runner = _runner(engine, num_proc)
    root = corpus.locate(subjects=subjects) if root is None else Path(root)
    output_dir = Path(output_dir)
    recordings = keep_recordings(corpus.recordings(root), keep)
    labels = {**corpus.label_columns(recordings), **(label_table.label_names if label_table else {})}
    jobs = [
        ShardJob(
            *(corpus, root, output_dir, subject, tuple(group), extractor, plan, labels),
            label_table=label_table,
            timeout_seconds=timeout_seconds,
        )
        for subject, group in groupby(sorted(recordings, key=_order), key=lambda recording: recording.subject)
    ]
    _refuse_strangers(jobs, output_dir)
    _check_table(jobs)
    jobs = _choose(jobs, subjects)
    mine = jobs[part[0] :: part[1]]
    started = time.monotonic()
    rows, todo = _run(mine, output_dir, runner)
    elapsed = time.monotonic() - started
    if part[1] == 1:  # nobody else is writing here
        for leftover in output_dir.glob(".*.partial"):
            leftover.unlink(missing_ok=True)
    others = {job.subject: job.current_reports() for job in jobs if job.subject not in rows}
    rows.update((subject, reports) for subject, reports in others.items() if reports is not None)
    in_order = [row for job in jobs for row in rows.get(job.subject, ())]
    report = {
        "corpus": corpus.name,
        **_summarize(in_order, output_dir),
        "is_complete": len(rows) == len(jobs),
        "shards_written": sum(job.data_path.exists() for job in todo),
        "shards_reused": len(mine) - len(todo),
        "elapsed_seconds": elapsed,
        "hours_per_minute_per_core": _speed(todo, rows, elapsed, num_proc),
    }
    write_text(output_dir / REPORT, "".join(json.dumps(row, default=str) + "\n" for row in in_order))
    _refuse_nothing(report, root)
    _warn_of_unused_labels(plan, in_order)
    extractor.save_pretrained(output_dir)
    if report["is_complete"]:
        write_text(output_dir / CARD, window_card(corpus, extractor, plan, report, _digest(jobs)))
    return report


def _plan(
    corpus: Corpus,
    extractor: Extractor,
    segments: Segments,
    stride_seconds: float | None,
    tmin: float,
    event_labels: Mapping[str, str] | None,
    label_table: "LabelTable | None",
    reject_uv: float | None,
) -> WindowPlan:
    """Say which stretches become windows; refuse what this corpus cannot give."""
    length = extractor.window_seconds
    if length is None:
        raise ValueError("preparing windows needs a length: set window_seconds of the feature extractor")
    plan = WindowPlan(segments, length, stride_seconds or length, tmin, event_labels, reject_uv)
    if plan.by_event and not corpus.has_events and label_table is None:
        raise ValueError(f"{corpus.name} has no events: use segments='fixed', or a label table")
    return plan


def _speed(todo: Sequence[ShardJob], rows: Rows, elapsed: float, num_proc: int | None) -> float | None:
    """Return hours of EEG a minute and core of what was prepared now; `None` if nothing was."""
    if not todo:
        return None
    done_now = sum(row["seconds"] for job in todo for row in rows[job.subject] if row["status"] == "ok")
    return done_now / 3600 / (elapsed / 60) / max(1, min(num_proc or 1, len(todo)))


def _warn_of_unused_labels(plan: WindowPlan, rows: Sequence[Mapping[str, Any]]) -> None:
    """Name the keys of `event_labels` that no recording has: a misspelt one loses a whole class."""
    unused = set(plan.event_labels or ()) - {name for row in rows for name in row["events_named"]}
    if unused:
        logger.warning(f"event_labels: no recording has an event {', '.join(map(repr, sorted(unused)))}")


def _refuse_nothing(report: Mapping[str, Any], root: Path) -> None:
    """Raise where no recording gave a window, with the commonest reasons."""
    if report["windows"]:
        return
    reasons = Counter(failure["reason"] for failure in report["failures"]).most_common(3)
    shown = "; ".join(f"{reason} ({number} recordings)" for reason, number in reasons)
    raise RuntimeError(
        f"no window could be prepared from {report['recordings_failed']} recordings in {root}: {shown}"
    )


def _digest(jobs: Sequence[ShardJob]) -> str:
    """Return what changes when any of the shards does."""
    return hashlib.sha256("".join(job.fingerprint() for job in jobs).encode()).hexdigest()[:16]


def _order(recording: Recording) -> tuple[str, str, str, str]:
    return recording.subject, recording.session, recording.run, str(recording.path)


def _runner(engine: str, num_proc: int | None) -> Runner:
    """Return what runs the jobs: processes of this machine, or Ray."""
    if engine == "local":
        return partial(run_jobs, num_proc=num_proc or 1)
    if engine == "ray":
        from .ray_engine import run_jobs_on_ray

        return partial(run_jobs_on_ray, num_proc=num_proc)
    raise ValueError(f"engine must be 'local' or 'ray', got {engine!r}")


def _check_table(jobs: Sequence[ShardJob]) -> None:
    """Say which rows of the user's table belong to no recording; refuse a table that fits none."""
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


def _refuse_strangers(jobs: Sequence[ShardJob], output_dir: Path) -> None:
    """Refuse a folder with shards of something else: a reader would take them for part of this corpus."""
    own = {job.data_path.name for job in jobs}
    there = {
        path.name for folder in ("data", "alignment") for path in (output_dir / folder).glob("*.parquet")
    }
    strangers = sorted(there - own)
    if strangers:
        raise ValueError(
            f"{output_dir} already holds {len(strangers)} shards of something else ("
            f"{', '.join(strangers[:3])}, ...): remove them or choose another output folder"
        )


def _choose(jobs: Sequence[ShardJob], subjects: Collection[str] | None) -> list[ShardJob]:
    """Keep the subjects asked for, and those already prepared with the same settings."""
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


def _run(jobs: Sequence[ShardJob], output_dir: Path, runner: Runner) -> tuple[Rows, list[ShardJob]]:
    """Write what is missing; return the reports of every subject, and the jobs that had to be done."""
    for job in jobs:
        job.marker_path.unlink(missing_ok=True)  # of a preparation that was killed
    finished = {job.subject: job.current_reports() for job in jobs}
    todo = [job for job in jobs if not _is_whole(finished[job.subject])]
    if todo:
        # Without the card and shards of other settings, a killed run cannot be taken for a finished one.
        for name in (CARD, REPORT):
            (output_dir / name).unlink(missing_ok=True)
        for job in todo:
            job.clear()
    with logging.tqdm(
        total=sum(len(job.recordings) for job in jobs),
        initial=sum(len(job.recordings) for job in jobs if _is_whole(finished[job.subject])),
        desc="preparing",
        unit="recording",
    ) as bar:
        for job, reports in runner(todo):
            finished[job.subject] = reports
            bar.update(len(reports))
            for row in reports:
                if row["status"] != "ok":
                    logger.warning(f"{row['path']}: {row['reason']}")
    return {subject: rows or [] for subject, rows in finished.items()}, todo


def _is_whole(reports: Sequence[Mapping[str, Any]] | None) -> bool:
    """Tell whether a shard is there and nothing failed that could be tried again."""
    return reports is not None and all(report["status"] == "ok" for report in reports)


def _summarize(flat: Sequence[Mapping[str, Any]], output_dir: Path) -> dict[str, Any]:
    """Count what the reports of all recordings say."""
    ok = [row for row in flat if row["status"] == "ok"]
    dropped: Counter[str] = Counter()
    for row in flat:
        dropped.update(row["dropped"])
    return {
        "recordings_ok": len(ok),
        "recordings_failed": len(flat) - len(ok),
        "subjects": len({row["subject"] for row in ok}),
        "windows": sum(row["num_windows"] for row in ok),
        "dropped": {why: number for why, number in dropped.items() if number},
        "hours": sum(row["seconds"] for row in ok) / 3600,
        "channel_counts": dict(Counter(len(row["decisions"]["channels"]) for row in ok)),
        "failures": [{"path": row["path"], "reason": row["reason"]} for row in flat if row["status"] != "ok"],
        "output_dir": str(output_dir),
        "report": str(output_dir / REPORT),
    }


__all__ = ["CARD", "REPORT", "prepare"]
