# SPDX-License-Identifier: Apache-2.0
"""Open an XDF file (Lab Streaming Layer): its EEG stream, with its markers as annotations.

https://github.com/sccn/xdf/wiki/Specifications and, for the channels, https://github.com/sccn/xdf/wiki/EEG-Meta-Data
"""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .file_checks import require_package
from .memory_bound import refuse_channels
from .signal_header import voltage_factor

if TYPE_CHECKING:
    import mne

_MARKER_TYPES = re.compile(r"markers?|stim.*|events?|triggers?", re.IGNORECASE)
_MIN_GAP_SECONDS = 0.5  # chunks that arrive late are closer than this
_TYPES = ("eeg", "eog", "ecg", "emg", "stim", "misc")


def read_xdf(path: Path, unit: str | None = None) -> "tuple[mne.io.RawArray, list[float]]":
    """Open the EEG stream of an XDF file at its nominal rate.

    Args:
        path: The file.
        unit: Unit of channels without one.

    Returns:
        The recording in volts, loaded, and the positions of pauses, in seconds after its first sample.

    Raises:
        ImportError: If pyxdf is not installed.
        ValueError: If there is no EEG stream or more than one, no unit, or fewer samples than promised.
    """
    require_package(path, "pyxdf")
    import mne
    import pyxdf

    chosen = _choose_stream(path, pyxdf.resolve_streams(str(path)))
    streams, _ = pyxdf.load_xdf(
        str(path),
        jitter_break_threshold_seconds=_MIN_GAP_SECONDS,
        jitter_break_threshold_samples=1,  # by default 500, which at 100 Hz hides losses of 5 s
        verbose=False,
    )
    stream = next(s for s in streams if s["info"]["stream_id"] == chosen)
    samples, times = np.asarray(stream["time_series"], np.float64).T, np.asarray(stream["time_stamps"])
    promised = _first(stream.get("footer", {}), "info", "sample_count")
    if promised is None or int(promised) != samples.shape[1]:
        raise ValueError(
            f"{path.name} is truncated or damaged: its EEG stream promises {promised or 'unknown'} samples "
            f"and holds {samples.shape[1]}"
        )
    rate = float(stream["info"]["nominal_srate"][0])
    names, types, factors = _channels(path, stream, len(samples), unit)
    raw = mne.io.RawArray(
        samples * np.array(factors)[:, None], mne.create_info(names, rate, types), verbose="ERROR"
    )
    for marks in filter(_is_marker_stream, streams):
        _annotate(path, raw, times, marks)
    joins = [first / rate for first, _ in stream["info"]["segments"][1:]]
    return raw, joins


def _is_marker_stream(stream: Mapping[str, Any]) -> bool:
    """Return whether a stream holds markers: text, or numbers at irregular times."""
    kind = stream["info"]["channel_format"][0]
    if kind == "string" or float(stream["info"]["nominal_srate"][0]) > 0:
        return bool(kind == "string")
    is_named = _MARKER_TYPES.fullmatch(str(_first(stream["info"], "type") or ""))
    return is_named is not None or str(kind).startswith("int")


def _annotate(path: Path, raw: "mne.io.RawArray", times: np.ndarray, marks: Mapping[str, Any]) -> None:
    """Add a stream of markers; those outside the recording are left out, with a warning."""
    stamps, rate = np.asarray(marks["time_stamps"], np.float64), raw.info["sfreq"]
    texts = ["/".join(filter(None, map(_marker_text, values))) for values in marks["time_series"]]
    is_inside = (stamps >= times[0] - 0.5 / rate) & (stamps <= times[-1] + 0.5 / rate)
    kept = [text for text, inside in zip(texts, is_inside, strict=True) if inside]
    at = np.minimum(np.searchsorted(times, stamps[is_inside]), raw.n_times - 1) / rate
    raw.annotations.append(at, 0.0, kept)
    num_outside = int((~is_inside).sum())
    if num_outside:
        clock = "; is it on another clock?" if not kept else ""
        warnings.warn(
            f"{num_outside} of {len(stamps)} markers of stream {_first(marks['info'], 'name')} of "
            f"{path.name} lie outside the recording and are left out{clock}",
            RuntimeWarning,
            stacklevel=2,
        )


def _marker_text(value: Any) -> str:
    """Return one cell of a marker as text; whole numbers have no decimal point."""
    is_whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value) if is_whole else value).strip()


def _choose_stream(path: Path, streams: list[Mapping[str, Any]]) -> int:
    """Return the id of the only EEG stream."""
    found = [s for s in streams if s["type"].lower() == "eeg" and float(s["nominal_srate"]) > 0]
    if len(found) != 1:
        held = ", ".join(f"{s['name']} ({s['type']}, {s['nominal_srate']} Hz)" for s in streams) or "nothing"
        raise ValueError(f"{path.name} has {len(found)} EEG streams, expected one: it has {held}")
    for stream in streams:
        refuse_channels(path.name, float(stream["channel_count"]))
    return int(found[0]["stream_id"])


def _channels(
    path: Path, stream: Mapping[str, Any], count: int, unit: str | None
) -> tuple[list[str], list[str], list[float]]:
    """Return names, MNE's types and volts per unit of a stream's channels."""
    described = _first(stream["info"], "desc", "channels") or {}
    rows = described.get("channel") or [{} for _ in range(count)]
    if len(rows) != count:
        raise ValueError(f"{path.name} describes {len(rows)} channels and has {count}")
    names = [_first(row, "label") or f"EEG {i + 1:03d}" for i, row in enumerate(rows)]
    types = [str(_first(row, "type") or "eeg").lower() for row in rows]
    types = [kind if kind in _TYPES else "misc" for kind in types]
    factors = []
    for name, kind, row in zip(names, types, rows, strict=True):
        factor = voltage_factor(_first(row, "unit") or unit or "")
        if factor is None and kind in ("eeg", "eog", "ecg", "emg"):
            raise ValueError(
                f'{path.name} states no unit in volts for channel {name}: set unit="uV", "mV" or "V"'
            )
        factors.append(1.0 if factor is None else factor)
    return names, types, factors


def _first(node: Any, *keys: str) -> Any:
    """Follow keys through pyxdf's nested lists and dicts; return None where one is missing."""
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
        node = node[0] if isinstance(node, list) and node else node
    return node


__all__ = ["read_xdf"]
