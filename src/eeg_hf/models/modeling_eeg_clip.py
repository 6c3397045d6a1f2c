# SPDX-License-Identifier: Apache-2.0
"""EEGCLIP: windows of EEG and the images that subjects saw, in one embedding space.

Follows CLIP (https://arxiv.org/abs/2103.00020) with an EEG tower in place of the text tower: a projection
head on each tower, and a symmetric InfoNCE with a learned temperature. The image tower is frozen by default,
so images are embedded once and training reads their embeddings.

NOTE: images are shown several times, so a batch may hold one more than once. Unlike in CLIP, the windows of
    one image are positives of each other, and do not push each other away.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ModelOutput
from transformers.utils.generic import can_return_tuple

from .configuration_eeg_clip import EEGCLIPConfig
from .contrast import contrast_positives, gather_rows, own_rows, similarities
from .dropout import Dropout
from .modeling_eeg_conv_transformer import EEGConvTransformerModel
from .modeling_eeg_foundation import EEGFoundationModel
from .parameter_dtype import parameter_dtype
from .pretrained_model import EEGPreTrainedModel
from .scalar_parameter import register_scalar
from .vision_registry import build_tower

MAX_LOGIT_SCALE = math.log(100)  # beyond, one pair decides the loss (section 2.5 of the paper)


def matching_loss(
    eeg: torch.Tensor, images: torch.Tensor, image_ids: torch.Tensor, logit_scale: torch.Tensor
) -> torch.Tensor:
    """Return the symmetric InfoNCE of windows and their images, over the rows of all processes.

    Without repeated images it is the loss of CLIP. The pairs of a repeated image are contrasted only with
    rows of other images.

    Args:
        eeg: (batch, features), unit vectors.
        images: (batch, features), unit vectors; row i is the image of window i.
        image_ids: (batch,), equal for equal images.
        logit_scale: Factor of the cosine similarities.
    """
    ids, own = gather_rows(image_ids), own_rows(eeg.shape[0])
    is_positive = ids[own, None] == ids[None]  # (batch, rows of all processes)
    losses = []
    for anchors, candidates in ((eeg, images), (images, eeg)):
        logits = similarities(anchors, gather_rows(candidates)) * logit_scale  # (batch, all rows)
        losses.append(
            (contrast_positives(logits, is_positive, ~is_positive) / is_positive.sum(dim=-1)).mean()
        )
    return torch.stack(losses).mean()


class ProjectionHead(nn.Module):
    """Two layers into the shared embedding space."""

    def __init__(self, config: EEGCLIPConfig, size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(size, config.projection_hidden_size)
        self.dropout = Dropout(config.dropout)
        self.out = nn.Linear(config.projection_hidden_size, config.projection_dim)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (batch, size) to (batch, projection_dim)."""
        return self.out(self.dropout(nn.functional.gelu(self.dense(features))))


@dataclass
class EEGCLIPOutput(ModelOutput):
    """Output of [`EEGCLIPModel`].

    Attributes:
        loss: Symmetric InfoNCE; None without images.
        logits_per_eeg: (batch, batch), scaled cosine similarities of windows and images of this process.
        eeg_embeds: (batch, projection_dim), unit vectors.
        image_embeds: (batch, projection_dim), unit vectors; None without images.
        hidden_states: Of the EEG tower, on request.
        attentions: Likewise.
    """

    loss: torch.Tensor | None = None
    logits_per_eeg: torch.Tensor | None = None
    eeg_embeds: torch.Tensor | None = None
    image_embeds: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


class EEGCLIPPreTrainedModel(EEGPreTrainedModel):
    """Base class with the weight initialisation."""

    config: EEGCLIPConfig
    base_model_prefix = "eeg_model"
    input_modalities = ["time", "image"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):  # keeps unit variance
            init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, EEGCLIPModel):
            init.constant_(module.logit_scale, -math.log(self.config.temperature))


