# SPDX-License-Identifier: Apache-2.0
"""Channel adapters map any montage to one target montage before the encoder.

The encoder identifies channels by their coordinates and needs no adapter. An adapter pays off if the encoder
must see the same channels from every corpus, or fewer of them, because its cost grows with their number.

* [`PerceiverChannelAdapter`] learns to read each target position from the recorded electrodes.
* [`SplineChannelAdapter`] interpolates and has no parameters.
* [`ZeroPadChannelAdapter`] only appends channels that are marked as not real.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import initialization as init

from .configuration_eeg_foundation import EEGFoundationConfig
from .electrode_embedding import HEAD_RADIUS_METRES, NUM_PLACE_FEATURES, place_features
from .idle_parameters import idle_zero
from .parameter_dtype import parameter_dtype
from .spherical_splines import HEAD_CENTRE, fit_centre, spline_matrix


@dataclass(frozen=True)
class AdaptedSignal:
    """Windows on the target channels.

    Attributes:
        values: (batch, target_channels, time).
        channel_positions: (batch, target_channels, 3), metres in the head frame.
        channel_mask: (batch, target_channels) bool, True = real; None means all.
        mask: (batch, target_channels, time) bool, True = removed; None means nothing.
    """

    values: torch.Tensor
    channel_positions: torch.Tensor
    channel_mask: torch.Tensor | None = None
    mask: torch.Tensor | None = None


class ChannelAdapter(nn.Module, ABC):
    """Maps windows to the target channels, and a decoder's output back to the recorded ones.

    Subclasses implement `adapt` and `undo`. Both are reached through `forward`, where hooks of PyTorch fetch
    weights that are sharded or offloaded.
    """

    def forward(
        self,
        values: torch.Tensor,
        channel_positions: torch.Tensor,
        channel_mask: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        restores: bool = False,
    ) -> Any:
        """Map windows to the target channels.

        Args:
            values: (batch, channels, time); masked samples and samples that are not real are zero.
            channel_positions: (batch, channels, 3), metres in the head frame, finite.
            channel_mask: (batch, channels) bool, True = real; None means all.
            mask: (batch, channels, time) bool, True = removed; None means nothing.
            restores: Map back instead, see [`restore`].

        Returns:
            An [`AdaptedSignal`]; a tensor if mapped back.
        """
        if restores:
            return self.undo(values, channel_positions, channel_mask)
        return self.adapt(values, channel_positions, channel_mask, mask)

    def restore(
        self, values: torch.Tensor, channel_positions: torch.Tensor, channel_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map (batch, target_channels, time) back to the positions of the input.

        Args:
            values: (batch, target_channels, time).
            channel_positions: (batch, channels, 3), of the input.
            channel_mask: (batch, channels) bool, True = real; None means all.

        Returns:
            (batch, channels, time).
        """
        return self(values, channel_positions, channel_mask, restores=True)

    @abstractmethod
    def adapt(
        self,
        values: torch.Tensor,
        channel_positions: torch.Tensor,
        channel_mask: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> AdaptedSignal:
        """Map windows to the target channels; the arguments are those of `forward`."""

    @abstractmethod
    def undo(
        self, values: torch.Tensor, channel_positions: torch.Tensor, channel_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map back to the recorded channels; the arguments are those of `restore`."""

    def reset_parameters(self) -> None:
        """Initialize the parameters and buffers of this module, without its children."""


class ZeroPadChannelAdapter(ChannelAdapter):
    """Append zero channels that are marked as not real: shapes become equal, results do not change.

    Args:
        target_channels: Number of output channels.

    Example:
        >>> import torch
        >>> from eeg_hf.models.channel_adapters import ZeroPadChannelAdapter
        >>> ZeroPadChannelAdapter(128)(torch.randn(2, 21, 500), torch.zeros(2, 21, 3)).values.shape
        torch.Size([2, 128, 500])
    """

    def __init__(self, target_channels: int) -> None:
        super().__init__()
        self.target_channels = target_channels

    def adapt(
        self,
        values: torch.Tensor,
        channel_positions: torch.Tensor,
        channel_mask: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> AdaptedSignal:
        """Append zero channels; see [`ChannelAdapter.forward`].

        Raises:
            ValueError: If there are more channels than the target has.
        """
        missing = self.target_channels - values.shape[1]
        if missing < 0:
            raise ValueError(
                f"channel_adapter 'zero_pad': expected at most {self.target_channels} channels, got "
                f"{values.shape[1]}: use channel_adapter 'perceiver' or 'spline', or a larger montage"
            )
        if channel_mask is None:
            channel_mask = values.new_ones(values.shape[:2], dtype=torch.bool)
        rows = (0, 0, 0, missing)  # padding of the last two dimensions: channels at the end
        return AdaptedSignal(
            nn.functional.pad(values, rows),
            nn.functional.pad(channel_positions, rows),
            nn.functional.pad(channel_mask.bool(), (0, missing), value=False),
            None if mask is None else nn.functional.pad(mask, rows, value=False),
        )

    def undo(
        self, values: torch.Tensor, channel_positions: torch.Tensor, channel_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Remove the appended channels; see [`ChannelAdapter.restore`]."""
        return values[:, : channel_positions.shape[1]]


class TargetMontageAdapter(ChannelAdapter):
    """Base of the adapters to fixed positions.

    Args:
        target_positions: (target_channels, 3), metres in the head frame.
    """

    target_positions: torch.Tensor

    def __init__(self, target_positions: torch.Tensor | list) -> None:
        super().__init__()
        # On the CPU even if from_pretrained builds the model on the meta device, whose values cannot be read
        places = torch.as_tensor(target_positions, dtype=torch.float32, device="cpu")
        if places.ndim != 2 or places.shape[1] != 3 or not len(places) or not places.isfinite().all():
            raise ValueError(
                "target_positions: expected (target_channels, 3) finite numbers in metres, got shape "
                f"{tuple(places.shape)} with {int((~places.isfinite()).sum())} that are not finite"
            )
        self.initial_positions = places.tolist()
        self.register_buffer("target_positions", torch.tensor(self.initial_positions))

    def reset_parameters(self) -> None:
        """Set the target positions."""
        init.copy_(self.target_positions, torch.tensor(self.initial_positions))

    def locate(self, values: torch.Tensor, channel_mask: torch.Tensor | None) -> AdaptedSignal:
        """Add positions and mask to (batch, target_channels, time); real if any input channel is."""
        batch, count, _ = values.shape
        if channel_mask is not None:
            channel_mask = channel_mask.bool().any(dim=1, keepdim=True).expand(batch, count)
        return AdaptedSignal(values, self.target_positions.expand(batch, count, 3), channel_mask)


def resolve_targets(positions: torch.Tensor | list | None, count: int | None) -> torch.Tensor | list:
    """Return target positions (target_channels, 3): those given, or `count` spread over the head.

    Raises:
        ValueError: If there are neither positions nor a number, or both and they contradict each other.
    """
    if positions is None and count is None:
        raise ValueError("expected target_positions (target_channels, 3) in metres, or target_channels")
    if positions is None:
        return spread_evenly(int(count or 0))
    if count not in (None, len(positions)):
        raise ValueError(f"target_channels: got {count}, but {len(positions)} target_positions")
    return positions


def spread_evenly(count: int) -> torch.Tensor:
    """Return places (count, 3) in metres on a spiral over the scalp, from the top down to the ears."""
    if count < 1:
        raise ValueError(f"target_channels: expected 1 or more, got {count}")
    steps = torch.arange(count, dtype=torch.float32, device="cpu") + 0.5
    height = 1 - 1.1 * steps / count  # 1 is the top, 0 the equator; equal steps are equal areas
    angle = math.pi * (3 - math.sqrt(5)) * steps  # the golden angle
    radius = (1 - height.square()).sqrt()
    directions = torch.stack([radius * angle.cos(), radius * angle.sin(), height], dim=-1)
    return torch.tensor(HEAD_CENTRE, device="cpu") + HEAD_RADIUS_METRES * directions


class SplineChannelAdapter(TargetMontageAdapter):
    """Spherical splines from the recorded electrodes to the target positions; nothing is learned.

    The directions of each set of electrodes are taken from the centre of its own fitted sphere: templates of
    the same cap differ by 1 to 3 cm, half of it in direction. Masked samples count as zeros.

    Args:
        target_positions: (target_channels, 3), metres in the head frame.

    Example:
        >>> import torch
        >>> from eeg_hf.models.channel_adapters import SplineChannelAdapter
        >>> adapter = SplineChannelAdapter(0.1 * torch.randn(64, 3))
        >>> adapter(torch.randn(2, 21, 500), 0.1 * torch.randn(2, 21, 3)).values.shape
        torch.Size([2, 64, 500])
    """

    def adapt(
        self,
        values: torch.Tensor,
        channel_positions: torch.Tensor,
        channel_mask: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> AdaptedSignal:
        """Interpolate at the target positions; see [`ChannelAdapter.forward`]."""
        centred = channel_positions.double() - fit_centre(channel_positions, channel_mask)
        weights = spline_matrix(centred, self.centred_targets(), channel_mask)  # (batch, targets, channels)
        return self.locate(weights.to(values.dtype) @ values, channel_mask)

    def undo(
        self, values: torch.Tensor, channel_positions: torch.Tensor, channel_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Interpolate at the positions of the input; see [`ChannelAdapter.restore`]."""
        centred = channel_positions.double() - fit_centre(channel_positions, channel_mask)
        # (batch, channels, targets)
        weights = spline_matrix(self.centred_targets().expand(values.shape[0], -1, 3), centred)
        return weights.to(values.dtype) @ values

    def centred_targets(self) -> torch.Tensor:
        """Return the target positions (1, target_channels, 3) relative to the centre of their sphere."""
        places = self.target_positions[None]
        return places.double() - fit_centre(places)


class PlaceEmbedding(nn.Module):
    """Features of a position on the head."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.dense = nn.Linear(NUM_PLACE_FEATURES, d_model)

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        """Map (..., 3) in metres to (..., d_model)."""
        return nn.functional.gelu(self.dense(place_features(positions, parameter_dtype(self.dense))))


class LocalScores(nn.Module):
    """Attention scores of queries and keys that fall with the distance of their positions.

    Without the fall every query would start at the mean over all channels, which is exactly zero under an
    average reference.
    """

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.log_radius = nn.Parameter(torch.empty(num_heads))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Let the heads look 2 to 4 cm far: heads of different reach can form differences."""
        init.copy_(self.log_radius, torch.linspace(0.2, 0.4, self.num_heads).log())

    def match(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return scaled products (..., heads, queries, keys) of queries and keys (..., count, d_model)."""
        queries, keys = (x.unflatten(-1, (self.num_heads, -1)).transpose(-2, -3) for x in (queries, keys))
        return (queries @ keys.mT).float() * queries.shape[-1] ** -0.5

    def forward(
        self,
        queries: torch.Tensor,
        keys: torch.Tensor,
        query_places: torch.Tensor,
        key_places: torch.Tensor,
        null: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return float32 scores (batch, heads, queries, keys) of queries and keys at their positions.

        Args:
            queries: (batch or 1, queries, d_model).
            keys: (batch or 1, keys, d_model).
            query_places: (batch or 1, queries, 3), metres.
            key_places: (batch or 1, keys, 3), metres.
            null: (heads, queries), scores of a key without a place, which counts as one head radius away and
                comes last.
        """
        # (batch or 1, queries, keys, 3)
        steps = (query_places[..., None, :] - key_places[:, None]).float() / HEAD_RADIUS_METRES
        scores = self.match(queries, keys) - self.fall(steps.square().sum(dim=-1)[:, None])
        if null is None:
            return scores
        null = null[..., None] - self.fall(1.0)
        return torch.cat([scores, null.expand(scores.shape[0], -1, -1, 1)], dim=-1)

    def fall(self, squared_distance: torch.Tensor | float) -> torch.Tensor:
        """Return the fall of scores (batch, heads, queries, keys) at a squared distance in head radii."""
        return squared_distance * (-2 * self.log_radius).exp()[:, None, None] / 2


class PerceiverChannelAdapter(TargetMontageAdapter):
    """One learned query for each target channel attends to the electrodes, separately at each time.

    The cross-attention of Perceiver IO (https://arxiv.org/abs/2107.14795) with tokens that are linear in a
    sample: `sample * vector + embedding(position)`. All products over `d_model` are therefore taken once a
    window, and a time step costs a few operations for each pair of query and channel, whatever `d_model` is.

    NOTE: the output is one number for each query and time, so the value vectors and the output projection of
        the paper are merged into one gain a head. Positions enter the keys only, so zeros and padding give
        zeros. Scores fall with distance, so that training starts from an interpolation.

    Args:
        target_positions: (target_channels, 3), metres in the head frame.
        d_model: Width of queries and keys.
        num_heads: Heads of the attention; divides `d_model`.
        target_channels: Number of targets; they are spread evenly over the head where no positions are given.

    Example:
        >>> import torch
        >>> from eeg_hf.models.channel_adapters import PerceiverChannelAdapter
        >>> adapter = PerceiverChannelAdapter(0.1 * torch.randn(64, 3))
        >>> adapter(torch.randn(2, 21, 500), 0.1 * torch.randn(2, 21, 3)).values.shape
        torch.Size([2, 64, 500])
    """

    def __init__(
        self,
        target_positions: torch.Tensor | list | None = None,
        d_model: int = 64,
        num_heads: int = 4,
        target_channels: int | None = None,
    ) -> None:
        super().__init__(resolve_targets(target_positions, target_channels))
        if num_heads < 1 or d_model < 1 or d_model % num_heads:
            raise ValueError(
                f"adapter_size: expected a multiple of adapter_heads ({num_heads}, at least 1), got {d_model}"
            )
        self.place_embedding = PlaceEmbedding(d_model)
        self.queries = nn.Parameter(torch.empty(len(self.target_positions), d_model))
        self.key_of_value = nn.Parameter(torch.empty(d_model))
        self.key_of_position = nn.Linear(d_model, d_model)
        self.null_key = nn.Parameter(torch.empty(d_model))  # its value is zero
        self.scores = LocalScores(num_heads)
        self.gain = nn.Parameter(torch.empty(num_heads))
        self.restore_query = nn.Linear(d_model, d_model)
        self.restore_key = nn.Linear(d_model, d_model, bias=False)  # softmax cancels a bias
        self.restore_scores = LocalScores(num_heads)
        self.restore_gain = nn.Parameter(torch.empty(num_heads))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as a soft interpolation: learned scores are small compared to the fall with distance."""
        super().reset_parameters()
        self.scores.reset_parameters()
        self.restore_scores.reset_parameters()
        init.normal_(self.queries, std=0.02)
        init.normal_(self.key_of_value)
        init.normal_(self.null_key)
        for gain in (self.gain, self.restore_gain):
            init.constant_(gain, 1 / len(gain))

    def adapt(
        self,
        values: torch.Tensor,
        channel_positions: torch.Tensor,
        channel_mask: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> AdaptedSignal:
        """Read the target channels from the real, unmasked channels; see [`ChannelAdapter.forward`]."""
        # Part of the scores that does not depend on positions: the slope of a score with the sample of its
        # channel, and the score of the null key
        common_keys = torch.stack([self.key_of_value, self.null_key])  # (2, d_model)
        slopes, null = self.scores.match(self.queries, common_keys).unbind(dim=-1)  # each (heads, targets)
        scores = self.score_places(channel_positions, channel_mask, null)
        samples = nn.functional.pad(values.float(), (0, 0, 0, 1))  # the null key's value is zero
        is_masked = torch.zeros_like(values, dtype=torch.bool) if mask is None else mask.bool()
        is_masked = nn.functional.pad(is_masked, (0, 0, 0, 1), value=False)
        # In blocks that are recomputed for the gradient: (batch, heads, targets, channels, time) would take
        # 8 GiB for 64 windows of 5 s of 128 channels. Blocks of 16 MiB fit the CPU's cache, which is twice as
        # fast; a GPU needs few and large ones.
        block = max(1, (1 << 26 if values.is_cuda else 1 << 22) // scores.numel())
        attend = partial(checkpoint, self.attend, use_reentrant=False, preserve_rng_state=False)
        blocks = zip(samples.split(block, dim=-1), is_masked.split(block, dim=-1), strict=True)
        adapted = torch.cat([attend(scores, slopes, *each) for each in blocks], dim=-1)
        if self.training:  # `undo` has its own parameters, and is not called where nothing is reconstructed
            idle = (self.restore_query, self.restore_key, self.restore_scores)
            parameters = [parameter for module in idle for parameter in module.parameters()]
            adapted = adapted + idle_zero([*parameters, self.restore_gain])
        return self.locate(adapted.to(values.dtype), channel_mask)

    def score_places(
        self, channel_positions: torch.Tensor, channel_mask: torch.Tensor | None, null: torch.Tensor
    ) -> torch.Tensor:
        """Return the scores of positions (batch, heads, targets, channels + 1), the null key last.

        The null key counts as an electrode 10 cm away; without any channel, attention falls back on it.
        """
        keys = self.key_of_position(self.place_embedding(channel_positions))  # (batch, channels, d_model)
        scores = self.scores(self.queries, keys, self.target_positions, channel_positions, null)
        if channel_mask is None:
            return scores
        is_missing = nn.functional.pad(~channel_mask.bool(), (0, 1), value=False)
        return scores.masked_fill(is_missing[:, None, None], float("-inf"))

    def attend(
        self, scores: torch.Tensor, slopes: torch.Tensor, samples: torch.Tensor, is_masked: torch.Tensor
    ) -> torch.Tensor:
        """Attend at each time of samples (batch, channels + 1, time) and return (batch, targets, time)."""
        samples = samples[:, None]  # (batch, 1, channels + 1, time)
        # Score of each time: (batch, heads, targets, channels + 1, time)
        by_time = torch.addcmul(scores[..., None], slopes[..., None, None], samples[:, :, None])
        by_time = by_time.masked_fill_(is_masked[:, None, None], float("-inf"))
        weights = by_time.softmax(dim=3)  # (batch, heads, targets, channels + 1, time)
        by_head = (weights * samples[:, :, None]).sum(dim=3)  # (batch, heads, targets, time)
        return (self.gain[:, None, None] * by_head).sum(dim=1)

    def undo(
        self, values: torch.Tensor, channel_positions: torch.Tensor, channel_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Mix the target channels with signed weights of positions; see [`ChannelAdapter.restore`]."""
        queries = self.restore_query(self.place_embedding(channel_positions))  # (batch, channels, d_model)
        keys = self.restore_key(self.place_embedding(self.target_positions))[None]
        scores = self.restore_scores(queries, keys, channel_positions, self.target_positions[None])
        # Gains of either sign a head: (batch, channels, targets)
        weights = (self.restore_gain[:, None, None] * scores.softmax(dim=-1)).sum(dim=1)
        return (weights.to(values.dtype) @ values).to(values.dtype)


def build_channel_adapter(config: EEGFoundationConfig) -> ChannelAdapter | None:
    """Build the adapter of a config; None for `"none"`."""
    places = list(config.adapter_channel_positions or config.channel_positions or ())
    if config.channel_adapter == "perceiver":
        return PerceiverChannelAdapter(places, config.adapter_size, config.adapter_heads)
    if config.channel_adapter == "spline":
        return SplineChannelAdapter(places)
    return ZeroPadChannelAdapter(len(places)) if config.channel_adapter == "zero_pad" else None


__all__ = [
    "AdaptedSignal",
    "ChannelAdapter",
    "PerceiverChannelAdapter",
    "SplineChannelAdapter",
    "ZeroPadChannelAdapter",
    "build_channel_adapter",
]
