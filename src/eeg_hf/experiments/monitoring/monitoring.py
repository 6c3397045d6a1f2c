# SPDX-License-Identifier: Apache-2.0
"""Compare new recordings with the training of a model, keep a log, and raise alarms of a stated rate."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from ...bundled_weights import find_weights
from ...legible_text import legible
from ..prediction.predicting import load_pipeline
from ..prediction.sources import Source, find_sources, is_prepared
from ..training_statistics import FILE, TrainingStatistics, measure_recording
from .arguments import MonitorArguments
from .drift_tests import FEWEST, calibration_of, join, raise_alarms, recording_p_values, shift_p_values
from .log import LOG, as_cells, as_facts, describe_model, read_log, state_text, write_log
from .page import PAGE, write_monitor_page

ALARM = 1  # exit code
_WORTH_NAMING = 0.05


def run(args: MonitorArguments) -> None:
    """Measure what the log does not hold yet, append it, write the page, and print the alarms.

    Raises:
        ValueError: If the model has no statistics of its training, or nothing could be read.
    """
    args.check()
    source, folder = find_weights(str(args.model)), Path(args.output_dir)
    statistics = load_statistics(source)
    model = describe_model(source)
    log = read_log(folder, model)
    if prepared := [word for word in args.inputs if is_prepared(word)]:
        raise ValueError(f"expected recordings, got the prepared windows {prepared[0]}")
    known = set(zip(log["file"], log["state"], strict=True))
    new = [
        (each, about)
        for each in find_sources(args.inputs, args.corpus_options)
        for about in [{"file": str(each.path.resolve()), "state": state_text(each.path)}]
        if (about["file"], about["state"]) not in known
    ]
    classify = load_pipeline(source, args.device) if new else None
    call = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "model": model}
    rows = [
        {**call, **about, **watch(classify, each, statistics)}
        for each, about in tqdm(new, "watching", unit="recording", disable=None)
    ]
    if rows and len(log) == 0 and all("problem" in row for row in rows):
        raise ValueError(f"none of {len(rows)} recordings could be read: {rows[0]['problem']}")
    mark_alarms(rows, args.false_alarm_rate / 2)
    table = pd.concat([log, pd.DataFrame(rows)], ignore_index=True) if rows else log
    shifts = find_shifts(table, statistics, args.recent)
    alarms = describe_shifts(shifts, args, table)
    if rows:
        table.loc[len(log) :, "shift"] = "; ".join(alarms)
        write_log(table, folder)
        write_monitor_page(folder / PAGE, str(args.model), table, statistics, alarms, args)
    of_rows = [f"{row['file']}: {row['alarm']}" for row in rows if row.get("alarm")]
    problems = [f"not read: {row['file']}: {row['problem']}" for row in rows if "problem" in row]
    sys.stdout.write(report(len(rows), len(log), [*of_rows, *alarms], problems, folder))
    if args.fail_on_alarm and (of_rows or alarms or problems):
        sys.exit(ALARM)


def load_statistics(model: str) -> TrainingStatistics:
    """Return what is known of the training of a model.

    Raises:
        ValueError: If that is nothing, or too little for a rate of false alarms.
    """
    statistics = TrainingStatistics.load(model)
    if statistics is None:
        raise ValueError(
            f"{model} holds no {FILE}: expected a model of `eeg-hf finetune` or `eeg-hf study`, which write "
            "it where at least four recordings are trained on"
        )
    counts = {len(calibration_of(statistics, name)) for name in ("spectrum", "amplitude")}
    if max(counts) < FEWEST:
        why = (
            f"{statistics.number} recordings" if statistics.number < FEWEST else "a version without distances"
        )
        raise ValueError(
            f"{model}: its {FILE} is of {why}, expected {FEWEST} recordings or more for a rate of false "
            "alarms: train again"
        )
    return statistics


def watch(classify: Any, source: Source, statistics: TrainingStatistics) -> dict[str, Any]:
    """Return the cells of one recording: its measures, distances and p-values; or why it was not read."""
    about: dict[str, Any] = {"subject": source.subject or str(source.path.resolve())}
    try:
        raw = source.read()
        facts = measure_recording(raw, classify.model, classify.feature_extractor)
    except (ValueError, OSError, ImportError) as error:
        return {**about, "problem": legible(" ".join(str(error).split()))}
    p_values, deviations = recording_p_values(statistics, facts), statistics.deviations(facts)
    if "embedding" in deviations:
        about["embedding"] = deviations["embedding"]
    details = {name: statistics.describe(name, facts) for name in p_values}
    return {
        **about,
        "seconds": float(raw.times[-1]),
        **as_cells(facts),
        **{f"distance: {name}": value for name, value in statistics.distances(facts).items()},
        **{f"p: {name}": value for name, value in p_values.items()},
        "p": join(p_values),
        "difference": describe_differences(p_values, details),
    }


def describe_differences(p_values: Mapping[str, float], details: Mapping[str, str]) -> str:
    """Return in which measures a recording is unlike the training, and how; at least in the worst."""
    ordered = sorted(p_values, key=lambda name: p_values[name])
    named = [
        name for name in ordered if name == ordered[0] or len(p_values) * p_values[name] <= _WORTH_NAMING
    ]
    told = [f"{name} differs ({details[name]})" if details[name] else f"{name} differs" for name in named]
    return f"{', '.join(told)}, p = {join(p_values):.2g}"


def mark_alarms(rows: Sequence[dict[str, Any]], rate: float) -> None:
    """Add `alarm`, in words, to the rows of a call; empty where there is none."""
    read = [row for row in rows if "problem" not in row]
    raised = raise_alarms([row["p"] for row in read], rate)
    for row, is_alarm in zip(read, raised, strict=True):
        row["alarm"] = row["difference"] if is_alarm else ""


def find_shifts(log: pd.DataFrame, statistics: TrainingStatistics, recent: int) -> dict[str, float]:
    """Return the p-value of each measure of the last recordings together."""
    read = log[log["problem"].isna()] if "problem" in log else log
    last = read.tail(recent)
    if len(last) < 2:
        return {}
    facts = [as_facts(row) for _, row in last.iterrows()]
    return shift_p_values(statistics, facts, list(last["subject"]))


def describe_shifts(shifts: Mapping[str, float], args: MonitorArguments, log: pd.DataFrame) -> list[str]:
    """Return an alarm for each measure in which the last recordings differ from the training."""
    number = min(args.recent, len(log))
    return [
        f"the last {number} recordings together: {name} differs, p = {min(1.0, len(shifts) * p_value):.2g}"
        for name, p_value in shifts.items()
        if len(shifts) * p_value <= args.false_alarm_rate / 2
    ]


def report(new: int, before: int, alarms: list[str], problems: list[str], folder: Path) -> str:
    """Return what is printed."""
    lines = [f"{new} new recordings, {before} in the log before: {folder / LOG}, {folder / PAGE}"]
    lines += [f"ALARM: {legible(alarm)}" for alarm in alarms] or ["no alarm"]
    return "\n".join([*lines, *problems]) + "\n"


__all__ = ["find_shifts", "load_statistics", "run", "watch"]
