# SPDX-License-Identifier: Apache-2.0
"""Electrode names, their dialects, their kinds and their positions.

Every laboratory spells electrodes its own way: `EEG FP1-REF` (TUH), `Fc5.` (PhysioNet), `EEG T3` (10-20 names
older than 1991), `EEG Fpz-Cz` (Sleep-EDF, which is a derivation and not a suffix), `T8-P8-0` (CHB-MIT, with
the suffix MNE gives to repeated labels). Here each label becomes one canonical name, and each canonical name
one place on the head.

Labels that mean nothing without their cap (`E1` of an EGI net, `A1` of a 128-electrode BioSemi cap, which is
not the ear lobe) are read only where the caller names the `montage`, or where all labels of a cap are there;
their canonical name then carries it (`biosemi128/A1`), so that they cannot be taken for something else
further on.
"""

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from .electrode_templates import montage_names, template_names, template_positions
from .electrode_templates import montage_positions as read_montage

if TYPE_CHECKING:
    import mne

Position = Sequence[float] | np.ndarray
"""A place on the head: (x, y, z) in metres in the head frame."""

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
    r"[\s_\-:/]+(?:REF\d?|REFERENCE|LE|CLE|LER|LINKED[\s_]?(?:EARS?|MASTOIDS?)|AR|AVG?|AVE|AVERAGE|AVR|CAR|G\d{1,2}|GND"
    r"|VREF|AA|\(*[AM]1\s*\+?\s*[AM]2\)?(?:/2\)?)?)$",
    re.IGNORECASE,
)
_EEG_PREFIX = re.compile(r"^(?:(?:EEG|POL|RAW)[\s._:\-]+)+", re.IGNORECASE)
# "-" and "--0" are CHB-MIT's dummy channels, "POL E" and "POL $A1" empty inputs of Nihon Kohden amplifiers.
_NO_SIGNAL = re.compile(r"-*(?:-\d)?|(?:RE)?REF|REFERENCE|E|\$[A-Z]\d*", re.IGNORECASE)
_REPEAT_SUFFIX = re.compile(r"-\d$")
_PAIR = re.compile(
    r"^(.+?)\s*[-\u2013\u2014:/_ ]\s*(.+)$|^([A-Z]+(?:\d+|Z))([A-Z]+(?:\d+|Z))$", re.IGNORECASE
)
_EARS = frozenset({"A1", "A2", "M1", "M2"})
# Labels that, all present, can only be those of one cap: banks of 32 (BioSemi), all numbers of a net (EGI).
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

