# SPDX-License-Identifier: Apache-2.0
"""The headers of EDF, BDF and GDF: what each signal promises, and the unit, scale and gaps MNE overlooks.

https://www.edfplus.info/specs/edf.html, https://www.edfplus.info/specs/edfplus.html,
https://www.biosemi.com/faq/file_format.htm and https://arxiv.org/abs/cs/0608052 (GDF)

MNE takes a physical dimension that it does not know (`UV`, `nV`, none at all) for volts, a factor of a
million; it numbers the samples of a discontinuous file (EDF+D) as if nothing were missing between them.
"""

import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...processing.channels import parse_channel
from .file_checks import check_size

if TYPE_CHECKING:
    import mne

# Width in bytes of each field of a signal, in their order in the file.
_EDF_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
# Onset, duration and texts of an annotation (TAL).
_TAL = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14([^\x00]*)\x14\x00")
_GDF_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 8, 8: 8, 16: 4, 17: 8}
_GDF_UNITS = {0: "", 512: "", 4256: "V", 4274: "mV", 4275: "uV", 4276: "nV"}
_PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "\u00b5": 1e-6, "\u03bc": 1e-6, "n": 1e-9}
_VOLTS: dict[str, float] = {
    f"{prefix}{unit}": factor
    for prefix, factor in (*_PREFIXES.items(), ("milli", 1e-3), ("micro", 1e-6), ("nano", 1e-9))
    for unit in ("v", "volt", "volts")
}
# The micro sign as other code pages leave it in latin-1.
_VOLTS |= dict.fromkeys(("\u00e2\u00b5v", "\u00c2\u00b5v", "\u00ce\u00bcv", "\u0083\u00cav", "?v"), 1e-6)


@dataclass(frozen=True)
class Signal:
    """One signal of an EDF, BDF or GDF file, as its header describes it."""

    label: str
    unit: str
    physical: tuple[float, float]
    digital: tuple[float, float]
    samples: int
    """Samples in each data record."""

    @property
    def has_scale(self) -> bool:
        """Whether digital values can be turned into physical ones."""
        limits = (*self.physical, *self.digital)
        return (
            all(map(math.isfinite, limits))
            and self.physical[0] != self.physical[1]
            and self.digital[0] != self.digital[1]
        )

    @property
    def is_eeg(self) -> bool:
        """Whether the label may be that of an electrode."""
        return parse_channel(self.label).kind == "eeg"


@dataclass(frozen=True)
class SignalHeader:
    """Header of an EDF, BDF or GDF file that was compared with the file's size.

    Attributes:
        path: The file.
        signals: Its signals, annotations left out, in the order in which MNE has its channels.
        num_bytes: Length of the header.
        record_bytes: Length of one data record.
        record_seconds: Duration of one data record.
        annotations: (first byte, length) of every annotation signal in a record.
        is_discontinuous: Whether time may have passed between two records.
    """

    path: Path
    signals: tuple[Signal, ...]
    num_bytes: int
    record_bytes: int
    record_seconds: float
    annotations: tuple[tuple[int, int], ...] = ()
    is_discontinuous: bool = False


def voltage_factor(unit: str) -> float | None:
    """Return how many volts a unit is; None for one that is no voltage.

    Example:
        >>> voltage_factor("uV"), voltage_factor("mmHg")
        (1e-06, None)
    """
    return _VOLTS.get(unit.strip().lower())


def read_edf_header(path: Path, extension: str = ".edf") -> SignalHeader:
    """Read the header of an EDF or BDF file and compare it with the file.

    Args:
        path: A file whose first bytes were seen to be right.
        extension: `".bdf"` for three bytes a sample.

    Raises:
        ValueError: If the header is damaged, promises more than there is, or no signal has a scale.
    """
    kind, width = extension[1:].upper(), 3 if extension == ".bdf" else 2
    with path.open("rb") as file:
        head = file.read(256)
        try:
            num_bytes, num_records = int(head[184:192]), int(head[236:244])
            record_seconds, num_signals = float(_text(head[244:252]).replace(",", ".")), int(head[252:256])
            if num_signals < 1 or num_bytes != 256 * (num_signals + 1):
                raise ValueError(
                    f"{num_signals} signals need {256 * (num_signals + 1)} bytes, not {num_bytes}"
                )
            columns = _columns(file.read(256 * num_signals), num_signals)
            all_signals = [
                Signal(
                    label,
                    unit,
                    (_number(low), _number(high)),
                    (_number(digital_low), _number(digital_high)),
                    int(samples),
                )
                for label, _, unit, low, high, digital_low, digital_high, _, samples, _ in columns
            ]
        except ValueError as error:
            raise ValueError(f"{path.name} has a damaged {kind} header: {error}") from None
    starts = np.cumsum([0, *(width * s.samples for s in all_signals)]).tolist()
    header = SignalHeader(
        path,
        tuple(s for s in all_signals if s.label not in _ANNOTATIONS),
        num_bytes,
        starts[-1],
        record_seconds,
        tuple((starts[i], width * s.samples) for i, s in enumerate(all_signals) if s.label in _ANNOTATIONS),
        head[192:197] in (b"EDF+D", b"BDF+D"),
    )
    _check(header, kind, num_records)
    return header


