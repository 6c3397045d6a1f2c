# SPDX-License-Identifier: Apache-2.0
"""The results of a card: this model and the baselines in one table, who is better, and what may be wrong."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from .card_facts import REGIMES, UNKNOWN, CardFacts, Contamination, ResultFacts
from .eval_results import METRICS

_CONTAMINATION: Mapping[Contamination, str] = {
    "none": "Nothing of the people tested was seen before the test.",
    "same corpus": "Other people of the same corpus were in the pretraining; the people tested were not.",
    "unlabelled windows": "In the rows that say so, unlabelled windows of the people tested were used.",
    "test subjects": "WINDOWS OF THE PEOPLE TESTED WERE IN THE PRETRAINING: expect less of new people.",
    "unknown": "Nobody recorded whether the people tested were in the pretraining: take the results as an "
    "upper bound.",
}
_SIMULATED = (
    " **Nobody was recorded for it**: it is simulated, and what was measured says that the model works on "
    "signals of this kind, and nothing of EEG of people."
)


def results_section(facts: CardFacts) -> str:
    """Write the section, with everything that a reader needs to judge the figures."""
    if not facts.results:
        return "None is recorded with these weights: nobody should rely on them before measuring."
    about = [tested_on(facts)]
    if facts.chance:
        about.append(f"Chance: {_named(facts.chance)}.")
    about.append("± is the standard deviation over folds or seeds, brackets an interval over people.")
    about.append(seeds_line(facts))
    return "\n\n".join([" ".join(about), _table(facts.results), *_verdicts(facts), *remarks(facts)])


def tested_on(facts: CardFacts) -> str:
    """Name the corpora of the test and their licences."""
    corpora = facts.with_role("evaluation")
    tested = in_words([f"{corpus.title} (licence {corpus.licence or UNKNOWN})" for corpus in corpora])
    made = _SIMULATED if any(corpus.is_simulated for corpus in corpora) else ""
    return f"Measured on {tested}.{made}" if corpora else f"Corpus: {UNKNOWN}."


def seeds_line(facts: CardFacts) -> str:
    """Say how many seeds there were and how to read the table."""
    seeds = UNKNOWN if facts.num_seeds is None else str(facts.num_seeds)
    return f"Seeds: {seeds}. Rows of this model are bold."


def remarks(facts: CardFacts) -> Iterable[str]:
    """Say what else a reader needs to judge the figures."""
    if facts.own_results:
        yield f"Contamination: **{facts.contamination}**. {_CONTAMINATION[facts.contamination]}"
    if facts.caveats:
        yield "To know before comparing:\n\n" + "\n".join(f"* {caveat}" for caveat in facts.caveats)


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
            cells = [method_cell(row), *(summary_cell(row.metrics.get(m, {})) for m in metrics)]
            cells += [count_cell(row.num_subjects), count_cell(row.num_windows)]
            lines.append(cells + [str(len(row.seeds) or "–")] * has_seeds)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _verdicts(facts: CardFacts) -> Iterable[str]:
    """Say in words, for each split and regime, whether this model or a baseline is better."""
    metric = next((name for name in METRICS if any(_mean(row, name) for row in facts.own_results)), None)
    for split, regime in dict.fromkeys((row.split, row.regime) for row in facts.own_results):
        peers = [row for row in facts.results if (row.split, row.regime) == (split, regime)]
        said = metric and verdict(peers, metric, METRICS[metric].lower())
        if said:
            yield f"Where {REGIMES[regime]} ({split}), {said}."


def verdict(rows: Sequence[ResultFacts], metric: str, title: str) -> str | None:
    """Say whether the best row of this model or the best of the others is better.

    Args:
        rows: Rows that can be compared.
        metric: By which metric; more is better.
        title: What a reader calls it.

    Returns:
        The verdict; `None` where there is nobody to compare with.
    """
    ordered = sorted(rows, key=lambda row: _mean(row, metric) or 0, reverse=True)
    own = next((row for row in ordered if row.is_own), None)
    other = next((row for row in ordered if not row.is_own), None)
    if own is None or other is None:
        return None
    mine, best = (round(_mean(row, metric) or 0.0, 3) for row in (own, other))  # as a reader sees them
    word = "better than" if mine > best else "worse than" if mine < best else "equal to"
    overlap = "; their intervals overlap" if intervals_overlap(own, other, metric) else ""
    return (
        f"this model is {word} the best baseline: {title} {mine:.3f} ({own.method}) against "
        f"{best:.3f} ({other.method}){overlap}"
    )


def intervals_overlap(first: ResultFacts, second: ResultFacts, metric: str) -> bool:
    """Tell whether the intervals of two rows overlap; not where one has none."""
    one, two = (row.metrics.get(metric, {}).get("interval") for row in (first, second))
    return bool(one and two and one[0] <= two[1] and two[0] <= one[1])


def _mean(row: ResultFacts, metric: str | None) -> float | None:
    return row.metrics.get(metric or "", {}).get("mean")


def method_cell(row: ResultFacts) -> str:
    """Write the name of a row, bold where it is this model's."""
    name = row.method.replace("|", "\\|")
    return f"**{name}**" if row.is_own else name


def summary_cell(summary: Mapping[str, Any], decimals: int = 3) -> str:
    """Write `0.750 ± 0.038 [0.700, 0.790]`, as much of it as was recorded."""
    if summary.get("mean") is None:
        return "–"
    text = f"{summary['mean']:.{decimals}f}"
    if summary.get("sd") is not None and len(summary.get("values", (0, 0))) > 1:
        text += f" ± {summary['sd']:.{decimals}f}"
    if summary.get("interval"):
        low, high = summary["interval"]
        text += f" [{low:.{decimals}f}, {high:.{decimals}f}]"
    return text


def _named(values: Mapping[str, float]) -> str:
    known = {name: value for name, value in values.items() if name in METRICS}
    return ", ".join(f"{METRICS[name].lower()} {value:.2f}" for name, value in known.items())


def in_words(names: Sequence[str]) -> str:
    """Join names as one says them."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def count_cell(number: int | None) -> str:
    """Write a number, or a dash where nobody counted."""
    return "–" if number is None else f"{number:,}"


__all__ = [
    "count_cell",
    "in_words",
    "intervals_overlap",
    "method_cell",
    "remarks",
    "results_section",
    "seeds_line",
    "summary_cell",
    "tested_on",
    "verdict",
]
