# SPDX-License-Identifier: Apache-2.0
"""EEG foundation models as a native part of the Hugging Face ecosystem.

Once the package is imported, the Auto classes of transformers know its models and its feature extractor.
Public names are imported on first use, so `import eeg_hf` imports neither torch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .import_hooks import when_imported

__version__ = "0.1.0"

_PUBLIC_NAMES = {
    "EEGFeatureExtractor": "processing.feature_extraction_eeg",
    "EEGPreprocessor": "processing.eeg_preprocessor",
    "EEGDataCollator": "collation",
    "EEGPreTrainingCollator": "collation",
    "MixupCollator": "collation",
    "PairColumns": "collation",
    "WindowDataset": "collation",
    "EEGFoundationConfig": "models.configuration_eeg_foundation",
    "EEGFoundationForPreTraining": "models.modeling_eeg_foundation",
    "EEGFoundationForSequenceClassification": "models.modeling_eeg_foundation",
    "EEGFoundationModel": "models.modeling_eeg_foundation",
    "HBN_AUXILIARY_TASKS": "models.objective_auxiliary",
    "describe_pairs": "models.stimulus_pairs",
    "InfoNCE": "models.objective_two_views",
    "random_stretch_mask": "models.masking",
    "MovieISCLoss": "models.objective_same_stimulus",
    "EEGCLIPConfig": "models.configuration_eeg_clip",
    "EEGCLIPModel": "models.modeling_eeg_clip",
    "EEGConvTransformerConfig": "models.configuration_eeg_conv_transformer",
    "EEGConvTransformerModel": "models.modeling_eeg_conv_transformer",
    "EEGImageCollator": "images.eeg_image_collator",
    "ImageEmbeddings": "images.image_embeddings",
    "create_vision_tower": "images.vision_towers",
    "EEGFSQConfig": "models.configuration_eeg_fsq",
    "EEGFSQModel": "models.modeling_eeg_fsq",
    "EEGMaskedVAEConfig": "models.configuration_eeg_masked_vae",
    "EEGMaskedVAEForPreTraining": "models.modeling_eeg_masked_vae",
    "EEGMaskedVAEModel": "models.modeling_eeg_masked_vae",
    "EEGTokenizerCollator": "collation",
    "RecordingTokens": "inference.recording_tokens",
    "add_tokens": "inference.window_tokens",
    "decode_recording": "inference.recording_tokens",
    "encode_recording": "inference.recording_tokens",
    "tokens_to_signal": "inference.window_tokens",
    "EEGImageReconstructor": "images.image_reconstructor",
    "ImageDiffusion": "images.image_diffusion",
    "Eeg": "corpora.recordings.eeg_feature",
    "get_corpus": "corpora",
    "create_model": "auto",
}

__all__ = ["__version__", *_PUBLIC_NAMES]

if TYPE_CHECKING:
    from .auto import create_model
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
    from .images.eeg_image_collator import EEGImageCollator
    from .images.image_diffusion import ImageDiffusion
    from .images.image_embeddings import ImageEmbeddings
    from .images.image_reconstructor import EEGImageReconstructor
    from .images.vision_towers import create_vision_tower
    from .inference.recording_tokens import RecordingTokens, decode_recording, encode_recording
    from .inference.window_tokens import add_tokens, tokens_to_signal
    from .models.configuration_eeg_clip import EEGCLIPConfig
    from .models.configuration_eeg_conv_transformer import EEGConvTransformerConfig
    from .models.configuration_eeg_foundation import EEGFoundationConfig
    from .models.configuration_eeg_fsq import EEGFSQConfig
    from .models.configuration_eeg_masked_vae import EEGMaskedVAEConfig
    from .models.masking import random_stretch_mask
    from .models.modeling_eeg_clip import EEGCLIPModel
    from .models.modeling_eeg_conv_transformer import EEGConvTransformerModel
    from .models.modeling_eeg_foundation import (
        EEGFoundationForPreTraining,
        EEGFoundationForSequenceClassification,
        EEGFoundationModel,
    )
    from .models.modeling_eeg_fsq import EEGFSQModel
    from .models.modeling_eeg_masked_vae import EEGMaskedVAEForPreTraining, EEGMaskedVAEModel
    from .models.objective_auxiliary import HBN_AUXILIARY_TASKS
    from .models.objective_same_stimulus import MovieISCLoss
    from .models.objective_two_views import InfoNCE
    from .models.stimulus_pairs import describe_pairs
    from .processing.eeg_preprocessor import EEGPreprocessor
    from .processing.feature_extraction_eeg import EEGFeatureExtractor


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_PUBLIC_NAMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _register() -> None:
    import_module(".auto", __name__)  # registers at its end; nothing happens while it is being imported


# Everything that needs the Auto classes of transformers imports this module of it; nothing is imported before
when_imported("transformers.models.auto.configuration_auto", _register)
