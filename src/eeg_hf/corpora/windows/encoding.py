# SPDX-License-Identifier: Apache-2.0
"""How a window is stored: one Parquet row of built-in types, its samples as int16 with a scale per channel.

Any reader of Parquet understands it: `np.frombuffer(signal, "<i2").reshape(-1, num_samples) * scale[:, None]`
are the samples in microvolts. The binary column is half as large as nested lists of floats and is decoded ten
times as fast. `quartiles` (channels x 4: three in counts, and a sum of some samples) spares readers sorting.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from ...processing.normalization import channel_quartiles, sum_of_spots
from ..corpus import Corpus, Event, Label, Recording

LARGEST_COUNT = 32767
SIGNAL = "signal"

_PROVENANCE = [
    (name, pa.string()) for name in ("window_id", "corpus", "subject", "session", "run", "task", "recording")
]
_SIGNAL = [
    ("event", pa.string()),
    ("channels", pa.list_(pa.string())),
    ("bad_channels", pa.list_(pa.string())),
    ("channel_positions", pa.list_(pa.float32())),
    ("sampling_rate", pa.float32()),
    ("num_samples", pa.int32()),
    ("reference", pa.string()),
    ("line_freq", pa.float32()),
    ("scale_uv", pa.float32()),
    ("quality", pa.float32()),
    ("licence", pa.string()),
    ("alignment_group", pa.string()),
    ("signal_hash", pa.string()),
    (SIGNAL, pa.binary()),
    ("scale", pa.list_(pa.float32())),
    ("quartiles", pa.list_(pa.float32())),
]
OPTIONAL_COLUMNS = ("quartiles",)
"""Columns that corpora lack which were prepared before they came; what they hold is then computed."""
_COLUMNS = {name for name, _ in (*_PROVENANCE, *_SIGNAL)} | {"start_seconds"}

ALIGNMENT_SCHEMA = pa.schema(
    [
        ("alignment_group", pa.string()),
        ("channels", pa.list_(pa.string())),
        ("num_windows", pa.int32()),
        ("covariance", pa.list_(pa.float32())),
    ]
)
"""Columns of the alignment table: mean covariance (channels x channels, uV^2) of all windows of a group."""


def window_schema(label_names: Mapping[str, type[str] | type[float]]) -> pa.Schema:
    """Return the columns of a window, including the labels of the corpus.

    Args:
        label_names: Column name -> `str` or `float`.

    Raises:
        ValueError: If a label has the name of another column.
    """
    clash = sorted(_COLUMNS & set(label_names))
    if clash:
        raise ValueError(
            f"labels {clash} have the names of columns that every window has; rename them in the corpus"
        )
    labels = [(name, pa.string() if kind is str else pa.float64()) for name, kind in label_names.items()]
    return pa.schema([*_PROVENANCE, ("start_seconds", pa.float64()), *labels, *_SIGNAL])


def quantize(windows_uv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Round windows to int16 so that each channel of each window uses the whole range.

    No sample is off by more than half a step, and none is clipped: the largest becomes 32767.

    Args:
        windows_uv: (windows, channels, time) in microvolts, finite.

    Returns:
        Counts, little-endian int16 of the same shape, and the scale (windows, channels) float32 in microvolts
        per count; 1 for a channel of zeros.
    """
    peak = np.maximum(windows_uv.max(axis=-1), -windows_uv.min(axis=-1))  # (windows, channels)
    scale = (peak / LARGEST_COUNT).astype(np.float32)
    scale[scale == 0] = 1.0
    counts = np.empty(windows_uv.shape, "<i2")
    # One window at a time stays in the cache
    for window, own_scale, target in zip(windows_uv, scale, counts, strict=True):
        # Divided by the scale as stored: its rounding to float32 would be 0.002 counts at the largest sample
        exact = window / own_scale[:, None].astype(np.float64)
        np.rint(exact, out=exact)
        np.clip(exact, -LARGEST_COUNT, LARGEST_COUNT, out=exact)
        target[:] = exact
    return counts, scale


