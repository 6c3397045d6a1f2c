# SPDX-License-Identifier: Apache-2.0
"""The page of `eeg-hf monitor`: what was found, and each measure over time."""

import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...evaluation.plots import GREY, INK, SKY, VERMILION, drawing
from ..plain_page import write_page
from ..training_statistics import MEASURES, TrainingStatistics
from .arguments import MonitorArguments
from .drift_tests import calibration_of

PAGE = "monitor.html"
_MOST_DOTS, _MOST_ROWS = 500, 50
_TITLES = {
    "spectrum": "Spectrum, its most unusual band",
    "amplitude": "Amplitude",
    "quality": "Quality",
    "embedding": "Embedding: what the head reads",
    "scores": "Scores: what the model answers",
}


def write_monitor_page(
    path: Path,
    model: str,
    log: pd.DataFrame,
    statistics: TrainingStatistics,
    shifts: Sequence[str],
    args: MonitorArguments,
) -> None:
    """Write the page.

    Args:
        path: The file.
        model: As it was named.
        log: A row for each recording, the oldest first.
        statistics: Of the training.
        shifts: Alarms of the last recordings together.
        args: The options.
    """
    alarms = log[log["alarm"].fillna("") != ""] if "alarm" in log else log[:0]
    unread = log[log["problem"].notna()] if "problem" in log else log[:0]
    lines = [f'<p class="alarm">{escape(text)}</p>' for text in shifts]
    last = log["time"].max()
    now = alarms[alarms["time"] == last] if len(alarms) else alarms
    lines += [
        f'<p class="alarm">{escape(Path(row.file).name)}: {escape(row.alarm)}</p>' for row in now.itertuples()
    ]
    if not lines:
        lines.append('<p class="quiet">No alarm in the last call.</p>')
    lines.append(
        f"<p>{len(log)} recordings since {_readable(log['time'].min())}, the last at {_readable(last)}: "
        f"alarms in all {len(alarms)}, not read {len(unread)}. Compared with {statistics.number} recordings "
        f"of the training. While nothing changes, at most {args.false_alarm_rate:.1%} of the calls raise an "
        f"alarm: half of that for single recordings, half for the last {args.recent} together.</p>"
    )
    drawn = [figure for name in MEASURES if (figure := _draw(name, log, statistics))]
    lines.append(f'<div class="figures">{"".join(drawn)}</div>')
    lines.append(
        "<p>A dot is a recording: its distance from the training in units of the limit, by order of arrival; "
        "grey on the left are the training recordings, each against the other subjects.</p>"
    )
    lines += [_as_table("Alarms", alarms, "alarm"), _as_table("Not read", unread, "problem")]
    write_page(path, f"What {model} meets", "\n".join(lines))


def _draw(name: str, log: pd.DataFrame, statistics: TrainingStatistics) -> str:
    """Return the figure of a measure as HTML; nothing where it was not measured."""
    calibration = calibration_of(statistics, name)
    column = f"distance: {name}"
    if column not in log or not len(calibration):
        return ""
    rows = log[log[column].notna()].tail(_MOST_DOTS)
    values = rows[column].to_numpy(float)
    limit = float(statistics.facts[f"{name}_limit"][0])
    is_alarm = rows["alarm"].fillna("").str.contains(f"{name} differs").to_numpy(bool)
    with drawing(4.4, 2.6, None) as figure:
        axes = figure.add_subplot()
        width = max(len(values), 10)
        places = -width * (0.05 + 0.25 * np.linspace(0, 1, len(calibration)))
        style: dict[str, Any] = {"s": 14, "linewidth": 0}
        axes.scatter(places, _shown(calibration / max(limit, 1e-9)), color=GREY, **style)
        axes.scatter(np.flatnonzero(~is_alarm), _shown(values[~is_alarm]), color=SKY, **style)
        axes.scatter(np.flatnonzero(is_alarm), _shown(values[is_alarm]), color=VERMILION, marker="D", **style)
        axes.axhline(1, color=GREY, linewidth=1, linestyle="--")
        axes.axvline(-0.02 * width, color=GREY, linewidth=0.8)
        axes.set(yscale="log", xlabel="recording", ylabel="distance, in limits", title=_TITLES[name])
        locator: Any = axes.xaxis.get_major_locator()
        locator.set_params(integer=True)
        axes.set_ylim(min(0.1, *axes.get_ylim()), max(3.0, *axes.get_ylim()))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= width])
        memory = io.StringIO()
        figure.savefig(memory, format="svg", transparent=True, metadata={"Date": None})
    svg = memory.getvalue()
    svg = svg[svg.index("<svg") :].replace(INK.lower(), "currentColor").replace(INK, "currentColor")
    said = f"{name}: {len(values)} recordings, {int(is_alarm.sum())} alarms, the largest distance "
    said += f"{values.max():.2f} limits" if len(values) else "unknown"
    return f'<figure role="img" aria-label="{escape(said)}">{svg}</figure>'


def _shown(values: np.ndarray) -> np.ndarray:
    """Return distances on the part of a logarithmic axis that is worth drawing."""
    return np.clip(values, 0.01, 1e4)


def _readable(time: str) -> str:
    """Return a time of the log without seconds."""
    return f"{escape(time[:16].replace('T', ' '))} UTC"


def _as_table(title: str, rows: pd.DataFrame, column: str) -> str:
    """Return the last of these recordings as HTML."""
    if not len(rows):
        return ""
    shown = rows.tail(_MOST_ROWS).iloc[::-1]
    cells = "".join(
        f"<tr><td>{_readable(row['time'])}</td><td>{escape(row['file'])}</td><td>{escape(row[column])}</td></tr>"
        for _, row in shown.iterrows()
    )
    return f"<h2>{title}</h2><table><tr><th>Time</th><th>File</th><th>What</th></tr>{cells}</table>"


__all__ = ["PAGE", "write_monitor_page"]
