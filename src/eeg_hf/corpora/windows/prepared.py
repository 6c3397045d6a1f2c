# SPDX-License-Identifier: Apache-2.0
"""Load the windows of a prepared corpus."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from datasets import Dataset, load_dataset
from transformers.utils import logging

from .card import CARD
from .row_groups import read_columns

logger = logging.get_logger(__name__)


def load_windows(source: str | Path) -> Dataset:
    """Load the windows of one prepared corpus.

    Args:
        source: Folder written by `eeg-hf prepare`, or Hub name of such a dataset.

    Raises:
        FileNotFoundError: If the folder holds no prepared corpus.
        ValueError: If its shards hold no window.
    """
    refuse_unfinished(source)
    if not Path(source).exists() and str(source).count("/") != 1:  # asking the Hub would take minutes
        raise FileNotFoundError(f"{source} is neither a folder nor a Hub name such as organisation/dataset")
    try:
        return load_dataset(str(source), split="train")
    except (OSError, ValueError) as error:
        if Path(source).exists():
            raise
        reason = str(error).splitlines()[0]
        raise FileNotFoundError(
            f"{source} is neither a prepared folder nor a dataset on the Hub: {reason}"
        ) from None


def refuse_unfinished(source: str | Path) -> None:
    """Refuse a folder that holds no prepared corpus, or only part of one.

    Args:
        source: A folder; a path that does not exist passes, since it may be the name of a dataset on the Hub.

    Raises:
        FileNotFoundError: If the folder is empty or unfinished.
        ValueError: If its shards hold no window.
    """
    folder = Path(source)
    if not folder.exists():
        return
    shards = sorted(folder.glob("data/*.parquet"))
    if not shards:
        raise FileNotFoundError(
            f"no prepared windows in {folder}: expected data/*.parquet, run eeg-hf prepare first"
        )
    if not (folder / CARD).exists():  # written last
        raise FileNotFoundError(f"{folder} is unfinished: its preparation was interrupted, run it again")
    if not any(pq.read_metadata(path).num_rows for path in shards):  # usually reads only the first
        raise ValueError(f"{folder} holds no window: its {len(shards)} shards are empty, prepare it again")


def drop_unlabelled(dataset: Dataset, label_column: str) -> Dataset:
    """Drop rows without a label, and log how many.

    Args:
        dataset: Windows.
        label_column: Column of the labels.

    Raises:
        ValueError: If there is no such column, or no row has a label.
    """
    if label_column not in dataset.column_names:
        raise ValueError(
            f"label_column {label_column!r} is not in the dataset, which has {sorted(dataset.column_names)}"
        )
    known = np.flatnonzero(read_columns(dataset, [label_column]).column(0).is_valid().to_numpy())
    if not len(known):
        raise ValueError(f"label_column {label_column!r}: none of the {len(dataset)} windows has a label")
    if len(known) < len(dataset):
        logger.warning(
            f"{len(dataset) - len(known)} of {len(dataset)} windows have no {label_column}: dropped"
        )
    return dataset.select(known)


__all__ = ["drop_unlabelled", "load_windows", "refuse_unfinished"]
