# SPDX-License-Identifier: Apache-2.0
"""What each band and each pair of electrodes adds to the logit of a linear head, exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...models.second_order import mean_over_stretches
from ...models.spatial_basis import spatial_matrix
from .explaining import choose_target, name_target, place_channels
from .explanation import describe_edges, draw_head

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PairContributions:
    """Contributions of bands and pairs of electrodes to the logit of one class.

    A linear head on second-order vectors is a sum over the entries of the logarithm of each band's matrix.
    Where these are of spatial components, they are written in electrodes by the pattern of the components;
    the sum stays the same: `values.sum() + other == output` for each window.

    Attributes:
        target: The class.
        channels: Names of the channels.
        positions: (channels, 3) in metres in the head frame.
        bands: Edges of each band in Hz.
        values: (windows, bands, channels, channels) float32, symmetric; on the diagonal, power.
        other: (windows,), what the head adds beside them: bias, embedding, time course, and components
            that the electrodes cannot tell apart.
        outputs: (windows,), the logit.
    """

    target: str
    channels: tuple[str, ...]
    positions: np.ndarray
    bands: tuple[tuple[float, float], ...]
    values: np.ndarray
    other: np.ndarray
    outputs: np.ndarray

    def most_important(self, count: int = 10) -> list[dict[str, Any]]:
        """Return the bands and pairs with the largest absolute contribution, averaged over windows."""
        rows, columns = np.triu_indices(len(self.channels))
        mean = self.values.mean(axis=0)
        table = mean[:, rows, columns] * np.where(
            rows == columns, 1.0, 2.0
        )  # a pair stands in both triangles
        order = np.argsort(-np.abs(table), axis=None)[:count]
        cells = [np.unravel_index(index, table.shape) for index in order]
        return [
            {
                "band": list(self.bands[band]),
                "channels": [self.channels[rows[pair]], self.channels[columns[pair]]],
                "value": float(table[band, pair]),
            }
            for band, pair in cells
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the means over windows as lists and numbers that JSON holds."""
        return {
            "method": "exact",
            "target": self.target,
            "channels": list(self.channels),
            "bands": [list(edges) for edges in self.bands],
            "values": np.round(self.values.mean(axis=0).astype(float), 7).tolist(),
            "other": float(self.other.mean()),
            "output": float(self.outputs.mean()),
            "most_important": self.most_important(),
        }

    def plot_topomap(self) -> "Figure":
        """Draw one head for each band: the contributions of the pairs that an electrode belongs to."""
        from matplotlib.figure import Figure

        shares = self.values.mean(axis=0).sum(axis=-1)  # (bands, channels): each pair gives half to either
        columns = min(6, len(shares))
        rows = -(-len(shares) // columns)
        figure = Figure(figsize=(1.9 * columns + 0.8, 2.3 * rows + 0.4), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        limit = float(np.abs(shares).max())
        drawn: Any = None
        for axis, values, edges in zip(axes, shares, self.bands, strict=False):
            drawn = draw_head(axis, values, self.channels, self.positions, limit)
            axis.set_title(describe_edges(edges), fontsize=9)
        for axis in axes[len(shares) :]:
            axis.set_axis_off()
        figure.colorbar(drawn, ax=list(axes), shrink=0.6, label="contribution to the logit")
        figure.suptitle(f"{self.target}: pairs of electrodes, mean of {len(self.values)} windows")
        return figure


@torch.no_grad()
def explain_pairs(
    model: Any, features: Mapping[str, torch.Tensor], channels: Sequence[str], target: str | int | None = None
) -> PairContributions:
    """Take the logit of a linear head on second-order vectors apart.

    Args:
        model: Classifier with second-order tokens (`EEGFoundationForSequenceClassification`).
        features: Windows as the feature extractor returns them.
        channels: Names of the channels, in order.
        target: Class by name or index; by default the one with the highest mean score.

    Raises:
        ValueError: If the model has no such head.
    """
    if not hasattr(model, "band_classifier") or getattr(model.config, "channel_adapter", "none") != "none":
        raise ValueError(
            f"pairs: {type(model).__name__} has no linear head on second-order vectors of the channels "
            "themselves: use explain(method='integrated_gradients')"
        )
    if not model.band_classifier.weight.any():
        raise ValueError(
            "pairs: the head of this model reads nothing of the second-order vectors, but the time course or "
            "the embedding: use explain(method='integrated_gradients')"
        )
    inputs = {**features, "input_values": features["input_values"].to(model.dtype)}
    logits = model(**inputs).logits.float()
    index = choose_target(model, logits, target)
    vectors, is_real = model.model.second_order_features(**inputs)
    vectors = mean_over_stretches(vectors.float(), is_real)  # (windows, bands, features)
    weight = model.band_classifier.weight[index].float().view(vectors.shape[1:])
    if model.config.num_labels == 1:  # in the unit of the labels
        weight = weight * model.config.regression_std
    # (windows, components, channels)
    basis = spatial_matrix(model.config, inputs["channel_positions"], inputs.get("channel_mask"))
    values = _to_channels(vectors, weight, basis, model.config.second_order_split)
    values = 0.5 * (values + values.mT)
    return PairContributions(
        target=name_target(model, index),
        channels=tuple(channels),
        positions=place_channels(features, len(channels)),
        bands=tuple((float(low), float(high)) for low, high in model.config.second_order_bands),
        values=values.cpu().numpy(),
        other=(logits[:, index] - values.sum(dim=(1, 2, 3))).cpu().numpy(),
        outputs=logits[:, index].cpu().numpy(),
    )


def _to_channels(
    vectors: torch.Tensor, weight: torch.Tensor, basis: torch.Tensor, has_power: bool
) -> torch.Tensor:
    """Write sums over components as sums over pairs of channels.

    With P the pattern of the components (channels x components, the pseudo-inverse of the basis), the sum of
    the entries of G * L equals that of (Q^T G Q) * (P L P^T), Q P being the identity.

    Args:
        vectors: (windows, bands, features).
        weight: (bands, features).
        basis: (windows, components, channels).
        has_power: Whether the last features are the log power of the components.

    Returns:
        (windows, bands, channels, channels).
    """
    size = basis.shape[1]
    pattern = torch.linalg.pinv(basis.double()).float()[:, None]  # (windows, 1, channels, components)
    back = torch.linalg.pinv(pattern.double()).float()

    def carry(entries: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return (back.mT @ weights @ back) * (pattern @ entries @ pattern.mT)

    triangle = size * (size + 1) // 2
    found = carry(_unvectorize(vectors[..., :triangle], size), _unvectorize(weight[..., :triangle], size))
    if has_power:
        found = found + carry(
            torch.diag_embed(vectors[..., triangle:]), torch.diag_embed(weight[..., triangle:])
        )
    return found


def _unvectorize(vectors: torch.Tensor, size: int) -> torch.Tensor:
    """Return the symmetric matrices of `vectorize`: their products of entries sum to those of the vectors."""
    rows, columns = torch.triu_indices(size, size, 1, device=vectors.device)
    matrices = torch.diag_embed(vectors[..., :size])
    matrices[..., rows, columns] = vectors[..., size:] / 2**0.5
    matrices[..., columns, rows] = vectors[..., size:] / 2**0.5
    return matrices
