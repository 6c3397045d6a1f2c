# SPDX-License-Identifier: Apache-2.0
"""The rows of a card's table of results, read from the reports of the scripts that evaluate."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

import numpy as np
from scipy.stats import bootstrap

from .card_facts import (
    UNKNOWN,
    CodecResultFacts,
    InfillingResultFacts,
    ResultFacts,
    RetrievalResultFacts,
)
from .eval_results import CODEC_METRICS, DIRECTIONS, INFILLING_METRICS, LEVELS, retrieval_title

Report = Mapping[str, Any]
Evaluation = str | Path | Sequence[tuple[str, str | Path]]
_SPREAD = ("interval", "sd", "values")  # over what was asked, or over seeds
_PEOPLE = {"correlation": "by_subject", "nrmse_std": "nrmse_by_subject"}
CHANCE = "chance"

_CODEC_ROW = (
    *("corpus", "sampling_rate", "bits_per_second", "budget_bits_per_second", "compression_ratio"),
    *("total_compression_ratio", "parameters", "num_subjects", "num_windows"),
)


def read_reports(evaluation: Evaluation, name: str) -> list[tuple[str, Report]]:
    """Read what was measured.

    Args:
        evaluation: Folder of eeg-hf evaluate or eeg-hf evaluate-infilling, or a file of
            scripts/eval_retrieval.py; of those also several, with the name of a method before each.
        name: Of a method that has none.

    Returns:
        Name and report; a file of several methods is as many.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is none.
    """
    reports: list[tuple[str, Report]] = []
    for method, given in [("", evaluation)] if isinstance(evaluation, str | Path) else evaluation:
        path = Path(given)
        report = read_json(path if path.suffix == ".json" else path / "metrics.json", "an evaluation")
        methods = report.get("methods", {method or name: report})
        reports += [(each, {**report, **scores}) for each, scores in methods.items()]
    return reports


def read_results(
    reports: Sequence[tuple[str, Report]],
    own: Collection[str],
    regime: str,
    split: str | None = None,
) -> tuple[ResultFacts, ...]:
    """Take the rows of reports over; tell this model from the baselines.

    Args:
        reports: See [`read_reports`].
        own: Which methods are this model.
        regime: Of the rows that do not say theirs, see `REGIMES`.
        split: How the windows of the training were split, where its folder says so.

    Raises:
        ValueError: If no method is called so, two rows are the same, or a report is of something else.
    """
    rows: list[ResultFacts] = []
    for name, report in reports:
        if "eeg_to_image" in report:
            rows += _retrieval_results(name, report, own, regime, split)
        elif len(reports) > 1:
            raise ValueError("evaluation: only files of eeg-hf eval-retrieval can be several")
        elif "hidden" in report:
            rows += _infilling_results(report, own, regime)
        elif "results" in report:
            rows += (_listed_result(row, own, regime, report["provenance"]) for row in report["results"])
        else:
            raise ValueError(f"evaluation: expected results, hidden or eeg_to_image, got {', '.join(report)}")
    _check_own({row.method for row in rows} - {CHANCE}, own)
    return tuple(_without_repeated_chance(rows))


def _check_own(methods: Collection[str], own: Collection[str]) -> None:
    unknown = sorted(set(own) - set(methods))
    if unknown:
        known = ", ".join(sorted(methods)) or "no method, because no evaluation was given"
        raise ValueError(f"own_methods: the table has no {', '.join(unknown)}; it has {known}")
    if methods and not own:
        raise ValueError(f"own_methods: say which of {', '.join(sorted(methods))} is this model")


def _without_repeated_chance(rows: Sequence[ResultFacts]) -> Iterator[ResultFacts]:
    """Yield all rows, and chance once for each test; every report brings its own."""
    seen = set()
    for row in rows:
        key = (row.method, row.test) if isinstance(row, RetrievalResultFacts) else None
        if key in seen and row.method != CHANCE:
            raise ValueError(f"evaluation {row.method}: two files of the same test, expected a name for each")
        if key is None or key not in seen:
            yield row
        seen |= {key} - {None}


def _listed_result(row: Report, own: Collection[str], regime: str, about: Report) -> ResultFacts:
    """Take a row of eeg-hf evaluate over."""
    if "codec" in row:
        return _codec_result(row, row["codec"] in own, regime, about)
    return ResultFacts(
        method=row["method"],
        is_own=row["method"] in own,
        regime=row["regime"],
        split=row["split"],
        metrics=row["metrics"],
        num_subjects=row["num_subjects"],
        num_windows=row["num_windows"],
        seeds=tuple(row["seeds"]),
    )


def _codec_result(row: Report, is_own: bool, regime: str, about: Report) -> CodecResultFacts:
    """Take the row of a codec over, with the metrics that a card shows."""
    return CodecResultFacts(
        method=row["codec"],
        is_own=is_own,
        regime=regime,
        split=about["split"],
        metrics={name: row["metrics"][name] for name in CODEC_METRICS if name in row["metrics"]},
        seeds=tuple(about["seeds"][: row["seeds"]]) if row["seeds"] > 1 else (),
        **{name: row[name] for name in _CODEC_ROW},
    )


def _infilling_results(report: Report, own: Collection[str], regime: str) -> Iterator[InfillingResultFacts]:
    """Yield each method at each share hidden, and with nothing hidden what is off."""
    about = report["provenance"]
    found = [
        (method, float(share.removesuffix("%")) / 100, runs, INFILLING_METRICS)
        for method, shares in report["hidden"].items()
        for share, runs in shares.items()
    ]
    found += [(method, 0.0, runs, LEVELS) for method, runs in report["levels_db"].items()]
    for method, hidden, runs, metrics in found:
        summaries = {
            name: _over_runs([run[name] for run in runs])
            | _over_people([run[_PEOPLE[name]] for run in runs if hidden and _PEOPLE[name] in run])
            for name in metrics
            if name in runs[0]  # a band beyond what the rate allows is not
        }
        yield InfillingResultFacts(
            method=method,
            is_own=method in own,
            regime=regime,
            split=about["split"],
            metrics=summaries,
            num_subjects=about["people"],
            num_windows=about["windows"],
            seeds=tuple(about["seeds"][: len(runs)]) if len(runs) > 1 else (),
            hidden=hidden,
            stretch_seconds=about["stretch_seconds"],
        )


def _over_runs(values: Sequence[float | None]) -> dict[str, Any]:
    """Summarise a metric of several runs; `None` is undefined."""
    known = [value for value in values if value is not None]
    mean, sd = (fmean(known), pstdev(known)) if known else (None, None)
    return {"mean": mean, "sd": sd, "values": list(values)}


def _over_people(runs: Sequence[Mapping[str, float | None]]) -> dict[str, Any]:
    """Return the mean over runs of each person, and a 95 % interval of the mean over people."""
    if not runs:
        return {}
    people = [_over_runs([run[person] for run in runs])["mean"] for person in sorted(runs[0])]
    known = np.array([value for value in people if value is not None])
    if len(known) < 2:
        return {"people": people}
    random = np.random.default_rng(0)
    found = bootstrap((known,), np.mean, method="percentile", random_state=random).confidence_interval
    return {"people": people, "interval": [float(found.low), float(found.high)]}


def _retrieval_results(
    method: str, report: Report, own: Collection[str], regime: str, split: str | None
) -> Iterator[RetrievalResultFacts]:
    """Yield the method and chance in both directions."""
    about = report["provenance"]
    settings = about["settings"]
    part = f"part {about['split'] or UNKNOWN}"
    for direction in DIRECTIONS:
        scores = {name: score for name, score in report[direction].items() if retrieval_title(name)}
        row = RetrievalResultFacts(
            method=method,
            is_own=method in own,
            regime=regime,
            split=f"{split} split, {part}" if split else part,
            metrics={
                name: {"mean": score["value"], **{k: score[k] for k in _SPREAD if k in score}}
                for name, score in scores.items()
            },
            seeds=tuple(range(len(next(iter(scores.values())).get("values", ())))),
            num_subjects=about["num_subjects"],
            num_windows=about["num_trials"],
            direction=direction,
            num_images=about["num_images"],
            match=settings["match"],
            is_averaged=settings["average_repetitions"],
            resampled=settings["resample"],
        )
        guessed = {name: {"mean": score["chance"]} for name, score in scores.items()}
        yield row
        yield replace(row, method=CHANCE, is_own=False, metrics=guessed, seeds=())


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a file of a folder that should be something.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path.parent} is not the folder of {what}: it has no {path.name}") from None
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON ({error})") from None


__all__ = ["Evaluation", "read_json", "read_reports", "read_results"]
