# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf pretrain`."""

from dataclasses import dataclass
from typing import Any, Literal

from .options import Alignment, option


@dataclass
class PretrainArguments:
    """What to pretrain, and on which data."""

    data: list[str] | None = option(
        "Prepared corpora, folders or Hub names; each window once per epoch.", None
    )
    mixture: dict[str, Any] = option(
        "Instead of data: prepared corpus -> weight (JSON, YAML in a recipe).", factory=dict
    )
    streaming: bool = option("Read the mixture while training, from disk or from the Hub.", False)
    rates: Literal["same", "keep"] = option("keep mixes corpora of different sampling rates.", "same")
    validation_windows: int = option("Number of validation windows, with streaming.", 1024)
    architecture: Literal["eeg_foundation", "eeg_masked_vae"] = option(
        "The model to train from scratch.", "eeg_foundation"
    )
    config: dict[str, Any] = option("Fields of the architecture's config (JSON).", factory=dict, block=True)
    model: str | None = option(
        "Weights to start from, folder or Hub name.", None, formerly=["model_name_or_path"]
    )
    codec: str | None = option("Trained tokenizer whose codes are predicted, if target is codes.", None)
    alignment: Alignment = option("euclidean whitens each subject by unlabelled windows.", "none")
    regime: Literal["unseen", "all"] = option(
        "all recentres second-order tokens by each subject's own windows, unseen by those of all.", "unseen"
    )
