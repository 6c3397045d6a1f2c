# SPDX-License-Identifier: Apache-2.0
"""Refuse splits whose parts share what they are split by."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa
from datasets import Dataset, DatasetDict, concatenate_datasets
from transformers.utils import logging

from .row_groups import WITHIN, distinct, find_overlaps, group_rows, plural, qualify, read_columns, some

logger = logging.get_logger(__name__)

# Columns with one value per recording; others, such as a concept, change between windows
_OF_RECORDINGS = frozenset({*WITHIN, "release", "release_number", "patient", "patient_id"})
_IMAGE, _CONCEPT = "image", "concept"


class LeakError(ValueError):
    """Two parts of a split share a subject, a recording or identical samples."""


def check_disjoint(splits: Mapping[str, Dataset], by: str = "subject") -> None:
    """Refuse a split whose parts share a value of the split column, a recording or identical samples.

    A split by concept shares subjects and recordings by design; its parts must differ in windows, and windows
    that overlap in time are logged. Identical samples are found by the column `signal_hash`, which ignores
    the amplitude: a copy of a recording in another unit counts as the same.

    If windows have a column `image`, a split by concept may not share an image; a split by subject shares the
    images that all subjects saw, which is logged.

    Args:
        splits: Part -> windows, for example a `DatasetDict`.
        by: Column of which the parts must not share a value.

    Raises:
        LeakError: If parts share something; names it and the parts.
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


def check_across(splits: Sequence[DatasetDict]) -> None:
    """Refuse corpora that train on windows which another corpus tests on, such as a corpus and its subset.

    Args:
        splits: The split of each corpus.

    Raises:
        LeakError: If corpora share windows across parts; names the windows.
    """
    if len(splits) < 2:
        return
    light = ["window_id", "signal_hash"]
    joined = {
        part: concatenate_datasets([found[part].select_columns(light) for found in splits if part in found])
        for part in sorted({part for found in splits for part in found})
    }
    check_disjoint(joined, by="window_id")


def refuse_shared(parts: Mapping[str, set[str]], what: str) -> None:
    """Raise if two sets have a common element.

    Args:
        parts: Part -> its elements.
        what: Name of the elements, plural.

    Raises:
        LeakError: Naming the common elements and the parts.
    """
    for first, second in combinations(parts, 2):
        shared = parts[first] & parts[second]
        if shared:
            raise LeakError(f"{first!r} and {second!r} share {len(shared)} {what}: {some(shared)}")


def _check_images(splits: Mapping[str, Dataset], by: str) -> None:
    """Refuse images shared by a split by concept, and warn of those shared by a split by subject."""
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
                f"{some(shared)}; a split by {by}+column:{_CONCEPT} tests new images on new subjects"
            )


def _count_overlapping(splits: Mapping[str, Dataset]) -> int:
    """Count windows that overlap the window before them, if that is in another part."""
    needed = ("recording", "start_seconds", "num_samples", "sampling_rate")
    if not all(set(needed) <= set(rows.column_names) for rows in splits.values()):
        return 0
    # Rows of all parts in one array, with the part of each
    parts = np.repeat(np.arange(len(splits)), [len(rows) for rows in splits.values()])
    names = pa.concat_arrays([qualify(rows, "recording") for rows in splits.values()])
    tables = [read_columns(rows, needed[1:]) for rows in splits.values()]
    starts, lengths, rates = (
        np.concatenate([table.column(name).to_numpy() for table in tables]).astype(np.float64)
        for name in needed[1:]
    )
    recordings = names.dictionary_encode().indices.to_numpy()
    before, after = find_overlaps(recordings, starts, lengths / rates)
    return int((parts[before] != parts[after]).sum())
