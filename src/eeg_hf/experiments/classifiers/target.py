# SPDX-License-Identifier: Apache-2.0
"""What is predicted of a window: one of several classes, or a number."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset

from ...corpora import drop_unlabelled, load_windows, with_classes
from ...corpora.windows.row_groups import read_columns
from ...evaluation import Predictions, make_compute_metrics, regression_metrics
from ...suggestions import did_you_mean
from ...training import balanced_class_weights, fit_auxiliary_tasks

REGRESSION_METRIC = "nrmse_std"


@dataclass(frozen=True)
class Target:
    """A column of labels.

    Attributes:
        column: Its name.
        class_names: Classes in order; empty for a regression.
        votes: Columns of the votes for each class, in the same order; empty where labels are certain.
    """

    column: str
    class_names: Sequence[str] = ()
    votes: Sequence[str] = ()

    @property
    def is_regression(self) -> bool:
        """Whether numbers are predicted."""
        return not self.class_names

    @property
    def label2id(self) -> dict[str, int] | None:
        """Index of each class; None for a regression."""
        if self.is_regression:
            return None
        return {name: index for index, name in enumerate(self.class_names)}

    @property
    def shown_metrics(self) -> tuple[str, str]:
        """The metrics to name in one line."""
        return (REGRESSION_METRIC, "pearson") if self.is_regression else ("balanced_accuracy", "auroc")

    def encode(self, rows: Dataset) -> np.ndarray:
        """Return the class indices, or the numbers, of some windows, (windows,)."""
        if self.label2id is None:
            return np.asarray(rows[self.column][:], float)
        return np.array([self.label2id[label] for label in rows[self.column][:]])

    def shares(self, rows: Dataset) -> np.ndarray:
        """Return the share of the votes that each class has, (windows, classes)."""
        return vote_shares(rows, self.votes)

    def config_fields(self, train: Dataset, weights_classes: bool) -> dict[str, Any]:
        """Return the fields of a model's config that follow from the training labels.

        Raises:
            ValueError: If nothing could be learned: a class without a window, or a single number.
        """
        if self.is_regression:
            numbers = fit_auxiliary_tasks({self.column: {}}, {self.column: train[self.column][:]})
            names = {"num_labels": 1, "id2label": {0: self.column}, "label2id": {self.column: 0}}
            return {**names, **{f"regression_{name}": numbers[self.column][name] for name in ("mean", "std")}}
        labels = self.encode(train).tolist()
        self.refuse_missing_classes(labels)
        weights = balanced_class_weights(labels, len(self.class_names)) if weights_classes else None
        id2label = dict(enumerate(self.class_names))
        return {"id2label": id2label, "label2id": self.label2id, "class_weights": weights}

    def refuse_missing_classes(self, train_labels: Sequence[int]) -> None:
        """Refuse classes that nothing could be learned of, as of a column of measurements."""
        missing = [name for index, name in enumerate(self.class_names) if index not in set(train_labels)]
        if missing:
            raise ValueError(
                f"{self.column}: {len(missing)} of {len(self.class_names)} classes have no window to train "
                f"on ({', '.join(missing[:3])}): choose a column of classes, --class_names, --task "
                "regression or another split"
            )

    def compute_metrics(self) -> Callable[[Any], dict[str, float]]:
        """Return the metrics of an evaluation of Trainer."""
        if not self.is_regression:
            return make_compute_metrics(list(self.class_names))
        return lambda prediction: regression_metrics(prediction.label_ids, prediction.predictions)


def to_predictions(test: Dataset, target: Target, scores: np.ndarray) -> Predictions:
    """Return scores (windows, outputs) of windows with their ids, subjects and labels."""
    return Predictions(
        np.array(test["window_id"][:]), np.array(test["subject"][:]), target.encode(test), scores
    )


def load_target(
    data: str,
    column: str,
    is_regression: bool,
    class_names: Sequence[str] | None,
    votes: Sequence[str] = (),
) -> tuple[Dataset, Target]:
    """Return the labelled windows of a prepared corpus, and what is predicted of them.

    Args:
        data: The corpus.
        column: Of the labels; with votes, what the classes with most of them are to be called.
        is_regression: Whether labels are numbers to predict.
        class_names: Classes in order.
        votes: Columns of the votes for each class.

    Raises:
        ValueError: If there is no such column, or it does not hold what is to be predicted.
    """
    if votes:
        return load_votes(load_windows(data), column, votes)
    if not is_regression:
        dataset, names = with_classes(load_windows(data), column, class_names)
        return dataset, Target(column, names)
    if class_names:
        raise ValueError("class_names: a regression has none; leave out --class_names or --task regression")
    dataset = drop_unlabelled(load_windows(data), column)
    kind = read_columns(dataset, [column]).column(0).type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise ValueError(f"label_column {column!r}: a regression needs numbers, the column holds {kind}")
    return dataset, Target(column)


def load_votes(dataset: Dataset, column: str, votes: Sequence[str]) -> tuple[Dataset, Target]:
    """Return the windows that have a vote, and their classes: each is called by the one with most votes.

    Raises:
        ValueError: If there are fewer than two columns, one is missing or holds no votes, or no window has
            one.
    """
    if len(votes) < 2:
        raise ValueError(f"votes: expected a column for each of two classes or more, got {list(votes)}")
    for name in votes:
        if name not in dataset.column_names:
            raise ValueError(
                f"votes: no column {name!r}{did_you_mean(name, dataset.column_names)}; there are "
                f"{', '.join(dataset.column_names)}"
            )
        kind = read_columns(dataset, [name]).column(0).type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise ValueError(f"votes: {name!r} holds {kind}, expected numbers of votes")
    shares = vote_shares(dataset, votes)
    has_vote = ~np.isnan(shares).any(axis=1)
    if not has_vote.any():
        raise ValueError(f"votes: none of {len(dataset)} windows has a vote in {', '.join(votes)}")
    names = class_names_of_votes(votes)
    labels = [names[row.argmax()] if has else None for row, has in zip(shares, has_vote, strict=True)]
    others = dataset.remove_columns([column]) if column in dataset.column_names else dataset
    rows = others.add_column(column, labels)  # first, because rows that were chosen cannot get columns
    return rows.select(np.flatnonzero(has_vote)), Target(column, names, tuple(votes))


def class_names_of_votes(votes: Sequence[str]) -> list[str]:
    """Return the classes of columns of votes: `seizure_vote` counts those for `seizure`."""
    return [name.removesuffix("s").removesuffix("vote").rstrip("_ ") or name for name in votes]


def vote_shares(rows: Dataset, votes: Sequence[str]) -> np.ndarray:
    """Return the share of the votes of each class, (windows, classes); NaN without a vote.

    Raises:
        ValueError: If a number of votes is below 0.
    """
    columns = [[np.nan if value is None else value for value in rows[name][:]] for name in votes]
    counts = np.nan_to_num(np.array(columns, float).T.reshape(-1, len(votes)))
    if (counts < 0).any():
        raise ValueError(f"votes: expected 0 or more, got {counts.min():g}")
    totals = counts.sum(axis=1, keepdims=True)
    return np.where(totals > 0, counts / np.where(totals > 0, totals, 1), np.nan)
