# SPDX-License-Identifier: Apache-2.0
"""Electrode names, their dialects, their kinds and their positions.

Every laboratory spells electrodes its own way: `EEG FP1-REF` (TUH), `Fc5.` (PhysioNet), `EEG T3` (10-20 names
older than 1991), `EEG Fpz-Cz` (Sleep-EDF, which is a derivation and not a suffix), `T8-P8-0` (CHB-MIT, with
the suffix MNE gives to repeated labels). Here each label becomes one canonical name, and each canonical name
one place on the head.

Labels that mean nothing without their cap (`E1` of an EGI net, `A1` of a 128-electrode BioSemi cap, which is
not the ear lobe) are read only where the caller names the `montage`; their canonical name then carries it
(`biosemi128/A1`), so that they cannot be taken for something else further on.
"""

import difflib
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import mne

ChannelKind = Literal["eeg", "eog", "ecg", "emg", "stim", "misc"]

STANDARD_19: tuple[str, ...] = (
    *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "T7", "C3", "Cz"),
    *("C4", "T8", "P7", "P3", "Pz", "P4", "P8", "O1", "O2"),
)
"""The 19 electrodes of the 10-20 system, front to back and left to right."""

DOUBLE_BANANA: tuple[str, ...] = (
    *("Fp1-F7", "F7-T7", "T7-P7", "P7-O1"),
    *("Fp2-F8", "F8-T8", "T8-P8", "P8-O2"),
    *("Fp1-F3", "F3-C3", "C3-P3", "P3-O1"),
    *("Fp2-F4", "F4-C4", "C4-P4", "P4-O2"),
    *("Fz-Cz", "Cz-Pz"),
)
"""The 18 derivations of the longitudinal bipolar chain (anode minus cathode); the first 16 are those of BIOT
and TUEV."""

# T3..T6 were renamed when the 10-20 system grew into the 10-10 system; C3P and C4P are TUH's spelling of CP3
# and CP4.
_ALIASES: Mapping[str, str] = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8", "C3P": "CP3", "C4P": "CP4"}

# A common reference written behind the electrode leaves the channel unipolar.
_REFERENCE_SUFFIX = re.compile(
    r"[\s_\-:/]+(?:REF\d?|LE|CLE|LER|AR|AVG?|AVE|AVR|CAR|G\d{1,2}|GND|VREF|AA|\(?[AM]1\s*\+?\s*[AM]2\)?)$",
    re.IGNORECASE,
)
_EEG_PREFIX = re.compile(r"^(?:(?:EEG|POL|RAW)[\s._:\-]+)+", re.IGNORECASE)
# "-" and "--0" are CHB-MIT's dummy channels.
_NO_SIGNAL = re.compile(r"-*(?:-\d)?|(?:RE)?REF|REFERENCE", re.IGNORECASE)
_REPEAT_SUFFIX = re.compile(r"-\d$")
_PAIR = re.compile(r"^(.+?)\s*[-\u2013\u2014:/]\s*(.+)$")
_NET_LABEL = re.compile(r"^([A-Z]+)0*(\d+)$")

# Searched in this order in the label, as whole words but for digits and underscores around them.
_KIND_WORDS: tuple[tuple[ChannelKind, str], ...] = (
    ("ecg", r"[A-Z]?(?:ECG|EKG)[A-Z]?"),
    ("eog", r"[A-Z]{0,2}EOG[A-Z]?|ROC|LOC|RUC|LUC|RLC|LLC"),
    ("emg", r"[A-Z]?EMG[A-Z]?|CHIN|TIB|LAT|RAT|MASSETER"),
    ("stim", r"STI|STIM|STIMULUS|TRIG|TRIGGER|STATUS|MARKERS?|EVENTS?|ANNOTATIONS?|PHOTIC|DIN|DIGI|TTL"),
    (
        "misc",
        r"RESP\w*|THOR\w*|ABD\w*|FLOW\w*|AIRFLOW|NASAL|THERM\w*|SNORE|SAO2|SPO2|O2SAT|OSAT|CO2|ETCO2|PULSE|PLETH\w*"
        r"|PPG|BVP|TEMP\w*|GSR|EDA|ACC[XYZ]?|ACCELEROMETER\w*|GYRO[XYZ]?|BATT\w*|BATTERY|EXG|AUX|GND|GROUND|IBI|BURSTS|SUPPR"
        r"|DC|HR|HRATE|CM|DRL|SP[12]|PG[12]|POS\w*|POSITION|LIGHT|MIC|AUDIO|TIME\w*|HEART\w*|LEG\w*|COUNTER|INTERPOLATED|NC|ND|EMPTY|UNUSED|X[1-9]|BP|ABP|ART",
    ),
)
_KIND_PATTERNS = tuple((kind, re.compile(rf"(?<![A-Z])(?:{words})(?![A-Z])")) for kind, words in _KIND_WORDS)


