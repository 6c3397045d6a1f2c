# SPDX-License-Identifier: Apache-2.0
"""A prepared corpus as a map-style dataset.

Reading dominates the cost of training small models, so rows travel as Arrow tables, a whole batch at a time,
and never become Python lists.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from .window_arrays import QUARTILES

if TYPE_CHECKING:
    from datasets import Dataset

SIGNAL_COLUMNS = ("window_id", "alignment_group", "channel_positions", "num_samples", "signal", "scale")


class WindowDataset(torch.utils.data.Dataset):
    """A prepared corpus as a map-style dataset that returns Arrow tables.

    Args:
        dataset: A `datasets.Dataset` with the columns of a prepared corpus.
        columns: Columns to read besides those of the signal, such as the labels.

    Attributes:
        rows: The dataset with all its columns.

    Example:
        >>> from datasets import load_dataset
        >>> rows = load_dataset("runs/data/eegmat", split="train")  # doctest: +SKIP
        >>> windows = WindowDataset(rows, ["condition"])  # doctest: +SKIP
    """

    def __init__(self, dataset: "Dataset", columns: Sequence[str] = ()) -> None:
        missing = sorted({*SIGNAL_COLUMNS, *columns} - set(dataset.column_names))
        if missing:
            raise ValueError(f"dataset lacks the columns {missing}; it has {sorted(dataset.column_names)}")
        self.rows = dataset
        known = [QUARTILES] if QUARTILES in dataset.column_names else []
        self.dataset = dataset.select_columns([*SIGNAL_COLUMNS, *known, *columns]).with_format("arrow")

    @property
    def num_channels(self) -> np.ndarray:
        """Number of channels of each row, shape (rows,)."""
        scales = self.dataset.select_columns(["scale"])[:].column("scale")
        return pc.list_value_length(scales).to_numpy()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> pa.Table:
        return self.dataset[[index]]

    def __getitems__(self, indices: list[int]) -> pa.Table:
        return self.dataset[indices]
