# SPDX-License-Identifier: Apache-2.0
"""The headers of EDF, BDF and GDF: sizes of signals, and the units, scales and gaps that MNE overlooks.

https://www.edfplus.info/specs/edf.html, https://www.edfplus.info/specs/edfplus.html,
https://www.biosemi.com/faq/file_format.htm and https://arxiv.org/abs/cs/0608052 (GDF)

MNE reads an unknown or missing physical dimension (`UV`, `nV`) as volts, a factor of up to a million; it
numbers the samples of a discontinuous file (EDF+D) as if nothing were missing between them.
"""

import math
import re
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...processing.channels import parse_channel
from .file_checks import check_size, decode_text
from .memory_bound import refuse_channels

if TYPE_CHECKING:
    import mne

# Width in bytes of each field of a signal, in their order in the file.
_EDF_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
# Onset, duration and texts of an annotation (TAL).
_TAL = re.compile(rb"([+-]\d+(?:\.\d*)?)(?:\x15(\d+(?:\.\d*)?))?\x14(.*)\x14", re.DOTALL)
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
    """One signal in the header of an EDF, BDF or GDF file."""

    label: str
    unit: str
    physical: tuple[float, float]
    digital: tuple[float, float]
    samples: int
    """Samples in each data record."""

    @property
    def has_scale(self) -> bool:
        """Whether digital values can be converted to physical ones."""
        (low, high), (least, most) = self.physical, self.digital
        is_finite = (
            math.isfinite(low) and math.isfinite(high) and math.isfinite(least) and math.isfinite(most)
        )
        return is_finite and low != high and least != most

    @property
    def is_eeg(self) -> bool:
        """Whether the label may name an electrode."""
        return parse_channel(self.label).kind == "eeg"


@dataclass(frozen=True)
class SignalHeader:
    """Header of an EDF, BDF or GDF file, checked against the file's size.

    Attributes:
        path: The file.
        signals: Its signals without annotations, in the order of MNE's channels.
        num_bytes: Length of the header.
        record_bytes: Length of one data record.
        record_seconds: Duration of one data record.
        annotations: (first byte, length) of every annotation signal in a record.
        is_discontinuous: Whether time may have passed between two records: the header says so, or the clock
            of the records does.
    """

    path: Path
    signals: tuple[Signal, ...]
    num_bytes: int
    record_bytes: int
    record_seconds: float
    annotations: tuple[tuple[int, int], ...] = ()
    is_discontinuous: bool = False


def voltage_factor(unit: str) -> float | None:
    """Return the size of a unit in volts; None for a unit that is not a voltage.

    Example:
        >>> voltage_factor("uV"), voltage_factor("mmHg")
        (1e-06, None)
    """
    return _VOLTS.get(unit.strip().lower())


def read_edf_header(path: Path, extension: str = ".edf") -> SignalHeader:
    """Read the header of an EDF or BDF file and check it against the file.

    Args:
        path: A file with a valid signature.
        extension: `".bdf"` for three bytes per sample.

    Raises:
        ValueError: If the header is damaged, promises more bytes than the file has, or no signal has a scale.
    """
    kind, width = extension[1:].upper(), 3 if extension == ".bdf" else 2  # bytes per sample
    with path.open("rb") as file:
        head = file.read(256)
        try:
            num_bytes, num_records = int(head[184:192]), int(head[236:244])
            record_seconds, num_signals = float(_text(head[244:252]).replace(",", ".")), int(head[252:256])
            if num_signals < 1 or num_bytes != 256 * (num_signals + 1):
                raise ValueError(
                    f"{num_signals} signals need {256 * (num_signals + 1)} bytes, not {num_bytes}"
                )
            refuse_channels(path.name, num_signals)
            columns = _columns(file.read(256 * num_signals), num_signals)
            all_signals = [
                Signal(
                    label, unit, (_number(low), _number(high)), (_number(least), _number(most)), int(count)
                )
                for label, _, unit, low, high, least, most, _, count, _ in columns
            ]
        except ValueError as error:
            raise ValueError(f"{path.name} has a damaged {kind} header: {error}") from None
    # Position of each signal in a data record, which holds all samples of one signal after another
    starts = np.cumsum([0, *(width * s.samples for s in all_signals)]).tolist()
    header = SignalHeader(
        path,
        tuple(s for s in all_signals if s.label not in _ANNOTATIONS),
        num_bytes,
        starts[-1],
        record_seconds,
        tuple((starts[i], width * s.samples) for i, s in enumerate(all_signals) if s.label in _ANNOTATIONS),
    )
    _check(header, kind, num_records)
    is_discontinuous = head[192:197] in (b"EDF+D", b"BDF+D") or _clock_jumps(header, num_records)
    return replace(header, is_discontinuous=is_discontinuous)


