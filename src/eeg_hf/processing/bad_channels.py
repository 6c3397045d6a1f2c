# SPDX-License-Identifier: Apache-2.0
"""Bad channels of a recording: found before it is cleaned, and filled by interpolation if asked."""

from collections.abc import Collection, Sequence

import numpy as np

from .channel_reasons import list_reasons
from .channel_selection import ChannelSelection
from .recorded_channels import RecordedChannels
from .signal_quality import FLAT_UV, LARGEST_UV, noisy_channels

NOT_FINITE = "NaN or infinite samples"


def find_bad(channels: RecordedChannels, marked: Collection[str], spared: Collection[str]) -> dict[str, str]:
    """Find the channels that are marked bad, not finite, or flat.

    Args:
        channels: The channels.
        marked: Names of channels that the recording marks as bad.
        spared: Names of channels that may be flat.

    Returns:
        Name -> reason.

    Raises:
        ValueError: If no channel is left.
    """
    bad: dict[str, str] = {}
    largest_uv, num_alive = 0.0, 0
    for name in channels.names:
        deviation_uv = channels.deviation(name) * 1e6  # shows NaN and infinity too
        is_flat = deviation_uv < FLAT_UV
        if not np.isfinite(deviation_uv):
            bad[name] = NOT_FINITE
        elif is_flat and name not in spared:
            bad[name] = "flat"
        elif name in marked:
            bad[name] = "marked bad in the recording"
        num_alive += name not in bad and not is_flat
        largest_uv = max(largest_uv, deviation_uv if is_flat else 0.0)
    if not num_alive:
        if all(bad.get(name) == NOT_FINITE for name in channels.names):
            raise ValueError(
                f"every EEG channel is bad: each holds {NOT_FINITE}; fill the gaps, or cut them out"
            )
        listed = list_reasons({name: bad.get(name, "flat") for name in channels.names})
        raise ValueError(
            f"every EEG channel is bad; live ones deviate by {FLAT_UV} uV or more, flat ones here by at most"
            f" {largest_uv:.2g} uV: {listed}; if the recording is alive, its unit is not the one stated,"
            " which adaptive=True may correct"
        )
    return bad


def find_beyond_limit(channels: RecordedChannels, bad: Collection[str]) -> dict[str, str]:
    """Find the good channels with samples above a volt; return name -> reason.

    The result is empty where all have: the unit is wrong, or `refuse_beyond_limit` raises.
    """
    peaks_uv = {name: _peak_uv(channels, name) for name in channels.names if name not in bad}
    beyond = {name: peak for name, peak in peaks_uv.items() if peak > LARGEST_UV}
    if len(beyond) == len(peaks_uv):
        return {}
    limit = f"expected at most {LARGEST_UV / 1e6:g} V"
    return {name: f"samples up to {peak / 1e6:.2g} V: {limit}" for name, peak in beyond.items()}


def refuse_beyond_limit(channels: RecordedChannels, live: Sequence[str]) -> None:
    """Raise if the good channels hold samples above a volt, which only happens if all of them do."""
    peak_uv = max((_peak_uv(channels, name) for name in live), default=0.0)
    if peak_uv > LARGEST_UV:
        raise ValueError(
            f"every EEG channel holds samples up to {peak_uv / 1e6:.2g} V, expected at most"
            f" {LARGEST_UV / 1e6:g} V: cut out the damaged stretch"
        )


def _peak_uv(channels: RecordedChannels, name: str) -> float:
    return channels.peak(name) * 1e6


def find_noisy(channels: RecordedChannels, names: Sequence[str]) -> dict[str, str]:
    """Find the noisy ones among some channels; return name -> reason."""
    return noisy_channels(channels.spread(names, 2, 60), channels.rate)


def silent_vertex(channels: RecordedChannels) -> list[str]:
    """Return the vertex of an EGI net if it is zero: it is the reference of all others, not dead."""
    is_net = any(name.startswith("GSN-HydroCel") for name in channels.names)
    return ["Cz"] if is_net and "Cz" in channels.names and channels.is_zero("Cz") else []


def interpolate(
    rows: dict[str, np.ndarray],
    bad: dict[str, str],
    selection: ChannelSelection,
    rate: float,
    untrusted: Collection[str] = (),
) -> list[str]:
    """Fill missing and bad channels by spherical splines.

    Args:
        rows: The channels; missing ones are added.
        bad: Name -> reason; filled channels are removed.
        selection: The channels of the recording and the wanted ones.
        rate: Rate of the samples in Hz.
        untrusted: Good channels that no other is filled from, if four others are left.

    Returns:
        Names of the filled channels.

    Raises:
        ValueError: If fewer than 4 unipolar channels are good.
    """
    sources = selection.unipolar
    targets = selection.missing + [name for name in sources if name in bad and name in selection.wanted]
    if not targets:
        return []
    num_good = sum(name not in bad for name in sources)
    if num_good < 4:
        raise ValueError(f"interpolating {', '.join(targets)} needs 4 good unipolar channels, got {num_good}")
    if num_good - sum(name in untrusted and name not in bad for name in sources) < 4:
        untrusted = ()
    import mne  # which a machine that only runs exported models lacks

    names = sources + selection.missing
    silence = np.zeros_like(rows[sources[0]])
    data = np.stack([rows.get(name, silence) for name in names])
    with mne.utils.use_log_level("ERROR"):
        sphere = mne.io.RawArray(data, mne.create_info(names, rate, "eeg"))
        selection.place(sphere)
        sphere.info["bads"] = [name for name in names if name in bad or name in targets or name in untrusted]
        sphere.interpolate_bads()
    for name, filled in zip(targets, sphere.get_data(picks=targets), strict=True):
        rows.setdefault(name, filled)[:] = filled
        bad.pop(name, None)
    return targets


__all__ = [
    "find_bad",
    "find_beyond_limit",
    "find_noisy",
    "interpolate",
    "refuse_beyond_limit",
    "silent_vertex",
]
