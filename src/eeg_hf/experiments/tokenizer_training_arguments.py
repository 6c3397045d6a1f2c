# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf train-tokenizer`."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class TokenizerArguments:
    """What to train, on what."""

    data: list[str] | None = field(
        default=None,
        metadata={"help": "Prepared corpora, folders or Hub names; the simulated corpus if left out."},
    )
    rates: str = field(
        default="same", metadata={"help": "same, or keep: corpora of different sampling rates."}
    )
    config: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Fields of EEGFSQConfig (JSON).", "block": True}
    )
    model_name_or_path: str | None = field(default=None, metadata={"help": "Go on from these weights."})
    alignment: str = field(
        default="none", metadata={"help": "none or euclidean (uses every subject's windows)."}
    )