def read_gdf_header(path: Path) -> SignalHeader:
    """Read the header of a GDF file, version 1 or 2, and check it against the file.

    Raises:
        ValueError: If the header is damaged, promises more bytes than the file has, or no signal has a scale.
    """
    with path.open("rb") as file:
        head = file.read(256)
        try:
            is_first = float(head[4:8]) < 1.9
            (num_bytes,) = struct.unpack_from("<q" if is_first else "<H", head, 184)
            num_bytes *= 1 if is_first else 256  # version 2 counts blocks
            num_records, numerator, denominator = struct.unpack_from("<qII", head, 236)
            (num_signals,) = struct.unpack_from("<I" if is_first else "<H", head, 252)
            if not denominator or not 256 * (num_signals + 1) <= num_bytes <= path.stat().st_size:
                raise ValueError(f"{num_signals} signals do not go with a header of {num_bytes} bytes")
            refuse_channels(path.name, num_signals)
            block = file.read(256 * num_signals)
            signals, widths = _gdf_signals(block, num_signals, is_first)
            record_bytes = sum(w * s.samples for w, s in zip(widths, signals, strict=True))
        except (ValueError, KeyError, struct.error) as error:
            raise ValueError(f"{path.name} has a damaged GDF header: {error}") from None
        if num_records < 0:
            raise ValueError(f"{path.name} has a damaged GDF header: {num_records} records")
        header = SignalHeader(path, tuple(signals), num_bytes, record_bytes, numerator / denominator)
        _check(header, "GDF", num_records)
        # The event table follows the data
        file.seek(num_bytes + num_records * record_bytes)
        _check_gdf_events(path, file.read(8), is_first, path.stat().st_size - file.tell())
    return header


def calibrate(raw: "mne.io.BaseRaw", header: SignalHeader, unit: str | None = None) -> None:
    """Convert an opened file to volts where MNE does not know the spelling of its unit.

    Channels with another unit (`%`, `bpm`), and those without one beside others in volts, become `misc`;
    those without a scale become bad.

    Args:
        raw: The file as MNE opened it; changed in place.
        header: Its header.
        unit: Unit of channels without one.

    Raises:
        ValueError: If EEG channels have no unit, exceed a volt, and no unit was given.
    """
    unknown = []
    types: dict[str, str] = {}
    for row, (signal, kind) in enumerate(zip(header.signals, raw.get_channel_types(), strict=False)):
        name = raw.ch_names[row]
        if kind == "stim":
            continue
        factor = voltage_factor(signal.unit or unit or "V")
        if not signal.unit and not unit and signal.is_eeg and max(map(abs, signal.physical)) > 1:
            unknown.append(name)  # more than a volt is impossible on a scalp
        if factor is None:
            types[name] = "misc"
        else:
            raw._raw_extras[0]["units"][row] = factor  # overrides MNE's guess
        if not signal.has_scale or not signal.samples:
            raw.info["bads"].append(name)
    if any(signal.is_eeg and voltage_factor(signal.unit) for signal in header.signals):
        types |= dict.fromkeys(unknown, "misc")  # not electrodes, because the other channels have a unit
    elif unknown:
        raise ValueError(
            f"{header.path.name} states no unit for {len(unknown)} channels ({', '.join(unknown[:3])}): set "
            'unit="uV", "mV" or "V"'
        )
    if types:
        raw.set_channel_types(types, on_unit_change="ignore", verbose="ERROR")


