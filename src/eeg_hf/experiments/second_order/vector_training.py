# SPDX-License-Identifier: Apache-2.0
"""Trainer on second-order vectors that are computed already: pretraining, and a head for comparison.

Recomputing vectors in every step would cost more than the step itself.
"""

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments, default_data_collator, set_seed

from ...models.configuration_eeg_foundation import EEGFoundationConfig
from ...models.modeling_eeg_foundation import EEGFoundationForPreTraining
from ...models.objective import EncodedWindows
from ...models.objective_masked_bands import MaskedBands
from .statistics import WindowStatistics


class VectorDataset(Dataset):
    """Rows of vectors, with labels or without.

    Args:
        columns: Tensors of one length, by the name of the model's argument.
    """

    def __init__(self, **columns: torch.Tensor) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: values[index] for name, values in self.columns.items()}


class BandPretraining(nn.Module):
    """The pretraining model's `masked_bands` loss, from vectors instead of windows.

    Args:
        model: With the objective `masked_bands` alone.
    """

    def __init__(self, model: EEGFoundationForPreTraining) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, band_features: torch.Tensor, band_noise: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Return the loss of (batch, bands, features), standardised; `band_noise` decides what is masked."""
        objective = self.model.objectives[MaskedBands.name]
        features = band_features[:, None]  # (batch, one stretch, bands, features)
        is_real = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        batch = {} if band_noise is None else {"band_noise": band_noise}
        inputs = objective.extend_inputs({"input_values": band_features}, batch)
        masked = inputs["band_mask"]
        assert masked is not None
        states = self.model.model.second_order(features, is_real, masked[:, None])
        outputs = {"band_states": states, "band_features": features, "stretch_mask": is_real}
        encoded = EncodedWindows(band_features, is_real, masked, inputs, outputs)
        found = objective.compute(dict(self.model.named_children()), encoded, batch)
        return {"loss": found["masked_bands_loss"]}


class VectorHead(nn.Module):
    """A linear layer, zero at the start, and the loss of a classifier whose classes count alike."""

    def __init__(self, num_features: int, class_weights: torch.Tensor) -> None:
        super().__init__()
        self.out = nn.Linear(num_features, len(class_weights))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.register_buffer("class_weights", class_weights)
        self.class_weights: torch.Tensor | None

    def forward(self, features: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """Return the logits of (batch, features), and the loss where there are labels."""
        logits = self.out(features)
        if labels is None:
            return {"logits": logits}
        loss = nn.functional.cross_entropy(logits, labels, weight=self.class_weights)
        return {"loss": loss, "logits": logits}


def train(model: nn.Module, dataset: Dataset, output_dir: str, **settings: Any) -> None:
    """Train by transformers' Trainer; nothing is saved."""
    fixed: dict[str, Any] = {
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "remove_unused_columns": False,
        "disable_tqdm": True,
    }
    arguments = TrainingArguments(output_dir, **fixed, **settings)
    Trainer(model=model, args=arguments, train_dataset=dataset, data_collator=default_data_collator).train()


def make_pretraining(config: EEGFoundationConfig, seed: int) -> EEGFoundationForPreTraining:
    """Return a pretraining model whose only objective is `masked_bands`."""
    fields = {"reconstruction_weight": 0.0, "contrastive_weight": 0.0, "objectives": {"masked_bands": {}}}
    set_seed(seed)
    return EEGFoundationForPreTraining(EEGFoundationConfig(**{**config.to_dict(), **fields}))


def pretrain_bands(
    statistics: WindowStatistics, vectors: torch.Tensor, num_epochs: float, seed: int, output_dir: str
) -> EEGFoundationForPreTraining:
    """Return a model that has predicted masked bands of some windows, without labels.

    Args:
        statistics: Of the corpus.
        vectors: (windows, bands, features) of the training windows, standardised.
        num_epochs: 0 returns random weights.
        seed: Of the weights, the order of the windows and the masks.
        output_dir: Folder that Trainer requires.
    """
    model = make_pretraining(statistics.model.config, seed)
    if num_epochs:
        train(
            BandPretraining(model),
            VectorDataset(band_features=vectors),
            output_dir,
            num_train_epochs=num_epochs,
            per_device_train_batch_size=64,
            learning_rate=2e-3,
            lr_scheduler_type="cosine",
            warmup_steps=20,
            weight_decay=0.01,
            seed=seed,
        )
    return model.eval()


@torch.no_grad()
def embed_bands(model: EEGFoundationForPreTraining, vectors: torch.Tensor) -> np.ndarray:
    """Return the encoded tokens of all bands side by side, (windows, bands * hidden_size)."""
    found = []
    for batch in vectors.split(256):
        is_real = torch.ones(len(batch), 1, dtype=torch.bool)
        found.append(model.model.second_order(batch[:, None], is_real)[:, 0].flatten(1))
    return torch.cat(found).numpy()


def standardize(vectors: torch.Tensor, train: np.ndarray) -> torch.Tensor:
    """Standardise (windows, bands, features) by the training rows, as `fit_population` does."""
    mean, scale = vectors[train].mean(dim=0), vectors[train].std(dim=0, correction=0)
    return (vectors - mean) / torch.where(scale > 1e-6, scale, 1.0)
