# SPDX-License-Identifier: Apache-2.0
"""Where samples of a recording are missing, in each format's own way of stating it.

MNE numbers samples as if nothing lay between them. Each function here returns joins: positions, in seconds of
samples after the first one, at which two samples are neighbours that were not recorded one after the other.
EDF+D (`signal_header`), XDF (`xdf_recording`) and tables (`table_recording`) find theirs while they are read;
MNE marks those of FIF, Nihon Kohden and EGI's `.mff`.
"""

import itertools
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .file_checks import read_header_text, settings_of

if TYPE_CHECKING:
    import mne

_MIN_PAUSE_SECONDS = 0.1  # clocks of computer and amplifier differ by less between two stamps
_LOST_WORDS = (
    r".*(?:lost[ _]?(?:samples?|packets?|data)|(?:samples?|packets?|data)[ _]?(?:lost|loss)"
    r"|buffer[ _]?overflow).*"
)
# Annotations where a part was cut out, the recording was paused or the amplifier reset, or samples were lost
_JOIN = re.compile(rf"boundary|New Segment/.*|DC Correction/.*|{_LOST_WORDS}", re.IGNORECASE)
_JOIN_OF: dict[str, re.Pattern[str]] = {
    ".set": re.compile(r"-99(?:\.0*)?"),  # ERPLAB's boundary among numbered events
    ".gdf": re.compile(r"32766"),  # 0x7FFE, the start of a new segment
    "ANT CNT": re.compile(r"impedance|amplifier (?:dis|re)connected", re.IGNORECASE),  # eego pauses for both
}
_EGI_SEGMENT = "epoc"  # Net Station writes this event at the first sample after a pause
_CNT_RESET, _CNT_START = 0xB0, 0xE0  # Neuroscan's events of a DC reset, and of a start after a pause
_NEAR_SECONDS = 2.0


def joins_of(path: Path, raw: "mne.io.BaseRaw", extension: str, kind: str | None = None) -> list[float]:
    """List the joins that a format states by its annotations, events or header.

    Args:
        path: The recording.
        raw: The recording as MNE opened it.
        extension: Its extension.
        kind: Its format by its first bytes, as `file_checks.sniff` returns it.
    """
    own = _JOIN_OF.get(kind or "", _JOIN_OF.get(extension))
    joins = [
        float(mark["onset"])
        for mark in raw.annotations
        if _JOIN.fullmatch(str(mark["description"])) or (own and own.fullmatch(str(mark["description"])))
    ]
    if extension == ".lay":
        joins += persyst_joins(path, raw.info["sfreq"])
    elif kind == "Neuroscan CNT":
        joins += _neuroscan_joins(path, raw)
    elif extension == ".raw":
        joins += _egi_joins(raw)
    return joins


def mark_joins(raw: "mne.io.BaseRaw", joins: list[float]) -> None:
    """Mark joins as MNE does when it concatenates recordings; those before the first sample are none."""
    for onset in sorted({onset for onset in joins if onset > 0}):
        for name in ("BAD boundary", "EDGE boundary"):
            raw.annotations.append(onset, 0.0, name)


def persyst_joins(path: Path, rate: float) -> list[float]:
    """Return where a Persyst recording was paused, in seconds of samples after its first one.

    Args:
        path: The `.lay` header, whose section `[SampleTimes]` holds lines `sample=seconds of the day`.
        rate: Its rate in Hz.
    """
    section = re.split(r"\[SampleTimes\]", read_header_text(path), maxsplit=1, flags=re.IGNORECASE)[1:]
    lines = settings_of(section[0].partition("[")[0]) if section else {}
    times = [
        (int(sample), float(seconds))
        for sample, seconds in lines.items()
        if re.fullmatch(r"\d{1,15}", sample) and re.fullmatch(r"\d{1,15}(?:\.\d{0,15})?", seconds)
    ]
    return [
        sample / rate
        for (before, since), (sample, until) in itertools.pairwise(times)
        if abs((until - since) - (sample - before) / rate) > _MIN_PAUSE_SECONDS
    ]


def _neuroscan_joins(path: Path, raw: "mne.io.BaseRaw") -> list[float]:
    """Read the event table of a Neuroscan CNT file for pauses and resets, which MNE lists as events `0`."""
    frame = int(raw._raw_extras[0]["n_bytes"]) * len(raw.ch_names)  # bytes of one sample of all channels
    data_start = 900 + 75 * len(raw.ch_names)
    with path.open("rb") as file:
        file.seek(data_start + frame * raw.n_times)
        head = file.read(9)
        if len(head) < 9 or head[0] not in (1, 2, 3):
            return []
        kind, length, _ = struct.unpack("<Bii", head)
        table = file.read(min(max(length, 0), 2**26))
    size = 8 if kind == 1 else 19
    samples = []
    for row in range(0, len(table) - size + 1, size):
        accept, offset = struct.unpack_from("<Bi", table, row + 3)
        if accept & 0xF0 in (_CNT_RESET, _CNT_START):
            samples.append(offset if kind == 3 else (offset - data_start) // frame)
    return [sample / raw.info["sfreq"] for sample in samples if 0 < sample < raw.n_times]


def _egi_joins(raw: "mne.io.BaseRaw") -> list[float]:
    """Find the starts of segments among the events of an EGI simple binary file."""
    if _EGI_SEGMENT not in raw.ch_names:
        return []
    active = raw.get_data(picks=[_EGI_SEGMENT])[0] > 0
    starts = np.flatnonzero(active & ~np.r_[False, active[:-1]])
    return [float(start / raw.info["sfreq"]) for start in starts]


def mark_missing_runs(raw: "mne.io.BaseRaw", joins: list[float]) -> None:
    """Mark the stretches beside the joins of a GDF file in which all channels hold their lowest value.

    BioSig writes it for samples that are missing, as between the runs of the BCI Competitions.
    """
    rate, n_times = raw.info["sfreq"], raw.n_times
    picks = [i for i, kind in enumerate(raw.get_channel_types()) if kind == "eeg"]
    for onset in joins:
        start = max(0, round((onset - _NEAR_SECONDS) * rate))
        stop = min(n_times, round((onset + _NEAR_SECONDS) * rate))
        if not picks or stop - start < 2:
            continue
        data = raw.get_data(picks=picks, start=start, stop=stop)
        is_lowest = ((data == data.min(axis=1, keepdims=True)) & (data < 0)).all(axis=0)
        is_lowest |= np.isnan(data).all(axis=0)
        edges = np.flatnonzero(np.diff(np.r_[False, is_lowest, False]))
        for first, end in zip(edges[::2], edges[1::2], strict=True):
            if end - first > 1:
                raw.annotations.append((start + first) / rate, (end - first) / rate, "BAD_ACQ_SKIP")
