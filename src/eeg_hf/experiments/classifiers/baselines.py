# SPDX-License-Identifier: Apache-2.0
"""The classical methods of a table, fitted to each fold in both regimes."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets
from transformers.utils import logging

from ...evaluation import MethodRuns, Predictions, WelchTangentSpace
from ...evaluation.report import Calibration, regime_of
from .classical import ClassicalStatistics, try_classical
from .target import Target, to_predictions

OF_CLASSES = {
    "tangent space of 12 bands + logistic regression": "welch_tangent_space",
    "band power + logistic regression": "band_power",
    "tangent space + logistic regression": "tangent_space",
}
OF_EVENTS = {
    "ERP covariances + logistic regression": "erp_covariances",
    "xDAWN covariances + logistic regression": "xdawn_covariances",
}
"""Of windows that are locked to an event."""
OF_NUMBERS = {
    "band power + ridge regression": "band_power",
    "tangent space + ridge regression": "tangent_space",
}
MEAN = "mean of the training windows"
"""Of numbers: what says that nothing was learned."""

Predict = Callable[[Dataset, Dataset], Predictions]


def fit_baselines(
    dataset: Dataset, splits: list[DatasetDict], target: Target, is_known: bool, is_evoked: bool = False
) -> Iterator[MethodRuns]:
    """Yield the baselines of both regimes; a bar shows how many fits are left.

    Args:
        dataset: All windows.
        splits: The folds; what is not tested is trained on.
        target: What is predicted.
        is_known: Whether windows of a tested subject are trained on.
        is_evoked: Whether windows are locked to an event.
    """
    methods = [*list_baselines(dataset, target, is_evoked)]
    with logging.tqdm(total=len(splits) * len(methods), desc="baselines", unit="fit") as bar:
        for title, used, predict in methods:
            bar.set_postfix_str(title)
            found = []
            for split in splits:
                train = concatenate_datasets([part for name, part in split.items() if name != "test"])
                found.append(predict(train, split["test"]))
                bar.update()
            yield MethodRuns(title, regime_of(is_known, used), [found], is_baseline=True)


def list_baselines(
    dataset: Dataset, target: Target, is_evoked: bool
) -> Iterator[tuple[str, Calibration, Predict]]:
    """Yield the name of each baseline, what it knows of the tested subjects, and what fits and predicts."""
    # Whitening each band is a stronger baseline than whitening the whole signal
    statistics, recentred = ClassicalStatistics(dataset), ClassicalStatistics(dataset, is_recentred=True)

    def classical(method: str, of: ClassicalStatistics) -> Predict:
        def predict(train: Dataset, test: Dataset) -> Predictions:
            groups = None if target.is_regression else np.array(train["subject"][:])
            return try_classical(method, train, test, target, of, groups)

        return predict

    methods = OF_NUMBERS if target.is_regression else {**OF_CLASSES, **(OF_EVENTS if is_evoked else {})}
    if target.is_regression:
        yield MEAN, "unseen", partial(predict_mean, target=target)
    for title, method in methods.items():
        yield title, "unseen", classical(method, statistics)
        if method == "welch_tangent_space":
            yield title, "aligned", partial(predict_aligned, target=target, statistics=statistics)
        if method == "tangent_space":
            yield title, "aligned", classical(method, recentred)


def predict_mean(train: Dataset, test: Dataset, target: Target) -> Predictions:
    """Predict the mean of the training windows for every window."""
    return to_predictions(test, target, np.full((len(test), 1), target.encode(train).mean()))


def predict_aligned(
    train: Dataset, test: Dataset, target: Target, statistics: ClassicalStatistics
) -> Predictions:
    """Fit the tangent space of many bands, recentred by the mean of each subject, and predict others."""
    space = WelchTangentSpace(float(test[0]["sampling_rate"]), is_aligned=True)
    vectors = {pair: statistics.aligned_vectors(train, space, pair) for pair in space.shrinkages}
    space.fit_vectors(vectors, target.encode(train), train["subject"][:])
    scores = space.predict_vectors(statistics.aligned_vectors(test, space, space.shrinkage_))
    return to_predictions(test, target, scores)
