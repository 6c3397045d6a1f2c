# SPDX-License-Identifier: Apache-2.0
"""From windows to batches: datasets of windows, collators, augmentation."""

from .augmentation import DEFAULT_VIEW, Transform
from .data_collator import EEGDataCollator
from .mixup_collator import MixupCollator
from .pair_columns import PairColumns
from .pretraining_collator import EEGPreTrainingCollator
from .tokenizer_collator import EEGTokenizerCollator, real_patches, sample_patches
from .window_arrays import decode_windows
from .window_dataset import SIGNAL_COLUMNS, WindowDataset

__all__ = [
    "DEFAULT_VIEW",
    "SIGNAL_COLUMNS",
    "EEGDataCollator",
    "EEGPreTrainingCollator",
    "EEGTokenizerCollator",
    "MixupCollator",
    "PairColumns",
    "Transform",
    "WindowDataset",
    "decode_windows",
    "real_patches",
    "sample_patches",
]
