# SPDX-License-Identifier: Apache-2.0
"""Training on the votes of several experts: shares as labels, and the windows that many judged last."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset
from transformers.utils import logging

from ..collation import EEGDataCollator

logger = logging.get_logger(__name__)


class VoteCollator:
    """Collate windows whose labels are the votes for each class, (batch, classes), as shares.

    Args:
        collator: Makes the inputs; without labels of its own.
        columns: The votes for each class, in order, such as `eeg_hf.corpora.hms.VOTES`.
    """

    def __init__(self, collator: EEGDataCollator, columns: Sequence[str]) -> None:
        if collator.label_column is not None:
            raise ValueError(
                f"collator: expected no label column besides the votes, got {collator.label_column}"
            )
        self.collator = collator
        self.columns = list(columns)

    def __call__(self, rows: Any) -> dict[str, Any]:
        """Return the inputs and `labels`; a window without a vote has NaN, which losses leave out."""
        table = rows if isinstance(rows, pa.Table) else pa.concat_tables(rows)
        votes = np.stack([table.column(name).to_numpy() for name in self.columns], axis=1).astype(np.float32)
        totals = votes.sum(axis=1, keepdims=True)
        shares = np.where(totals > 0, votes / np.where(totals > 0, totals, 1), np.nan)
        return {**self.collator(rows), "labels": torch.from_numpy(shares)}


def train_by_votes(
    train: Callable[[Dataset, int], Any],
    rows: Dataset,
    column: str = "num_votes",
    least_votes: Sequence[int] = (1, 10),
) -> list[int]:
    """Train in stages: on all windows, then on those that more experts judged.

    Windows of HMS with few votes are many and noisy, and the competition tests on windows with many:
    competitors trained on all, and then on these.

    Args:
        train: Called with the windows of a stage and its index; trains the same model further.
        rows: Training windows.
        column: Number of votes of each.
        least_votes: Fewest votes of each stage, rising.

    Returns:
        The number of windows of each stage.

    Raises:
        ValueError: If stages do not rise, or one has no window.
    """
    if list(least_votes) != sorted(set(least_votes)):
        raise ValueError(f"least_votes: expected rising numbers, got {list(least_votes)}")
    votes = np.array(rows[column][:], float)
    chosen = [np.flatnonzero(votes >= least) for least in least_votes]
    sizes: Mapping[int, int] = {least: len(found) for least, found in zip(least_votes, chosen, strict=True)}
    if empty := [least for least, size in sizes.items() if not size]:
        raise ValueError(
            f"least_votes: no window has {empty[0]} votes or more, the most is {np.nanmax(votes):g}"
        )
    for stage, (least, found) in enumerate(zip(least_votes, chosen, strict=True)):
        logger.info(f"stage {stage}: {len(found)} windows with {least} votes or more")
        train(rows.select(found), stage)
    return list(sizes.values())
