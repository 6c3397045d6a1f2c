# SPDX-License-Identifier: Apache-2.0
"""A recording stored as tokens of a codec, in a sixteenth of its size, and back to an MNE recording."""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import mne
import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ..atomic_files import atomic_path
from ..corpora.corpus import annotated
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .tokens import (
    EncodedSignals,
    check_codec,
    codec_fingerprint,
    count_tokens,
    decode_signals,
    encode_signals,
    index_dtype,
)

if TYPE_CHECKING:
    from ..models.modeling_eeg_fsq import EEGFSQModel

_METADATA = "eeg_hf_tokens"
_ARRAYS = ("indices", "location", "scale")


@dataclass(frozen=True)
class RecordingTokens:
    """Tokens of one cleaned recording with everything that decoding needs beside the codec.

    Attributes:
        indices: (channels, num_tokens) in temporal order, of the smallest unsigned type that holds the
            codebook's indices.
        location: (channels, windows) float16 in uV, subtracted before coding.
        scale: (channels, windows) float16 in uV, the divisor before coding; 0 for a dead channel.
        channel_names: Names of the channels.
        sampling_rate: In Hz.
        num_samples: Samples of a channel; the last patch may extend beyond them.
        window_samples: Number of samples that share a location and a scale.
        codebook_size: Number of different tokens.
        codec_name: Folder or Hub name the codec was loaded from.
        codec_fingerprint: Digest that identifies the codec.
        annotations: Onset from the first sample in seconds, duration in seconds, and description of each.
    """

    indices: np.ndarray
    location: np.ndarray
    scale: np.ndarray
    channel_names: list[str]
    sampling_rate: float
    num_samples: int
    window_samples: int
    codebook_size: int
    codec_name: str
    codec_fingerprint: str
    annotations: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def token_bits(self) -> int:
        """Bits of a token on disk."""
        return (self.codebook_size - 1).bit_length()

    @property
    def num_bytes(self) -> dict[str, int]:
        """Bytes on disk of `tokens` and `side_information` (location and scale), and of `int16` samples.

        The header of the file (names, annotations and settings) is not counted.
        """
        return {
            "tokens": -(-self.indices.size * self.token_bits // 8),
            "side_information": self.location.nbytes + self.scale.nbytes,
            "int16": 2 * len(self.channel_names) * self.num_samples,
        }

    @property
    def bits_per_second(self) -> float:
        """Bits of one second of one channel, including the side information."""
        stored = self.num_bytes["tokens"] + self.num_bytes["side_information"]
        return 8 * stored * self.sampling_rate / (len(self.channel_names) * self.num_samples)

    def save(self, path: str | Path) -> None:
        """Write a safetensors file: tokens packed to `token_bits` bits, settings as JSON in its header."""
        arrays = {"indices": _pack(self.indices, self.token_bits)}
        arrays |= {name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS[1:]}
        about = {name: value for name, value in asdict(self).items() if name not in _ARRAYS}
        about["num_tokens"] = self.indices.shape[1]
        with atomic_path(path) as partial:  # save_file would restrict reading to the file's owner
            partial.write_bytes(save(arrays, metadata={_METADATA: json.dumps(about)}))

    @classmethod
    def load(cls, path: str | Path) -> "RecordingTokens":
        """Read the tokens that `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged or was not written by `save`.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f"{path}: expected a file of tokens, it does not exist")
        try:
            with safe_open(path, "numpy") as file:
                about = json.loads((file.metadata() or {})[_METADATA])
                arrays = {name: file.get_tensor(name) for name in _ARRAYS}
        except (SafetensorError, KeyError) as error:
            raise ValueError(f"{path}: expected tokens that RecordingTokens.save wrote ({error})") from None
        shape = (len(about["channel_names"]), about.pop("num_tokens"))
        arrays["indices"] = _unpack(arrays["indices"], shape, about["codebook_size"])
        about["annotations"] = [(onset, duration, name) for onset, duration, name in about["annotations"]]
        return cls(**arrays, **about)


def encode_recording(
    raw: "mne.io.BaseRaw",
    codec: "EEGFSQModel",
    feature_extractor: EEGFeatureExtractor,
    is_preprocessed: bool = False,
    batch_size: int = 64,
) -> RecordingTokens:
    """Clean a recording and encode it as tokens.

    Location and scale are computed over windows of the extractor's length, rounded up to whole patches.

    Args:
        raw: Recording in volts. Its annotations are kept; channels other than EEG and the date are not.
        codec: An [`EEGFSQModel`].
        feature_extractor: The one saved with the codec.
        is_preprocessed: Whether the recording is already clean and at the extractor's rate.
        batch_size: Windows in one forward pass.

    Raises:
        ValueError: If codec, extractor and recording differ in rate, the extractor aligns, a sample is not
            finite, or `EEGFeatureExtractor.preprocess` refuses the recording.

    Example:
        >>> tokens = encode_recording(raw, codec, extractor)  # doctest: +SKIP
        >>> tokens.save("s01.tokens.safetensors")  # doctest: +SKIP
        >>> decode_recording(RecordingTokens.load("s01.tokens.safetensors"), codec)  # doctest: +SKIP
    """
    if feature_extractor.alignment != "none":
        raise ValueError(
            f"alignment={feature_extractor.alignment!r} needs all recordings of a subject: prepare them, "
            "then use add_tokens"
        )
    if not is_preprocessed:
        raw, _ = feature_extractor.preprocess(raw)
    rate = float(raw.info["sfreq"])
    if not math.isclose(rate, feature_extractor.sampling_rate, abs_tol=1e-3):
        raise ValueError(
            f"is_preprocessed=True, but the rate is {rate:g} Hz, expected "
            f"{feature_extractor.sampling_rate:g} Hz: resample it or set is_preprocessed=False"
        )
    raw = raw.copy().pick("eeg", exclude=())  # bad channels too: they decode to their place
    values = torch.from_numpy((raw.get_data() * 1e6).astype(np.float32))  # (channels, time)
    num_samples, config = values.shape[1], codec.config
    windows = _cut(values, _window_samples(feature_extractor, config.patch_size, num_samples))
    is_sample = torch.arange(len(windows) * windows.shape[-1]).lt(num_samples)
    is_sample = is_sample.view(len(windows), -1)  # (windows, time)
    is_good = values.ne(values[:, :1]).any(dim=1)  # preprocess sets dead channels to zero
    parts = [
        encode_signals(part, codec, feature_extractor, [rate], is_good.expand(len(part), -1), mask)
        for part, mask in zip(windows.split(batch_size), is_sample.split(batch_size), strict=True)
    ]
    # (channels, windows, tokens of a window), and twice (channels, windows)
    indices, location, scale = (torch.cat(found).transpose(0, 1) for found in zip(*parts, strict=True))
    indices = indices.flatten(1)[:, : count_tokens(codec, num_samples)]
    return RecordingTokens(
        indices=indices.numpy().astype(index_dtype(config.codebook_size)),
        location=_to_float16(location),
        scale=_to_float16(scale),
        channel_names=list(raw.ch_names),
        sampling_rate=rate,
        num_samples=num_samples,
        window_samples=windows.shape[-1],
        codebook_size=config.codebook_size,
        codec_name=str(config.name_or_path),
        codec_fingerprint=codec_fingerprint(codec),
        annotations=[(float(event.onset), event.duration, event.name) for event in annotated(raw)],
    )


def decode_recording(
    tokens: RecordingTokens, codec: "EEGFSQModel", batch_size: int = 64
) -> "mne.io.RawArray":
    """Decode tokens to the cleaned recording in volts; dead channels are marked as bad.

    Args:
        tokens: Tokens from `encode_recording`.
        codec: The codec that made the tokens.
        batch_size: Windows in one forward pass.

    Raises:
        ValueError: If the tokens are of another codec.
    """
    check_codec(codec, tokens.codec_fingerprint)
    config = codec.config
    per_window = tokens.window_samples // config.patch_size * config.codes_per_patch
    windows = _cut(torch.from_numpy(tokens.indices.astype(np.int64)), per_window)
    location, scale = (
        torch.from_numpy(side.T) for side in (tokens.location, tokens.scale)
    )  # (windows, channels)
    batches = zip(*(array.split(batch_size) for array in (windows, location, scale)), strict=True)
    values = torch.cat(
        [decode_signals(EncodedSignals(*batch), codec, tokens.sampling_rate) for batch in batches]
    )  # (windows, channels, time)
    volts = values.transpose(0, 1).flatten(1)[:, : tokens.num_samples].double().numpy() * 1e-6
    info = mne.create_info(tokens.channel_names, tokens.sampling_rate, "eeg")
    info["bads"] = [
        name for name, scale in zip(tokens.channel_names, tokens.scale, strict=True) if not scale.any()
    ]
    raw = mne.io.RawArray(volts, info, verbose="ERROR")
    if tokens.annotations:
        raw.set_annotations(mne.Annotations(*zip(*tokens.annotations, strict=True)))
    return raw


def _window_samples(feature_extractor: EEGFeatureExtractor, patch_size: int, num_samples: int) -> int:
    """Return the length of a window in samples: whole patches, so that only the last window is padded."""
    seconds = feature_extractor.window_seconds
    samples = num_samples if seconds is None else round(seconds * feature_extractor.sampling_rate)
    return -(-samples // patch_size) * patch_size


def _cut(values: torch.Tensor, length: int) -> torch.Tensor:
    """Cut (channels, time) into (windows, channels, length); the last window is padded with zeros."""
    padded = torch.nn.functional.pad(values, (0, -values.shape[1] % length))
    return padded.unflatten(1, (-1, length)).transpose(0, 1)


def _to_float16(values: torch.Tensor) -> np.ndarray:
    """Round (channels, windows) to float16, with a precision of one part in 2,000."""
    with np.errstate(over="ignore"):
        rounded = values.numpy().astype(np.float16)
    if not np.isfinite(rounded).all():
        raise ValueError(
            f"expected channels within 65,504 uV, got {values.abs().max():,.0f}: is the unit right?"
        )
    return rounded


def _pack(indices: np.ndarray, num_bits: int) -> np.ndarray:
    """Pack each index into `num_bits` bits, the least significant first; (bytes,) uint8."""
    wide = indices.reshape(-1, 1).astype("<u8")  # (tokens, 1), read below as 8 bytes a token
    bits = np.unpackbits(wide.view(np.uint8), axis=1, count=num_bits, bitorder="little")
    return np.packbits(bits, bitorder="little")


def _unpack(packed: np.ndarray, shape: tuple[int, int], codebook_size: int) -> np.ndarray:
    """Return the indices (channels, num_tokens) that `_pack` packed."""
    num_bits = (codebook_size - 1).bit_length()
    bits = np.unpackbits(packed, count=math.prod(shape) * num_bits, bitorder="little").reshape(-1, num_bits)
    wide = np.packbits(np.pad(bits, ((0, 0), (0, 64 - num_bits))), axis=1, bitorder="little")
    return wide.view("<u8").reshape(shape).astype(index_dtype(codebook_size))
