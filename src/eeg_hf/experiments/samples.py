# SPDX-License-Identifier: Apache-2.0
"""What a masked VAE draws, beside the EEG of people it was not trained on: level, spectrum, neighbours."""

from collections.abc import Mapping

import numpy as np
import torch
from transformers import PreTrainedModel

from ..evaluation import level_differences
from .infilling import BATCH_SIZE, Windows, mean

MAX_FITTED = 1024
"""Windows whose latents are combined, all of which are in memory: 0.2 GB of 19 channels and 5 s."""


def can_draw(model: PreTrainedModel) -> bool:
    """Return whether a model draws signals."""
    return hasattr(model, "sample")


@torch.inference_mode()
def draw_from_prior(model: PreTrainedModel, like: Windows, seed: int) -> np.ndarray:
    """Draw as many windows as there are, of latents that know nothing of each other."""
    generator = torch.Generator().manual_seed(seed)
    num, _, num_samples = like.values.shape
    return model.sample(num, _positions(like), num_samples, generator).float().cpu().numpy()


@torch.inference_mode()
def draw_from_latents(model: PreTrainedModel, like: Windows, train: Windows, seed: int) -> np.ndarray:
    """Draw as many windows, of a normal distribution fitted to the latents of whole training windows.

    Random combinations of the latents have their covariance, across channels and time, which nobody needs to
    compute (a density fitted afterwards: https://arxiv.org/abs/1903.12436).
    """
    generator = torch.Generator().manual_seed(seed)
    means, deviation = _encode(model, train)
    center = means.mean(dim=0)
    weights = torch.randn(len(like.values), len(means), generator=generator) / max(len(means) - 1, 1) ** 0.5
    latents = center + torch.einsum("nw,wcpl->ncpl", weights, means - center)
    latents += deviation * torch.randn(latents.shape, generator=generator)
    rows = latents.split(BATCH_SIZE)
    positions, num_samples = _positions(like).to(model.device), like.values.shape[-1]
    return np.concatenate(
        [model.decode(some.to(model.device), positions, num_samples).float().cpu().numpy() for some in rows]
    )


def judge_samples(windows: Windows, drawn: np.ndarray) -> dict[str, float]:
    """Return how far off the power of each channel is, the mean of |dB|, and how alike neighbours are."""
    levels = level_differences(_pool(windows.values), _pool(drawn), windows.sampling_rate)
    return {
        **{name: mean(np.abs(values)) for name, values in levels.items()},
        "neighbour_correlation": neighbour_correlation(windows, drawn),
    }


def neighbour_correlation(windows: Windows, values: np.ndarray) -> float:
    """Return the mean correlation of each channel with the one whose electrode is nearest."""
    places = _positions(windows).numpy()
    distances = np.linalg.norm(places[:, None] - places, axis=-1)
    np.fill_diagonal(distances, np.inf)
    (pooled,) = _pool(values)
    return float(np.corrcoef(pooled)[np.arange(len(places)), distances.argmin(axis=1)].mean())


def _encode(model: PreTrainedModel, train: Windows) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the means of the latents of windows without bad channels, and their mean deviation."""
    good = train.inputs["channel_mask"].all(dim=1).nonzero()[:MAX_FITTED, 0]
    if not len(good):
        raise ValueError("samples: expected training windows without bad channels, got none")
    found = []
    for rows in good.split(BATCH_SIZE):
        inputs: Mapping = {name: value[rows].to(model.device) for name, value in train.inputs.items()}
        encoded = model.base_model(**inputs)
        found.append((encoded.latent_mean.float().cpu(), encoded.latent_log_variance.float().cpu()))
    means, log_variances = (torch.cat(parts) for parts in zip(*found, strict=True))
    return means, log_variances.exp().mean(dim=0).sqrt()


def _pool(values: np.ndarray) -> np.ndarray:
    """Put windows (windows, channels, time) one after another: (1, channels, windows * time)."""
    return values.swapaxes(0, 1).reshape(1, values.shape[1], -1)


def _positions(windows: Windows) -> torch.Tensor:
    return windows.inputs["channel_positions"][0]
