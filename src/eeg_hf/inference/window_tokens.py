# SPDX-License-Identifier: Apache-2.0
"""Tokens of prepared windows as columns of their dataset, and back to microvolts.

Beside the tokens, the columns hold what decoding needs: location and scale of each channel, and the
fingerprint of the codec. They are lists of numbers and a string, so pandas, polars and `datasets` read them
without eeg_hf.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset, Features, IterableDataset, List, Value
from datasets.fingerprint import Hasher

from ..collation import EEGDataCollator, decode_windows
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

_COLUMNS = ("signal", "scale", "num_samples", "sampling_rate")
_ALIGNED = "+"  # separates the codec's fingerprint from the alignment
_MIN_SINGULAR_VALUE = 1e-3  # relative to the largest of a whitening matrix, whose own floor is a hundredth
AnyDataset = TypeVar("AnyDataset", Dataset, IterableDataset)


def add_tokens(
    dataset: AnyDataset,
    codec: "EEGFSQModel",
    feature_extractor: EEGFeatureExtractor,
    batch_size: int = 64,
    num_proc: int | None = None,
    column: str = "tokens",
    device: str | torch.device | None = None,
    alignments: Mapping[str, np.ndarray] | None = None,
) -> AnyDataset:
    """Add the tokens of each window of a prepared corpus with `Dataset.map`.

    Windows are padded with zeros to whole patches after normalisation, and `tokens_to_signal` removes the
    padding. Tokens lose amplitudes above the extractor's `clip`. A row can still be decoded when its columns
    `signal` and `scale` are removed.

    Args:
        dataset: Rows of a prepared corpus, or a stream of them; windows may differ in channels and length.
        codec: An [`EEGFSQModel`].
        feature_extractor: The one saved with the codec.
        batch_size: Windows in one forward pass.
        num_proc: Number of processes, on a CPU only.
        column: Name of the column of tokens, and prefix of the names of the other columns.
        device: Device to move the codec to.
        alignments: Whitening matrix of each `alignment_group` (`load_alignments`), for an extractor that
            aligns.

    Returns:
        The dataset with four columns: `tokens`, lists (channels, num_tokens) of the smallest unsigned type
        that holds the codebook's indices; `tokens_location` and `tokens_scale`, lists (channels,) of float32
        in uV; and `tokens_codec`, the fingerprint of the codec, with `+euclidean` appended where the
        extractor aligns. The result is cached for the same dataset, weights and settings.

    Raises:
        ValueError: If a column is missing or exists already, alignments are missing, the windows have another
            rate than the codec, or several processes would share an accelerator.

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
        codec.to(device)  # type: ignore[arg-type]  # transformers' wrapper hides the signature
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
        # By content: the pickle of a codec depends on the path it was loaded from
        new_fingerprint=Hasher.hash([dataset._fingerprint, encode.fingerprint()]),
        desc="Coding",
    )
    return coded.with_format(dataset.format["type"])


