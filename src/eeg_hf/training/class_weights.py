# SPDX-License-Identifier: Apache-2.0
"""Weights that make every class count alike, however rare."""

from collections.abc import Sequence

import numpy as np


def balanced_class_weights(labels: Sequence[int], num_classes: int) -> list[float]:
    """Return one weight a class, inverse to the its frequency, 1 on average over `labels`.

    Args:
        labels: Class indices; negative ones are missing.
        num_classes: Number of classes.

    Raises:
        ValueError: If a class has no label at all: nothing could be learned about it.
    """
    classes = np.asarray(labels)
    counts = np.bincount(classes[classes >= 0], minlength=num_classes)
    if len(counts) > num_classes or not counts.all():
        raise ValueError(
            f"labels: expected every class of 0 to {num_classes - 1}, got counts {counts.tolist()}"
        )
    return (counts.sum() / (num_classes * counts)).tolist()
