# SPDX-License-Identifier: Apache-2.0
"""EEG foundation models as a native part of the Hugging Face ecosystem.

Once the package is imported, the Auto classes of transformers know its models and its feature extractor.
Public names are imported on first use, so `import eeg_hf` imports neither torch nor transformers.
"""

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .import_hooks import when_imported

__version__ = "0.1.0"

# Public names by the module that defines them, in the order of a project: from recordings to the Hub.
# docs/reference has a page for each group.
_PUBLIC_NAMES = {
    # Signals: the contract between recordings and models
    "EEGFeatureExtractor": "processing.feature_extraction_eeg",
    "StreamingExtractor": "processing.streaming",
    "StreamWindow": "processing.stream_window",
    "Calibration": "processing.calibration",
    "calibrate": "processing.calibration",
    "EEGPreprocessor": "processing.eeg_preprocessor",
    # Corpora: from recordings to windows
    "Eeg": "corpora.recordings.eeg_feature",
    "read_recording": "corpora.recordings.formats",
    "get_corpus": "corpora",
    "prepare": "corpora.windows.prepare",
    "load_windows": "corpora.windows.prepared",
    "split_windows": "corpora.windows.split_methods",
    "audit": "corpora.windows.audit",
    # Batches: from windows to model inputs
    "WindowDataset": "collation",
    "EEGDataCollator": "collation",
    "EEGPreTrainingCollator": "collation",
    "MixupCollator": "collation",
    "PairColumns": "collation",
    "EEGTokenizerCollator": "collation",
    # Models
    "bundled": "bundled_weights",
    "bundled_names": "bundled_weights",
    "create_model": "auto",
    "EEGFoundationConfig": "models.configuration_eeg_foundation",
    "EEGFoundationModel": "models.modeling_eeg_foundation",
    "EEGFoundationForPreTraining": "models.modeling_eeg_foundation",
    "EEGFoundationForSequenceClassification": "models.modeling_eeg_foundation",
    "EEGFSQConfig": "models.configuration_eeg_fsq",
    "EEGFSQModel": "models.modeling_eeg_fsq",
    "EEGMaskedVAEConfig": "models.configuration_eeg_masked_vae",
    "EEGMaskedVAEModel": "models.modeling_eeg_masked_vae",
    "EEGMaskedVAEForPreTraining": "models.modeling_eeg_masked_vae",
    "EEGCLIPConfig": "models.configuration_eeg_clip",
    "EEGCLIPModel": "models.modeling_eeg_clip",
    "EEGConvTransformerConfig": "models.configuration_eeg_conv_transformer",
    "EEGConvTransformerModel": "models.modeling_eeg_conv_transformer",
    "ResNet1dGRUConfig": "models.configuration_resnet1d_gru",
    "ResNet1dGRUModel": "models.modeling_resnet1d_gru",
    "ResNet1dGRUForSequenceClassification": "models.modeling_resnet1d_gru",
    "EEGClassicalConfig": "models.configuration_eeg_classical",
    "EEGClassicalModel": "models.modeling_eeg_classical",
    "EEGClassicalForSequenceClassification": "models.modeling_eeg_classical",
    "HMSEnsembleConfig": "models.configuration_hms_ensemble",
    "HMSEnsembleModel": "models.modeling_hms_ensemble",
    "BraindecodeConfig": "models.configuration_braindecode",
    "BraindecodeModel": "models.modeling_braindecode",
    "BraindecodeForSequenceClassification": "models.modeling_braindecode",
    # Training: the Trainer, and what pretraining objectives are made of
    "EEGTrainer": "training.trainer",
    "EEGClassifier": "experiments.estimators.estimators",
    "EEGRegressor": "experiments.estimators.estimators",
    "EEGTransformer": "experiments.estimators.estimators",
    "InfoNCE": "models.objective_two_views",
    "MovieISCLoss": "models.objective_same_stimulus",
    "HBN_AUXILIARY_TASKS": "models.objective_auxiliary",
    "describe_pairs": "models.stimulus_pairs",
    "random_stretch_mask": "models.masking",
    # From a folder to a report
    "study": "cli.study",
    # Inference: tokens of a codec; labels and embeddings come from transformers.pipeline
    "RecordingTokens": "inference.recording_tokens",
    "encode_recording": "inference.recording_tokens",
    "decode_recording": "inference.recording_tokens",
    "add_tokens": "inference.window_tokens",
    "tokens_to_signal": "inference.window_tokens",
    "StreamClassifier": "inference.stream_classifier",
    # Hub: versions of models
    "push": "hub.push",
    "pull": "hub.pull",
    "LocalRegistry": "hub.registry",
    # Images that subjects saw
    "ImageEmbeddings": "images.image_embeddings",
    "create_vision_tower": "images.vision_towers",
    "EEGImageCollator": "images.eeg_image_collator",
    "EEGImageReconstructor": "images.image_reconstructor",
    "ImageDiffusion": "images.image_diffusion",
}

# Packages with further public names, reachable as attributes after `import eeg_hf`
_PACKAGES = frozenset(
    ["processing", "corpora", "collation", "models", "training", "evaluation", "inference", "hub", "images"]
)

