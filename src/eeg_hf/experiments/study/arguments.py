# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf study`."""

from dataclasses import dataclass
from typing import Any, Literal

from ..options import option, split_words
from .budget import parse_seconds

_QUICK = ("eeg_foundation",)
"""What a first look keeps: choosing among methods takes as long as all the rest of it."""


@dataclass
class StudyArguments:
    """A folder of recordings, and what to learn from it."""

    data_dir: list[str] = option("Folder with the recordings; the first word without a name.")
    label_column: list[str] = option(
        "Column of the labels, or several, A,B; default: the only one there is.", factory=list
    )
    votes: list[str] = option(
        "Columns of several experts' votes for each class, A,B,C: the model fits their shares.", factory=list
    )
    task: Literal["auto", "classification", "regression"] = option(
        "Whether labels are classes or numbers; auto: numbers of many values are.", "auto"
    )
    output_dir: str = option("Folder for everything.", "runs/study")
    segments: Literal["fixed", "events", "annotations"] = option(
        "Consecutive windows, one at each event, or consecutive inside annotations.", "fixed"
    )
    events: dict[str, Any] = option(
        'Events to cut windows at, and their labels: \'{"T1": "left"}\'; default: all.', factory=dict
    )
    baseline: list[float] | None = option(
        "Seconds from the event whose mean is subtracted; default: what is before it, of evoked responses.",
        None,
    )
    average: int = option("Trials of the same event to average into one window.", 1)
    window_seconds: float | None = option("Length of a window; default: chosen from the recordings.", None)
    folds: int = option("Folds of subjects at most.", 5)
    seed: int = option("Seed of the folds.", 0)
    regimes: list[str] = option(
        "What of a tested subject may be used: unseen, first_30s, 20P, 50P, all.",
        factory=lambda: ["unseen", "all"],
    )
    architectures: list[str] = option(
        "Methods that the kept model is chosen from, as in eeg-hf finetune; default: ours and the classical "
        "ones that fit.",
        factory=list,
    )
    quick: bool = option("Two folds and one regime in 2 minutes: a first look.", False)
    budget: str | None = option("Time that the work is fitted to: 10min, 1h; default: none.", None)
    baselines: bool = option("Compare with classical methods.", True)
    details: bool = option("Learning curve, embeddings, what decides, what flips predictions.", True)
    tests_choice: bool = option("Test the choice of the kept model by folds of its own.", True, expert=True)
    left_out: list[str] = option("What an earlier run left out, for the report.", factory=list, expert=True)
    corpus_options: dict[str, Any] = option(
        'Options of the folder, such as \'{"unit": "uV", "sampling_rate": 250}\'.', factory=dict
    )
    prepare: dict[str, Any] = option(
        "Settings of eeg-hf prepare that replace the chosen ones.", factory=dict, block=True
    )
    finetune: dict[str, Any] = option(
        "Settings of eeg-hf finetune that replace the recipe's.", factory=dict, block=True
    )
    num_proc: int = option("Processes of the preparation.", 2)

    def __post_init__(self) -> None:
        if len(self.data_dir) != 1:
            raise ValueError(f"expected one folder of recordings, got {len(self.data_dir)}")
        if self.folds < 2:
            raise ValueError(f"folds: expected 2 or more, got {self.folds}")
        self.label_column, self.votes = split_words(self.label_column), split_words(self.votes)
        self.architectures = split_words(self.architectures)
        if self.votes and (
            len(self.label_column) > 1 or self.task == "regression" or self.segments != "fixed"
        ):
            raise ValueError(
                "votes: for one label of classes, without --events: they are columns of the table"
            )
        if self.events and self.segments == "fixed":
            self.segments = "events"
        if self.segments != "events" and (self.average != 1 or self.baseline):
            raise ValueError("average and baseline are for windows at events: name --events")
        if self.quick:
            self.folds, self.regimes, self.budget = 2, self.regimes[:1], self.budget or "2min"
            self.details = self.tests_choice = False
            self.architectures = self.architectures or list(_QUICK)
        if self.budget:
            parse_seconds(self.budget)

    @property
    def by_event(self) -> bool:
        """Whether events decide where windows lie."""
        return self.segments != "fixed"
