# SPDX-License-Identifier: Apache-2.0
"""Configuration of EEGCLIP."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec

from .config_checks import check_choice, check_positive
from .configuration_eeg_conv_transformer import EEGConvTransformerConfig
from .configuration_eeg_foundation import EEGFoundationConfig

TOWER_ALIASES = {
    "openclip_vit_b32": "open_clip:ViT-B-32:laion2b_s34b_b79k",
    "torchvision_vit_b32": "torchvision:vit_b_32:IMAGENET1K_V1",
}
TOWER_KINDS = ("open_clip", "torchvision", "transformers", "features")
PROJECTIONS = ("mlp", "linear", "none")
_OWN_ENCODERS: tuple[Any, ...] = (EEGConvTransformerConfig, EEGFoundationConfig)
_ENCODER_FIELDS = {
    "eeg_d_model": "hidden_size",
    "eeg_layers": "num_hidden_layers",
    "eeg_hidden": "intermediate_size",
    "temporal_pool": "temporal_pool",
}


def full_tower_name(name: str) -> str:
    """Return the full name of an image tower: its kind, its architecture and its weights.

    Args:
        name: `openclip_vit_b32`, `torchvision_vit_b32`, or a kind and a colon: `open_clip:` and a name of
            that library, optionally followed by a colon and a tag or file of weights (random by default);
            `torchvision:` likewise; `transformers:` and a name on the Hub or a folder; `features:` and a
            label for features that were computed elsewhere, without a tower.

    Raises:
        ValueError: On any other name.

    Example:
        >>> full_tower_name("openclip_vit_b32")
        'open_clip:ViT-B-32:laion2b_s34b_b79k'
    """
    name = TOWER_ALIASES.get(name, name)
    kind, _, model = name.partition(":")
    if kind not in TOWER_KINDS or not model:
        raise ValueError(
            f"vision tower: expected {', '.join(TOWER_ALIASES)}, or "
            f"{', '.join(f'{kind}:<name>' for kind in TOWER_KINDS)}, got {name!r}"
        )
    return name


@strict
class EEGCLIPConfig(PreTrainedConfig):
    r"""Configuration of [`EEGCLIPModel`].

    `eeg_d_model`, `eeg_layers`, `eeg_hidden` and `temporal_pool` are accepted for the default EEG tower,
    `proj_dim` and `vision_encoder` for `projection_dim` and `vision_tower`.

    Args:
        eeg_config (`dict` or `PreTrainedConfig`, *optional*): Config of the EEG tower: fields of
            [`EEGConvTransformerConfig`], or the config of any encoder that returns a `pooler_output`, such as
            [`EEGFoundationConfig`].
        second_config (`dict` or `PreTrainedConfig`, *optional*): Config of a second tower that is trained
            with the EEG tower in place of images: any model of transformers, of text, sound or another EEG.
            Its width is `vision_dim`; `vision_tower` and `freeze_vision` then mean nothing.
        vision_tower (`str`): Image tower with its pretrained weights; see [`full_tower_name`].
        vision_dim (`int`): Size of its embeddings.
        freeze_vision (`bool`): Do not train the tower. It is then not saved with the model, and loaded only
            when the model gets pixels.
        projection_dim (`int`): Dimensions of the shared embedding space.
        projection_hidden_size (`int`): Width between the two layers of a projection head.
        vision_projection (`str`): Projection head of images: `"mlp"`, `"linear"`, or `"none"`: their
            embeddings are used as they are, and `projection_dim` is `vision_dim`.
        dropout (`float`): Dropout in the projection heads.
        temperature (`float`): Initial divisor of similarities; its inverse is learned.

    Example:
        >>> from eeg_hf import EEGCLIPConfig
        >>> config = EEGCLIPConfig(eeg_config={"num_channels": 63}, eeg_d_model=128)
        >>> config.eeg_config.hidden_size, config.vision_tower
        (128, 'open_clip:ViT-B-32:laion2b_s34b_b79k')
    """

    model_type = "eeg_clip"
    attribute_map = {"proj_dim": "projection_dim", "vision_encoder": "vision_tower"}
    keys_to_ignore_at_inference = ["logits_per_eeg"]  # (batch, batch): cannot be concatenated over batches
    # By class, because AutoConfig does not know our model types where the code runs without eeg_hf
    sub_configs_defaults = {"eeg_config": SubConfigSpec(config_class=EEGConvTransformerConfig)}

    # Towers
    eeg_config: dict | PreTrainedConfig | None = None
    second_config: dict | PreTrainedConfig | None = None
    vision_tower: str = "openclip_vit_b32"
    vision_dim: int = 512
    freeze_vision: bool = True
    # Shared space
    projection_dim: int = 512
    projection_hidden_size: int = 1024
    vision_projection: str = "mlp"
    dropout: float | int = 0.1
    temperature: float | int = 0.07
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        fields = {name: kwargs.pop(alias) for alias, name in _ENCODER_FIELDS.items() if alias in kwargs}
        self.eeg_config = _encoder_config(self.eeg_config, fields)
        super().__post_init__(**kwargs)  # applies the attribute map
        if self.second_config is not None:
            second = self.second_config = _encoder_config(self.second_config, {})
            self.vision_dim, self.freeze_vision = _pooler_size(second), True
            self.vision_tower = f"features:{second.model_type}"
        self.vision_tower = full_tower_name(self.vision_tower)
        self.validate_architecture()

    @property
    def pooler_size(self) -> int:
        """Width of the EEG tower's pooled output."""
        return _pooler_size(self.eeg_config)

    def validate_architecture(self) -> None:
        """Raise a ValueError naming the first field that cannot work with the others."""
        check_positive(self, "vision_dim", "projection_dim", "projection_hidden_size")
        check_choice(self, vision_projection=PROJECTIONS)
        if self.vision_projection == "none" and self.projection_dim != self.vision_dim:
            raise ValueError(
                f"vision_projection='none' needs projection_dim = vision_dim ({self.vision_dim}), got "
                f"{self.projection_dim}"
            )
        if not 0.01 <= self.temperature <= 1:
            raise ValueError(f"temperature: expected 0.01 to 1, got {self.temperature}")
        if not self.freeze_vision and self.vision_tower.startswith("features:"):
            raise ValueError(f"freeze_vision=False: {self.vision_tower} names no tower to train")


def _pooler_size(config: Any) -> int:
    return getattr(config, "pooler_size", None) or config.hidden_size


def _encoder_config(config: dict | PreTrainedConfig | None, fields: dict[str, Any]) -> Any:
    """Return the config of a tower; ours are built without AutoConfig, which may not know them."""
    if isinstance(config, PreTrainedConfig):
        if fields:
            raise ValueError(f"{', '.join(fields)}: set them in eeg_config, which is a config object")
        return config
    settings = {**(config or {}), **fields}
    model_type = settings.get("model_type", EEGConvTransformerConfig.model_type)
    own = {known.model_type: known for known in _OWN_ENCODERS}
    if model_type in own:
        return own[model_type](**settings)
    from transformers import AutoConfig  # whose import registers the config that this file defines

    return AutoConfig.for_model(**settings)


__all__ = ["EEGCLIPConfig", "full_tower_name"]
