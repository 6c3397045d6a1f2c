# SPDX-License-Identifier: Apache-2.0
"""Results as the Hub reads them: the `model-index` of a card, and the newer `.eval_results/*.yaml`."""

from collections.abc import Iterator, Sequence

from huggingface_hub import EvalResult, EvalResultEntry

from .card_facts import REGIMES, CardFacts, CorpusFacts, ResultFacts

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


def eval_results(facts: CardFacts) -> list[EvalResult]:
    """Return this model's results for the `model-index` of a card: one for each metric of each row."""
    corpora = facts.with_role("evaluation")
    if facts.is_codec:
        return list(_codec_eval_results(facts, corpora))
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


__all__ = ["BANDS", "CODEC_METRICS", "METRICS", "eval_result_entries", "eval_results"]
