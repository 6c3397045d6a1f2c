# SPDX-License-Identifier: Apache-2.0
"""Second-order tokens: one token for each frequency band, made of what the channels share in it.

A token of a patch holds the power of one channel. What two channels share, and what a subject's mean
covariance hides, is in none of them. Here the complex responses of a filterbank become cross-spectra, which
are recentred by the subject's mean (Zanini et al. 2018, https://doi.org/10.1109/TBME.2017.2742541) and mapped
to a vector space by the matrix logarithm (Barachant et al. 2012, https://doi.org/10.1109/TBME.2011.2172210).

Everything up to the projection is free of parameters. The computation is in float32 whatever the dtype of
the input, needs matrix products only, and costs bands * components^3, not tokens^2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedConfig
from transformers import initialization as init
from transformers.masking_utils import create_bidirectional_mask

from .attention import Attention
from .dropout import Dropout
from .factorized_attention import FeedForward
from .idle_parameters import idle_zero
from .spatial_basis import spatial_matrix
from .spd_logarithm import shrink, shrunk_log, vectorize

SMALLEST_POWER = 1e-12
"""Power below which a component counts as silent; a normalised signal has about 1."""


@dataclass(frozen=True)
class Recentring:
    """What is subtracted from the second-order statistics of a window: those of its subject, or of all.

    Attributes:
        whitening: (batch or 1, bands, components, components), inverse square roots of mean matrices.
        log_power: (batch or 1, bands, components), mean log power.
    """

    whitening: torch.Tensor
    log_power: torch.Tensor


def bins_of_bands(
    bands_hz: Sequence[Sequence[float]], sampling_rate: float, frame_size: int
) -> list[list[int]]:
    """Return the indices of the Fourier bins in each band, the upper edge excluded.

    Raises:
        ValueError: If a band holds no bin below half of the sampling rate.
    """
    spacing = sampling_rate / frame_size
    bins = [
        [index for index in range(1, (frame_size + 1) // 2) if low <= index * spacing < high]
        for low, high in bands_hz
    ]
    for band, indices in zip(bands_hz, bins, strict=True):
        if not indices:
            raise ValueError(
                f"second_order_bands: {list(band)} Hz holds no frequency of a frame of {frame_size} samples "
                f"at {sampling_rate:g} Hz, whose frequencies are {spacing:g} Hz apart: widen the band or "
                "lengthen second_order_frame_seconds"
            )
    return bins


def fourier_filters(bins: Sequence[int], frame_size: int, device: torch.device | None = None) -> torch.Tensor:
    """Return Hann-windowed cosines and sines of some Fourier bins, (2 * bins, frame_size).

    Each has a mean of zero, so that an offset of the frame does not leak into the lowest bins.
    """
    time = torch.arange(frame_size, device=device, dtype=torch.float32) / frame_size
    phase = 2 * torch.pi * torch.tensor(bins, device=device, dtype=torch.float32)[:, None] * time
    window = (0.5 - 0.5 * torch.cos(2 * torch.pi * time)) / frame_size**0.5
    filters = torch.stack([phase.cos() * window, phase.sin() * window], dim=1).flatten(0, 1)
    return filters - filters.mean(dim=-1, keepdim=True)


def frame_signal(
    values: torch.Tensor, attention_mask: torch.Tensor | None, frame_size: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut signals into frames that overlap by half.

    A frame counts only if all its samples are real. A window shorter than a frame is padded with zeros to
    one frame, which counts.

    Args:
        values: (batch, channels, time), zeros where padded.
        attention_mask: (batch, time) bool, True = real; None means all.
        frame_size: Samples of a frame.

    Returns:
        Frames (batch, channels, frames, frame_size), and which count (batch, frames) bool.
    """
    missing = max(frame_size - values.shape[-1], 0)
    hop = max(frame_size // 2, 1)
    frames = nn.functional.pad(values, (0, missing)).unfold(-1, frame_size, hop)
    if attention_mask is None:
        return frames, frames.new_ones(values.shape[0], frames.shape[2], dtype=torch.bool)
    is_real = nn.functional.pad(attention_mask.bool(), (0, missing)).unfold(-1, frame_size, hop).all(dim=-1)
    is_first = torch.arange(is_real.shape[1], device=is_real.device) == 0
    return frames, is_real | (is_first & ~is_real.any(dim=1, keepdim=True))


def cross_spectra(
    values: torch.Tensor,
    bands_hz: Sequence[Sequence[float]],
    sampling_rate: float,
    frame_size: int,
    attention_mask: torch.Tensor | None = None,
    frames_per_stretch: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the real part of the cross-spectra of each band by Welch's method, in Hann-windowed frames.

    Args:
        values: (batch, channels, time), zeros where padded.
        bands_hz: Lower (included) and upper (excluded) edge of each band in Hz.
        sampling_rate: Rate of the values in Hz.
        frame_size: Samples of a frame; frames overlap by half.
        attention_mask: (batch, time) bool, True = real; None means all.
        frames_per_stretch: Frames that are averaged; None averages all of a window.

    Returns:
        (batch, stretches, bands, channels, channels) in the squared unit of the values, and which stretches
        hold a frame that counts, (batch, stretches) bool.
    """
    bins = bins_of_bands(bands_hz, sampling_rate, frame_size)
    frames, is_real = frame_signal(values.float(), attention_mask, frame_size)
    filters = fourier_filters([index for band in bins for index in band], frame_size, values.device)
    responses = frames @ filters.mT * is_real[:, None, :, None]  # (batch, channels, frames, 2 * bins)
    per_stretch = frames_per_stretch or frames.shape[2]
    missing = -frames.shape[2] % per_stretch
    responses = nn.functional.pad(responses, (0, 0, 0, missing)).unflatten(2, (-1, per_stretch))
    count = nn.functional.pad(is_real, (0, missing)).unflatten(1, (-1, per_stretch)).sum(dim=-1)
    spectra = []
    for band in responses.split([2 * len(band) for band in bins], dim=-1):
        flat = band.transpose(1, 2).flatten(3)  # (batch, stretches, channels, frames * 2 * bins)
        spectra.append(flat @ flat.mT / (band.shape[-1] // 2))
    matrices = torch.stack(spectra, dim=2) / count.clamp(min=1)[:, :, None, None, None]
    return matrices, count > 0


def split_power(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Split covariances (..., n, n) into correlations of the same shape and log power (..., n)."""
    power = matrices.diagonal(dim1=-2, dim2=-1).clamp(min=SMALLEST_POWER)
    deviation = power.sqrt()
    correlations = matrices / deviation[..., None, :] / deviation[..., :, None]
    identity = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    return correlations * (1 - identity) + identity, power.log()


def recentre(matrices: torch.Tensor, whitening: torch.Tensor) -> torch.Tensor:
    """Return `W M W`: the identity where M is the mean matrix whose inverse square root is W."""
    return whitening @ matrices @ whitening


class SecondOrderFeatures(nn.Module):
    """Second-order vectors of each band of a window, standardised.

    The buffers describe the population that a model was fitted on (`set_population`). They stand in for the
    subject's own recentring where no calibration is given.
    """

    whitening: torch.Tensor
    log_power: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.config = config
        self.frame_size = round(config.second_order_frame_seconds * config.sampling_rate)
        size, bands = config.num_components, len(config.second_order_bands)
        self.register_buffer("whitening", torch.empty(bands, size, size))
        self.register_buffer("log_power", torch.empty(bands, size))
        self.register_buffer("mean", torch.empty(bands, config.num_band_features))
        self.register_buffer("scale", torch.empty(bands, config.num_band_features))

    def reset_parameters(self) -> None:
        """Recentre by nothing and scale by nothing."""
        init.copy_(self.whitening, torch.eye(self.config.num_components).expand_as(self.whitening))
        init.zeros_(self.log_power)
        init.zeros_(self.mean)
        init.ones_(self.scale)

    @torch.no_grad()
    def reset_standardization(self) -> None:
        """Leave the vectors as they are, until `set_population` is called."""
        self.mean.zero_()
        self.scale.fill_(1.0)

    @property
    def frames_per_stretch(self) -> int | None:
        """Frames of one stretch, None where a window is one stretch."""
        seconds = self.config.second_order_stretch_seconds
        if seconds is None:
            return None
        return max(round(2 * seconds / self.config.second_order_frame_seconds) - 1, 1)

    def forward(
        self,
        values: torch.Tensor,
        channel_positions: torch.Tensor,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        recentring: Recentring | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the vectors.

        Args:
            values: (batch, channels, time), zeros where padded or masked.
            channel_positions: (batch, channels, 3), metres in the head frame.
            channel_mask: (batch, channels) bool, True = real.
            attention_mask: (batch, time) bool, True = real.
            recentring: Of the subject; that of the population by default.

        Returns:
            (batch, stretches, bands, features) float32, and which stretches are real (batch, stretches) bool.
        """
        if recentring is None:
            recentring = Recentring(self.whitening[None], self.log_power[None])
        self.check_recentring(recentring)
        with torch.autocast(values.device.type, enabled=False):
            matrices, log_power, is_found, is_real = self.compute_statistics(
                values, channel_positions, channel_mask, attention_mask
            )
            features = self.vectors(matrices, log_power, is_found, recentring)
        return torch.where(is_real[:, :, None, None], features, 0.0), is_real

    def vectors(
        self,
        matrices: torch.Tensor,
        log_power: torch.Tensor,
        is_found: torch.Tensor,
        recentring: Recentring,
    ) -> torch.Tensor:
        """Recentre the statistics that `compute_statistics` returned, and return their standardised vectors.

        Args:
            matrices: (batch, stretches, bands, components, components) float32.
            log_power: (batch, stretches, bands, components) float32.
            is_found: (batch, components) bool, True = the component is there.
            recentring: Of the subjects.

        Returns:
            (batch, stretches, bands, features) float32.
        """
        centred = recentre(matrices, recentring.whitening.float()[:, None])
        # A component that is not there says nothing: it is decoupled from the others
        both = is_found[:, :, None] & is_found[:, None]  # (batch, components, components)
        identity = torch.eye(both.shape[-1], device=both.device)
        centred = torch.where(both[:, None, None], centred, identity)
        features = vectorize(shrunk_log(centred, self.config.second_order_shrinkage))
        if self.config.second_order_split:
            power = log_power - recentring.log_power.float()[:, None]
            power = torch.where(is_found[:, None, None], power, 0.0)
            features = torch.cat([features, power], dim=-1)
        return (features - self.mean.float()) / self.scale.float()

    def check_recentring(self, recentring: Recentring) -> None:
        """Raise a ValueError unless a calibration has the bands and components of this model."""
        expected, got = tuple(self.whitening.shape), tuple(recentring.whitening.shape[1:])
        if got != expected or tuple(recentring.log_power.shape[1:]) != expected[:2]:
            raise ValueError(
                f"recentring: expected (bands, components, components) {expected}, got {got}: calibrate the "
                "subject with this model"
            )

    def compute_statistics(
        self,
        values: torch.Tensor,
        channel_positions: torch.Tensor,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return what is recentred, before it is recentred.

        Args:
            values: As in `forward`.
            channel_positions: As in `forward`.
            channel_mask: As in `forward`.
            attention_mask: As in `forward`.

        Returns:
            Regularised correlations, or covariances without `second_order_split`, (batch, stretches, bands,
            components, components); their log power (batch, stretches, bands, components); which components
            are there (batch, components); which stretches are real (batch, stretches).
        """
        basis = spatial_matrix(self.config, channel_positions, channel_mask)  # (batch, components, channels)
        components = basis @ values.float()  # (batch, components, time)
        spectra, is_real = cross_spectra(
            components,
            self.config.second_order_bands,
            self.config.sampling_rate,
            self.frame_size,
            attention_mask,
            self.frames_per_stretch,
        )
        spectra = shrink(spectra, self.config.second_order_regularization)
        correlations, log_power = split_power(spectra)
        matrices = correlations if self.config.second_order_split else spectra
        return matrices, log_power, basis.abs().sum(dim=-1) > 0, is_real

    @torch.no_grad()
    def set_population(self, recentring: Recentring | None, mean: torch.Tensor, scale: torch.Tensor) -> None:
        """Store the statistics of the windows that a model is fitted on.

        Args:
            recentring: Of all their subjects together; None keeps what is there.
            mean: (bands, features), of the vectors as they come out with a mean of 0 and a scale of 1.
            scale: (bands, features), their standard deviations; those of constant features become 1.
        """
        if recentring is not None:
            self.whitening.copy_(recentring.whitening)
            self.log_power.copy_(recentring.log_power)
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(scale > 1e-6, scale, 1.0))


class BandProjection(nn.Module):
    """A linear layer for each band, and the tokens that stand for masked bands."""

    def __init__(self, num_bands: int, num_features: int, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_bands, num_features, hidden_size))
        self.bias = nn.Parameter(torch.empty(num_bands, hidden_size))
        self.mask_token = nn.Parameter(torch.empty(num_bands, hidden_size))

    def reset_parameters(self) -> None:
        """Start with unit tokens for unit features; bands differ by bias from the beginning."""
        init.normal_(self.weight, std=self.weight.shape[1] ** -0.5)
        init.normal_(self.bias, std=0.02)
        init.normal_(self.mask_token, std=0.02)

    def forward(self, features: torch.Tensor, is_masked: torch.Tensor | None = None) -> torch.Tensor:
        """Map (batch, stretches, bands, features) to (batch, stretches, bands, hidden_size).

        Args:
            features: Standardised vectors.
            is_masked: (batch, stretches, bands) bool, True = replaced by the mask token.
        """
        tokens = torch.einsum("bskf,kfh->bskh", features.to(self.weight.dtype), self.weight) + self.bias
        if is_masked is not None:
            return torch.where(is_masked[..., None], self.mask_token, tokens)
        return tokens + idle_zero([self.mask_token]) if self.training else tokens


class BandDecoder(nn.Module):
    """A linear layer for each band, from its token back to its vector."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.out = nn.ModuleList(
            nn.Linear(config.hidden_size, config.num_band_features) for _ in config.second_order_bands
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Map (batch, stretches, bands, hidden_size) to (batch, stretches, bands, features)."""
        decoded = [layer(token) for layer, token in zip(self.out, tokens.unbind(dim=2), strict=True)]
        return torch.stack(decoded, dim=2)


class BandLayer(nn.Module):
    """Attention among all bands and stretches of a window, then a feed-forward layer."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.feed_forward = FeedForward(config)
        self.dropout = Dropout(config.dropout)

    def forward(self, tokens: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Map (batch, tokens, hidden_size) to the same shape."""
        attended, _ = self.attention(self.attention_norm(tokens), attention_mask)
        tokens = tokens + self.dropout(attended)
        return tokens + self.dropout(self.feed_forward(self.feed_forward_norm(tokens)))


class SecondOrderTokens(nn.Module):
    """Tokens of the second order: projected vectors of each band that attend to each other."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.config = config
        self.features = SecondOrderFeatures(config)
        bands = len(config.second_order_bands)
        self.projection = BandProjection(bands, config.num_band_features, config.hidden_size)
        self.layers = nn.ModuleList(BandLayer(config) for _ in range(config.second_order_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(
        self, features: torch.Tensor, is_real: torch.Tensor, is_masked: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Encode the vectors of `self.features`.

        Args:
            features: (batch, stretches, bands, features).
            is_real: (batch, stretches) bool, True = real.
            is_masked: (batch, stretches, bands) bool, True = hidden from the encoder.

        Returns:
            (batch, stretches, bands, hidden_size).
        """
        tokens = self.projection(features, is_masked)
        shape = tokens.shape[1:3]
        tokens = tokens.flatten(1, 2)  # (batch, stretches * bands, hidden_size)
        mask = None
        if shape[0] > 1:
            real_tokens = is_real[:, :, None].expand(-1, -1, shape[1]).flatten(1)
            mask = create_bidirectional_mask(self.config, tokens, real_tokens)
        for layer in self.layers:
            tokens = layer(tokens, mask)
        return self.norm(tokens).unflatten(1, shape)


def mean_over_stretches(values: torch.Tensor, is_real: torch.Tensor) -> torch.Tensor:
    """Average (batch, stretches, ...) over the real stretches (batch, stretches) to (batch, ...)."""
    weights = is_real.reshape(*is_real.shape, *[1] * (values.ndim - 2)).to(values.dtype)
    return (values * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


__all__ = [
    "BandDecoder",
    "BandProjection",
    "Recentring",
    "SecondOrderFeatures",
    "SecondOrderTokens",
    "cross_spectra",
    "mean_over_stretches",
    "recentre",
    "split_power",
]
