# SPDX-License-Identifier: Apache-2.0
"""Methods by regime: predictions that are kept on disk, and the rows of their table."""

from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils import logging

from ...evaluation import FoldScores, Predictions
from .corpus import StudyCorpus
from .methods import Method, build_method

logger = logging.get_logger(__name__)

METRICS = ("balanced_accuracy", "auroc")


def run_methods(corpus: StudyCorpus, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each method and regime; differences are ours minus each of the others.

    Every fold is written when it is done; folds that are there are read.
    """
    methods = {name: build_method(name, corpus) for name in corpus.args.methods}
    rows = []
    for regime in corpus.args.regimes:
        scores: dict[str, FoldScores] = {}
        for name, method in methods.items():
            if regime not in method.regimes:
                continue
            runs = [
                run_seed(corpus, method, regime, seed, folder / name / regime) for seed in corpus.args.seeds
            ]
            scores[name] = FoldScores(runs)
            rows.append(describe(method.title, regime, scores, name))
    return rows


def run_seed(corpus: StudyCorpus, method: Method, regime: str, seed: int, folder: Path) -> list[Predictions]:
    """Return the predictions of a method for the folds of a seed."""
    found = []
    for number, fold in enumerate(corpus.folds(regime, seed)):
        path = folder / f"seed-{seed}" / f"fold-{number}.parquet"
        if not path.exists():
            corpus.predictions(fold.test, method.score(fold)).save(path)
        part = Predictions.load(path)
        if part.window_ids.tolist() != list(corpus.rows.select(fold.test)["window_id"]):
            raise ValueError(f"{path} is of other windows: choose another --output_dir")
        found.append(part)
    means = [np.mean([part.scores.argmax(axis=1) == part.labels for part in [each]]) for each in found]
    logger.warning(f"{method.title}, {regime}, seed {seed}: accuracy by fold {np.round(means, 3).tolist()}")
    return found


def describe(title: str, regime: str, scores: dict[str, FoldScores], name: str) -> dict[str, Any]:
    """Return a row; the first method of a regime is ours, from which each other is subtracted."""
    found = scores[name]
    summary, first = found.summary(), scores[next(iter(scores))]
    row: dict[str, Any] = {
        "method": title,
        "regime": regime,
        "num_groups": len(found.subjects),
        "num_windows": found.num_windows,
        **{metric: summary[metric] for metric in METRICS},
    }
    if found is not first:
        row["ours_minus_this"] = {metric: first.difference(found, metric) for metric in METRICS}
    return row
