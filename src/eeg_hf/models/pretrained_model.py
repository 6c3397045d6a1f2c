# SPDX-License-Identifier: Apache-2.0
"""Attributes and methods that all models with attention share."""

import torch
from transformers import PreTrainedModel


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


__all__ = ["EEGPreTrainedModel"]
