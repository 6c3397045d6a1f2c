# SPDX-License-Identifier: Apache-2.0
"""The results of a card: this model and the baselines in one table, who is better, and what may be wrong."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from .card_facts import REGIMES, UNKNOWN, CardFacts, Contamination, CorpusFacts, ResultFacts
from .eval_results import METRICS

_CONTAMINATION: Mapping[Contamination, str] = {
    "none": "Nothing of the people tested was seen before the test.",
    "same corpus": "Other people of the same corpus were in the pretraining; the people tested were not.",
    "unlabelled windows": "In the rows that say so, unlabelled windows of the people tested were used.",
    "test subjects": "WINDOWS OF THE PEOPLE TESTED WERE IN THE PRETRAINING: expect less of new people.",
    "unknown": "Nobody recorded whether the people tested were in the pretraining: take the results as an "
    "upper bound.",
}


def results_section(facts: CardFacts) -> str:
    """Write the section, with everything that a reader needs to judge the figures."""
    if not facts.results:
        return "None is recorded with these weights: nobody should rely on them before measuring."
    tested = _corpora_in_words(facts.with_role("evaluation"))
    about = [f"Measured on {tested}." if tested else f"Corpus: {UNKNOWN}."]
    if facts.chance:
        about.append(f"Chance: {_named(facts.chance)}.")
    about.append("± is the standard deviation over folds or seeds, brackets an interval over people.")
    seeds = UNKNOWN if facts.num_seeds is None else str(facts.num_seeds)
    about.append(f"Seeds: {seeds}. Rows of this model are bold.")
    parts = [" ".join(about), _table(facts.results), *_verdicts(facts)]
    if facts.own_results:
        parts.append(f"Contamination: **{facts.contamination}**. {_CONTAMINATION[facts.contamination]}")
    if facts.caveats:
        parts.append("To know before comparing:\n\n" + "\n".join(f"* {caveat}" for caveat in facts.caveats))
    return "\n\n".join(parts)


def _table(rows: Sequence[ResultFacts]) -> str:
    """Set this model and the baselines into one table, apart by split and regime, the best first."""
    metrics = [name for name in METRICS if any(_mean(row, name) is not None for row in rows)]
    has_seeds = any(row.seeds for row in rows)
    titles = ["Method", *(METRICS[name] for name in metrics), "People", "Windows", *["Seeds"] * has_seeds]
    lines = [titles, [":--", *["--:"] * (len(titles) - 1)]]
    main = next(iter(metrics), None)
    ordered = sorted(
        rows, key=lambda row: (row.split, [*REGIMES].index(row.regime), -(_mean(row, main) or 0))
    )
    for (split, regime), group in groupby(ordered, key=lambda row: (row.split, row.regime)):
        lines.append([f"*{split}: {REGIMES[regime]}*", *[""] * (len(titles) - 1)])
        for row in group:
            name = row.method.replace("|", "\\|")
            cells = [f"**{name}**" if row.is_own else name, *(_cell(row.metrics.get(m, {})) for m in metrics)]
            cells += [_count_or_dash(row.num_subjects), _count_or_dash(row.num_windows)]
            lines.append(cells + [str(len(row.seeds) or "–")] * has_seeds)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _verdicts(facts: CardFacts) -> Iterable[str]:
    """Say in words, for each split and regime, whether this model or a baseline is better."""
    metric = next((name for name in METRICS if any(_mean(row, name) for row in facts.own_results)), None)
    for split, regime in dict.fromkeys((row.split, row.regime) for row in facts.own_results):
        peers = [row for row in facts.results if (row.split, row.regime) == (split, regime) and metric]
        own = max((r for r in peers if r.is_own), key=lambda r: _mean(r, metric) or 0, default=None)
        other = max((r for r in peers if not r.is_own), key=lambda r: _mean(r, metric) or 0, default=None)
        if metric is None or own is None or other is None:
            continue
        mine, best = _mean(own, metric) or 0.0, _mean(other, metric) or 0.0
        verdict = "better than" if mine > best else "worse than" if mine < best else "equal to"
        overlap = "; their intervals overlap" if _overlap(own, other, metric) else ""
        yield (
            f"Where {REGIMES[regime]} ({split}), this model is {verdict} the best baseline: "
            f"{METRICS[metric].lower()} {mine:.3f} ({own.method}) against {best:.3f} ({other.method})"
            f"{overlap}."
        )


def _overlap(first: ResultFacts, second: ResultFacts, metric: str) -> bool:
    one, two = first.metrics[metric].get("interval"), second.metrics[metric].get("interval")
    return bool(one and two and one[0] <= two[1] and two[0] <= one[1])


def _mean(row: ResultFacts, metric: str | None) -> float | None:
    return row.metrics.get(metric or "", {}).get("mean")


def _cell(summary: Mapping[str, Any]) -> str:
    """Write `0.750 ± 0.038 [0.700, 0.790]`, as much of it as was recorded."""
    if summary.get("mean") is None:
        return "–"
    text = f"{summary['mean']:.3f}"
    if summary.get("sd") is not None and len(summary.get("values", (0, 0))) > 1:
        text += f" ± {summary['sd']:.3f}"
    if summary.get("interval"):
        text += " [{:.3f}, {:.3f}]".format(*summary["interval"])
    return text


def _corpora_in_words(corpora: Sequence[CorpusFacts]) -> str:
    return in_words([f"{c.title} (licence {c.licence or UNKNOWN})" for c in corpora])


def _named(values: Mapping[str, float]) -> str:
    known = {name: value for name, value in values.items() if name in METRICS}
    return ", ".join(f"{METRICS[name].lower()} {value:.2f}" for name, value in known.items())


def in_words(names: Sequence[str]) -> str:
    """Join names as one says them."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _count_or_dash(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


__all__ = ["in_words", "results_section"]
