# SPDX-License-Identifier: Apache-2.0
"""Configuration of EEGMaskedVAE."""

import math
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .config_checks import check_attention_heads, check_channels, check_positive, check_windows
from .standard_montage import set_standard_montage


@strict
class EEGMaskedVAEConfig(PreTrainedConfig):
    r"""Configuration of [`EEGMaskedVAEModel`] and [`EEGMaskedVAEForPreTraining`].

    The names `d_model`, `n_heads`, `n_layers`, `d_ff` and `n_channels` are accepted as well.

    Args:
        hidden_size (`int`): Width of every token.
        num_hidden_layers (`int`): Number of transformer layers of the encoder.
        num_decoder_layers (`int`): Number of transformer layers of the decoder.
        num_attention_heads (`int`): Heads of the temporal and of the channel attention; divides
            `hidden_size`.
        intermediate_size (`int`): Width of the feed-forward layers.
        latent_size (`int`): Dimensions of the latent of one patch of one channel.
        dropout (`float`): Dropout on attention weights and residual branches.
        sampling_rate (`float`): Rate in Hz of the signals the model is trained on; `patch_size` counts such
            samples.
        num_channels (`int`): Number of channels that `model(eeg)` accepts when no positions are given.
        channel_names (`list[str]`, *optional*): Names of those channels; the 19 of the 10-20 system by
            default.
        channel_positions (`list[list[float]]`, *optional*): Positions (x, y, z) of those channels in metres
            (head frame).
        max_seq_length (`int`): Longest signal in samples.
        patch_size (`int`): Samples of one patch (100 = 0.5 s at 200 Hz); patches do not overlap.
        use_channel_attention (`bool`): Let the channels of one patch attend to each other in every layer.
        use_spatial_guess (`bool`): Predict masked patches from the other channels, by a learned kernel over
            electrode positions, as input of the encoder.
        mask_ratio (`float`): Share of the stretches that training masks.
        stretch_patches (`int`): Patches of one stretch, which is masked as a whole, on one channel.
        visible_weight (`float`): Weight of the squared error of unmasked samples; that of masked ones is 1.
        beta (`float`): Weight of the KL divergence, in nats a sample: the weight in the evidence lower bound
            of a decoder whose error has the variance beta / 2.
        beta_warmup_steps (`int`): Training batches over which this weight grows linearly from 0.
        free_bits (`float`): Bits that a dimension of a latent may carry, on average over a window, before the
            divergence counts (https://arxiv.org/abs/1606.04934, appendix C.8).

    Example:
        >>> from eeg_hf import EEGMaskedVAEConfig
        >>> EEGMaskedVAEConfig(patch_size=50, stretch_patches=4).stretch_size
        200
    """

    model_type = "eeg_masked_vae"
    attribute_map = {
        "d_model": "hidden_size",
        "n_heads": "num_attention_heads",
        "n_layers": "num_hidden_layers",
        "d_ff": "intermediate_size",
        "n_channels": "num_channels",
    }

    # Encoder and decoder
    hidden_size: int = 256
    num_hidden_layers: int = 6
    num_decoder_layers: int = 2
    num_attention_heads: int = 8
    intermediate_size: int = 1024
    latent_size: int = 64
    dropout: float | int = 0.0
    hidden_act: str = "gelu"
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-6
    # Signal and patches
    sampling_rate: float | int = 200.0
    num_channels: int = 19
    channel_names: list[str] | tuple[str, ...] | None = None
    channel_positions: list | tuple | None = None
    max_seq_length: int = 10_000
    patch_size: int = 100
    use_channel_attention: bool = True
    use_spatial_guess: bool = True
    # Mask and loss
    mask_ratio: float | int = 0.5
    stretch_patches: int = 2
    visible_weight: float | int = 0.1
    beta: float | int = 0.01
    beta_warmup_steps: int = 1000
    free_bits: float | int = 0.0

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        set_standard_montage(self)
        self.validate_architecture()

    @property
    def stretch_size(self) -> int:
        """Samples of one stretch."""
        return self.patch_size * self.stretch_patches

    def validate_architecture(self) -> None:
        """Raise a ValueError naming the first field that cannot work with the others."""
        check_positive(self, "hidden_size", "num_attention_heads", "intermediate_size", "latent_size")
        check_positive(self, "num_channels", "patch_size", "stretch_patches")
        check_attention_heads(self)
        if self.hidden_size % 2:  # sines and cosines take half of the width each
            raise ValueError(f"hidden_size: expected an even number, got {self.hidden_size}")
        check_windows(self)
        check_channels(self, "channel_names", "channel_positions")
        for name in ("visible_weight", "beta", "beta_warmup_steps", "free_bits"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: expected 0 or more, got {getattr(self, name)}")


__all__ = ["EEGMaskedVAEConfig"]
