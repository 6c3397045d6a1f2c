# SPDX-License-Identifier: Apache-2.0
"""Read channel labels: electrode names in all their dialects, derivations, and the kinds of other signals.

Laboratories spell electrodes in many ways: `EEG FP1-REF` (TUH), `Fc5.` (PhysioNet), `EEG T3` (10-20 names
older than 1991), `EEG Fpz-Cz` (Sleep-EDF, a derivation and not a suffix), `T8-P8-0` (CHB-MIT, with the suffix
that MNE gives to repeated labels). Each label becomes one canonical name, and `electrode_positions` gives
each canonical name one place on the head.

Some labels have a meaning only in their cap (`E1` of an EGI net; `A1` of a 128-electrode BioSemi cap, which
is not the ear lobe). They are read only if the caller names the `montage` or if all labels of the cap are
present; their canonical name then includes it (`biosemi128/A1`), so that they cannot be mistaken for
something else.
"""

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .electrode_templates import montage_names, read_montage, template_names

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
"""The 18 derivations of the longitudinal bipolar chain (anode minus cathode); BIOT and TUEV use the first
16."""

# The 10-10 system renamed T3..T6 of the 10-20 system; C3P and C4P are TUH's spelling of CP3 and CP4
_ALIASES: Mapping[str, str] = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8", "C3P": "CP3", "C4P": "CP4"}

# A common reference behind the electrode name leaves the channel unipolar
_REFERENCE_SUFFIX = re.compile(
    r"[\s_\-:/]+(?:REF\d?|REFERENCE|LE|CLE|LER|LINKED[\s_]?(?:EARS?|MASTOIDS?)|AR|AVG?|AVE|AVERAGE|AVR|CAR|G\d{1,2}|GND"
    r"|VREF|AA|\(*[AM]1\s*\+?\s*[AM]2\)?(?:/2\)?)?)$",
    re.IGNORECASE,
)
_EEG_PREFIX = re.compile(r"^(?:(?:EEG|POL|RAW)[\s._:\-]+)+", re.IGNORECASE)
# "-" and "--0" are CHB-MIT's dummy channels, "POL E" and "POL $A1" empty inputs of Nihon Kohden amplifiers
_NO_SIGNAL = re.compile(r"-*(?:-\d)?|(?:RE)?REF|REFERENCE|E|\$[A-Z]\d*", re.IGNORECASE)
_REPEAT_SUFFIX = re.compile(r"-\d$")
_PAIR = re.compile(
    r"^(.+?)\s*[-\u2013\u2014:/_ ]\s*(.+)$|^([A-Z]+(?:\d+|Z))([A-Z]+(?:\d+|Z))$", re.IGNORECASE
)
_MAX_LABEL = 120  # a longer one names no electrode, and would take long to match
_EARS = frozenset({"A1", "A2", "M1", "M2"})
# Cap -> banks and labels per bank; a recording with all of them can only be of that cap
_NETS: Mapping[str, tuple[str, int]] = {
    "biosemi256": ("ABCDEFGH", 32),
    "biosemi160": ("ABCDE", 32),
    "biosemi128": ("ABCD", 32),
    "biosemi64": ("AB", 32),
    "GSN-HydroCel-257": ("E", 256),
    "GSN-HydroCel-129": ("E", 128),
}
_BANK_LABEL = re.compile(r"[A-H]\d{1,3}")
_NET_LABEL = re.compile(r"^([A-Z]+)0*(\d+)$")

# Searched in this order; only letters on either side make a match part of a longer word
_KIND_WORDS: tuple[tuple[ChannelKind, str], ...] = (
    ("ecg", r"[A-Z]?(?:ECG|EKG)[A-Z]?"),
    ("eog", r"[A-Z]{0,2}EOG[A-Z]?|[HV]EO[A-Z]?|[A-Z]*EYE[A-Z]*|ROC|LOC|RUC|LUC|RLC|LLC"),
    ("emg", r"[A-Z]?EMG[A-Z]?|CHIN|KINN|MENTON|BEIN|TIB|LAT|RAT|MASSETER"),
    ("stim", r"STI|STIM|STIMULUS|TRIG|TRIGGER|STATUS|MARKER\w*|EVENTS?|ANNOTATIONS?|PHOTIC|DIN|DIGI|TTL|MKR"),
    (
        "misc",
        r"ATEM\w*|ATMUNG\w*|SCHNARCH\w*|S[A\u00c4]TTIGUNG|LAGE|HERZ\w*|PULS"
        # Consumer headsets: band powers, contact quality, motion
        r"|DELTA|THETA|ALPHA|BETA|GAMMA|HSI|HEADBAND\w*|CQ|EQ|RAWCQ|MOT|MAG[XYZ]?"
        r"|RESP\w*|THOR\w*|ABD\w*|FLOW\w*|AIRFLOW|NASAL|THERM\w*|SNORE|SAO2|SPO2|O2SAT|OSAT|CO2|ETCO2|PULSE|PLET\w*"
        r"|PPG|BVP|TEMP\w*|GSR|EDA|ACC[XYZ]?|ACCEL|ACCELEROMETER\w*|GYRO[XYZ]?|BATT\w*|GND|GROUND|IBI|BURSTS|SUPPR"
        r"|EXG(?! CHANNEL)|AUX\w*|ANALOG"  # OpenBCI's "EXG Channel 0" is EEG, BioSemi's EXG1 is not
        r"|DC|HR|HRATE|CM|DRL|SP[12]|PG[12]|POS\w*|POSITION|LIGHT|MIC|AUDIO|TIME\w*|HEART\w*|LEG\w*|COUNTER|INTERPOLATED|NC|ND|EMPTY|UNUSED|X[1-9]|BP|ABP|ART|VNS|LUE|RAE|ERG",
    ),
)
_KIND_PATTERNS = tuple((kind, re.compile(rf"(?<![A-Z])(?:{words})(?![A-Z])")) for kind, words in _KIND_WORDS)


