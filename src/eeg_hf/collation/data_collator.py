# SPDX-License-Identifier: Apache-2.0
"""Rows of a prepared corpus to batches a model takes: decoded, aligned, normalised, padded, masked, labelled.

Reading is the hot path of training, so rows travel as Arrow tables and never as Python lists: `WindowDataset`
hands whole batches over, `decode_windows` looks at their int16 samples without copying them first.

All randomness is drawn per row from (seed, epoch, window_id): a row gets the same mask and the same
augmentation whatever the batch, the number of processes or workers, and after a resume.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute  # noqa: F401  (pa.compute is there only once it is imported)
import torch

from ..processing.calibration import Calibration, stack_calibrations
from .augmentation import DEFAULT_VIEW, Transform
from .pair_columns import PairColumns

SIGNAL_COLUMNS = ("window_id", "alignment_group", "channel_positions", "num_samples", "signal", "scale")


class Normalizer(Protocol):
    """What the collator needs of a feature extractor."""

    @property
    def alignment(self) -> str:
        """`"none"`, or how people are aligned."""
        ...

    @property
    def ignores_scale(self) -> bool:
        """Whether each channel may come in a unit of its own."""
        ...

    def normalize(
        self,
        values: torch.Tensor,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        alignment_matrix: torch.Tensor | None = None,
        out: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Align, normalise and clip (batch, channels, time) in microvolt."""
        ...


class WindowDataset(torch.utils.data.Dataset):
    """A prepared corpus as a map-style dataset that returns Arrow tables.

    Args:
        dataset: A `datasets.Dataset` with the columns of a prepared corpus.
        columns: Columns to read beside those of the signal, such as the labels.

    Example:
        >>> from datasets import load_dataset
        >>> rows = load_dataset("runs/data/eegmat", split="train")  # doctest: +SKIP
        >>> windows = WindowDataset(rows, ["condition"])  # doctest: +SKIP
    """

    def __init__(self, dataset: Any, columns: Sequence[str] = ()) -> None:
        missing = sorted({*SIGNAL_COLUMNS, *columns} - set(dataset.column_names))
        if missing:
            raise ValueError(f"dataset lacks the columns {missing}; it has {sorted(dataset.column_names)}")
        self.dataset = dataset.select_columns([*SIGNAL_COLUMNS, *columns]).with_format("arrow")

    @property
    def num_channels(self) -> np.ndarray:
        """Number of channels of each row."""
        return pa.compute.list_value_length(
            self.dataset.select_columns(["scale"])[:].column("scale")
        ).to_numpy()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> pa.Table:
        return self.dataset[[index]]

    def __getitems__(self, indices: list[int]) -> pa.Table:
        return self.dataset[indices]


