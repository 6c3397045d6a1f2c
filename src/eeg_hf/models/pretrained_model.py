# SPDX-License-Identifier: Apache-2.0
"""Attributes and methods that all models with attention share."""

from typing import Any, TypeVar

import torch
from transformers import PreTrainedConfig, PreTrainedModel

Config = TypeVar("Config", bound=PreTrainedConfig)


class EEGPreTrainedModel(PreTrainedModel):
    """Base of the models: what Trainer and the attention implementations of transformers look for."""

    base_model_prefix = "model"
    main_input_name = "input_values"
    input_modalities: str | list[str] = "time"
    accepts_loss_kwargs = False  # losses are means: Trainer must divide them when it accumulates gradients
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _input_embed_layer = "embeddings"  # what makes tokens of signals

    def get_embeddings(self, input_values: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        """Return one vector (batch, hidden_size) a window: the pooled output of the encoder.

        Args:
            input_values: (batch, channels, time), normalised as by the feature extractor saved with the
                model.
            **inputs: The other arguments of the encoder's forward.
        """
        return self.base_model(input_values, **inputs).pooler_output


def classifier_config(config: Config, num_labels: int, updates: dict[str, Any]) -> Config:
    """Return the config of a classifier with a new head; names and weights of other classes do not survive.

    Args:
        config: Of the encoder.
        num_labels: Number of classes; 1 means regression.
        updates: Other fields to change.

    Raises:
        ValueError: If there is no class.
    """
    if isinstance(num_labels, bool) or not isinstance(num_labels, int) or num_labels < 1:
        raise ValueError(
            f"num_labels: expected a number of classes, or 1 for a regression, got {num_labels!r}"
        )
    settings = {**config.to_dict(), "num_labels": num_labels}
    if num_labels != config.num_labels:
        for name in ("id2label", "label2id", "class_weights"):
            settings.pop(name, None)
    return type(config)(**{**settings, **updates})


__all__ = ["EEGPreTrainedModel", "classifier_config"]
