# SPDX-License-Identifier: Apache-2.0
"""Retrieval of images from EEG and of EEG from images, for each subject and together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..tables import NOTHING, escape_cell, markdown_table
from .embeddings_file import EEGImageEmbeddings
from .metrics import aggregate_folds
from .report import format_summary
from .retrieval import Rankings, RetrievalScore, rank_items, score_rankings

if TYPE_CHECKING:
    from .metrics import MetricSummary

Match = Literal["image", "concept"]
Group = Literal["image", "concept", "subject"]

DIRECTIONS: Mapping[str, str] = {"eeg_to_image": "EEG → image", "image_to_eeg": "image → EEG"}
GROUPS: tuple[str, ...] = ("image", "concept", "subject")


@dataclass(frozen=True)
class SeedsScore(RetrievalScore):
    """One metric of several trainings: `value` is their mean, and there is no bootstrap interval.

    Attributes:
        sd: Population standard deviation over the trainings.
        values: The metric of each.
    """

    sd: float = 0.0
    values: tuple[float, ...] = ()


def judge_retrieval(
    embeddings: EEGImageEmbeddings,
    ks: Sequence[int] = (1, 5, 10),
    match: Match = "image",
    n_way: int | None = None,
    resample: Group = "image",
    num_resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, RetrievalScore]]:
    """Score both directions.

    From EEG to image each trial asks for its image among all images of the file. From image to EEG each image
    that a subject saw asks for the trials of it among all trials of that subject: chance does not depend on
    how many subjects there are.

    Args:
        embeddings: Trials and gallery; see [`EEGImageEmbeddings.average_repetitions`].
        ks: At which K to score.
        match: What makes an item correct: the same image, or only the same concept.
        n_way: From EEG to image, also score the correct image among n - 1 drawn from the gallery.
        resample: What the bootstrap draws: images, concepts or subjects. An interval over images says nothing
            of other subjects, one over subjects nothing of other images.
        num_resamples: Draws of the bootstrap.
        seed: Seed of the draws.

    Returns:
        `eeg_to_image` and `image_to_eeg`: metric -> score, see [`score_rankings`].

    Raises:
        ValueError: On what [`rank_items`] and [`score_rankings`] refuse, or an unknown `match` or `resample`.
    """
    if match not in ("image", "concept") or resample not in GROUPS:
        raise ValueError(
            f"expected match image or concept and resample {', '.join(GROUPS)}, got {match!r} and "
            f"{resample!r}"
        )
    sizes = embeddings.eeg_embeddings.shape[1], embeddings.image_embeddings.shape[1]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"expected EEG and images in one space, got embeddings of {sizes[0]} and {sizes[1]} numbers: "
            "align them by eeg-hf train-clip; only images can be reconstructed from here"
        )
    of_trials = {"image": embeddings.eeg_image_ids, "concept": embeddings.concepts}
    of_images = {"image": embeddings.image_ids, "concept": embeddings.image_concepts}
    seen = rank_items(
        embeddings.eeg_embeddings, embeddings.image_embeddings, of_trials[match], of_images[match], ks
    )
    groups = {**of_trials, "subject": embeddings.subjects}[resample]
    backwards, owners = _rank_trials(embeddings, ks, match, resample)
    options: dict[str, Any] = {"num_resamples": num_resamples, "seed": seed}
    return {
        "eeg_to_image": score_rankings(seen, groups, n_way, **options),
        "image_to_eeg": score_rankings(backwards, owners, **options),
    }


def _rank_trials(
    embeddings: EEGImageEmbeddings, ks: Sequence[int], match: Match, resample: Group
) -> tuple[Rankings, np.ndarray]:
    """Rank each subject's trials for the images they saw, and return the group of each query."""
    rankings, groups = [], []
    for subject in np.unique(embeddings.subjects):
        own = embeddings.of_subject(subject)
        is_seen = np.isin(own.image_ids, own.eeg_image_ids)
        asked = {"image": own.image_ids[is_seen], "concept": own.image_concepts[is_seen]}
        there = {"image": own.eeg_image_ids, "concept": own.concepts}
        rankings.append(
            rank_items(own.image_embeddings[is_seen], own.eeg_embeddings, asked[match], there[match], ks)
        )
        groups.append({**asked, "subject": np.full(is_seen.sum(), subject)}[resample])
    return Rankings.concatenate(rankings), np.concatenate(groups)


