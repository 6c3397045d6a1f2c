# SPDX-License-Identifier: Apache-2.0
"""EEGFoundation: a transformer over patches of many channels, for any montage and any length.

A signal (batch, channels, time) becomes tokens (batch, channels, num_patches, hidden_size). Each patch is
seen at several time scales, as power spectrum and as waveform; electrodes enter by their coordinates, never
by their index. Every layer attends along time within a channel, then across channels within a patch.

Pretraining predicts what is hidden: its samples (SimMIM, https://arxiv.org/abs/2111.09886: hidden samples are
zeroed, the loss is on them alone), or the codes that a frozen codec has for it (BEiT,
https://arxiv.org/abs/2106.08254), or both. Beside it the model may contrast two views of each window (SimCLR,
https://arxiv.org/abs/2002.05709) or what many people saw at the same moment, and tell what is known of the
person (age, sex, questionnaire factors).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ModelOutput
from transformers.utils.generic import can_return_tuple, merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from .channel_adapters import ChannelAdapter, LocalScores, build_channel_adapter
from .code_prediction import CodeHead
from .configuration_eeg_foundation import EEGFoundationConfig
from .electrode_embedding import ChannelPositionEmbedding
from .factorized_attention import ChannelAttention, FactorizedLayer, TemporalAttention
from .heads import ClassificationHead, ContrastiveProjectionHead, MultiAuxiliaryHead
from .losses import (
    AuxiliaryTaskLoss,
    Temperature,
    info_nce_loss,
    masked_code_loss,
    masked_reconstruction_loss,
    movie_isc_loss,
    task_loss,
)
from .masking import hide
from .patching import patchify, unpatchify
from .temporal_encoder import FourierFilterbank, MultiScaleTemporalEncoder, UnitLinear
from .token_grid import (
    create_attention_masks,
    find_real_samples,
    find_real_tokens,
    mean_over_real,
    resolve_mask,
    resolve_positions,
)


class EEGFoundationEmbeddings(nn.Module):
    """Patches, their place in time and their place on the head, as tokens."""

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__()
        self.config = config
        self.temporal_encoder = MultiScaleTemporalEncoder(config)
        self.time_positions = nn.Embedding(config.max_patches, config.hidden_size)
        self.channel_positions = ChannelPositionEmbedding(config)
        self.mask_token = nn.Parameter(torch.empty(config.hidden_size))
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, values: torch.Tensor, channel_positions: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Return (batch, channels, num_patches, hidden_size); a wholly hidden patch is the mask token."""
        cut = (self.config.patch_size, self.config.hop_size)
        tokens = self.norm(self.temporal_encoder(patchify(values, *cut)))
        if mask is not None:
            is_hidden = (
                patchify((~mask).to(values.dtype), *cut).amax(dim=-1) == 0
            )  # (batch, channels, num_patches)
            tokens = torch.where(is_hidden[..., None], self.mask_token.to(tokens.dtype), tokens)
        tokens = tokens + self.time_positions.weight[: tokens.shape[2]]
        tokens = tokens + self.channel_positions(channel_positions)[:, :, None]
        return self.dropout(tokens)


@dataclass
class EEGFoundationOutput(ModelOutput):
    """What the encoder returns.

    Attributes:
        last_hidden_state: (batch, channels, num_patches, hidden_size); with a channel adapter, its channels.
        pooler_output: (batch, hidden_size), the mean over real channels and patches.
        hidden_states: One tensor shaped like `last_hidden_state` a layer and the embeddings, on request.
        attentions: (batch, channels, heads, num_patches, num_patches) a layer, on request and with `eager`.
        channel_attentions: (batch, num_patches, heads, channels, channels) a layer, likewise
            (`output_channel_attentions=True`).
    """

    last_hidden_state: torch.Tensor | None = None
    pooler_output: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    channel_attentions: tuple[torch.Tensor, ...] | None = None


