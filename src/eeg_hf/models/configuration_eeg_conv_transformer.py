# SPDX-License-Identifier: Apache-2.0
"""Configuration of the convolutional transformer, the default EEG tower of EEGCLIP."""

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .config_checks import check_attention_heads, check_channels, check_choice, check_positive

TEMPORAL_POOLS = ("cls", "mean", "max")
MONTAGE_ADAPTERS = ("none", "perceiver", "spline")  # zero_pad would assign channels by order, not by position


@strict
class EEGConvTransformerConfig(PreTrainedConfig):
    r"""Configuration of [`EEGConvTransformerModel`].

    The defaults describe windows of THINGS-EEG2: 17 channels, 100 samples at 100 Hz. The names `d_model`,
    `n_heads`, `n_layers` and `d_ff` are accepted as well.

    Args:
        num_channels (`int`): Channels of the signal; the first convolution has weights for each of them.
        channel_positions (`list[list[float]]`, *optional*): Their positions (x, y, z) in metres.
        channel_adapter (`str`): Map from other montages to these channels: `"none"` (refuse other montages),
            `"perceiver"` or `"spline"`, as in [`EEGFoundationConfig`].
        adapter_size (`int`): Width of the perceiver's queries.
        adapter_heads (`int`): Attention heads of the perceiver.
        sampling_rate (`float`, *optional*): Rate in Hz of the signals the model is trained on.
        max_seq_length (`int`): Longest signal in samples.
        conv_size (`int`): Width of the convolutions.
        kernel_sizes (`list[int]`): Kernel size of each convolution; odd.
        dilations (`list[int]`): Dilation of each convolution.
        strides (`list[int]`): Stride of each convolution. With a product of 8, a token covers 80 ms at 100 Hz
            and the transformer has an eighth of the tokens.
        hidden_size (`int`): Width of every token.
        num_hidden_layers (`int`): Transformer layers.
        num_attention_heads (`int`): Attention heads; divides `hidden_size`.
        intermediate_size (`int`): Width of the feed-forward layers, and of the pooled output.
        temporal_pool (`str`): `"cls"` (an additional token), `"mean"` or `"max"` over the tokens.
        dropout (`float`): On embeddings, attention weights and residual branches.

    Example:
        >>> from eeg_hf import EEGConvTransformerConfig
        >>> EEGConvTransformerConfig(num_channels=63, d_model=128).total_stride
        8
    """

    model_type = "eeg_conv_transformer"
    attribute_map = {
        "d_model": "hidden_size",
        "n_heads": "num_attention_heads",
        "n_layers": "num_hidden_layers",
        "d_ff": "intermediate_size",
    }

    # Montage and signal
    num_channels: int = 17
    channel_positions: list | tuple | None = None
    channel_adapter: str = "none"
    adapter_size: int = 64
    adapter_heads: int = 4
    sampling_rate: float | int | None = None
    max_seq_length: int = 1000
    # Convolutions
    conv_size: int = 128
    kernel_sizes: list[int] | tuple[int, ...] = (7, 5, 3)
    dilations: list[int] | tuple[int, ...] = (1, 2, 4)
    strides: list[int] | tuple[int, ...] = (2, 2, 2)
    # Transformer
    hidden_size: int = 256
    num_hidden_layers: int = 4
    num_attention_heads: int = 8
    intermediate_size: int = 512
    temporal_pool: str = "cls"
    dropout: float | int = 0.1
    hidden_act: str = "gelu"
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-6

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)  # applies the attribute map
        self.validate_architecture()

    @property
    def adapter_channel_positions(self) -> list | tuple | None:
        """Output channels of the adapter: the channels of the convolutions."""
        return self.channel_positions

    @property
    def pooler_size(self) -> int:
        """Width of `pooler_output`."""
        return self.intermediate_size

    @property
    def total_stride(self) -> int:
        """Samples from one token to the next."""
        return math.prod(self.strides)

    @property
    def max_tokens(self) -> int:
        """Tokens of the longest signal."""
        return -(-self.max_seq_length // self.total_stride)

    def validate_architecture(self) -> None:
        """Raise a ValueError naming the first field that cannot work with the others."""
        check_positive(self, "num_channels", "max_seq_length", "conv_size", "hidden_size")
        check_positive(self, "intermediate_size", "num_attention_heads")
        for name in ("kernel_sizes", "dilations", "strides"):
            values = getattr(self, name)
            if len(values) != len(self.kernel_sizes) or any(value < 1 for value in values):
                raise ValueError(
                    f"{name}: expected {len(self.kernel_sizes)} whole numbers above 0, got {values}"
                )
        # With an odd kernel, padding by half of it keeps the number of samples
        if any(size % 2 == 0 for size in self.kernel_sizes):
            raise ValueError(f"kernel_sizes: expected odd numbers, got {self.kernel_sizes}")
        check_attention_heads(self)
        check_choice(self, temporal_pool=TEMPORAL_POOLS, channel_adapter=MONTAGE_ADAPTERS)
        check_channels(self, "channel_positions")
        if self.channel_adapter != "none" and self.channel_positions is None:
            raise ValueError(f"channel_adapter={self.channel_adapter!r} needs channel_positions, in metres")


__all__ = ["EEGConvTransformerConfig"]
