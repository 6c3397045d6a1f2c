# SPDX-License-Identifier: Apache-2.0
"""The one file that touches the registries of transformers."""

import sys
from typing import TYPE_CHECKING, Any

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, PreTrainedConfig
from transformers.models.auto import AutoModelForPreTraining, AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import model_type_to_module_name

from .feature_extraction_eeg import EEGFeatureExtractor
from .models.configuration_eeg_foundation import EEGFoundationConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_MODEL_CLASSES = {
    AutoModel: "EEGFoundationModel",
    AutoModelForPreTraining: "EEGFoundationForPreTraining",
    AutoModelForSequenceClassification: "EEGFoundationForSequenceClassification",
}


def register() -> None:
    """Tell the Auto classes about every model of this package; safe to call again."""
    AutoConfig.register(EEGFoundationConfig.model_type, EEGFoundationConfig, exist_ok=True)
    AutoFeatureExtractor.register(EEGFoundationConfig, EEGFeatureExtractor, exist_ok=True)
    for auto_class, class_name in _MODEL_CLASSES.items():
        _register_by_name(auto_class, EEGFoundationConfig, class_name)


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
