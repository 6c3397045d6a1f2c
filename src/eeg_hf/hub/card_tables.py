# SPDX-License-Identifier: Apache-2.0
"""The results of a card as tables, and in words whether this model or a baseline is better."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ..evaluation.by_subject import describe_difference
from ..evaluation.report import format_summary
from ..tables import escape_cell, markdown_table
from .card_facts import UNKNOWN, CardFacts, CorpusFacts, ResultFacts
from .card_kinds import CardKind, count_cell

_SAME_GROUP = 1.02  # no levels of two codecs multiply to exactly the same number of bits


@dataclass(frozen=True)
class ResultGroup:
    """Rows that are compared with one another, the best first.

    Attributes:
        rows: The rows.
        metric: Metric that they are compared by, `None` where no row has one.
        title: Title of that metric.
        where: Condition of the group in words.
    """

    rows: tuple[ResultFacts, ...]
    metric: str | None
    title: str
    where: str

    @property
    def own(self) -> list[ResultFacts]:
        """The rows of this model in which the metric is defined, the best first."""
        return [row for row in self.rows if row.is_own and _value(row, self.metric) > -math.inf]

    @property
    def others(self) -> list[ResultFacts]:
        """The rows of baselines in which the metric is defined, the best first."""
        return [row for row in self.rows if not row.is_own and _value(row, self.metric) > -math.inf]

    @property
    def is_beaten(self) -> bool:
        """Whether a baseline is better than every row of this model."""
        own, others = self.own, self.others
        return bool(own and others) and _value(own[0], self.metric) < _value(others[0], self.metric)

    @property
    def verdict(self) -> str | None:
        """Say whether this model or the best baseline is better, counting every variant of the model."""
        own, others = self.own, self.others
        if not own:
            return None
        lead = f"{self.where}: this" if self.where else "this"
        lead = lead[0].upper() + lead[1:]
        if not others:
            return f"{lead} model has no baseline beside it."
        # Compared as a reader sees them
        values = [round(_value(row, self.metric), 3) for row in own]
        baseline = round(_value(others[0], self.metric), 3)
        spread = f"{min(values):.3f} to " if len(own) > 1 else ""
        return (
            f"{lead} model is {_compared(values, baseline)} the best baseline: {self.title} "
            f"{spread}{max(values):.3f} ({own[0].method}) against {baseline:.3f} ({others[0].method})"
            f"{self._evidence(own[0], others[0])}."
        )

    def _evidence(self, own: ResultFacts, other: ResultFacts) -> str:
        """Return the paired test of the best row, or else whether the intervals overlap."""
        if own.difference:
            return f"; {describe_difference(own.difference)}"
        ours, theirs = (row.metrics[self.metric or ""].get("interval") for row in (own, other))
        if not ours or not theirs:
            return ""
        return "; their intervals overlap" if ours[0] <= theirs[1] and theirs[0] <= ours[1] else ""

    def exceeding(self, metrics: Iterable[str], bound: float) -> list[str]:
        """Return the metrics that reach a bound in every row of this model."""
        return [name for name in metrics if bound <= self.least(name) < math.inf]

    def least(self, metric: str) -> float:
        """Return the least value of a metric in the rows of this model; infinity where none has it."""
        values = (row.metrics.get(metric, {}).get("mean") for row in self.rows if row.is_own)
        return min((value for value in values if value is not None), default=math.inf)


@dataclass(frozen=True)
class ResultTable:
    """One table of a card.

    Attributes:
        kind: How the architecture shows its results.
        groups: The rows, in groups.
    """

    kind: CardKind
    groups: tuple[ResultGroup, ...]

    @property
    def rows(self) -> list[ResultFacts]:
        """All rows, in order."""
        return [row for group in self.groups for row in group.rows]

    @property
    def first(self) -> ResultFacts:
        """The first row, for what all have in common."""
        return self.rows[0]

    @property
    def verdicts(self) -> list[str]:
        """A verdict on each group that has one."""
        return [group.verdict for group in self.groups if group.verdict]

    @property
    def markdown(self) -> str:
        """The table."""
        shown = self.kind.shown(self.rows)
        columns = {name: column for name in shown if (column := self.kind.column(name))}
        lines = []
        for row in self.rows:
            name = escape_cell(row.method)
            cells = {title: cell(row) for title, cell in self.kind.before.items()}
            cells["Method"] = f"**{name}**" if row.is_own else name
            for metric, (title, decimals) in columns.items():
                cells[title] = format_summary(row.metrics.get(metric, {}), decimals)
            lines.append(cells | {title: cell(row) for title, cell in self.kind.after.items()})
        return markdown_table(lines, texts=("Method",))


def result_tables(facts: CardFacts) -> list[ResultTable]:
    """Sort the results of a card into tables and groups."""
    kind = facts.kind
    keys = dict.fromkeys(kind.table(row) for row in facts.results)
    return [
        ResultTable(kind, tuple(_groups(kind, [row for row in facts.results if kind.table(row) == key])))
        for key in keys
    ]


def corpora_table(corpora: Sequence[CorpusFacts]) -> str:
    """Return the table of corpora: what each was used for, its size, recording and licence."""
    return markdown_table([_corpus_cells(corpus) for corpus in corpora], texts=_CORPUS_TEXTS)


_CORPUS_TEXTS = ("Corpus", "Used for", "Recorded at", "Against", "Windows", "Licence")


def _corpus_cells(corpus: CorpusFacts) -> dict[str, str]:
    low, high = corpus.num_channels or (None, None)
    window = f" of {corpus.window_seconds:g} s" if corpus.window_seconds else ""
    title = escape_cell(corpus.title)
    cells = {
        "Corpus": f"[{title}]({corpus.url})" if corpus.url else title,
        "Used for": ", ".join(corpus.roles),
        "Hours": "" if corpus.hours is None else f"{corpus.hours:.2f}",
        "Subjects": "" if corpus.subjects is None else f"{corpus.subjects:,}",
        "Channels": "" if low is None else str(low) if low == high else f"{low} to {high}",
        "Recorded at": " and ".join(f"{rate:g} Hz" for rate in corpus.original_rates_hz),
        "Against": escape_cell(corpus.recorded_against or ""),
        "Windows": "" if corpus.windows is None else f"{count_cell(corpus.windows)}{window}",
        "Licence": escape_cell(corpus.licence or ""),
    }
    return {title: cell or UNKNOWN for title, cell in cells.items()}


def _groups(kind: CardKind, rows: Sequence[ResultFacts]) -> Iterable[ResultGroup]:
    """Yield the rows of a table in groups, in the order of their value, the best row first."""
    ordered = sorted(rows, key=lambda row: kind.group(row) or 0)
    starts: list[Any] = []
    for row in ordered:
        value = kind.group(row)
        is_same = bool(starts) and (value is None or value <= _SAME_GROUP * starts[-1])
        starts.append(starts[-1] if is_same else value)
    for _, pairs in groupby(zip(starts, ordered, strict=True), key=lambda pair: pair[0]):
        members = [row for _, row in pairs]
        metric = kind.main_metric(members)
        members.sort(key=lambda row: _value(row, metric), reverse=True)
        title = kind.title(metric) if metric else ""
        yield ResultGroup(tuple(members), metric, title, kind.where(members[0]))


def _compared(values: Sequence[float], baseline: float) -> str:
    """Say how all variants of this model, the best first, compare with a baseline."""
    num_better = sum(value > baseline for value in values)
    if 0 < num_better < len(values):
        return f"in {num_better} of {len(values)} variants better than"
    if num_better:
        return "better than"
    return "equal to" if values[0] == baseline else "worse than"


def _value(row: ResultFacts, metric: str | None) -> float:
    """Return the mean of a metric; what is undefined comes last."""
    value = row.metrics.get(metric or "", {}).get("mean")
    return -math.inf if value is None else value
