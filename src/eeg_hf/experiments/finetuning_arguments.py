# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf finetune`."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class FinetuneArguments:
    """What to fine-tune, on what."""

    data: str = field(metadata={"help": "Prepared corpus, folder or Hub name."})
    label_column: str = field(metadata={"help": "Column of the labels."})
    class_names: list[str] | None = field(
        default=None, metadata={"help": "Classes in order; default: those found."}
    )
    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Pretrained weights; none = from scratch."}
    )
    architecture: str = field(
        default="eeg_foundation", metadata={"help": "eeg_foundation, or eegnet as a baseline."}
    )
    config: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Fields of EEGFoundationConfig (JSON).", "block": True}
    )
    alignment: str = field(
        default="none", metadata={"help": "none or euclidean (uses every subject's windows)."}
    )
    folds: int = field(default=0, metadata={"help": "Cross-validate over so many folds instead of --split."})
    class_weights: bool = field(default=True, metadata={"help": "Let every class count alike in the loss."})
    label_smoothing: float = field(
        default=0.1, metadata={"help": "Share of every label spread over all classes."}
    )
    augment: bool = field(default=False, metadata={"help": "Augment training windows."})
    mixup_alpha: float = field(
        default=0.0, metadata={"help": "Mix training windows by Beta(alpha, alpha); 0 = off."}
    )
    freeze_epochs: float = field(default=0.0, metadata={"help": "Epochs that only the head is trained."})
    gradual_unfreezing: bool = field(
        default=False, metadata={"help": "Then free one layer an epoch, from the top."}
    )
    layer_decay: float = field(
        default=1.0, metadata={"help": "Factor of the rate from each layer to the one below."}
    )
    patience: int = field(default=10, metadata={"help": "Early stopping after so many epochs; 0 = never."})
