# SPDX-License-Identifier: Apache-2.0
"""Bad channels of a recording: found, set to zero, and filled by interpolation if asked.

The functions work in place on `rows`: canonical name -> samples in V, shape (time,).
"""

from collections.abc import Collection, Mapping

import mne
import numpy as np

from .channel_selection import ChannelSelection
from .signal_quality import FLAT_UV, LARGEST_UV, noisy_channels


def blank_bad(
    rows: Mapping[str, np.ndarray], marked: Collection[str], spared: Collection[str]
) -> dict[str, str]:
    """Set channels to zero that are marked bad, not finite, or flat.

    Args:
        rows: The channels.
        marked: Names of channels that the recording marks as bad.
        spared: Names of channels that may be flat.

    Returns:
        Name -> reason.

    Raises:
        ValueError: If no channel is left.
    """
    bad: dict[str, str] = {}
    largest_uv, num_alive = 0.0, 0
    for name, samples in rows.items():
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity show in the deviation
            deviation_uv = float(samples.std()) * 1e6
        is_flat = deviation_uv < FLAT_UV
        if not np.isfinite(deviation_uv):
            bad[name] = "NaN or infinite samples"
        elif is_flat and name not in spared:
            bad[name] = "flat"
        elif name in marked:
            bad[name] = "marked bad in the recording"
        num_alive += name not in bad and not is_flat
        largest_uv = max(largest_uv, deviation_uv if is_flat else 0.0)
        if name in bad:
            samples[:] = 0.0
    if not num_alive:
        listed = ", ".join(f"{name} ({bad.get(name, 'flat')})" for name in rows)
        raise ValueError(
            f"every EEG channel is bad; live ones deviate by {FLAT_UV} uV or more, flat ones here by at most"
            f" {largest_uv:.2g} uV: {listed}; if the recording is alive, its unit is not the one stated,"
            " which adaptive=True may correct"
        )
    return bad


def blank_beyond_limit(rows: Mapping[str, np.ndarray], bad: dict[str, str]) -> None:
    """Set channels to zero that hold samples above a volt; adds the reason for each to `bad`.

    Where all do, nothing is set: the unit is wrong, or `refuse_beyond_limit` raises.
    """
    good = {name: samples for name, samples in rows.items() if name not in bad}
    peaks_uv = {name: _peak_uv(samples) for name, samples in good.items()}
    beyond = [name for name, peak in peaks_uv.items() if peak > LARGEST_UV]
    for name in beyond if len(beyond) < len(good) else ():
        bad[name] = f"samples up to {peaks_uv[name] / 1e6:.2g} V: expected at most {LARGEST_UV / 1e6:g} V"
        rows[name][:] = 0.0


def refuse_beyond_limit(rows: Mapping[str, np.ndarray]) -> None:
    """Raise if the good channels hold samples above a volt, which only happens if all of them do."""
    peak_uv = max(map(_peak_uv, rows.values()), default=0.0)
    if peak_uv > LARGEST_UV:
        raise ValueError(
            f"every EEG channel holds samples up to {peak_uv / 1e6:.2g} V, expected at most"
            f" {LARGEST_UV / 1e6:g} V: cut out the damaged stretch"
        )


def _peak_uv(samples: np.ndarray) -> float:
    with np.errstate(over="ignore"):
        return float(max(samples.max(), -samples.min()) * 1e6)


def blank_noisy(rows: Mapping[str, np.ndarray], bad: dict[str, str], rate: float) -> None:
    """Set noisy channels to zero; adds the reason for each to `bad`."""
    for name, why in noisy_channels(rows, rate).items():
        bad[name] = why
        rows[name][:] = 0.0


def silent_vertex(rows: Mapping[str, np.ndarray]) -> list[str]:
    """Return the vertex of an EGI net if it is zero: it is the reference of all others, not dead."""
    is_net = any(name.startswith("GSN-HydroCel") for name in rows)
    return ["Cz"] if is_net and "Cz" in rows and not rows["Cz"].any() else []


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
    names = sources + selection.missing
    silence = np.zeros_like(rows[sources[0]])
    data = np.stack([rows.get(name, silence) for name in names])
    sphere = mne.io.RawArray(data, mne.create_info(names, rate, "eeg"), verbose="ERROR")
    selection.place(sphere)
    sphere.info["bads"] = [name for name in names if name in bad or name in targets or name in untrusted]
    sphere.interpolate_bads(verbose="ERROR")
    for name, filled in zip(targets, sphere.get_data(picks=targets), strict=True):
        rows.setdefault(name, filled)[:] = filled
        bad.pop(name, None)
    return targets


__all__ = [
    "blank_bad",
    "blank_beyond_limit",
    "blank_noisy",
    "interpolate",
    "refuse_beyond_limit",
    "silent_vertex",
]
