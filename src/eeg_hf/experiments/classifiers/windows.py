# SPDX-License-Identifier: Apache-2.0
"""The windows of a corpus in microvolts, for methods that take arrays."""

from collections.abc import Iterator

import numpy as np
from datasets import Dataset

from ...collation import WindowDataset, decode_windows


def load_arrays(dataset: Dataset) -> dict[str, np.ndarray]:
    """Return every window (channels, time) in microvolts by its id."""
    rows = WindowDataset(dataset)
    if len(set(rows.num_channels)) > 1:
        raise ValueError(
            "baselines: expected one number of channels; prepare with --channels, or --baselines false"
        )
    windows: dict[str, np.ndarray] = {}
    for window_ids, values in read_batches(rows):
        windows.update(zip(window_ids, values, strict=True))
    return windows


def read_batches(rows: WindowDataset, size: int = 512) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yield the ids of some windows and the windows (batch, channels, time) in microvolts, in order."""
    for start in range(0, len(rows), size):
        table = rows.__getitems__(list(range(start, min(start + size, len(rows)))))
        yield table.column("window_id").to_pylist(), decode_windows(table)[0]
