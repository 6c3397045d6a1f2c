# SPDX-License-Identifier: Apache-2.0
"""EEGFoundation: a transformer over patches of many channels, for any montage and any length.

A signal (batch, channels, time) becomes tokens (batch, channels, num_patches, hidden_size). Each patch is
embedded at several time scales, as power spectrum and as waveform; electrodes enter by their coordinates,
never by their index. Every layer attends along time within a channel, then across channels within a patch.
With `second_order=True`, one token for each frequency band stands beside them: see `second_order.py`.

Pretraining sums the objectives that the config enables, one file each: see `objective_registry.py`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ModelOutput
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .attention import refuse_unknown_options
from .attention_pooling import AttentionPooling
from .channel_adapters import ChannelAdapter, LocalScores, build_channel_adapter
from .configuration_eeg_foundation import EEGFoundationConfig
from .contrast import Temperature
from .dropout import Dropout
from .electrode_embedding import ChannelPositionEmbedding
from .factorized_attention import ChannelAttention, FactorizedLayer, TemporalAttention
from .finite_scalar_quantization import FiniteScalarQuantizer
from .idle_parameters import idle_zero
from .losses import task_loss
from .masking import zero_masked
from .objective import EncodedWindows, Objective
from .objective_codes import MaskedCodes
from .objective_registry import OBJECTIVE_COLUMNS, build_objectives
from .patching import patchify
from .pretrained_model import EEGPreTrainedModel, classifier_config
from .second_order import (
    BandProjection,
    Recentring,
    SecondOrderFeatures,
    SecondOrderTokens,
    mean_over_stretches,
)
from .temporal_encoder import FourierFilterbank, MultiScaleTemporalEncoder, UnitLinear
from .time_course import TimeCourse
from .token_grid import (
    create_attention_masks,
    find_real_samples,
    find_real_tokens,
    mean_over_real,
    resolve_mask,
    resolve_positions,
)


class EEGFoundationEmbeddings(nn.Module):
    """Embed patches and their positions in time and on the head."""

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__()
        self.config = config
        self.temporal_encoder = MultiScaleTemporalEncoder(config)
        self.time_positions = nn.Embedding(config.max_patches, config.hidden_size)
        self.channel_positions = ChannelPositionEmbedding(config)
        self.mask_token = nn.Parameter(torch.empty(config.hidden_size))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.dropout)

    def forward(
        self, values: torch.Tensor, channel_positions: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Return (batch, channels, num_patches, hidden_size), the mask token for fully masked patches."""
        cut = (self.config.patch_size, self.config.hop_size)
        tokens = self.norm(self.temporal_encoder(patchify(values, *cut)))  # of each patch separately
        if mask is not None:
            is_visible = (
                patchify((~mask).to(values.dtype), *cut).amax(dim=-1) > 0
            )  # (batch, channels, patches)
            tokens = torch.where(is_visible[..., None], tokens, self.mask_token.to(tokens.dtype))
        elif self.training:
            tokens = tokens + idle_zero([self.mask_token])
        # Positions in time and on the head, also of masked patches
        places = torch.arange(tokens.shape[2], device=tokens.device)  # (num_patches,)
        tokens = tokens + self.time_positions(places)
        tokens = tokens + self.channel_positions(channel_positions)[:, :, None]
        return self.dropout(tokens)