__all__ = ["__version__", *_PUBLIC_NAMES]

if TYPE_CHECKING:
    from . import collation, corpora, evaluation, hub, images, inference, models, processing, training
    from .auto import create_model
    from .bundled_weights import bundled, bundled_names
    from .cli.study import study
    from .collation import (
        EEGDataCollator,
        EEGPreTrainingCollator,
        EEGTokenizerCollator,
        MixupCollator,
        PairColumns,
        WindowDataset,
    )
    from .corpora import get_corpus
    from .corpora.recordings.eeg_feature import Eeg
    from .corpora.recordings.formats import read_recording
    from .corpora.windows.audit import audit
    from .corpora.windows.prepare import prepare
    from .corpora.windows.prepared import load_windows
    from .corpora.windows.split_methods import split_windows
    from .experiments.estimators.estimators import EEGClassifier, EEGRegressor, EEGTransformer
    from .hub.pull import pull
    from .hub.push import push
    from .hub.registry import LocalRegistry
    from .images.eeg_image_collator import EEGImageCollator
    from .images.image_diffusion import ImageDiffusion
    from .images.image_embeddings import ImageEmbeddings
    from .images.image_reconstructor import EEGImageReconstructor
    from .images.vision_towers import create_vision_tower
    from .inference.recording_tokens import RecordingTokens, decode_recording, encode_recording
    from .inference.stream_classifier import StreamClassifier
    from .inference.window_tokens import add_tokens, tokens_to_signal
    from .models.configuration_braindecode import BraindecodeConfig
    from .models.configuration_eeg_classical import EEGClassicalConfig
    from .models.configuration_eeg_clip import EEGCLIPConfig
    from .models.configuration_eeg_conv_transformer import EEGConvTransformerConfig
    from .models.configuration_eeg_foundation import EEGFoundationConfig
    from .models.configuration_eeg_fsq import EEGFSQConfig
    from .models.configuration_eeg_masked_vae import EEGMaskedVAEConfig
    from .models.configuration_hms_ensemble import HMSEnsembleConfig
    from .models.configuration_resnet1d_gru import ResNet1dGRUConfig
    from .models.masking import random_stretch_mask
    from .models.modeling_braindecode import BraindecodeForSequenceClassification, BraindecodeModel
    from .models.modeling_eeg_classical import EEGClassicalForSequenceClassification, EEGClassicalModel
    from .models.modeling_eeg_clip import EEGCLIPModel
    from .models.modeling_eeg_conv_transformer import EEGConvTransformerModel
    from .models.modeling_eeg_foundation import (
        EEGFoundationForPreTraining,
        EEGFoundationForSequenceClassification,
        EEGFoundationModel,
    )
    from .models.modeling_eeg_fsq import EEGFSQModel
    from .models.modeling_eeg_masked_vae import EEGMaskedVAEForPreTraining, EEGMaskedVAEModel
    from .models.modeling_hms_ensemble import HMSEnsembleModel
    from .models.modeling_resnet1d_gru import ResNet1dGRUForSequenceClassification, ResNet1dGRUModel
    from .models.objective_auxiliary import HBN_AUXILIARY_TASKS
    from .models.objective_same_stimulus import MovieISCLoss
    from .models.objective_two_views import InfoNCE
    from .models.stimulus_pairs import describe_pairs
    from .processing.calibration import Calibration, calibrate
    from .processing.eeg_preprocessor import EEGPreprocessor
    from .processing.feature_extraction_eeg import EEGFeatureExtractor
    from .processing.stream_window import StreamWindow
    from .processing.streaming import StreamingExtractor
    from .training.trainer import EEGTrainer


# Classes of scripts from before this library, and what does their work here
_ELSEWHERE = {
    "MixedDataset": "eeg_hf.corpora.mixture({tuh_folder: 0.3, hbn_folder: 0.7}) mixes prepared corpora, and "
    "so does `mixture` in a recipe of eeg-hf pretrain",
    "ContrastiveDataModule": "eeg_hf.training.PairSampler draws pairs and eeg_hf.collation.PairColumns "
    "collates them; eeg-hf pretrain contrast_simulated shows how",
}


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f".{name}", __name__)  # which sets the attribute
    if name in _ELSEWHERE:
        raise ImportError(f"eeg_hf has no {name}: {_ELSEWHERE[name]}")
    if name not in _PUBLIC_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC_NAMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_PACKAGES])


def _register(function: str) -> None:
    getattr(import_module(".auto", __name__), function)()


# Each function of auto.py waits until its registry is imported; none of them causes an import
for _module, _function in {
    "transformers.models.auto.configuration_auto": "register_configs",
    "transformers.models.auto.feature_extraction_auto": "register_feature_extractor",
    "transformers.models.auto.modeling_auto": "register_models",
    "transformers.conversion_mapping": "register_conversions",
    "transformers.pipelines": "register_pipelines",
    "eeg_hf.inference.pipelines": "register_pipelines",  # where it is what imports the one above
    "datasets": "register_recordings",
    "eeg_hf.models.vision_registry": "register_vision_towers",
}.items():
    when_imported(_module, partial(_register, _function))
