# SPDX-License-Identifier: Apache-2.0
"""Hidden stretches of the windows of one corpus: methods that fill them in, and their scores."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoConfig, AutoModelForPreTraining

from ...collation import EEGDataCollator, WindowDataset
from ...evaluation import WienerInfilling, hidden_scores, interpolate_linearly, level_differences
from ...models.masking import random_stretch_mask
from ...processing.feature_extraction_eeg import EEGFeatureExtractor

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BATCH_SIZE = 64
SIGNAL_SETTINGS = ("sampling_rate", "normalization", "clip", "alignment")
"""Settings that a model and a corpus must share; filters may differ before an alignment."""
PATCH_SECONDS = 0.25
"""Patch of the linear estimate; on EEGMAT 0.125 s, 0.5 s and a context of 1.25 s are no better."""


@dataclass(frozen=True)
class Windows:
    """Windows of one montage in memory.

    Attributes:
        inputs: Inputs of a model: `input_values` (windows, channels, time), normalised, and the others.
        subjects: Subject of each window, (windows,).
        channels: Names of the channels.
        sampling_rate: In Hz.
    """

    inputs: dict[str, torch.Tensor]
    subjects: np.ndarray
    channels: list[str]
    sampling_rate: float

    @property
    def values(self) -> np.ndarray:
        """The signals (windows, channels, time)."""
        return self.inputs["input_values"].numpy()

    @property
    def is_real(self) -> torch.Tensor:
        """Whether each sample is of a good channel, (windows, channels, time)."""
        return self.inputs["channel_mask"][:, :, None].expand(self.inputs["input_values"].shape)


Filler = Callable[[Windows, np.ndarray], np.ndarray]
"""Windows and the mask of the hidden samples (windows, channels, time) -> signals of the same shape."""


def read_windows(rows: Dataset, extractor: EEGFeatureExtractor, most: int, seed: int) -> Windows:
    """Read windows, a random choice if there are more than `most` (0 for all).

    Raises:
        ValueError: If the windows differ in montage or length.
    """
    montages, lengths = {tuple(names) for names in rows["channels"]}, set(rows["num_samples"])
    if len(montages) > 1 or len(lengths) > 1:
        raise ValueError(
            f"data: expected windows of one montage and one length, got {len(montages)} montages and "
            f"{sorted(lengths)} samples"
        )
    rows = rows.select(np.sort(np.random.default_rng(seed).permutation(len(rows))[: most or None]))
    windows, collator = WindowDataset(rows), EEGDataCollator(extractor)
    batches = [
        collator(windows.__getitems__([*range(start, min(start + BATCH_SIZE, len(rows)))]))
        for start in range(0, len(rows), BATCH_SIZE)
    ]
    inputs = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    return Windows(inputs, np.array(rows["subject"]), [*montages.pop()], extractor.sampling_rate)


def draw_masks(windows: Windows, stretch_seconds: float, ratio: float, seed: int) -> np.ndarray:
    """Return the samples to hide, (windows, channels, time): random stretches of single channels."""
    size = round(stretch_seconds * windows.sampling_rate)
    *rows, num_samples = windows.values.shape
    if not 0 < ratio < 1 or not 0 < size < num_samples:
        raise ValueError(
            f"expected mask_ratios between 0 and 1 and stretches shorter than a window of {num_samples} "
            f"samples, got {ratio} and {size}"
        )
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(*rows, -(-num_samples // size), generator=generator)
    return random_stretch_mask(windows.is_real, stretch_size=size, mask_ratio=ratio, noise=noise).numpy()


def fill_linearly(windows: Windows, mask: np.ndarray) -> np.ndarray:
    """Fill in straight lines."""
    return interpolate_linearly(windows.values, mask)


def fit_wiener(train: Windows) -> Filler:
    """Return a filler with the Gaussian conditional mean; bad channels count as hidden."""
    wiener = WienerInfilling(round(PATCH_SECONDS * train.sampling_rate)).fit(train.values)
    return lambda windows, mask: wiener.fill(windows.values, mask | ~windows.is_real.numpy())


def load_model(folder: Path, extractor: EEGFeatureExtractor) -> Any:
    """Return a model that reconstructs signals; refuse one that was trained on other signals."""
    theirs, ours = EEGFeatureExtractor.from_pretrained(folder).to_dict(), extractor.to_dict()
    for name in SIGNAL_SETTINGS:
        if theirs[name] != ours[name]:
            raise ValueError(
                f"{folder}: trained with {name} {theirs[name]}, the corpus here has {ours[name]}"
            )
    config = AutoConfig.from_pretrained(folder)
    if not (config.model_type == "eeg_masked_vae" or getattr(config, "predicts_signal", False)):
        raise ValueError(
            f"{folder}: expected a model that reconstructs signals (eeg-hf pretrain), got {config.model_type}"
        )
    return AutoModelForPreTraining.from_pretrained(folder).to(DEVICE).eval()


def fill_with(model: Any) -> Filler:
    """Return a filler that reconstructs windows with a model."""

    @torch.inference_mode()
    def fill(windows: Windows, mask: np.ndarray) -> np.ndarray:
        filled = []
        for start in range(0, len(mask), BATCH_SIZE):
            rows = slice(start, start + BATCH_SIZE)
            inputs = {name: value[rows].to(DEVICE) for name, value in windows.inputs.items()}
            hidden = torch.from_numpy(mask[rows]).to(DEVICE)
            filled.append(model(**inputs, mask=hidden).reconstruction.float().cpu())
        return torch.cat(filled).numpy()

    return fill


def judge_hidden(windows: Windows, filled: np.ndarray, mask: np.ndarray) -> dict[str, Any]:
    """Return the mean scores of the hidden samples, those of each subject, and each channel's correlation."""
    scores = hidden_scores(windows.values, filled, mask)
    correlation = scores["correlation"]  # (windows, channels), NaN where nothing is hidden
    return {
        **{name: mean(values) for name, values in scores.items()},
        "num_undefined": int(np.isnan(correlation[mask.any(axis=-1)]).sum()),
        "by_subject": by_subject(windows, correlation),
        "nrmse_by_subject": by_subject(windows, scores["nrmse_std"]),
        "by_channel": dict(zip(windows.channels, map(mean, correlation.T), strict=True)),
    }


def by_subject(windows: Windows, scores: np.ndarray) -> dict[str, float]:
    """Return the mean score (windows, channels) of each subject."""
    return {
        str(subject): mean(scores[windows.subjects == subject]) for subject in np.unique(windows.subjects)
    }


def judge_levels(windows: Windows, output: np.ndarray) -> dict[str, float]:
    """Return the errors of amplitude and band power: the mean of |dB| over channels of windows."""
    levels = level_differences(windows.values, output, windows.sampling_rate)
    is_real = windows.inputs["channel_mask"].numpy()
    return {name: mean(np.abs(values[is_real])) for name, values in levels.items()}


def mean(values: np.ndarray) -> float:
    """Return the mean of the defined values."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan
