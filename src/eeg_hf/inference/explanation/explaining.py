# SPDX-License-Identifier: Apache-2.0
"""Explain the answers of any classifier or regressor by channel, time and band."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .attributions import Parts, attention_rollout, contrast, integrated_gradients, occlusion
from .band_parts import complete_bands, featureless_noise, split_bands
from .explanation import Explanation

METHODS = ("integrated_gradients", "occlusion", "rollout")
_ALL = {"all": (0.0, float("inf"))}


def explain(
    model: Any,
    features: Mapping[str, torch.Tensor],
    channels: Sequence[str],
    sampling_rate: float,
    *,
    method: str = "integrated_gradients",
    target: str | int | None = None,
    bands: Mapping[str, tuple[float, float]] | None = None,
    step_seconds: float = 0.25,
    num_baselines: int = 4,
    num_steps: int = 16,
    batch_size: int = 64,
    seed: int = 0,
) -> Explanation:
    """Explain the score of a class, by comparison with noise that has no features.

    The noise is pink, as strong as each window and independent between channels: what the answer would be to
    a recording without any rhythm or relation.

    Args:
        model: Classifier or regressor with one task.
        features: Windows as the feature extractor returns them.
        channels: Names of the channels, in order.
        sampling_rate: Of the windows, in Hz.
        method: `"integrated_gradients"`, `"occlusion"` (of each band of each channel) or `"rollout"` of the
            attention, which knows no bands and no classes.
        target: Class by name or index; by default the one with the highest mean score.
        bands: Name -> edges in Hz; delta to gamma by default.
        step_seconds: Length of the stretches whose attributions are summed; occlusion takes the window whole
            where it is longer.
        num_baselines: Draws of the noise, which are averaged.
        num_steps: Points of the integral along each path.
        batch_size: Windows in one forward pass.
        seed: Of the noise.

    Raises:
        ValueError: If the method, the target or a band is unknown, or the model has several tasks.
        ImportError: If captum is not installed.
    """
    if method not in METHODS:
        raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if getattr(model.config, "tasks", None):
        raise ValueError(f"explain: expected a model of one task, got {', '.join(model.config.tasks)}")
    if not step_seconds > 0:
        raise ValueError(f"step_seconds: expected more than 0, got {step_seconds}")
    values = features["input_values"].float()
    if len(channels) != values.shape[1]:
        raise ValueError(f"channels: expected {values.shape[1]} names, got {len(channels)}")
    others = {name: value for name, value in features.items() if name != "input_values"}
    parts, names = take_apart(values, others, sampling_rate, bands, num_baselines, seed)
    outputs = run(model, values, others, batch_size)
    index = choose_target(model, outputs, target)
    parts = Parts(
        parts.signal, parts.baselines, others, torch.full((len(values),), index, device=values.device)
    )
    segments = stretches(values.shape[-1], sampling_rate, step_seconds).to(values.device)
    if method == "rollout":
        shares = attention_rollout(model, values, others)
        found, names = spread(shares, values.shape[-1])[:, None], dict(_ALL)
    elif method == "occlusion":
        found = occlusion(model, parts, segments, batch_size)
    else:
        found = integrated_gradients(model, parts, num_steps, batch_size)
    ends = [
        contrast(run(model, baseline.sum(dim=1), others, batch_size), model.config)[:, index]
        for baseline in parts.baselines
    ]
    return Explanation(
        method=method,
        target=name_target(model, index),
        channels=tuple(channels),
        positions=place_channels(features, len(channels)),
        times=middles(segments, sampling_rate),
        bands=names,
        values=sum_stretches(found, segments).cpu().numpy(),
        spans=[(0.0, values.shape[-1] / sampling_rate)] * len(values),
        outputs=contrast(outputs, model.config)[:, index].cpu().numpy(),
        baseline_outputs=torch.stack(ends).mean(dim=0).cpu().numpy(),
    )


def take_apart(
    values: torch.Tensor,
    others: Mapping[str, torch.Tensor],
    sampling_rate: float,
    bands: Mapping[str, tuple[float, float]] | None,
    num_baselines: int,
    seed: int,
) -> tuple[Parts, dict[str, tuple[float, float]]]:
    """Split windows and their baselines into bands; return them, and the bands with the rest they leave."""
    wanted = complete_bands(bands)
    generator = torch.Generator().manual_seed(seed)
    split = split_bands(values, sampling_rate, wanted)
    names = {name: wanted.get(name, (0.0, sampling_rate / 2)) for name in split}
    noise = [
        featureless_noise(values, others.get("channel_mask"), generator) for _ in range(max(1, num_baselines))
    ]
    baselines = tuple(
        torch.stack([*split_bands(each, sampling_rate, wanted).values()], dim=1) for each in noise
    )
    signal = torch.stack([*split.values()], dim=1)  # (batch, bands, channels, time)
    return Parts(signal, baselines, others, torch.zeros(len(values), dtype=torch.long)), names


@torch.no_grad()
def run(
    model: Any, values: torch.Tensor, others: Mapping[str, torch.Tensor], batch_size: int
) -> torch.Tensor:
    """Return the outputs (windows, labels) float32 of a model."""
    found = []
    for start in range(0, len(values), batch_size):
        rows = slice(start, start + batch_size)
        inputs = {name: value[rows] for name, value in others.items()}
        found.append(model(input_values=values[rows].to(model.dtype), **inputs).logits.float())
    return torch.cat(found)


def choose_target(model: Any, outputs: torch.Tensor, target: str | int | None) -> int:
    """Return the index of the output to explain."""
    if target is None:
        scores = outputs.softmax(dim=-1) if outputs.shape[-1] > 1 else outputs
        return int(scores.mean(dim=0).argmax())
    names = [name_target(model, index) for index in range(outputs.shape[-1])]
    if isinstance(target, str) and target in names:
        return names.index(target)
    if isinstance(target, int) and 0 <= target < len(names):
        return target
    raise ValueError(f"target: expected one of {', '.join(names)}, got {target!r}")


def name_target(model: Any, index: int) -> str:
    """Return the name of an output."""
    return str((model.config.id2label or {}).get(index, index))


def stretches(length: int, sampling_rate: float, seconds: float) -> torch.Tensor:
    """Return the index of the stretch that each sample belongs to, (time,)."""
    return torch.arange(length) // max(1, round(seconds * sampling_rate))


def middles(segments: torch.Tensor, sampling_rate: float) -> np.ndarray:
    """Return the middle of each stretch in seconds, (times,)."""
    segments = segments.cpu()
    places = [np.flatnonzero(segments.numpy() == index).mean() for index in range(int(segments.max()) + 1)]
    return (np.array(places) + 0.5) / sampling_rate


def sum_stretches(found: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    """Sum (batch, bands, channels, time) over stretches to (batch, channels, times, bands)."""
    count = int(segments.max()) + 1
    sums = found.new_zeros(*found.shape[:-1], count).index_add_(-1, segments.to(found.device), found)
    return sums.permute(0, 2, 3, 1).float()


def spread(shares: torch.Tensor, length: int) -> torch.Tensor:
    """Spread shares of patches (batch, channels, patches) over the samples, with the same sum."""
    count = shares.shape[-1]
    patch = (torch.arange(length, device=shares.device) * count // length).clamp(max=count - 1)
    return shares[..., patch] / torch.bincount(patch, minlength=count)[patch]


def place_channels(features: Mapping[str, torch.Tensor], count: int) -> np.ndarray:
    """Return the positions (channels, 3) of the first window; NaN where the features have none."""
    positions = features.get("channel_positions")
    if positions is None:
        return np.full((count, 3), np.nan)
    return positions.reshape(-1, count, 3)[0].float().cpu().numpy()
