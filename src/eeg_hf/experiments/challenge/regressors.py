# SPDX-License-Identifier: Apache-2.0
"""Predictions of a fine-tuned regressor and of baselines for the test part of one EEG2025 challenge."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import Dataset
from sklearn.base import TransformerMixin
from transformers import AutoModelForSequenceClassification

from ...collation import WindowDataset
from ...corpora import drop_unlabelled, load_windows
from ...evaluation import band_power_regressor, challenge_metrics
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ..classifiers.predictions import run_model
from ..classifiers.windows import read_batches
from ..split_arguments import SplitArguments


@dataclass(frozen=True)
class Challenge:
    """One of the two challenges.

    Attributes:
        number: 1 or 2.
        model: Folder of the fine-tuned regressor.
        data: Its prepared corpus.
        target: Column of the numbers to predict.
        train: Windows that the baselines may be fitted to.
        test: Windows to test.
    """

    number: int
    model: str
    data: str
    target: str
    train: Dataset
    test: Dataset

    @property
    def parts(self) -> dict[str, Dataset]:
        """The parts of the split that matter."""
        return {"train": self.train, "test": self.test}


def load_challenge(
    number: int, model: str, data: str, target: str, split: SplitArguments, part: str, task: str | None = None
) -> Challenge:
    """Load the data of a challenge.

    Args:
        number: 1 or 2.
        model: Folder of the fine-tuned regressor.
        data: Prepared corpus.
        target: Column of the numbers to predict.
        split: How to split by subject.
        part: Part to test.
        task: Test only windows of this task.

    Raises:
        ValueError: If the target, the part or the task does not exist.
    """
    parts = split.apply(drop_unlabelled(load_windows(data), target))[0]
    if part == "train" or not {"train", part} <= set(parts):
        raise ValueError(
            f"part: expected one to test beside 'train', got {part!r}; {data} has {', '.join(sorted(parts))}"
        )
    test = parts[part]
    if task is not None:
        of_task = np.flatnonzero(np.array(test["task"][:]) == task)
        if not len(of_task):
            found = ", ".join(sorted(map(str, test.unique("task"))))
            raise ValueError(f"task: expected one of the {part} part of {data} ({found}), got {task!r}")
        test = test.select(of_task)
    return Challenge(number, model, data, target, parts["train"], test)


def judge_methods(challenge: Challenge, max_fitted: int, output_dir: str) -> Iterator[tuple[str, dict]]:
    """Yield each method and its metrics: the model, then the baselines.

    Args:
        challenge: The challenge.
        max_fitted: Number of training windows, spread evenly, that ridge regression is fitted to; 0 leaves it
            out.
        output_dir: Folder that Trainer requires.
    """
    targets, subjects = np.array(challenge.test[challenge.target][:]), challenge.test["subject"][:]

    def judge(predictions: np.ndarray) -> dict:
        return challenge_metrics(targets, predictions, subjects, is_of_person=challenge.number == 2)

    yield "fine-tuned model", judge(run_regressor(challenge, output_dir))
    mean = np.mean(challenge.train[challenge.target][:])
    yield "the training targets' mean", judge(np.full(len(targets), mean))
    if max_fitted:
        yield "band power + ridge regression", judge(run_ridge(challenge, max_fitted))


def run_regressor(challenge: Challenge, output_dir: str) -> np.ndarray:
    """Return the predictions of the fine-tuned model for each window of the test part."""
    if not (Path(challenge.model) / "config.json").is_file():  # asking the Hub would take half a minute
        raise FileNotFoundError(f"{challenge.model}: expected a fine-tuned model, it has no config.json")
    model = AutoModelForSequenceClassification.from_pretrained(challenge.model)
    if model.config.tasks is not None or model.config.num_labels != 1:
        outputs = model.config.tasks or f"num_labels={model.config.num_labels}"
        raise ValueError(f"{challenge.model}: expected a regression (num_labels=1), got {outputs}")
    extractor = EEGFeatureExtractor.from_pretrained(challenge.model)
    where = (challenge.data, output_dir)
    return run_model(model, extractor, challenge.test, challenge.target, None, *where)


def run_ridge(challenge: Challenge, max_fitted: int) -> np.ndarray:
    """Fit ridge regression on band power to the training part, and return its predictions."""
    rows = np.unique(np.linspace(0, len(challenge.train) - 1, max_fitted).round().astype(int))
    train = challenge.train.select(rows)
    regressor = band_power_regressor(train[0]["sampling_rate"], train["subject"][:])
    power, ridge = regressor[0], regressor[1:]
    ridge.fit(read_features(train, power), train[challenge.target][:])
    return ridge.predict(read_features(challenge.test, power))


def read_features(dataset: Dataset, power: TransformerMixin) -> np.ndarray:
    """Return the features of all windows, of which only a batch is in memory at a time."""
    return np.concatenate([power.transform(values) for _, values in read_batches(WindowDataset(dataset))])
