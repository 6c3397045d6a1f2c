# SPDX-License-Identifier: Apache-2.0
"""Prepared windows to tokens of a codec, as columns of the dataset, and back to microvolts.

Beside the tokens stands what the way back needs: location and scale of each channel, which the feature
extractor took off before coding, and which codec it was. The columns are lists of numbers and a string:
pandas, polars and `datasets` read them without eeg_hf.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset, Features, IterableDataset, List, Value
from datasets.fingerprint import Hasher

from ..collation.data_collator import EEGDataCollator, decode_windows
from ..processing.feature_extraction_eeg import EEGFeatureExtractor

_COLUMNS = ("signal", "scale", "num_samples", "sampling_rate")
_ALIGNED = "+"  # between the fingerprint of the codec and the alignment
_LEAST_SINGULAR = 1e-3  # of a whitening matrix, below its largest: what it keeps lies above a hundredth
AnyDataset = TypeVar("AnyDataset", Dataset, IterableDataset)


class Codec(Protocol):
    """What is needed of an [`EEGFSQModel`]."""

    config: Any
    training: bool

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    def encode(self, input_values: torch.Tensor, sampling_rate: torch.Tensor | float | None = None) -> Any:
        """Turn (batch, channels, time) into an output with `indices` (batch, channels, num_tokens)."""
        ...

    def decode(
        self, indices: torch.Tensor, sampling_rate: torch.Tensor | float | None = None
    ) -> torch.Tensor:
        """Turn them back."""
        ...

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the weights."""
        ...

    def train(self, mode: bool = True) -> Any:
        """Switch dropout on or off."""
        ...

    def to(self, device: Any) -> Any:
        """Move the weights."""
        ...


class EncodedSignals(NamedTuple):
    """Tokens of windows, and what was taken off before coding.

    Attributes:
        indices: (windows, channels, num_tokens) int64.
        location: (windows, channels) float32 in uV.
        scale: (windows, channels) float32 in uV; 0 where there is no signal, which decodes to zeros.
    """

    indices: torch.Tensor
    location: torch.Tensor
    scale: torch.Tensor


def add_tokens(
    dataset: AnyDataset,
    codec: Codec,
    feature_extractor: EEGFeatureExtractor,
    batch_size: int = 64,
    num_proc: int | None = None,
    column: str = "tokens",
    device: str | torch.device | None = None,
    alignments: Mapping[str, np.ndarray] | None = None,
) -> AnyDataset:
    """Add the tokens of each window of a prepared corpus, with `Dataset.map`.

    Windows that are no whole number of patches are filled up with zeros after normalisation, and cut again by
    `tokens_to_signal`: nothing is lost. What the tokens do not hold any more is amplitudes above the
    extractor's `clip`. A row whose `signal` and `scale` are removed afterwards can still be decoded.

    Args:
        dataset: Rows of a prepared corpus; windows may differ in channels and length. A stream works too.
        codec: An [`EEGFSQModel`].
        feature_extractor: The one saved with the codec.
        batch_size: Windows coded at once.
        num_proc: Processes, on a CPU only.
        column: Name of the column of tokens, and the beginning of the names of the others.
        device: Where to code; the codec is moved there.
        alignments: Whitening matrix of each `alignment_group` (`load_alignments`), for an extractor that
            aligns.

    Returns:
        The dataset with `tokens`, lists (channels, num_tokens) of the smallest unsigned type that counts the
        codebook; `tokens_location` and `tokens_scale`, lists (channels,) of float32 in uV; and
        `tokens_codec`, the fingerprint of the codec (with `+euclidean` behind it where the extractor
        aligns). The same dataset, codec and extractor find the result in
        the cache; a codec of other weights does not.

    Raises:
        ValueError: If columns are missing or there already, alignments are missing, the windows have another
            rate than the codec, or several processes are to share an accelerator.

    Example:
        >>> rows = load_dataset("runs/data/eegmat", split="train")  # doctest: +SKIP
        >>> codec = EEGFSQModel.from_pretrained("runs/codec")  # doctest: +SKIP
        >>> extractor = EEGFeatureExtractor.from_pretrained("runs/codec")  # doctest: +SKIP
        >>> rows = add_tokens(rows, codec, extractor).remove_columns(["signal", "scale"])  # doctest: +SKIP
        >>> signal_uv, _, _ = tokens_to_signal(rows[:8], codec)  # doctest: +SKIP
    """
    needed = _COLUMNS if feature_extractor.alignment == "none" else (*_COLUMNS, "alignment_group")
    _check_columns(dataset, needed, column)
    if device is not None:
        codec.to(device)
    if num_proc and num_proc > 1 and codec.device.type != "cpu":
        raise ValueError(f"num_proc: expected None where the codec is on {codec.device}, got {num_proc}")
    encode = _EncodeRows(codec, feature_extractor, alignments, column)
    features = None
    if dataset.features is not None:
        features = Features({**dataset.features, **encode.features})
    if isinstance(dataset, IterableDataset):
        stream = dataset.with_format("arrow")
        return stream.map(encode, batched=True, batch_size=batch_size, features=features).with_format(None)
    coded = dataset.with_format("arrow").map(
        encode,
        batched=True,
        batch_size=batch_size,
        num_proc=num_proc,
        features=features,
        with_rank=True,
        # By content: pickles of one codec differ with the path it was loaded from
        new_fingerprint=Hasher.hash([dataset._fingerprint, encode.fingerprint()]),
        desc="Coding",
    )
    return coded.with_format(dataset.format["type"])


