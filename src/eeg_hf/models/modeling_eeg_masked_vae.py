# SPDX-License-Identifier: Apache-2.0
"""EEGMaskedVAE: a masked variational autoencoder with a vision transformer over patches of EEG.

The signal of each channel is cut into patches without overlap. One linear layer embeds a patch; positions in
time (sines and cosines, https://arxiv.org/abs/1706.03762) and on the head are added. Stretches of single
channels are masked. The encoder maps every token, masked ones too, to a normal distribution over latents; the
decoder maps latents drawn from it to patches (https://arxiv.org/abs/1312.6114). The loss is the error over
masked samples plus the KL divergence from the standard normal distribution.

NOTE: a masked autoencoder (https://arxiv.org/abs/2111.06377) leaves masked patches out of its encoder. Here
    each has a token, because attention along time and then across channels needs the whole grid, and because
    masked patches need latents.

NOTE: two choices speed up learning, each measured after one minute of training on EEGMAT with half of the
    signal masked, whose variance is 1.03. Without norms before the latents and after the decoder, and with
    nearly no initial noise, a linear map from patches to latents and back is learned at once: the error was
    0.73, with norms and initial variances of 1 it was 0.97. And the encoder starts from a prediction of
    masked patches ([`SpatialGuess`]): the error was 0.45, without it 0.54.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.modeling_outputs import ModelOutput
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .attention import refuse_unknown_options
from .configuration_eeg_masked_vae import EEGMaskedVAEConfig
from .electrode_embedding import ChannelPositionEmbedding
from .factorized_attention import ChannelAttention, FactorizedLayer, TemporalAttention
from .idle_parameters import idle_zero
from .losses import masked_reconstruction_loss
from .masking import zero_masked
from .parameter_dtype import parameter_dtype
from .patching import count_patches, patchify, unpatchify
from .pretrained_model import EEGPreTrainedModel
from .spatial_guess import FIRST_NOISE, SpatialGuess
from .temporal_encoder import UnitLinear
from .token_grid import (
    create_attention_masks,
    find_real_samples,
    find_real_tokens,
    mean_over_real,
    resolve_mask,
    resolve_positions,
)

LONGEST_PERIOD = 10_000.0  # of the sines, in patches, divided by 2 pi
FIRST_LOG_VARIANCE = -6.0  # a standard deviation of 0.05: nearly no noise until the divergence demands some
LOG_VARIANCE_LIMIT = 20.0  # exp of half of it is finite in every dtype; no posterior gets there


def kl_divergence_loss(
    mean: torch.Tensor, log_variance: torch.Tensor, is_real: torch.Tensor, free_bits: float = 0.0
) -> torch.Tensor:
    """Return the KL divergence of normal distributions from the standard one, in nats a token.

    It is averaged over the real tokens of a window, summed over the dimensions and averaged over windows.

    Args:
        mean: (batch, channels, num_patches, latent_size).
        log_variance: Same shape.
        is_real: (batch, channels, num_patches), True = real.
        free_bits: Bits that a dimension may carry, on average over a window, before it counts: below, each
            dimension costs this much and has no gradient (Kingma et al. 2016,
            https://arxiv.org/abs/1606.04934, appendix C.8; there averaged over a batch).
    """
    mean, log_variance = mean.float(), log_variance.float()
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
    divergence = divergence.masked_fill(~is_real[..., None], 0.0).sum(dim=(1, 2))  # (batch, latent_size)
    divergence = divergence / is_real.flatten(1).sum(dim=-1, keepdim=True).clamp(min=1)
    return divergence.clamp(min=free_bits * math.log(2)).sum(dim=-1).mean()


class PlaceEmbedding(nn.Module):
    """Position embedding of a token: the coordinates of its electrode plus its position in time."""

    def __init__(self, config: EEGMaskedVAEConfig) -> None:
        super().__init__()
        self.channel_positions = ChannelPositionEmbedding(config)

    def forward(self, channel_positions: torch.Tensor, num_patches: int) -> torch.Tensor:
        """Map positions (batch, channels, 3) in metres to (batch, channels, num_patches, hidden_size)."""
        places = self.channel_positions(channel_positions)[:, :, None]  # (batch, channels, 1, hidden_size)
        # Sines and cosines, half of the width each: phase (num_patches, hidden_size / 2)
        half = torch.arange(places.shape[-1] // 2, device=places.device)
        frequency = LONGEST_PERIOD ** (-half / half.shape[0])
        phase = torch.arange(num_patches, device=places.device)[:, None] * frequency
        return places + torch.cat([phase.sin(), phase.cos()], dim=-1).to(places.dtype)


class EEGMaskedVAEEmbeddings(nn.Module):
    """Embed patches and their positions in time and on the head."""

    def __init__(self, config: EEGMaskedVAEConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.projection = UnitLinear(config.patch_size, config.hidden_size)
        self.places = PlaceEmbedding(config)
        self.mask_token = nn.Parameter(torch.empty(config.hidden_size))
        self.spatial_guess = SpatialGuess() if config.use_spatial_guess else None

    def forward(
        self,
        values: torch.Tensor,
        channel_positions: torch.Tensor,
        channel_mask: torch.Tensor | None,
        mask: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return (batch, channels, num_patches, hidden_size); masked samples in `values` are 0."""
        cut = (self.patch_size, self.patch_size)
        # (batch, channels, num_patches, patch_size)
        patches = patchify(values, *cut).to(parameter_dtype(self.projection))
        places = self.places(
            channel_positions, patches.shape[2]
        )  # (batch, channels, num_patches, hidden_size)
        if mask is None:
            tokens = self.projection(patches) + places
            return tokens + idle_zero([self.mask_token]) if self.training else tokens
        is_masked = patchify(mask.to(values.dtype), *cut) > 0  # (batch, channels, num_patches, patch_size)
        has_masked = is_masked.any(dim=-1)
        if self.spatial_guess is not None:
            is_known = ~has_masked
            if channel_mask is not None:
                is_known = is_known & channel_mask.bool()[:, :, None]
            # Only fully visible patches of real channels are used; masked samples take the prediction
            guess = self.spatial_guess(patches, is_known, channel_positions)
            patches = torch.where(is_masked, guess, patches)
        return self.projection(patches) + has_masked[..., None] * self.mask_token + places


class LogVarianceLinear(nn.Linear):
    """A linear layer whose initial output is a small variance, for any input."""


class EEGMaskedVAEDecoder(nn.Module):
    """Map latents and their positions to patches."""

    def __init__(self, config: EEGMaskedVAEConfig) -> None:
        super().__init__()
        self.projection = UnitLinear(config.latent_size, config.hidden_size)
        self.places = PlaceEmbedding(config)
        self.layers = nn.ModuleList(FactorizedLayer(config) for _ in range(config.num_decoder_layers))
        self.patch_head = nn.Linear(config.hidden_size, config.patch_size)

    def forward(
        self, latents: torch.Tensor, channel_positions: torch.Tensor, *masks: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Map (batch, channels, num_patches, latent_size) to (batch, channels, num_patches, patch_size)."""
        hidden_states = self.projection(latents) + self.places(channel_positions, latents.shape[2])
        for layer in self.layers:
            hidden_states = layer(hidden_states, *masks, **kwargs)
        return self.patch_head(hidden_states)


@dataclass
class EEGMaskedVAEOutput(ModelOutput):
    """Output of the encoder.

    Attributes:
        last_hidden_state: (batch, channels, num_patches, hidden_size).
        pooler_output: (batch, hidden_size), the mean over real channels and patches.
        latent_mean: (batch, channels, num_patches, latent_size), of the distribution of each latent.
        latent_log_variance: Same shape, the logarithm of its variance.
        hidden_states: One tensor shaped like `last_hidden_state` a layer and the embeddings, on request.
        attentions: (batch, channels, heads, num_patches, num_patches) a layer, on request and with `eager`.
        channel_attentions: (batch, num_patches, heads, channels, channels) a layer, likewise
            (`output_channel_attentions=True`).
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    latent_mean: torch.Tensor | None = None
    latent_log_variance: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    channel_attentions: tuple[torch.Tensor, ...] | None = None


@dataclass
class EEGMaskedVAEForPreTrainingOutput(ModelOutput):
    """Output of the autoencoder.

    Attributes:
        loss: `reconstruction_loss` plus weighted `visible_loss` and `kl_loss`.
        reconstruction: (batch, channels, time), in the unit of the input; from drawn latents in training,
            from their means otherwise.
        latent_mean: As in [`EEGMaskedVAEOutput`].
        latent_log_variance: Likewise.
        reconstruction_loss: Mean squared error over masked samples.
        visible_loss: Mean squared error over the other samples; None unless `visible_weight` is above 0.
        kl_loss: KL divergence from the standard normal distribution, in nats a sample.
        mask: (batch, channels, time) bool, True = removed.
        hidden_states: As in [`EEGMaskedVAEOutput`], of the encoder.
        attentions: Likewise.
        channel_attentions: Likewise.
    """

    loss: torch.Tensor | None = None
    reconstruction: torch.Tensor | None = None
    latent_mean: torch.Tensor | None = None
    latent_log_variance: torch.Tensor | None = None
    reconstruction_loss: torch.Tensor | None = None
    visible_loss: torch.Tensor | None = None
    kl_loss: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    channel_attentions: tuple[torch.Tensor, ...] | None = None


class EEGMaskedVAEPreTrainedModel(EEGPreTrainedModel):
    """Base class with the weight initialisation."""

    config: EEGMaskedVAEConfig
    _no_split_modules = ["EEGMaskedVAEEmbeddings", "FactorizedLayer"]
    _can_record_outputs = {
        "hidden_states": FactorizedLayer,
        "attentions": TemporalAttention,
        "channel_attentions": ChannelAttention,
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, UnitLinear):
            init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, LogVarianceLinear):
            init.zeros_(module.weight)
            init.constant_(module.bias, FIRST_LOG_VARIANCE)
        elif isinstance(module, SpatialGuess):
            init.constant_(module.noise, FIRST_NOISE)
        elif isinstance(module, EEGMaskedVAEEmbeddings):
            init.normal_(module.mask_token, std=self.config.initializer_range)
        elif isinstance(module, EEGMaskedVAEForPreTraining):
            init.zeros_(module.num_steps)


class EEGMaskedVAEModel(EEGMaskedVAEPreTrainedModel):
    """The encoder: maps any montage and any length up to `max_seq_length` to distributions over latents.

    Example:
        >>> import torch
        >>> from eeg_hf import EEGMaskedVAEConfig, EEGMaskedVAEModel
        >>> config = EEGMaskedVAEConfig(d_model=64, n_layers=2, n_heads=4, d_ff=256)
        >>> EEGMaskedVAEModel(config)(torch.randn(2, 19, 1000)).latent_mean.shape
        torch.Size([2, 19, 10, 64])
    """

    def __init__(self, config: EEGMaskedVAEConfig) -> None:
        super().__init__(config)
        self.embeddings = EEGMaskedVAEEmbeddings(config)
        self.layers = nn.ModuleList(FactorizedLayer(config) for _ in range(config.num_hidden_layers))
        self.mean_head = UnitLinear(config.hidden_size, config.latent_size)
        self.log_variance_head = LogVarianceLinear(config.hidden_size, config.latent_size)
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def forward(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> EEGMaskedVAEOutput:
        """Encode windows.

        Args:
            input_values: (batch, channels, time), normalised.
            channel_positions: (batch, channels, 3) or (channels, 3), metres; those of the config by default.
            channel_mask: (batch, channels) bool, True = real.
            attention_mask: (batch, time) bool, True = real.
            mask: (batch, channels, time) bool, True = removed from the input.
            **kwargs: `output_hidden_states`, `output_attentions`, `output_channel_attentions`, `return_dict`.

        Raises:
            ValueError: On shapes that do not fit each other or the config.
            TypeError: On an argument that only pretraining takes, such as `mask_ratio`.
        """
        refuse_unknown_options(type(self).__name__, kwargs)
        channel_positions = resolve_positions(self.config, input_values, channel_positions)
        values = zero_masked(input_values, channel_mask, attention_mask, mask)  # (batch, channels, time)
        cut = (self.config.patch_size, self.config.patch_size)
        # Tokens (batch, channels, num_patches, hidden_size), through factorized attention
        is_real = find_real_tokens(values, channel_mask, attention_mask, *cut)
        hidden_states = self.embeddings(values, channel_positions, channel_mask, mask)
        masks = create_attention_masks(self.config, hidden_states, is_real, channel_mask, attention_mask)
        for layer in self.layers:
            hidden_states = layer(hidden_states, *masks, **kwargs)
        log_variance = self.log_variance_head(hidden_states)  # (batch, channels, num_patches, latent_size)
        return EEGMaskedVAEOutput(
            last_hidden_state=hidden_states,
            pooler_output=mean_over_real(hidden_states, is_real),
            latent_mean=self.mean_head(hidden_states),
            latent_log_variance=log_variance.clamp(-LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT),
        )


class EEGMaskedVAEForPreTraining(EEGMaskedVAEPreTrainedModel):
    """The autoencoder: masks stretches, encodes, draws latents, decodes.

    Example:
        >>> import torch
        >>> from eeg_hf import EEGMaskedVAEConfig, EEGMaskedVAEForPreTraining
        >>> config = EEGMaskedVAEConfig(d_model=64, n_layers=2, n_heads=4, d_ff=256)
        >>> model = EEGMaskedVAEForPreTraining(config).eval()
        >>> model(torch.randn(2, 19, 1000), mask_ratio=0.75).reconstruction.shape
        torch.Size([2, 19, 1000])
        >>> model.sample(3, config.channel_positions, 400, torch.Generator().manual_seed(0)).shape
        torch.Size([3, 19, 400])
    """

    num_steps: torch.Tensor

    def __init__(self, config: EEGMaskedVAEConfig) -> None:
        super().__init__(config)
        self.model = EEGMaskedVAEModel(config)
        self.decoder = EEGMaskedVAEDecoder(config)
        # Saved with the weights, so that a resumed run continues the warm-up of the divergence
        self.register_buffer("num_steps", torch.zeros((), dtype=torch.int64))
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        mask_ratio: float | None = None,
        mask_noise: torch.Tensor | None = None,
        latent_noise: torch.Tensor | None = None,
        return_loss: bool = True,
        **kwargs: Any,
    ) -> EEGMaskedVAEForPreTrainingOutput:
        """Mask stretches and reconstruct the signal.

        Args:
            input_values: (batch, channels, time), normalised.
            channel_positions: As in [`EEGMaskedVAEModel`].
            channel_mask: As in [`EEGMaskedVAEModel`].
            attention_mask: As in [`EEGMaskedVAEModel`].
            mask: (batch, channels, time) bool, True = removed; drawn at random by default.
            mask_ratio: Share of the stretches to mask in this call instead of the config's.
            mask_noise: (batch, channels, num_stretches) in [0, 1), decides the random mask.
            latent_noise: (batch, channels, num_patches, latent_size), standard normal, decides the latents;
                by default it is drawn in training, and otherwise the latents are their means.
            return_loss: Compute the losses; Trainer looks for this argument where a model needs no labels.
            **kwargs: As in [`EEGMaskedVAEModel`].
        """
        # What to mask, (batch, channels, time) bool
        is_real = find_real_samples(input_values, channel_mask, attention_mask)
        mask_ratio = self.config.mask_ratio if mask_ratio is None else mask_ratio
        mask = resolve_mask(is_real, self.config.stretch_size, mask, mask_ratio, mask_noise)
        channel_positions = resolve_positions(self.config, input_values, channel_positions)
        # Encode the visible samples, draw latents (batch, channels, num_patches, latent_size), decode
        encoded = self.model(input_values, channel_positions, channel_mask, attention_mask, mask, **kwargs)
        latents = self.draw_latents(encoded.latent_mean, encoded.latent_log_variance, latent_noise)
        masks = (channel_mask, attention_mask)
        reconstruction = self.decode(latents, channel_positions, input_values.shape[-1], *masks)
        losses = {}
        if return_loss:
            target = torch.where(is_real, input_values.float(), 0.0)
            losses = self.compute_losses(reconstruction, target, mask, is_real & ~mask, encoded, masks)
        return EEGMaskedVAEForPreTrainingOutput(
            **losses,
            reconstruction=reconstruction,
            latent_mean=encoded.latent_mean,
            latent_log_variance=encoded.latent_log_variance,
            mask=mask,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            channel_attentions=encoded.channel_attentions,
        )

    def draw_latents(
        self, mean: torch.Tensor, log_variance: torch.Tensor, noise: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return latents in the shape of their mean: mean + deviation * noise in training, else the mean."""
        if noise is None:
            if not self.training:
                return mean
            noise = torch.randn_like(mean)
        if noise.shape != mean.shape:
            raise ValueError(f"latent_noise: expected {tuple(mean.shape)}, got {tuple(noise.shape)}")
        return mean + (0.5 * log_variance).exp() * noise

    def decode(
        self,
        latents: torch.Tensor,
        channel_positions: torch.Tensor,
        num_samples: int | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Decode latents to signals (batch, channels, num_samples).

        Args:
            latents: (batch, channels, num_patches, latent_size).
            channel_positions: (batch, channels, 3) or (channels, 3), metres.
            num_samples: Length of the signals; whole patches by default.
            channel_mask: (batch, channels) bool, True = real.
            attention_mask: (batch, num_samples) bool, True = real.
        """
        size = self.config.patch_size
        num_samples = latents.shape[2] * size if num_samples is None else num_samples
        signal = latents.new_empty(*latents.shape[:2], num_samples)  # for its shape alone
        positions = resolve_positions(self.config, signal, channel_positions)
        is_real = find_real_tokens(signal, channel_mask, attention_mask, size, size)
        masks = create_attention_masks(self.config, latents, is_real, channel_mask, attention_mask)
        return unpatchify(self.decoder(latents, positions, *masks).float(), size, num_samples)

    def compute_losses(
        self,
        reconstruction: torch.Tensor,
        target: torch.Tensor,
        is_masked: torch.Tensor,
        is_visible: torch.Tensor,
        encoded: EEGMaskedVAEOutput,
        masks: tuple[torch.Tensor | None, torch.Tensor | None],
    ) -> dict[str, torch.Tensor]:
        """Return the loss and its parts; each training batch advances the warm-up of the divergence."""
        config, size = self.config, self.config.patch_size
        is_real = find_real_tokens(target, *masks, size, size)
        mean, log_variance = encoded["latent_mean"], encoded["latent_log_variance"]
        losses = {
            "reconstruction_loss": masked_reconstruction_loss(reconstruction, target, is_masked),
            "kl_loss": kl_divergence_loss(mean, log_variance, is_real, config.free_bits) / size,
        }
        loss = losses["reconstruction_loss"] + self.kl_weight() * losses["kl_loss"]
        if config.visible_weight > 0:
            losses["visible_loss"] = masked_reconstruction_loss(reconstruction, target, is_visible)
            loss = loss + config.visible_weight * losses["visible_loss"]
        if self.training:  # after kl_weight has read it
            self.num_steps += 1
        return {"loss": loss, **losses}

    def kl_weight(self) -> torch.Tensor:
        """Return the weight of the divergence, which rises linearly from 0 to `beta`."""
        share = (self.num_steps + 1) / (self.config.beta_warmup_steps + 1)
        return self.config.beta * share.clamp(max=1.0)

    def reconstruct(
        self,
        input_values: torch.Tensor,
        mask: torch.Tensor | None = None,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Reconstruct windows (batch, channels, time) from the means of their latents.

        Args:
            input_values: (batch, channels, time), normalised.
            mask: (batch, channels, time) bool, True = removed; nothing by default.
            channel_positions: As in [`EEGMaskedVAEModel`].
            channel_mask: As in [`EEGMaskedVAEModel`].
            attention_mask: As in [`EEGMaskedVAEModel`].
        """
        channel_positions = resolve_positions(self.config, input_values, channel_positions)
        encoded = self.model(input_values, channel_positions, channel_mask, attention_mask, mask)
        masks = (channel_mask, attention_mask)
        return self.decode(encoded.latent_mean, channel_positions, input_values.shape[-1], *masks)

    @torch.no_grad()
    def sample(
        self,
        num: int,
        channel_positions: torch.Tensor | list[list[float]],
        num_samples: int,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Draw signals (num, channels, num_samples), in the unit of the training signals.

        Args:
            num: Number of signals.
            channel_positions: (channels, 3), electrode positions in metres.
            num_samples: Length of the signals.
            generator: Draws the latents; the global one by default.
        """
        positions = torch.as_tensor(channel_positions, device=self.device)
        num_patches = count_patches(num_samples, self.config.patch_size, self.config.patch_size)
        shape = (num, len(positions), num_patches, self.config.latent_size)
        # A generator draws on its own device only
        drawn_on = self.device if generator is None else generator.device
        latents = torch.randn(shape, generator=generator, device=drawn_on).to(self.device, self.dtype)
        return self.decode(latents, positions, num_samples)


__all__ = ["EEGMaskedVAEForPreTraining", "EEGMaskedVAEModel", "EEGMaskedVAEPreTrainedModel"]
