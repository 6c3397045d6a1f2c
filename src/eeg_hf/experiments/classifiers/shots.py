# SPDX-License-Identifier: Apache-2.0
"""Few-shot: a few labelled windows of each class to train on."""

import numpy as np
from datasets import Dataset, DatasetDict


def draw_shots(rows: Dataset, column: str, shots: int, seed: int) -> Dataset:
    """Return some windows of each class, drawn at random, in their order.

    Args:
        rows: Labelled windows.
        column: Column of the labels.
        shots: Windows of each class.
        seed: Of the draw.

    Raises:
        ValueError: If a class has fewer windows.
    """
    labels = np.array(rows[column][:])
    generator = np.random.default_rng([seed, shots])
    drawn = []
    for name in np.unique(labels):
        found = np.flatnonzero(labels == name)
        if len(found) < shots:
            raise ValueError(f"shots: expected {shots} windows of {name} or more, got {len(found)}")
        drawn.append(generator.choice(found, shots, replace=False))
    return rows.select(np.sort(np.concatenate(drawn)))


def few_shot_split(parts: DatasetDict, column: str, shots: int, seed: int, is_fitted: bool) -> DatasetDict:
    """Return a split of which a few windows of each class train, and as many select epochs.

    Args:
        parts: The split; the test part stays whole.
        column: Column of the labels.
        shots: Windows of each class; 0 leaves the split as it is.
        seed: Of the draw.
        is_fitted: Whether nothing is selected: then the validation part is left out, whose labels would be
            more shots.
    """
    if not shots:
        return parts
    few = {"train": draw_shots(parts["train"], column, shots, seed)}
    if "validation" in parts and not is_fitted:
        few["validation"] = draw_shots(parts["validation"], column, shots, seed)
    return DatasetDict({**few, **({"test": parts["test"]} if "test" in parts else {})})