# Searched in this order in the label, as whole words but for digits and underscores around them.
_KIND_WORDS: tuple[tuple[ChannelKind, str], ...] = (
    ("ecg", r"[A-Z]?(?:ECG|EKG)[A-Z]?"),
    ("eog", r"[A-Z]{0,2}EOG[A-Z]?|[HV]EO[A-Z]?|[A-Z]*EYE[A-Z]*|ROC|LOC|RUC|LUC|RLC|LLC"),
    ("emg", r"[A-Z]?EMG[A-Z]?|CHIN|KINN|MENTON|BEIN|TIB|LAT|RAT|MASSETER"),
    ("stim", r"STI|STIM|STIMULUS|TRIG|TRIGGER|STATUS|MARKER\w*|EVENTS?|ANNOTATIONS?|PHOTIC|DIN|DIGI|TTL|MKR"),
    (
        "misc",
        r"ATEM\w*|ATMUNG\w*|SCHNARCH\w*|S[A\u00c4]TTIGUNG|LAGE|HERZ\w*|PULS"
        # What headsets write beside their samples: band powers, quality of contacts, motion
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

    Only in company it shows

    * that four or more derivations with one cathode (`Fp1-Pz, F3-Pz, ...`, also where nobody knows that
      cathode, as CHB-MIT's `CS2`), or all of them with an ear or a mastoid (`C3-M2, C4-M1`), are a unipolar
      recording whose reference is written out;
    * that `A1` beside `A3`, `B1` or `E1` beside all others of the cap belong to that cap: BioSemi's 64 labels
      become 10-20 names, those of larger caps and of EGI's nets of 128 and 256 carry the montage;
    * that `E1` and `E2` beside 10-20 names are the two eye channels of a polysomnography, not the first
      electrodes of an EGI net.

    Args:
        labels: Channel labels of one recording, in the file's order.
        montage: See `parse_channel`.

    Returns:
        One channel a label, in the same order. Two labels may get the same name (`T8-P8-0` and `T8-P8-1`).
    """
    bare = [_EEG_PREFIX.sub("", " ".join(label.strip().strip(".").split())).upper() for label in labels]
    montage = montage or _recognised_net(bare)
    channels = [parse_channel(label, montage) for label in labels]
    if montage is None and any(re.fullmatch(r"A([3-9]|\d\d)", label) for label in bare):
        # A cap of which labels are missing: its A1 is no ear, its C3 not the C3 of the 10-20 system.
        for index, label in enumerate(bare):
            if _BANK_LABEL.fullmatch(label):
                channels[index] = Channel(f"bank/{label}", "eeg")
    channels = _without_common_reference(channels, montage)
    names = {channel.name.upper() for channel in channels}
    if montage is None and {"E1", "E2"} & names and "E3" not in names and names & set(template_names()):
        channels = [replace(c, kind="eog") if c.name.upper() in ("E1", "E2") else c for c in channels]
    return channels


def _recognised_net(labels: Sequence[str]) -> str | None:
    """Name the largest cap of which all labels are there."""
    present = {f"{m[1]}{m[2]}" for m in map(_NET_LABEL.match, labels) if m}
    for net, (banks, size) in _NETS.items():
        if all(f"{bank}{number}" in present for bank in banks for number in range(1, size + 1)):
            return net
    return None


def _without_common_reference(channels: list[Channel], montage: str | None) -> list[Channel]:
    """Take the reference off the names of a unipolar recording whose labels write it out."""
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
    """Anode, and label of the cathode, of a pair of which only the anode is known; None for anything else."""
    match = _PAIR.match(_EEG_PREFIX.sub("", channel.name))
    anode = _electrode(match[1], montage) if match and match[1] else None
    return (anode, match[2].upper()) if match and anode is not None else None


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


def montage_positions(montage: str | Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """List the electrodes of a montage and where they lie, such as a channel adapter's target.

    Names and places are those that a recording with this montage gets elsewhere in the library: 10-20 names
    lie on the template head, whatever cap they come from, and the others where their montage has them.

    Args:
        montage: Name of one of MNE's montages (`mne.channels.get_builtin_montages()`), or names of
            electrodes in any dialect that `parse_channel` reads.

    Returns:
        Canonical name -> (x, y, z) in metres in the head frame, in the montage's order. Two names of one site
        (`T3` and `T7`) are one electrode.

    Raises:
        ValueError: MNE has no such montage, or the list is empty, or an electrode unknown or listed twice.

    Example:
        >>> places = montage_positions("GSN-HydroCel-128")
        >>> len(places), list(places)[16]
        (128, 'GSN-HydroCel-128/E17')
    """
    if isinstance(montage, str):
        _check_montage(montage)
        names = canonical_names(list(read_montage(montage)), montage)
    else:
        names = canonical_names(montage)
        if not names:
            raise ValueError("montage: expected the name of a montage or of electrodes, got an empty list")
        if repeated(names):
            raise ValueError(f"montage: expected each electrode once, got {', '.join(repeated(names))} twice")
    positions = electrode_positions(names).astype(float).round(6).tolist()
    return {name: (x, y, z) for name, (x, y, z) in zip(names, positions, strict=True)}


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


def check_positions(positions: Mapping[str, Position], montage: str | None = None) -> dict[str, np.ndarray]:
    """Check positions that a user states.

    Args:
        positions: Label or canonical name -> (x, y, z) in metres in the head frame.
        montage: See `parse_channel`.

    Returns:
        Canonical name -> position in metres, float32, shape (3,).

    Raises:
        ValueError: Not three finite numbers, or not 3 to 20 cm from the middle of the head.
    """
    checked: dict[str, np.ndarray] = {}
    for label, position in positions.items():
        place = np.asarray(position, dtype=np.float32)
        radius = float(np.linalg.norm(place)) if place.shape == (3,) else np.nan
        if not 0.03 <= radius <= 0.2:  # NaN too
            hint = (
                "; are these mm?" if 30 <= radius <= 200 else "; are these cm?" if 3 <= radius <= 20 else ""
            )
            raise ValueError(
                f"positions of {label!r}: expected (x, y, z) in metres, 0.03 to 0.2 m from the middle of the"
                f" head, got {np.round(place, 4).tolist()}{hint}"
            )
        checked[parse_channel(label, montage).name] = place
    return checked


def describe_unknown(names: Sequence[str]) -> str:
    """List unknown electrode names with their closest known names, for an error message.

    Args:
        names: Names that have no position.

    Returns:
        One line such as `'Fpp1' (did you mean Fp1, AFp1?)`, with advice on montages where the names look like
        a net's.
    """
    table = {name.upper(): name for name in template_names().values()}
    parts = []
    for name in names:
        is_bank = _BANK_LABEL.fullmatch(name.upper())
        matches = [] if is_bank else difflib.get_close_matches(name.upper(), table, n=3, cutoff=0.6)
        hint = f" (did you mean {', '.join(table[match] for match in matches)}?)" if matches else ""
        parts.append(f"{name!r}{hint}")
    if any(_BANK_LABEL.fullmatch(name.upper()) for name in names):
        parts[-1] += "; a dense cap's labels need montage=, e.g. 'GSN-HydroCel-129' (E1) or 'biosemi128' (A1)"
    return ", ".join(parts)


def repeated(names: Sequence[str]) -> list[str]:
    """Name the entries that occur more than once, in order of first occurrence."""
    return [name for name, count in Counter(names).items() if count > 1]


def _electrode(text: str, montage: str | None) -> str | None:
    """Canonical name of a bare electrode label, None where it is not one."""
    prefix, _, label = text.partition("/")
    if label and prefix in montage_names():
        return _net_electrode(label, prefix)
    if montage is not None:
        name = _net_electrode(text, montage)
        if name is not None:
            return name
    key = text.upper().replace(" ", "")
    return template_names().get(_ALIASES.get(key, key).upper())


def _net_electrode(text: str, montage: str) -> str | None:
    """Canonical name of a label of a montage: plain in 10-20 caps, with the montage's name elsewhere."""
    _check_montage(montage)
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


def _check_montage(montage: str) -> None:
    """Raise a ValueError that names close ones where MNE has no such montage."""
    if montage not in montage_names():
        matches = difflib.get_close_matches(montage, montage_names(), n=3, cutoff=0.4)
        examples = ", ".join(matches) or "biosemi128"
        raise ValueError(f"unknown montage {montage!r}: expected one of MNE's, such as {examples}")


def _derivation(text: str, montage: str | None) -> Channel | None:
    """Read `anode-cathode`; None unless both are electrodes."""
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
    """Kind of a signal that is not EEG, None where the label names no such signal."""
    upper = text.upper()
    return next((kind for kind, pattern in _KIND_PATTERNS if pattern.search(upper)), None)


def _position(name: str) -> np.ndarray:
    """Head-frame position of a canonical electrode name, NaN where it has none."""
    montage, _, label = name.rpartition("/")
    is_net = montage in montage_names()
    table, key = (read_montage(montage), label) if is_net else (template_positions(), name)
    return table.get(key, np.full(3, np.nan, dtype=np.float32))


__all__ = [
    "DOUBLE_BANANA",
    "STANDARD_19",
    "Channel",
    "ChannelKind",
    "Position",
    "canonical_names",
    "check_positions",
    "describe_unknown",
    "electrode_positions",
    "montage_positions",
    "parse_channel",
    "parse_channels",
    "positions_from_raw",
    "repeated",
]
