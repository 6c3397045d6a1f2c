# SPDX-License-Identifier: Apache-2.0
"""The baselines of a regression, fitted to each fold."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict, concatenate_datasets
from sklearn.dummy import DummyRegressor
from transformers.utils import logging

from ...evaluation import (
    MethodRuns,
    Predictions,
    band_power_regressor,
    recentre_bands,
    tangent_space_regressor,
)
from ...evaluation.report import regime_of
from ..inner_folds import inner_groups
from .target import Target

MEAN = "mean of the training windows"
BAND_POWER = "band power + ridge regression"
TANGENT_SPACE = "tangent space + ridge regression"


def fit_regressions(
    windows: dict[str, np.ndarray],
    dataset: Dataset,
    splits: list[DatasetDict],
    target: Target,
    is_known: bool,
) -> Iterator[MethodRuns]:
    """Yield the baselines of both regimes; the mean is what says that nothing was learned.

    Args:
        windows: Every window (channels, time) in uV by its id.
        dataset: All windows, in the same order.
        splits: The folds.
        target: What is predicted.
        is_known: Whether windows of a tested subject are trained on.
    """
    regressors = {MEAN: build_mean, BAND_POWER: band_power_regressor, TANGENT_SPACE: tangent_space_regressor}
    with logging.tqdm(total=len(splits) * (len(regressors) + 1), desc="baselines", unit="fit") as bar:
        for method, build in regressors.items():
            bar.set_postfix_str(method)
            found = fit_regression(build, windows, splits, target, bar.update)
            yield MethodRuns(method, regime_of(is_known, "unseen"), [found], is_baseline=True)
        rate = dataset[0]["sampling_rate"]
        values = recentre_bands(np.stack(list(windows.values())), dataset["subject"], rate)
        windows = dict(zip(windows, values, strict=True))
        found = fit_regression(tangent_space_regressor, windows, splits, target, bar.update)
        yield MethodRuns(TANGENT_SPACE, regime_of(is_known, "aligned"), [found], is_baseline=True)


def build_mean(sampling_rate: float, subjects: np.ndarray) -> Any:
    """Return what predicts the mean of the training windows for every window."""
    return DummyRegressor()


def fit_regression(
    build: Callable[..., Any],
    windows: dict[str, np.ndarray],
    splits: list[DatasetDict],
    target: Target,
    count: Callable[[], Any] = lambda: None,
) -> list[Predictions]:
    """Fit a baseline to the training and validation subjects of each fold, and predict the test subjects.

    Args:
        build: Returns a regressor for a sampling rate in Hz and the groups of the training windows.
        windows: As in `fit_regressions`.
        splits: The folds.
        target: What is predicted.
        count: Called after each fold.
    """
    predictions = []
    for split in splits:
        train = concatenate_datasets([part for name, part in split.items() if name != "test"])
        test = split["test"]
        values = np.stack([windows[key] for key in train["window_id"]])
        regressor = build(train[0]["sampling_rate"], inner_groups(train)).fit(values, target.encode(train))
        scores = regressor.predict(np.stack([windows[key] for key in test["window_id"]]))
        ids, subjects = np.array(test["window_id"]), np.array(test["subject"])
        predictions.append(Predictions(ids, subjects, target.encode(test), scores.reshape(-1, 1)))
        count()
    return predictions
