# SPDX-License-Identifier: Apache-2.0
"""What a classifier said about each window: the one thing every table is made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from .metrics import MetricSummary


@dataclass(frozen=True)
class Predictions:
    """Scores of the windows of one test part.

    Attributes:
        window_ids: Which windows, (windows,) strings.
        subjects: Whose they are, (windows,) strings.
        labels: Class indices (windows,), or the numbers to predict.
        scores: Class probabilities (windows, classes), or predicted numbers (windows, 1).
    """

    window_ids: np.ndarray
    subjects: np.ndarray
    labels: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        lengths = {len(self.window_ids), len(self.subjects), len(self.labels), len(self.scores)}
        if len(lengths) != 1:
            raise ValueError(
                f"predictions: expected one id, subject, label and score row a window, got {sorted(lengths)}"
            )

    def save(self, path: str | Path) -> None:
        """Write a Parquet file."""
        columns = {
            "window_id": pa.array(self.window_ids.tolist()),
            "subject": pa.array(self.subjects.tolist()),
            "label": pa.array(self.labels),
            "scores": pa.array(self.scores.astype(np.float32).tolist()),
        }
        pq.write_table(pa.table(columns), path)

    @classmethod
    def load(cls, path: str | Path) -> "Predictions":
        """Read what `save` wrote."""
        table = pq.read_table(path)
        return cls(
            window_ids=np.array(table.column("window_id").to_pylist()),
            subjects=np.array(table.column("subject").to_pylist()),
            labels=table.column("label").to_numpy(),
            scores=np.array(table.column("scores").to_pylist(), dtype=np.float32),
        )

    @classmethod
    def concatenate(cls, parts: "list[Predictions]") -> "Predictions":
        """Put the test parts of several folds together."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__)
        )


def summarize_predictions(runs: Sequence[Sequence[Predictions]]) -> "dict[str, MetricSummary]":
    """Summarise the metrics of a method over folds and seeds.

    The values are those of the folds, each averaged over seeds; with one fold, those of the seeds. Intervals
    come from drawing the people tested, on scores averaged over seeds.

    Args:
        runs: One list a seed, with the predictions of each fold.
    """
    from .metrics import aggregate_folds, bootstrap_interval, classification_metrics

    metrics = [[classification_metrics(fold.labels, fold.scores) for fold in run] for run in runs]
    num_folds = len(runs[0])
    if num_folds == 1:
        summary = aggregate_folds([folds[0] for folds in metrics])
    else:
        averaged = [
            {name: float(np.mean([folds[fold][name] for folds in metrics])) for name in metrics[0][fold]}
            for fold in range(num_folds)
        ]
        summary = aggregate_folds(averaged)
    first = Predictions.concatenate(list(runs[0]))
    scores = np.mean([scores_in_order(first, Predictions.concatenate(list(run))) for run in runs], axis=0)
    for name in ("balanced_accuracy", "auroc"):
        summary[name]["interval"] = bootstrap_interval(first.labels, scores, first.subjects, name)
    return summary


def scores_in_order(first: Predictions, other: Predictions) -> np.ndarray:
    """Return the scores of `other` in the order of the windows of `first`."""
    place = {window: row for row, window in enumerate(other.window_ids.tolist())}
    return other.scores[[place[window] for window in first.window_ids.tolist()]]
