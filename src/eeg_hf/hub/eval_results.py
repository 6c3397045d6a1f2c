# SPDX-License-Identifier: Apache-2.0
"""Results as the Hub reads them: the `model-index` of a card, and the newer `.eval_results/*.yaml`."""

from collections.abc import Iterator

from huggingface_hub import EvalResult, EvalResultEntry

from .card_facts import REGIMES, CardFacts, ResultFacts


def eval_results(facts: CardFacts) -> list[EvalResult]:
    """Return the results of this model for the `model-index` of a card: one for each metric of each row."""
    return [result for row in facts.own_results for result in _eval_results(facts, row)]


def eval_result_entries(facts: CardFacts) -> list[EvalResultEntry]:
    """Return the results of this model for `.eval_results/*.yaml`, which the Hub shows on leaderboards.

    A leaderboard compares all values side by side. It gets only rows with unseen test subjects, and nothing
    where the corpus has no repository on the Hub or the test may be contaminated.
    """
    corpora = [corpus for corpus in facts.with_role("evaluation") if corpus.hub_id]
    if len(corpora) != 1 or facts.contamination in ("test subjects", "unknown"):
        return []
    (corpus,) = corpora
    chance = facts.chance.get("balanced_accuracy")
    extra = [] if chance is None else [f"chance {chance:.2f}"]
    extra += [f"licence of the data {corpus.licence}"] if corpus.licence else []
    return [
        EvalResultEntry(
            dataset_id=str(corpus.hub_id),
            task_id="default",
            value=row.metrics["balanced_accuracy"]["mean"],
            notes="; ".join(
                [f"balanced accuracy of {row.method}", row.split, REGIMES[row.regime], *extra],
            ),
        )
        for row in facts.own_results
        if row.regime == "unseen" and row.metrics.get("balanced_accuracy", {}).get("mean") is not None
    ]


def _eval_results(facts: CardFacts, row: ResultFacts) -> Iterator[EvalResult]:
    """Yield what the Hub shows of a row; the names tell rows apart that differ in a condition."""
    kind = facts.kind
    tested_on = row.conditions.get("corpus")
    corpora = [
        corpus
        for corpus in facts.with_role("evaluation")
        if tested_on is None or corpus.name in tested_on.split(", ")
    ]
    labels = f": {', '.join(facts.labels)}" if facts.labels else ""
    where = "; ".join(filter(None, (row.method, kind.where(row), REGIMES[row.regime])))
    shown = kind.shown([row])
    for metric in (name for prefix in kind.hub_metrics for name in shown if name.startswith(prefix)):
        value = row.metrics[metric]["mean"]
        if corpora and value is not None:
            yield EvalResult(
                task_type=kind.task.lower().replace(" ", "-"),
                task_name=f"{kind.task}{labels}",
                dataset_type=" ".join(corpus.hub_id or corpus.name for corpus in corpora),
                dataset_name=", ".join(corpus.title for corpus in corpora),
                dataset_split=row.split,
                metric_type=metric,
                metric_value=value,
                metric_name=f"{(kind.column(metric) or ('',))[0]} ({where})",
            )
