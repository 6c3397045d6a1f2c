# SPDX-License-Identifier: Apache-2.0
"""A small codec that reconstructs simulated EEG well without training."""

import torch

from eeg_hf import EEGFSQConfig, EEGFSQModel

FIELDS = {"patch_size": 64, "hidden_dims": [32], "levels": [20, 12, 7, 5, 3, 2], "codes_per_patch": 5}


def make_codec(values, seed=0, **fields):
    """Return a codec whose linear path is fitted to normalised windows (windows, channels, time)."""
    torch.manual_seed(seed)
    codec = EEGFSQModel(EEGFSQConfig(**FIELDS | fields))
    codec.initialize_linear_path(values[..., :384].reshape(-1, 64))
    return codec.eval()
