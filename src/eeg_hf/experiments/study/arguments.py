# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf study`."""

from dataclasses import dataclass
from typing import Any, Literal

from ..options import option
from .budget import parse_seconds


@dataclass
class StudyArguments:
    """A folder of recordings, and what to learn from it."""

    data_dir: list[str] = option("Folder with the recordings; the first word without a name.")
    label_column: list[str] = option(
        "Column of the labels, or several, A,B; default: the only one there is.", factory=list
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
    window_seconds: float | None = option("Length of a window; default: chosen from the recordings.", None)
    folds: int = option("Folds of subjects at most.", 5)
    seed: int = option("Seed of the folds.", 0)
    regimes: list[str] = option(
        "What of a tested subject may be used: unseen, first_30s, 20P, 50P, all.",
        factory=lambda: ["unseen", "all"],
    )
    quick: bool = option("Two folds and one regime in 2 minutes: a first look.", False)
    budget: str | None = option("Time that the work is fitted to: 10min, 1h; default: none.", None)
    baselines: bool = option("Compare with classical methods.", True)
    details: bool = option("Learning curve, embeddings, what decides, what flips predictions.", True)
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
        words = [word.strip() for words in self.label_column for word in words.split(",")]
        self.label_column = [word for word in words if word]
        if self.events and self.segments == "fixed":
            self.segments = "events"
        if self.quick:
            self.folds, self.regimes, self.budget = 2, self.regimes[:1], self.budget or "2min"
            self.details = False
        if self.budget:
            parse_seconds(self.budget)

    @property
    def by_event(self) -> bool:
        """Whether events decide where windows lie."""
        return self.segments != "fixed"
