# SPDX-License-Identifier: Apache-2.0
"""Results as Markdown tables and JSON, with the provenance needed to read and to reproduce them.

The same results give the same bytes: a report has no date, only the commit.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..atomic_files import write_text
from ..tables import NOTHING, escape_cell, markdown_table
from .by_subject import describe_difference

if TYPE_CHECKING:
    from .metrics import MetricSummary

Calibration = Literal["unseen", "first_30s", "20P", "50P", "aligned"]
Regime = Literal[Calibration, "known", "known_first_30s", "known_20P", "known_50P", "known_aligned"]

_CALIBRATED: Mapping[str, str] = {
    "first_30s": "calibrated on the subject's first 30 s",
    "20P": "calibrated on 20 % of the subject's unlabelled windows",
    "50P": "calibrated on 50 % of the subject's unlabelled windows",
}
REGIMES: Mapping[str, str] = {
    "unseen": "subject unseen",
    **_CALIBRATED,
    "aligned": "unlabelled windows of the subject used",
    "known": "subject trained on",
    **{f"known_{name}": f"subject trained on, and {text}" for name, text in _CALIBRATED.items()},
    "known_aligned": "subject trained on, and unlabelled windows of the test used",
}
"""What is known of a tested subject; windows that calibrate are not scored, except where all are used."""
_TARGET_DATA = {
    "unseen": "TRAIN",
    "first_30s": "TRAIN and the first 30 s of the target, unlabelled",
    "20P": "TRAIN_AND_TARGET_UNLABELED_20P",
    "50P": "TRAIN_AND_TARGET_UNLABELED_50P",
    "aligned": "TRAIN_AND_TARGET_UNLABELED_FULL",
}
TARGET_DATA: Mapping[str, str] = {
    **_TARGET_DATA,
    "known": _TARGET_DATA["unseen"],
    **{f"known_{name}": text for name, text in _TARGET_DATA.items() if name != "unseen"},
}
"""Regime -> what MOABB calls the data of the target that were used."""
METRIC_TITLES: Mapping[str, str] = {
    "balanced_accuracy": "Balanced accuracy",
    "auroc": "AUROC",
    "kappa": "Kappa",
    "macro_f1": "Macro F1",
    "accuracy": "Accuracy",
    "r2": "R²",
    "mae": "MAE",
    "nrmse_std": "NRMSE",
    "pearson": "Pearson r",
}
LESS_IS_BETTER = ("mae", "nrmse_std")
_SHOWN = {
    "balanced_accuracy": ("balanced_accuracy", "auroc", "kappa", "macro_f1"),
    "r2": ("r2", "mae", "nrmse_std", "pearson"),
}


@dataclass(frozen=True)
class ResultRow:
    """One method on one split.

    Attributes:
        method: Name, such as "EEGNet".
        regime: "unseen" where nothing of a tested subject was used before the test, "aligned" where their
            unlabelled windows were, or some of them ("first_30s", "20P", "50P"); "known" and so on where the
            training had labelled windows of tested subjects.
        split: How the data were split, such as "5 subject folds, cross-subject".
        metrics: Summary of each metric, see [`FoldScores`].
        num_subjects: Number of tested subjects.
        num_windows: Number of tested windows.
        seeds: Seeds of the runs.
        difference: Difference to the best baseline: its name as `baseline`, and a `PairedDifference`.
        protocol: "cross-subject", "cross-session" or "within-session", see `SplitContents`; empty in reports
            of before.
        by_subject: Subject -> its metrics, a mean over seeds; without those that are undefined for lack of a
            class.
        trained: Number of parameters that the training changed, see `WeightWatch`; None where not recorded.

    Raises:
        ValueError: If the regime is unknown.
    """

    method: str
    regime: Regime
    split: str
    metrics: "Mapping[str, MetricSummary]"
    num_subjects: int
    num_windows: int
    seeds: tuple[int, ...] = ()
    difference: Mapping[str, Any] | None = None
    protocol: str = ""
    by_subject: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    trained: int | None = None

    def __post_init__(self) -> None:
        if self.regime not in REGIMES:
            raise ValueError(f"regime: expected one of {', '.join(REGIMES)}, got {self.regime!r}")

    @property
    def target_data(self) -> str:
        """What MOABB calls the data of the tested subjects that were used."""
        return TARGET_DATA[self.regime]


def regime_of(is_known: bool, calibration: Calibration) -> Regime:
    """Return the regime of a test.

    Args:
        is_known: Whether windows of a tested subject were trained on.
        calibration: Which unlabelled windows of the tested subjects were used.
    """
    if not is_known:
        return calibration
    known: Any = "known" if calibration == "unseen" else f"known_{calibration}"
    return known


def calibration_of(signal: Mapping[str, Any]) -> Calibration:
    """Return which unlabelled windows of tested subjects a model uses, by its extractor's settings."""
    regime = signal.get("calibration_regime", "unseen")
    return "aligned" if regime == "all" or signal.get("alignment", "none") != "none" else regime


