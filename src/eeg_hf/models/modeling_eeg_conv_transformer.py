# SPDX-License-Identifier: Apache-2.0
"""EEGConvTransformer: dilated convolutions over all channels at once, then a transformer over time.

A small encoder for short windows of one montage. Its first convolution has weights for each channel; other
montages need a channel adapter.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import ModelOutput
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .attention import Attention, refuse_unknown_options
from .channel_adapters import ChannelAdapter, LocalScores, build_channel_adapter
from .configuration_eeg_conv_transformer import EEGConvTransformerConfig
from .dropout import Dropout
from .factorized_attention import FeedForward
from .masking import zero_masked
from .parameter_dtype import parameter_dtype
from .pretrained_model import EEGPreTrainedModel
from .token_grid import refuse_empty

SAME_PLACE = 0.005  # metres; electrodes of the densest caps are 15 mm apart


class TimeConvolution(nn.Module):
    """A dilated convolution, a norm and an activation; residual if the shapes agree."""

    def __init__(
        self, config: EEGConvTransformerConfig, size: int, kernel: int, dilation: int, stride: int
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.convolution = nn.Conv1d(
            size, config.conv_size, kernel, stride=stride, padding=padding, dilation=dilation
        )
        # Over the features of one time step, so padding does not enter
        self.norm = nn.LayerNorm(config.conv_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.dropout)
        self.is_residual = stride == 1 and size == config.conv_size

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Map (batch, size, time) to (batch, conv_size, time / stride)."""
        # The norm takes features last: (batch, conv_size, time / stride)
        features = self.norm(self.convolution(values).transpose(1, 2)).transpose(1, 2)
        features = self.dropout(nn.functional.gelu(features))
        return values + features if self.is_residual else features


class TransformerLayer(GradientCheckpointingLayer):
    """Pre-norm residual layer: attention over time, feed-forward."""

    def __init__(self, config: EEGConvTransformerConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: object
    ) -> torch.Tensor:
        """Map tokens (batch, num_tokens, hidden_size) to the same shape."""
        attended, _ = self.attention(self.attention_norm(hidden_states), attention_mask, **kwargs)
        hidden_states = hidden_states + self.dropout(attended)
        return hidden_states + self.dropout(self.feed_forward(self.feed_forward_norm(hidden_states)))


class ConvTransformerEmbeddings(nn.Module):
    """Convolutions, projection to `hidden_size`, and positions in time."""

    def __init__(self, config: EEGConvTransformerConfig) -> None:
        super().__init__()
        sizes = [config.num_channels, *[config.conv_size] * (len(config.kernel_sizes) - 1)]
        settings = zip(sizes, config.kernel_sizes, config.dilations, config.strides, strict=True)
        self.convolutions = nn.ModuleList(TimeConvolution(config, *each) for each in settings)
        self.strides = tuple(config.strides)
        self.projection = nn.Linear(config.conv_size, config.hidden_size)
        self.time_positions = nn.Embedding(config.max_tokens, config.hidden_size)
        if config.temporal_pool == "cls":  # other pools would give it no gradient
            self.cls_token = nn.Parameter(torch.empty(config.hidden_size))
        self.dropout = Dropout(config.dropout)

    def forward(
        self, values: torch.Tensor, is_real: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return tokens (batch, num_tokens, hidden_size), the CLS token first, and which are real."""
        values = values.to(parameter_dtype(self))
        for convolution, stride in zip(self.convolutions, self.strides, strict=True):
            values = convolution(values)
            if is_real is not None:  # zeros, as beyond the edges of a window
                is_real = is_real[:, ::stride]
                values = torch.where(is_real[:, None], values, 0.0)
        tokens = self.projection(values.transpose(1, 2))  # (batch, num_tokens, hidden_size)
        tokens = tokens + self.time_positions(torch.arange(tokens.shape[1], device=tokens.device))
        if hasattr(self, "cls_token"):
            first = self.cls_token.to(tokens.dtype).expand(tokens.shape[0], 1, -1)
            tokens = torch.cat([first, tokens], dim=1)
            is_real = None if is_real is None else nn.functional.pad(is_real, (1, 0), value=True)
        return self.dropout(tokens), is_real


@dataclass
class EEGConvTransformerOutput(ModelOutput):
    """Output of the encoder.

    Attributes:
        last_hidden_state: (batch, num_tokens, hidden_size); the CLS token first, if there is one.
        pooler_output: (batch, pooler_size).
        hidden_states: One tensor shaped like `last_hidden_state` a layer, on request.
        attentions: (batch, heads, num_tokens, num_tokens) a layer, on request and with `eager`.
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


class EEGConvTransformerPreTrainedModel(EEGPreTrainedModel):
    """Base class with the weight initialisation."""

    config: EEGConvTransformerConfig
    _no_split_modules = ["ConvTransformerEmbeddings", "TransformerLayer", "PerceiverChannelAdapter"]
    _input_embed_layer = "projection"  # of the embeddings
    _can_record_outputs = {"hidden_states": TransformerLayer, "attentions": Attention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, (nn.Conv1d, nn.Linear)):
            # Keeps unit variance. At `initializer_range` the CLS token would barely attend to the others, and
            # the embeddings of all windows would start nearly equal
            init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, ConvTransformerEmbeddings) and hasattr(module, "cls_token"):
            init.normal_(module.cls_token, std=self.config.initializer_range)
        elif isinstance(module, (ChannelAdapter, LocalScores)):
            module.reset_parameters()


