# SPDX-License-Identifier: Apache-2.0
"""The options that split windows, shared by all commands."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .options import option

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


@dataclass
class SplitArguments:
    """How the windows are split. The help of each option describes it."""

    split: str = option(
        "official, subject, session, fold, none, column:<name> (e.g. column:concept), or "
        "leave_out:<subject>; several joined by + keep all of them apart, e.g. official+leave_out:08.",
        "official",
    )
    split_column: str = option("Column whose values --split fold and leave_out keep in one part.", "subject")
    num_folds: int = option("Number of folds of --split fold.", 5)
    fold: int = option("Index of the fold that --split fold tests.", 0)
    num_validation_subjects: int = option(
        "Number of validation subjects of --split fold and leave_out, to select epochs.", 4
    )
    split_seed: int = option("Seed of the split and of its validation subjects.", 0)

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of `split_windows` besides the dataset and the method."""
        return {
            "num_folds": self.num_folds,
            "fold": self.fold,
            "num_validation_subjects": self.num_validation_subjects,
            "seed": self.split_seed,
            "column": self.split_column,
        }

    def describe(self, folds: int = 0) -> str:
        """Return in words what `apply` does with these options."""
        if folds:
            return f"{folds} {self.split_column} folds"
        if self.split == "fold":
            return f"fold {self.fold} of {self.num_folds} {self.split_column} folds"
        return f"{self.split} split"

    def apply(self, dataset: "Dataset", folds: int = 0) -> "list[DatasetDict]":
        """Split windows once, or into cross-validation folds.

        Args:
            dataset: Windows of one corpus.
            folds: Number of cross-validation folds, which overrides `split`; 0 for the one split that the
                options describe.

        Returns:
            One split, or one per fold.
        """
        from ..corpora import split_windows  # imports datasets, which --help does not need

        if not folds:
            return [split_windows(dataset, self.split, **self.options)]
        return [
            split_windows(dataset, "fold", **{**self.options, "num_folds": folds, "fold": fold})
            for fold in range(folds)
        ]


__all__ = ["SplitArguments"]