def main_metric(rows: Sequence[ResultRow]) -> str:
    """Return what methods are ranked by: balanced accuracy, or R² of a regression."""
    return "r2" if any("r2" in row.metrics for row in rows) else "balanced_accuracy"


def sort_rows(rows: Sequence[ResultRow], metric: str | None = None) -> list[ResultRow]:
    """Sort rows by split, by regime (unseen first), and by a metric, the main one by default."""
    name = metric or main_metric(rows)
    return sorted(
        rows, key=lambda row: (row.split, list(REGIMES).index(row.regime), -_score(row, name), row.method)
    )


def results_table(rows: Sequence[ResultRow], metrics: Sequence[str] | None = None) -> str:
    """Return a Markdown table for each split, with the paired tests below it; the best of a regime is bold.

    Several folds or seeds are written as mean ± population standard deviation, intervals in brackets.

    Args:
        rows: Results in any order.
        metrics: Columns; empty ones are left out. Default: those of classifiers, or of regressions.
    """
    metrics = metrics or _SHOWN[main_metric(rows)]
    tables = []
    for split in sorted({row.split for row in rows}):
        in_split = sort_rows([row for row in rows if row.split == split])
        lines = [_table_row(row, metrics, in_split) for row in in_split]
        table = markdown_table(lines, texts=("Method", "Regime"))
        tables.append(f"**{escape_cell(split)}**\n\n{table}")
        tables.append("\n".join([*_paired_tests(in_split), *_notes(in_split)]))
    return "\n\n".join(tables) + "\n"


def write_report(
    folder: str | Path,
    rows: Sequence[ResultRow],
    provenance: Mapping[str, Any],
    figures: Mapping[str, str | Path] | None = None,
    title: str = "Results",
) -> None:
    """Write `report.md` and `metrics.json`.

    Args:
        folder: Where to write; created if missing.
        rows: Results in any order.
        provenance: See [`collect_provenance`].
        figures: Path of each figure by its caption.
        title: Heading of the report.
    """
    ordered = sort_rows(rows)
    results = [{**asdict(row), "target_data": row.target_data} for row in ordered]
    sections = [f"# {title}", _reading_guide(provenance), results_table(ordered).rstrip()]
    write_sections(Path(folder), results, sections, provenance, figures or {})


def write_sections(
    folder: Path,
    results: Sequence[Mapping[str, Any]],
    sections: Sequence[str],
    provenance: Mapping[str, Any],
    figures: Mapping[str, str | Path],
) -> None:
    """Write results as `metrics.json`, and sections, figures and provenance as `report.md`."""
    write_json(folder / "metrics.json", {"provenance": dict(provenance), "results": list(results)})
    shown = [
        f"![{caption}]({Path(os.path.relpath(path, folder)).as_posix()})\n\n*{caption}*"
        for caption, path in figures.items()
    ]
    last = "## Provenance\n\n" + "\n".join(provenance_lines(provenance))
    write_text(folder / "report.md", "\n\n".join([*sections, *shown, last]) + "\n")


def read_report(folder: str | Path) -> tuple[list[ResultRow], dict[str, Any]]:
    """Return the rows and the provenance written by `write_report`; null becomes NaN."""
    content = json.loads((Path(folder) / "metrics.json").read_text(encoding="utf-8"))
    known = {item.name for item in fields(ResultRow)}  # reports of before had more
    rows = []
    for row in content["results"]:
        restored = {"metrics": _restore_metrics(row["metrics"]), "seeds": tuple(row["seeds"])}
        rows.append(ResultRow(**{name: value for name, value in row.items() if name in known} | restored))
    return rows, content["provenance"]


def write_json(path: str | Path, content: Any) -> None:
    """Write standard JSON atomically: NaN and infinity become null."""
    write_text(Path(path), json.dumps(_defined(content), indent=2, ensure_ascii=False) + "\n")


def _score(row: ResultRow, metric: str) -> float:
    """Return the mean of a metric so that more is better, minus infinity where it is undefined."""
    mean = row.metrics[metric]["mean"] if metric in row.metrics else math.nan
    if math.isnan(mean):
        return -math.inf
    return -mean if metric in LESS_IS_BETTER else mean


def _table_row(row: ResultRow, metrics: Sequence[str], in_split: Sequence[ResultRow]) -> dict[str, str]:
    """Return the cells of a row by the titles of their columns."""
    peers = [other for other in in_split if other.regime == row.regime]
    cells = {"Method": escape_cell(row.method), "Regime": REGIMES[row.regime]}
    for name in metrics:
        best = max(_score(peer, name) for peer in peers)
        is_best = len(peers) > 1 and _score(row, name) == best > -math.inf
        cell = format_summary(row.metrics.get(name, {}))
        cells[METRIC_TITLES.get(name, name)] = f"**{cell}**" if is_best else cell
    return {
        **cells,
        **_averages(row, metrics[0]),
        "Trained": NOTHING if row.trained is None else f"{row.trained:,}",
        "Subjects": str(row.num_subjects),
        "Windows": f"{row.num_windows:,}",
        "Seeds": ", ".join(map(str, row.seeds)) or NOTHING,
    }


