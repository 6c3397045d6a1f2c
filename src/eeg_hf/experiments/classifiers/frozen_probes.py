# SPDX-License-Identifier: Apache-2.0
"""Probes of a frozen encoder: logistic regression, ridge and nearest neighbours on its embeddings."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoModel

from ...bundled_weights import find_weights
from ...collation import EEGDataCollator, WindowDataset
from ...evaluation import Predictions
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training.frozen_features import collect_features
from ..inner_folds import inner_groups
from ..signal_contract import check_rate
from .shots import few_shot_split
from .target import Target, to_predictions

_PROBES: Mapping[str, tuple[Callable[[], Any], dict[str, list[float]]]] = {
    "probe": (
        lambda: LogisticRegression(class_weight="balanced", max_iter=2000),
        {"classify__C": [1e-4, 1e-3, 1e-2, 1e-1]},
    ),
    "ridge": (
        lambda: RidgeClassifier(class_weight="balanced"),
        {"classify__alpha": [1e1, 1e2, 1e3, 1e4]},
    ),
    "knn": (lambda: KNeighborsClassifier(), {"classify__n_neighbors": [1, 5, 15, 45]}),
}


@dataclass(frozen=True)
class ProbeRuns:
    """What a probe predicted.

    Attributes:
        runs: One list a draw, with the predictions of each fold.
        trained: Coefficients that were fitted; of nearest neighbours none.
    """

    runs: list[list[Predictions]]
    trained: int


def fit_probes(
    names: list[str],
    model: str,
    splits: list[DatasetDict],
    column: str,
    class_names: list[str],
    shots: int = 0,
    seeds: tuple[int, ...] = (0,),
) -> Iterator[tuple[str, ProbeRuns]]:
    """Yield each probe with its predictions of the test part of every fold.

    What a probe has to choose, folds of its training subjects choose.

    Args:
        names: Of `_PROBES`.
        model: Pretrained weights; `{fold}` in the name is replaced.
        splits: The folds.
        column: Column of the labels.
        class_names: Classes in order.
        shots: Windows of each class to train on; 0 for all.
        seeds: One a draw; without shots nothing is random, and the first counts.
    """

    @cache
    def features(fold: int, part: str) -> dict[str, np.ndarray]:
        return embed(find_weights(model.format(fold=fold)), splits[fold][part])

    for name in names:
        runs, trained = [], 0
        for seed in seeds if shots else seeds[:1]:
            run = []
            for fold, parts in enumerate(splits):
                few = few_shot_split(parts, column, shots, seed, is_fitted=True)
                used = [(part, rows) for part, rows in few.items() if part != "test"]
                known = {key: row for part, _ in used for key, row in features(fold, part).items()}
                keys = [key for _, rows in used for key in rows["window_id"][:]]
                labels = [class_names.index(label) for _, rows in used for label in rows[column][:]]
                groups = np.concatenate([inner_groups(rows) for _, rows in used])
                probe = fit_probe(name, np.stack([known[key] for key in keys]), np.array(labels), groups)
                trained = count_coefficients(probe)
                tested = features(fold, "test")
                scores = probe_scores(
                    probe, np.stack([tested[key] for key in parts["test"]["window_id"][:]]), len(class_names)
                )
                run.append(to_predictions(parts["test"], Target(column, class_names), scores))
            runs.append(run)
        yield name, ProbeRuns(runs, trained)


def embed(source: str, rows: Dataset) -> dict[str, np.ndarray]:
    """Return the embedding (features,) of each window by its id."""
    check_rate(source, rows)
    extractor = EEGFeatureExtractor.from_pretrained(source)
    encoder = AutoModel.from_pretrained(source).eval()
    found = collect_features(encoder, WindowDataset(rows), EEGDataCollator(extractor), ["pooled"])
    return dict(zip(rows["window_id"][:], found, strict=True))


def fit_probe(name: str, features: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> Any:
    """Fit a probe, its setting chosen by folds of subjects where these hold all classes."""
    build, grid = _PROBES[name]
    pipeline = Pipeline([("scale", StandardScaler()), ("classify", build())])
    folds = [
        (train, test)
        for train, test in (
            GroupKFold(min(4, len(np.unique(groups)))).split(features, groups=groups)
            if len(np.unique(groups)) > 1
            else ()
        )
        if set(labels[train]) == set(labels[test]) == set(labels)
    ]
    if name == "knn":  # no more neighbours than windows to learn from
        least = min([len(train) for train, _ in folds] or [len(features)])
        grid = {key: [value for value in values if value <= least] for key, values in grid.items()}
    if not folds:
        return pipeline.set_params(**{key: values[len(values) // 2] for key, values in grid.items()}).fit(
            features, labels
        )
    return GridSearchCV(pipeline, grid, scoring="balanced_accuracy", cv=folds).fit(features, labels)


def probe_scores(probe: Any, features: np.ndarray, num_classes: int) -> np.ndarray:
    """Return probabilities (windows, classes); of a ridge a softmax of its outputs, which ranks alike."""
    if hasattr(probe, "predict_proba"):
        found = probe.predict_proba(features)
    else:
        outputs = probe.decision_function(features)
        found = softmax(np.stack([-outputs, outputs], axis=1) if outputs.ndim == 1 else outputs, axis=1)
    scores = np.zeros((len(features), num_classes))
    scores[:, probe.classes_] = found
    return scores


def count_coefficients(probe: Any) -> int:
    """Return how many numbers a probe fitted."""
    fitted = getattr(probe, "best_estimator_", probe)["classify"]
    return sum(np.size(getattr(fitted, name, ())) for name in ("coef_", "intercept_"))
