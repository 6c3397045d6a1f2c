# SPDX-License-Identifier: Apache-2.0
"""Registration of models, feature extractor, pipelines and recordings with transformers and datasets.

Each function here runs when the module that holds its registry has been imported (`eeg_hf/__init__.py`).
That may be in the middle of another import. So nothing at the top of this file, and nothing that a function
imports, may need a registry that comes later: `from transformers import AutoModel` would be circular.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.nn import Module
    from transformers import PreTrainedConfig, PreTrainedModel

# Config class -> auto class of transformers -> model class
MODEL_CLASSES = {
    "EEGFoundationConfig": {
        "AutoModel": "EEGFoundationModel",
        "AutoModelForPreTraining": "EEGFoundationForPreTraining",
        "AutoModelForSequenceClassification": "EEGFoundationForSequenceClassification",
    },
    "EEGFSQConfig": {"AutoModel": "EEGFSQModel"},
    "EEGConvTransformerConfig": {"AutoModel": "EEGConvTransformerModel"},
    "EEGCLIPConfig": {"AutoModel": "EEGCLIPModel"},
    "EEGMaskedVAEConfig": {
        "AutoModel": "EEGMaskedVAEModel",
        "AutoModelForPreTraining": "EEGMaskedVAEForPreTraining",
    },
    "ResNet1dGRUConfig": {
        "AutoModel": "ResNet1dGRUModel",
        "AutoModelForSequenceClassification": "ResNet1dGRUForSequenceClassification",
    },
    "EEGClassicalConfig": {
        "AutoModel": "EEGClassicalModel",
        "AutoModelForSequenceClassification": "EEGClassicalForSequenceClassification",
    },
    "HMSEnsembleConfig": {"AutoModelForSequenceClassification": "HMSEnsembleModel"},
    "BraindecodeConfig": {
        "AutoModel": "BraindecodeModel",
        "AutoModelForSequenceClassification": "BraindecodeForSequenceClassification",
    },
}


def _config_classes() -> "list[type[PreTrainedConfig]]":
    return [getattr(sys.modules[__package__], name) for name in MODEL_CLASSES]


def register_configs() -> None:
    """Register the configs with AutoConfig."""
    from transformers.models.auto.configuration_auto import AutoConfig

    for config_class in _config_classes():
        AutoConfig.register(config_class.model_type, config_class, exist_ok=True)


def register_feature_extractor() -> None:
    """Register EEGFeatureExtractor, for every model, with AutoFeatureExtractor."""
    from transformers.models.auto.feature_extraction_auto import AutoFeatureExtractor

    from .processing.feature_extraction_eeg import EEGFeatureExtractor

    for config_class in _config_classes():
        AutoFeatureExtractor.register(config_class, EEGFeatureExtractor, exist_ok=True)


def register_models() -> None:
    """Register the models with the auto classes of transformers, by name.

    The public `auto_class.register` takes the class itself: with it, importing eeg_hf and AutoModel takes 6.9
    instead of 3.5 s of CPU, in every process, whether it builds a model or not. The mappings of transformers
    name their own models by strings: ours are added to these three private tables.
    """
    from transformers.models.auto import modeling_auto
    from transformers.models.auto.configuration_auto import model_type_to_module_name

    for config_class in _config_classes():
        for auto_class, class_name in MODEL_CLASSES[config_class.__name__].items():
            mapping = getattr(modeling_auto, auto_class)._model_mapping
            mapping._reverse_config_mapping[config_class.__name__] = config_class.model_type
            mapping._model_mapping[config_class.model_type] = class_name
            mapping._modules[model_type_to_module_name(config_class.model_type)] = sys.modules[__package__]


def register_conversions() -> None:
    """Let `from_pretrained` read checkpoints of older versions."""
    from transformers.conversion_mapping import register_checkpoint_conversion_mapping

    from .models.scalar_parameter import SCALARS, conversions

    for model_type in SCALARS:
        register_checkpoint_conversion_mapping(model_type, conversions(model_type), overwrite=True)


def register_vision_towers() -> None:
    """Let EEGCLIPModel build its image tower by name."""
    from .models.vision_registry import set_tower_builder

    set_tower_builder(_create_vision_tower)


def _create_vision_tower(name: str, is_pretrained: bool) -> "Module":
    from .images.vision_towers import create_vision_tower

    return create_vision_tower(name, is_pretrained)


def register_recordings() -> None:
    """Register the feature `Eeg` and the builder `eegfolder` with datasets."""
    from .corpora.recordings.dataset_registry import register_recordings

    register_recordings()


def register_pipelines() -> None:
    """Register the tasks `eeg-classification` and `eeg-feature-extraction` with transformers.pipeline."""
    from transformers import AutoModel, AutoModelForSequenceClassification
    from transformers.pipelines import PIPELINE_REGISTRY

    from .inference import pipelines

    if not hasattr(pipelines, "EEGFeatureExtractionPipeline"):  # half imported: it is registered at its end
        return
    for task, (pipeline_class, auto_class) in {
        "eeg-classification": (pipelines.EEGClassificationPipeline, AutoModelForSequenceClassification),
        "eeg-feature-extraction": (pipelines.EEGFeatureExtractionPipeline, AutoModel),
    }.items():
        if task not in PIPELINE_REGISTRY.supported_tasks:
            PIPELINE_REGISTRY.register_pipeline(task, pipeline_class, auto_class, type="multimodal")


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
    from transformers import AutoConfig, AutoModel

    return AutoModel.from_config(AutoConfig.for_model(model_type, **(config or {})))
