# SPDX-License-Identifier: Apache-2.0
"""Predict the second-order vectors of masked bands from those of the other bands.

What is predicted is the recentred covariance of a band in its logarithm, not the signal: neither the phase of
the signal nor what tells subjects apart has to be modelled.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from .configuration_eeg_foundation import EEGFoundationConfig
from .objective import EncodedWindows, Objective
from .second_order import BandDecoder


class MaskedBands(Objective):
    """Mean squared error of the standardised vectors of masked bands; knowing nothing costs 1.

    The model must have been given the statistics of its training windows (`fit_population`): otherwise the
    vectors are not standardised, and bands of large variance outweigh the others. Without another objective
    the encoder of the patches gets no gradient: it is left as it is.
    """

    name = "masked_bands"
    columns = ("band_noise",)
    defaults = {"weight": 1.0, "mask_ratio": 0.5}

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__(config)
        if self.is_enabled and not (config.second_order and len(config.second_order_bands) > 1):
            raise ValueError("objectives: 'masked_bands' needs second_order=True and two bands or more")
        if not 0 < self.settings["mask_ratio"] < 1:
            raise ValueError(
                f"objectives: mask_ratio of 'masked_bands': expected a share between 0 and 1, got "
                f"{self.settings['mask_ratio']}"
            )

    def build_heads(self) -> dict[str, Callable[[], nn.Module]]:
        """Return the decoder, from the token of a band to its vector."""
        return {"band_decoder": partial(BandDecoder, self.config)}

    def extend_inputs(
        self, inputs: dict[str, torch.Tensor | None], batch: Mapping[str, Any]
    ) -> dict[str, torch.Tensor | None]:
        """Mask a share of the bands of each window: those of the smallest `band_noise` (batch, bands)."""
        values = inputs["input_values"]
        assert values is not None
        num_bands = len(self.config.second_order_bands)
        noise = batch.get("band_noise")
        if noise is None:
            noise = torch.rand(values.shape[0], num_bands, device=values.device)
        if noise.shape != (values.shape[0], num_bands):
            raise ValueError(f"band_noise: expected {(values.shape[0], num_bands)}, got {tuple(noise.shape)}")
        num_masked = min(max(round(self.settings["mask_ratio"] * num_bands), 1), num_bands - 1)
        rank = noise.argsort(dim=-1, stable=True).argsort(dim=-1)
        return {**inputs, "band_mask": rank < num_masked}

    def compute(
        self, modules: Mapping[str, nn.Module], encoded: EncodedWindows, batch: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return `masked_bands_loss` and `band_prediction` (batch, stretches, bands, features)."""
        predicted = modules["band_decoder"](encoded.output("band_states")).float()
        is_scored = encoded.output("stretch_mask")[:, :, None] & encoded.input("band_mask")[:, None]
        error = (predicted - self.find_target(modules, encoded)).square().mean(dim=-1)
        loss = (error * is_scored).sum() / is_scored.sum().clamp(min=1)  # error (batch, stretches, bands)
        return {"band_prediction": predicted, "masked_bands_loss": loss}

    def find_target(self, modules: Mapping[str, nn.Module], encoded: EncodedWindows) -> torch.Tensor:
        """Return the vectors of the unmasked windows, also if other objectives mask samples."""
        if not (self.config.predicts_signal or self.config.predicts_codes):
            return encoded.output("band_features").detach()
        encoder: Any = modules["model"]
        signal = ("channel_positions", "channel_mask", "attention_mask")
        recentring = ("recentring_whitening", "recentring_log_power")
        inputs = {name: encoded.input(name) for name in (*signal, *recentring)}
        with torch.no_grad():
            features, _ = encoder.second_order_features(encoded.values, **inputs)
        return features


__all__ = ["MaskedBands"]
