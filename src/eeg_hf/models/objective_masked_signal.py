# SPDX-License-Identifier: Apache-2.0
"""Reconstruct masked samples, as SimMIM does for pixels (https://arxiv.org/abs/2111.09886)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from .losses import masked_reconstruction_loss
from .objective import EncodedWindows, Objective
from .patching import unpatchify


class MaskedSignal(Objective):
    """Squared error of a linear decoder over masked samples, and by `visible_weight` over the others."""

    name = "masked_signal"
    predicts_masked = True
    defaults = {}

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the two losses; 0 where only codes are predicted."""
        weight = self.config.reconstruction_weight if self.config.predicts_signal else 0.0
        return {"reconstruction_loss": weight, "visible_loss": weight * self.config.visible_weight}

    def build_heads(self) -> dict[str, Callable[[], nn.Module]]:
        """Return the decoder, from a token to the samples of its patch."""
        return {"decoder": partial(nn.Linear, self.config.hidden_size, self.config.patch_size)}

    def compute(
        self, modules: Mapping[str, nn.Module], encoded: EncodedWindows, batch: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return `reconstruction` (batch, channels, time), `reconstruction_loss` and `visible_loss`."""
        tokens = encoded.output("last_hidden_state")  # (batch, channels, num_patches, hidden_size)
        patches = modules["decoder"](tokens).float()  # (batch, channels, num_patches, patch_size)
        signal = unpatchify(patches, self.config.hop_size, encoded.values.shape[-1])
        if self.config.channel_adapter != "none":  # from the adapter's channels to the recorded ones
            encoder: Any = modules["model"]
            places = (encoded.input("channel_positions"), encoded.input("channel_mask"))
            signal = encoder.channel_adapter.restore(signal, *places)
        target = torch.where(encoded.is_real, encoded.values.float(), 0.0)  # (batch, channels, time)
        outputs = {
            "reconstruction": signal,
            "reconstruction_loss": masked_reconstruction_loss(signal, target, encoded.mask),
        }
        if self.config.visible_weight > 0:
            visible = encoded.is_real & ~encoded.mask
            outputs["visible_loss"] = masked_reconstruction_loss(signal, target, visible)
        return outputs


__all__ = ["MaskedSignal"]