@dataclass
class EEGFoundationOutput(ModelOutput):
    """Output of the encoder.

    Attributes:
        last_hidden_state: (batch, channels, num_patches, hidden_size); with a channel adapter, its channels.
        pooler_output: (batch, hidden_size), the mean over real channels and patches; plus, with
            `second_order`, the mean over bands and real stretches.
        band_states: (batch, stretches, bands, hidden_size), the encoded second-order tokens.
        band_features: (batch, stretches, bands, features) float32, the vectors that they are made of.
        stretch_mask: (batch, stretches) bool, True = real.
        time_course: (batch, components, num_cosines) float32, with `time_course_seconds`.
        hidden_states: One tensor shaped like `last_hidden_state` a layer and the embeddings, on request.
        attentions: (batch, channels, heads, num_patches, num_patches) a layer, on request and with `eager`.
        channel_attentions: (batch, num_patches, heads, channels, channels) a layer, likewise
            (`output_channel_attentions=True`).
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    band_states: torch.Tensor | None = None
    band_features: torch.Tensor | None = None
    stretch_mask: torch.Tensor | None = None
    time_course: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    channel_attentions: tuple[torch.Tensor, ...] | None = None

    def __getitem__(self, key: Any) -> Any:
        """Return a field, and say which model has it if this one does not."""
        if isinstance(key, str) and key not in self and key in _OUTPUT_FIELDS:
            raise KeyError(f"{key}: an encoder has no such output, call EEGFoundationForPreTraining")
        return super().__getitem__(key)


@dataclass
class EEGFoundationForPreTrainingOutput(ModelOutput):
    """Output of pretraining.

    Attributes:
        loss: Weighted sum of the losses below.
        reconstruction: (batch, channels, time), in the unit of the input.
        contrastive_features: (batch, projection_size), of unit length.
        auxiliary_logits: {task: (batch, outputs)}: numbers in their unit, or logits of classes.
        code_logits: (batch, channels, num_patches, codes_per_patch, sum of the levels): the logits of all
            dimensions of a code side by side.
        reconstruction_loss: Mean squared error over masked samples.
        code_loss: Cross entropy over masked patches; a uniform guess costs 1.
        visible_loss: Mean squared error over the other samples; None unless `visible_weight` is above 0.
        contrastive_loss: InfoNCE between windows and their augmented views, or between subjects at the same
            moment of a stimulus; None without either.
        auxiliary_loss: Weighted sum over the auxiliary tasks; None without targets.
        mask: (batch, channels, time) bool, True = removed from the input.
        hidden_states: As in [`EEGFoundationOutput`]; with augmented views, these follow along the batch.
        attentions: Likewise.
        channel_attentions: Likewise.
        others: Losses and outputs, by name, of objectives that have no field above.
    """

    loss: torch.Tensor | None = None
    reconstruction: torch.Tensor | None = None
    contrastive_features: torch.Tensor | None = None
    auxiliary_logits: dict[str, torch.Tensor] | None = None
    code_logits: torch.Tensor | None = None
    reconstruction_loss: torch.Tensor | None = None
    code_loss: torch.Tensor | None = None
    visible_loss: torch.Tensor | None = None
    contrastive_loss: torch.Tensor | None = None
    auxiliary_loss: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    channel_attentions: tuple[torch.Tensor, ...] | None = None
    others: dict[str, torch.Tensor] | None = None


# Inputs of the encoder that hold the calibration of each window's subject
RECENTRING_INPUTS = ("recentring_whitening", "recentring_log_power")

_OUTPUT_FIELDS = tuple(field.name for field in fields(EEGFoundationForPreTrainingOutput))


@dataclass
class EEGFoundationClassifierOutput(ModelOutput):
    """Output of a classifier.

    Attributes:
        loss: Mean over windows with a label, and over tasks.
        logits: (batch, num_labels), or {task: (batch, outputs of the task)}.
        hidden_states: As in [`EEGFoundationOutput`].
        attentions: Likewise.
        channel_attentions: Likewise.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | dict[str, torch.Tensor] | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    channel_attentions: tuple[torch.Tensor, ...] | None = None


