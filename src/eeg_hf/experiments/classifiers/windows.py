# SPDX-License-Identifier: Apache-2.0
"""The windows of a corpus in microvolts, for methods that take arrays."""

from collections.abc import Iterator

import numpy as np

from ...collation import WindowDataset, decode_windows


def read_batches(rows: WindowDataset, size: int = 512) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yield the ids of some windows and the windows (batch, channels, time) in microvolts, in order."""
    for start in range(0, len(rows), size):
        table = rows.__getitems__(list(range(start, min(start + size, len(rows)))))
        yield table.column("window_id").to_pylist(), decode_windows(table)[0]
