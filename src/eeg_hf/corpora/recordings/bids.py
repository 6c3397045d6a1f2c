# SPDX-License-Identifier: Apache-2.0
"""Open a recording of a BIDS tree and apply its sidecars.

* `_channels.tsv`: channel types, bad channels, units. EDF, BDF and BrainVision headers state their unit, so a
  table that contradicts them is wrong: applying it too would scale twice. The table is used where the header
  is blank. EEGLAB files state no unit and are read as microvolt; there the table is used, unless the
  resulting amplitude is impossible for EEG (`V` is often written for files in microvolt).
* `_eeg.json`: line frequency; the reference is noted in `info["description"]`.
* `_electrodes.tsv` and `_coordsystem.json`: positions in head coordinates, by the landmarks where they are
  given, else by the name of the coordinate frame. Positions in an unknown frame or unit are left out with a
  warning.
* `_events.tsv`: annotations, which replace the file's own except bad stretches and edges.

Rows for channels that the file lacks give a warning; the other rows are used.

`mne_bids.read_raw_bids` (0.20) is not used: it reads an EDF file with a blank unit as volts and ignores the
units of the table, drops the whole table where one channel name differs, fails without a column `type` and on
a damaged sidecar, keeps no columns of events as text, and opens truncated files.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...processing.channels import parse_channel
from ...processing.signal_quality import check_amplitude
from ..corpus import Event, annotated
from .bids_tree import read_json, refuse_pointers, sidecars
from .formats import read_recording
from .side_table import Row, number, read_rows
from .signal_header import voltage_factor

if TYPE_CHECKING:
    import mne

_TYPES: Mapping[str, str] = {
    **{
        kind.upper(): kind
        for kind in ("eeg", "eog", "ecg", "emg", "misc", "seeg", "ecog", "dbs", "resp", "gsr")
    },
    **{"VEOG": "eog", "HEOG": "eog", "EKG": "ecg", "TRIG": "stim", "STIM": "stim", "TEMP": "temperature"},
    # REF holds the reference, the others are not signals of the head
    **dict.fromkeys(("REF", "AUDIO", "ADC", "DAC", "EYEGAZE", "PUPIL", "PPG", "SYSCLOCK", "OTHER"), "misc"),
    **dict.fromkeys(("ACCEL", "GYRO", "MAGN", "JNTANG", "LATENCY", "POS", "VEL", "HEOGVEOG"), "misc"),
}
_EEGLAB_UNIT = 1e-6  # volts
_METRES: Mapping[str, float] = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
_HEAD_RADIUS = (0.05, 0.2)  # m
# Frames whose x axis points to the right ear (RAS) or to the nose (ALS), all with the origin between the ears
# https://bids-specification.readthedocs.io/en/stable/appendices/coordinate-systems.html
_RAS_FRAMES = frozenset({"captrak", "elektaneuromag", "chietiitab"})
_ALS_FRAMES = frozenset({"ctf", "eeglab", "eeglab-hj", "4dbti", "kityokogawa"})
_KEPT = ("bad", "edge", "boundary")


def read_bids(path: Path, follow_links: bool = False) -> "mne.io.BaseRaw":
    """Open a recording of a BIDS tree and apply its sidecars.

    Args:
        path: Main file of the recording.
        follow_links: Whether its other files and sidecars may be links out of the tree.

    Returns:
        The recording in volts, with channel types, bad channels, line frequency, positions and annotations
        from the sidecars. Its samples are loaded only where the unit had to be corrected.

    Raises:
        FileNotFoundError: If only a pointer of git-annex is there, with the command that gets the data.
        ValueError: If the file, or a table beside it, is damaged.
    """
    refuse_pointers(path)
    tables = sidecars(path, "channels.tsv", follow_links)
    rows = [row for row in read_rows(tables[-1], has_classes=False) if row.get("name")] if tables else []
    raw = read_recording(path, unit=_usual_unit(rows), follow_links=follow_links)
    _apply_json(raw, sidecars(path, "eeg.json", follow_links))
    if rows:
        units = _apply_channels(raw, tables[-1].name, rows)
        _apply_units(raw, units, path.suffix.lower())
    _place_electrodes(raw, path, follow_links)
    events = bids_events(path, follow_links=follow_links)
    if events is not None:
        kept = [mark for mark in annotated(raw) if mark.name.lower().startswith(_KEPT)]
        annotate(raw, [*kept, *events])
    return raw


def bids_events(path: Path, name_column: str | None = None, follow_links: bool = False) -> list[Event] | None:
    """Read the events of a recording.

    Args:
        path: Main file of the recording.
        name_column: Column that names an event; default: `trial_type`, and `value` where that is `n/a`.
        follow_links: Whether the table may be a link out of the tree.

    Returns:
        Events in order of onset, with all other columns as labels, as text; `None` without an events.tsv.

    Raises:
        ValueError: If a time is not a number, or the column is missing.
    """
    paths = sidecars(path, "events.tsv", follow_links)
    if not paths:
        return None
    rows = read_rows(paths[-1])
    if rows and (missing := {"onset", name_column or "onset"} - set(rows[0])):
        raise ValueError(f"{paths[-1].name} has no column {', '.join(missing)}: it has {', '.join(rows[0])}")
    names = ("trial_type", "value") if name_column is None else (name_column,)
    timed = [(place, row) for place, row in enumerate(rows, start=2) if row["onset"] is not None]
    if len(timed) < len(rows):
        _warn(
            f"{paths[-1].name}: {len(rows) - len(timed)} of {len(rows)} events have no onset and are left out"
        )
    return sorted(
        (_event(row, names, f"{paths[-1].name}: row {place}") for place, row in timed), key=lambda e: e.onset
    )


def annotate(raw: "mne.io.BaseRaw", events: Sequence[Event]) -> None:
    """Replace a recording's annotations in place; MNE drops those outside of it with a warning."""
    import mne

    raw.set_annotations(
        mne.Annotations([e.onset for e in events], [e.duration for e in events], [e.name for e in events])
    )


