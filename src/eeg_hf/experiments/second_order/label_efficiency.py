# SPDX-License-Identifier: Apache-2.0
"""How many labelled subjects frozen features need: random and pretrained tokens, vectors, tangent space.

Every subject is recentred by all their unlabelled windows, and the pretraining sees the unlabelled windows of
all training subjects of a fold. Only labels are few.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers.utils import logging

from ...atomic_files import atomic_path
from ...evaluation import classification_metrics
from ...evaluation.by_subject import paired_difference, subject_interval
from ...evaluation.metrics import balanced_accuracy
from .corpus import Fold, StudyCorpus
from .methods import SecondOrder, TangentSpace
from .vector_training import embed_bands, pretrain_bands, standardize

logger = logging.get_logger(__name__)

TITLES = {
    "beside": "vectors and pretrained tokens",
    "pretrained": "pretrained tokens",
    "random": "tokens of random weights",
    "vectors": "second-order vectors",
    "tangent_space": "tangent space, 12 Welch bands",
}
"""What the head reads, by the name that the command line takes."""
REGIME = "all"


def run_label_efficiency(corpus: StudyCorpus, folder: Path) -> pd.DataFrame:
    """Return the scores of each subject, kind of features, number of labelled subjects and draw.

    Each fold of each kind is written when it is done; those that are there are read.

    Raises:
        ValueError: If a kind is unknown.
    """
    unknown = sorted(set(corpus.args.features) - set(TITLES))
    if unknown or not corpus.args.features:
        raise ValueError(
            f"features: expected some of {', '.join(TITLES)}, got {' '.join(corpus.args.features)}"
        )
    source, parts = FeatureSource(corpus, folder), []
    for seed in corpus.args.seeds:
        for number, fold in enumerate(corpus.folds(REGIME, seed)):
            for name in corpus.args.features:
                path = folder / name / f"seed-{seed}-fold-{number}.parquet"
                if not path.exists():
                    score = source.scorer(name, fold)
                    found = pd.DataFrame(score_draws(corpus, score, fold, number)).assign(method=name)
                    with atomic_path(path) as partial_file:
                        found.to_parquet(partial_file)
                parts.append(pd.read_parquet(path))
                means = parts[-1].groupby("labelled").balanced_accuracy.mean().round(3).to_dict()
                logger.warning(f"{TITLES[name]}, seed {seed}, fold {number}: {means}")
    return pd.concat(parts, ignore_index=True)


class FeatureSource:
    """Features of all windows, frozen.

    Args:
        corpus: The corpus.
        folder: Folder that Trainer requires.
    """

    def __init__(self, corpus: StudyCorpus, folder: Path) -> None:
        self.corpus, self.folder = corpus, folder
        self.ours, self.theirs = SecondOrder(corpus), TangentSpace(corpus)
        self._encoded: tuple[Any, np.ndarray] | None = None

    def scorer(self, name: str, fold: Fold) -> Callable[[Fold], np.ndarray]:
        """Return what fits a head to the training rows of a fold and scores its test rows."""
        if name == "tangent_space":
            return self.theirs.score
        vectors = self.ours.tokens(fold)
        if name == "vectors":
            return partial(self.ours.score_linearly, vectors.flatten(1).numpy())
        tokens = self.tokens(vectors, fold, 0.0 if name == "random" else self.corpus.args.pretrain_epochs)
        if name != "beside":
            return partial(self.ours.score_linearly, tokens)
        return partial(self.ours.score_linearly, np.concatenate([vectors.flatten(1).numpy(), tokens], axis=1))

    def tokens(self, vectors: torch.Tensor, fold: Fold, num_epochs: float) -> np.ndarray:
        """Return the tokens of a network that was pretrained on the training rows of a fold."""
        key = (fold.seed, fold.train.tobytes(), num_epochs)
        if self._encoded is None or self._encoded[0] != key:  # two kinds of features read the same tokens
            every = standardize(torch.cat([vectors, self.other_vectors]), fold.train)
            values, others = every.tensor_split([len(vectors)])
            pretrained = torch.cat([values[self.pretraining_rows(fold)], others])
            num_epochs *= len(fold.train) / len(pretrained)  # as many steps, whatever the number of windows
            model = pretrain_bands(self.ours.statistics, pretrained, num_epochs, fold.seed, str(self.folder))
            self._encoded = (key, embed_bands(model, values))
        return self._encoded[1]

    @cached_property
    def other_vectors(self) -> torch.Tensor:
        """Vectors (windows, bands, features) of other corpora, recentred by their subjects."""
        found = [self.ours.tokens_of(path) for path in self.corpus.args.pretrain_data]
        config = self.ours.statistics.model.config
        return torch.cat([torch.empty(0, len(config.second_order_bands), config.num_band_features), *found])

    def pretraining_rows(self, fold: Fold) -> np.ndarray:
        """Return the training rows of the subjects that are pretrained on."""
        owners = self.corpus.groups[fold.train]
        names = np.unique(owners)
        count = self.corpus.args.pretrain_subjects or len(names)
        chosen = np.random.default_rng(fold.seed).permutation(names)[:count]
        return fold.train[np.isin(owners, chosen)]


def score_draws(
    corpus: StudyCorpus, score: Callable[[Fold], np.ndarray], fold: Fold, number: int
) -> Iterator[dict[str, Any]]:
    """Yield the scores of each test subject for each draw of labelled training subjects."""
    for labelled, draw, part in draw_subjects(corpus, fold, number):
        described = {"labelled": labelled, "seed": fold.seed, "fold": number, "draw": draw}
        for scores in judge(corpus, fold.test, score(part)):
            yield {**described, **scores}


def draw_subjects(corpus: StudyCorpus, fold: Fold, number: int) -> Iterator[tuple[int, int, Fold]]:
    """Yield the number of labelled subjects, the draw and the fold with these subjects alone to train on."""
    random = np.random.default_rng([fold.seed, number])
    owners = corpus.groups[fold.train]
    names = np.unique(owners)
    for asked in corpus.args.num_labelled:
        count = asked or len(names)
        if count > len(names):
            continue
        for draw in range(1 if count == len(names) else corpus.args.draws):
            chosen = random.choice(names, count, replace=False)
            train = fold.train[np.isin(owners, chosen)]
            yield asked, draw, Fold(fold.regime, train, fold.test, fold.is_reference, fold.seed)


def judge(corpus: StudyCorpus, test: np.ndarray, scores: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield the balanced accuracy of each test subject, and the AUROC of all of them together."""
    labels, owners = corpus.labels[test], corpus.groups[test]
    auroc = classification_metrics(labels, scores)["auroc"]
    for name in np.unique(owners):
        rows = owners == name
        found = balanced_accuracy(labels[rows], scores[rows].argmax(axis=1))
        yield {"subject": name, "balanced_accuracy": found, "auroc": auroc}


def summarize_labels(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each number of labelled subjects and method, with intervals over tested subjects.

    The differences are those of the first kind of features to each other, in the same draws.
    """
    rows, kinds = [], [*dict.fromkeys(scores.method)]
    # 0 stands for all, and comes last
    for labelled in sorted(scores.labelled.unique(), key=lambda count: count or np.inf):
        part = scores[scores.labelled == labelled]
        means = {name: mean_of_subjects(part[part.method == name]) for name in kinds}
        for name, own in means.items():
            row = {
                "labelled": int(labelled),
                "method": TITLES[name],
                "balanced_accuracy": float(np.mean([*own.values()])),
                "interval": subject_interval(own),
                "auroc": float(part[part.method == name].auroc.mean()),
                "num_draws": len(part[part.method == name].groupby(["seed", "fold", "draw"])),
            }
            if name != kinds[0]:
                row["first_minus_this"] = paired_difference(means[kinds[0]], own)
            rows.append(row)
    return rows


def mean_of_subjects(scores: pd.DataFrame) -> Mapping[str, float]:
    """Return the balanced accuracy of each tested subject, the mean over seeds and draws."""
    return scores.groupby("subject").balanced_accuracy.mean().to_dict()
