# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf eval-retrieval`."""

from dataclasses import dataclass, field


@dataclass
class RetrievalArguments:
    """What to score, and how."""

    embeds: list[str] = field(
        metadata={
            "help": "Embeddings, .npz of eeg-hf export-embeddings; of several methods name=path each, "
            "* in a path for the seeds of one."
        }
    )
    metric: str = field(default="recall@1,5,10", metadata={"help": "Metrics: recall@K,K,... or ndcg@K,..."})
    also: str = field(
        default="mrr,ndcg,median_rank",
        metadata={"help": "More: mrr, mean_rank, median_rank; ndcg at the K of --metric."},
    )
    out: str | None = field(default=None, metadata={"help": "JSON file to write all metrics to."})
    average_repetitions: bool = field(
        default=False, metadata={"help": "Average a person's embeddings of an image before the similarity."}
    )
    match: str = field(default="image", metadata={"help": "What is correct: the same image, or concept."})
    n_way: int | None = field(
        default=None,
        metadata={"help": "Also the correct image among n drawn from the gallery, over all draws."},
    )
    resample: str = field(
        default="image", metadata={"help": "What the bootstrap draws: image, concept or subject."}
    )
    num_resamples: int = field(default=1000, metadata={"help": "Draws of the bootstrap."})
    seed: int = field(default=0, metadata={"help": "Seed of the bootstrap."})