class EEGConvTransformerModel(EEGConvTransformerPreTrainedModel):
    """The encoder.

    Example:
        >>> import torch
        >>> from eeg_hf import EEGConvTransformerConfig, EEGConvTransformerModel
        >>> model = EEGConvTransformerModel(EEGConvTransformerConfig(num_channels=17))
        >>> model(torch.randn(2, 17, 100)).pooler_output.shape
        torch.Size([2, 512])
    """

    def __init__(self, config: EEGConvTransformerConfig) -> None:
        super().__init__(config)
        montage: Any = config  # has the fields of EEGFoundationConfig that build_channel_adapter reads
        adapter = build_channel_adapter(montage)
        if adapter is not None:
            self.channel_adapter = adapter
        self.embeddings = ConvTransformerEmbeddings(config)
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.pooler = nn.Linear(config.hidden_size, config.pooler_size)
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> EEGConvTransformerOutput:
        """Encode windows.

        Args:
            input_values: (batch, channels, time), normalised.
            channel_positions: (batch, channels, 3) or (channels, 3), metres; those of the config by default.
            channel_mask: (batch, channels) bool, True = real.
            attention_mask: (batch, time) bool, True = real.
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Raises:
            ValueError: On shapes or electrodes other than the config's.
            TypeError: On an unknown argument.
        """
        refuse_unknown_options(type(self).__name__, kwargs)
        values = zero_masked(input_values, channel_mask, attention_mask, None)  # (batch, channels, time)
        values = self.adapt(values, channel_positions, channel_mask)  # (batch, num_channels, time)
        is_real = None if attention_mask is None else attention_mask.bool()
        hidden_states, is_real = self.embeddings(values, is_real)  # (batch, num_tokens, hidden_size)
        mask = None if is_real is None else create_bidirectional_mask(self.config, hidden_states, is_real)
        for layer in self.layers:
            hidden_states = layer(hidden_states, mask, **kwargs)
        hidden_states = self.norm(hidden_states)
        pooled = nn.functional.gelu(self.pooler(self.pool(hidden_states, is_real)))
        return EEGConvTransformerOutput(last_hidden_state=hidden_states, pooler_output=pooled)

    def adapt(
        self, values: torch.Tensor, positions: torch.Tensor | None, channel_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Map (batch, channels, time) to the channels of the config, (batch, num_channels, time)."""
        config = self.config
        if values.ndim != 3 or not 0 < values.shape[-1] <= config.max_seq_length:
            raise ValueError(
                f"input_values: expected (batch, channels, time) of 1 to {config.max_seq_length} samples "
                f"(max_seq_length), got {tuple(values.shape)}"
            )
        refuse_empty(values)
        if positions is not None and tuple(positions.shape[-2:]) != (values.shape[1], 3):
            raise ValueError(
                f"channel_positions: expected (batch, {values.shape[1]}, 3), got {tuple(positions.shape)}"
            )
        # Without an adapter, the first convolution takes the config's channels only
        if config.channel_adapter == "none":
            self.check_montage(values, positions)
            return values
        if positions is None:
            positions = torch.tensor(config.channel_positions, device=values.device)
        positions = positions.expand(values.shape[0], -1, -1)
        return self.channel_adapter(values, positions, channel_mask, None).values

    def check_montage(self, values: torch.Tensor, positions: torch.Tensor | None) -> None:
        """Raise a ValueError if the first convolution has no weights for these channels."""
        own = self.config.channel_positions
        hint = "select the channels in eeg-hf prepare, or set channel_adapter"
        if values.shape[1] != self.config.num_channels:
            raise ValueError(
                f"input_values: expected {self.config.num_channels} channels, got {values.shape[1]}: {hint}"
            )
        if own is None or positions is None or torch.compiler.is_compiling():
            return
        # (batch, channels); padded channels sit at the origin
        distance = (positions - positions.new_tensor(own)).norm(dim=-1)
        is_padding = (positions == 0).all(dim=-1)
        if bool((distance > SAME_PLACE).logical_and(~is_padding).any()):
            raise ValueError(
                f"channel_positions: expected the electrodes of the config in their order: {hint}"
            )

    def pool(self, hidden_states: torch.Tensor, is_real: torch.Tensor | None) -> torch.Tensor:
        """Pool real tokens (batch, num_tokens, hidden_size) to (batch, hidden_size)."""
        if self.config.temporal_pool == "cls":
            return hidden_states[:, 0]
        if is_real is None:
            is_real = torch.ones_like(hidden_states[..., 0], dtype=torch.bool)
        if self.config.temporal_pool == "max":  # padding must not win
            lowest = torch.finfo(hidden_states.dtype).min
            return hidden_states.masked_fill(~is_real[..., None], lowest).amax(dim=1)
        weights = is_real[..., None].to(hidden_states.dtype)  # (batch, num_tokens, 1)
        return (hidden_states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


__all__ = ["EEGConvTransformerModel", "EEGConvTransformerPreTrainedModel"]
