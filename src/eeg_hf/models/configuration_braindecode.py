# SPDX-License-Identifier: Apache-2.0
"""Configuration of an architecture of braindecode, hosted as a model of transformers."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .config_checks import check_channels, check_choice, check_positive

SCALINGS = ("none", "millivolt", "percentile_95", "bendr")


@strict
class BraindecodeConfig(PreTrainedConfig):
    r"""Configuration of [`BraindecodeModel`] and [`BraindecodeForSequenceClassification`].

    Args:
        architecture (`str`): Class in `braindecode.models`, such as `"EEGConformer"`.
        num_channels (`int`): Channels of a window; the networks know them by order.
        num_samples (`int`): Samples of a window.
        sampling_rate (`float`): Rate of the windows in Hz.
        channel_names (`list[str]`, *optional*): Electrodes in order, for networks that look them up.
        channel_positions (`list[list[float]]`, *optional*): Their positions (x, y, z) in metres. With them,
            windows of electrodes at other places or in another order are refused.
        network (`dict`): Further arguments of that class, such as `{"n_filters_time": 40}`.
        input_scaling (`str`): What the network is given, where weights were trained on another scale than a
            feature extractor has: `"none"`, `"millivolt"` (of microvolts), `"percentile_95"` (each channel
            by the 95th percentile of its magnitude), or `"bendr"` (each window to [-1, 1], and zeros beside).
        class_weights (`list[float]`, *optional*): Weight of each class in the loss, 1 on average.
        label_smoothing (`float`): Share of every label that the loss spreads over all classes.
        regression_mean (`float`): With one output: mean of the labels in the training set. The network
            predicts in units of their standard deviation, and the logits are in the labels' unit.
        regression_std (`float`): Standard deviation of these labels.

    Example:
        >>> from eeg_hf import BraindecodeConfig
        >>> BraindecodeConfig(architecture="ShallowFBCSPNet", num_channels=19, num_samples=400).sampling_rate
        200.0
    """

    model_type = "braindecode"

    architecture: str = "EEGNet"
    num_channels: int = 19
    num_samples: int = 1000
    sampling_rate: float | int = 200.0
    channel_names: list[str] | tuple[str, ...] | None = None
    channel_positions: list | tuple | None = None
    network: dict[str, Any] | None = None
    input_scaling: str = "none"
    class_weights: list[float] | tuple[float, ...] | None = None
    label_smoothing: float | int = 0.0
    regression_mean: float | int = 0.0
    regression_std: float | int = 1.0

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        check_positive(self, "num_channels", "num_samples")
        check_choice(self, input_scaling=SCALINGS)
        check_channels(self, "channel_names", "channel_positions")
        if self.sampling_rate <= 0:
            raise ValueError(f"sampling_rate: expected a rate above 0 Hz, got {self.sampling_rate}")
        if not self.regression_std > 0:  # also refuses NaN
            raise ValueError(f"regression_std: expected more than 0, got {self.regression_std}")


__all__ = ["BraindecodeConfig"]