@dataclass(frozen=True)
class Channel:
    """What one channel label says.

    Attributes:
        name: Canonical name: `"Fp1"`, `"T7"`, a derivation `"Fpz-Cz"`, or `"biosemi128/A1"` where a montage
            was named. The label itself, stripped, where it is not an electrode.
        kind: What was measured. A label that names neither an electrode nor a known other signal counts as
            `"eeg"`: only its missing position shows that nobody knows where it was.
        anode: First electrode of a bipolar derivation, `None` for a unipolar channel.
        cathode: Second electrode of a bipolar derivation (the signal is anode minus cathode).
    """

    name: str
    kind: ChannelKind
    anode: str | None = None
    cathode: str | None = None

    @property
    def is_bipolar(self) -> bool:
        """Whether the channel is the difference of two electrodes."""
        return self.anode is not None


def parse_channel(label: str, montage: str | None = None) -> Channel:
    """Read one channel label in any of the known dialects.

    Args:
        label: The label as the file spells it, such as `"EEG FP1-REF"`, `"Fc5."`, `"EEG Fpz-Cz"` or `"ECG
            EKG"`.
        montage: Name of one of MNE's montages (`mne.channels.get_builtin_montages()`), needed for labels of
            dense caps such as `E1` (`"GSN-HydroCel-129"`) and `A1` (`"biosemi128"`); elsewhere `A1` is the
            left ear.

    Returns:
        The channel's canonical name and kind, with both electrodes where it is a bipolar derivation.

    Example:
        >>> parse_channel("EEG T3-REF").name, parse_channel("EEG Fpz-Cz").cathode
        ('T7', 'Cz')
    """
    text = " ".join(label.strip().strip(".").split())
    electrode = _electrode(text, montage)
    if electrode is not None:  # first, since "O2" must not be looked for among the oxygen sensors
        return Channel(electrode, "eeg")
    bare = _EEG_PREFIX.sub("", text).strip(" .")
    kind = _signal_kind(bare or text)
    if kind is not None:
        return Channel(text, kind)
    for candidate in (bare, _REPEAT_SUFFIX.sub("", bare)):
        electrode = _electrode(_REFERENCE_SUFFIX.sub("", candidate), montage)
        if electrode is not None:
            return Channel(electrode, "eeg")
        derivation = _derivation(candidate, montage)
        if derivation is not None:
            return derivation
    return Channel(text, "misc" if _NO_SIGNAL.fullmatch(bare) else "eeg")


def parse_channels(labels: Sequence[str], montage: str | None = None) -> list[Channel]:
    """Read all labels of one recording, which says more than each label alone.

    Two things show only in company: four or more derivations that all share one cathode (`Fp1-Pz, F3-Pz,
    ...`) are a unipolar recording whose reference is written out, and `E1`/`E2` beside 10-20 names are the
    two eye channels of a polysomnography, not the first electrodes of an EGI net.

    Args:
        labels: Channel labels of one recording, in the file's order.
        montage: See `parse_channel`.

    Returns:
        One channel a label, in the same order. Two labels may get the same name (`T8-P8-0` and `T8-P8-1`).
    """
    channels = [parse_channel(label, montage) for label in labels]
    derivations = [channel for channel in channels if channel.is_bipolar]
    cathodes = {channel.cathode for channel in derivations}
    if len(derivations) >= 4 and len(cathodes) == 1:
        channels = [Channel(c.anode, c.kind) if c.anode is not None else c for c in channels]
    names = {channel.name.upper() for channel in channels}
    if montage is None and {"E1", "E2"} & names and "E3" not in names and names & set(_template_names()):
        channels = [replace(c, kind="eog") if c.name.upper() in ("E1", "E2") else c for c in channels]
    return channels


def canonical_names(labels: Sequence[str], montage: str | None = None) -> list[str]:
    """Translate the labels of one recording into canonical names.

    Args:
        labels: Channel labels of one recording.
        montage: See `parse_channel`.

    Returns:
        One name a label, in the same order. A label that is not an electrode comes back stripped but
        unchanged.
    """
    return [channel.name for channel in parse_channels(labels, montage)]


