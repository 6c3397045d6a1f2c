# SPDX-License-Identifier: Apache-2.0
"""The options that say how windows are split, the same in every script."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


@dataclass
class SplitArguments:
    """How the windows are split. The help of each option says what it means."""

    split: str = field(
        default="official",
        metadata={
            "help": "official, subject, session, fold, none, column:<name> (e.g. column:concept), or "
            "leave_out:<subject>; several with + between keep all of it apart, e.g. official+leave_out:08."
        },
    )
    split_column: str = field(
        default="subject", metadata={"help": "What --split fold and leave_out keep together."}
    )
    num_folds: int = field(default=5, metadata={"help": "Number of folds of --split fold."})
    fold: int = field(default=0, metadata={"help": "The fold of --split fold: who is tested."})
    num_validation_subjects: int = field(
        default=4, metadata={"help": "Subjects of each fold, or beside the one left out, that select epochs."}
    )
    split_seed: int = field(default=0, metadata={"help": "Seed of the split (which subjects validate)."})

    @property
    def options(self) -> dict[str, Any]:
        """What `split_windows` takes beside the dataset and the method."""
        return {
            "num_folds": self.num_folds,
            "fold": self.fold,
            "num_validation_subjects": self.num_validation_subjects,
            "seed": self.split_seed,
            "column": self.split_column,
        }

    def apply(self, dataset: "Dataset", folds: int = 0) -> "list[DatasetDict]":
        """Split windows once, or into cross-validation folds.

        Args:
            dataset: Windows of one corpus.
            folds: Into how many folds, whatever the other options say; 0 for the one split they describe.

        Returns:
            One split, or one a fold.
        """
        from ..corpora import split_windows  # datasets: --help does without

        if not folds:
            return [split_windows(dataset, self.split, **self.options)]
        return [
            split_windows(dataset, "fold", **{**self.options, "num_folds": folds, "fold": fold})
            for fold in range(folds)
        ]


__all__ = ["SplitArguments"]
