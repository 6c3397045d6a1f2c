# SPDX-License-Identifier: Apache-2.0
"""Alignment of subjects without labels: the whitening matrix of each subject.

Euclidean alignment (He & Wu 2020, https://arxiv.org/abs/1808.05464) multiplies every window of a subject with
the inverse square root of the mean covariance of all windows of that subject. It uses the unlabelled windows
of the tested subjects, so report its results as aligned, separately from those on unseen subjects.
"""

from pathlib import Path

import numpy as np
from datasets import load_dataset

from ...processing.covariance import whitening_matrix


def load_alignments(*prepared: str | Path) -> dict[str, np.ndarray]:
    """Return the whitening matrix (channels, channels) of every `alignment_group` of prepared corpora.

    Args:
        *prepared: Folders written by `eeg-hf prepare`, or Hub names of such datasets.
    """
    matrices: dict[str, np.ndarray] = {}
    for source in prepared:
        for row in load_dataset(str(source), "alignment", split="train"):
            covariance = np.asarray(row["covariance"], np.float64).reshape(len(row["channels"]), -1)
            matrices[row["alignment_group"]] = whitening_matrix(covariance).astype(np.float32)
    return matrices