class EEGFoundationPreTrainedModel(EEGPreTrainedModel):
    """Base class with the weight initialisation."""

    config: EEGFoundationConfig
    _no_split_modules = [
        "EEGFoundationEmbeddings",
        "FactorizedLayer",
        "PerceiverChannelAdapter",
        "BandProjection",
    ]
    _can_record_outputs = {
        "hidden_states": FactorizedLayer,
        "attentions": TemporalAttention,
        "channel_attentions": ChannelAttention,
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # linear layers, norms and embeddings
        if isinstance(module, FourierFilterbank):
            init.copy_(module.weight, module.fourier_basis())
        elif isinstance(module, UnitLinear):
            init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, Temperature) and module.is_learnable:
            init.constant_(module.log_temperature, math.log(module.start))
        elif isinstance(
            module,
            (
                ChannelAdapter,
                LocalScores,
                SecondOrderFeatures,
                TimeCourse,
                BandProjection,
                LinearClassifier,
                AttentionPooling,
            ),
        ):
            module.reset_parameters()
        elif isinstance(module, FiniteScalarQuantizer):
            module.reset_buffers()
        elif isinstance(module, EEGFoundationEmbeddings):
            init.normal_(module.mask_token, std=self.config.initializer_range)

    def add_classification_head(
        self, num_labels: int, **config_updates: Any
    ) -> "EEGFoundationForSequenceClassification":
        """Return a classifier with a new head on this encoder; both share the encoder's weights.

        Args:
            num_labels: Number of classes; 1 means regression.
            **config_updates: Other fields of the config to change, such as `classifier_dropout` or
                `id2label`.
        """
        config = classifier_config(self.config, num_labels, {"tasks": None, **config_updates})
        classifier = EEGFoundationForSequenceClassification(config)
        classifier.model = self.base_model
        return classifier