def read_gdf_header(path: Path) -> SignalHeader:
    """Read the header of a GDF file, version 1 or 2, and compare it with the file.

    Raises:
        ValueError: If the header is damaged, promises more than there is, or no signal has a scale.
    """
    with path.open("rb") as file:
        head = file.read(256)
        try:
            is_first = float(head[4:8]) < 1.9
            num_bytes = struct.unpack_from("<q" if is_first else "<H", head, 184)[0] * (
                1 if is_first else 256
            )
            num_records, numerator, denominator = struct.unpack_from("<qII", head, 236)
            (num_signals,) = struct.unpack_from("<I" if is_first else "<H", head, 252)
            if not denominator or not 256 * (num_signals + 1) <= num_bytes <= path.stat().st_size:
                raise ValueError(f"{num_signals} signals do not go with a header of {num_bytes} bytes")
            block = file.read(256 * num_signals)
            signals, widths = _gdf_signals(block, num_signals, is_first)
            record_bytes = sum(w * s.samples for w, s in zip(widths, signals, strict=True))
        except (ValueError, KeyError, struct.error) as error:
            raise ValueError(f"{path.name} has a damaged GDF header: {error}") from None
        if num_records < 0:
            raise ValueError(f"{path.name} has a damaged GDF header: {num_records} records")
        header = SignalHeader(path, tuple(signals), num_bytes, record_bytes, numerator / denominator)
        _check(header, "GDF", num_records)
        file.seek(num_bytes + num_records * record_bytes)
        _check_gdf_events(path, file.read(8), is_first, path.stat().st_size - file.tell())
    return header


def calibrate(raw: "mne.io.BaseRaw", header: SignalHeader, unit: str | None = None) -> None:
    """Put an opened file into volts where its header spells them in a way that MNE does not know.

    Channels with another unit (`%`, `bpm`), and those without one beside others in volts, become `misc`;
    those without a scale become bad.

    Args:
        raw: The file as MNE opened it; changed.
        header: Its header.
        unit: What channels without a unit are in.

    Raises:
        ValueError: If EEG channels have no unit, cannot be volts, and none was stated.
    """
    unknown = []
    types: dict[str, str] = {}
    for row, signal in enumerate(header.signals):
        name = raw.ch_names[row]
        if raw.get_channel_types([row]) == ["stim"]:
            continue
        factor = voltage_factor(signal.unit or unit or "V")
        if not signal.unit and not unit and signal.is_eeg and max(map(abs, signal.physical)) > 1:
            unknown.append(name)  # more than a volt on a scalp
        if factor is None:
            types[name] = "misc"
        else:
            raw._raw_extras[0]["units"][row] = factor  # where MNE keeps its own guess
        if not signal.has_scale or not signal.samples:
            raw.info["bads"].append(name)
    if any(signal.is_eeg and voltage_factor(signal.unit) for signal in header.signals):
        types |= dict.fromkeys(unknown, "misc")  # no electrode, or its neighbours would be of no unit too
    elif unknown:
        raise ValueError(
            f"{header.path.name} states no unit for {len(unknown)} channels ({', '.join(unknown[:3])}): say "
            'unit="uV", "mV" or "V"'
        )
    raw.set_channel_types(types, on_unit_change="ignore", verbose="ERROR")


def is_mixed(header: SignalHeader) -> bool:
    """Whether an EEG signal is sampled more slowly than another: MNE can only read such a file whole."""
    fastest = max(s.samples for s in header.signals)
    return any(s.samples < fastest for s in header.signals if s.is_eeg)


def close_gaps(raw: "mne.io.BaseRaw", header: SignalHeader) -> list[float]:
    """Move the annotations of a discontinuous file from the clock's time to the time of its samples.

    Args:
        raw: The opened file; changed. MNE has dropped the annotations that the clock puts behind its end.
        header: Its header.

    Returns:
        Where records were joined though time had passed between them, in seconds after the first sample.

    Raises:
        ValueError: If the records do not say their time, or go back in it.
    """
    import mne

    starts, marks = _clock(header, round(raw.n_times / raw.info["sfreq"] / header.record_seconds))
    sample_time = np.arange(len(starts)) * header.record_seconds
    tolerance = 0.5 / raw.info["sfreq"]
    joins = np.flatnonzero(np.abs(np.diff(starts) - header.record_seconds) > tolerance) + 1

    def moved(seconds: np.ndarray) -> np.ndarray:
        record = np.clip(np.searchsorted(starts, seconds + tolerance, side="right") - 1, 0, None)
        return sample_time[record] + np.clip(seconds - starts[record], 0, header.record_seconds)

    if len(joins) and marks:
        onset, end = (moved(np.array([mark[i] for mark in marks])) for i in (0, 1))
        names = [mark[2] for mark in marks]
        raw.set_annotations(
            mne.Annotations(onset, end - onset, names, raw.info["meas_date"]), verbose="ERROR"
        )
    return sample_time[joins].tolist()


