# SPDX-License-Identifier: Apache-2.0
"""The one file that touches the registries of transformers and datasets."""

import inspect
import sys
import warnings
from typing import TYPE_CHECKING, Any

from datasets import packaged_modules
from datasets.features.features import _FEATURE_TYPES, register_feature
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, PreTrainedConfig
from transformers.models.auto import AutoModelForPreTraining, AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import model_type_to_module_name

from .corpora import eegfolder
from .corpora.eeg_feature import Eeg
from .corpora.folder_files import BIDS_SIDE_FILE, INFERRED_EXTENSIONS, PART_EXTENSIONS, SIDE_TABLE_EXTENSIONS
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
    """Tell transformers about every model of this package, datasets about recordings; safe to call again."""
    AutoConfig.register(EEGFoundationConfig.model_type, EEGFoundationConfig, exist_ok=True)
    AutoFeatureExtractor.register(EEGFoundationConfig, EEGFeatureExtractor, exist_ok=True)
    for auto_class, class_name in _MODEL_CLASSES.items():
        _register_by_name(auto_class, EEGFoundationConfig, class_name)
    _register_eeg_feature()
    _register_eegfolder()


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


class _BidsSideFileName(str):
    """A name that equals those of all side files of BIDS trees.

    datasets infers the builder from the most common extension, leaving out files whose names are in a list of
    names of metadata files. Side tables are the most common files of a BIDS tree: with this name in the list
    they do not count.
    """

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and BIDS_SIDE_FILE.fullmatch(other) is not None

    __hash__ = str.__hash__


def _register_eeg_feature() -> None:
    if _FEATURE_TYPES.get(Eeg.__name__) is not Eeg:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # register_feature says at each call that it is experimental
            register_feature(Eeg, Eeg.__name__)


def _register_eegfolder() -> None:
    """Enter the builder into the tables of datasets, as its own builders are.

    They are private and there is no other way; datasets.load holds the same objects, so that they must be
    changed in place. Extensions that datasets knows already stay with their builders.
    """
    name, tables = "eegfolder", packaged_modules
    if name in tables._PACKAGED_DATASETS_MODULES:
        return
    source = inspect.getsource(eegfolder).splitlines()
    inferred = [spelt for extension in INFERRED_EXTENSIONS for spelt in (extension, extension.upper())]
    extensions = [spelt for e in eegfolder.EegFolder.EXTENSIONS for spelt in (e, e.upper())]
    parts = [spelt for e in (*PART_EXTENSIONS, *SIDE_TABLE_EXTENSIONS) for spelt in (e, e.upper())]
    for extension in inferred:
        tables._EXTENSION_TO_MODULE.setdefault(extension, (name, {}))
    tables._MODULE_TO_EXTENSIONS[name] = [*extensions, ".zip"]
    tables._MODULE_TO_METADATA_FILE_NAMES[name] = eegfolder.EegFolder.METADATA_FILENAMES
    tables._MODULE_TO_METADATA_EXTENSIONS[name] = parts
    tables._ALL_EXTENSIONS += inferred
    tables._ALL_ALLOWED_EXTENSIONS += [*extensions, *parts]
    tables._ALL_METADATA_FILENAMES.append(_BidsSideFileName("sub-*_*.tsv"))
    tables._PACKAGED_DATASETS_MODULES[name] = (eegfolder.__name__, tables._hash_python_lines(source))


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
