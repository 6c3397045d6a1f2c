# SPDX-License-Identifier: Apache-2.0
"""The model that `eeg-hf train-clip` trains."""

from typing import Any

import numpy as np
from datasets import Dataset
from transformers import AutoConfig, AutoModel
from transformers.utils import logging

from ...images.vision_towers import VisionTower
from ...models.configuration_eeg_clip import EEGCLIPConfig
from ...models.configuration_eeg_conv_transformer import EEGConvTransformerConfig
from ...models.modeling_eeg_clip import EEGCLIPModel
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training import carry_over
from ..config_fields import check_config_fields
from .arguments import ModelArguments

logger = logging.get_logger(__name__)


def build_model(
    args: ModelArguments,
    train: Dataset,
    extractor: EEGFeatureExtractor,
    tower_name: str,
    vision_dim: int,
    tower: VisionTower | None,
) -> EEGCLIPModel:
    """Build the model for some windows, with a pretrained EEG tower if one is named.

    Args:
        args: The options of both towers.
        train: Training windows; the first one sets channels and length.
        extractor: Feature extractor of the windows.
        tower_name: Full name of the image tower.
        vision_dim: Size of its embeddings.
        tower: The image tower, None if images are embedded before.

    Raises:
        ValueError: If a field of a config does not exist, or the pretrained tower is for another rate.
    """
    encoder = None if args.eeg_model is None else AutoModel.from_pretrained(args.eeg_model)
    config = EEGCLIPConfig(
        **{
            "eeg_config": build_encoder_config(args, train, extractor) if encoder is None else encoder.config,
            "vision_tower": tower_name,
            "vision_dim": vision_dim,
            "freeze_vision": args.freeze_vision,
            "projection_dim": args.proj_dim,
            **check_config_fields(args.config, EEGCLIPConfig),
        }
    )
    model = EEGCLIPModel(config)
    if tower is not None:
        model.set_vision_tower(tower)
    if encoder is not None:
        if encoder.config.sampling_rate not in (None, extractor.sampling_rate):
            raise ValueError(
                f"eeg_model: trained at {encoder.config.sampling_rate:g} Hz, the windows have "
                f"{extractor.sampling_rate:g} Hz: prepare them at that rate"
            )
        logger.warning(f"EEG tower: {carry_over(model.eeg_model, encoder.state_dict(), minimum_share=1.0)}")
    return model


def build_encoder_config(args: ModelArguments, train: Dataset, extractor: EEGFeatureExtractor) -> Any:
    """Return the config of a new EEG tower; `model_type` in `eeg_config` chooses another architecture."""
    first = train[0]
    fields: dict[str, Any] = {
        "num_channels": len(first["channels"]),
        "channel_positions": np.reshape(first["channel_positions"], (-1, 3)).tolist(),
        "sampling_rate": extractor.sampling_rate,
        **args.eeg_config,
    }
    kind = fields.pop("model_type", EEGConvTransformerConfig.model_type)
    if kind != EEGConvTransformerConfig.model_type:
        return AutoConfig.for_model(kind, **{"channel_names": first["channels"], **fields})
    check_config_fields(args.eeg_config, EEGConvTransformerConfig)
    options = {
        "hidden_size": args.eeg_d_model,
        "num_hidden_layers": args.eeg_layers,
        "intermediate_size": args.eeg_hidden,
        "temporal_pool": args.temporal_pool,
        "max_seq_length": max(1000, first["num_samples"]),
    }
    return EEGConvTransformerConfig(**{**options, **fields})
