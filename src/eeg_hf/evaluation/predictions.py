# SPDX-License-Identifier: Apache-2.0
"""What a classifier said about each window: the one thing every table is made from."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


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
