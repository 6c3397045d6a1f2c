# SPDX-License-Identifier: Apache-2.0
"""Load the windows of a prepared corpus."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset, Value, load_dataset
from transformers.utils import logging

from ...folder_lock import is_locked_elsewhere
from ...suggestions import did_you_mean
from .card import CARD
from .mapped_signals import load_mapped
from .row_groups import read_columns

logger = logging.get_logger(__name__)

MAX_NUMBERED_CLASSES = 20  # more different numbers are measurements, such as ages


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
    if Path(source).exists() and (mapped := load_mapped(Path(source))) is not None:
        return mapped
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
    if (holder := is_locked_elsewhere(folder)) and not (folder / CARD).exists():
        raise FileNotFoundError(f"{folder} is being prepared by {holder}: wait until it is finished")
    shards = sorted(folder.glob("data/*.parquet"))
    if not shards:
        raise FileNotFoundError(
            f"no prepared windows in {folder}: expected data/*.parquet: prepare the corpus first "
            "(eeg-hf prepare)"
        )
    if not (folder / CARD).exists():  # written last
        raise FileNotFoundError(f"{folder} is unfinished: its preparation was interrupted, run it again")
    if not any(pq.read_metadata(path).num_rows for path in shards):  # usually reads only the first
        raise ValueError(f"{folder} holds no window: its {len(shards)} shards are empty, prepare it again")


def with_classes(
    dataset: Dataset, label_column: str, class_names: Sequence[str] | None = None
) -> tuple[Dataset, list[str]]:
    """Make a column of labels one of classes: numbers become their text (0.0 becomes `0`).

    Args:
        dataset: Windows, as `load_windows` returns them.
        label_column: Column of the labels.
        class_names: Classes in order; by default those of the column, sorted (numbers by size).

    Returns:
        The labelled windows, and the names of the classes.

    Raises:
        ValueError: If there is no such column, it holds numbers that are no classes, fewer than two classes,
            or others than `class_names`.
    """
    if label_column in dataset.column_names:  # first, because rows chosen from a dataset cannot get columns
        dataset = _with_text(dataset, label_column, class_names is not None)
    dataset = drop_unlabelled(dataset, label_column)
    values = sorted(pc.unique(read_columns(dataset, [label_column]).column(0)).to_pylist(), key=_by_size)
    names = values if class_names is None else [str(name) for name in class_names]
    there = ", ".join(map(repr, values[:10]))
    if absent := [name for name in names if name not in values]:
        raise ValueError(
            f"class_names lists {', '.join(absent)}: label_column {label_column!r} holds {there}"
        )
    if others := [value for value in values if value not in names]:
        raise ValueError(
            f"label_column {label_column!r} holds {', '.join(others[:10])}, which class_names does not list: "
            "add them, or leave out their recordings when the corpus is prepared"
        )
    if len(names) < 2:
        raise ValueError(
            f"label_column {label_column!r} holds the single class {there}: expected two or more"
        )
    return dataset, names


def _with_text(dataset: Dataset, label_column: str, is_listed: bool) -> Dataset:
    """Turn a column of numbers or booleans into text; refuse measurements, such as ages, as classes."""
    column = read_columns(dataset, [label_column]).column(0)
    if not (
        pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or column.type == pa.bool_()
    ):
        return dataset
    numbers = pc.unique(column.drop_null()).to_pylist()
    if len(numbers) > MAX_NUMBERED_CLASSES and not is_listed:
        raise ValueError(
            f"label_column {label_column!r} holds {len(numbers)} different numbers ({min(numbers):g} to "
            f"{max(numbers):g}), expected classes: choose another column, or list the classes in class_names"
        )
    texts = [None if value is None else class_name(value) for value in column.to_pylist()]
    others = dataset.remove_columns(label_column)
    return others.add_column(label_column, texts, feature=Value("string"))


def class_name(value: float | bool) -> str:
    """Return what a class is called that a column states as a number: 0.0 is `0`."""
    is_whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if is_whole else str(value)


def _by_size(name: str) -> tuple[float, str]:
    """Order `2` before `10`, and numbers before words."""
    try:
        return float(name), name
    except ValueError:
        return float("inf"), name


def drop_unlabelled(dataset: Dataset, label_column: str) -> Dataset:
    """Drop rows without a label, and log how many.

    Args:
        dataset: Windows.
        label_column: Column of the labels.

    Raises:
        ValueError: If there is no such column, or no row has a label.
    """
    names = sorted(dataset.column_names)
    if label_column not in names:
        raise ValueError(
            f"label_column {label_column!r} is not in the dataset{did_you_mean(label_column, names)}; it has "
            f"{', '.join(names)}"
        )
    known = np.flatnonzero(read_columns(dataset, [label_column]).column(0).is_valid().to_numpy())
    if not len(known):
        raise ValueError(f"label_column {label_column!r}: none of the {len(dataset)} windows has a label")
    if len(known) < len(dataset):
        logger.warning(
            f"{len(dataset) - len(known)} of {len(dataset)} windows have no {label_column}: dropped"
        )
    return dataset.select(known)
