# SPDX-License-Identifier: Apache-2.0
"""Second-order statistics of all windows of a corpus: computed once, recentred and vectorised many times.

They have no parameters, so that folds and regimes differ only in what recentres them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import set_seed

from ...collation import EEGDataCollator, WindowDataset
from ...models.configuration_eeg_foundation import EEGFoundationConfig
from ...models.modeling_eeg_foundation import EEGFoundationModel
from ...models.second_order import Recentring, mean_over_stretches
from ...processing.calibration import inverse_square_root
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from .corpus import Fold, StudyCorpus

SIZE: dict[str, Any] = {
    "hidden_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "num_hidden_layers": 0,
}
"""One layer of attention among the tokens of the bands; the patches are not encoded."""
_BATCH_SIZE = 256


def make_encoder(corpus: StudyCorpus, seed: int = 0, **fields: Any) -> EEGFoundationModel:
    """Return an encoder with second-order tokens for the channels of a corpus.

    Raises:
        ValueError: If windows are cut into stretches, which have no common statistics.
    """
    fields = {**SIZE, **corpus.args.config, **fields}
    if fields.get("second_order_stretch_seconds"):
        raise ValueError("config: second_order_stretch_seconds is not for this study, leave it out")
    first = corpus.rows[0]
    set_seed(seed)
    config = EEGFoundationConfig(
        **fields,
        second_order=True,
        sampling_rate=corpus.sampling_rate,
        num_channels=len(first["channels"]),
        channel_names=first["channels"],
        channel_positions=np.reshape(first["channel_positions"], (-1, 3)).tolist(),
    )
    return EEGFoundationModel(config).eval()


@dataclass(frozen=True)
class WindowStatistics:
    """What `SecondOrderFeatures` computes of each window before it is recentred.

    Attributes:
        model: The encoder that computed them.
        matrices: (windows, bands, components, components) float32.
        log_power: (windows, bands, components) float32.
        is_found: (windows, components) bool, True = the component is there.
    """

    model: EEGFoundationModel
    matrices: torch.Tensor
    log_power: torch.Tensor
    is_found: torch.Tensor

    @classmethod
    @torch.no_grad()
    def read(
        cls, rows: Dataset, extractor: EEGFeatureExtractor, model: EEGFoundationModel
    ) -> "WindowStatistics":
        """Compute the statistics of all windows of a corpus."""
        loader = DataLoader(WindowDataset(rows), batch_size=64, collate_fn=EEGDataCollator(extractor))
        found = []
        for batch in loader:
            values, positions, channel_mask, _ = model.prepare_signal(**batch)
            signal = (values, positions, channel_mask, batch["attention_mask"])
            matrices, log_power, is_found, is_real = model.second_order.features.compute_statistics(*signal)
            means = (mean_over_stretches(each, is_real) for each in (matrices, log_power))
            found.append((*means, is_found))
        return cls(model, *(torch.cat(parts) for parts in zip(*found, strict=True)))

    def vectors(self, fold: Fold, owners: np.ndarray, weights: np.ndarray | None = None) -> torch.Tensor:
        """Return the vectors of all windows as a fold may recentre them, (windows, bands, features) float32.

        Args:
            fold: With its reference windows; without any, the mean of the training windows recentres.
            owners: (windows,) subject of each window.
            weights: (windows,), how much a window counts in the mean of its subject; alike by default.
        """
        weights = np.ones(len(owners)) if weights is None else weights
        if not fold.is_reference.any():
            return self.vectorize(self.recentring([fold.train], weights), np.zeros(len(owners), int))
        return self.recentred_vectors(fold.is_reference, owners, weights)

    def recentred_vectors(
        self, is_reference: np.ndarray, owners: np.ndarray, weights: np.ndarray
    ) -> torch.Tensor:
        """Return the vectors of all windows, recentred by the reference windows of their owner."""
        names, index = np.unique(owners, return_inverse=True)
        rows = [np.flatnonzero(is_reference & (owners == name)) for name in names]
        return self.vectorize(self.recentring(rows, weights), index)

    def recentring(self, rows: Sequence[np.ndarray], weights: np.ndarray) -> Recentring:
        """Return the recentring by the weighted mean of each of some sets of windows."""
        shares = [torch.from_numpy(weights[each] / weights[each].sum()) for each in rows]
        pairs = [*zip(rows, shares, strict=True)]
        means = [torch.einsum("w,wbij->bij", share, self.matrices[each].double()) for each, share in pairs]
        power = [torch.einsum("w,wbi->bi", share, self.log_power[each].double()) for each, share in pairs]
        whitening = inverse_square_root(torch.stack(means).numpy()).astype(np.float32)
        return Recentring(torch.from_numpy(whitening), torch.stack(power).float())

    @torch.no_grad()
    def vectorize(self, recentring: Recentring, index: np.ndarray) -> torch.Tensor:
        """Return the vectors of all windows, each recentred by the entry of its index."""
        features, found = self.model.second_order.features, []
        for batch in torch.arange(len(index)).split(_BATCH_SIZE):
            at = torch.from_numpy(index)[batch]
            own = Recentring(recentring.whitening[at], recentring.log_power[at])
            matrices, power = self.matrices[batch, None], self.log_power[batch, None]
            found.append(features.vectors(matrices, power, self.is_found[batch], own)[:, 0])
        return torch.cat(found)

    @cached_property
    def num_components(self) -> int:
        """Number of spatial components."""
        return self.log_power.shape[-1]
