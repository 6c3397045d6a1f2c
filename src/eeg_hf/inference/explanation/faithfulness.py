# SPDX-License-Identifier: Apache-2.0
"""Whether an explanation is one: does the answer depend on what it names, and does it depend on the model?"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from .explaining import choose_target, explain, run, take_apart
from .explanation import Explanation


@dataclass(frozen=True)
class Faithfulness:
    """Deletion and insertion curves beside those of random orders (Petsiuk et al. 2018, arXiv 1806.07421).

    Attributes:
        shares: (points,), share of the cells (channel and band) deleted or inserted.
        deletion: (points,), mean score of the class while the most important cells are replaced by noise.
        insertion: (points,), the same while they are put into noise.
        random_deletion: (orders, points).
        random_insertion: (orders, points).
    """

    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    random_deletion: np.ndarray
    random_insertion: np.ndarray

    @property
    def summary(self) -> dict[str, float]:
        """Areas under the curves: a faithful explanation deletes below, and inserts above, random orders."""
        return {
            "deletion": _area(self.deletion),
            "random_deletion": float(np.mean([_area(each) for each in self.random_deletion])),
            "insertion": _area(self.insertion),
            "random_insertion": float(np.mean([_area(each) for each in self.random_insertion])),
            "better_than_random": float(
                np.mean([_area(each) > _area(self.deletion) for each in self.random_deletion])
                + np.mean([_area(each) < _area(self.insertion) for each in self.random_insertion])
            )
            / 2,
        }


def measure_faithfulness(
    model: Any,
    features: Mapping[str, torch.Tensor],
    explanation: Explanation,
    sampling_rate: float,
    *,
    num_points: int = 11,
    num_orders: int = 10,
    batch_size: int = 64,
    seed: int = 1,
) -> Faithfulness:
    """Replace the cells of channel and band by noise in the order of an explanation, and of chance.

    Each window has its own order. The noise is drawn anew: it is not the one that the explanation saw.

    Args:
        model: The classifier explained.
        features: The windows explained.
        explanation: With bands, hence not of a rollout.
        sampling_rate: Of the windows, in Hz.
        num_points: Points of a curve.
        num_orders: Random orders.
        batch_size: Windows in one forward pass.
        seed: Of the noise and of the random orders.
    """
    values = features["input_values"].float()
    others = {name: value for name, value in features.items() if name != "input_values"}
    bands = {name: edges for name, edges in explanation.bands.items() if name != "rest"}
    parts, _ = take_apart(values, others, sampling_rate, bands, 1, seed)
    index = choose_target(
        model, run(model, values[:1], {k: v[:1] for k, v in others.items()}, 1), explanation.target
    )
    cells = torch.from_numpy(explanation.values.sum(axis=2)).transpose(1, 2)  # (windows, bands, channels)
    orders = [torch.argsort(-cells.flatten(1), dim=1)]
    generator = torch.Generator().manual_seed(seed)
    orders += [
        torch.argsort(torch.rand(cells.flatten(1).shape, generator=generator), dim=1)
        for _ in range(num_orders)
    ]
    shares = np.linspace(0, 1, num_points)

    def curve(order: torch.Tensor, is_deleted: bool) -> np.ndarray:
        ranks = torch.argsort(order, dim=1).view(cells.shape).to(values.device)
        points = []
        for share in shares:
            chosen = (ranks < round(share * order.shape[1]))[..., None]  # (windows, bands, channels, 1)
            first, second = (
                (parts.baselines[0], parts.signal) if is_deleted else (parts.signal, parts.baselines[0])
            )
            mixed = torch.where(chosen, first, second).sum(dim=1)
            points.append(float(_score(run(model, mixed, others, batch_size), index).mean()))
        return np.array(points)

    deleted = [curve(order, True) for order in orders]
    inserted = [curve(order, False) for order in orders]
    return Faithfulness(shares, deleted[0], inserted[0], np.array(deleted[1:]), np.array(inserted[1:]))


def compare_with_random_weights(
    model: Any,
    features: Mapping[str, torch.Tensor],
    channels: Sequence[str],
    sampling_rate: float,
    *,
    num_draws: int = 3,
    seed: int = 0,
    **options: Any,
) -> float:
    """Explain models whose weights are shuffled, and compare (Adebayo et al. 2018, arXiv 1810.03292).

    Args:
        model: The classifier.
        features: The windows.
        channels: Names of the channels.
        sampling_rate: Of the windows, in Hz.
        num_draws: Shuffled models.
        seed: Of the shuffles.
        **options: As of [`explain`].

    Returns:
        Mean absolute Spearman correlation between the map (channels, bands) of the model and those of models
        whose weights are the same numbers at other places. Near 1 says that the method shows the data and not
        the model.
    """
    own = explain(model, features, channels, sampling_rate, **options)
    options = {**options, "target": own.target}
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(num_draws):
        shuffled = copy.deepcopy(model)
        with torch.no_grad():
            for weight in shuffled.parameters():
                order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
                weight.copy_(weight.flatten()[order].view(weight.shape))
        other = explain(shuffled, features, channels, sampling_rate, **options)
        pair = (own.by_channel_and_band.ravel(), other.by_channel_and_band.ravel())
        found.append(abs(float(spearmanr(*pair).statistic)))
    return float(np.mean(found))


def _score(outputs: torch.Tensor, index: int) -> torch.Tensor:
    """Return the probability of a class, or the value of a regression, (windows,)."""
    return outputs.softmax(dim=-1)[:, index] if outputs.shape[-1] > 1 else outputs[:, index]


def _area(curve: np.ndarray) -> float:
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))