class EEGFoundationModel(EEGFoundationPreTrainedModel):
    """The encoder: takes any montage and any length up to `max_seq_length`.

    Example:
        >>> import torch
        >>> from eeg_hf import EEGFoundationConfig, EEGFoundationModel
        >>> config = EEGFoundationConfig(d_model=128, n_layers=3, n_heads=4, d_ff=512)
        >>> EEGFoundationModel(config)(torch.randn(2, 19, 1000)).pooler_output.shape
        torch.Size([2, 128])
    """

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__(config)
        adapter = build_channel_adapter(config)
        if adapter is not None:
            self.channel_adapter = adapter
        self.embeddings = EEGFoundationEmbeddings(config)
        self.layers = nn.ModuleList(FactorizedLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        if config.second_order:
            self.second_order = SecondOrderTokens(config)
        if config.time_course_seconds is not None:
            self.time_course = TimeCourse(config)
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
        recentring_whitening: torch.Tensor | None = None,
        recentring_log_power: torch.Tensor | None = None,
        band_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> EEGFoundationOutput:
        """Encode windows.

        Args:
            input_values: (batch, channels, time), normalised.
            channel_positions: (batch, channels, 3) or (channels, 3), metres; those of the config by default.
            channel_mask: (batch, channels) bool, True = real.
            attention_mask: (batch, time) bool, True = real.
            mask: (batch, channels, time) bool, True = removed from the input.
            recentring_whitening: (batch, bands, components, components), the calibration of each window's
                subject for the second-order tokens; that of the training population by default.
            recentring_log_power: (batch, bands, components), likewise.
            band_mask: (batch, bands) bool, True = this second-order token is removed.
            **kwargs: `output_hidden_states`, `output_attentions`, `output_channel_attentions`, `return_dict`.

        Raises:
            ValueError: On shapes that do not fit each other or the config.
            TypeError: On an argument that only pretraining takes, such as `mask_ratio`.
        """
        refuse_unknown_options(type(self).__name__, kwargs)
        values, channel_positions, channel_mask, mask = self.prepare_signal(
            input_values, channel_positions, channel_mask, attention_mask, mask
        )
        cut = (self.config.patch_size, self.config.hop_size)
        is_real = find_real_tokens(values, channel_mask, attention_mask, *cut)  # (batch, channels, patches)
        hidden_states = self.embeddings(values, channel_positions, mask)  # (batch, channels, patches, size)
        masks = create_attention_masks(self.config, hidden_states, is_real, channel_mask, attention_mask)
        for layer in self.layers:
            hidden_states = layer(hidden_states, *masks, **kwargs)
        hidden_states = self.norm(hidden_states)
        pooled = mean_over_real(hidden_states, is_real)  # (batch, hidden_size)
        if not self.config.second_order:
            return EEGFoundationOutput(last_hidden_state=hidden_states, pooler_output=pooled)
        recentring = _pair(recentring_whitening, recentring_log_power)
        signal = (values, channel_positions, channel_mask, attention_mask)
        features, is_stretch = self.second_order.features(*signal, recentring)
        if band_mask is not None:
            band_mask = band_mask[:, None].expand(features.shape[:3])
        bands = self.second_order(features, is_stretch, band_mask)
        return EEGFoundationOutput(
            last_hidden_state=hidden_states,
            pooler_output=pooled + mean_over_stretches(bands.mean(dim=2), is_stretch),
            band_states=bands,
            band_features=features,
            stretch_mask=is_stretch,
            time_course=self.time_course(*signal[:3]) if self.config.num_cosines else None,
        )

    def prepare_signal(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Return values, positions, channel mask and mask of the encoder's channels, zeros where not real."""
        channel_positions = resolve_positions(self.config, input_values, channel_positions)
        values = zero_masked(input_values, channel_mask, attention_mask, mask)  # (batch, channels, time)
        if self.config.channel_adapter == "none":
            return values, channel_positions, channel_mask, mask
        adapted = self.channel_adapter(values, channel_positions, channel_mask, mask)
        return adapted.values, adapted.channel_positions, adapted.channel_mask, adapted.mask

    @torch.no_grad()
    def real_tokens(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return which tokens of `last_hidden_state` are real, (batch, channels, num_patches) bool.

        Args:
            input_values: As in `forward`.
            channel_positions: As in `forward`.
            channel_mask: As in `forward`.
            attention_mask: As in `forward`.
        """
        values = input_values
        if self.config.channel_adapter != "none":  # tokens are those of its channels
            values, _, channel_mask, _ = self.prepare_signal(
                input_values, channel_positions, channel_mask, attention_mask
            )
        cut = (self.config.patch_size, self.config.hop_size)
        return find_real_tokens(values, channel_mask, attention_mask, *cut)

    def second_order_features(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        recentring_whitening: torch.Tensor | None = None,
        recentring_log_power: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return `band_features` and `stretch_mask` of the output, without encoding any patch.

        Args:
            input_values: As in `forward`.
            channel_positions: As in `forward`.
            channel_mask: As in `forward`.
            attention_mask: As in `forward`.
            recentring_whitening: As in `forward`.
            recentring_log_power: As in `forward`.
        """
        values, channel_positions, channel_mask, _ = self.prepare_signal(
            input_values, channel_positions, channel_mask, attention_mask
        )
        recentring = _pair(recentring_whitening, recentring_log_power)
        signal = (values, channel_positions, channel_mask, attention_mask)
        return self.second_order.features(*signal, recentring)

    def time_course_features(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return `time_course` of the output, without encoding any patch.

        Args:
            input_values: As in `forward`.
            channel_positions: As in `forward`.
            channel_mask: As in `forward`.
            attention_mask: As in `forward`.
        """
        values, channel_positions, channel_mask, _ = self.prepare_signal(
            input_values, channel_positions, channel_mask, attention_mask
        )
        return self.time_course(values, channel_positions, channel_mask)

    @torch.no_grad()
    def second_order_statistics(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the second-order tokens of each window are recentred by, see `Calibration`.

        Args:
            input_values: As in `forward`.
            channel_positions: As in `forward`.
            channel_mask: As in `forward`.
            attention_mask: As in `forward`.

        Returns:
            Matrices (batch, bands, components, components) and log power (batch, bands, components), means
            over the stretches of each window.
        """
        values, channel_positions, channel_mask, _ = self.prepare_signal(
            input_values, channel_positions, channel_mask, attention_mask
        )
        matrices, log_power, _, is_real = self.second_order.features.compute_statistics(
            values, channel_positions, channel_mask, attention_mask
        )
        return mean_over_stretches(matrices, is_real), mean_over_stretches(log_power, is_real)


def _pair(whitening: torch.Tensor | None, log_power: torch.Tensor | None) -> Recentring | None:
    """Return the recentring, or None where none is given."""
    if (whitening is None) != (log_power is None):
        raise ValueError("recentring_whitening and recentring_log_power belong together: give both or none")
    return None if whitening is None or log_power is None else Recentring(whitening, log_power)


class EEGFoundationForPreTraining(EEGFoundationPreTrainedModel):
    """Encoder with the pretraining objectives that its config enables, see `objective_registry.py`.

    Example:
        >>> import torch
        >>> from eeg_hf import EEGFoundationConfig, EEGFoundationForPreTraining
        >>> config = EEGFoundationConfig(d_model=128, n_layers=3, n_heads=4, d_ff=512)
        >>> model = EEGFoundationForPreTraining(config)
        >>> eeg = torch.randn(2, 19, 1000)
        >>> outputs = model(eeg, augmented_values=eeg + 0.1 * torch.randn_like(eeg), mask_ratio=0.5)
        >>> outputs.reconstruction.shape, outputs.contrastive_features.shape
        (torch.Size([2, 19, 1000]), torch.Size([2, 128]))
    """

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__(config)
        # Objectives are no modules: their heads are modules of this model, under the names of checkpoints
        self.objectives: dict[str, Objective] = build_objectives(config)
        self.model = EEGFoundationModel(config)
        for objective in self.objectives.values():
            for name, build_head in objective.build_heads().items():
                if not hasattr(self, name):  # objectives may share a head
                    self.add_module(name, build_head())
        self.post_init()

    def set_codec(self, codec: PreTrainedModel) -> None:
        """Take the codes to predict from a frozen codec ([`EEGFSQModel`]); it is not saved with the model.

        Args:
            codec: Trained on signals of the same rate and normalisation as the model's input.

        Raises:
            ValueError: If the model predicts no codes, or the codec does not fit this model's config.
        """
        objective = self.objectives.get(MaskedCodes.name)
        if not isinstance(objective, MaskedCodes):
            raise ValueError(
                f"set_codec: the model has target={self.config.target!r}, expected 'codes' or 'both'"
            )
        objective.set_codec(codec)

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
        return_loss: bool = True,
        **kwargs: Any,
    ) -> EEGFoundationForPreTrainingOutput:
        """Encode partly masked windows and compute the losses of all objectives.

        Args:
            input_values: (batch, channels, time), normalised.
            channel_positions: As in [`EEGFoundationModel`].
            channel_mask: As in [`EEGFoundationModel`].
            attention_mask: As in [`EEGFoundationModel`].
            mask: (batch, channels, time) bool, True = removed from the input; drawn at random by default.
            mask_ratio: Share of the stretches to mask in this call instead of the config's.
            mask_noise: (batch, channels, num_stretches) in [0, 1), decides the random mask.
            return_loss: Compute the loss; Trainer looks for this argument where a model needs no labels.
            **kwargs: Options as in [`EEGFoundationModel`], and columns of the batch that objectives read:
                `augmented_values`, a second view of the same windows, same shape; without it two views are
                not contrasted.
                `code_indices` (batch, channels, num_patches * codes_per_patch), the codec's codes of the
                whole signal; by default those of the codec of `set_codec`. They are not called labels,
                because Trainer would then expect them in every batch and measure no loss without them.
                `auxiliary_targets`, {task: (batch,)} numbers in their unit, or class indices; NaN and -100
                mean missing.
                `stimulus_ids` (batch,), stimulus or condition of each window, -1 = none;
                `stimulus_seconds` (batch,), second of the stimulus at the start of the window; and
                `subject_ids` (batch,).
        """
        # Columns for the objectives, options for the encoder
        batch = {name: kwargs[name] for name in OBJECTIVE_COLUMNS if kwargs.get(name) is not None}
        options = {name: value for name, value in kwargs.items() if name not in OBJECTIVE_COLUMNS}
        # What to mask, and what the encoder gets
        is_real = find_real_samples(input_values, channel_mask, attention_mask)  # (batch, channels, time)
        mask = self.resolve_mask(is_real, mask, mask_ratio, mask_noise)  # (batch, channels, time)
        positions = resolve_positions(self.config, input_values, channel_positions)  # (batch, channels, 3)
        inputs: dict[str, torch.Tensor | None] = {
            "input_values": input_values,
            "channel_positions": positions,
            "channel_mask": channel_mask,
            "attention_mask": attention_mask,
            "mask": mask,
            **{name: options.pop(name) for name in RECENTRING_INPUTS if name in options},
        }
        # One pass for the windows and the rows that objectives append, such as augmented views
        for objective in self.objectives.values():
            inputs = objective.extend_inputs(inputs, batch)
        outputs = self.model(**inputs, **options)
        encoded = EncodedWindows(input_values, is_real, mask, inputs, outputs)
        loss, found = self.compute_objectives(encoded, batch)
        return EEGFoundationForPreTrainingOutput(
            loss=loss if return_loss else None,
            mask=mask,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            channel_attentions=outputs.channel_attentions,
            **found,
        )

    def compute_objectives(
        self, encoded: EncodedWindows, batch: Mapping[str, Any]
    ) -> tuple[torch.Tensor | None, dict[str, Any]]:
        """Return the weighted sum of all losses, None without any, and the fields of the model's output."""
        # Losses of all objectives in one stack: the sum does not depend on how they are grouped
        modules, losses, found = dict(self.named_children()), [], {}
        idle: set[str] = set()
        for objective in self.objectives.values():
            results = objective.compute(modules, encoded, batch)
            found.update(results)
            if not any(name in results for name in objective.weights):
                idle.update(objective.build_heads())
            losses += [
                weight * results[name] for name, weight in objective.weights.items() if name in results
            ]
        others = {name: found.pop(name) for name in sorted(set(found) - set(_OUTPUT_FIELDS))}
        if not losses:
            return None, {**found, "others": others or None}
        loss = torch.stack(losses).sum()
        if self.training:
            for name in sorted(idle):
                loss = loss + idle_zero(modules[name].parameters())
            if self.config.second_order:  # tokens that only some objectives read
                loss = loss + 0.0 * encoded.outputs["pooler_output"].float().sum()
        return loss, {**found, "others": others or None}

    def resolve_mask(
        self,
        is_real: torch.Tensor,
        mask: torch.Tensor | None,
        mask_ratio: float | None,
        mask_noise: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return what to mask, (batch, channels, time) bool; nothing if no objective predicts it."""
        if mask is None and not any(objective.predicts_masked for objective in self.objectives.values()):
            return torch.zeros_like(is_real)
        mask_ratio = self.config.mask_ratio if mask_ratio is None else mask_ratio
        return resolve_mask(is_real, self.config.patch_size, mask, mask_ratio, mask_noise)


class LinearClassifier(nn.Linear):
    """A linear layer on features without parameters, such as second-order vectors; zero at the start."""

    def reset_parameters(self) -> None:
        """Set all weights to zero."""
        init.zeros_(self.weight)
        init.zeros_(self.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, bands or components, features) to (batch, num_labels)."""
        return super().forward(features.flatten(1).to(self.weight.dtype))


class ClassificationHead(nn.Module):
    """Dropout and one linear layer."""

    def __init__(self, hidden_size: int, num_labels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden_size, num_labels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, hidden_size) to (batch, num_labels)."""
        return self.out(self.dropout(features))


class EEGFoundationForSequenceClassification(EEGFoundationPreTrainedModel):
    """Encoder with one head, or one for each of `config.tasks`; a task of one output is a regression.

    Example:
        >>> import torch
        >>> from eeg_hf import EEGFoundationConfig, EEGFoundationForSequenceClassification
        >>> config = EEGFoundationConfig(d_model=128, n_layers=3, n_heads=4, tasks={"age": 1, "sex": 2})
        >>> model = EEGFoundationForSequenceClassification(config)
        >>> labels = {"age": torch.tensor([21.0, float("nan")]), "sex": torch.tensor([0, 1])}
        >>> sorted(model(torch.randn(2, 19, 1000), labels=labels).logits)
        ['age', 'sex']
    """

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__(config)
        self.model = EEGFoundationModel(config)
        size, dropout = config.hidden_size, config.classifier_dropout
        if config.classifier_pooling == "attention":
            self.pooling = AttentionPooling(size, config.num_attention_heads)
        if config.tasks is None:
            self.classifier = ClassificationHead(size, int(config.num_labels or 0), dropout)
        else:
            self.classifiers = nn.ModuleDict(
                {task: ClassificationHead(size, outputs, dropout) for task, outputs in config.tasks.items()}
            )
        if config.second_order:
            bands = len(config.second_order_bands) * config.num_band_features
            if config.tasks is None:
                self.band_classifier = LinearClassifier(bands, int(config.num_labels or 0))
            else:
                self.band_classifiers = nn.ModuleDict(
                    {task: LinearClassifier(bands, outputs) for task, outputs in config.tasks.items()}
                )
        if config.time_course_seconds is not None:
            self.course_classifier = LinearClassifier(
                config.num_components * config.num_cosines, int(config.num_labels or 0)
            )
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | dict[str, torch.Tensor] | None = None,
        **kwargs: Any,
    ) -> EEGFoundationClassifierOutput:
        """Classify windows.

        Args:
            input_values: (batch, channels, time), normalised.
            channel_positions: As in [`EEGFoundationModel`].
            channel_mask: As in [`EEGFoundationModel`].
            attention_mask: As in [`EEGFoundationModel`].
            labels: (batch,) class indices or values, or (batch, num_labels) class shares, or one such tensor
                a task. -100 and NaN mean missing.
            **kwargs: As in [`EEGFoundationModel`].
        """
        outputs = self.model(
            input_values,
            channel_positions=channel_positions,
            channel_mask=channel_mask,
            attention_mask=attention_mask,
            **kwargs,
        )
        pooled = outputs.pooler_output  # (batch, hidden_size)
        if self.config.classifier_pooling == "attention":
            is_real = self.model.real_tokens(input_values, channel_positions, channel_mask, attention_mask)
            pooled = self.pooling(outputs.last_hidden_state, is_real)
        logits: Any  # one tensor, or one a task
        if self.config.tasks is None:
            logits = self.classifier(pooled)
        else:
            logits = {task: head(pooled) for task, head in self.classifiers.items()}
        if self.config.second_order:
            features = mean_over_stretches(outputs.band_features, outputs.stretch_mask)
            if self.config.tasks is None:
                logits = logits + self.band_classifier(features)
            else:
                logits = {task: logits[task] + head(features) for task, head in self.band_classifiers.items()}
        if self.config.time_course_seconds is not None:
            logits = logits + self.course_classifier(outputs.time_course)
        if self.config.tasks is None and self.config.num_labels == 1:  # in the unit of the labels
            logits = logits.float() * self.config.regression_std + self.config.regression_mean
        loss = None if labels is None else self.compute_loss(logits, labels)
        return EEGFoundationClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            channel_attentions=outputs.channel_attentions,
        )

    def compute_loss(self, logits: Any, labels: Any) -> torch.Tensor:
        """Return the loss of the only task, or the mean over tasks (0 for one without labels here)."""
        config = self.config
        if config.tasks is None and logits.shape[-1] == 1:
            return task_loss(logits, labels, 1) / config.regression_std**2
        if config.tasks is None:
            return task_loss(
                logits,
                labels,
                logits.shape[-1],
                class_weights=config.class_weights,
                label_smoothing=config.label_smoothing,
            )
        unknown = sorted(set(labels) - set(logits))
        if unknown:
            raise ValueError(f"labels: unknown task {unknown}, the config has {sorted(logits)}")
        losses = [task_loss(logits[task], labels[task], config.tasks[task]) for task in labels]
        return torch.stack(losses).mean()


__all__ = [
    "EEGFoundationForPreTraining",
    "EEGFoundationForSequenceClassification",
    "EEGFoundationModel",
    "EEGFoundationPreTrainedModel",
]
