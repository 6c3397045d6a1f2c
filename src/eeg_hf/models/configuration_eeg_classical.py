# SPDX-License-Identifier: Apache-2.0
"""Configuration of the classical methods: band power, tangent spaces and evoked covariances."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .config_checks import check_channels, check_choice, check_positive

KINDS = ("power", "covariance", "cross_spectra", "evoked")


@strict
class EEGClassicalConfig(PreTrainedConfig):
    r"""Configuration of [`EEGClassicalModel`] and [`EEGClassicalForSequenceClassification`].

    Args:
        kind (`str`): What a window is described by: `"power"` (log band power by Welch's method),
            `"covariance"` (logarithms of the covariances of filtered bands), `"cross_spectra"` (logarithms of
            recentred cross-spectra), or `"evoked"` (the logarithm of the covariance with mean responses).
        method (`str`): Name of the method, for cards.
        num_channels (`int`): Channels of a window; the methods know them by order.
        num_samples (`int`): Samples of a window.
        sampling_rate (`float`): Rate of the windows in Hz.
        channel_names (`list[str]`, *optional*): Electrodes in order.
        channel_positions (`list[list[float]]`, *optional*): Their positions (x, y, z) in metres. With them,
            windows of electrodes at other places or in another order are refused.
        bands_hz (`list[list[float]]`): Lower and upper edge of each band.
        filters (`list`): Second-order sections (sections, 6) of each band that is filtered forwards and
            backwards, or of the low-pass of evoked responses.
        step (`int`): Samples from one kept sample to the next after the low-pass.
        shrinkages (`list[float]`): Of cross-spectra, before and after recentring.
        num_prototypes (`int`): Rows of the mean responses that windows are compared with.
        num_components (`int`): Spatial filters before, for evoked responses.
        regression_mean (`float`): Mean of the labels of a regression, for cards.
        regression_std (`float`): Their standard deviation.

    Example:
        >>> from eeg_hf import EEGClassicalConfig
        >>> EEGClassicalConfig(kind="power", bands_hz=[[8, 13]], num_channels=4).num_features
        4
    """

    model_type = "eeg_classical"

    kind: str = "power"
    method: str = ""
    num_channels: int = 19
    num_samples: int = 1000
    sampling_rate: float | int = 200.0
    channel_names: list[str] | tuple[str, ...] | None = None
    channel_positions: list | tuple | None = None
    bands_hz: list | tuple = ((1.0, 4.0), (4.0, 8.0), (8.0, 13.0), (13.0, 30.0), (30.0, 45.0))
    filters: list | tuple = ()
    step: int = 1
    shrinkages: list | tuple = (0.1, 0.0)
    num_prototypes: int = 0
    num_components: int = 0
    class_weights: list[float] | tuple[float, ...] | None = None
    regression_mean: float | int = 0.0
    regression_std: float | int = 1.0

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        check_choice(self, kind=KINDS)
        check_positive(self, "num_channels", "num_samples", "step")
        check_channels(self, "channel_names", "channel_positions")
        if self.sampling_rate <= 0:
            raise ValueError(f"sampling_rate: expected a rate above 0 Hz, got {self.sampling_rate}")
        needed = {"covariance": len(self.bands_hz), "evoked": 1}.get(self.kind, 0)
        if len(self.filters) != needed:
            raise ValueError(f"filters: expected {needed} for kind {self.kind!r}, got {len(self.filters)}")

    @property
    def matrix_size(self) -> int:
        """Rows of the matrices whose logarithm describes a window."""
        if self.kind == "evoked":
            return self.num_prototypes + self.num_components
        return self.num_channels

    @property
    def num_features(self) -> int:
        """Numbers that describe a window."""
        if self.kind == "power":
            return self.num_channels * len(self.bands_hz)
        matrices = 1 if self.kind == "evoked" else len(self.bands_hz)
        return matrices * self.matrix_size * (self.matrix_size + 1) // 2


__all__ = ["KINDS", "EEGClassicalConfig"]