def electrode_positions(
    names: Sequence[str], on_missing: Literal["raise", "nan"] = "raise", montage: str | None = None
) -> np.ndarray:
    """Look up where electrodes lie on the template head.

    The template is MNE's `colin27_1005`, brought from MRI into head coordinates (x to the right ear, y to the
    nose, z up) by its fiducials. A derivation lies half-way between its two electrodes. Positions of
    `montage` names come from that montage, whose head is a sphere: they differ from the template's by up to 3
    cm for the same site.

    Args:
        names: Electrode names, in any dialect that `parse_channel` reads.
        on_missing: `"raise"`, or `"nan"` to get a row of NaN for each unknown name.
        montage: See `parse_channel`.

    Returns:
        Positions in metres in the head frame, float32, shape (num_names, 3).

    Raises:
        ValueError: A name has no position and `on_missing` is `"raise"`; the message lists all of them with
            close matches.

    Example:
        >>> electrode_positions(["Cz", "Fpz-Cz"]).shape
        (2, 3)
    """
    if on_missing not in ("raise", "nan"):
        raise ValueError(f"on_missing must be 'raise' or 'nan', got {on_missing!r}")
    positions = np.full((len(names), 3), np.nan, dtype=np.float32)
    for row, label in enumerate(names):
        channel = parse_channel(label, montage)
        if channel.kind == "eeg":
            ends = (channel.anode or channel.name, channel.cathode or channel.name)
            positions[row] = np.mean([_position(end) for end in ends], axis=0)
    unknown = [name for name, is_missing in zip(names, np.isnan(positions[:, 0]), strict=True) if is_missing]
    if unknown and on_missing == "raise":
        raise ValueError(f"no electrode position for {describe_unknown(unknown)}")
    return positions


def positions_from_raw(raw: "mne.io.BaseRaw", prefer: Literal["template", "file"] = "template") -> np.ndarray:
    """Look up the positions of a recording's channels, from the template and from the recording itself.

    Digitised positions are taken as the file states them. Many files hold an idealised sphere instead of
    measured positions, 2-3 cm away from the template, so the template comes first unless `prefer` says
    otherwise.

    Args:
        raw: Recording whose channels are asked for, all of them, in its order.
        prefer: `"template"` uses the file's positions only for names that the template lacks (`EEG 001`);
            `"file"` uses the template only where the file has none.

    Returns:
        Positions in metres in the head frame, float32, shape (num_channels, 3); NaN where neither knows the
        channel.
    """
    if prefer not in ("template", "file"):
        raise ValueError(f"prefer must be 'template' or 'file', got {prefer!r}")
    template = electrode_positions(raw.ch_names, on_missing="nan")
    measured = np.array([ch["loc"][:3] for ch in raw.info["chs"]], dtype=np.float32).reshape(-1, 3)
    measured[~measured.any(axis=1)] = np.nan  # MNE writes zeros as well as NaN for "not digitised"
    first, second = (template, measured) if prefer == "template" else (measured, template)
    return np.where(np.isnan(first), second, first)


def describe_unknown(names: Sequence[str]) -> str:
    """List unknown electrode names with their closest known names, for an error message.

    Args:
        names: Names that have no position.

    Returns:
        One line such as `'Fpp1' (did you mean Fp1, AFp1?)`, with advice on montages where the names look like
        a net's.
    """
    table = {name.upper(): name for name in _template_names().values()}
    parts = []
    for name in names:
        matches = difflib.get_close_matches(name.upper(), table, n=3, cutoff=0.6)
        hint = f" (did you mean {', '.join(table[match] for match in matches)}?)" if matches else ""
        parts.append(f"{name!r}{hint}")
    if any(re.fullmatch(r"[A-H]\d{1,3}", name.upper()) for name in names):
        parts[-1] += "; a dense cap's labels need montage=, e.g. 'GSN-HydroCel-129' (E1) or 'biosemi128' (A1)"
    return ", ".join(parts)


def repeated(names: Sequence[str]) -> list[str]:
    """Name the entries that occur more than once, in order of first occurrence."""
    return [name for name, count in Counter(names).items() if count > 1]


def _electrode(text: str, montage: str | None) -> str | None:
    """Canonical name of a bare electrode label, None where it is not one."""
    prefix, _, label = text.partition("/")
    if label and prefix in _montage_names():
        return _net_electrode(label, prefix)
    if montage is not None:
        name = _net_electrode(text, montage)
        if name is not None:
            return name
    key = text.upper().replace(" ", "")
    return _template_names().get(_ALIASES.get(key, key).upper())


