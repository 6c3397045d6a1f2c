# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf train-tokenizer` and `store-as-tokens`."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class TokenizerArguments:
    """What to train, and on which data."""

    data: list[str] | None = field(
        default=None,
        metadata={"help": "Prepared corpora, folders or Hub names; default: simulated EEG."},
    )
    rates: Literal["same", "keep"] = field(
        default="same", metadata={"help": "keep allows corpora of different sampling rates."}
    )
    config: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Fields of EEGFSQConfig (JSON).", "block": True}
    )
    model: str | None = field(
        default=None,
        metadata={"help": "Weights to start from, folder or Hub name.", "formerly": ["model_name_or_path"]},
    )
    alignment: Literal["none", "euclidean"] = field(
        default="none", metadata={"help": "euclidean whitens each subject by unlabelled windows."}
    )


@dataclass
class TokensArguments:
    """What to store, and with which codec."""

    codec: str | None = field(
        default=None, metadata={"help": "Folder or Hub name of a codec and its feature extractor."}
    )
    recording: str | None = field(
        default=None, metadata={"help": "File of a recording; default: the first one of the corpus."}
    )
    corpus: str = field(default="simulated", metadata={"help": "Corpus of the recording."})
    output_dir: str = field(default="runs/tokens", metadata={"help": "Folder for tokens and figure."})
    start: float = field(default=0.0, metadata={"help": "Start of the figure in seconds."})
    seconds: float = field(default=5.0, metadata={"help": "Length of the figure in seconds."})
    channels: int = field(default=6, metadata={"help": "Largest number of channels in the figure."})


__all__ = ["TokenizerArguments", "TokensArguments"]
