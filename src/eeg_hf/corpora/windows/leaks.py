# SPDX-License-Identifier: Apache-2.0
"""The refusal of splits whose parts share what they are split by."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from datasets import Dataset
from transformers.utils import logging

from .row_groups import WITHIN, distinct, group_rows, plural, qualify, read_columns, some

logger = logging.get_logger(__name__)

# Columns that no recording holds two values of; others, such as a concept, change from window to window
_OF_RECORDINGS = frozenset({*WITHIN, "release", "release_number", "patient", "patient_id"})
_IMAGE, _CONCEPT = "image", "concept"


class LeakError(ValueError):
    """Two parts of a split share a subject, a recording or identical samples."""


def check_disjoint(splits: Mapping[str, Dataset], by: str = "subject") -> None:
    """Refuse a split whose parts share what it is by, a recording or window, or identical samples.

    A split by concept shares people and recordings by its nature; there only windows must differ, and windows
    that overlap in time are warned of. Identical samples are found by the column `signal_hash`, which leaves
    the amplitude out: a copy of a recording in another unit counts as the same.

    Where windows have a column `image`, a split by concept may not share an image either; a split by subject
    shares them where everybody saw the same, which is warned of.

    Args:
        splits: Part -> windows, for example a `DatasetDict`.
        by: Column that the parts must not share a value of.

    Raises:
        LeakError: Naming what is shared, and by which parts.
        ValueError: If a part has no such column.
    """
    refuse_shared({part: set(group_rows(rows, by)[1].tolist()) for part, rows in splits.items()}, plural(by))
    _check_images(splits, by)
    whole = "recording" if by in _OF_RECORDINGS else "window_id"
    for column, what in ((whole, plural(whole)), ("signal_hash", "windows with identical samples, hash")):
        if all(column in rows.column_names for rows in splits.values()):
            refuse_shared({part: distinct(rows, column) for part, rows in splits.items()}, what)
    overlapping = 0 if by in _OF_RECORDINGS else _count_overlapping(splits)
    if overlapping:
        logger.warning(
            f"{overlapping} windows overlap one of another part in the same recording: a split by {by!r} "
            "does not keep their samples apart"
        )


def _check_images(splits: Mapping[str, Dataset], by: str) -> None:
    """Refuse images shared by a split by concept, and warn of those shared by a split by people."""
    if by == _IMAGE or not all(_IMAGE in rows.column_names for rows in splits.values()):
        return
    images = {part: distinct(rows, _IMAGE) for part, rows in splits.items()}
    if by == _CONCEPT:
        refuse_shared(images, "images")
    elif by in _OF_RECORDINGS and "train" in images:
        tested = set().union(*(found for part, found in images.items() if part != "train"))
        shared = images["train"] & tested
        if shared:
            logger.warning(
                f"{len(shared)} of {len(tested)} images of the other parts were seen in training too: "
                f"{some(shared)}; a split by {by}+column:{_CONCEPT} tests new images on new people"
            )


def _count_overlapping(splits: Mapping[str, Dataset]) -> int:
    """Count windows that begin before the one before them ends, in one recording but in another part."""
    needed = ("recording", "start_seconds", "num_samples", "sampling_rate")
    if not all(set(needed) <= set(rows.column_names) for rows in splits.values()):
        return 0
    parts = np.repeat(np.arange(len(splits)), [len(rows) for rows in splits.values()])
    names = pa.concat_arrays([qualify(rows, "recording") for rows in splits.values()])
    recordings = names.dictionary_encode().indices.to_numpy()
    tables = [read_columns(rows, needed[1:]) for rows in splits.values()]
    start, length, rate = (
        np.concatenate([table.column(name).to_numpy() for table in tables]).astype(np.float64)
        for name in needed[1:]
    )
    order = np.lexsort((start, recordings))
    end = start + length / rate
    before, after = order[:-1], order[1:]
    is_other = (recordings[after] == recordings[before]) & (parts[after] != parts[before])
    return int((is_other & (start[after] < end[before] - 1e-6)).sum())


def refuse_shared(parts: Mapping[str, set[str]], what: str) -> None:
    """Raise where two sets have something in common.

    Args:
        parts: Part -> what it has.
        what: What these are, in plural.

    Raises:
        LeakError: Naming what is shared, and by which parts.
    """
    names = list(parts)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            shared = parts[first] & parts[second]
            if shared:
                raise LeakError(f"{first!r} and {second!r} share {len(shared)} {what}: {some(shared)}")


__all__ = ["LeakError", "check_disjoint", "refuse_shared"]
