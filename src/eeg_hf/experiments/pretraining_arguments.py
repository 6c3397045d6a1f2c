# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf pretrain`."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class PretrainArguments:
    """What to pretrain, and on which data."""

    data: list[str] | None = field(
        default=None,
        metadata={"help": "Prepared corpora, folders or Hub names; each window once per epoch."},
    )
    mixture: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Instead of data: prepared corpus -> weight (JSON, YAML in a recipe)."},
    )
    streaming: bool = field(
        default=False, metadata={"help": "Read the mixture while training, from disk or from the Hub."}
    )
    rates: Literal["same", "keep"] = field(
        default="same", metadata={"help": "keep mixes corpora of different sampling rates."}
    )
    validation_windows: int = field(
        default=1024, metadata={"help": "Number of validation windows, with streaming."}
    )
    architecture: Literal["eeg_foundation", "eeg_masked_vae"] = field(
        default="eeg_foundation", metadata={"help": "The model to train from scratch."}
    )
    config: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Fields of the architecture's config (JSON).", "block": True}
    )
    model: str | None = field(
        default=None,
        metadata={"help": "Weights to start from, folder or Hub name.", "formerly": ["model_name_or_path"]},
    )
    codec: str | None = field(
        default=None, metadata={"help": "Trained tokenizer whose codes are predicted, if target is codes."}
    )
    alignment: Literal["none", "euclidean"] = field(
        default="none", metadata={"help": "euclidean whitens each subject by unlabelled windows."}
    )


__all__ = ["PretrainArguments"]