def _averages(row: ResultRow, metric: str) -> dict[str, str]:
    """Return the pooled metric and its mean over subjects, which a mean over folds may hide."""
    title, summary = METRIC_TITLES.get(metric, metric), row.metrics.get(metric, {})
    means = {"pooled": summary.get("pooled"), "mean of subjects": summary.get("subject_mean")}
    if summary.get("pooled") is None and metric == "r2":  # is pooled, and undefined within subjects
        return {}
    return {f"{title}, {name}": format_summary({"mean": mean}) for name, mean in means.items()}


def _paired_tests(rows: Sequence[ResultRow]) -> Iterator[str]:
    """Yield the paired test of each method against the best baseline."""
    for row in rows:
        if row.difference:
            yield f"* {row.method} ({REGIMES[row.regime]}): {describe_difference(row.difference)}."


def _notes(rows: Sequence[ResultRow]) -> Iterator[str]:
    """Yield what the regimes are called elsewhere, and why intervals are missing."""
    regimes = [regime for regime in REGIMES if any(row.regime == regime for row in rows)]
    names = "; ".join(f"{REGIMES[regime]}: {TARGET_DATA[regime]}" for regime in regimes)
    protocols = ", ".join(sorted({row.protocol for row in rows if row.protocol}))
    yield f"* In MOABB's terms{f', {protocols}' if protocols else ''}: {names}."
    if all(row.num_subjects == 1 for row in rows):
        yield "* No interval: one subject was tested."


def format_summary(summary: Mapping[str, Any], decimals: int = 3) -> str:
    """Return `0.750 ± 0.038 [0.700, 0.790]`, as far as known, and how many folds are undefined."""
    mean, sd, lacking = summary.get("mean"), summary.get("sd"), summary.get("undefined_folds")
    if mean is None or math.isnan(mean):
        return NOTHING
    text = f"{mean:.{decimals}f}"
    if sd is not None and len(summary.get("values", (0, 0))) > 1 and not lacking:
        text += f" ± {sd:.{decimals}f}"
    if summary.get("interval") is not None:
        low, high = summary["interval"]
        text += f" [{low:.{decimals}f}, {high:.{decimals}f}]"
    if lacking:
        is_pooled = "pooled" in summary or "values" not in summary
        text += f" ({'pooled; ' * is_pooled}undefined in {lacking[0]} of {lacking[1]} folds)"
    return text


def format_count(number: int) -> str:
    """Return `950`, `12.5 k` or `3.20 M`."""
    if number >= 1_000_000:
        return f"{number / 1_000_000:.2f} M"
    return f"{number / 1000:.1f} k" if number >= 1000 else str(number)


def _reading_guide(provenance: Mapping[str, Any]) -> str:
    of_classes = (
        "A number is the mean over folds and seeds, ± the population standard deviation over folds or seeds, "
        "brackets its 95 % interval over subjects. Where a fold lacks a class, the number is that of all "
        "folds together (pooled)."
    )
    of_numbers = (
        "A number is that of all folds together, ± the population standard deviation over seeds, brackets "
        "its 95 % interval over subjects. MAE has the unit of the labels; an R² of 0, an NRMSE of 1, is what "
        "their mean reaches."
    )
    sentences = [
        of_numbers if provenance.get("task") == "regression" else of_classes,
        "Compare methods within a regime only.",
    ]
    if "chance" in provenance:
        chance = [
            f"{METRIC_TITLES.get(name, name)} {value:.3f}" for name, value in provenance["chance"].items()
        ]
        sentences.append(f"Always predicting the most frequent class reaches: {', '.join(chance)}.")
    return " ".join(sentences)


def provenance_lines(provenance: Mapping[str, Any]) -> list[str]:
    """Return the facts as items of a Markdown list."""
    lines = []
    for name, value in provenance.items():
        if name == "chance":
            continue
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {item}" for key, item in value.items())
        elif isinstance(value, (list, tuple)):
            value = ", ".join(map(str, value)) or "none"
        lines.append(f"- {name.replace('_', ' ')}: {'unknown' if value is None else value}")
    return lines


def _defined(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {str(key): _defined(value) for key, value in content.items()}
    if hasattr(content, "tolist"):  # an array or a number of numpy
        content = content.tolist()
    if isinstance(content, (list, tuple)):
        return [_defined(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _restore_metrics(metrics: Mapping[str, Any]) -> "dict[str, MetricSummary]":
    """Turn null back into NaN, and pairs back into tuples."""

    def restore(value: Any) -> Any:
        if isinstance(value, list):
            return [restore(each) for each in value]
        return math.nan if value is None else value

    restored: dict[str, Any] = {}
    for name, summary in metrics.items():
        restored[name] = {key: restore(value) for key, value in summary.items()}
        for key in ("interval", "undefined_folds"):
            if key in summary:
                restored[name][key] = tuple(summary[key])
    return restored
