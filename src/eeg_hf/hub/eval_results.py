# SPDX-License-Identifier: Apache-2.0
"""Results as the Hub reads them: the `model-index` of a card, and the newer `.eval_results/*.yaml`."""

from collections.abc import Iterator, Sequence

from huggingface_hub import EvalResult, EvalResultEntry

from .card_facts import (
    REGIMES,
    CardFacts,
    CorpusFacts,
    InfillingResultFacts,
    ResultFacts,
    RetrievalResultFacts,
)

BANDS = ("delta", "theta", "alpha", "beta", "gamma")
METRICS = {
    "balanced_accuracy": "Balanced accuracy",
    "auroc": "AUROC",
    "kappa": "Kappa",
    "macro_f1": "Macro F1",
    "accuracy": "Accuracy",
}
CODEC_METRICS = {
    "nrmse_std": ("NRMSE (std)", 3),
    "correlation": ("Correlation", 3),
    "snr": ("SNR (dB)", 2),
    **{f"{band}_error": (f"{band.capitalize()} error", 3) for band in BANDS},
    "codebook_usage": ("Codes used", 3),
    "codebook_usage_reachable": ("Reachable", 3),
    "codebook_perplexity": ("Perplexity", 0),
}
"""Metric -> its title and decimals."""
INFILLING_METRICS = {"correlation": "Correlation", "nrmse_std": "NRMSE (std)"}
LEVELS = {level: f"{level.capitalize()} (dB)" for level in ("amplitude", *BANDS)}
DIRECTIONS = {"eeg_to_image": "EEG → image", "image_to_eeg": "image → EEG"}


def retrieval_title(metric: str) -> str | None:
    """Return what a card calls a metric of retrieval, `None` where it does not show it.

    Example:
        >>> retrieval_title("recall@5"), retrieval_title("ndcg@5")
        ('Recall@5', None)
    """
    if metric.startswith(("recall@", "top@")):
        return metric.capitalize()
    return {"mrr": "MRR", "median_rank": "Median rank"}.get(metric)


def eval_results(facts: CardFacts) -> list[EvalResult]:
    """Return this model's results for the `model-index` of a card: one for each metric of each row."""
    corpora = facts.with_role("evaluation")
    if facts.is_codec:
        return list(_codec_eval_results(facts, corpora))
    if facts.infilling_results or facts.retrieval_results:
        return list(_other_eval_results(facts, corpora))
    return [
        EvalResult(
            task_type="eeg-classification",
            task_name=_task(facts),
            dataset_type=" ".join(corpus.hub_id or corpus.name for corpus in corpora),
            dataset_name=", ".join(corpus.title for corpus in corpora),
            dataset_split=row.split,
            metric_type=metric,
            metric_value=row.metrics[metric]["mean"],
            metric_name=f"{title} ({row.method}; {REGIMES[row.regime]})",
        )
        for row in facts.own_results
        for metric, title in METRICS.items()
        if corpora and row.metrics.get(metric, {}).get("mean") is not None
    ]


def eval_result_entries(facts: CardFacts) -> list[EvalResultEntry]:
    """Return this model's results for `.eval_results/*.yaml`, which the Hub shows on leaderboards.

    A leaderboard sets all values side by side: it gets only rows where the person tested was unseen, and
    nothing where the corpus has no repository on the Hub or the test may be contaminated.
    """
    corpora = [corpus for corpus in facts.with_role("evaluation") if corpus.hub_id]
    if len(corpora) != 1 or facts.contamination in ("test subjects", "unknown"):
        return []
    return [
        EvalResultEntry(
            dataset_id=str(corpora[0].hub_id),
            task_id="default",
            value=row.metrics["balanced_accuracy"]["mean"],
            notes=_notes(facts, row, corpora[0]),
        )
        for row in facts.own_results
        if row.regime == "unseen" and row.metrics.get("balanced_accuracy", {}).get("mean") is not None
    ]


def _codec_eval_results(facts: CardFacts, corpora: Sequence[CorpusFacts]) -> Iterator[EvalResult]:
    """Yield what the Hub shows of each codec of this model; their names tell several rates apart."""
    for row in facts.codec_results:
        tested = [corpus for corpus in corpora if corpus.name in row.corpus.split(", ")]
        for metric in ("correlation", "nrmse_std"):
            value = row.metrics.get(metric, {}).get("mean")
            if row.is_own and tested and value is not None:
                yield EvalResult(
                    task_type="eeg-compression",
                    task_name="EEG compression",
                    dataset_type=" ".join(corpus.hub_id or corpus.name for corpus in tested),
                    dataset_name=", ".join(corpus.title for corpus in tested),
                    dataset_split=row.split,
                    metric_type=metric,
                    metric_value=value,
                    metric_name=f"{CODEC_METRICS[metric][0]} ({row.method}; {row.bits_per_second:.1f} "
                    f"bits/s at {row.sampling_rate:g} Hz; {REGIMES[row.regime]})",
                )


def _other_eval_results(facts: CardFacts, corpora: Sequence[CorpusFacts]) -> Iterator[EvalResult]:
    """Yield what the Hub shows of hidden stretches and of retrieval."""
    for row in facts.own_results:
        for metric, summary in row.metrics.items():
            task, name = _task_and_name(row, metric)
            if corpora and task and summary["mean"] is not None:
                yield EvalResult(
                    task_type=task.lower().replace(" ", "-"),
                    task_name=task,
                    dataset_type=" ".join(corpus.hub_id or corpus.name for corpus in corpora),
                    dataset_name=", ".join(corpus.title for corpus in corpora),
                    dataset_split=row.split,
                    metric_type=metric,
                    metric_value=summary["mean"],
                    metric_name=f"{name} ({row.method}; {REGIMES[row.regime]})",
                )


def _task_and_name(row: ResultFacts, metric: str) -> tuple[str, str]:
    """Say what was asked and what a metric is of; nothing where the Hub need not know it."""
    if isinstance(row, RetrievalResultFacts) and metric.startswith("recall@"):
        trials = "averaged repetitions" if row.is_averaged else "single trials"
        asked = f"{DIRECTIONS[row.direction]}, {row.num_images} images, {trials}"
        return "EEG image retrieval", f"{retrieval_title(metric)}, {asked}"
    if isinstance(row, InfillingResultFacts) and row.hidden:
        return "EEG infilling", f"{INFILLING_METRICS[metric]} of what was hidden, {row.hidden:.0%}"
    return "", ""


def _notes(facts: CardFacts, row: ResultFacts, corpus: CorpusFacts) -> str:
    chance = facts.chance.get("balanced_accuracy")
    return "; ".join(
        [
            f"balanced accuracy of {row.method}",
            row.split,
            REGIMES[row.regime],
            *([f"chance {chance:.2f}"] if chance is not None else []),
            *([f"licence of the data {corpus.licence}"] if corpus.licence else []),
        ]
    )


def _task(facts: CardFacts) -> str:
    return f"EEG classification: {', '.join(facts.labels)}" if facts.labels else "EEG classification"


__all__ = [
    "BANDS",
    "CODEC_METRICS",
    "DIRECTIONS",
    "INFILLING_METRICS",
    "LEVELS",
    "METRICS",
    "eval_result_entries",
    "eval_results",
    "retrieval_title",
]
