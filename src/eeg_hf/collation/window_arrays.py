# SPDX-License-Identifier: Apache-2.0
"""Rows of a prepared corpus as arrays: samples in microvolts, masks and electrode positions."""

import itertools
import math

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from ..processing.normalization import ROWS_IN_CACHE, sum_of_spots

QUARTILES = "quartiles"
"""Column that corpora lack which were prepared before it came."""
MAX_SCALE_UV = 1e6 / 32767
"""Microvolts per count at which the largest count is a volt; EEG stays below a millivolt."""
LARGEST_COUNT = 2.0**15
"""No whole number of 16 bits is larger."""


def decode_windows(table: pa.Table, in_counts: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decode the signals of prepared rows.

    Args:
        table: Rows with `signal` (little-endian int16, channels x samples), `scale` and `num_samples`.
        in_counts: Return the samples as stored.

    Returns:
        Values (rows, channels, time), float32 in microvolts or in steps of each channel's own scale, padded
        with zeros; and which channels (rows, channels) and which samples (rows, time) are real.

    Raises:
        ValueError: If a row does not hold channels x samples, if a scale is no number or beyond a volt, or if
            there are no rows.
    """
    if not len(table):
        raise ValueError("expected windows to decode, got a batch of none")
    num_samples = table.column("num_samples").to_numpy()
    num_channels = _count_channels(table)
    sizes = pc.binary_length(table.column("signal")).to_numpy() / 2  # an odd number of bytes is damage too
    if (sizes != num_channels * num_samples).any():
        row = int(np.argmax(sizes != num_channels * num_samples))
        raise ValueError(
            f"row {row}: expected {num_channels[row]} x {num_samples[row]} int16 samples, got "
            f"{sizes[row]:g}; the shard is damaged: prepare it again"
        )
    is_channel, is_sample = _up_to(num_channels), _up_to(num_samples)  # (rows, channels), (rows, time)
    scales = _by_channel(pc.list_flatten(table.column("scale")), num_channels, 1)[..., 0]
    _check_scales(table, scales)
    shape = (*is_channel.shape, is_sample.shape[1])
    is_full = sizes.sum() == math.prod(shape)
    values = (np.empty if is_full else np.zeros)(shape, np.float32)  # numpy's come in huge pages, torch's not
    rows = zip(values, _int16_views(table.column("signal")), num_channels, num_samples, strict=True)
    for first in range(0, len(table), ROWS_IN_CACHE):
        block = slice(first, first + ROWS_IN_CACHE)
        for row, samples, channels, length in itertools.islice(rows, ROWS_IN_CACHE):
            row[:channels, :length] = samples.reshape(channels, length)
        if not in_counts:  # a second pass: multiplying int16 by float32 takes longer than both
            torch.from_numpy(values[block]).mul_(torch.from_numpy(scales[block])[..., None])
    may_be_zeros = scales == 1.0  # the scale of a channel of zeros; few others have it
    if may_be_zeros.any():
        is_channel[may_be_zeros] = values[may_be_zeros].any(axis=-1)
    return values, is_channel, is_sample


def decode_positions(table: pa.Table) -> torch.Tensor:
    """Return the electrode positions (rows, channels, 3) in metres, padded with zeros."""
    flat = pc.list_flatten(table.column("channel_positions"))
    return torch.from_numpy(_by_channel(flat, _count_channels(table), 3))


def decode_quartiles(table: pa.Table) -> np.ndarray | None:
    """Return what is stored of each channel, (rows, channels, 4), padded with zeros.

    Its quartiles in counts, and the sum that says of which samples; None if a row has none, because its
    corpus was prepared before they were stored.
    """
    if QUARTILES not in table.column_names or table.column(QUARTILES).null_count:
        return None
    num_channels = _count_channels(table)
    flat = pc.list_flatten(table.column(QUARTILES))
    if len(flat) != 4 * num_channels.sum():
        return None
    return _by_channel(flat, num_channels, 4)


def quartiles_of(
    stored: np.ndarray | None, counts: np.ndarray, attention_mask: np.ndarray
) -> torch.Tensor | None:
    """Return the quartiles of each channel in counts, (rows, channels, 3), padded with zeros.

    Args:
        stored: From `decode_quartiles`.
        counts: The samples as stored, from `decode_windows`, (rows, channels, time).
        attention_mask: Which of them are real, (rows, time).

    Returns:
        None where they must be computed: there are none, or the samples have been changed since.
    """
    if stored is None:
        return None
    if attention_mask.all():
        sums = sum_of_spots(counts)
    else:
        sums = np.stack(
            [sum_of_spots(row[:, is_real]) for row, is_real in zip(counts, attention_mask, strict=True)]
        )
    return torch.from_numpy(stored[..., :3]) if np.array_equal(stored[..., 3], sums) else None


def _check_scales(table: pa.Table, scales: np.ndarray) -> None:
    """Refuse scales from which samples would become infinite, or larger than anything an electrode gives.

    One NaN in a shard would otherwise reach every weight of a training.
    """
    if np.abs(scales).max(initial=0.0) <= MAX_SCALE_UV:  # False for NaN
        return
    is_bad = ~(np.abs(scales) <= MAX_SCALE_UV).all(axis=1)
    if is_bad.any():
        names = table.column("window_id") if "window_id" in table.column_names else None
        rows = np.flatnonzero(is_bad)
        shown = [str(row) if names is None else names[int(row)].as_py() for row in rows[:5]]
        raise ValueError(
            f"{len(rows)} of {len(scales)} windows of a batch have a scale that is no number or stands for "
            f"more than a volt: {', '.join(shown)}; the shard is damaged: prepare it again"
        )


def _up_to(numbers: np.ndarray) -> np.ndarray:
    """Return which places of each row are real, the first `numbers` (rows,) of them: (rows, largest)."""
    largest = numbers.max()
    if (numbers == largest).all():  # as nearly always
        return np.ones((len(numbers), largest), bool)
    return np.arange(largest) < numbers[:, None]


def _count_channels(table: pa.Table) -> np.ndarray:
    return pc.list_value_length(table.column("scale")).to_numpy()


def _by_channel(flat: pa.ChunkedArray, num_channels: np.ndarray, width: int) -> np.ndarray:
    """Return the numbers of all channels of all rows as (rows, channels, width), padded with zeros."""
    shape = (len(num_channels), num_channels.max(), width)
    values = flat.to_numpy().astype(np.float32).reshape(-1, width)
    if len(values) == shape[0] * shape[1]:  # as nearly always
        return values.reshape(shape)
    padded = np.zeros(shape, np.float32)
    padded[np.arange(shape[1]) < num_channels[:, None]] = values
    return padded


def _int16_views(column: pa.ChunkedArray) -> list[np.ndarray]:
    """Return the samples of each row of a binary column, (samples,) each, where they lie in memory."""
    width = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    views = []
    # Random batches have a chunk a row; `as_buffer` of a row takes thrice as long
    for chunk in column.iterchunks():
        _, offsets, data = chunk.buffers()
        ends = np.frombuffer(offsets, width)[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
        views += [
            np.frombuffer(data, "<i2", (end - start) // 2, start) for start, end in itertools.pairwise(ends)
        ]
    return views
