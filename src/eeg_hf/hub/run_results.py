# SPDX-License-Identifier: Apache-2.0
"""The results of a card, read from the reports of the commands that evaluate, or from the run itself."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any

from ..evaluation.by_subject import paired_difference, subject_interval
from ..evaluation.predictions import Predictions
from ..evaluation.provenance import run_seed
from .card_facts import UNKNOWN, ResultFacts
from .card_kinds import DIRECTIONS, LEVELS, CardKind, card_kind

Report = Mapping[str, Any]
Evaluation = str | Path | Sequence[tuple[str, str | Path]]
CHANCE = "chance"
_DIGITS = 6  # significant digits that a card's facts keep
_BY_SUBJECT = {"correlation": "by_subject", "nrmse_std": "nrmse_by_subject"}


@dataclass(frozen=True)
class Results:
    """What was measured of a model, and where that comes from.

    Attributes:
        rows: The model and what it is compared with.
        provenance: Chance, commit, packages and machine, as far as recorded.
        seeds: Seeds of the trainings of the model.
    """

    rows: tuple[ResultFacts, ...] = ()
    provenance: Report = field(default_factory=dict)
    seeds: tuple[int, ...] = ()


def read_evaluation(
    model_type: str,
    evaluation: Evaluation,
    own: Collection[str],
    name: str,
    regime: str,
    folder: Path,
) -> Results:
    """Read the report of a command that evaluates models of this type.

    Args:
        model_type: Of the model.
        evaluation: See [`facts_from_run`].
        own: Methods that are this model.
        name: Name of a method without one.
        regime: Regime of rows that do not say theirs, see `REGIMES`.
        folder: Of the model; eeg-hf train-clip leaves its split there.

    Raises:
        FileNotFoundError: If there is no report.
        ValueError: If it is of another kind of model, has none of the methods, or has two rows of one test.
    """
    reader, command, key = _READERS.get(model_type, _READERS["eeg_foundation"])
    pairs = [("", evaluation)] if isinstance(evaluation, str | Path) else evaluation
    if len(pairs) > 1 and model_type != "eeg_clip":
        raise ValueError(
            "evaluation: expected one report, only those of eeg-hf eval-retrieval can be several"
        )
    reports: list[tuple[str, Report]] = []
    for method, given in pairs:
        path = Path(given)
        report = read_json(path if path.suffix == ".json" else path / "metrics.json", "an evaluation")
        methods = report.get("methods", {method or name: report})
        reports += [(each, {**report, **scores}) for each, scores in methods.items()]
    rows: list[ResultFacts] = []
    for method, found in reports:
        if key not in found:
            raise ValueError(f"evaluation: expected a report of {command} ({key}), got {', '.join(found)}")
        rows += reader(found, name=method, own=own, regime=regime, folder=folder)
    if model_type == "eeg_clip" and not own:
        own = {name} & {row.method for row in rows}
    _check_own({row.method for row in rows} - {CHANCE}, own)
    rows = [replace(row, is_own=row.method in own) for row in _distinct(rows, card_kind(model_type))]
    # Of several reports the first of this model says where its results come from
    _, about = min(reports, key=lambda pair: pair[0] not in own)
    return Results(tuple(rows), about["provenance"], _own_seeds(about, own, model_type))


def read_own_test(folder: Path, method: str, regime: str, labels: Sequence[str]) -> Results:
    """Read the test of a classifier that eeg-hf finetune left beside its weights, and what chance reaches.

    Args:
        folder: Of the run.
        method: Name of the model.
        regime: See `REGIMES`.
        labels: The classes.

    Returns:
        Nothing where the folder has no test of a classifier.
    """
    from ..evaluation.fold_scores import summarize_predictions  # scikit-learn: training does without it
    from ..evaluation.metrics import chance_level

    predictions, metrics_path = folder / "predictions.parquet", folder / "metrics.json"
    tested: tuple[int | None, int]
    saved = read_json(metrics_path, "a run") if metrics_path.is_file() else {}
    if predictions.is_file():
        found = Predictions.load(predictions)
        if found.scores.ndim != 2 or found.scores.shape[1] < 2:  # a regression
            return Results()
        metrics = {name: _summary(each) for name, each in summarize_predictions([[found]]).items()}
        chance = chance_level(found.labels)
        tested = (len(set(found.subjects)), len(found.labels))
    elif {"balanced_accuracy", "num_samples"} <= saved.keys():  # such as a version pulled from the Hub
        metrics = {name: {"mean": value} for name, value in saved.items()}
        chance = {"balanced_accuracy": 1 / len(labels), "auroc": 0.5, "kappa": 0.0}
        tested = (None, int(saved["num_samples"]))
    else:
        return Results()
    shown = {name: metrics[name] for name in metrics if card_kind("eeg_foundation").column(name)}
    split = saved.get("split") or f"test part of the run, split {UNKNOWN}"
    regime = known_regime(regime, saved)
    guess = {name: {"mean": value} for name, value in chance.items()}
    seed = run_seed(folder)
    rows = (
        ResultFacts(method, True, regime, split, shown, *tested),
        ResultFacts("most frequent class", False, regime, split, guess, *tested),
    )
    return Results(rows, {"chance": chance}, () if seed is None else (seed,))


def known_regime(regime: str, saved: Mapping[str, Any]) -> str:
    """Return the regime of a run's own test, which its split, or the weights it started from, may worsen.

    Args:
        regime: By the signal contract alone, such as "unseen" or "aligned".
        saved: The `metrics.json` of eeg-hf finetune.
    """
    is_clean = saved.get("protocol", "cross-subject") == "cross-subject"
    if is_clean and not str(saved.get("contamination", "")).startswith("the pretrained weights have seen"):
        return regime
    if regime.startswith("known"):
        return regime
    return "known" if regime == "unseen" else f"known_{regime}"


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON file of a folder.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path.parent} is not the folder of {what}: it has no {path.name}") from None
    except ValueError as error:
        raise ValueError(f"{path}: expected JSON ({error})") from None


def _check_own(methods: Collection[str], own: Collection[str]) -> None:
    unknown = sorted(set(own) - set(methods))
    if unknown:
        raise ValueError(
            f"own_methods: the table has no {', '.join(unknown)}; it has {', '.join(sorted(methods))}"
        )
    if not own:
        raise ValueError(f"own_methods: say which of {', '.join(sorted(methods))} is this model")


def _distinct(rows: Sequence[ResultFacts], kind: CardKind) -> list[ResultFacts]:
    """Return all rows, and chance once for each test: every report of retrieval brings its own."""
    found: dict[Any, ResultFacts] = {}
    for row in rows:
        key = (row.method, kind.table(row), kind.group(row))
        if key in found and row.method != CHANCE:
            raise ValueError(f"evaluation {row.method}: two rows of the same test, expected a name for each")
        found.setdefault(key, row)
    return [*found.values()]


def _own_seeds(report: Report, own: Collection[str], model_type: str) -> tuple[int, ...]:
    """Return the seeds of the trainings; the seed in a report of retrieval is that of its bootstrap."""
    if model_type == "eeg_clip":
        return ()
    listed = [row.get("seeds") for row in report.get("results", ()) if row.get("method") in own]
    return tuple(sorted({seed for seeds in listed for seed in seeds}) or report["provenance"]["seeds"])


def _classifiers(report: Report, **_: Any) -> Iterator[ResultFacts]:
    """Yield the rows of eeg-hf evaluate."""
    for row in report["results"]:
        if "method" not in row:
            raise ValueError("evaluation: expected a report of classifiers, got one of codecs")
        yield ResultFacts(
            method=row["method"],
            is_own=False,
            regime=row["regime"],
            split=row["split"],
            metrics={
                name: _summary(each)
                for name, each in row["metrics"].items()
                if card_kind("eeg_foundation").column(name)
            },
            num_subjects=row["num_subjects"],
            num_windows=row["num_windows"],
            num_seeds=len(row["seeds"]) or 1,
            difference=row.get("difference"),
        )


def _codecs(report: Report, *, regime: str, **_: Any) -> Iterator[ResultFacts]:
    """Yield the rows of eeg-hf evaluate --codecs."""
    kind = card_kind("eeg_fsq")
    for row in report["results"]:
        if "codec" not in row:
            raise ValueError("evaluation: expected a report of codecs, got one of classifiers")
        yield ResultFacts(
            method=row["codec"],
            is_own=False,
            regime=known_regime(regime, report["provenance"]),
            split=report["provenance"]["split"],
            metrics={name: _summary(each) for name, each in row["metrics"].items() if kind.column(name)},
            num_subjects=row["num_subjects"],
            num_windows=row["num_windows"],
            num_seeds=row["seeds"],
            conditions={name: _rounded(row[name]) for name in kind.conditions},
        )


def _infilling(report: Report, *, own: Collection[str], regime: str, **_: Any) -> Iterator[ResultFacts]:
    """Yield each method at each share hidden, and how far off the levels are where nothing is hidden."""
    about = report["provenance"]
    regime = known_regime(regime, about)

    def row(method: str, hidden: float, runs: Sequence[Report], metrics: Report) -> ResultFacts:
        return ResultFacts(
            *(method, False, regime, about["split"], metrics, about["people"], about["windows"], len(runs)),
            conditions={"hidden": hidden, "stretch_seconds": about["stretch_seconds"]},
        )

    for share in next(iter(report["hidden"].values())):
        found = {method: shares[share] for method, shares in report["hidden"].items()}
        metrics = {
            method: {name: _over_subjects(runs, name) for name in _BY_SUBJECT}
            for method, runs in found.items()
        }
        others = {
            method: each["correlation"]["mean"] for method, each in metrics.items() if method not in own
        }
        best = max(others, key=lambda method: others[method] or -1.0, default=None)
        for method, runs in found.items():
            made = row(method, float(share.removesuffix("%")) / 100, runs, metrics[method])
            if best and method in own:
                pair = (_subject_means(each, "correlation") for each in (runs, found[best]))
                made = replace(made, difference={"baseline": best, **_paired(*pair)})
            yield made
    for method, runs in report["levels_db"].items():
        levels = [name for name in LEVELS if name in runs[0]]  # a rate too low has no gamma
        yield row(method, 0.0, runs, {name: _over_seeds([run[name] for run in runs]) for name in levels})


def _retrieval(report: Report, *, name: str, regime: str, folder: Path, **_: Any) -> Iterator[ResultFacts]:
    """Yield a method and chance in both directions."""
    about, kind = report["provenance"], card_kind("eeg_clip")
    settings, part = about["settings"], f"part {about['split'] or UNKNOWN}"
    training = folder / "train_clip.json"
    if training.is_file():
        part = f"{read_json(training, 'a training of EEG-CLIP')['split']} split, {part}"
    for direction in DIRECTIONS:
        scores = {name: score for name, score in report[direction].items() if kind.column(name)}
        row = ResultFacts(
            method=name,
            is_own=False,
            regime=regime,
            split=part,
            metrics={name: _summary({**score, "mean": score["value"]}) for name, score in scores.items()},
            num_subjects=about["num_subjects"],
            num_windows=about["num_trials"],
            num_seeds=max((len(score.get("values", (0,))) for score in scores.values()), default=1),
            conditions={
                "direction": direction,
                "num_images": about["num_images"],
                "match": settings["match"],
                "is_averaged": settings["average_repetitions"],
                "resampled": settings["resample"],
            },
        )
        guessed = {name: {"mean": _rounded(score["chance"])} for name, score in scores.items()}
        yield row
        yield replace(row, method=CHANCE, metrics=guessed, num_seeds=1)


_READERS: Mapping[str, tuple[Callable[..., Iterator[ResultFacts]], str, str]] = {
    "eeg_foundation": (_classifiers, "eeg-hf evaluate", "results"),
    "eeg_fsq": (_codecs, "eeg-hf evaluate --codecs", "results"),
    "eeg_masked_vae": (_infilling, "eeg-hf evaluate-infilling", "hidden"),
    "eeg_clip": (_retrieval, "eeg-hf eval-retrieval", "eeg_to_image"),
}


def _summary(summary: Report) -> dict[str, Any]:
    """Return what a card shows of a summary: the mean, the spread over several values, the interval."""
    kept: dict[str, Any] = {"mean": _rounded(summary["mean"])}
    if len(summary.get("values") or ()) > 1 and summary.get("sd") is not None:
        kept["sd"] = _rounded(summary["sd"])
    if summary.get("interval"):
        kept["interval"] = [_rounded(end) for end in summary["interval"]]
    if summary.get("undefined_folds"):
        kept["undefined_folds"] = list(summary["undefined_folds"])
    return kept


def _over_seeds(values: Sequence[float | None]) -> dict[str, Any]:
    """Summarise a metric of several seeds; `None` is undefined."""
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None}
    return _summary({"mean": fmean(known), "sd": pstdev(known), "values": values})


def _over_subjects(runs: Sequence[Report], metric: str) -> dict[str, Any]:
    """Return the mean over subjects and its interval, with the spread of that mean over seeds."""
    seeds = [[*_subject_means([run], metric).values()] for run in runs]
    known = [[value for value in values if value == value] for values in seeds]
    summary = _over_seeds([fmean(values) if values else None for values in known])
    interval = subject_interval(_subject_means(runs, metric))
    return summary | ({"interval": [_rounded(end) for end in interval]} if interval else {})


def _subject_means(runs: Sequence[Report], metric: str) -> dict[str, float]:
    """Return the score of each subject, the mean over seeds; NaN where a seed has none."""
    scores = [run[_BY_SUBJECT[metric]] for run in runs]
    undefined = float("nan")
    return {
        subject: fmean(undefined if each[subject] is None else each[subject] for each in scores)
        for subject in sorted(scores[0])
    }


def _paired(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, Any]:
    found = paired_difference(ours, theirs)
    return {name: _rounded(value) for name, value in found.items() if name != "num_lower"}


def _rounded(value: Any) -> Any:
    """Round numbers to the digits that facts keep; what is undefined becomes `None`."""
    if isinstance(value, tuple | list):
        return [_rounded(each) for each in value]
    if not isinstance(value, float):
        return value
    return float(f"{value:.{_DIGITS}g}") if value == value else None
