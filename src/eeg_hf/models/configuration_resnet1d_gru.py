# SPDX-License-Identifier: Apache-2.0
"""Configuration of ResNet1dGRU."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .config_checks import check_channels, check_positive


@strict
class ResNet1dGRUConfig(PreTrainedConfig):
    r"""Configuration of [`ResNet1dGRUModel`] and [`ResNet1dGRUForSequenceClassification`].

    Args:
        num_channels (`int`): Channels of a window; the network knows them by order.
        sampling_rate (`float`): Rate of the windows in Hz.
        channel_names (`list[str]`, *optional*): Electrodes in order.
        kernel_sizes (`list[int]`): Odd lengths of the parallel convolutions, in samples.
        hidden_size (`int`): Filters of each convolution, and size of the recurrent state.
        num_blocks (`int`): Residual blocks; each halves the rate.
        dropout (`float`): Dropout before the head.
        class_weights (`list[float]`, *optional*): Weight of each class in the loss, 1 on average.
        label_smoothing (`float`): Share of every label that the loss spreads over all classes.

    Example:
        >>> from eeg_hf import ResNet1dGRUConfig
        >>> ResNet1dGRUConfig(num_blocks=3).downsampling
        16
    """

    model_type = "resnet1d_gru"

    num_channels: int = 19
    sampling_rate: float | int = 200.0
    channel_names: list[str] | tuple[str, ...] | None = None
    kernel_sizes: list[int] | tuple[int, ...] = (3, 5, 7, 9)
    hidden_size: int = 24
    num_blocks: int = 6
    dropout: float | int = 0.1
    class_weights: list[float] | tuple[float, ...] | None = None
    label_smoothing: float | int = 0.0

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        check_positive(self, "num_channels", "hidden_size", "num_blocks")
        check_channels(self, "channel_names")
        if not self.kernel_sizes or any(size % 2 == 0 or size < 1 for size in self.kernel_sizes):
            raise ValueError(f"kernel_sizes: expected odd lengths, got {list(self.kernel_sizes)}")

    @property
    def downsampling(self) -> int:
        """Samples of a step of the recurrent network."""
        return 2 ** (self.num_blocks + 1)


__all__ = ["ResNet1dGRUConfig"]
