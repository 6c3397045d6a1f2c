# SPDX-License-Identifier: Apache-2.0
"""Predict the codes that a frozen codec assigns to masked patches, as BEiT does (https://arxiv.org/abs/2106.08254).

Each dimension of a code has its own softmax: 39 outputs for levels 8, 8, 8, 5, 5, 5, where one softmax over
all codes would have 64,000. Most codes are rare in a corpus, so classes for them would not be learned, and a
code that differs in one level is nearly right, which only separate dimensions express. The price: given the
encoder's output, dimensions are treated as independent.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from .configuration_eeg_foundation import EEGFoundationConfig
from .finite_scalar_quantization import FiniteScalarQuantizer
from .losses import mean_over_windows
from .objective import EncodedWindows, Objective


class CodeHead(nn.Module):
    """Map tokens of the encoder to logits of every dimension of every code.

    Args:
        hidden_size: Width of a token.
        levels: Levels of each dimension of a code.
        codes_per_patch: Codes of one patch.
    """

    def __init__(self, hidden_size: int, levels: Sequence[int], codes_per_patch: int) -> None:
        super().__init__()
        self.quantizer = FiniteScalarQuantizer(levels)
        self.codes_per_patch = codes_per_patch
        self.out = nn.Linear(hidden_size, codes_per_patch * sum(levels))

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Map (..., hidden_size) to (..., codes_per_patch, sum of the levels)."""
        return self.out(hidden_states).unflatten(-1, (self.codes_per_patch, -1))

    def indices_to_digits(self, indices: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """Return the level of each dimension, (*shape, codes_per_patch, code_dim), of codebook indices.

        Args:
            indices: (batch, channels, num_patches * codes_per_patch).
            shape: (batch, channels, num_patches).

        Raises:
            ValueError: If the indices have another shape or belong to another codebook.
        """
        expected = (*shape[:2], shape[2] * self.codes_per_patch)
        if indices.shape != expected:
            raise ValueError(f"code_indices: expected {expected} tokens, got {tuple(indices.shape)}")
        return self.quantizer.indices_to_digits(indices).unflatten(2, (shape[2], self.codes_per_patch))


def masked_code_loss(
    logits: torch.Tensor, digits: torch.Tensor, levels: Sequence[int], is_masked: torch.Tensor
) -> torch.Tensor:
    """Return the cross entropy over masked patches, averaged within each window and then over windows.

    The cross entropy of a dimension with L levels is divided by log(L). A uniform guess therefore costs 1
    whatever the levels, which is also the scale of the reconstruction loss of a normalised signal.

    Args:
        logits: (batch, channels, num_patches, codes_per_patch, sum of the levels).
        digits: (batch, channels, num_patches, codes_per_patch, code_dim), the correct levels.
        levels: Number of levels of each dimension.
        is_masked: (batch, channels, num_patches), True = scored.
    """
    # One cross entropy for each dimension: (batch, channels, num_patches, codes_per_patch)
    losses = [
        nn.functional.cross_entropy(scores.movedim(-1, 1).float(), right, reduction="none") / math.log(level)
        for level, scores, right in zip(
            levels, logits.split(list(levels), -1), digits.unbind(-1), strict=True
        )
    ]
    error = torch.stack(losses).mean(dim=(0, -1))  # (batch, channels, num_patches)
    return mean_over_windows(error, is_masked)


class MaskedCodes(Objective):
    """Cross entropy of the codes of patches that are masked as a whole.

    The codes come with the batch (`code_indices`) or from the codec of `set_codec`. The codec is neither
    trained nor saved with the model.
    """

    name = "codes"
    columns = ("code_indices",)
    predicts_masked = True
    defaults = {}

    def __init__(self, config: EEGFoundationConfig) -> None:
        super().__init__(config)
        self.codec: Any = None

    @property
    def weights(self) -> dict[str, float]:
        """Weight of the loss; 0 where only samples are predicted."""
        return {"code_loss": self.config.code_weight if self.config.predicts_codes else 0.0}

    def build_heads(self) -> dict[str, Callable[[], nn.Module]]:
        """Return the head that predicts codes."""
        config = self.config
        return {
            "code_head": partial(CodeHead, config.hidden_size, config.code_levels, config.codes_per_patch)
        }

    def set_codec(self, codec: PreTrainedModel) -> None:
        """Take the codes to predict from a codec; see [`EEGFoundationForPreTraining.set_codec`]."""
        # A code must stand for one patch of the same length in seconds
        ours, theirs = self.config, codec.config
        for field, expected, got in (
            ("patch_size", ours.patch_size, theirs.patch_size),
            ("sampling_rate", ours.sampling_rate, theirs.sampling_rate),
            ("code_levels", list(ours.code_levels), list(theirs.levels)),
            ("codes_per_patch", ours.codes_per_patch, theirs.codes_per_patch),
        ):
            if expected != got:
                raise ValueError(
                    f"codec: expected the {field} of the model, {expected}, got {got}: change the config of "
                    "one of them"
                )
        self.codec = codec.eval().requires_grad_(False)

    def compute(
        self, modules: Mapping[str, nn.Module], encoded: EncodedWindows, batch: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return `code_logits` (batch, channels, num_patches, codes_per_patch, levels) and `code_loss`."""
        head: Any = modules["code_head"]
        num_patches = encoded.values.shape[-1] // self.config.patch_size  # the codec takes whole patches only
        whole = num_patches * self.config.patch_size
        logits = head(encoded.output("last_hidden_state")[:, :, :num_patches])
        # Targets: codes of the whole signal, also under the mask, with zeros for padding
        indices = batch.get("code_indices")
        if indices is None:
            indices = self.encode(torch.where(encoded.is_real, encoded.values, 0.0)[..., :whole])
        # Only patches that are masked as a whole are scored: (batch, channels, num_patches)
        is_masked = encoded.mask[..., :whole].unflatten(-1, (num_patches, -1)).all(dim=-1)
        digits = head.indices_to_digits(indices, is_masked.shape)
        loss = masked_code_loss(logits, digits, self.config.code_levels, is_masked)
        return {"code_logits": logits, "code_loss": loss}

    @torch.no_grad()
    def encode(self, values: torch.Tensor) -> torch.Tensor:
        """Return the codec's codebook indices of (batch, channels, time)."""
        if self.codec is None:
            raise ValueError("target='codes' needs model.set_codec(codec), or its tokens as code_indices")
        codec = self.codec.to(values.device)
        return codec.encode(values.float(), self.config.sampling_rate).indices


__all__ = ["CodeHead", "MaskedCodes", "masked_code_loss"]