def _event(row: Row, names: Sequence[str], place: str) -> Event:
    try:
        onset, duration = number(row["onset"] or ""), number(row.get("duration") or "0")
    except ValueError as error:
        raise ValueError(f"{place} has no time in seconds: {error}") from None
    if duration < 0:
        raise ValueError(f"{place} lasts {duration:g} s: expected 0 or more")
    name = next((row[column] for column in names if row.get(column) is not None), None)
    labels = {column: cell for column, cell in row.items() if column not in ("onset", "duration")}
    return Event(onset, duration, name or "n/a", labels)


def _apply_json(raw: "mne.io.BaseRaw", paths: Sequence[Path]) -> None:
    """Set line frequency and reference from _eeg.json; compare the sampling rate."""
    try:
        settings = read_json(paths)
    except ValueError as error:  # the samples can be used without it
        _warn(f"{error}: not used")
        return
    line, rate = settings.get("PowerLineFrequency"), settings.get("SamplingFrequency")
    if isinstance(line, int | float) and line > 0:
        raw.info["line_freq"] = float(line)
    if isinstance(rate, int | float) and abs(rate - raw.info["sfreq"]) > 1e-3 * raw.info["sfreq"]:
        _warn(f"_eeg.json says {rate:g} Hz, the file {raw.info['sfreq']:g} Hz: the file's rate is used")
    if settings.get("EEGReference"):
        stated = f"EEGReference: {settings['EEGReference']}"
        raw.info["description"] = "; ".join(filter(None, (raw.info["description"], stated)))


