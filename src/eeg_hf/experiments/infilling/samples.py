# SPDX-License-Identifier: Apache-2.0
"""Signals sampled from a masked VAE, compared with EEG: level, spectrum, neighbours."""

from typing import Any

import numpy as np
import torch

from ...evaluation import level_differences
from .filling import BATCH_SIZE, Windows, mean

MAX_FITTED = 1024
"""Windows whose latents are combined, all of them in memory: 0.2 GB for 19 channels and 5 s."""


@torch.inference_mode()
def sample_prior(model: Any, like: Windows, seed: int) -> np.ndarray:
    """Sample as many windows from the prior, whose latents are independent of each other."""
    generator = torch.Generator().manual_seed(seed)
    num, _, num_samples = like.values.shape
    return model.sample(num, _positions(like), num_samples, generator).float().cpu().numpy()


@torch.inference_mode()
def sample_latents(model: Any, like: Windows, train: Windows, seed: int) -> np.ndarray:
    """Sample as many windows from a normal distribution fitted to the latents of training windows.

    Random combinations of the latents have their covariance across channels and time, which is therefore
    never computed (a density fitted afterwards: https://arxiv.org/abs/1903.12436).
    """
    generator = torch.Generator().manual_seed(seed)
    means, deviation = _encode(model, train)
    center = means.mean(dim=0)
    weights = torch.randn(len(like.values), len(means), generator=generator) / max(len(means) - 1, 1) ** 0.5
    latents = center + torch.einsum("nw,wcpl->ncpl", weights, means - center)
    latents += deviation * torch.randn(latents.shape, generator=generator)
    positions, num_samples = _positions(like).to(model.device), like.values.shape[-1]
    return np.concatenate(
        [
            model.decode(some.to(model.device), positions, num_samples).float().cpu().numpy()
            for some in latents.split(BATCH_SIZE)
        ]
    )


def judge_samples(windows: Windows, samples: np.ndarray) -> dict[str, float]:
    """Return the error of each channel's power, the mean of |dB|, and the correlation of neighbours."""
    levels = level_differences(_pool(windows.values), _pool(samples), windows.sampling_rate)
    return {
        **{name: mean(np.abs(values)) for name, values in levels.items()},
        "neighbour_correlation": neighbour_correlation(windows, samples),
    }


def neighbour_correlation(windows: Windows, values: np.ndarray) -> float:
    """Return the mean correlation of each channel with the channel of the nearest electrode."""
    places = _positions(windows).numpy()
    distances = np.linalg.norm(places[:, None] - places, axis=-1)
    np.fill_diagonal(distances, np.inf)
    (pooled,) = _pool(values)
    return float(np.corrcoef(pooled)[np.arange(len(places)), distances.argmin(axis=1)].mean())


def _encode(model: Any, train: Windows) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the latent means of windows without bad channels, and their mean deviation."""
    good = train.inputs["channel_mask"].all(dim=1).nonzero()[:MAX_FITTED, 0]
    if not len(good):
        raise ValueError("samples: expected training windows without bad channels, got none")
    found = []
    for rows in good.split(BATCH_SIZE):
        inputs = {name: value[rows].to(model.device) for name, value in train.inputs.items()}
        encoded = model.base_model(**inputs)
        found.append((encoded.latent_mean.float().cpu(), encoded.latent_log_variance.float().cpu()))
    means, log_variances = (torch.cat(parts) for parts in zip(*found, strict=True))
    return means, log_variances.exp().mean(dim=0).sqrt()


def _pool(values: np.ndarray) -> np.ndarray:
    """Concatenate windows (windows, channels, time) in time: (1, channels, windows * time)."""
    return values.swapaxes(0, 1).reshape(1, values.shape[1], -1)


def _positions(windows: Windows) -> torch.Tensor:
    return windows.inputs["channel_positions"][0]