def is_mixed(header: SignalHeader) -> bool:
    """Return whether an EEG signal is slower than another: MNE can only read such a file as a whole."""
    fastest = max(s.samples for s in header.signals)
    return any(s.samples < fastest for s in header.signals if s.is_eeg)


def close_gaps(raw: "mne.io.BaseRaw", header: SignalHeader) -> list[float]:
    """Move the annotations of a discontinuous file from clock time to sample time.

    Args:
        raw: The opened file; changed in place. MNE has dropped annotations with a clock time behind its end.
        header: Its header.

    Returns:
        Positions at which records with a pause between them are joined, in seconds after the first sample.

    Raises:
        ValueError: If the records do not state their time, or are not in order of time.
    """
    import mne

    starts, marks, rounding = _clock(header, round(raw.n_times / raw.info["sfreq"] / header.record_seconds))
    sample_time = np.arange(len(starts)) * header.record_seconds  # start of each record without the gaps
    tolerance = max(0.5 / raw.info["sfreq"], rounding)
    joins = np.flatnonzero(np.abs(np.diff(starts) - header.record_seconds) > tolerance) + 1

    def moved(seconds: np.ndarray) -> np.ndarray:
        # Clock time to sample time; a time within a gap moves to the end of the record before it
        record = np.clip(np.searchsorted(starts, seconds + tolerance, side="right") - 1, 0, None)
        return sample_time[record] + np.clip(seconds - starts[record], 0, header.record_seconds)

    lost = [mark for mark in marks if _is_in_a_pause(mark, starts, header.record_seconds)]
    if lost:
        warnings.warn(
            f"{header.path.name}: {len(lost)} of {len(marks)} annotations lie in a pause of the recording "
            "and are left out",
            RuntimeWarning,
            stacklevel=2,
        )
        marks = [mark for mark in marks if mark not in lost]
    if len(joins) and (marks or lost):
        onset, end = (moved(np.array([mark[i] for mark in marks], dtype=float)) for i in (0, 1))
        names = [mark[2] for mark in marks]
        raw.set_annotations(
            mne.Annotations(onset, end - onset, names, raw.info["meas_date"]), verbose="ERROR"
        )
    return sample_time[joins].tolist()


def _is_in_a_pause(mark: tuple[float, float, str], starts: np.ndarray, record_seconds: float) -> bool:
    """Return whether an annotation (start, end, text) touches no record; all times are in seconds."""
    begin, end = mark[0], max(mark[1], mark[0])
    return not bool(((starts <= end) & (begin <= starts + record_seconds)).any())


def _clock_jumps(header: SignalHeader, num_records: int) -> bool:
    """Return whether the last record is not where records without a pause would end.

    Files that call themselves continuous (EDF+C) are not always. Records without a time tell nothing, and
    those that all have the same time have no clock.
    """
    if num_records < 1:  # not closed properly
        num_records = (header.path.stat().st_size - header.num_bytes) // header.record_bytes
    if not header.annotations or num_records < 2:
        return False
    times = []
    with header.path.open("rb") as file:
        for record in (0, num_records - 1):
            file.seek(header.num_bytes + record * header.record_bytes + header.annotations[0][0])
            found = _TAL.fullmatch(file.read(header.annotations[0][1]).split(b"\0")[0])
            times.append(None if found is None else float(found[1]))
    if times[0] is None or times[1] is None or times[0] == times[1]:
        return False
    off = abs(times[1] - times[0] - (num_records - 1) * header.record_seconds)
    return off > 0.5 * header.record_seconds / max(signal.samples for signal in header.signals)


