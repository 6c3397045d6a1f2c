# SPDX-License-Identifier: Apache-2.0
"""The options that split windows, shared by all commands."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .options import option

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from ..corpora.windows.split_contents import Protocol

# What each protocol does with that many folds; 0 where their number is not given
_PROTOCOLS: dict[str, Callable[[int], str]] = {
    "within-session": lambda folds: f"{folds or 5} folds of each session",
    "cross-session": lambda folds: (
        f"{folds} session folds of each subject" if folds else "each session left out"
    ),
    "cross-subject": lambda folds: f"{folds} stratified subject folds" if folds else "each subject left out",
}


@dataclass
class SplitArguments:
    """How the windows are split. The help of each option describes it."""

    split: str = option(
        "official, subject, session, fold, none, column:<name>, leave_out:<subject>, or a protocol of MOABB; "
        "several joined by + keep all of them apart.",
        "official",
    )
    split_column: str = option(
        "Column whose values --split fold and leave_out keep in one part.", "subject", expert=True
    )
    num_folds: int | None = option(
        "Number of folds of --split fold (default 5) and of each --protocol.", None, expert=True
    )
    fold: int = option("Index of the fold that --split fold, or that of a protocol, tests.", 0)
    num_validation_subjects: int | None = option(
        "Validation subjects of --split fold and leave_out, to select epochs (default: 4, at most half).",
        None,
        expert=True,
    )
    split_seed: int = option("Seed of the split and of its validation subjects.", 0, expert=True)

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of `split_windows` besides the dataset and the method.

        Raises:
            ValueError: If one of them was given that the method does not take.
        """
        self.refuse_idle()
        return self._as_given

    @property
    def _as_given(self) -> dict[str, Any]:
        return {
            "num_folds": self.num_folds,
            "fold": self.fold,
            "num_validation_subjects": self.num_validation_subjects,
            "seed": self.split_seed,
            "column": self.split_column,
        }

    def refuse_idle(self, folds: int = 0, protocol: str | None = None) -> None:
        """Refuse options that change nothing in a split of this kind: their user expects something else."""
        methods = {method.partition(":")[0].strip() for method in self.split.split("+")}
        takes_fold = bool(methods & {"fold", *_PROTOCOLS})
        is_grouped = bool(folds or methods & {"fold", "leave_out"}) and not protocol
        idle = {
            "fold": bool(self.fold) and not takes_fold,
            "num_folds": self.num_folds is not None and not (takes_fold or folds),
            "split_column": self.split_column != "subject" and not is_grouped,
            "num_validation_subjects": self.num_validation_subjects is not None
            and not (folds or protocol or takes_fold or "leave_out" in methods),
        }
        if names := [f"--{name}" for name, is_idle in idle.items() if is_idle]:
            how = (
                f"--protocol {protocol}"
                if protocol
                else f"--folds {folds}"
                if folds
                else f"--split {self.split}"
            )
            raise ValueError(
                f"{', '.join(names)}: no effect with {how}: leave it out, or choose another split"
            )

    def describe(self, folds: int = 0, protocol: str | None = None) -> str:
        """Return in words what `apply` does with these options."""
        if protocol:
            return _PROTOCOLS[protocol](folds)
        if folds:
            return f"{folds} {self.split_column} folds"
        if self.split == "fold":
            return f"fold {self.fold} of {self.num_folds or 5} {self.split_column} folds"
        if self.split in _PROTOCOLS:
            return f"fold {self.fold} of {_PROTOCOLS[self.split](self.num_folds or 0)}"
        return f"{self.split} split"

    def apply(
        self,
        dataset: "Dataset",
        folds: int = 0,
        protocol: "Protocol | None" = None,
        label_column: str | None = None,
    ) -> "list[DatasetDict]":
        """Split windows once, or into cross-validation folds.

        Args:
            dataset: Windows of one corpus.
            folds: Number of cross-validation folds, which overrides `split`; 0 for the one split that the
                options describe.
            protocol: Takes the folds of a protocol instead, see `protocol_folds`.
            label_column: Classes of which each fold of a protocol gets its share.

        Returns:
            One split, or one per fold.

        Raises:
            ValueError: If the number of folds is negative, or as `split_windows` does.
        """
        from ..corpora import protocol_folds, split_windows  # imports datasets, which --help does not need

        self.refuse_idle(folds, protocol)
        if folds < 0:
            raise ValueError(f"--folds {folds}: expected 2 or more, or 0 for the split of --split")
        if protocol:
            return protocol_folds(
                dataset,
                protocol,
                label_column=label_column,
                num_folds=folds or None,
                num_validation_subjects=self.num_validation_subjects,
                seed=self.split_seed,
            )
        if not folds:
            return [split_windows(dataset, self.split, **self.options, label_column=label_column)]
        return [
            split_windows(dataset, "fold", **{**self._as_given, "num_folds": folds, "fold": fold})
            for fold in range(folds)
        ]


__all__ = ["SplitArguments"]