def tokens_to_signal(
    rows: Dataset | pa.Table | Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    codec: Codec,
    column: str = "tokens",
    alignments: Mapping[str, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode rows that `add_tokens` wrote.

    Args:
        rows: Some of them, decoded at once: `dataset[:8]`, a list of rows, a dataset or an Arrow table.
        codec: The codec that made the tokens.
        column: As for `add_tokens`.
        alignments: As for `add_tokens`, to undo the whitening.

    Returns:
        Values (rows, channels, time) float32 in microvolt, padded with zeros; and which channels (rows,
        channels) and which samples (rows, time) are real.

    Raises:
        ValueError: If columns are missing, the tokens are of another codec, or alignments are missing or of
            no use.
    """
    table = _as_table(rows)
    names = [column, *(f"{column}_{part}" for part in ("location", "scale", "codec"))]
    missing = sorted({*names, "num_samples", "sampling_rate"} - set(table.column_names))
    if missing or not len(table):
        raise ValueError(f"expected rows that add_tokens wrote, they lack {', '.join(missing) or 'any row'}")
    for marker in set(table.column(names[3]).to_pylist()):
        fingerprint, _, alignment = marker.partition(_ALIGNED)
        check_codec(codec, fingerprint)
        if bool(alignment) != (alignments is not None):
            raise ValueError(f"alignments: the windows were coded with alignment={alignment or 'none'!r}")
    tokens = [np.array(row) for row in table.column(column).to_pylist()]  # (channels, num_tokens) each
    location, scale = (pad_arrays(table.column(name).to_pylist()).astype(np.float32) for name in names[1:3])
    rates = torch.tensor(table.column("sampling_rate").to_pylist())
    coded = EncodedSignals(*map(torch.from_numpy, (pad_arrays(tokens), location, scale)))
    values = decode_signals(coded, codec, rates)
    if alignments is not None:
        values = _unwhitening(table, alignments) @ values
    num_samples = table.column("num_samples").to_numpy()
    is_sample = np.arange(num_samples.max()) < num_samples[:, None]
    return values.numpy()[..., : is_sample.shape[1]] * is_sample[:, None], scale > 0, is_sample


def encode_signals(
    values: torch.Tensor,
    codec: Codec,
    feature_extractor: EEGFeatureExtractor,
    sampling_rate: Sequence[float],
    channel_mask: torch.Tensor,
    attention_mask: torch.Tensor,
    alignment_matrix: torch.Tensor | None = None,
) -> EncodedSignals:
    """Normalise windows, fill them up to whole patches and encode them.

    Args:
        values: (windows, channels, time) in uV; in any unit where the extractor `ignores_scale`, and then
            location and scale are in it too.
        codec: An [`EEGFSQModel`].
        feature_extractor: The one saved with the codec.
        sampling_rate: In Hz, of each window.
        channel_mask: (windows, channels), True = real.
        attention_mask: (windows, time), True = real.
        alignment_matrix: (windows, channels, channels), for an extractor that aligns.

    Raises:
        ValueError: If the codec was trained on another rate.
    """
    check_rate(codec, sampling_rate)
    location, scale = feature_extractor.location_and_scale(values, attention_mask)
    values = feature_extractor.normalize(values, channel_mask, attention_mask, alignment_matrix)
    values = torch.nn.functional.pad(values, (0, -values.shape[-1] % codec.config.patch_size))
    with evaluating(codec):
        indices = codec.encode(values.to(codec.device), torch.tensor(sampling_rate)).indices.cpu()
    return EncodedSignals(indices, location[..., 0] * channel_mask, scale[..., 0] * channel_mask)


def decode_signals(coded: EncodedSignals, codec: Codec, sampling_rate: torch.Tensor | float) -> torch.Tensor:
    """Decode windows to (windows, channels, time) float32 in uV, whole patches."""
    with evaluating(codec):
        values = codec.decode(coded.indices.long().to(codec.device), sampling_rate).float().cpu()
    return values * coded.scale.float()[..., None] + coded.location.float()[..., None]


def codec_fingerprint(codec: Codec) -> str:
    """Return a digest of all that decides which signal a token stands for: the weights and the settings."""
    names = sorted(set(type(codec.config).__annotations__) - {"dropout", "initializer_range"})
    settings = {name: getattr(codec.config, name) for name in names}
    digest = hashlib.blake2b(json.dumps(settings).encode(), digest_size=8)
    for name, weights in sorted(codec.state_dict().items()):
        digest.update(f"{name} {weights.dtype}".encode())
        digest.update(weights.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def check_codec(codec: Codec, fingerprint: str) -> None:
    """Raise a ValueError unless tokens of this fingerprint are of this codec: others decode to nonsense."""
    if codec_fingerprint(codec) != fingerprint:
        raise ValueError(
            f"expected the codec that made the tokens, {fingerprint}, got {codec_fingerprint(codec)}: other "
            "weights, other settings or another dtype"
        )


def check_rate(codec: Codec, sampling_rate: Sequence[float]) -> None:
    """Raise a ValueError unless the codec was trained on these rates in Hz."""
    trained = codec.config.sampling_rate
    others = {rate for rate in sampling_rate if trained is not None and not np.isclose(rate, trained)}
    if others:
        raise ValueError(
            f"sampling_rate: the codec is for {trained:g} Hz, got windows at "
            f"{', '.join(f'{rate:g}' for rate in sorted(others))} Hz: prepare them at its rate"
        )


@contextmanager
def evaluating(codec: Codec) -> Iterator[None]:
    """Switch dropout and gradients off for a while."""
    was_training = codec.training
    codec.train(False)
    try:
        with torch.no_grad():
            yield
    finally:
        codec.train(was_training)


def pad_arrays(arrays: Sequence[Any]) -> np.ndarray:
    """Stack arrays of several shapes, with zeros at their ends."""
    arrays = [np.asarray(array) for array in arrays]
    shape = np.max([array.shape for array in arrays], axis=0)
    padded = np.zeros((len(arrays), *shape), arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[tuple(map(slice, array.shape))] = array
    return padded


class _EncodeRows:
    """Adds the columns to a table of rows; sent to other processes as it is."""

    def __init__(
        self,
        codec: Codec,
        feature_extractor: EEGFeatureExtractor,
        alignments: Mapping[str, np.ndarray] | None,
        column: str,
    ) -> None:
        self.codec = codec
        self.feature_extractor = feature_extractor
        self.collator = EEGDataCollator(feature_extractor, alignments=alignments)
        aligned = "" if feature_extractor.alignment == "none" else _ALIGNED + feature_extractor.alignment
        self.marker = codec_fingerprint(codec) + aligned
        value = Value(str(np.min_scalar_type(codec.config.codebook_size - 1)))
        self.features = Features(
            {
                column: List(List(value)),
                f"{column}_location": List(Value("float32")),
                f"{column}_scale": List(Value("float32")),
                f"{column}_codec": Value("string"),
            }
        )

    def fingerprint(self) -> str:
        """Digest what the columns depend on."""
        extractor = self.feature_extractor
        settings = [extractor.normalization, extractor.clip, self.collator.alignments]
        return Hasher.hash([self.marker, settings, list(self.features)])

    def __call__(self, table: pa.Table, rank: int | None = None) -> pa.Table:
        """Return the table with the columns at its end."""
        if rank is not None:  # a forked process hangs in the thread pool of its parent
            torch.set_num_threads(1)
        # As the collator does it: the same tokens to the bit
        in_counts = self.feature_extractor.ignores_scale
        values, is_channel, is_sample = map(torch.from_dlpack, decode_windows(table, in_counts))
        coded = encode_signals(
            values,
            self.codec,
            self.feature_extractor,
            table.column("sampling_rate").to_pylist(),
            is_channel,
            is_sample,
            self.collator.collate_alignments(table, values.shape[1]),
        )
        if in_counts:
            unit_uv = torch.from_numpy(pad_arrays(table.column("scale").to_pylist())).float()
            coded = coded._replace(location=coded.location * unit_uv, scale=coded.scale * unit_uv)
        for (name, feature), cells in zip(self.features.items(), self._cells(table, coded), strict=True):
            table = table.append_column(name, pa.array(cells, Features({name: feature}).arrow_schema[0].type))
        return table

    def _cells(self, table: pa.Table, coded: EncodedSignals) -> list[list[Any]]:
        """Return the columns, without padding."""
        config = self.codec.config
        num_channels = [len(scale) for scale in table.column("scale").to_pylist()]
        num_patches = [-(-length // config.patch_size) for length in table.column("num_samples").to_pylist()]
        ends = list(zip(num_channels, num_patches, strict=True))
        tokens = [
            list(row[:channels, : patches * config.codes_per_patch])
            for row, (channels, patches) in zip(coded.indices.numpy(), ends, strict=True)
        ]
        location, scale = (
            [row[:channels] for row, channels in zip(side.numpy(), num_channels, strict=True)]
            for side in (coded.location, coded.scale)
        )
        return [tokens, location, scale, [self.marker] * len(table)]


def _check_columns(dataset: AnyDataset, needed: Sequence[str], column: str) -> None:
    """Refuse rows of anything but a prepared corpus, and names that are taken."""
    names = dataset.column_names
    if names is None:  # a stream that does not say
        return
    missing = sorted(set(needed) - set(names))
    if missing:
        raise ValueError(f"expected rows of a prepared corpus, they lack {', '.join(missing)}")
    if column in names:
        raise ValueError(f"column: {column!r} is there already, expected another name")


def _unwhitening(table: pa.Table, alignments: Mapping[str, np.ndarray]) -> torch.Tensor:
    """Return what undoes the whitening of each row, (rows, channels, channels), padded with zeros."""
    groups = table.column("alignment_group").to_pylist()
    unknown = sorted(set(groups) - set(alignments))
    if unknown:
        raise ValueError(f"alignments: expected those of add_tokens, they lack {', '.join(unknown)}")
    matrices = torch.from_numpy(pad_arrays([alignments[group] for group in groups])).float()
    return torch.linalg.pinv(matrices, rtol=_LEAST_SINGULAR, hermitian=True)


def _as_table(rows: Any) -> pa.Table:
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, Dataset):
        return rows.with_format("arrow")[:]
    if isinstance(rows, Mapping):
        return pa.table(dict(rows))
    return pa.Table.from_pylist([dict(row) for row in rows])


__all__ = ["EncodedSignals", "add_tokens", "codec_fingerprint", "tokens_to_signal"]
