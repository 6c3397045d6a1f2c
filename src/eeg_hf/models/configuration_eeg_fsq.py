# SPDX-License-Identifier: Apache-2.0
"""Configuration of EEGFSQ."""

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .config_checks import check_choice, check_positive

ARCHITECTURES = ("mlp", "conv")
ACTIVATIONS = ("relu", "snake")


@strict
class EEGFSQConfig(PreTrainedConfig):
    r"""Configuration of [`EEGFSQModel`], a codec that turns patches of EEG into tokens and back.

    Args:
        patch_size (`int`): Samples of one patch; patches are coded separately.
        hidden_dims (`list[int]`): Widths of the encoder's hidden layers with `architecture="mlp"`; the
            decoder has them in reverse.
        levels (`list[int]`): Number of values of each dimension of a code. Their product is the size of the
            codebook: 8 * 8 * 8 * 5 * 5 * 5 = 64,000 codes, 16 bits. Few levels in many dimensions (sixteen
            times 2) suit low bit rates; unequal levels (20, 12, 7, 5, 3, 2), with more for the strong
            components of a patch, suit high ones.
        codes_per_patch (`int`): Codes (tokens) of one patch; with `levels` it decides the bit rate.
        architecture (`str`): `"mlp"`, or `"conv"` for strided convolutions with residual units.
        conv_channels (`list[int]`): Channels of the convolutional stages.
        conv_strides (`list[int]`): Stride of each stage; their product divides `patch_size`.
        activation (`str`): `"relu"`, or `"snake"` with one learned frequency a channel.
        linear_path (`bool`): Add linear maps parallel to encoder and decoder, which then learn corrections.
        dropout (`float`): Dropout after every hidden layer.
        use_conditioning (`bool`): Modulate every layer by the sampling rate (FiLM); each call must give it.
        conditioning_dim (`int`): Width of the embedding of the rate.
        sampling_rate (`float`, *optional*): Rate in Hz of the signals the codec is trained on; None for
            several rates.

    Example:
        >>> from eeg_hf import EEGFSQConfig
        >>> config = EEGFSQConfig(sampling_rate=256)
        >>> config.codebook_size, round(config.bits_per_second(), 2)
        (64000, 15.97)
    """

    model_type = "eeg_fsq"

    # Patches and codebook
    patch_size: int = 256
    levels: list[int] | tuple[int, ...] = (8, 8, 8, 5, 5, 5)
    codes_per_patch: int = 1
    # Encoder and decoder
    architecture: str = "mlp"
    hidden_dims: list[int] | tuple[int, ...] = (512, 256, 128)
    conv_channels: list[int] | tuple[int, ...] = (32, 64, 128)
    conv_strides: list[int] | tuple[int, ...] = (4, 4, 4)
    activation: str = "relu"
    linear_path: bool = True
    dropout: float | int = 0.0
    use_conditioning: bool = False
    conditioning_dim: int = 64
    sampling_rate: float | int | None = 200.0
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        self.validate_architecture()

    @property
    def code_dim(self) -> int:
        """Number of dimensions of a code."""
        return len(self.levels)

    @property
    def latent_dim(self) -> int:
        """Number of dimensions of all codes of a patch."""
        return self.codes_per_patch * self.code_dim

    @property
    def codebook_size(self) -> int:
        """Number of codes in the codebook."""
        return math.prod(self.levels)

    @property
    def bits_per_code(self) -> float:
        """Bits of one code, with codes of equal length."""
        return math.log2(self.codebook_size)

    def bits_per_second(self, sampling_rate: float | None = None) -> float:
        """Return the bits of one second of one channel.

        Args:
            sampling_rate: In Hz; the config's by default.

        Raises:
            ValueError: If the rate is unknown or not positive.
        """
        sampling_rate = self.sampling_rate if sampling_rate is None else sampling_rate
        if sampling_rate is None:
            raise ValueError("sampling_rate: expected one in Hz, the codec was trained on several rates")
        if not 0 < sampling_rate < math.inf:
            raise ValueError(f"sampling_rate: expected more than 0 Hz, got {sampling_rate}")
        return self.bits_per_code * self.codes_per_patch * sampling_rate / self.patch_size

    def validate_architecture(self) -> None:
        """Raise a ValueError naming the first field that cannot work with the others."""
        check_positive(self, "patch_size", "codes_per_patch", "conditioning_dim")
        check_choice(self, architecture=ARCHITECTURES, activation=ACTIVATIONS)
        for name, least in (("levels", 2), ("hidden_dims", 1), ("conv_channels", 1), ("conv_strides", 1)):
            values = getattr(self, name)
            if not values or any(type(value) is not int or value < least for value in values):
                raise ValueError(f"{name}: expected whole numbers of at least {least}, got {list(values)}")
        if self.codebook_size >= 2**63:  # tokens are int64
            raise ValueError(f"levels: {list(self.levels)} give more codes than an int64 can number")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: expected a share in [0, 1), got {self.dropout}")
        if self.sampling_rate is not None and not 0 < self.sampling_rate < math.inf:
            raise ValueError(f"sampling_rate: expected more than 0 Hz, got {self.sampling_rate}")
        if self.architecture == "conv":
            self._validate_convolutions()

    def _validate_convolutions(self) -> None:
        if len(self.conv_channels) != len(self.conv_strides):
            raise ValueError(
                f"conv_strides: expected one for each of the {len(self.conv_channels)} conv_channels, got "
                f"{list(self.conv_strides)}"
            )
        if self.patch_size % math.prod(self.conv_strides):
            raise ValueError(
                f"conv_strides: {list(self.conv_strides)} reduce by {math.prod(self.conv_strides)}, which "
                f"does not divide a patch of {self.patch_size} samples"
            )


__all__ = ["EEGFSQConfig"]
