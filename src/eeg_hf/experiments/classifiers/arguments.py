# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf finetune` and `evaluate`."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class FinetuneArguments:
    """What to fine-tune, and on which data."""

    data: str = field(metadata={"help": "Prepared corpus, folder or Hub name."})
    label_column: str = field(metadata={"help": "Column of the labels."})
    class_names: list[str] | None = field(
        default=None, metadata={"help": "Classes in order; default: those found."}
    )
    model: str | None = field(
        default=None,
        metadata={
            "help": "Pretrained weights, folder or Hub name; default: none, from scratch.",
            "formerly": ["model_name_or_path"],
        },
    )
    architecture: Literal["eeg_foundation", "eegnet"] = field(
        default="eeg_foundation", metadata={"help": "eegnet is a baseline."}
    )
    config: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Fields of EEGFoundationConfig (JSON).", "block": True}
    )
    alignment: Literal["none", "euclidean"] = field(
        default="none", metadata={"help": "euclidean whitens each subject by unlabelled windows."}
    )
    folds: int = field(default=0, metadata={"help": "Number of cross-validation folds, instead of --split."})
    contaminated: Literal["refuse", "mark"] = field(
        default="refuse", metadata={"help": "Refuse or mark weights that have seen test subjects."}
    )
    class_weights: bool = field(default=True, metadata={"help": "Weight every class equally in the loss."})
    label_smoothing: float = field(
        default=0.1, metadata={"help": "Share of every label spread over all classes."}
    )
    augment: bool = field(default=False, metadata={"help": "Augment training windows."})
    mixup_alpha: float = field(
        default=0.0, metadata={"help": "Mix training windows by Beta(alpha, alpha); 0 is off."}
    )
    freeze_epochs: float = field(default=0.0, metadata={"help": "Epochs in which only the head is trained."})
    gradual_unfreezing: bool = field(
        default=False, metadata={"help": "Then unfreeze one layer per epoch, from the top."}
    )
    layer_decay: float = field(
        default=1.0, metadata={"help": "Factor of the learning rate from each layer to the one below."}
    )
    patience: int = field(default=10, metadata={"help": "Epochs until early stopping; 0 is off."})


@dataclass
class EvaluateArguments:
    """What to compare, and on which data."""

    data: list[str] = field(
        metadata={"help": "Prepared corpus, folder or Hub name; with --codecs one or several."}
    )
    output_dir: str = field(metadata={"help": "Folder for metrics.json, report.md and the figure."})
    # Classifiers
    label_column: str | None = field(
        default=None, metadata={"help": "Column of the labels: compare classifiers."}
    )
    class_names: list[str] | None = field(
        default=None, metadata={"help": "Classes in order; default: those found."}
    )
    runs: list[str] = field(default_factory=list, metadata={"help": "name=folder of eeg-hf finetune, …"})
    model: str | None = field(default=None, metadata={"help": "Saved classifier, run on the test part."})
    baselines: bool = field(default=True, metadata={"help": "Fit the classical baselines."})
    folds: int = field(default=0, metadata={"help": "Number of cross-validation folds, instead of --split."})
    contaminated: Literal["refuse", "mark"] = field(
        default="refuse", metadata={"help": "Refuse or mark weights that have seen test subjects."}
    )
    # Codecs
    codecs: list[str] = field(
        default_factory=list,
        metadata={"help": "name=folder of eeg-hf train-tokenizer, …: compare codecs."},
    )

    def check(self) -> None:
        """Refuse options that do not say what to compare."""
        if bool(self.label_column) == bool(self.codecs):
            got = "both" if self.codecs else "neither"
            raise ValueError(f"expected --label_column (classifiers) or --codecs (codecs), got {got}")
        if not self.codecs and len(self.data) > 1:
            raise ValueError(f"data: expected one corpus to compare classifiers on, got {len(self.data)}")
        given = {"runs": self.runs, "model": self.model, "folds": self.folds, "class_names": self.class_names}
        if self.codecs and any(given.values()):
            names = ", ".join(f"--{name}" for name, value in given.items() if value)
            raise ValueError(f"{names}: for classifiers only; codecs take --codecs and --split")


__all__ = ["EvaluateArguments", "FinetuneArguments"]