@dataclass
class EEGFoundationForPreTrainingOutput(ModelOutput):
    """What pretraining returns.

    Attributes:
        loss: Weighted sum of the losses below.
        reconstruction: (batch, channels, time), in the unit of the input.
        contrastive_features: (batch, projection_size), of unit length.
        auxiliary_logits: {task: (batch, outputs)}: numbers in their unit, or logits of classes.
        code_logits: (batch, channels, num_patches, codes_per_patch, sum of the levels): those of every
            dimension of a code side by side.
        reconstruction_loss: Mean squared error over the hidden samples.
        code_loss: Cross entropy over the hidden patches, as a share of knowing nothing.
        visible_loss: The same over the others; None unless `visible_weight` is above 0.
        contrastive_loss: InfoNCE between the windows and their augmented views, or of people at the same
            moment; None without either.
        auxiliary_loss: Weighted sum over the auxiliary tasks; None without targets.
        mask: (batch, channels, time) bool, True = hidden.
        hidden_states: As in [`EEGFoundationOutput`]; with augmented views they follow along the batch.
        attentions: Likewise.
        channel_attentions: Likewise.
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


@dataclass
class EEGFoundationClassifierOutput(ModelOutput):
    """What a classifier returns.

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


class EEGFoundationPreTrainedModel(PreTrainedModel):
    """Weight initialisation and what all EEGFoundation classes share."""

    config: EEGFoundationConfig
    base_model_prefix = "model"
    main_input_name = "input_values"
    input_modalities = "time"
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # our losses are means: Trainer must divide them itself when it accumulates
    _no_split_modules = ["EEGFoundationEmbeddings", "FactorizedLayer"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs = {
        "hidden_states": FactorizedLayer,
        "attentions": TemporalAttention,
        "channel_attentions": ChannelAttention,
    }

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, FourierFilterbank):
            init.copy_(module.weight, module.fourier_basis())
        elif isinstance(module, UnitLinear):
            init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, Temperature) and module.is_learnable:
            init.constant_(module.log_temperature, math.log(module.start))
        elif isinstance(module, (ChannelAdapter, LocalScores)):
            module.reset_parameters()
        elif isinstance(module, EEGFoundationEmbeddings):
            init.normal_(module.mask_token, std=self.config.initializer_range)

    def get_embeddings(self, input_values: torch.Tensor, **inputs: torch.Tensor) -> torch.Tensor:
        """Return one vector (batch, hidden_size) a window: the mean token of the encoder.

        Args:
            input_values: (batch, channels, time), normalised as by the feature extractor saved with the
                model.
            **inputs: The other arguments of [`EEGFoundationModel`]'s forward.
        """
        return self.base_model(input_values, **inputs).pooler_output

    def add_classification_head(
        self, num_classes: int, **config_updates: Any
    ) -> "EEGFoundationForSequenceClassification":
        """Return a classifier with a fresh head on this very encoder (its weights are shared).

        Args:
            num_classes: Number of classes; 1 means regression.
            **config_updates: Other fields of the config to change, such as `classifier_dropout` or
                `id2label`.
        """
        settings = {**self.config.to_dict(), "num_labels": num_classes, "tasks": None}
        if num_classes != self.config.num_labels:  # names of other classes must not survive
            settings.pop("id2label", None)
            settings.pop("label2id", None)
        classifier = EEGFoundationForSequenceClassification(
            EEGFoundationConfig(**{**settings, **config_updates})
        )
        classifier.model = self.base_model
        return classifier


