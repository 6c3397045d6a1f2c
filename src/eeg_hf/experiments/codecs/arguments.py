# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf train-tokenizer` and `store-as-tokens`."""

from dataclasses import dataclass
from typing import Any, Literal

from ..options import Alignment, option


@dataclass
class TokenizerArguments:
    """What to train, and on which data."""

    data: list[str] | None = option("Prepared corpora, folders or Hub names; default: simulated EEG.", None)
    rates: Literal["same", "keep"] = option("keep allows corpora of different sampling rates.", "same")
    config: dict[str, Any] = option("Fields of EEGFSQConfig (JSON).", factory=dict, block=True)
    model: str | None = option(
        "Weights to start from, folder or Hub name.", None, formerly=["model_name_or_path"]
    )
    alignment: Alignment = option("euclidean whitens each subject by unlabelled windows.", "none")


@dataclass
class TokensArguments:
    """What to store, and with which codec."""

    codec: str | None = option("Folder or Hub name of a codec and its feature extractor.", None)
    recording: str | None = option("File of a recording; default: the first one of the corpus.", None)
    corpus: str = option("Corpus of the recording.", "simulated")
    output_dir: str = option("Folder for tokens and figure.", "runs/tokens")
    start: float = option("Start of the figure in seconds.", 0.0)
    seconds: float = option("Length of the figure in seconds.", 5.0)
    channels: int = option("Largest number of channels in the figure.", 6)
