# SPDX-License-Identifier: Apache-2.0
"""Classical methods as models of transformers: a fixed description of a window and one linear layer.

What scikit-learn fits (a scaler, a logistic or ridge regression, rotations) is affine in the description, so
a fitted pipeline becomes the weights of one linear layer. The tangent space of the log-Euclidean mean is
affine in the logarithms too. Descriptions are computed in float64, as scipy does.
"""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput

from .configuration_eeg_classical import EEGClassicalConfig
from .losses import task_loss
from .second_order import SMALLEST_POWER, cross_spectra
from .spd_logarithm import shrink, vectorize
from .token_grid import refuse_empty
from .zero_phase_filters import filter_twice

_MIN_POWER = 1e-10
_SAME_PLACE_METRES = 0.005
_SAMPLES_AT_ONCE = 2**22


class EEGClassicalPreTrainedModel(PreTrainedModel):
    """Base of the classical methods."""

    config: EEGClassicalConfig
    config_class = EEGClassicalConfig
    base_model_prefix = "model"
    main_input_name = "input_values"
    input_modalities: str | list[str] = "time"
    accepts_loss_kwargs = False  # losses are means: Trainer must divide them when it accumulates gradients

    def _init_weights(self, module: nn.Module) -> None:
        """Say nothing and recentre by nothing, until a fit says what."""
        if isinstance(module, nn.Linear):
            init.zeros_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, EEGClassicalModel):
            module.reset_parameters()

    def get_embeddings(self, input_values: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        """Return the description (batch, features) of windows."""
        return self.base_model(input_values, **inputs).pooler_output


class EEGClassicalModel(EEGClassicalPreTrainedModel):
    """What a classical method reads of a window.

    Example:
        >>> import torch
        >>> from eeg_hf import EEGClassicalConfig, EEGClassicalModel
        >>> model = EEGClassicalModel(EEGClassicalConfig(kind="power", num_channels=4, num_samples=400))
        >>> model(torch.randn(2, 4, 400)).pooler_output.shape
        torch.Size([2, 20])
    """

    whitening: torch.Tensor
    prototypes: torch.Tensor
    spatial_filters: torch.Tensor
    anchor: torch.Tensor

    def __init__(self, config: EEGClassicalConfig) -> None:
        super().__init__(config)
        size, bands = config.num_channels, len(config.bands_hz)
        self.register_buffer("anchor", torch.empty(0), persistent=False)
        if config.kind == "cross_spectra":
            self.register_buffer("whitening", torch.empty(bands, size, size))
        if config.kind == "evoked":
            length = -(-config.num_samples // config.step)
            self.register_buffer("prototypes", torch.empty(config.num_prototypes, length))
            self.register_buffer("spatial_filters", torch.empty(config.num_components, size))
        self.post_init()

    @property
    def device(self) -> torch.device:
        """Where the model lies; transformers asks parameters, of which it has none."""
        return self.anchor.device

    def reset_parameters(self) -> None:
        """Recentre by nothing and compare with nothing."""
        for name, value in self.named_buffers():
            if name == "whitening":
                init.copy_(value, torch.eye(value.shape[-1]).expand_as(value))
            else:
                init.zeros_(value)

    def forward(
        self, input_values: torch.Tensor, channel_positions: torch.Tensor | None = None, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """Describe windows.

        Args:
            input_values: (batch, channels, time) in uV, not normalised.
            channel_positions: (batch, channels, 3) in metres, compared with those of the config.
            **kwargs: What else a batch has; masks mean nothing to these methods.

        Returns:
            `pooler_output`, the description (batch, features), and `last_hidden_state`, the same.

        Raises:
            ValueError: If windows have another shape, or electrodes other places.
        """
        self.check_windows(input_values, channel_positions)
        describe = getattr(self, f"_{self.config.kind}")
        size = max(_SAMPLES_AT_ONCE // input_values[0].numel() // max(len(self.config.filters), 1), 1)
        with torch.autocast(input_values.device.type, enabled=False):
            features = torch.cat([describe(part) for part in input_values.split(size)])
        return BaseModelOutputWithPooling(last_hidden_state=features, pooler_output=features)

    def check_windows(self, input_values: torch.Tensor, channel_positions: torch.Tensor | None) -> None:
        """Refuse windows of another shape, or of electrodes at other places."""
        config = self.config
        refuse_empty(input_values)
        if input_values.shape[1:] != (config.num_channels, config.num_samples):
            raise ValueError(
                f"input_values: {config.method or config.kind} was fitted to ({config.num_channels} "
                f"channels, {config.num_samples} samples), got {tuple(input_values.shape[1:])}: set channels "
                "and window_seconds of the feature extractor"
            )
        if channel_positions is None or config.channel_positions is None:
            return
        expected = torch.as_tensor(config.channel_positions).to(channel_positions)
        off = (channel_positions - expected).norm(dim=-1).amax()
        if off > _SAME_PLACE_METRES:
            names = ", ".join(config.channel_names or ()) or "those of the config"
            raise ValueError(
                f"channel_positions: an electrode is {100 * off:.1f} cm from where "
                f"{config.method or config.kind} was fitted: expected {names}, in this order"
            )

    def _power(self, values: torch.Tensor) -> torch.Tensor:
        """Return log power (batch, channels * bands), by Welch's method on segments of a second."""
        rate = self.config.sampling_rate
        segment = min(round(rate), values.shape[-1])
        segments = values.double().unfold(-1, segment, segment - segment // 2)
        segments = segments - segments.mean(dim=-1, keepdim=True)
        window = torch.hann_window(segment, dtype=torch.float64, device=values.device)
        spectrum = torch.fft.rfft(segments * window).abs().square().mean(dim=-2)
        spectrum = spectrum / (rate * window.square().sum())
        last = spectrum.shape[-1] - (segment % 2 == 0)
        spectrum[..., 1:last] *= 2  # one-sided
        frequencies = torch.arange(spectrum.shape[-1], device=values.device) * rate / segment
        bands = [(frequencies >= low) & (frequencies < high) for low, high in self.config.bands_hz]
        power = torch.stack([spectrum[..., band].mean(dim=-1) for band in bands], dim=-1)
        return power.clamp(min=_MIN_POWER).log().flatten(1)

    def _covariance(self, values: torch.Tensor) -> torch.Tensor:
        """Return the logarithms of the covariances of each band, (batch, features)."""
        sections = torch.tensor(self.config.filters, dtype=torch.float64, device=values.device)
        bands = filter_twice(values, sections).transpose(1, 2)  # (batch, bands, channels, time)
        floor = _MIN_POWER * torch.eye(values.shape[1], dtype=torch.float64, device=values.device)
        return vectorize(logarithm(shrunk_covariance(bands) + floor)).flatten(1)

    def _cross_spectra(self, values: torch.Tensor) -> torch.Tensor:
        """Return the logarithms of recentred cross-spectra of each band, (batch, features)."""
        config = self.config
        spectra, _ = cross_spectra(
            values.float(), config.bands_hz, config.sampling_rate, round(config.sampling_rate)
        )
        floor = SMALLEST_POWER * torch.eye(values.shape[1], dtype=torch.float64, device=values.device)
        before, after = config.shrinkages
        whitening = self.whitening.double()
        centred = whitening @ (shrink(spectra[:, 0].double(), before) + floor) @ whitening
        return vectorize(logarithm(shrink(centred, after) + floor)).flatten(1)

    def _evoked(self, values: torch.Tensor) -> torch.Tensor:
        """Return the logarithm of the covariance of a window with mean responses, (batch, features)."""
        sections = torch.tensor(self.config.filters, dtype=torch.float64, device=values.device)
        slow = self.spatial_filters.double() @ filter_twice(values, sections)[:, :, 0, :: self.config.step]
        prototypes = self.prototypes.double().expand(len(slow), -1, -1)
        return vectorize(logarithm(shrunk_covariance(torch.cat([prototypes, slow], dim=1))))


class EEGClassicalForSequenceClassification(EEGClassicalPreTrainedModel):
    """A classical method that classifies windows, or predicts one number (`num_labels=1`)."""

    def __init__(self, config: EEGClassicalConfig) -> None:
        super().__init__(config)
        self.model = EEGClassicalModel(config)
        self.classifier = nn.Linear(config.num_features, int(config.num_labels or 0))
        self.post_init()

    def resize(self, num_prototypes: int, num_components: int) -> None:
        """Make room for the mean responses and spatial filters that a fit found; nothing is learned then.

        Args:
            num_prototypes: Rows of the mean responses.
            num_components: Spatial filters.
        """
        config = self.config
        config.num_prototypes, config.num_components = num_prototypes, num_components
        length = self.model.prototypes.shape[-1]
        self.model.register_buffer("prototypes", torch.zeros(num_prototypes, length))
        self.model.register_buffer("spatial_filters", torch.zeros(num_components, config.num_channels))
        self.classifier = nn.Linear(config.num_features, int(config.num_labels or 0))

    def forward(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Classify windows.

        Args:
            input_values: (batch, channels, time) in uV, not normalised.
            channel_positions: As in [`EEGClassicalModel`].
            labels: (batch,) class indices or values, or (batch, num_labels) class shares. -100 and NaN mean
                missing.
            **kwargs: As in [`EEGClassicalModel`].
        """
        features = self.model(input_values, channel_positions).pooler_output
        linear = self.classifier
        # In float64: the terms of a strongly correlated description nearly cancel
        logits = nn.functional.linear(features, linear.weight.double(), linear.bias.double())
        logits = logits.to(linear.weight.dtype)
        loss = None if labels is None else task_loss(logits, labels, logits.shape[-1])
        return SequenceClassifierOutput(loss=loss, logits=logits)


def shrunk_covariance(values: torch.Tensor) -> torch.Tensor:
    """Return covariances of (..., channels, time), shrunk towards a sphere by OAS."""
    number = values.shape[-1]
    centred = values - values.mean(dim=-1, keepdim=True)
    return shrink_by_oas(centred @ centred.mT / number, number)


def shrink_by_oas(covariance: torch.Tensor, number: int) -> torch.Tensor:
    """Shrink covariances (..., channels, channels) of a number of samples towards a sphere.

    Chen et al. 2010, https://arxiv.org/abs/0907.4698, as scikit-learn writes it.
    """
    size = covariance.shape[-1]
    alpha = covariance.square().mean(dim=(-1, -2))
    mean = covariance.diagonal(dim1=-2, dim2=-1).mean(dim=-1)
    spread = (number + 1) * (alpha - mean.square() / size)
    share = torch.where(spread == 0, 1.0, (alpha + mean.square()) / spread).clamp(max=1.0)[..., None, None]
    sphere = torch.eye(size, dtype=covariance.dtype, device=covariance.device) * mean[..., None, None]
    return (1 - share) * covariance + share * sphere


def logarithm(matrices: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of symmetric positive definite matrices (..., n, n)."""
    values, vectors = torch.linalg.eigh(matrices)
    return (vectors * values.log()[..., None, :]) @ vectors.mT


__all__ = [
    "EEGClassicalForSequenceClassification",
    "EEGClassicalModel",
    "EEGClassicalPreTrainedModel",
    "logarithm",
    "shrink_by_oas",
    "shrunk_covariance",
]