def _net_electrode(text: str, montage: str) -> str | None:
    """Canonical name of a label of a montage: plain in 10-20 caps, with the montage's name elsewhere."""
    if montage not in _montage_names():
        matches = difflib.get_close_matches(montage, _montage_names(), n=3, cutoff=0.4)
        examples = ", ".join(matches) or "biosemi128"
        raise ValueError(f"unknown montage {montage!r}: expected one of MNE's, such as {examples}")
    key = text.upper()
    net = _montage_positions(montage)
    by_upper = {name.upper(): name for name in net}
    match = _NET_LABEL.match(key)
    label = by_upper.get(key) or by_upper.get(f"{match[1]}{match[2]}" if match else key)
    if label is None and "Cz" in net and key in ("VREF", "VERTEX REFERENCE", "E1001", f"E{len(net)}"):
        label = "Cz"  # EGI counts the vertex reference as the electrode after the last
    if label is None:
        return None
    is_ten_twenty = sum(name.upper() in _template_names() for name in net) > len(net) / 2
    if label == "Cz" or is_ten_twenty:
        return _template_names().get(_ALIASES.get(label.upper(), label).upper(), f"{montage}/{label}")
    return f"{montage}/{label}"


def _derivation(text: str, montage: str | None) -> Channel | None:
    """Read `anode-cathode`; None unless both are electrodes."""
    match = _PAIR.match(text)
    if match is None:
        return None
    if match[1].upper() in ("E1", "E2") and match[2].upper() in ("M1", "M2", "A1", "A2"):
        return Channel(text, "eog")  # AASM names of the two eye channels
    anode, cathode = (_electrode(_EEG_PREFIX.sub("", part), montage) for part in match.groups())
    if anode is None or cathode is None:
        return None
    return Channel(f"{anode}-{cathode}", "eeg", anode, cathode)


def _signal_kind(text: str) -> ChannelKind | None:
    """Kind of a signal that is not EEG, None where the label names no such signal."""
    upper = text.upper()
    return next((kind for kind, pattern in _KIND_PATTERNS if pattern.search(upper)), None)


def _position(name: str) -> np.ndarray:
    """Head-frame position of a canonical electrode name, NaN where it has none."""
    montage, _, label = name.rpartition("/")
    table = _montage_positions(montage) if montage in _montage_names() else _template_positions()
    return table.get(label if montage else name, np.full(3, np.nan, dtype=np.float32))


@lru_cache(maxsize=1)
def _template_names() -> dict[str, str]:
    """Upper-case spelling -> canonical spelling of every template electrode."""
    return {name.upper(): name for name in _template_positions()}


@lru_cache(maxsize=1)
def _template_positions() -> dict[str, np.ndarray]:
    """Head-frame positions of the 10-05 electrodes and of O9, O10, T1, T2, which smaller templates hold."""
    positions: dict[str, np.ndarray] = {}
    for name, wanted in (("1005", None), ("1020", ("O9", "O10")), ("postfixed", ("T1", "T2"))):
        current = f"colin27_{name}"
        # MNE before 1.12 calls them standard_*, MNE from 1.14 on only colin27_*.
        table = _montage_positions(current if current in _montage_names() else f"standard_{name}")
        positions.update({key: table[key] for key in wanted or table})
    return positions


@lru_cache(maxsize=1)
def _montage_names() -> frozenset[str]:
    """Names of the montages that the installed MNE brings, deprecated ones too."""
    import mne

    return frozenset(mne.channels.get_builtin_montages()) | {"standard_1005", "standard_1020"}


@lru_cache(maxsize=8)
def _montage_positions(montage: str) -> dict[str, np.ndarray]:
    """Positions of one of MNE's montages in metres, brought into the head frame by its fiducials."""
    import mne

    with warnings.catch_warnings(), mne.use_log_level("ERROR"):
        warnings.simplefilter("ignore", FutureWarning)
        template = mne.channels.make_standard_montage(montage)
    info = mne.create_info(template.ch_names, 100.0, "eeg")
    with mne.use_log_level("ERROR"):
        info.set_montage(template)
    return {channel["ch_name"]: np.array(channel["loc"][:3], dtype=np.float32) for channel in info["chs"]}


__all__ = [
    "DOUBLE_BANANA",
    "STANDARD_19",
    "Channel",
    "ChannelKind",
    "canonical_names",
    "describe_unknown",
    "electrode_positions",
    "parse_channel",
    "parse_channels",
    "positions_from_raw",
    "repeated",
]
