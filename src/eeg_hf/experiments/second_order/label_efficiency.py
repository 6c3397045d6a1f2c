# SPDX-License-Identifier: Apache-2.0
"""How many labelled subjects frozen features need: random and pretrained tokens, vectors, tangent space.

Every subject is recentred by all their unlabelled windows, and the pretraining sees the unlabelled windows of
all training subjects of a fold. Only labels are few.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers.utils import logging

from ...atomic_files import atomic_path
from ...evaluation import classification_metrics
from ...evaluation.by_subject import paired_difference, subject_interval
from ...evaluation.metrics import balanced_accuracy
from .corpus import Fold, StudyCorpus
from .methods import SecondOrder, TangentSpace
from .vector_training import embed_bands, pretrain_bands, standardize

logger = logging.get_logger(__name__)

PRETRAINED, RANDOM = "masked bands, pretrained", "random weights"
VECTORS, TANGENT_SPACE = "second-order vectors", "tangent space, 12 Welch bands"
METHODS = (PRETRAINED, RANDOM, VECTORS, TANGENT_SPACE)
REGIME = "all"

Score = Callable[[Fold], np.ndarray]


def run_label_efficiency(corpus: StudyCorpus, folder: Path) -> pd.DataFrame:
    """Return the scores of each subject, method, number of labelled subjects and draw.

    Each fold is written when it is done; folds that are there are read.
    """
    ours, theirs = SecondOrder(corpus), TangentSpace(corpus)
    parts = []
    for seed in corpus.args.seeds:
        for number, fold in enumerate(corpus.folds(REGIME, seed)):
            path = folder / f"seed-{seed}-fold-{number}.parquet"
            if not path.exists():
                found = pd.DataFrame(score_fold(corpus, ours, theirs, fold, number, str(folder)))
                with atomic_path(path) as partial_file:
                    found.to_parquet(partial_file)
                means = found.groupby(["labelled", "method"]).balanced_accuracy.mean().unstack().round(3)
                logger.warning(f"label efficiency, seed {seed}, fold {number}:\n{means}")
            parts.append(pd.read_parquet(path))
    return pd.concat(parts, ignore_index=True)


def score_fold(
    corpus: StudyCorpus, ours: SecondOrder, theirs: TangentSpace, fold: Fold, number: int, folder: str
) -> Iterator[dict[str, Any]]:
    """Yield the scores of each test subject for each draw of labelled training subjects."""
    vectors = ours.tokens(fold)
    tokens, features = standardize(vectors, fold.train), {}
    for name, epochs in ((RANDOM, 0.0), (PRETRAINED, corpus.args.pretrain_epochs)):
        model = pretrain_bands(ours.statistics, tokens[fold.train], epochs, fold.seed, folder)
        features[name] = embed_bands(model, tokens)
    features[VECTORS] = vectors.flatten(1).numpy()
    scorers: dict[str, Score] = {
        name: partial(ours.score_linearly, values) for name, values in features.items()
    }
    scorers[TANGENT_SPACE] = theirs.score
    for labelled, draw, part in draw_subjects(corpus, fold, number):
        for name, score in scorers.items():
            described = {
                "method": name,
                "labelled": labelled,
                "seed": fold.seed,
                "fold": number,
                "draw": draw,
            }
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

    The differences are those of the pretrained tokens to each other method in the same draws.
    """
    rows = []
    # 0 stands for all, and comes last
    for labelled in sorted(scores.labelled.unique(), key=lambda count: count or np.inf):
        part = scores[scores.labelled == labelled]
        means = {name: mean_of_subjects(part[part.method == name]) for name in METHODS}
        for name, own in means.items():
            row = {
                "labelled": int(labelled),
                "method": name,
                "balanced_accuracy": float(np.mean([*own.values()])),
                "interval": subject_interval(own),
                "auroc": float(part[part.method == name].auroc.mean()),
                "num_draws": len(part[part.method == name].groupby(["seed", "fold", "draw"])),
            }
            if name != PRETRAINED:
                row["pretrained_minus_this"] = paired_difference(means[PRETRAINED], own)
            rows.append(row)
    return rows


def mean_of_subjects(scores: pd.DataFrame) -> Mapping[str, float]:
    """Return the balanced accuracy of each tested subject, the mean over seeds and draws."""
    return scores.groupby("subject").balanced_accuracy.mean().to_dict()


__all__ = ["METHODS", "run_label_efficiency", "summarize_labels"]