def _apply_channels(raw: "mne.io.BaseRaw", name: str, rows: Sequence[Row]) -> dict[str, str]:
    """Apply types and bad channels of a channels.tsv; return the units of the EEG channels."""
    channels = _match(raw.ch_names, [str(row["name"]) for row in rows])
    known = {channels[str(row["name"])]: row for row in rows if row["name"] in channels}
    lacking = [str(row["name"]) for row in rows if row["name"] not in channels]
    if lacking:
        _warn(f"{name} names {len(lacking)} channels that the file lacks: {', '.join(lacking[:10])}")
    # Types, some of which are written in lower case
    kinds = {channel: (row.get("type") or "").upper() for channel, row in known.items()}
    unknown = sorted({kind for kind in kinds.values() if kind and kind not in _TYPES})
    if unknown:
        _warn(f"{name}: unknown channel types {', '.join(unknown)} are not used")
    types = {channel: _TYPES[kind] for channel, kind in kinds.items() if kind in _TYPES}
    raw.set_channel_types(types, on_unit_change="ignore", verbose="ERROR")
    # Bad channels of the file stay bad
    bad = {channel for channel, row in known.items() if (row.get("status") or "").lower() == "bad"}
    raw.info["bads"] = [channel for channel in raw.ch_names if channel in bad or channel in raw.info["bads"]]
    is_eeg = dict(zip(raw.ch_names, (kind == "eeg" for kind in raw.get_channel_types()), strict=True))
    return {
        channel: str(row["units"]) for channel, row in known.items() if row.get("units") and is_eeg[channel]
    }


def _usual_unit(rows: Sequence[Row]) -> str | None:
    """Return the most common unit of the EEG channels, for files whose header is blank."""
    units = Counter(row.get("units") for row in rows if (row.get("type") or "").upper() == "EEG")
    unit = units.most_common(1)[0][0] if units else None
    return unit if unit is not None and voltage_factor(unit) else None


def _apply_units(raw: "mne.io.BaseRaw", units: Mapping[str, str], suffix: str) -> None:
    """Scale EEGLAB channels to their unit; for other formats, warn where table and header differ."""
    unknown = sorted({unit for unit in units.values() if voltage_factor(unit) is None})
    if unknown:
        _warn(f"channels.tsv: units {', '.join(unknown)} are not voltages and not used")
    volts = {name: factor for name, unit in units.items() if (factor := voltage_factor(unit))}
    stated = getattr(raw, "_orig_units", {})  # where MNE keeps the units of EDF, BDF and BrainVision headers
    own = {name: voltage_factor(stated.get(name, "")) for name in volts}
    differing = [name for name, factor in volts.items() if own[name] and own[name] != factor]
    if differing:
        _warn(
            f"channels.tsv says {units[differing[0]]} for {len(differing)} channels, the file's header "
            f"{stated[differing[0]]}: the header's unit is used"
        )
    factors = {name: factor / _EEGLAB_UNIT for name, factor in volts.items()} if suffix == ".set" else {}
    for factor in sorted(set(factors.values()) - {1.0}):
        _scale(raw, [name for name, f in factors.items() if f == factor], factor)


def _scale(raw: "mne.io.BaseRaw", names: Sequence[str], factor: float) -> None:
    """Multiply channels by a factor, unless the resulting amplitude is impossible for EEG."""
    rate = float(raw.info["sfreq"])
    sample = raw.get_data(picks=list(names), stop=min(raw.n_times, round(60 * rate)))  # the first minute
    claim = f"channels.tsv gives {len(names)} channels a unit {factor:g} times the one assumed"
    try:
        amplitude = check_amplitude(sample * factor, rate)
    except ValueError as error:
        _warn(f"{claim}, which is impossible: {error}; not used")
        return
    _warn(f"{claim}: used, the amplitude is {amplitude:.3g} uV")
    raw.load_data(verbose="ERROR").apply_function(
        lambda samples: samples * factor, picks=list(names), channel_wise=False
    )


def _place_electrodes(raw: "mne.io.BaseRaw", path: Path, follow_links: bool) -> None:
    """Set the positions of the most specific electrodes.tsv with a known coordinate system."""
    reasons = []
    systems = sidecars(path, "coordsystem.json", follow_links)
    for table in reversed(sidecars(path, "electrodes.tsv", follow_links)):
        space = next((part for part in table.name.split("_") if part.startswith("space-")), None)
        same_space = [each for each in systems if space is None or space in each.name.split("_")]
        try:
            montage = _montage(raw.ch_names, read_rows(table, has_classes=False), read_json(same_space))
        except ValueError as error:
            reasons.append(f"{table.name}: {error}")
            continue
        raw.set_montage(montage, on_missing="ignore", verbose="ERROR")
        return
    if reasons:
        _warn(f"electrode positions are not used: {'; '.join(reasons)}")


