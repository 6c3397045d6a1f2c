# SPDX-License-Identifier: Apache-2.0
"""Embed a patch of one channel by its spectrum and its waveform, at several time scales."""

import math

import torch
from torch import nn
from transformers.activations import ACT2FN

from .configuration_eeg_foundation import EEGFoundationConfig
from .parameter_dtype import parameter_dtype

POWER_FLOOR = 0.01  # power below which a band counts as silent; the total of a normalised signal is about 1


class UnitLinear(nn.Linear):
    """A linear layer whose initial output has unit variance for inputs of unit variance.

    At `initializer_range` the waveforms would start a hundred times below the spectrum, and reconstruction
    would hardly learn.

    NOTE: this needs its own class, because transformers initialises remote code only through modules that
        hold parameters themselves, not through their parents.
    """


class FourierFilterbank(nn.Module):
    """Log power in bands: learned filters of one window's length, initially a Hann-windowed Fourier basis."""

    def __init__(self, window_size: int) -> None:
        super().__init__()
        self.window_size = window_size
        self.num_bands = window_size // 2
        self.weight = nn.Parameter(torch.empty(2 * self.num_bands, window_size))

    def fourier_basis(self) -> torch.Tensor:
        """Return initial weights (2 * num_bands, window_size): cosines, then sines, of unit response."""
        time = torch.arange(self.window_size) / self.window_size
        phase = 2 * math.pi * torch.arange(1, self.num_bands + 1)[:, None] * time  # (num_bands, window_size)
        hann = torch.hann_window(self.window_size, periodic=True) / math.sqrt(self.window_size)
        return torch.cat([phase.cos() * hann, phase.sin() * hann])

    def forward(self, windows: torch.Tensor) -> torch.Tensor:
        """Map (..., num_windows, window_size) to log power averaged over the windows (..., num_bands).

        A silent band gives 0: bands that a filter emptied would otherwise add one large constant to every
        token.
        """
        response = nn.functional.linear(
            windows, self.weight
        ).float()  # squares of bf16 would lose the weak bands
        squares = response.square().unflatten(-1, (2, self.num_bands))  # (..., num_windows, 2, num_bands)
        power = squares.sum(dim=(-3, -2)) / windows.shape[-2]  # one sum is thrice as fast as a sum and a mean
        return (power / POWER_FLOOR).log1p()


class MultiScaleTemporalEncoder(nn.Module):
    """Embed each patch by the power spectra and waveforms of windows of several lengths."""

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__()
        self.scales = config.active_scales
        windows = [config.patch_size // scale for scale in self.scales]
        # Each scale gets an equal share of the width for its waveforms, divided among its windows
        widths = [max(config.hidden_size // len(self.scales) // scale, 1) for scale in self.scales]
        self.filterbanks = nn.ModuleList(FourierFilterbank(window) for window in windows)
        self.waveforms = nn.ModuleList(
            UnitLinear(window, width) for window, width in zip(windows, widths, strict=True)
        )
        num_bands = sum(window // 2 for window in windows)
        num_waveforms = sum(scale * width for scale, width in zip(self.scales, widths, strict=True))
        # The power of all bands rises and falls together, which would mask their differences
        self.power_norm = nn.LayerNorm(num_bands, eps=config.layer_norm_eps)
        self.activation = ACT2FN[config.hidden_act]
        self.projection = UnitLinear(num_bands + num_waveforms, config.hidden_size)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """Map (batch, channels, num_patches, patch_size) to (batch, channels, num_patches, hidden_size)."""
        patches = patches.to(parameter_dtype(self))
        power, waves = [], []
        for scale, filterbank, waveform in zip(self.scales, self.filterbanks, self.waveforms, strict=True):
            windows = patches.unflatten(-1, (scale, -1))  # (batch, channels, num_patches, scale, window_size)
            power.append(filterbank(windows))
            waves.append(self.activation(waveform(windows)).flatten(-2))
        bands = torch.cat(power, dim=-1).to(patches.dtype)  # of float32
        # (batch, channels, num_patches, bands of all scales)
        spectrum = self.power_norm(bands).to(patches.dtype)  # autocast may have changed it
        return self.projection(torch.cat([spectrum, *waves], dim=-1))