class EEGCLIPModel(EEGCLIPPreTrainedModel):
    """EEG and image towers with their projection heads.

    Example:
        >>> import torch
        >>> from eeg_hf import EEGCLIPConfig, EEGCLIPModel
        >>> model = EEGCLIPModel(EEGCLIPConfig(eeg_config={"num_channels": 17}))
        >>> outputs = model(torch.randn(4, 17, 100), image_embeds=torch.randn(4, 512))
        >>> outputs.eeg_embeds.shape, outputs.logits_per_eeg.shape
        (torch.Size([4, 512]), torch.Size([4, 4]))
    """

    logit_scale: nn.Parameter
    image_projection: nn.Module

    def __init__(self, config: EEGCLIPConfig) -> None:
        super().__init__(config)
        self.eeg_model = build_encoder(config.eeg_config)
        self.eeg_projection = ProjectionHead(config, config.pooler_size)
        if config.second_config is not None:
            self.second_model = build_encoder(config.second_config)
        self.image_projection = build_projection(config)
        register_scalar(self, "logit_scale", -math.log(config.temperature))
        self._frozen_tower: list[nn.Module] = []  # a list hides it from the parameters and from saving
        if not config.freeze_vision:
            is_loading = torch.empty(0).is_meta  # from_pretrained builds on the meta device
            self.set_vision_tower(build_tower(config.vision_tower, not is_loading), not is_loading)
        self.post_init()

    def set_vision_tower(self, tower: nn.Module, keeps_weights: bool = True) -> None:
        """Set the image tower, instead of building it by its name.

        Args:
            tower: Maps pixels (batch, 3, height, width) to (batch, vision_dim); with `freeze_vision` it is
                frozen and not saved.
            keeps_weights: Keep its weights; False if others are loaded afterwards.

        Raises:
            ValueError: If its embeddings have another size than `vision_dim`.
        """
        size = getattr(tower, "embedding_dim", self.config.vision_dim)
        if size != self.config.vision_dim:
            raise ValueError(
                f"vision_dim: expected {size}, the size of embeddings of {self.config.vision_tower}, got "
                f"{self.config.vision_dim}"
            )
        if self.config.freeze_vision:
            self._frozen_tower = [tower.eval().requires_grad_(False)]
            return
        if keeps_weights:  # otherwise transformers initialises the tower anew
            parts: tuple[Any, ...] = (*tower.modules(), *tower.parameters(), *tower.buffers())
            for part in parts:
                part._is_hf_initialized = True
        self.vision_model = tower

    @can_return_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        image_embeds: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_ids: torch.Tensor | None = None,
        second_inputs: dict[str, torch.Tensor] | None = None,
        return_loss: bool = True,
        **kwargs: Any,
    ) -> EEGCLIPOutput:
        """Embed windows and images, and compute their similarities and the loss.

        Args:
            input_values: (batch, channels, time), normalised.
            channel_positions: (batch, channels, 3), metres.
            channel_mask: (batch, channels) bool, True = real.
            attention_mask: (batch, time) bool, True = real.
            image_embeds: (batch, vision_dim), the image tower's embedding of the image of each window.
            pixel_values: (batch, 3, height, width), the images instead.
            image_ids: (batch,) whole numbers, equal for equal images; all differ by default.
            second_inputs: What the second tower takes instead, such as `input_ids`.
            return_loss: Compute the loss; Trainer looks for this argument where a model needs no labels.
            **kwargs: Passed to the EEG tower.

        Raises:
            ValueError: On shapes that do not fit, or embeddings although their tower is trained.
        """
        if self.training and image_embeds is not None and not self.config.freeze_vision:
            raise ValueError("freeze_vision=False: expected pixel_values; embeddings do not train the tower")
        if self.training and image_embeds is not None and self.config.second_config is not None:
            raise ValueError("second_config: expected second_inputs; embeddings do not train the tower")
        # (batch, projection_dim)
        outputs = self.encode_eeg(input_values, channel_positions, channel_mask, attention_mask, **kwargs)
        eeg = self.project_eeg(outputs.pooler_output)
        inner = {"hidden_states": outputs.hidden_states, "attentions": outputs.attentions}
        if image_embeds is None and pixel_values is None and second_inputs is None:  # EEG alone
            return EEGCLIPOutput(eeg_embeds=eeg, **inner)
        images = self.get_image_features(pixel_values, image_embeds, second_inputs)
        if images.shape[0] != eeg.shape[0]:
            raise ValueError(f"expected one image for each of {eeg.shape[0]} windows, got {images.shape[0]}")
        scale = self.clamped_logit_scale()
        loss = None
        if return_loss:
            if image_ids is None:  # all images differ, also those of other processes
                own = own_rows(eeg.shape[0])
                image_ids = torch.arange(own.start, own.stop, device=eeg.device)
            loss = matching_loss(eeg, images, image_ids, scale)
        logits = similarities(eeg, images) * scale  # (batch, batch), of this process only
        return EEGCLIPOutput(loss=loss, logits_per_eeg=logits, eeg_embeds=eeg, image_embeds=images, **inner)

    def get_eeg_features(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Return unit vectors (batch, projection_dim) of windows; the arguments are those of `forward`."""
        outputs = self.encode_eeg(input_values, channel_positions, channel_mask, attention_mask, **kwargs)
        return self.project_eeg(outputs.pooler_output)

    def encode_eeg(
        self,
        input_values: torch.Tensor,
        channel_positions: torch.Tensor | None = None,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the output of the EEG tower; the arguments are those of `forward`."""
        return self.eeg_model(
            input_values,
            channel_positions=channel_positions,
            channel_mask=channel_mask,
            attention_mask=attention_mask,
            **{**kwargs, "return_dict": True},
        )

    def project_eeg(self, pooled: torch.Tensor) -> torch.Tensor:
        """Map pooled windows (batch, pooler_size) to unit vectors (batch, projection_dim)."""
        return nn.functional.normalize(self.eeg_projection(pooled).float(), dim=-1)

    def get_image_features(
        self,
        pixel_values: torch.Tensor | None = None,
        image_embeds: torch.Tensor | None = None,
        second_inputs: dict[str, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Return unit vectors (batch, projection_dim) of images, or of what the second tower takes.

        Args:
            pixel_values: (batch, 3, height, width), preprocessed by the tower's `preprocess`.
            image_embeds: (batch, vision_dim), the tower's embeddings instead; their norm is ignored.
            second_inputs: As in `forward`.

        Raises:
            ValueError: If not exactly one of them is given, or embeddings have another size.
        """
        if sum(each is not None for each in (pixel_values, image_embeds, second_inputs)) != 1:
            raise ValueError("expected either pixel_values, image_embeds or second_inputs")
        if pixel_values is not None:
            image_embeds = self.embed_pixels(pixel_values)
        elif second_inputs is not None:
            image_embeds = self.embed_second(second_inputs)
        assert image_embeds is not None  # one of the three is
        if image_embeds.ndim != 2 or image_embeds.shape[1] != self.config.vision_dim:
            raise ValueError(
                f"image_embeds: expected (batch, {self.config.vision_dim}), got {tuple(image_embeds.shape)}"
            )
        embeds = nn.functional.normalize(image_embeds.float(), dim=-1)
        # Features of order 1 whatever the tower: embeddings of CLIP have a norm of 10, others of 30
        embeds = embeds.to(parameter_dtype(self.image_projection))
        embeds = self.image_projection(embeds * math.sqrt(self.config.vision_dim))
        return nn.functional.normalize(embeds.float(), dim=-1)

    def embed_pixels(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Embed (batch, 3, height, width) with the image tower; a frozen one is loaded on first use."""
        if not self.config.freeze_vision:
            return self.vision_model(pixel_values.to(parameter_dtype(self.vision_model)))
        if not self._frozen_tower:
            self.set_vision_tower(build_tower(self.config.vision_tower))
        tower = self._frozen_tower[0].to(pixel_values.device)
        with torch.no_grad():
            return tower(pixel_values.to(parameter_dtype(tower)))

    def embed_second(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return what the second tower makes of its inputs, (batch, vision_dim).

        Towers without a `pooler_output` give the mean of their tokens, padding included.

        Raises:
            ValueError: If there is no second tower.
        """
        if self.config.second_config is None:
            raise ValueError("second_inputs: this model has no second tower: set second_config")
        outputs = self.second_model(**inputs)
        pooled = getattr(outputs, "pooler_output", None)
        return outputs.last_hidden_state.mean(dim=1) if pooled is None else pooled

    def clamped_logit_scale(self) -> torch.Tensor:
        """Return the factor of similarities, 1 to 100.

        In training the parameter itself is clamped: a clamp of its exponential would have no gradient beyond
        the limits, and the parameter would never return. Evaluation writes no weights.
        """
        if self.training:
            with torch.no_grad():
                self.logit_scale.clamp_(0.0, MAX_LOGIT_SCALE)
        return self.logit_scale[0].float().clamp(0.0, MAX_LOGIT_SCALE).exp()


def build_encoder(config: Any) -> PreTrainedModel:
    """Build the EEG tower of a config, with random weights."""
    own = {"eeg_conv_transformer": EEGConvTransformerModel, "eeg_foundation": EEGFoundationModel}
    if config.model_type in own:  # also where the code runs without eeg_hf, unregistered
        return own[config.model_type](config)
    return AutoModel.from_config(config)


def build_projection(config: EEGCLIPConfig) -> nn.Module:
    """Build the projection head of images."""
    if config.vision_projection == "none":
        return nn.Identity()
    if config.vision_projection == "linear":
        return nn.Linear(config.vision_dim, config.projection_dim)
    return ProjectionHead(config, config.vision_dim)


__all__ = ["EEGCLIPModel", "EEGCLIPPreTrainedModel", "matching_loss"]