def _montage(
    ch_names: Sequence[str], rows: Sequence[Row], system: Mapping[str, Any]
) -> "mne.channels.DigMontage":
    """Turn an electrodes.tsv into positions in head coordinates.

    Raises:
        ValueError: If unit or frame are unknown, or the positions are not on the surface of a head.
    """
    import mne

    # Positions in metres, by the names of the channels
    unit = str(system.get("EEGCoordinateUnits", "n/a"))
    if unit.lower() not in _METRES:
        raise ValueError(f"unit {unit!r}, expected m, cm or mm")
    frame = str(system.get("EEGCoordinateSystem", "n/a")).lower()
    points = {str(row.get("name")): _point([row.get(axis) for axis in "xyz"]) for row in rows}
    places = {name: _METRES[unit.lower()] * point for name, point in points.items() if point is not None}
    positions = {channel: places[name] for name, channel in _match(ch_names, list(places)).items()}  # metres
    marks = _landmarks(system, unit)
    if marks is None and frame not in _RAS_FRAMES | _ALS_FRAMES:
        raise ValueError(f"frame {system.get('EEGCoordinateSystem')!r} without landmarks is not known")
    # A wrong unit or frame shows in the distance from the centre
    centre = np.zeros(3) if marks is None else (marks["lpa"] + marks["rpa"]) / 2
    radius = float(np.median([float(np.linalg.norm(p - centre)) for p in positions.values()] or [0.0]))
    if not _HEAD_RADIUS[0] <= radius <= _HEAD_RADIUS[1]:
        raise ValueError(
            f"{len(positions)} electrodes {radius:.3g} m from the centre, expected 0.05 to 0.2 m"
        )
    if marks is not None:
        return mne.channels.make_dig_montage(positions, **marks, coord_frame="unknown")
    if frame in _ALS_FRAMES:  # to x = right, y = nose
        positions = {name: np.array([-p[1], p[0], p[2]]) for name, p in positions.items()}
    return mne.channels.make_dig_montage(positions, coord_frame="head")


def _landmarks(system: Mapping[str, Any], unit: str) -> dict[str, np.ndarray] | None:
    """Return nasion and both ears in metres; None unless all three are given."""
    given = system.get("AnatomicalLandmarkCoordinates")
    scale = _METRES.get(str(system.get("AnatomicalLandmarkCoordinateUnits", unit)).lower())
    if not isinstance(given, Mapping) or scale is None:
        return None
    by_name = {name.upper(): given[name] for name in given}
    names = {"nasion": "NAS", "lpa": "LPA", "rpa": "RPA"}
    points = {key: point for key, name in names.items() if (point := _point(by_name.get(name))) is not None}
    return {key: scale * point for key, point in points.items()} if len(points) == 3 else None


def _point(cells: object) -> np.ndarray | None:
    try:
        point = np.array(cells, dtype=float)
    except (TypeError, ValueError):
        return None
    return point if point.shape == (3,) and np.isfinite(point).all() else None


def _match(ch_names: Sequence[str], wanted: Sequence[str]) -> dict[str, str]:
    """Match names of a sidecar to channels: exactly, else in any case, else as the same electrode."""
    found: dict[str, str] = {}
    spellings: tuple[Callable[[str], str], ...] = (str, str.casefold, lambda name: parse_channel(name).name)
    for spelling in spellings:
        there = _unique(set(ch_names) - set(found.values()), spelling)
        asked = _unique(set(wanted) - set(found), spelling)
        found.update((asked[key], there[key]) for key in asked if key in there)
    return found


def _unique(names: Iterable[str], spelling: Callable[[str], str]) -> dict[str, str]:
    """Return spelling -> name, without spellings of two names."""
    spelt = {name: spelling(name.strip()) for name in names}
    count = Counter(spelt.values())
    return {spelling: name for name, spelling in spelt.items() if count[spelling] == 1}


def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)  # preparation writes it into the recording's report