def encode_windows(
    windows_uv: np.ndarray,
    starts: Sequence[float],
    events: Sequence[Event | None],
    *,
    corpus: Corpus,
    recording: Recording,
    recording_name: str,
    label_names: Mapping[str, type[str] | type[float]],
    channels: Sequence[str],
    bad_channels: Sequence[str],
    channel_positions: np.ndarray,
    sampling_rate: float,
    reference: str,
    alignment_group: str,
    decisions: Mapping[str, Any] | None = None,
) -> pa.Table:
    """Turn windows of one recording into rows.

    Args:
        windows_uv: (windows, channels, time) in microvolts, finite; bad channels are zeros.
        starts: Start of each window in seconds after the recording's first sample.
        events: The event of each window, `None` for windows not cut by one.
        corpus: Source of the licence.
        recording: Source of the provenance and the labels.
        recording_name: Path of the recording below the corpus's folder.
        label_names: Columns of the labels -> `str` or `float`; labels of an event override the recording's.
        channels: Names in the order of the samples.
        bad_channels: Names of the channels without signal.
        channel_positions: (channels, 3) in metres.
        sampling_rate: Rate in Hz.
        reference: What the voltages are measured against.
        alignment_group: Name shared by the rows that share a covariance.
        decisions: Report of the cleaning, of which `line_freq` (Hz), `scale_uv` (factor that corrected the
            unit) and `quality` (0 to 1) are stored.

    Returns:
        A table with the columns of `window_schema`.
    """
    counts, scale = quantize(windows_uv)
    identity = (recording.corpus, recording.subject, recording.session, recording.run)
    # Columns with one value for all rows
    same: dict[str, object] = {
        **dict(zip(("corpus", "subject", "session", "run"), identity, strict=True)),
        "task": recording.task,
        "recording": recording_name,
        "channels": list(channels),
        "bad_channels": list(bad_channels),
        "channel_positions": channel_positions.astype(np.float32).ravel(),
        "sampling_rate": sampling_rate,
        "num_samples": windows_uv.shape[-1],
        "reference": reference,
        "licence": corpus.licence,
        "alignment_group": alignment_group,
        **{name: (decisions or {}).get(name) for name in ("line_freq", "scale_uv", "quality")},
    }
    # Columns with a value for each row
    each: dict[str, object] = {
        # The time identifies a window, except for two events at one time
        "window_id": [
            "/".join((*identity, f"{start:.3f}" if event is None else f"{start:.3f}:{event.name}"))
            for start, event in zip(starts, events, strict=True)
        ],
        "start_seconds": np.asarray(starts, np.float64),
        "event": [event and event.name for event in events],
        **{name: [_label(name, event, recording) for event in events] for name in label_names},
        # Without the scale: the same samples in another unit count as copies
        "signal_hash": [hash_signal(window) for window in counts],
        "signal": _as_binary(counts),
        "scale": list(scale),
        "quartiles": list(_quartiles(counts)),
    }
    schema = window_schema(label_names)
    columns = [
        pa.array(each[field.name], field.type)
        if field.name in each
        else pa.array([same[field.name]], field.type).take(np.zeros(len(counts), np.int64))
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def hash_signal(signal: np.ndarray | pa.Buffer) -> str:
    """Return the digest of the stored samples of a window, by which copies are found."""
    return hashlib.blake2b(pa.py_buffer(signal), digest_size=8).hexdigest()


def _as_binary(counts: np.ndarray) -> pa.Array:
    """Return windows (windows, channels, time) as binary values without copying them."""
    ends = np.arange(len(counts) + 1, dtype=np.int32) * counts[0].nbytes
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(counts)]
    return pa.Array.from_buffers(pa.binary(), len(counts), buffers)


def _quartiles(counts: np.ndarray) -> np.ndarray:
    """Return the quartiles of each channel and the sum that says whose they are, (windows, channels * 4)."""
    quartiles = channel_quartiles(torch.from_numpy(counts)).numpy()  # (windows, channels, 3)
    return np.concatenate([quartiles, sum_of_spots(counts)[..., None]], axis=-1).reshape(len(counts), -1)


def _label(name: str, event: Event | None, recording: Recording) -> Label:
    """Return a label of the event, else of the recording."""
    if event is not None and name in event.labels:
        return event.labels[name]
    return recording.labels.get(name)
