# SPDX-License-Identifier: Apache-2.0
"""What recentring costs where a tested subject has other shares of the classes than the training subjects.

Windows of one class are left out of the tested subjects at random, before they are recentred and scored by
what is left. Training subjects keep all of theirs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers.utils import logging

from ...atomic_files import atomic_path
from ...evaluation.by_subject import paired_difference, subject_interval
from .corpus import Fold, StudyCorpus
from .label_efficiency import judge, mean_of_subjects
from .methods import build_method

logger = logging.get_logger(__name__)

KEPT = (1 / 3, 1 / 9)
"""How much of one class is left."""
REGIME, DRAWS = "all", 2


def run_label_shift(corpus: StudyCorpus, folder: Path) -> pd.DataFrame:
    """Return the scores of each subject, method and shift. Each fold is written when it is done."""
    methods = {name: build_method(name, corpus) for name in corpus.args.methods}
    parts = []
    for seed in corpus.args.seeds:
        for number, fold in enumerate(corpus.folds(REGIME, seed)):
            for name, method in methods.items():
                path = folder / name / f"seed-{seed}-fold-{number}.parquet"
                if not path.exists():
                    rows = [
                        {**shift, "seed": seed, "draw": draw, **scores}
                        for shift, draw, thinned in shifted_folds(corpus, fold, number)
                        for scores in judge(corpus, thinned.test, method.score(thinned))
                    ]
                    with atomic_path(path) as partial_file:
                        pd.DataFrame(rows).to_parquet(partial_file)
                parts.append(pd.read_parquet(path).assign(method=method.title))
                logger.warning(f"{method.title}, seed {seed}, fold {number}: done")
    return pd.concat(parts, ignore_index=True)


def shifted_folds(corpus: StudyCorpus, fold: Fold, number: int) -> Iterator[tuple[dict[str, Any], int, Fold]]:
    """Yield what was left out, the number of the draw, and the fold without it; first the whole fold."""
    yield {"left_out": "", "kept": 1.0}, 0, fold
    random = np.random.default_rng([fold.seed, number])
    for index, name in enumerate(corpus.class_names):
        for kept in KEPT:
            for draw in range(DRAWS):
                gone = np.concatenate(
                    [
                        random.choice(own, len(own) - max(round(kept * len(own)), 1), replace=False)
                        for own in rows_of_each(corpus, fold.test, index)
                    ]
                )
                is_reference = fold.is_reference.copy()
                is_reference[gone] = False
                thinned = replace(fold, test=np.setdiff1d(fold.test, gone), is_reference=is_reference)
                yield {"left_out": name, "kept": kept}, draw, thinned


def rows_of_each(corpus: StudyCorpus, rows: np.ndarray, label: int) -> Iterator[np.ndarray]:
    """Yield the rows of one class of each subject that has any."""
    found = rows[corpus.labels[rows] == label]
    for name in np.unique(corpus.groups[found]):
        yield found[corpus.groups[found] == name]


def summarize_shift(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row for each shift and method, with intervals over tested subjects; the first is ours."""
    rows, methods = [], [*dict.fromkeys(scores.method)]
    for (left_out, kept), part in scores.groupby(["left_out", "kept"], sort=False):
        means: dict[str, Mapping[str, float]] = {
            name: mean_of_subjects(part[part.method == name]) for name in methods
        }
        for name, own in means.items():
            row = {
                "left_out": left_out,
                "kept": float(kept),
                "method": name,
                "balanced_accuracy": float(np.mean([*own.values()])),
                "interval": subject_interval(own),
            }
            if name != methods[0]:
                row["first_minus_this"] = paired_difference(means[methods[0]], own)
            rows.append(row)
    return rows


__all__ = ["run_label_shift", "shifted_folds", "summarize_shift"]
