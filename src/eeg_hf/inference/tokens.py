# SPDX-License-Identifier: Apache-2.0
"""Signals to tokens of a codec and back to microvolts.

Tokens code normalised signals. To decode them to microvolts takes the location and scale that normalisation
removed from each channel, and the same codec, which a fingerprint identifies.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from ..processing.feature_extraction_eeg import EEGFeatureExtractor

if TYPE_CHECKING:
    from ..models.modeling_eeg_fsq import EEGFSQModel


class EncodedSignals(NamedTuple):
    """Tokens of windows with the location and scale of their channels.

    Attributes:
        indices: (windows, channels, num_tokens) int64.
        location: (windows, channels) float32 in uV.
        scale: (windows, channels) float32 in uV; 0 for a channel without signal, which decodes to zeros.
    """

    indices: torch.Tensor
    location: torch.Tensor
    scale: torch.Tensor


def encode_signals(
    values: torch.Tensor,
    codec: "EEGFSQModel",
    feature_extractor: EEGFeatureExtractor,
    sampling_rate: Sequence[float],
    channel_mask: torch.Tensor,
    attention_mask: torch.Tensor,
    alignment_matrix: torch.Tensor | None = None,
) -> EncodedSignals:
    """Normalise windows, pad them to whole patches and encode them.

    Args:
        values: (windows, channels, time) in uV; in any unit where the extractor `ignores_scale`, which is
            then the unit of location and scale.
        codec: An [`EEGFSQModel`].
        feature_extractor: The one saved with the codec.
        sampling_rate: Rate of each window in Hz.
        channel_mask: (windows, channels), True = real.
        attention_mask: (windows, time), True = real.
        alignment_matrix: (windows, channels, channels), for an extractor that aligns.

    Raises:
        ValueError: If the codec was trained on another rate.
    """
    _check_rate(codec, sampling_rate)
    location, scale = feature_extractor.location_and_scale(values, attention_mask)  # (windows, channels, 1)
    values = feature_extractor.normalize(values, channel_mask, attention_mask, alignment_matrix)
    values = torch.nn.functional.pad(values, (0, -values.shape[-1] % codec.config.patch_size))
    with _evaluating(codec):
        encoded: Any = codec.encode(values.to(codec.device), torch.tensor(sampling_rate))
    return EncodedSignals(
        encoded.indices.cpu(), location[..., 0] * channel_mask, scale[..., 0] * channel_mask
    )


def decode_signals(
    coded: EncodedSignals, codec: "EEGFSQModel", sampling_rate: torch.Tensor | float
) -> torch.Tensor:
    """Decode windows to whole patches (windows, channels, time), float32 in uV."""
    with _evaluating(codec):
        values = codec.decode(coded.indices.long().to(codec.device), sampling_rate).float().cpu()
    return values * coded.scale.float()[..., None] + coded.location.float()[..., None]


def codec_fingerprint(codec: "EEGFSQModel") -> str:
    """Return a digest of the weights and settings that decide which signal a token stands for."""
    # Settings of training alone leave the tokens as they are
    names = sorted(set(type(codec.config).__annotations__) - {"dropout", "initializer_range"})
    settings = {name: getattr(codec.config, name) for name in names}
    digest = hashlib.blake2b(json.dumps(settings).encode(), digest_size=8)
    for name, weights in sorted(codec.state_dict().items()):
        digest.update(f"{name} {weights.dtype}".encode())
        # As bytes, since numpy has no bfloat16
        digest.update(weights.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_codec(codec: "EEGFSQModel", fingerprint: str) -> None:
    """Raise a ValueError unless the codec has this fingerprint: others decode its tokens to nonsense."""
    if codec_fingerprint(codec) != fingerprint:
        raise ValueError(
            f"expected the codec that made the tokens, {fingerprint}, got {codec_fingerprint(codec)}: other "
            "weights, other settings or another dtype"
        )


def index_dtype(codebook_size: int) -> np.dtype:
    """Return the smallest unsigned type that holds the indices of a codebook."""
    return np.min_scalar_type(codebook_size - 1)


def count_tokens(codec: "EEGFSQModel", num_samples: int) -> int:
    """Return the number of tokens of a channel; the last patch may be padded."""
    return -(-num_samples // codec.config.patch_size) * codec.config.codes_per_patch


def _check_rate(codec: "EEGFSQModel", sampling_rate: Sequence[float]) -> None:
    """Raise a ValueError unless the codec was trained on these rates in Hz."""
    trained = codec.config.sampling_rate
    others = {rate for rate in sampling_rate if trained is not None and not np.isclose(rate, trained)}
    if others:
        raise ValueError(
            f"sampling_rate: the codec is for {trained:g} Hz, got windows at "
            f"{', '.join(f'{rate:g}' for rate in sorted(others))} Hz: prepare them at its rate"
        )


@contextmanager
def _evaluating(codec: "EEGFSQModel") -> Iterator[None]:
    """Switch off dropout and gradients, and restore the codec's mode afterwards."""
    was_training = codec.training
    codec.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        codec.train(was_training)