def _clock(header: SignalHeader, num_records: int) -> tuple[np.ndarray, list[tuple[float, float, str]]]:
    """Read from the annotations when each record started, and (start, end, text) of all others.

    All in seconds after the start of the first record. The first annotation of a record has no text: it is
    the record's time.
    """
    starts: list[float] = []
    marks = []
    records = np.memmap(
        header.path, np.uint8, "r", header.num_bytes, shape=(num_records, header.record_bytes)
    )
    for row in records:
        found = [m for first, length in header.annotations for m in _TAL.findall(row[first : first + length])]
        if not found:
            raise ValueError(f"{header.path.name} is discontinuous (EDF+D): record {len(starts)} has no time")
        starts.append(float(found[0][0]))
        for onset, duration, texts in found:
            begin = float(onset) - starts[0]
            for text in filter(None, texts.split(b"\x14")):
                try:
                    name = text.decode()
                except UnicodeDecodeError:
                    name = text.decode("latin-1")
                marks.append((begin, begin + float(duration or 0), name))
    if (np.diff(starts) <= 0).any():
        raise ValueError(f"{header.path.name} is discontinuous (EDF+D): its records are not in order of time")
    return np.array(starts) - starts[0], marks


def _check(header: SignalHeader, kind: str, num_records: int) -> None:
    """Refuse what cannot be read, or would be read wrongly."""
    path, signals = header.path, header.signals
    if not signals:
        raise ValueError(f"{path.name} holds annotations and no signal: read it with mne.read_annotations")
    if any(s.samples < 0 for s in signals) or not any(s.samples for s in signals):
        raise ValueError(f"{path.name} has a damaged {kind} header: no samples in a record")
    if not (math.isfinite(header.record_seconds) and header.record_seconds > 0):
        raise ValueError(
            f"{path.name} has a damaged {kind} header: its records last {header.record_seconds:g} s"
        )
    if num_records < -1:
        raise ValueError(f"{path.name} has a damaged {kind} header: {num_records} records")
    if not any(s.has_scale for s in signals):
        raise ValueError(
            f"{path.name} has a damaged {kind} header: no signal has a digital and a physical range"
        )
    # -1 stands there while a recording goes on, and for ever where it was not ended properly.
    check_size(path, header.num_bytes + max(num_records, 1) * header.record_bytes, header.num_bytes)


def _check_gdf_events(path: Path, table: bytes, is_first: bool, left: int) -> None:
    """Compare the number of events with what is left of the file."""
    if len(table) < 8:
        return
    (count,) = struct.unpack_from("<I", table, 4) if is_first else (int.from_bytes(table[1:4], "little"),)
    if count * (12 if table[0] == 3 else 6) > left:
        raise ValueError(f"{path.name} is truncated: its event table promises {count} events")


def _gdf_signals(block: bytes, count: int, is_first: bool) -> tuple[list[Signal], list[int]]:
    """Split the header of GDF signals into signals, and bytes a sample of each."""
    if len(block) < 256 * count:
        raise ValueError("it ends within the header")
    labels = [_text(block[16 * i : 16 * i + 16]) for i in range(count)]
    units = (
        [_text(block[96 * count + 8 * i :][:8]) for i in range(count)]
        if is_first
        else [_GDF_UNITS.get(u, f"code {u}") for u in struct.unpack_from(f"<{count}H", block, 102 * count)]
    )
    low, high = (struct.unpack_from(f"<{count}d", block, at * count) for at in (104, 112))
    digital = "q" if is_first else "d"
    digital_low, digital_high = (
        struct.unpack_from(f"<{count}{digital}", block, at * count) for at in (120, 128)
    )
    samples = struct.unpack_from(f"<{count}i", block, 216 * count)
    widths = [_GDF_BYTES[kind] for kind in struct.unpack_from(f"<{count}i", block, 220 * count)]
    rows = zip(
        labels,
        units,
        zip(low, high, strict=True),
        zip(digital_low, digital_high, strict=True),
        samples,
        strict=True,
    )
    return [Signal(*row) for row in rows], widths


def _columns(block: bytes, count: int) -> Sequence[tuple[str, ...]]:
    """Split the header of EDF signals, which holds one field of all signals after another."""
    if len(block) < 256 * count:
        raise ValueError("it ends within the header")
    fields, start = [], 0
    for width in _EDF_FIELDS:
        fields.append([_text(block[start + width * i :][:width]) for i in range(count)])
        start += width * count
    return list(zip(*fields, strict=True))


def _text(field: bytes) -> str:
    return field.decode("latin-1").split("\0")[0].strip()


def _number(text: str) -> float:
    return float(text.replace(",", "."))


__all__ = [
    "Signal",
    "SignalHeader",
    "calibrate",
    "close_gaps",
    "is_mixed",
    "read_edf_header",
    "read_gdf_header",
    "voltage_factor",
]