def tokens_to_signal(
    rows: Dataset | pa.Table | Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    codec: "EEGFSQModel",
    column: str = "tokens",
    alignments: Mapping[str, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode rows that `add_tokens` wrote.

    Args:
        rows: Rows to decode in one batch: `dataset[:8]`, a list of rows, a dataset or an Arrow table.
        codec: The codec that made the tokens.
        column: As for `add_tokens`.
        alignments: As for `add_tokens`; inverts the whitening.

    Returns:
        Values (rows, channels, time), float32 in uV, padded with zeros; the mask of real channels (rows,
        channels) and of real samples (rows, time).

    Raises:
        ValueError: If columns are missing, the tokens are of another codec, or alignments are missing or not
            applicable.
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
    location, scale = (_pad(table.column(name).to_pylist()).astype(np.float32) for name in names[1:3])
    rates = torch.tensor(table.column("sampling_rate").to_pylist())
    coded = EncodedSignals(*map(torch.from_numpy, (_pad(tokens), location, scale)))
    values = decode_signals(coded, codec, rates)
    if alignments is not None:
        values = _unwhitening(table, alignments) @ values  # (rows, channels, time)
    num_samples = table.column("num_samples").to_numpy()
    is_sample = np.arange(num_samples.max()) < num_samples[:, None]
    return values.numpy()[..., : is_sample.shape[1]] * is_sample[:, None], scale > 0, is_sample


class _EncodeRows:
    """Add the columns to a table of rows; a callable object, so that it can be sent to other processes."""

    def __init__(
        self,
        codec: "EEGFSQModel",
        feature_extractor: EEGFeatureExtractor,
        alignments: Mapping[str, np.ndarray] | None,
        column: str,
    ) -> None:
        self.codec = codec
        self.feature_extractor = feature_extractor
        self.collator = EEGDataCollator(feature_extractor, alignments=alignments)
        aligned = "" if feature_extractor.alignment == "none" else _ALIGNED + feature_extractor.alignment
        self.marker = codec_fingerprint(codec) + aligned
        self.features = Features(
            {
                column: List(List(Value(str(index_dtype(codec.config.codebook_size))))),
                f"{column}_location": List(Value("float32")),
                f"{column}_scale": List(Value("float32")),
                f"{column}_codec": Value("string"),
            }
        )

    def fingerprint(self) -> str:
        """Return a hash of everything the columns depend on but the rows."""
        extractor = self.feature_extractor
        settings = [extractor.normalization, extractor.clip, self.collator.alignments]
        return Hasher.hash([self.marker, settings, list(self.features)])

    def __call__(self, table: pa.Table, rank: int | None = None) -> pa.Table:
        """Return the table with the columns appended."""
        if rank is not None:  # a forked process deadlocks in the thread pool of its parent
            torch.set_num_threads(1)
        # Normalised as the collator does it, for the same tokens to the bit
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
        if in_counts:  # location and scale are in steps of the stored integers
            unit_uv = torch.from_numpy(_pad(table.column("scale").to_pylist())).float()
            coded = coded._replace(location=coded.location * unit_uv, scale=coded.scale * unit_uv)
        for (name, feature), cells in zip(self.features.items(), self._to_cells(table, coded), strict=True):
            table = table.append_column(name, pa.array(cells, Features({name: feature}).arrow_schema[0].type))
        return table

    def _to_cells(self, table: pa.Table, coded: EncodedSignals) -> list[list[Any]]:
        """Return the columns without padding."""
        num_channels = [len(scale) for scale in table.column("scale").to_pylist()]
        num_tokens = [count_tokens(self.codec, length) for length in table.column("num_samples").to_pylist()]
        tokens = [
            list(row[:channels, :length])
            for row, channels, length in zip(coded.indices.numpy(), num_channels, num_tokens, strict=True)
        ]
        location, scale = (
            [row[:channels] for row, channels in zip(side.numpy(), num_channels, strict=True)]
            for side in (coded.location, coded.scale)
        )
        return [tokens, location, scale, [self.marker] * len(table)]


def _check_columns(dataset: AnyDataset, needed: Sequence[str], column: str) -> None:
    """Raise a ValueError unless the rows are of a prepared corpus and the new column's name is free."""
    names = dataset.column_names
    if names is None:  # a stream of unknown columns
        return
    missing = sorted(set(needed) - set(names))
    if missing:
        raise ValueError(f"expected rows of a prepared corpus, they lack {', '.join(missing)}")
    if column in names:
        raise ValueError(f"column: {column!r} exists already, expected another name")


def _unwhitening(table: pa.Table, alignments: Mapping[str, np.ndarray]) -> torch.Tensor:
    """Return the matrices that invert the whitening, (rows, channels, channels), padded with zeros."""
    groups = table.column("alignment_group").to_pylist()
    unknown = sorted(set(groups) - set(alignments))
    if unknown:
        raise ValueError(f"alignments: expected those of add_tokens, they lack {', '.join(unknown)}")
    matrices = torch.from_numpy(_pad([alignments[group] for group in groups])).float()
    return torch.linalg.pinv(matrices, rtol=_MIN_SINGULAR_VALUE, hermitian=True)


def _pad(arrays: Sequence[Any]) -> np.ndarray:
    """Stack arrays of several shapes, padded with zeros at their ends."""
    arrays = [np.asarray(array) for array in arrays]
    shape = np.max([array.shape for array in arrays], axis=0)
    padded = np.zeros((len(arrays), *shape), arrays[0].dtype)
    for row, array in zip(padded, arrays, strict=True):
        row[tuple(map(slice, array.shape))] = array
    return padded


def _as_table(rows: Any) -> pa.Table:
    if isinstance(rows, Dataset):
        rows = rows.with_format("arrow")[:]
    if isinstance(rows, pa.Table):
        return rows
    return pa.table(dict(rows)) if isinstance(rows, Mapping) else pa.Table.from_pylist([*map(dict, rows)])