class EEGFoundationModel(EEGFoundationPreTrainedModel):
    """The encoder: any montage and any length up to `max_seq_length` through one set of weights.

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
    ) -> EEGFoundationOutput:
        """Encode windows.

        Args:
            input_values: (batch, channels, time), normalised.
            channel_positions: (batch, channels, 3) or (channels, 3), metres; those of the config by default.
            channel_mask: (batch, channels) bool, True = real.
            attention_mask: (batch, time) bool, True = real.
            mask: (batch, channels, time) bool, True = hidden from the model.
            **kwargs: `output_hidden_states`, `output_attentions`, `output_channel_attentions`, `return_dict`.

        Raises:
            ValueError: On shapes that do not fit each other or the config.
        """
        channel_positions = resolve_positions(self.config, input_values, channel_positions)
        values = hide(input_values, channel_mask, attention_mask, mask)
        if self.config.channel_adapter != "none":
            adapted = self.channel_adapter(values, channel_positions, channel_mask, mask)
            values, channel_positions = adapted.values, adapted.channel_positions
            channel_mask, mask = adapted.channel_mask, adapted.mask
        cut = (self.config.patch_size, self.config.hop_size)
        is_real = find_real_tokens(values, channel_mask, attention_mask, *cut)  # (batch, channels, patches)
        hidden_states = self.embeddings(values, channel_positions, mask)
        masks = create_attention_masks(self.config, hidden_states, is_real, channel_mask, attention_mask)
        for layer in self.layers:
            hidden_states = layer(hidden_states, *masks, **kwargs)
        hidden_states = self.norm(hidden_states)
        return EEGFoundationOutput(
            last_hidden_state=hidden_states, pooler_output=mean_over_real(hidden_states, is_real)
        )


class EEGFoundationForPreTraining(EEGFoundationPreTrainedModel):
    """Encoder with masked prediction, of samples or of codes, contrast, and auxiliary tasks.

    What is contrasted are augmented views of each window, or, where `stimulus_ids` are given, the windows of
    people who met the same thing at the same moment. With `target="codes"` a codec tells what to predict:
    `model.set_codec(codec)`, or its tokens as `code_indices`.

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
        if not (self.predicts_hidden or config.contrastive_weight > 0 or config.tells_auxiliary):
            raise ValueError(
                f"nothing to learn: the weights of target={config.target!r} and contrastive_weight are 0, "
                "and there are no auxiliary_tasks"
            )
        self.model = EEGFoundationModel(config)
        # A head without a loss would get no gradient, which DistributedDataParallel refuses.
        if config.predicts_signal:
            self.decoder = nn.Linear(config.hidden_size, config.patch_size)
        if config.predicts_codes:
            self.code_head = CodeHead(config.hidden_size, config.code_levels, config.codes_per_patch)
        if config.contrastive_weight > 0:
            self.projection_head = ContrastiveProjectionHead(
                config.hidden_size, config.projection_size, config.projection_batch_norm
            )
            self.temperature = Temperature(config.contrastive_temperature, config.learnable_temperature)
        if config.tells_auxiliary:
            tasks = config.auxiliary_tasks or {}
            self.auxiliary_head = MultiAuxiliaryHead(config.hidden_size, tasks, config.classifier_dropout)
            self.auxiliary_task_loss = AuxiliaryTaskLoss(tasks)
        self._codec: list[Any] = []  # in a list, so that it is no part of what is trained and saved
        self.post_init()

    @property
    def predicts_hidden(self) -> bool:
        """Whether anything is predicted of what is hidden; otherwise nothing is hidden."""
        return self.config.predicts_signal or self.config.predicts_codes

    def set_codec(self, codec: PreTrainedModel) -> None:
        """Let a frozen codec ([`EEGFSQModel`]) tell the codes to predict; it is not saved with the model.

        Args:
            codec: Trained on signals as they come here: of the same rate, normalised in the same way.

        Raises:
            ValueError: If its patches, its rate or its codebook are not those of this model's config.
        """
        ours, theirs = self.config, codec.config
        if not ours.predicts_codes:
            raise ValueError(f"set_codec: the model has target={ours.target!r}, expected 'codes' or 'both'")
        for field, expected, got in (
            ("patch_size", ours.patch_size, theirs.patch_size),
            ("sampling_rate", ours.sampling_rate, theirs.sampling_rate),
            ("code_levels", list(ours.code_levels), list(theirs.levels)),
            ("codes_per_patch", ours.codes_per_patch, theirs.codes_per_patch),
        ):
            if expected != got:
                raise ValueError(
                    f"codec: expected the {field} of the model, {expected}, got {got}: change the config of "
                    "one of them"
                )
        self._codec = [codec.eval().requires_grad_(False)]

    @can_return_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        augmented_values: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
        mask_ratio: float | None = None,
        mask_noise: torch.Tensor | None = None,
        code_indices: torch.Tensor | None = None,
        auxiliary_targets: dict[str, torch.Tensor] | None = None,
        stimulus_ids: torch.Tensor | None = None,
        stimulus_seconds: torch.Tensor | None = None,
        subject_ids: torch.Tensor | None = None,
        return_loss: bool = True,
        **kwargs: Any,
    ) -> EEGFoundationForPreTrainingOutput:
        """Hide stretches and predict them, match windows that belong together, tell who they are of.

        Args:
            input_values: (batch, channels, time), normalised.
            channel_positions: As in [`EEGFoundationModel`].
            channel_mask: As in [`EEGFoundationModel`].
            attention_mask: As in [`EEGFoundationModel`].
            augmented_values: A second view of the same windows, same shape; without it there is no contrast.
            mask: (batch, channels, time) bool, True = hidden; drawn at random by default.
            mask_ratio: Share to hide in this call instead of the config's.
            mask_noise: (batch, channels, num_stretches) in [0, 1), decides the random mask.
            code_indices: (batch, channels, num_patches * codes_per_patch), the codec's tokens of the whole
                signal; those of `set_codec`'s by default. Not called labels: Trainer would then expect
                them in every batch, and without them measure no loss in an evaluation.
            auxiliary_targets: {task: (batch,)} numbers in their unit, or class indices; NaN and -100 mean
                missing.
            stimulus_ids: (batch,) which film, or condition, each window was recorded at; -1 = none.
            stimulus_seconds: (batch,) second of the film at the start of the window.
            subject_ids: (batch,) whose window it is.
            return_loss: Compute the losses; Trainer looks for this argument where a model needs no labels.
            **kwargs: As in [`EEGFoundationModel`].
        """
        num_windows = len(input_values)
        is_real = find_real_samples(input_values, channel_mask, attention_mask)
        mask = self.resolve_mask(is_real, mask, mask_ratio, mask_noise)
        inputs: dict[str, Any] = {
            "input_values": input_values,
            "channel_positions": resolve_positions(self.config, input_values, channel_positions),
            "channel_mask": channel_mask,
            "attention_mask": attention_mask,
            "mask": mask,
        }
        has_views = (
            augmented_values is not None and stimulus_ids is None and self.config.contrastive_weight > 0
        )
        if has_views:  # one pass for both views: DistributedDataParallel wants one forward a step
            views = {**inputs, "input_values": augmented_values, "mask": torch.zeros_like(mask)}
            inputs = {
                name: None if value is None else torch.cat([value, views[name]])
                for name, value in inputs.items()
            }
        outputs = self.model(**inputs, **kwargs)
        reconstruction, reconstruction_loss, visible_loss = self.reconstruct(
            outputs, input_values, mask, is_real, inputs["channel_positions"][:num_windows], channel_mask
        )
        values = torch.where(is_real, input_values, 0.0)
        code_logits, code_loss = self.predict_codes(outputs, values, mask, code_indices)
        stimulus = None
        if stimulus_ids is not None:
            if stimulus_seconds is None or subject_ids is None:
                raise ValueError("stimulus_ids needs stimulus_seconds and subject_ids, (batch,) each")
            stimulus = (stimulus_ids, stimulus_seconds, subject_ids)
        features, contrastive_loss = self.contrast(outputs, num_windows, has_views, stimulus)
        auxiliary_logits, auxiliary_loss = self.tell_auxiliary(outputs, num_windows, auxiliary_targets)
        parts = [
            weight * loss
            for weight, loss in (
                (self.config.reconstruction_weight, reconstruction_loss),
                (self.config.reconstruction_weight * self.config.visible_weight, visible_loss),
                (self.config.code_weight, code_loss),
                (self.config.contrastive_weight, contrastive_loss),
                (self.config.auxiliary_weight, auxiliary_loss),
            )
            if loss is not None
        ]
        return EEGFoundationForPreTrainingOutput(
            loss=torch.stack(parts).sum() if parts and return_loss else None,
            reconstruction=reconstruction,
            contrastive_features=features,
            auxiliary_logits=auxiliary_logits,
            code_logits=code_logits,
            reconstruction_loss=reconstruction_loss,
            code_loss=code_loss,
            visible_loss=visible_loss,
            contrastive_loss=contrastive_loss,
            auxiliary_loss=auxiliary_loss,
            mask=mask,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            channel_attentions=outputs.channel_attentions,
        )

    def resolve_mask(
        self,
        is_real: torch.Tensor,
        mask: torch.Tensor | None,
        mask_ratio: float | None,
        mask_noise: torch.Tensor | None,
    ) -> torch.Tensor:
        """Return what to hide, (batch, channels, time) bool; where nothing of it is predicted, nothing."""
        if mask is None and not self.predicts_hidden:
            return torch.zeros_like(is_real)
        mask_ratio = self.config.mask_ratio if mask_ratio is None else mask_ratio
        return resolve_mask(is_real, self.config.patch_size, mask, mask_ratio, mask_noise)

    def reconstruct(
        self,
        outputs: EEGFoundationOutput,
        target: torch.Tensor,
        mask: torch.Tensor,
        is_real: torch.Tensor,
        channel_positions: torch.Tensor,
        channel_mask: torch.Tensor | None,
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """Return the rebuilt signal (batch, channels, time), its loss where hidden, and where not."""
        if not self.config.predicts_signal:
            return None, None, None
        patches = self.decoder(outputs["last_hidden_state"][: len(target)])
        rebuilt = unpatchify(patches.float(), self.config.hop_size, target.shape[-1])
        if self.config.channel_adapter != "none":  # from the encoder's channels back to the recorded ones
            rebuilt = self.model.channel_adapter.restore(rebuilt, channel_positions, channel_mask)
        target = torch.where(is_real, target.float(), 0.0)
        hidden_loss = masked_reconstruction_loss(rebuilt, target, mask)
        if self.config.visible_weight <= 0:
            return rebuilt, hidden_loss, None
        return rebuilt, hidden_loss, masked_reconstruction_loss(rebuilt, target, is_real & ~mask)

    def predict_codes(
        self,
        outputs: EEGFoundationOutput,
        values: torch.Tensor,
        mask: torch.Tensor,
        indices: torch.Tensor | None,
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return the logits of every code and their loss where whole patches are hidden."""
        if not self.config.predicts_codes:
            return None, None
        num_patches = values.shape[-1] // self.config.patch_size  # the codec knows no patch that is cut off
        whole = num_patches * self.config.patch_size
        tokens = outputs["last_hidden_state"][: len(values), :, :num_patches]
        logits = self.code_head(tokens)
        if indices is None:
            indices = self.encode_codes(values[..., :whole])
        is_hidden = mask[..., :whole].unflatten(-1, (num_patches, -1)).all(dim=-1)
        digits = self.code_head.indices_to_digits(indices, is_hidden.shape)
        return logits, masked_code_loss(logits, digits, self.config.code_levels, is_hidden)

    @torch.no_grad()
    def encode_codes(self, values: torch.Tensor) -> torch.Tensor:
        """Return the codec's tokens of (batch, channels, time)."""
        if not self._codec:
            raise ValueError("target='codes' needs model.set_codec(codec), or its tokens as code_indices")
        codec = self._codec[0].to(values.device)
        return codec.encode(values.float(), self.config.sampling_rate).indices

    def contrast(
        self,
        outputs: EEGFoundationOutput,
        num_windows: int,
        has_views: bool,
        stimulus: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None,
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Return the features of the windows (batch, projection_size) and, with partners, their loss."""
        if self.config.contrastive_weight <= 0:
            return None, None
        features = self.projection_head(outputs.pooler_output)
        windows, views = features[:num_windows], features[num_windows:]
        if stimulus is not None:
            guard_seconds = self.config.contrastive_guard_seconds
            return windows, movie_isc_loss(windows, *stimulus, self.temperature(), guard_seconds)
        return windows, info_nce_loss(windows, views, self.temperature()) if has_views else None

    def tell_auxiliary(
        self, outputs: EEGFoundationOutput, num_windows: int, targets: dict[str, torch.Tensor] | None
    ) -> tuple[dict[str, torch.Tensor] | None, torch.Tensor | None]:
        """Return what each auxiliary task makes of the windows and, with targets, their loss."""
        if not self.config.tells_auxiliary:
            return None, None
        told = self.auxiliary_head(outputs["pooler_output"][:num_windows])
        return told, None if targets is None else self.auxiliary_task_loss(told, targets)


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
        if config.tasks is None:
            self.classifier = ClassificationHead(size, int(config.num_labels or 0), dropout)
        else:
            self.classifiers = nn.ModuleDict(
                {task: ClassificationHead(size, outputs, dropout) for task, outputs in config.tasks.items()}
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
        logits: Any  # one tensor, or one a task
        if self.config.tasks is None:
            logits = self.classifier(outputs.pooler_output)
            if self.config.num_labels == 1:  # in the unit of the labels
                logits = logits.float() * self.config.regression_std + self.config.regression_mean
        else:
            logits = {task: head(outputs.pooler_output) for task, head in self.classifiers.items()}
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
            return task_loss(logits, labels, logits.shape[-1], config.class_weights, config.label_smoothing)
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