def decode_windows(table: pa.Table, in_counts: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode the signals of prepared rows.

    Args:
        table: Rows with `signal` (little-endian int16, channels x samples), `scale` and `num_samples`.
        in_counts: Leave the samples as they are stored, where they are: a view that must not be written to.

    Returns:
        Values (rows, channels, time) float32 in microvolt, or int16 in steps of each channel's own scale,
        padded with zeros; and which channels (rows, channels) and which samples (rows, time) are real.

    Raises:
        ValueError: If the bytes of a row are not channels x samples.
    """
    num_samples = table.column("num_samples").to_numpy()
    num_channels = pa.compute.list_value_length(table.column("scale")).to_numpy()
    samples, starts = _flat_int16(table.column("signal"))
    if not np.array_equal(np.diff(starts), num_channels * num_samples):
        row = int(np.argmax(np.diff(starts) != num_channels * num_samples))
        raise ValueError(
            f"row {row}: expected {num_channels[row]} x {num_samples[row]} int16 samples, got "
            f"{starts[row + 1] - starts[row]}; the shard is damaged: prepare it again"
        )
    is_channel = np.arange(num_channels.max()) < num_channels[:, None]
    is_sample = np.arange(num_samples.max()) < num_samples[:, None]
    scales = np.zeros(is_channel.shape, np.float32)
    scales[is_channel] = pa.compute.list_flatten(table.column("scale")).to_numpy()
    shape = (*is_channel.shape, is_sample.shape[1])
    if not (is_channel.all() and is_sample.all()):
        samples = _pad(samples, starts, num_channels, num_samples, shape)
    values = samples.reshape(shape)
    if not in_counts:
        # Not np.multiply, which converts a buffer at a time: 0.54 ms a batch of 32, this 0.21 to 0.35.
        values = torch.mul(torch.from_dlpack(values), torch.from_numpy(scales)[..., None]).numpy()
    for row, channel in np.argwhere(scales == 1.0):  # what a channel of zeros is written with; few have it
        is_channel[row, channel] = values[row, channel].any()
    return values, is_channel, is_sample


def _flat_int16(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Return all samples of a binary column as one view, and where each row starts in it."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps a column of no chunk as it is
        array = pa.concat_arrays(array.chunks)
    width = np.int64 if pa.types.is_large_binary(array.type) else np.int32
    offsets = np.frombuffer(array.buffers()[1], width)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(array.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    return data.view("<i2"), (offsets - offsets[0]) // 2


def _pad(
    samples: np.ndarray,
    starts: np.ndarray,
    num_channels: np.ndarray,
    num_samples: np.ndarray,
    shape: tuple[int, ...],
) -> np.ndarray:
    """Put rows of several shapes into one array (rows, channels, time) with zeros around them."""
    padded = np.zeros(shape, np.int16)
    for row, (channels, length) in enumerate(zip(num_channels, num_samples, strict=True)):
        counts = samples[starts[row] : starts[row + 1]]
        padded[row, :channels, :length] = counts.reshape(channels, length)
    return padded


def decode_positions(table: pa.Table) -> torch.Tensor:
    """Return the electrodes' positions (rows, channels, 3) in metres, padded with zeros."""
    num_channels = pa.compute.list_value_length(table.column("scale")).to_numpy()
    flat = (
        pa.compute.list_flatten(table.column("channel_positions")).to_numpy().astype(np.float32, copy=False)
    )
    if (num_channels == num_channels[0]).all():
        return torch.tensor(flat.reshape(len(table), -1, 3))
    positions = np.zeros((len(table), num_channels.max(), 3), np.float32)
    positions[np.arange(positions.shape[1]) < num_channels[:, None]] = flat.reshape(-1, 3)
    return torch.from_numpy(positions)


class EEGDataCollator:
    """Turn prepared rows into `input_values`, `channel_positions`, masks and labels.

    Args:
        feature_extractor: The [`EEGFeatureExtractor`] of the model; its `normalize` does the work.
        label_column: Column that holds the label; or {task: column} for several tasks.
        label2id: Class index of each label value, or {task: such a mapping}; without it the values are
            numbers.
        alignments: Whitening matrix (channels, channels) of each `alignment_group`, for
            `alignment="euclidean"`.
        augmentation: Transform of the normalised windows; hand it to the collator for training only.
        seed: Seed of everything random.
        calibrations: Recentring of each `alignment_group` for models with second-order tokens, see
            `calibrate_groups`; adds `recentring_whitening` and `recentring_log_power`.
    """

    def __init__(
        self,
        feature_extractor: Normalizer,
        label_column: str | Mapping[str, str] | None = None,
        label2id: Mapping[str, Any] | None = None,
        alignments: Mapping[str, np.ndarray] | None = None,
        augmentation: Transform | None = None,
        seed: int = 0,
        calibrations: Mapping[str, Calibration] | None = None,
    ) -> None:
        if feature_extractor.alignment != "none" and not alignments:
            raise ValueError(
                f"alignment={feature_extractor.alignment!r} needs alignments: the whitening matrix of every "
                "group, "
                "see load_alignments"
            )
        self.feature_extractor = feature_extractor
        self.label_column = label_column
        self.label2id = label2id
        self.alignments = alignments
        self.augmentation = augmentation
        self.seed = seed
        self.calibrations = calibrations
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw other random numbers from now on."""
        self.epoch = epoch

    def __call__(self, rows: pa.Table | Sequence[Mapping[str, Any]] | Sequence[pa.Table]) -> dict[str, Any]:
        """Collate rows.

        Args:
            rows: An Arrow table (from `WindowDataset`), or a list of rows as dicts (from a stream).
        """
        table = _as_table(rows)
        batch: dict[str, Any] = {**self.collate_signals(table)}
        if self.label_column is not None:
            batch["labels"] = self.collate_labels(table)
        if self.augmentation is not None:
            generators = self.row_generators(table)
            batch["input_values"] = apply_by_row(self.augmentation, batch["input_values"], generators)
        return batch

    def collate_signals(self, table: pa.Table) -> dict[str, torch.Tensor]:
        """Return what every model takes: the fast path."""
        decoded = decode_windows(table, in_counts=self.feature_extractor.ignores_scale)
        values, channel_mask, attention_mask = (torch.from_dlpack(array) for array in decoded)
        out = values
        if values.dtype != torch.float32:  # numpy's memory comes in huge pages, torch's does not
            out = torch.from_numpy(np.empty(values.shape, np.float32))
        matrices = self.collate_alignments(table, values.shape[1])
        batch = {
            "input_values": self.feature_extractor.normalize(
                values, channel_mask, attention_mask, matrices, out
            ),
            "channel_positions": decode_positions(table),
            "channel_mask": channel_mask,
            "attention_mask": attention_mask,
        }
        if self.calibrations is not None:
            groups = table.column("alignment_group").to_pylist()
            batch.update(stack_calibrations(self.calibrations, groups))
        return batch

    def collate_alignments(self, table: pa.Table, num_channels: int) -> torch.Tensor | None:
        """Return the whitening matrices (rows, channels, channels), padded with zeros."""
        if self.feature_extractor.alignment == "none" or self.alignments is None:
            return None
        matrices = torch.zeros(len(table), num_channels, num_channels)
        for row, group in enumerate(table.column("alignment_group").to_pylist()):
            if group not in self.alignments:
                raise ValueError(
                    f"no alignment for {group!r}: prepare its corpus again, or use alignment='none'"
                )
            matrix = torch.as_tensor(self.alignments[group])
            matrices[row, : len(matrix), : len(matrix)] = matrix
        return matrices

    def collate_labels(self, table: pa.Table) -> torch.Tensor | dict[str, torch.Tensor]:
        """Return class indices or values; missing labels become -100 or NaN."""
        if isinstance(self.label_column, str):
            return encode_labels(table.column(self.label_column).to_pylist(), self.label2id)
        return {
            task: encode_labels(table.column(column).to_pylist(), (self.label2id or {}).get(task))
            for task, column in (self.label_column or {}).items()
        }

    def row_generators(self, table: pa.Table) -> list[torch.Generator]:
        """Return one generator a row, seeded by what the row is and not by where it stands."""
        return [
            torch.Generator().manual_seed(_row_seed(self.seed, self.epoch, window_id))
            for window_id in table.column("window_id").to_pylist()
        ]


class EEGPreTrainingCollator(EEGDataCollator):
    """Add what pretraining needs: the noise that decides the mask, and an augmented view of each window.

    Args:
        feature_extractor: As in [`EEGDataCollator`].
        patch_size: Samples of one stretch to hide (the model's `patch_size`).
        view: Transform that makes the second view; None leaves the contrast out.
        pairs: Columns that say which windows of different people belong together: adds `stimulus_ids`,
            `stimulus_seconds` and `subject_ids`.
        num_bands: Bands of the model's second-order tokens, of which a share is masked: adds `band_noise`.
        **kwargs: As in [`EEGDataCollator`]; the labels of several tasks become `auxiliary_targets`.
    """

    def __init__(
        self,
        feature_extractor: Normalizer,
        patch_size: int,
        view: Transform | None = DEFAULT_VIEW,
        pairs: PairColumns | None = None,
        num_bands: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(feature_extractor, **kwargs)
        self.patch_size = patch_size
        self.view = view
        self.pairs = pairs
        self.num_bands = num_bands

    def __call__(self, rows: pa.Table | Sequence[Mapping[str, Any]] | Sequence[pa.Table]) -> dict[str, Any]:
        """Collate rows, as [`EEGDataCollator`] does."""
        table = _as_table(rows)
        batch = super().__call__(table)
        if isinstance(self.label_column, Mapping):
            batch["auxiliary_targets"] = batch.pop("labels")
        if self.pairs is not None:
            batch.update(self.pairs.collate(table))
        values = batch["input_values"]
        generators = self.row_generators(table)
        shape = (values.shape[1], -(-values.shape[2] // self.patch_size))
        batch["mask_noise"] = torch.stack(
            [torch.rand(shape, generator=generator) for generator in generators]
        )
        if self.num_bands:
            batch["band_noise"] = torch.stack(
                [torch.rand(self.num_bands, generator=each) for each in generators]
            )
        if self.view is not None:
            batch["augmented_values"] = apply_by_row(self.view, values, generators)
        return batch


class MixupCollator:
    """Mix pairs of windows of a batch and their labels (mixup, https://arxiv.org/abs/1710.09412).

    Args:
        collator: Any collator that returns `input_values` and class indices as `labels`.
        num_classes: Number of classes.
        alpha: The share of the partner is drawn from Beta(alpha, alpha).
        seed: Seed of partners and shares.
    """

    def __init__(
        self,
        collator: Callable[[Any], dict[str, Any]],
        num_classes: int,
        alpha: float = 0.2,
        seed: int = 0,
    ) -> None:
        if alpha <= 0:
            raise ValueError(f"alpha: expected more than 0, got {alpha}")
        self.collator = collator
        self.num_classes = num_classes
        self.alpha = alpha
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw other random numbers from now on."""
        self.epoch = epoch
        if hasattr(self.collator, "set_epoch"):
            self.collator.set_epoch(epoch)

    def __call__(self, rows: Any) -> dict[str, Any]:
        """Collate rows; the labels come back as shares (batch, num_classes)."""
        batch = self.collator(rows)
        values, labels = batch["input_values"], batch["labels"]
        if (labels < 0).any():
            raise ValueError("mixup: every row needs a label; drop the rows without one")
        content = zlib.crc32(values[0].numpy().tobytes())  # by what is in the batch: the same after a resume
        random = np.random.default_rng([self.seed, self.epoch, content])
        share = random.beta(self.alpha, self.alpha)
        partner = torch.from_numpy(random.permutation(len(labels)))
        targets = torch.nn.functional.one_hot(labels, self.num_classes).float()
        mixed = {
            "input_values": ((1 - share) * values + share * values[partner]).float(),
            "labels": ((1 - share) * targets + share * targets[partner]).float(),
        }
        return {**batch, **mixed}


def apply_by_row(
    transform: Transform, values: torch.Tensor, generators: Sequence[torch.Generator]
) -> torch.Tensor:
    """Apply a transform to each row (channels, time) with the row's own generator."""
    rows = [transform(values[[row]], generator) for row, generator in enumerate(generators)]
    return torch.cat(rows)


def encode_labels(labels: Sequence[Any], label2id: Mapping[Any, int] | None) -> torch.Tensor:
    """Turn label values into class indices (None becomes -100), or into numbers (None becomes NaN)."""
    if label2id is None:
        return torch.tensor([float("nan") if label is None else float(label) for label in labels])
    unknown = sorted({str(label) for label in labels if label is not None and label not in label2id})
    if unknown:
        raise ValueError(f"unknown label {unknown}: expected one of {sorted(map(str, label2id))}")
    return torch.tensor([-100 if label is None else label2id[label] for label in labels])


def _row_seed(seed: int, epoch: int, window_id: str) -> int:
    state = np.random.SeedSequence([seed, epoch, zlib.crc32(window_id.encode())]).generate_state(1, np.uint64)
    return int(state[0] >> np.uint64(1))  # a torch seed is signed


def _as_table(rows: pa.Table | Sequence[Any]) -> pa.Table:
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows[0], pa.Table):
        return pa.concat_tables(rows)
    return pa.Table.from_pylist([dict(row) for row in rows])
