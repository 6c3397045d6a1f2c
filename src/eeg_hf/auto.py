# SPDX-License-Identifier: Apache-2.0
"""Tells transformers and datasets what this package adds to them."""

import sys
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, PreTrainedConfig
from transformers.models.auto import AutoModelForPreTraining, AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import model_type_to_module_name

from .import_hooks import when_imported
from .models.configuration_eeg_clip import EEGCLIPConfig
from .models.configuration_eeg_conv_transformer import EEGConvTransformerConfig
from .models.configuration_eeg_foundation import EEGFoundationConfig
from .models.configuration_eeg_fsq import EEGFSQConfig
from .models.configuration_eeg_masked_vae import EEGMaskedVAEConfig
from .models.vision_registry import set_tower_builder
from .processing.feature_extraction_eeg import EEGFeatureExtractor

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedModel

_MODEL_CLASSES: dict[type[PreTrainedConfig], dict[Any, str]] = {
    EEGFoundationConfig: {
        AutoModel: "EEGFoundationModel",
        AutoModelForPreTraining: "EEGFoundationForPreTraining",
        AutoModelForSequenceClassification: "EEGFoundationForSequenceClassification",
    },
    EEGFSQConfig: {AutoModel: "EEGFSQModel"},
    EEGConvTransformerConfig: {AutoModel: "EEGConvTransformerModel"},
    EEGCLIPConfig: {AutoModel: "EEGCLIPModel"},
    EEGMaskedVAEConfig: {
        AutoModel: "EEGMaskedVAEModel",
        AutoModelForPreTraining: "EEGMaskedVAEForPreTraining",
    },
}


def register() -> None:
    """Tell transformers about every model of this package, datasets about recordings; safe to call again.

    What would import datasets or the pipelines of transformers waits until somebody does.
    """
    for config_class, model_classes in _MODEL_CLASSES.items():
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
        AutoFeatureExtractor.register(config_class, EEGFeatureExtractor, exist_ok=True)
        for auto_class, class_name in model_classes.items():
            _register_by_name(auto_class, config_class, class_name)
    set_tower_builder(_create_vision_tower)
    when_imported("datasets", _register_recordings)
    when_imported("transformers.pipelines", _register_pipelines)


def _create_vision_tower(name: str, is_pretrained: bool) -> "Module":
    from .images.vision_towers import create_vision_tower

    return create_vision_tower(name, is_pretrained)


def _register_recordings() -> None:
    from .corpora.recordings.dataset_registry import register_recordings

    register_recordings()


def _register_pipelines() -> None:
    from transformers.pipelines import PIPELINE_REGISTRY

    from .inference import pipelines

    for task, (pipeline_class, auto_class) in {
        "eeg-classification": (pipelines.EEGClassificationPipeline, AutoModelForSequenceClassification),
        "eeg-feature-extraction": (pipelines.EEGFeatureExtractionPipeline, AutoModel),
    }.items():
        if task not in PIPELINE_REGISTRY.supported_tasks:
            PIPELINE_REGISTRY.register_pipeline(task, pipeline_class, auto_class, type="multimodal")


def _register_by_name(auto_class: Any, config_class: type[PreTrainedConfig], class_name: str) -> None:
    """Register a model class that is imported only when it is first asked for.

    `auto_class.register` wants the class itself, and importing any PreTrainedModel takes two seconds, which
    everybody who imports eeg_hf would pay. The mappings of transformers name their own models by strings: we
    add ours there.
    """
    mapping = auto_class._model_mapping
    mapping._reverse_config_mapping[config_class.__name__] = config_class.model_type
    mapping._model_mapping[config_class.model_type] = class_name
    mapping._modules[model_type_to_module_name(config_class.model_type)] = sys.modules[__package__]


def create_model(model_type: str, config: dict[str, Any] | None = None) -> "PreTrainedModel":
    """Build a model with random weights from the name of its architecture.

    Args:
        model_type: Such as `"eeg_foundation"`.
        config: Fields of its config that differ from the defaults; `d_model` and its like work.

    Raises:
        ValueError: If no such architecture is registered.

    Example:
        >>> from eeg_hf import create_model
        >>> create_model("eeg_foundation", {"d_model": 128, "n_layers": 3}).config.num_hidden_layers
        3
    """
    return AutoModel.from_config(AutoConfig.for_model(model_type, **(config or {})))


register()
