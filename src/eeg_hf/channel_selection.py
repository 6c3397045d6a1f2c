# SPDX-License-Identifier: Apache-2.0
"""Which channels of a recording come out, in which order, and why the others do not.

Nothing is read here: the choice follows from the labels, the channel types and the positions that the file
states.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .channels import (
    Channel,
    describe_unknown,
    electrode_positions,
    parse_channel,
    parse_channels,
    positions_from_raw,
)

if TYPE_CHECKING:
    import mne


@dataclass(frozen=True)
class FoundChannel:
    """An EEG channel of a file.

    Attributes:
        label: Its label in the file.
        pick: Its index in the file.
        channel: What the label says.
        position: Where it is on the head in metres, NaN where nobody knows, shape (3,).
    """

    label: str
    pick: int
    channel: Channel
    position: np.ndarray

    @property
    def is_placed(self) -> bool:
        """Whether the template or the file knows where the channel is."""
        return bool(np.isfinite(self.position).all())


@dataclass
class ChannelSelection:
    """The channels of a file and those chosen from it.

    Attributes:
        found: EEG channels of the file by canonical name.
        wanted: Channels that come out, by canonical name, in order.
        renamed: Label -> canonical name, where they differ.
        dropped: Label -> why the channel is left out.
        derived: Wanted derivations that the file lacks but holds both electrodes of.
        missing: Wanted channels that the file lacks.
    """

    found: dict[str, FoundChannel]
    wanted: dict[str, Channel] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    derived: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def unipolar(self) -> list[str]:
        """Names of the file's unipolar channels whose position is known."""
        return [name for name, e in self.found.items() if e.is_placed and not e.channel.is_bipolar]

    def needed(self, others: Sequence[str]) -> list[str]:
        """Name the channels of the file that must be read for those wanted and for `others`."""
        parts: list[str | None] = []
        for name, channel in self.wanted.items():
            parts += [name] if name in self.found else [channel.anode, channel.cathode]
        return [name for name in dict.fromkeys((*parts, *others)) if name is not None and name in self.found]


def select_channels(
    raw: "mne.io.BaseRaw",
    channels: Sequence[str] | None = None,
    missing_channels: str = "error",
    unknown_channels: str = "error",
    montage: str | None = None,
) -> ChannelSelection:
    """Choose the channels of one recording.

    Args:
        raw: The recording; only its header is looked at.
        channels: Names wanted, in this order; `None` for all EEG channels in the file's order.
        missing_channels: `"error"`, `"interpolate"` or `"mask"`: what will be done about wanted channels that
            the file lacks.
        unknown_channels: `"error"` or `"drop"`: what to do, where `channels` is None, about unknown
            electrodes.
        montage: MNE montage that labels of dense caps belong to.

    Returns:
        The selection, with a reason for everything left out.

    Raises:
        ValueError: No EEG channel, an unknown one, or a missing one that the policy does not cover.
    """
    selection = _find_channels(raw, montage)
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


def _find_channels(raw: "mne.io.BaseRaw", montage: str | None) -> ChannelSelection:
    """Collect the EEG channels by canonical name; the others are dropped with their reason."""
    types = raw.get_channel_types()
    selection = ChannelSelection(found={})
    for label, kind in zip(raw.ch_names, types, strict=True):
        if kind != "eeg":
            selection.dropped[label] = f"the file declares it as {kind}"
    picks = [index for index, kind in enumerate(types) if kind == "eeg"]
    channels = parse_channels([raw.ch_names[index] for index in picks], montage)
    positions = electrode_positions([channel.name for channel in channels], on_missing="nan")
    positions = np.where(np.isnan(positions), positions_from_raw(raw)[picks], positions)
    for pick, channel, position in zip(picks, channels, positions, strict=True):
        label = raw.ch_names[pick]
        if channel.kind != "eeg":
            selection.dropped[label] = f"its label says {channel.kind}"
        elif channel.name in selection.found:
            selection.dropped[label] = f"repeats {channel.name}"
        else:
            selection.found[channel.name] = FoundChannel(label, pick, channel, position)
    if not selection.found:
        listed = ", ".join(f"{label} ({why})" for label, why in selection.dropped.items())
        raise ValueError(f"no EEG channel in this recording: expected one, got {listed or 'none'}")
    return selection


def _want_all(selection: ChannelSelection, unknown_channels: str) -> None:
    """Want every EEG channel that has a place, but no derivation where there are unipolar channels."""
    unknown = [entry.label for entry in selection.found.values() if not entry.is_placed]
    if unknown and (unknown_channels == "error" or len(unknown) == len(selection.found)):
        raise ValueError(
            f"unknown EEG channel {describe_unknown(unknown)}; rename it, set its type or position in MNE,"
            " list the channels you want in channels=, or set unknown_channels='drop'"
        )
    has_unipolar = bool(selection.unipolar)
    for name, entry in selection.found.items():
        if not entry.is_placed:
            selection.dropped[entry.label] = "unknown electrode"
        elif has_unipolar and entry.channel.is_bipolar:
            selection.dropped[entry.label] = "bipolar among unipolar channels: ask for it in channels="
        else:
            selection.wanted[name] = entry.channel


def _want_named(selection: ChannelSelection, channels: Sequence[str], montage: str | None) -> None:
    """Want the channels named, and note which of them the file lacks."""
    found = selection.found
    wanted = {channel.name: channel for channel in (parse_channel(name, montage) for name in channels)}
    if not channels or len(wanted) < len(channels):
        raise ValueError(f"channels must be different names, at least one, or None; got {list(channels)}")
    places = dict(zip(wanted, electrode_positions(list(wanted), on_missing="nan"), strict=True))
    unknown = [n for n, p in places.items() if np.isnan(p).any() and not (n in found and found[n].is_placed)]
    if unknown:
        raise ValueError(f"channels= names unknown electrodes: {describe_unknown(unknown)}")
    selection.wanted = wanted
    for name, channel in wanted.items():
        if name not in found:
            is_derivable = channel.anode in found and channel.cathode in found
            (selection.derived if is_derivable else selection.missing).append(name)


def _refuse_missing(selection: ChannelSelection, missing_channels: str) -> None:
    """Raise where the policy for missing channels is to raise, or cannot work."""
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
        raise ValueError(f"none of the channels asked for is there ({', '.join(missing)}): {have}")


def electrode_places(names: Sequence[str], found: Mapping[str, FoundChannel]) -> dict[str, np.ndarray]:
    """Look up head-frame positions in metres: the file's channels first, then the template."""
    template = electrode_positions(names, on_missing="nan")
    return {n: found[n].position if n in found else p for n, p in zip(names, template, strict=True)}


__all__ = ["ChannelSelection", "FoundChannel", "electrode_places", "select_channels"]