def _clock(
    header: SignalHeader, num_records: int
) -> tuple[np.ndarray, list[tuple[float, float, str]], float]:
    """Read the start of each record, and (start, end, text) of all annotations.

    All times are in seconds after the start of the first record. The first annotation of a record has no
    text: it is the record's time. The third result is how far rounding moves the time between two records.
    """
    what = f"{header.path.name} is discontinuous (EDF+D, or by its clock)"
    starts: list[float] = []
    decimals = 0
    marks = []
    records = np.memmap(
        header.path, np.uint8, "r", header.num_bytes, shape=(num_records, header.record_bytes)
    )
    for row in records:
        # One zero byte ends each: a search in all of them would try to extend every match to the end
        lists = [bytes(row[first : first + length]).split(b"\0") for first, length in header.annotations]
        found = [match.groups() for each in lists for text in each if (match := _TAL.fullmatch(text))]
        if not found:
            raise ValueError(f"{what}: record {len(starts)} has no time")
        starts.append(float(found[0][0]))
        decimals = max(decimals, len(found[0][0].partition(b".")[2]))
        for onset, duration, texts in found:
            begin = float(onset) - starts[0]
            for text in filter(None, texts.split(b"\x14")):
                marks.append((begin, begin + float(duration or 0), decode_text(text)))
    if (np.diff(starts) <= 0).any():
        raise ValueError(f"{what}: its records are not in order of time")
    unit = 10.0**-decimals
    is_exact = abs(header.record_seconds / unit - round(header.record_seconds / unit)) < 1e-6
    return np.array(starts) - starts[0], marks, 0.0 if is_exact else unit


def _check(header: SignalHeader, kind: str, num_records: int) -> None:
    """Refuse headers that cannot be read, or would be read wrongly."""
    path, signals = header.path, header.signals
    if not signals:
        raise ValueError(f"{path.name} has annotations and no signal: read it with mne.read_annotations")
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
    # The number of records is -1 during recording, and stays so if the recording was not closed properly
    check_size(path, header.num_bytes + max(num_records, 1) * header.record_bytes, header.num_bytes)


def _check_gdf_events(path: Path, table: bytes, is_first: bool, left: int) -> None:
    """Check the number of events against the rest of the file."""
    if len(table) < 8:
        return
    (count,) = struct.unpack_from("<I", table, 4) if is_first else (int.from_bytes(table[1:4], "little"),)
    if count * (12 if table[0] == 3 else 6) > left:
        raise ValueError(f"{path.name} is truncated: its event table promises {count} events")


def _gdf_signals(block: bytes, count: int, is_first: bool) -> tuple[list[Signal], list[int]]:
    """Parse the signals of a GDF header; return them and the number of bytes per sample of each."""
    if len(block) < 256 * count:
        raise ValueError("it ends within the header")

    def column(kind: str, at: int) -> tuple[Any, ...]:
        # One field of all signals after another; `at` is the position in the header of one signal
        return struct.unpack_from(f"<{count}{kind}", block, at * count)

    labels = [_text(block[16 * i : 16 * i + 16]) for i in range(count)]
    if is_first:  # version 1 has names of units, version 2 codes
        units = [_text(block[at : at + 8]) for at in range(96 * count, 104 * count, 8)]
    else:
        units = [_GDF_UNITS.get(code, f"code {code}") for code in column("H", 102)]
    physical = zip(column("d", 104), column("d", 112), strict=True)
    kind = "q" if is_first else "d"
    digital = zip(column(kind, 120), column(kind, 128), strict=True)
    rows = zip(labels, units, physical, digital, column("i", 216), strict=True)
    return [Signal(*row) for row in rows], [_GDF_BYTES[code] for code in column("i", 220)]


def _columns(block: bytes, count: int) -> Sequence[tuple[str, ...]]:
    """Split the header of EDF signals, which stores one field of all signals after another."""
    if len(block) < 256 * count:
        raise ValueError("it ends within the header")
    fields, start = [], 0
    for width in _EDF_FIELDS:
        places = range(start, start + width * count, width)
        fields.append([_text(block[place : place + width]) for place in places])
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
