# SPDX-License-Identifier: Apache-2.0
"""Predictions of a classifier, window by window, from which all tables are made."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..atomic_files import atomic_path


@dataclass(frozen=True)
class Predictions:
    """Scores of the windows of one test part.

    Attributes:
        window_ids: Identifiers of the windows, (windows,) strings.
        subjects: Subject of each window, (windows,) strings.
        labels: Class indices or targets, (windows,).
        scores: Class probabilities (windows, classes), or predicted targets (windows, 1).
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
        """Write a Parquet file, atomically."""
        columns = {
            "window_id": pa.array(self.window_ids.tolist()),
            "subject": pa.array(self.subjects.tolist()),
            "label": pa.array(self.labels),
            "scores": pa.array(self.scores.astype(np.float32).tolist()),
        }
        with atomic_path(path) as partial:
            pq.write_table(pa.table(columns), partial)

    @classmethod
    def load(cls, path: str | Path) -> "Predictions":
        """Read a file written by `save`."""
        table = pq.read_table(path)
        return cls(
            window_ids=np.array(table.column("window_id").to_pylist()),
            subjects=np.array(table.column("subject").to_pylist()),
            labels=table.column("label").to_numpy(),
            scores=np.array(table.column("scores").to_pylist(), dtype=np.float32),
        )

    @classmethod
    def concatenate(cls, parts: "list[Predictions]") -> "Predictions":
        """Concatenate the test parts of several folds."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__)
        )