@dataclass(frozen=True)
class Channel:
    """The meaning of one channel label.

    Attributes:
        name: Canonical name: `"Fp1"`, `"T7"`, a derivation `"Fpz-Cz"`, or `"biosemi128/A1"` with a montage.
            The stripped label itself if it is not an electrode.
        kind: The kind of signal. A label that is neither an electrode nor a known other signal counts as
            `"eeg"`: only its missing position shows that the electrode is unknown.
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
            dense caps such as `E1` (`"GSN-HydroCel-129"`) and `A1` (`"biosemi128"`); otherwise `A1` is the
            left ear.

    Returns:
        The channel's canonical name and kind, and both electrodes of a bipolar derivation.

    Example:
        >>> parse_channel("EEG T3-REF").name, parse_channel("EEG Fpz-Cz").cathode
        ('T7', 'Cz')
    """
    text = _tidy(label)
    if len(text) > _MAX_LABEL:
        return Channel(text, "eeg")
    electrode = _electrode(text, montage)
    if electrode is not None:  # before the other kinds, in which "O2" is an oxygen sensor
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
    """Read all labels of one recording, which together reveal more than one by one.

    * Four or more derivations with one cathode (`Fp1-Pz, F3-Pz, ...`), even an unknown one such as CHB-MIT's
      `CS2`, or only derivations against an ear or a mastoid (`C3-M2, C4-M1`), are a unipolar recording whose
      labels include the reference.
    * If all labels of a cap are present, they belong to it: BioSemi's 64 labels become 10-20 names, those of
      larger caps and of EGI's nets of 128 and 256 carry the montage. If only some are (`A1` with `A3`), they
      are unknown.
    * `E1` and `E2` with 10-20 names are the two eye channels of a polysomnography, not the first electrodes
    of
      an EGI net.

    Args:
        labels: Channel labels of one recording, in the file's order.
        montage: See `parse_channel`.

    Returns:
        One channel per label, in the same order. Two labels may get the same name (`T8-P8-0` and `T8-P8-1`).
    """
    bare = [_EEG_PREFIX.sub("", _tidy(label)[:_MAX_LABEL]).upper() for label in labels]
    montage = montage or _recognised_net(bare)
    channels = [parse_channel(label, montage) for label in labels]
    if montage is None and any(re.fullmatch(r"A([3-9]|\d\d)", label) for label in bare):
        # An incomplete cap: its A1 is not the ear, its C3 not the C3 of the 10-20 system
        for index, label in enumerate(bare):
            if is_bank_label(label):
                channels[index] = Channel(f"bank/{label}", "eeg")
    channels = _without_common_reference(channels, montage)
    names = {channel.name.upper() for channel in channels}
    if montage is None and {"E1", "E2"} & names and "E3" not in names and names & set(template_names()):
        channels = [replace(c, kind="eog") if c.name.upper() in ("E1", "E2") else c for c in channels]
    return channels


def canonical_names(labels: Sequence[str], montage: str | None = None) -> list[str]:
    """Translate the labels of one recording into canonical names.

    Args:
        labels: Channel labels of one recording.
        montage: See `parse_channel`.

    Returns:
        One name per label, in the same order. A label that is not an electrode is only stripped.
    """
    return [channel.name for channel in parse_channels(labels, montage)]


def repeated(names: Sequence[str]) -> list[str]:
    """Return the entries that occur more than once, in order of first occurrence."""
    return [name for name, count in Counter(names).items() if count > 1]


def is_bank_label(label: str) -> bool:
    """Return whether an upper-case label could be of a dense cap: a letter A to H and a number."""
    return _BANK_LABEL.fullmatch(label) is not None


