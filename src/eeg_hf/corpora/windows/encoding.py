# SPDX-License-Identifier: Apache-2.0
"""How a window is stored: one Parquet row of built-in types, its samples as int16 with a scale per channel.

Any reader of Parquet understands it: `np.frombuffer(signal, "<i2").reshape(-1, num_samples) * scale[:, None]`
are the samples in microvolt. The binary column is decoded ten times faster than nested lists of floats and is
half as large.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ..corpus import Corpus, Event, Label, Recording

LARGEST_COUNT = 32767

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
    ("signal", pa.binary()),
    ("scale", pa.list_(pa.float32())),
]
_COLUMNS = {name for name, _ in (*_PROVENANCE, *_SIGNAL)} | {"start_seconds"}

ALIGNMENT_SCHEMA = pa.schema(
    [
        ("alignment_group", pa.string()),
        ("channels", pa.list_(pa.string())),
        ("num_windows", pa.int32()),
        ("covariance", pa.list_(pa.float32())),
    ]
)
"""Rows of the alignment table: mean covariance (channels x channels, uV^2) of all windows of a group."""


def window_schema(label_names: Mapping[str, type[str] | type[float]]) -> pa.Schema:
    """Return the columns of a window, the corpus's labels among them.

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

    No sample is off by more than half a step, and none is clipped: the largest one becomes 32767.

    Args:
        windows_uv: (windows, channels, time) in microvolt, finite.

    Returns:
        Counts, little-endian int16 of the same shape, and the scale (windows, channels) float32 in microvolt
        per count; 1 for a channel of zeros.
    """
    peak = np.abs(windows_uv).max(axis=-1)
    scale = (peak / LARGEST_COUNT).astype(np.float32)
    scale[scale == 0] = 1.0
    # Divided by the scale as stored: one of float64 is up to 6e-8 off, 0.002 counts at the largest sample.
    counts = np.rint(windows_uv / scale[..., None].astype(np.float64))
    return np.clip(counts, -LARGEST_COUNT, LARGEST_COUNT).astype("<i2"), scale


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
        windows_uv: (windows, channels, time) in microvolt, finite; bad channels are zeros.
        starts: Start of each window in seconds after the recording's first sample.
        events: The event of each window, `None` where it was not cut by one.
        corpus: Gives the licence.
        recording: Gives the provenance and the labels.
        recording_name: Its path below the corpus's folder.
        label_names: Columns of the labels -> `str` or `float`; an event's own go before the recording's.
        channels: Names in the order of the samples.
        bad_channels: Those of them that hold no signal.
        channel_positions: (channels, 3) in metres.
        sampling_rate: In Hz.
        reference: What the voltages refer to.
        alignment_group: Which rows share a covariance.
        decisions: Report of the cleaning, which gives `line_freq` (Hz), `scale_uv` (factor that mended the
            unit) and `quality` (0 to 1).

    Returns:
        A table with the columns of `window_schema`.
    """
    counts, scale = quantize(windows_uv)
    signals = [window.tobytes() for window in counts]
    identity = (recording.corpus, recording.subject, recording.session, recording.run)
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
    each: dict[str, object] = {
        # The time alone names a window, but for two events at one time.
        "window_id": [
            "/".join((*identity, f"{start:.3f}" if event is None else f"{start:.3f}:{event.name}"))
            for start, event in zip(starts, events, strict=True)
        ],
        "start_seconds": np.asarray(starts, np.float64),
        "event": [event and event.name for event in events],
        **{name: [_label(name, event, recording) for event in events] for name in label_names},
        # Without the scale: the same samples in another unit are the same samples.
        "signal_hash": [hashlib.blake2b(signal, digest_size=8).hexdigest() for signal in signals],
        "signal": signals,
        "scale": list(scale),
    }
    schema = window_schema(label_names)
    columns = [
        pa.array(each[field.name] if field.name in each else [same[field.name]] * len(signals), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _label(name: str, event: Event | None, recording: Recording) -> Label:
    """Look a label up: what is known of the event goes before what is known of the recording."""
    if event is not None and name in event.labels:
        return event.labels[name]
    return recording.labels.get(name)


__all__ = ["ALIGNMENT_SCHEMA", "LARGEST_COUNT", "encode_windows", "quantize", "window_schema"]
