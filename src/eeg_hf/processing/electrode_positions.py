# SPDX-License-Identifier: Apache-2.0
"""Where electrodes lie, in metres in the head frame: x to the right ear, y to the nose, z up."""

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from .channel_reasons import list_first
from .channels import canonical_names, check_montage, is_bank_label, parse_channel, repeated
from .electrode_templates import montage_names, read_montage, template_names, template_positions

if TYPE_CHECKING:
    import mne

Position = Sequence[float] | np.ndarray
"""A place on the head: (x, y, z) in metres in the head frame."""


def electrode_positions(
    names: Sequence[str], on_missing: Literal["raise", "nan"] = "raise", montage: str | None = None
) -> np.ndarray:
    """Look up where electrodes lie on the template head.

    The template is MNE's `colin27_1005`, transformed from MRI to head coordinates by its fiducials. A
    derivation lies half-way between its two electrodes. Positions of `montage` names come from that montage,
    whose head is a sphere: they differ from the template's by up to 3 cm at the same site.

    Args:
        names: Electrode names, in any dialect that `parse_channel` reads.
        on_missing: `"raise"`, or `"nan"` to get a row of NaN for each unknown name.
        montage: See `parse_channel`.

    Returns:
        Positions in metres in the head frame, float32, shape (num_names, 3).

    Raises:
        ValueError: If a name has no position and `on_missing` is `"raise"`; lists all such names with close
            matches.

    Example:
        >>> electrode_positions(["Cz", "Fpz-Cz"]).shape
        (2, 3)
    """
    if on_missing not in ("raise", "nan"):
        raise ValueError(f"on_missing must be 'raise' or 'nan', got {on_missing!r}")
    positions = np.full((len(names), 3), np.nan, dtype=np.float32)
    for row, label in enumerate(names):
        channel = parse_channel(label, montage)
        if channel.kind == "eeg" and channel.anode and channel.cathode:
            positions[row] = (_position(channel.anode) + _position(channel.cathode)) / 2
        elif channel.kind == "eeg":
            positions[row] = _position(channel.name)
    unknown = [name for name, is_missing in zip(names, np.isnan(positions[:, 0]), strict=True) if is_missing]
    if unknown and on_missing == "raise":
        raise ValueError(f"no electrode position for {describe_unknown(unknown)}")
    return positions


