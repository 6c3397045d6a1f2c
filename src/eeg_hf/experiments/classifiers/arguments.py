# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf finetune` and `evaluate`."""

from dataclasses import dataclass
from typing import Any, Literal

from ..options import Alignment, Regime, option


@dataclass
class FinetuneArguments:
    """What to fine-tune, and on which data."""

    data: str = option("Prepared corpus, folder or Hub name.")
    label_column: str = option("Column of the labels.")
    class_names: list[str] | None = option("Classes in order; default: those found.", None)
    task: Literal["classification", "regression"] = option(
        "Tell classes apart, or predict a number.", "classification"
    )
    model: str | None = option(
        "Pretrained weights: folder, Hub name or eeg-foundation-tiny, which comes along; default: none.",
        None,
        formerly=["model_name_or_path"],
    )
    architecture: Literal["eeg_foundation", "eegnet"] = option("eegnet is a baseline.", "eeg_foundation")
    config: dict[str, Any] = option("Fields of EEGFoundationConfig (JSON).", factory=dict, block=True)
    alignment: Alignment = option("euclidean whitens each subject by unlabelled windows.", "none")
    regime: Regime = option("Unlabelled windows that recentre second-order tokens.", "unseen")
    rest: str | None = option(
        "Label, or column=value, of the rest that first_30s calibrates on; default: any.",
        None,
    )
    head: Literal["convex", "finetune", "both"] = option(
        "Fit a linear head to its optimum, train all weights, or both in turn.",
        "finetune",
    )
    folds: int = option("Number of cross-validation folds, instead of --split.", 0)
    protocol: Literal["within-session", "cross-session", "cross-subject"] | None = option(
        "Folds of a protocol of MOABB, instead of --split.",
        None,
    )
    contaminated: Literal["refuse", "mark"] = option(
        "Refuse or mark weights that have seen test subjects.", "refuse"
    )
    class_weights: bool = option("Weight every class equally in the loss.", True, expert=True)
    label_smoothing: float = option("Share of every label spread over all classes.", 0.1, expert=True)
    augment: bool = option("Augment training windows.", False, expert=True)
    mixup_alpha: float = option("Mix training windows by Beta(alpha, alpha); 0 is off.", 0.0, expert=True)
    freeze_epochs: float = option("Epochs in which only the head is trained.", 0.0, expert=True)
    gradual_unfreezing: bool = option("Then unfreeze one layer per epoch, from the top.", False, expert=True)
    layer_decay: float = option(
        "Factor of the learning rate from each layer to the one below.", 1.0, expert=True
    )
    patience: int = option("Epochs until early stopping; 0 is off.", 10, expert=True)

    def check(self) -> None:
        """Refuse options that change nothing: their user expects something else."""
        if self.architecture == "eegnet" and self.model:
            raise ValueError(
                f"--model {self.model}: no effect with --architecture eegnet, which has no such weights"
            )
        if self.contaminated == "mark" and not self.model:
            raise ValueError("--contaminated mark: no effect without --model: no weights were trained before")
        if self.gradual_unfreezing and self.architecture == "eegnet":
            raise ValueError(
                "--gradual_unfreezing: no effect with --architecture eegnet, which has no encoder"
            )


@dataclass
class EvaluateArguments:
    """What to compare, and on which data."""

    data: list[str] = option("Prepared corpus, folder or Hub name; with --codecs one or several.")
    output_dir: str = option("Folder for metrics.json, report.md and the figure.")
    # Classifiers
    label_column: str | None = option("Column of the labels: compare classifiers.", None)
    class_names: list[str] | None = option("Classes in order; default: those found.", None)
    runs: list[str] = option("name=folder of eeg-hf finetune, …", factory=list)
    model: str | None = option("Saved classifier, run on the test part.", None)
    rest: str | None = option("As in eeg-hf finetune, for a --model of the regime first_30s.", None)
    baselines: bool = option("Fit the classical baselines.", True)
    folds: int = option("Number of cross-validation folds, instead of --split.", 0)
    protocol: Literal["within-session", "cross-session", "cross-subject"] | None = option(
        "Folds of a protocol of MOABB, instead of --split: of each session's trials (--folds, default 5), of "
        "each subject's sessions, or of subjects (default: each is left out).",
        None,
    )
    contaminated: Literal["refuse", "mark"] = option(
        "Refuse or mark weights that have seen test subjects.", "refuse"
    )
    # Codecs
    codecs: list[str] = option("name=folder of eeg-hf train-tokenizer, …: compare codecs.", factory=list)

    def check(self) -> None:
        """Refuse options that do not say what to compare."""
        if bool(self.label_column) == bool(self.codecs):
            got = "both" if self.codecs else "neither"
            raise ValueError(f"expected --label_column (classifiers) or --codecs (codecs), got {got}")
        if not self.codecs and len(self.data) > 1:
            raise ValueError(f"data: expected one corpus to compare classifiers on, got {len(self.data)}")
        given = {"runs": self.runs, "model": self.model, "folds": self.folds, "class_names": self.class_names}
        given |= {"protocol": self.protocol, "contaminated": self.contaminated == "mark"}
        if not self.codecs and not (self.runs or self.model or self.baselines):
            raise ValueError("nothing to compare: expected --runs, --model or --baselines true")
        if self.contaminated == "mark" and not (self.runs or self.model or self.codecs):
            raise ValueError("--contaminated mark: no effect without --runs or --model")
        if self.codecs and any(given.values()):
            names = ", ".join(f"--{name}" for name, value in given.items() if value)
            raise ValueError(f"{names}: for classifiers only; codecs take --codecs and --split")
