# SPDX-License-Identifier: Apache-2.0
"""The architecture of a run, chosen among several by inner folds of the training subjects."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from datasets import DatasetDict
from transformers.utils import logging

from ...evaluation import Predictions, classification_metrics, regression_metrics, write_json
from ...evaluation.report import METRIC_TITLES
from ..inner_folds import inner_splits
from .target import REGRESSION_METRIC, Target

logger = logging.get_logger(__name__)

FILE = "choice.json"
"""What was chosen, and the scores of all, beside the model."""


@dataclass(frozen=True)
class Choice:
    """An architecture that was chosen.

    Attributes:
        architecture: Its name.
        metric: By which it was chosen.
        scores: Of each architecture, of the windows of all inner folds together.
    """

    architecture: str
    metric: str
    scores: Mapping[str, float]

    @classmethod
    def load(cls, folder: Path) -> "Choice | None":
        """Return what was chosen for the model in a folder; None where nothing was."""
        if not (path := folder / FILE).is_file():
            return None
        facts = json.loads(path.read_text(encoding="utf-8"))
        return cls(facts["chosen"], facts["metric"], facts["scores"])

    def describe(self) -> str:
        """Return the scores in words."""
        shown = ", ".join(f"{name} {score:.3f}" for name, score in self.scores.items())
        return f"{self.architecture}, by the {METRIC_TITLES.get(self.metric, self.metric).lower()} of {shown}"

    def save(self, folder: Path) -> None:
        """Write `choice.json`."""
        write_json(folder / FILE, {"chosen": self.architecture, "metric": self.metric, "scores": self.scores})


def choose_architecture(
    names: tuple[str, ...],
    parts: DatasetDict,
    target: Target,
    num_folds: int,
    run: Callable[[str, DatasetDict, Path], Predictions],
    folder: Path,
) -> Choice:
    """Run every architecture on inner folds of the training subjects, and return the best.

    Args:
        names: Of the architectures; of two that are alike, the first is taken.
        parts: The split; its `test` part is not looked at.
        target: What is predicted.
        num_folds: Inner folds; two where there are fewer subjects.
        run: Trains an architecture on `train` and returns its predictions of `test`; it may use a folder.
        folder: For these runs; removed afterwards.

    Raises:
        ValueError: If there are fewer than two subjects to train on.
    """
    train = parts["train"]
    number = min(num_folds, len(set(train["subject"][:])))
    inner = [
        DatasetDict({"train": each["train"], "test": each["validation"]})
        for each in inner_splits(train, max(number, 2))
    ]
    scores = {}
    # And the fit of what is chosen, which follows
    with logging.tqdm(total=len(names) * len(inner) + 1, desc="choosing", unit="fit") as bar:
        for name in names:
            found = []
            for fold, split in enumerate(inner):
                found.append(run(name, split, folder / f"{name.replace('/', '-')}-{fold}"))
                shutil.rmtree(folder, ignore_errors=True)
                bar.update()
            scores[name] = _score(Predictions.concatenate(found), target)
    sign = -1 if target.is_regression else 1
    best = max(names, key=lambda name: sign * scores[name])
    metric = REGRESSION_METRIC if target.is_regression else "balanced_accuracy"
    shown = ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
    logger.warning(f"{metric} on {len(inner)} inner folds of {len(set(train['subject']))} subjects: {shown}")
    logger.warning(f"chosen: {best}")
    return Choice(best, metric, scores)


def _score(found: Predictions, target: Target) -> float:
    labels, scores = np.asarray(found.labels), found.scores
    if target.is_regression:
        return float(regression_metrics(labels, scores)[REGRESSION_METRIC])
    return float(classification_metrics(labels, scores, target.class_names)["balanced_accuracy"])
