# SPDX-License-Identifier: Apache-2.0
"""A residual network along time beside a recurrent one: a strong member of ensembles on HMS.

Parallel convolutions of several lengths read all channels together; residual blocks shorten the result. A
GRU reads the same stretch coarsely. Competitors of HMS used networks of this kind on 50 s of raw EEG.
"""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput

from .configuration_resnet1d_gru import ResNet1dGRUConfig
from .losses import task_loss
from .pretrained_model import classifier_config
from .token_grid import refuse_empty


class ResidualBlock(nn.Module):
    """Two convolutions beside an identity; half as many samples come out."""

    def __init__(self, size: int, kernel_size: int = 9) -> None:
        super().__init__()
        padding = kernel_size // 2
        self.body = nn.Sequential(
            nn.BatchNorm1d(size),
            nn.ReLU(),
            nn.Conv1d(size, size, kernel_size, stride=2, padding=padding, bias=False),
            nn.BatchNorm1d(size),
            nn.ReLU(),
            nn.Conv1d(size, size, kernel_size, padding=padding, bias=False),
        )
        self.shortcut = nn.AvgPool1d(2, ceil_mode=True)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return (batch, size, time / 2), rounded up."""
        return self.body(hidden_states) + self.shortcut(hidden_states)


class ResNet1dGRUPreTrainedModel(PreTrainedModel):
    """Base of both models."""

    config: ResNet1dGRUConfig
    config_class = ResNet1dGRUConfig
    base_model_prefix = "model"
    main_input_name = "input_values"
    input_modalities: str | list[str] = "time"
    accepts_loss_kwargs = False  # losses are means: Trainer must divide them when it accumulates gradients


class ResNet1dGRUModel(ResNet1dGRUPreTrainedModel):
    """The encoder: what convolutions and the GRU say of a window.

    Example:
        >>> import torch
        >>> from eeg_hf import ResNet1dGRUConfig, ResNet1dGRUModel
        >>> ResNet1dGRUModel(ResNet1dGRUConfig())(torch.randn(2, 19, 2000)).pooler_output.shape
        torch.Size([2, 120])
    """

    def __init__(self, config: ResNet1dGRUConfig) -> None:
        super().__init__(config)
        size = config.hidden_size
        width = size * len(config.kernel_sizes)
        self.stem = nn.ModuleList(
            nn.Conv1d(config.num_channels, size, kernel, stride=2, padding=kernel // 2, bias=False)
            for kernel in config.kernel_sizes
        )
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(config.num_blocks)))
        self.norm = nn.BatchNorm1d(width)
        self.gru = nn.GRU(config.num_channels, size, batch_first=True)
        self.post_init()

    @property
    def pooler_size(self) -> int:
        """Width of the pooled output."""
        return self.config.hidden_size * (len(self.config.kernel_sizes) + 1)

    def forward(
        self, input_values: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """Encode windows.

        Args:
            input_values: (batch, channels, time), normalised.
            attention_mask: (batch, time) bool, True = real; other samples become zero.
            **kwargs: What else a batch has; places mean nothing to this network.

        Returns:
            `last_hidden_state` (batch, steps, width) and `pooler_output` (batch, width + hidden_size).
        """
        self.check_windows(input_values)
        values = input_values.to(self.dtype)
        if attention_mask is not None:
            values = values * attention_mask[:, None, :]
        hidden_states = torch.cat([layer(values) for layer in self.stem], dim=1)  # (batch, width, time / 2)
        hidden_states = torch.relu(self.norm(self.blocks(hidden_states)))  # (batch, width, steps)
        steps = hidden_states.shape[-1]
        coarse = nn.functional.adaptive_avg_pool1d(values, steps)  # (batch, channels, steps)
        _, state = self.gru(coarse.transpose(1, 2))  # (1, batch, hidden_size)
        pooled = torch.cat([hidden_states.mean(dim=-1), state[-1]], dim=-1)
        return BaseModelOutputWithPooling(
            last_hidden_state=hidden_states.transpose(1, 2), pooler_output=pooled
        )

    def check_windows(self, input_values: torch.Tensor) -> None:
        """Refuse windows of other channels, or shorter than one step."""
        refuse_empty(input_values)
        channels, samples = input_values.shape[1:]
        if channels != self.config.num_channels or samples < self.config.downsampling:
            raise ValueError(
                f"input_values: expected {self.config.num_channels} channels and {self.config.downsampling} "
                f"samples or more, got {channels} and {samples}"
            )

    def get_embeddings(self, input_values: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        """Return one vector (batch, features) a window."""
        return self(input_values, **inputs).pooler_output

    def add_classification_head(
        self, num_labels: int, **fields: Any
    ) -> "ResNet1dGRUForSequenceClassification":
        """Return a classifier on this very encoder, with a new head.

        Args:
            num_labels: Number of classes; 1 means regression.
            **fields: Other fields of the config to change, such as `id2label`.
        """
        classifier = ResNet1dGRUForSequenceClassification(classifier_config(self.config, num_labels, fields))
        classifier.model = self
        return classifier


class ResNet1dGRUForSequenceClassification(ResNet1dGRUPreTrainedModel):
    """The encoder with a head for classes, or for one number (`num_labels=1`)."""

    def __init__(self, config: ResNet1dGRUConfig) -> None:
        super().__init__(config)
        self.model = ResNet1dGRUModel(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(self.model.pooler_size, int(config.num_labels or 0))
        self.post_init()

    def forward(
        self,
        input_values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify windows.

        Args:
            input_values: (batch, channels, time), normalised.
            attention_mask: As in [`ResNet1dGRUModel`].
            labels: (batch,) class indices or values, or (batch, num_labels) class shares.
            **kwargs: As in [`ResNet1dGRUModel`].
        """
        pooled = self.model(input_values, attention_mask).pooler_output
        logits = self.classifier(self.dropout(pooled))  # (batch, num_labels)
        loss = None
        if labels is not None:
            loss = task_loss(
                logits,
                labels,
                int(self.config.num_labels or 0),
                class_weights=self.config.class_weights,
                label_smoothing=self.config.label_smoothing if self.training else 0.0,
            )
        return SequenceClassifierOutput(loss=loss, logits=logits)


__all__ = ["ResNet1dGRUForSequenceClassification", "ResNet1dGRUModel", "ResNet1dGRUPreTrainedModel"]