def montage_positions(montage: str | Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """List the electrodes of a montage with their positions, such as the target of a channel adapter.

    Names and positions are those that a recording with this montage gets: 10-20 names lie on the template
    head, whatever cap they come from, and the others where their montage has them.

    Args:
        montage: Name of one of MNE's montages (`mne.channels.get_builtin_montages()`), or names of electrodes
            in any dialect that `parse_channel` reads.

    Returns:
        Canonical name -> (x, y, z) in metres in the head frame, in the montage's order. Two names of one site
        (`T3` and `T7`) are one electrode.

    Raises:
        ValueError: If MNE has no such montage, or the list is empty, or an electrode is unknown or listed
            twice.

    Example:
        >>> places = montage_positions("GSN-HydroCel-128")
        >>> len(places), list(places)[16]
        (128, 'GSN-HydroCel-128/E17')
    """
    if isinstance(montage, str):
        check_montage(montage)
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
    """Look up the positions of a recording's channels, in the template and in the recording itself.

    Many files hold an idealised sphere instead of digitised positions, 2-3 cm away from the template, so the
    template comes first by default.

    Args:
        raw: The recording; all of its channels are looked up, in its order.
        prefer: `"template"` uses the file's positions only for names that the template lacks (`EEG 001`);
            `"file"` uses the template only for channels without a position in the file.

    Returns:
        Positions in metres in the head frame, float32, shape (num_channels, 3); NaN for unknown channels.
    """
    if prefer not in ("template", "file"):
        raise ValueError(f"prefer must be 'template' or 'file', got {prefer!r}")
    if prefer == "file":
        measured = measured_positions(raw)
        if not np.isnan(measured).any():
            return measured
    # All labels together: `A1` among BioSemi's is not the left ear
    template = electrode_positions(canonical_names(raw.ch_names), on_missing="nan")
    if prefer == "file":
        return np.where(np.isnan(measured), template, measured)
    measured = measured_positions(raw, ignored=~np.isnan(template).any(axis=1))
    return np.where(np.isnan(template), measured, template)


def measured_positions(raw: "mne.io.BaseRaw", ignored: np.ndarray | None = None) -> np.ndarray:
    """Return the positions that a recording states for its EEG channels.

    Args:
        raw: The recording.
        ignored: True for channels whose positions are not used and not checked, shape (num_channels,).

    Returns:
        Positions in metres in the head frame, float32, shape (num_channels, 3); NaN where there is none.

    Raises:
        ValueError: If a position cannot be on a head, as where millimetres were taken for metres.
    """
    measured = np.array([ch["loc"][:3] for ch in raw.info["chs"]], dtype=np.float32).reshape(-1, 3)
    measured[~measured.any(axis=1)] = np.nan  # MNE writes zeros as well as NaN for "not digitised"
    if ignored is not None:
        measured[ignored] = np.nan
    for label, kind, place in zip(raw.ch_names, raw.get_channel_types(), measured, strict=True):
        if kind == "eeg" and not np.isnan(place).all():
            _refuse_off_head(f"the recording's position of {label!r}", place)
    return measured


def check_positions(positions: Mapping[str, Position], montage: str | None = None) -> dict[str, np.ndarray]:
    """Check the positions that a user gives.

    Args:
        positions: Label or canonical name -> (x, y, z) in metres in the head frame.
        montage: See `parse_channel`.

    Returns:
        Canonical name -> position in metres, float32, shape (3,).

    Raises:
        ValueError: If a position is not three finite numbers, or not 3 to 20 cm from the middle of the head.
    """
    checked: dict[str, np.ndarray] = {}
    for label, position in positions.items():
        place = np.asarray(position, dtype=np.float32)
        _refuse_off_head(f"positions of {label!r}", place)
        checked[parse_channel(label, montage).name] = place
    return checked


def _refuse_off_head(what: str, place: np.ndarray) -> None:
    """Raise unless a position in metres can be on a head, 3 to 20 cm from its middle."""
    radius = float(np.linalg.norm(place)) if place.shape == (3,) else np.nan
    if not 0.03 <= radius <= 0.2:  # True for NaN too
        unit = "mm" if 20 < radius <= 200 else "cm" if 2 < radius <= 20 else None
        raise ValueError(
            f"{what}: expected (x, y, z) in metres, 0.03 to 0.2 m from the middle of the head, got"
            f" {np.round(place, 4).tolist()}{f'; are these {unit}?' if unit else ''}"
        )


def describe_unknown(names: Sequence[str]) -> str:
    """List unknown electrode names with their closest known names, for an error message.

    Args:
        names: Names without a position.

    Returns:
        One line such as `'Fpp1' (did you mean Fp1, AFp1?)`, with advice on montages if a name could be of a
        dense cap.
    """
    table = {name.upper(): name for name in template_names().values()}
    parts = []
    for name in names:
        is_bank = is_bank_label(name.upper())
        matches = [] if is_bank else difflib.get_close_matches(name.upper(), table, n=3, cutoff=0.6)
        hint = f" (did you mean {', '.join(table[match] for match in matches)}?)" if matches else ""
        parts.append(f"{name!r}{hint}")
    advice = "; a dense cap's labels need montage=, e.g. 'GSN-HydroCel-129' (E1) or 'biosemi128' (A1)"
    return list_first(parts) + (advice if any(is_bank_label(name.upper()) for name in names) else "")


def _position(name: str) -> np.ndarray:
    """Return the head-frame position of a canonical electrode name, NaN if it is unknown."""
    montage, _, label = name.rpartition("/")
    is_net = bool(montage) and montage in montage_names()
    table, key = (read_montage(montage), label) if is_net else (template_positions(), name)
    return table.get(key, np.full(3, np.nan, dtype=np.float32))


__all__ = [
    "Position",
    "check_positions",
    "describe_unknown",
    "electrode_positions",
    "measured_positions",
    "montage_positions",
    "positions_from_raw",
]
