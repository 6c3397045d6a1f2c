# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf pretrain`."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class PretrainArguments:
    """What to pretrain, on what."""

    data: list[str] | None = field(
        default=None, metadata={"help": "Prepared corpora, folders or Hub names; each window once an epoch."}
    )
    mixture: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "In place of data: prepared corpus -> weight (JSON, YAML in a recipe)."},
    )
    streaming: bool = field(
        default=False, metadata={"help": "Read the mixture as it goes, from disk or from the Hub."}
    )
    rates: str = field(
        default="same", metadata={"help": "same, or keep: mix corpora of different sampling rates."}
    )
    validation_windows: int = field(
        default=1024, metadata={"help": "With streaming: how many windows to validate on."}
    )
    architecture: str = field(
        default="eeg_foundation", metadata={"help": "What to train anew: eeg_foundation or eeg_masked_vae."}
    )
    config: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Fields of the architecture's config (JSON).", "block": True}
    )
    model_name_or_path: str | None = field(default=None, metadata={"help": "Go on from these weights."})
    codec: str | None = field(
        default=None, metadata={"help": "Trained tokenizer whose codes are predicted; with target: codes."}
    )
    alignment: str = field(
        default="none", metadata={"help": "none or euclidean (uses every subject's windows)."}
    )
