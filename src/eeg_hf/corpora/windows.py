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

import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import yaml
from transformers.utils import logging

from .corpus import Corpus
from .encoding import encode_windows, quantize, window_schema
from .pool import run_jobs
from .shards import Extractor, ShardJob, WindowPlan

logger = logging.get_logger(__name__)

REPORT = "report.jsonl"
CARD = "README.md"


def prepare(
    corpus: Corpus,
    root: Path | str | None,
    output_dir: Path | str,
    extractor: Extractor,
    *,
    segments: Literal["fixed", "events"] = "fixed",
    stride_seconds: float | None = None,
    num_proc: int = 1,
    tmin: float = 0.0,
    subjects: Collection[str] | None = None,
) -> dict[str, Any]:
    """Clean, cut and store all recordings of a corpus.

    Args:
        corpus: What to prepare.
        root: Its folder, as `corpus.locate()` returns it; `None` to locate it.
        output_dir: Where the windows go.
        extractor: How recordings are cleaned, and `window_seconds`, how long a window is.
        segments: `"fixed"` cuts windows one after another, `"events"` one at each event.
        stride_seconds: From the start of one window to that of the next; default: their length. For
            `"fixed"`.
        num_proc: Processes; each holds one recording in memory.
        tmin: From an event to the start of its window, in seconds. For `"events"`.
        subjects: Prepare these only, beside those that the folder already holds.

    Returns:
        Counts (`recordings_ok`, `recordings_failed`, `windows`, `dropped`, `hours`, `shards_written`,
        `shards_reused`), `failures` (path and reason), speed (`hours_per_minute_per_core`, of what was
        prepared now), `channel_counts`, and the paths `output_dir` and `report`.

    Raises:
        RuntimeError: If no recording gave a window, with the reasons.
        ValueError: If the settings contradict each other, or `output_dir` holds shards of something else.
        OSError: If a shard cannot be written.

    Example:
        >>> from eeg_hf import EEGFeatureExtractor, get_corpus
        >>> report = prepare(get_corpus("simulated"), None, "out", EEGFeatureExtractor())  # doctest: +SKIP
    """
    if extractor.window_seconds is None:
        raise ValueError("preparing windows needs a length: set window_seconds of the feature extractor")
    if segments == "events" and not corpus.has_events:
        raise ValueError(f"{corpus.name} has no events: use segments='fixed'")
    if num_proc < 1:
        raise ValueError(f"num_proc must be 1 or more, got {num_proc}")
    plan = WindowPlan(segments, extractor.window_seconds, stride_seconds or extractor.window_seconds, tmin)
    root = corpus.locate(subjects=subjects) if root is None else Path(root)
    output_dir = Path(output_dir)
    recordings = sorted(corpus.recordings(root), key=lambda r: (r.subject, r.session, r.run))
    jobs = [
        ShardJob(corpus, root, output_dir, subject, tuple(group), extractor, plan)
        for subject, group in groupby(recordings, key=lambda recording: recording.subject)
    ]
    _refuse_strangers(jobs, output_dir)
    jobs = _choose(jobs, subjects)
    started = time.monotonic()
    rows, todo = _run(jobs, output_dir, num_proc)
    report = _summarize(rows, output_dir)
    report.update(corpus=corpus.name, shards_written=sum(job.data_path.exists() for job in todo))
    report["shards_reused"] = len(jobs) - len(todo)
    report["elapsed_seconds"] = time.monotonic() - started
    done_now = sum(row["seconds"] for job in todo for row in rows[job.subject] if row["status"] == "ok")
    cores = max(1, min(num_proc, len(todo)))
    speed = done_now / 3600 / (report["elapsed_seconds"] / 60) / cores
    report["hours_per_minute_per_core"] = speed if todo else None
    _write_text(
        output_dir / REPORT, "".join(json.dumps(row, default=str) + "\n" for r in rows.values() for row in r)
    )
    if report["windows"] == 0:
        reasons = Counter(failure["reason"] for failure in report["failures"]).most_common(3)
        shown = "; ".join(f"{reason} ({number} recordings)" for reason, number in reasons)
        raise RuntimeError(
            f"no window could be prepared from {report['recordings_failed']} recordings in {root}: {shown}"
        )
    extractor.save_pretrained(output_dir)
    _write_text(output_dir / CARD, _card(corpus, extractor, plan, report))
    return report


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


