# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf pretrain`."""

from dataclasses import dataclass
from typing import Any, Literal

from .options import Alignment, option

_SAME_LOSS = (
    *("hidden_size", "num_hidden_layers", "num_decoder_layers", "num_attention_heads", "intermediate_size"),
    *("latent_size", "dropout", "hidden_act", "initializer_range", "layer_norm_eps", "use_channel_attention"),
    *("use_spatial_guess", "use_multi_scale", "scale_factors", "projection_batch_norm"),
)
"""Fields of a config that leave alone what the loss measures, so that losses of a search can be compared."""
_OTHER_SIGNAL = ("alignment", "regime", "codec", "model", "architecture")
"""Options that change the signals or what is predicted of them."""


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
    search: int = option("Trials of settings on inner folds of the training subjects; 0 is off.", 0)
    search_space: dict[str, Any] = option(
        'What to search (JSON): {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": true}}, or lists.',
        factory=dict,
        block=True,
        expert=True,
    )
    search_folds: int = option("Inner folds of --search.", 3, expert=True)
    search_engine: Literal["local", "ray"] = option(
        "Optuna in this process, or draws at random on a cluster of Ray.", "local", expert=True
    )
    search_label: str | None = option(
        "Score trials by a linear probe of this column, instead of by the loss.", None, expert=True
    )

    def check_search(self) -> None:
        """Refuse a search that cannot be, or whose losses measure different things.

        Raises:
            ValueError: With one line that says what to change.
        """
        if self.search < 0:
            raise ValueError(f"--search {self.search}: expected a number of trials, or 0 for none")
        if not self.search:
            if idle := [name for name in ("search_space", "search_label") if getattr(self, name)]:
                raise ValueError(f"--{idle[0]}: no effect without --search, the number of trials")
            if self.search_engine != "local":
                raise ValueError("--search_engine: no effect without --search, the number of trials")
            return
        if self.mixture:
            raise ValueError(
                "--search: takes --data, whose subjects are divided into inner folds; no mixture"
            )
        for name in self.search_space:
            field = name.removeprefix("config.")
            changes = field not in _SAME_LOSS if name.startswith("config.") else field in _OTHER_SIGNAL
            if changes and not self.search_label:
                raise ValueError(
                    f"--search_space: {name} changes what the loss measures: compare the encoders by a "
                    "linear probe, --search_label COLUMN"
                )