def parse_metrics(text: str, ks: Sequence[int] = ()) -> list[str]:
    """Read names of metrics: `recall@1,5,10` are three; `recall` or `ndcg` alone are those at each of `ks`.

    Args:
        text: Names with commas between them.
        ks: What a name without K stands for.

    Raises:
        ValueError: If there is no such metric.

    Example:
        >>> parse_metrics("recall@1,5"), parse_metrics("mrr,ndcg", [1, 5])
        (['recall@1', 'recall@5'], ['mrr', 'ndcg@1', 'ndcg@5'])
    """
    names: list[str] = []
    family = ""  # what a number alone is a K of
    for word in (word.strip() for word in text.split(",")):
        name, at, number = (family, "@", word) if word.isdigit() else word.partition("@")
        is_ranked = name in ("recall", "ndcg")
        family = name if is_ranked and at else ""
        if family and number.isdigit():
            names.append(f"{name}@{number}")
        elif is_ranked and not at:
            names += [f"{name}@{k}" for k in ks]
        elif word in ("mrr", "mean_rank", "median_rank"):
            names.append(word)
        else:
            raise ValueError(
                f"metric: expected recall@K, ndcg@K, mrr, mean_rank or median_rank, got {word!r} in {text!r}"
            )
    return names


def retrieval_table(
    found: Mapping[str, Mapping[str, Mapping[str, RetrievalScore]]], metrics: Sequence[str]
) -> str:
    """Return a Markdown table: a row for each method, or subject, and metric, chance beside each.

    Args:
        found: Title -> what [`judge_retrieval`] returned.
        metrics: Which metrics, in order.
    """
    rows = [
        {
            "Of": title,
            "Metric": name,
            **{
                column: cell
                for direction, said in DIRECTIONS.items()
                for column, cell in _cells(said, directions[direction].get(name)).items()
            },
        }
        for title, directions in found.items()
        for name in metrics
    ]
    return markdown_table(rows, texts=("Of", "Metric")) + "\n"


def average_seeds(
    seeds: Sequence[Mapping[str, Mapping[str, RetrievalScore]]],
) -> dict[str, dict[str, RetrievalScore]]:
    """Average what [`judge_retrieval`] returned of several trainings; one alone is returned as it is."""
    if len(seeds) == 1:
        return {way: dict(scores) for way, scores in seeds[0].items()}
    found: dict[str, dict[str, RetrievalScore]] = {}
    for way, first in seeds[0].items():
        values = aggregate_folds([{name: score.value for name, score in seed[way].items()} for seed in seeds])
        found[way] = {
            name: SeedsScore(
                values[name]["mean"], score.chance, None, values[name]["sd"], tuple(values[name]["values"])
            )
            for name, score in first.items()
        }
    return found


def comparison_table(
    found: Mapping[str, Mapping[str, Mapping[str, RetrievalScore]]], metrics: Sequence[str]
) -> str:
    """Return a Markdown table for each direction: a row for chance and one for each method.

    Args:
        found: Method -> what [`judge_retrieval`] or [`average_seeds`] returned of the same trials and images.
        metrics: Which metrics, in order; those that a direction has not are left out.
    """
    tables = []
    for way, said in DIRECTIONS.items():
        methods = {name: directions[way] for name, directions in found.items()}
        first = next(iter(methods.values()))
        columns = [name for name in metrics if name in first]
        chance = {name: format_summary({"mean": first[name].chance}) for name in columns}
        rows = [{"Method": "chance", **chance}]
        for method, scores in methods.items():
            cells = {name: format_summary(_summary(scores[name])) for name in columns}
            rows.append({"Method": escape_cell(method), **cells})
        tables.append(f"**{said}**\n\n{markdown_table(rows, texts=('Method',))}\n")
    return "\n".join(tables)


def _summary(score: RetrievalScore) -> "MetricSummary":
    summary: MetricSummary = {"mean": score.value}
    if isinstance(score, SeedsScore):
        summary = {**summary, "sd": score.sd, "values": list(score.values)}
    if score.interval is not None:
        summary["interval"] = score.interval
    return summary


def _cells(title: str, score: RetrievalScore | None) -> dict[str, str]:
    if score is None:
        return {title: NOTHING, f"{title}, chance": NOTHING}
    return {
        title: format_summary(_summary(score)),
        f"{title}, chance": format_summary({"mean": score.chance}),
    }


def as_plain(found: Mapping[str, Mapping[str, RetrievalScore]]) -> dict[str, Any]:
    """Return what [`judge_retrieval`] found as JSON can hold it."""
    return {way: {name: asdict(score) for name, score in scores.items()} for way, scores in found.items()}