def _run(
    jobs: Sequence[ShardJob], output_dir: Path, num_proc: int
) -> tuple[dict[str, list[dict[str, Any]]], list[ShardJob]]:
    """Write what is missing; return the reports of every subject, and the jobs that had to be done."""
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
        desc=f"preparing {jobs[0].corpus.name}",
        unit="recording",
    ) as bar:
        for job, reports in run_jobs(todo, num_proc):
            finished[job.subject] = reports
            bar.update(len(reports))
            for row in reports:
                if row["status"] != "ok":
                    logger.warning(f"{row['path']}: {row['reason']}")
    return {subject: rows or [] for subject, rows in finished.items()}, todo


def _is_whole(reports: Sequence[Mapping[str, Any]] | None) -> bool:
    """Tell whether a shard is there and nothing failed that could be tried again."""
    return reports is not None and all(report["status"] == "ok" for report in reports)


def _summarize(rows: Mapping[str, Sequence[Mapping[str, Any]]], output_dir: Path) -> dict[str, Any]:
    """Count what the reports say."""
    flat = [row for reports in rows.values() for row in reports]
    ok = [row for row in flat if row["status"] == "ok"]
    dropped: Counter[str] = Counter()
    for row in flat:
        dropped.update(row["dropped"])
    return {
        "recordings_ok": len(ok),
        "recordings_failed": len(flat) - len(ok),
        "windows": sum(row["num_windows"] for row in ok),
        "dropped": {why: number for why, number in dropped.items() if number},
        "hours": sum(row["seconds"] for row in ok) / 3600,
        "channel_counts": dict(Counter(len(row["decisions"]["channels"]) for row in ok)),
        "failures": [{"path": row["path"], "reason": row["reason"]} for row in flat if row["status"] != "ok"],
        "output_dir": str(output_dir),
        "report": str(output_dir / REPORT),
    }


def _card(corpus: Corpus, extractor: Extractor, plan: WindowPlan, report: Mapping[str, Any]) -> str:
    """Write the card, whose header tells `datasets` which files make which configuration."""
    header = {
        "license": corpus.hub_licence,
        "pretty_name": f"{corpus.title}, {plan.window_seconds:g}-s windows",
        "tags": ["eeg", "eeg_hf"],
        "configs": [
            {"config_name": "windows", "default": True, "data_files": "data/*.parquet"},
            {"config_name": "alignment", "data_files": "alignment/*.parquet"},
        ],
    }
    settings = json.dumps(extractor.to_dict(), indent=2, sort_keys=True, default=str)
    how = (
        f"every {plan.stride_seconds:g} s"
        if plan.segments == "fixed"
        else f"{plan.tmin:+g} s from the onset of each event"
    )
    dropped = ", ".join(f"{number} {why}" for why, number in sorted(report["dropped"].items())) or "none"
    channels = ", ".join(
        f"{number} recordings with {count}" for count, number in report["channel_counts"].items()
    )
    return f"""---
{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---

# {corpus.title}: windows

{report["windows"]} windows of {plan.window_seconds:g} s, {how}, from {report["recordings_ok"]} recordings
({report["hours"]:.2f} hours; {report["recordings_failed"]} recordings failed, see `{REPORT}`).
Windows dropped: {dropped}. Channels: {channels}. Recorded against: {corpus.reference}.

Prepared with eeg_hf; readable without it:

```python
import numpy as np
from datasets import load_dataset

row = load_dataset("path/to/this/folder", split="train")[0]
samples = np.frombuffer(row["signal"], "<i2").reshape(-1, row["num_samples"])  # (channels, time)
microvolt = samples * np.array(row["scale"])[:, None]
```

`load_dataset("path/to/this/folder", "alignment")` holds the mean covariance of all windows of a subject,
for alignment without labels. Channels in `bad_channels` hold zeros. `signal_hash` is a hash of the samples
without their scale.

Licence: {corpus.licence}. Source: {corpus.url or corpus.title}. Cite: {corpus.citation}

```json
{settings}
```
"""


def _write_text(path: Path, text: str) -> None:
    """Write a file that is never seen half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


__all__ = ["CARD", "REPORT", "encode_windows", "prepare", "quantize", "window_schema"]