def check_montage(montage: str) -> None:
    """Raise a ValueError that suggests close names if MNE has no such montage."""
    if montage not in montage_names():
        matches = difflib.get_close_matches(montage, montage_names(), n=3, cutoff=0.4)
        examples = ", ".join(matches) or "biosemi128"
        raise ValueError(f"unknown montage {montage!r}: expected one of MNE's, such as {examples}")


def _tidy(label: str) -> str:
    return " ".join(label.strip().strip(".").split())


def _recognised_net(labels: Sequence[str]) -> str | None:
    """Return the largest cap of which all labels are present."""
    present = {f"{m[1]}{m[2]}" for m in map(_NET_LABEL.match, labels) if m}
    for net, (banks, size) in _NETS.items():
        if all(f"{bank}{number}" in present for bank in banks for number in range(1, size + 1)):
            return net
    return None


def _without_common_reference(channels: list[Channel], montage: str | None) -> list[Channel]:
    """Remove the reference from the names of a unipolar recording whose labels include it."""
    derivations = [channel for channel in channels if channel.is_bipolar]
    cathodes = {channel.cathode for channel in derivations}
    if len(derivations) >= 4 and len(cathodes) == 1:
        return [Channel(c.anode, c.kind) if c.anode is not None else c for c in channels]
    unipolar = [Channel(c.anode, c.kind) if c.anode and c.anode not in _EARS else c for c in channels]
    if cathodes <= _EARS and not repeated([c.name for c in unipolar if c.kind == "eeg"]):
        channels = unipolar
    half_known = {c.name: _half_known(c, montage) for c in channels if c.kind == "eeg" and not c.is_bipolar}
    counts = Counter(pair[1] for pair in half_known.values() if pair)
    common = {name: pair[0] for name, pair in half_known.items() if pair and counts[pair[1]] >= 4}
    return [Channel(common.get(c.name, c.name), "eeg") if c.name in common else c for c in channels]


def _half_known(channel: Channel, montage: str | None) -> tuple[str, str] | None:
    """Return the anode and the label of the unknown cathode of a pair; None for anything else."""
    match = _PAIR.match(_EEG_PREFIX.sub("", channel.name))
    anode = _electrode(match[1], montage) if match and match[1] else None
    return (anode, match[2].upper()) if match and anode is not None else None


def _electrode(text: str, montage: str | None) -> str | None:
    """Return the canonical name of a bare electrode label, None if it is not one."""
    prefix, _, label = text.partition("/")
    if label and prefix in montage_names():
        return _net_electrode(label, prefix)
    name = None if montage is None else _net_electrode(text, montage)
    key = text.upper().replace(" ", "")
    return name or template_names().get(_ALIASES.get(key, key).upper())


def _net_electrode(text: str, montage: str) -> str | None:
    """Return the canonical name of a montage's label: plain in 10-20 caps, else with the montage's name."""
    check_montage(montage)
    key = text.upper()
    net = read_montage(montage)
    banks, size = _NETS.get(montage, ("A", 32))
    bank = re.fullmatch(rf"([{banks}])(\d+)", key)
    if montage in ("biosemi16", "biosemi32", "biosemi64") and bank and 0 < int(bank[2]) <= size:
        index = size * banks.index(bank[1]) + int(bank[2]) - 1  # MNE lists these caps in BioSemi's order
        key = list(net)[index].upper() if index < len(net) else key
    by_upper = {name.upper(): name for name in net}
    match = _NET_LABEL.match(key)
    label = by_upper.get(key) or by_upper.get(f"{match[1]}{match[2]}" if match else key)
    if label is None and "Cz" in net and key in ("VREF", "VERTEX REFERENCE", "E1001", f"E{len(net)}"):
        label = "Cz"  # EGI counts the vertex reference as the electrode after the last
    if label is None:
        return None
    is_ten_twenty = sum(name.upper() in template_names() for name in net) > len(net) / 2
    if label == "Cz" or is_ten_twenty:
        return template_names().get(_ALIASES.get(label.upper(), label).upper(), f"{montage}/{label}")
    return f"{montage}/{label}"


def _derivation(text: str, montage: str | None) -> Channel | None:
    """Read `anode-cathode`; return None unless both are electrodes."""
    match = _PAIR.match(text)
    if match is None:
        return None
    ends = [part for part in match.groups() if part is not None]
    if ends[0].upper() in ("E1", "E2") and ends[1].upper() in _EARS:
        return Channel(text, "eog")  # AASM names of the two eye channels
    anode, cathode = (_electrode(_EEG_PREFIX.sub("", part), montage) for part in ends)
    if anode is None or cathode is None:
        return None
    return Channel(f"{anode}-{cathode}", "eeg", anode, cathode)


def _signal_kind(text: str) -> ChannelKind | None:
    """Return the kind of a signal that is not EEG, None if the label names no such signal."""
    upper = text.upper()
    return next((kind for kind, pattern in _KIND_PATTERNS if pattern.search(upper)), None)
