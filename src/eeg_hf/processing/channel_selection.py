# SPDX-License-Identifier: Apache-2.0
"""Which channels of a recording come out, in which order, and why the others do not.

No sample is read: the selection follows from labels, channel types and the positions stated in the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .channel_reasons import list_reasons
from .channels import Channel, parse_channel, parse_channels
from .electrode_positions import (
    Position,
    check_positions,
    describe_unknown,
    electrode_positions,
    measured_positions,
)

if TYPE_CHECKING:
    import mne


@dataclass(frozen=True)
class FoundChannel:
    """An EEG channel of a file.

    Attributes:
        label: Its label in the file.
        pick: Its index in the file.
        channel: What the label means.
        position: Its place on the head in metres, NaN if unknown, shape (3,).
    """

    label: str
    pick: int
    channel: Channel
    position: np.ndarray

    @property
    def is_placed(self) -> bool:
        """Whether the template or the file has a position for the channel."""
        return bool(np.isfinite(self.position).all())


@dataclass
class ChannelSelection:
    """The channels of a file and those selected from it.

    Attributes:
        found: EEG channels of the file by canonical name.
        wanted: Channels that come out, by canonical name, in order.
        renamed: Label -> canonical name, if they differ.
        dropped: Label -> why the channel is left out.
        derived: Wanted derivations that are not in the file but both of whose electrodes are.
        missing: Wanted channels that are not in the file.
        masked: Wanted channels of the file that come out as zeros -> why.
        stated: Positions in metres given by the user, by canonical name.
    """

    found: dict[str, FoundChannel]
    wanted: dict[str, Channel] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    derived: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    masked: dict[str, str] = field(default_factory=dict)
    stated: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def unipolar(self) -> list[str]:
        """Names of the file's unipolar channels whose position is known."""
        return [name for name, e in self.found.items() if e.is_placed and not e.channel.is_bipolar]

    def needed(self, others: Sequence[str]) -> list[str]:
        """List the channels of the file that the wanted channels and `others` are computed from."""
        parts: list[str | None] = []
        for name, channel in self.wanted.items():
            parts += [name] if name in self.found else [channel.anode, channel.cathode]
        readable = self.found.keys() - self.masked.keys()
        return [name for name in dict.fromkeys((*parts, *others)) if name is not None and name in readable]

    def places(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Look up positions in metres in the head frame: the user's, else the file's, else the template's.

        Masked channels have no known position and get that of the vertex, since models take no NaN. Other
        unknown channels get NaN.
        """
        known = {name: entry.position for name, entry in self.found.items()} | self.stated
        if self.masked:
            known |= dict.fromkeys(self.masked, electrode_positions(["Cz"])[0])
        template = electrode_positions(names, on_missing="nan")
        return {name: _place(name, known, place) for name, place in zip(names, template, strict=True)}

    def place(self, raw: "mne.io.BaseRaw") -> None:
        """Write the positions of a recording's channels, which have canonical names, into it."""
        import mne

        montage = mne.channels.make_dig_montage(self.places(raw.ch_names), coord_frame="head")
        raw.set_montage(montage)


def select_channels(
    raw: "mne.io.BaseRaw",
    channels: Sequence[str] | None = None,
    missing_channels: str = "error",
    unknown_channels: str = "error",
    montage: str | None = None,
    positions: Mapping[str, Position] | None = None,
) -> ChannelSelection:
    """Select the channels of one recording.

    Args:
        raw: The recording; only its header is used.
        channels: Wanted channels, in order; `None` for all EEG channels in the file's order.
        missing_channels: `"error"`, `"interpolate"` or `"mask"`: how wanted channels that are not in the file
            will be treated.
        unknown_channels: `"error"`, `"drop"` or `"mask"`: how to treat electrodes without a known position,
            if `channels` is None.
        montage: MNE montage of the labels, for dense caps.
        positions: Label or canonical name -> (x, y, z) in metres in the head frame; these override the
            template and the file.

    Returns:
        The selection, with a reason for every channel left out.

    Raises:
        ValueError: If there is no EEG channel, an unknown one, or a missing one that the policy does not
            cover.
    """
    selection = _find_channels(raw, montage, check_positions(positions or {}, montage))
    if channels is None:
        _want_all(selection, unknown_channels)
    else:
        _want_named(selection, channels, montage)
        _refuse_missing(selection, missing_channels)
    for name, entry in selection.found.items():
        if name in selection.wanted and entry.label != name:
            selection.renamed[entry.label] = name
        elif name not in selection.wanted:
            selection.dropped.setdefault(entry.label, "not among the channels asked for")
    return selection


def _find_channels(
    raw: "mne.io.BaseRaw", montage: str | None, stated: Mapping[str, np.ndarray]
) -> ChannelSelection:
    """Collect the EEG channels by canonical name; the others are dropped with their reason."""
    types = raw.get_channel_types()
    selection = ChannelSelection(found={}, stated=dict(stated))
    for label, kind in zip(raw.ch_names, types, strict=True):
        if kind != "eeg":
            selection.dropped[label] = f"the file declares it as {kind}"
    picks = [index for index, kind in enumerate(types) if kind == "eeg"]
    channels = parse_channels([raw.ch_names[index] for index in picks], montage)
    channels = [_as_stated(channel, stated) for channel in channels]
    places = electrode_positions([channel.name for channel in channels], on_missing="nan")
    # The template first: many files hold an idealised sphere, see `positions_from_raw`
    is_known = np.ones(len(raw.ch_names), dtype=bool)  # neither these nor other types need the file's
    is_known[picks] = ~np.isnan(places).any(axis=1)
    for pick, channel in zip(picks, channels, strict=True):
        is_known[pick] |= channel.name in stated
    places = np.where(np.isnan(places), measured_positions(raw, ignored=is_known)[picks], places)
    for pick, channel, place in zip(picks, channels, places, strict=True):
        label = raw.ch_names[pick]
        if channel.kind != "eeg":
            selection.dropped[label] = f"its label says {channel.kind}"
        elif channel.name in selection.found:
            selection.dropped[label] = f"repeats {channel.name}"
        else:
            position = _place(channel.name, stated, place)
            selection.found[channel.name] = FoundChannel(label, pick, channel, position)
    if not selection.found:
        listed = list_reasons(selection.dropped)
        raise ValueError(f"no EEG channel in this recording: expected one, got {listed or 'none'}")
    return selection


def _as_stated(channel: Channel, stated: Mapping[str, np.ndarray]) -> Channel:
    """Make an electrode of a name with a position from the user, and a derivation of a pair of them."""
    anode, _, cathode = channel.name.partition("-")
    if channel.name in stated and not channel.is_bipolar:
        return Channel(channel.name, "eeg")
    if anode in stated and cathode in stated:
        return Channel(channel.name, "eeg", anode, cathode)
    return channel


def _place(name: str, known: Mapping[str, np.ndarray], otherwise: np.ndarray) -> np.ndarray:
    """Return the position of a channel, half-way between its electrodes if only theirs are known."""
    if name in known:
        return known[name]
    ends = name.split("-")
    if len(ends) == 2 and all(end in known for end in ends):
        half_way: np.ndarray = np.mean([known[end] for end in ends], axis=0)
        return half_way
    return otherwise


def _want_all(selection: ChannelSelection, unknown_channels: str) -> None:
    """Want every EEG channel with a position, but no derivation if there are unipolar channels."""
    unknown = [entry.label for entry in selection.found.values() if not entry.is_placed]
    if unknown and (unknown_channels == "error" or len(unknown) == len(selection.found)):
        raise ValueError(
            f"unknown EEG channel {describe_unknown(unknown)}; rename it (channel_names= of the corpus"
            " 'folder'), set its type or position in MNE, list the channels you want in channels=, give its"
            " position in positions=, or set unknown_channels to 'drop' or 'mask'"
        )
    has_unipolar = bool(selection.unipolar)
    for name, entry in selection.found.items():
        if not entry.is_placed and unknown_channels == "drop":
            selection.dropped[entry.label] = "unknown electrode"
        elif entry.is_placed and has_unipolar and entry.channel.is_bipolar:
            selection.dropped[entry.label] = "bipolar among unipolar channels: ask for it in channels="
        else:
            selection.wanted[name] = entry.channel
            if not entry.is_placed:
                selection.masked[name] = "unknown electrode"


def _want_named(selection: ChannelSelection, channels: Sequence[str], montage: str | None) -> None:
    """Want the named channels, and record which of them are not in the file."""
    found = selection.found
    parsed = [_as_stated(parse_channel(name, montage), selection.stated) for name in channels]
    wanted = {channel.name: channel for channel in parsed}
    if not channels or len(wanted) < len(channels):
        raise ValueError(f"channels must be different names, at least one, or None; got {list(channels)}")
    unknown = [name for name, place in selection.places(list(wanted)).items() if np.isnan(place).any()]
    if unknown:
        raise ValueError(f"channels= names unknown electrodes: {describe_unknown(unknown)}")
    selection.wanted = wanted
    for name, channel in wanted.items():
        if name not in found:
            is_derivable = channel.anode in found and channel.cathode in found
            (selection.derived if is_derivable else selection.missing).append(name)


def _refuse_missing(selection: ChannelSelection, missing_channels: str) -> None:
    """Raise if the policy for missing channels is to raise, or cannot work."""
    missing, wanted = selection.missing, selection.wanted
    if not missing:
        return
    have = f"the recording has {', '.join(selection.found)}"
    if missing_channels == "error":
        raise ValueError(
            f"missing EEG channels {', '.join(missing)}: {have}; change channels=, or set missing_channels to"
            " 'interpolate' or 'mask'"
        )
    if missing_channels == "interpolate" and any(wanted[name].is_bipolar for name in missing):
        raise ValueError(f"cannot interpolate bipolar derivations ({', '.join(missing)}): {have}")
    if missing_channels == "mask" and len(missing) == len(wanted):
        raise ValueError(f"none of the channels asked for is in the recording ({', '.join(missing)}): {have}")


__all__ = ["ChannelSelection", "FoundChannel", "select_channels"]
