# SPDX-License-Identifier: Apache-2.0
"""Where the reference is taken, and where bipolar derivations are computed.

Samples are in V; `rows` maps canonical names to samples of shape (time,), `bad` maps names to reasons.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .channel_reasons import list_reasons
from .channel_selection import ChannelSelection


def rereference(
    rows: Mapping[str, np.ndarray],
    bad: dict[str, str],
    selection: ChannelSelection,
    reference: str,
    electrodes: Sequence[str],
    outlying: Mapping[str, str] | None = None,
) -> str:
    """Subtract the reference from the good unipolar channels, in place.

    Args:
        rows: The channels.
        bad: Bad channels, which neither form the reference nor get it subtracted; a single reference
            electrode is added, since it becomes zero.
        selection: The channels of the recording and the wanted ones, over which the average is taken.
        reference: `"average"`, `"original"` to change nothing, or anything else for `electrodes`.
        electrodes: Canonical names of the electrodes whose mean is the reference.
        outlying: Good channels that the average is subtracted from and does not contain, if two others are
            left -> why.

    Returns:
        The name of the reference.

    Raises:
        ValueError: If the channels do not allow the reference.
    """
    if reference == "original":
        return "original"
    found = selection.found
    good = [
        name for name in rows if name not in bad and not (name in found and found[name].channel.is_bipolar)
    ]
    if reference == "average":
        members = [name for name in good if name in selection.wanted]
        if len(members) < 2:
            raise ValueError(
                f"an average reference needs two good unipolar channels, got {', '.join(members) or 'none'}"
                f" among {', '.join(selection.wanted)}: set reference='original'"
            )
        left_out = can_leave_out(outlying or {}, members)
        members = [name for name in members if name not in left_out]
    else:
        members = list(electrodes)
        unusable = [f"{name} ({bad.get(name, 'bipolar')})" for name in members if name not in good]
        if unusable or not members:
            raise ValueError(
                f"the reference needs good unipolar channels, got {', '.join(unusable) or 'none'}"
            )
    mean = rows[members[0]].copy()  # (time,); summed in place, so that no copy of the recording is made
    for name in members[1:]:
        mean += rows[name]
    mean /= len(members)
    for name in good:
        np.subtract(rows[name], mean, out=rows[name])
    if len(members) == 1:
        bad[members[0]] = "it is the reference"
    return "average" if reference == "average" else "+".join(members)


def can_leave_out(outlying: Mapping[str, str], members: Iterable[str]) -> Mapping[str, str]:
    """Return the channels that an average leaves out: none unless two others are left."""
    return outlying if sum(name not in outlying for name in members) > 1 else {}


def assemble(
    samples: np.ndarray, rows: Mapping[str, np.ndarray], bad: Mapping[str, str], selection: ChannelSelection
) -> tuple[np.ndarray, dict[str, str]]:
    """Put the wanted channels in order and compute derivations; bad and missing channels are zero.

    Args:
        samples: The array (channels, time) that `rows` are views of; reused if it is already in order.
        rows: The channels.
        bad: Bad channels.
        selection: The wanted channels.

    Returns:
        Samples (wanted channels, time), and name -> why the channel is zero.

    Raises:
        ValueError: If all wanted channels are zero.
    """
    is_in_place = list(rows) == list(selection.wanted) and len(rows) == len(samples)
    result = samples if is_in_place else np.zeros((len(selection.wanted), samples.shape[1]))
    why: dict[str, str] = {}
    for row, (name, channel) in zip(result, selection.wanted.items(), strict=True):
        ends = (name,) if name in rows else (channel.anode, channel.cathode)
        parts = [end for end in ends if end is not None and end in rows]
        reasons = [bad[part] if part == name else f"{part} {bad[part]}" for part in parts if part in bad]
        if not parts or reasons:
            why[name] = "; ".join(reasons) or selection.masked.get(name, "missing")
            row[:] = 0.0
        elif len(parts) == 2:
            np.subtract(rows[parts[0]], rows[parts[1]], out=row)  # anode minus cathode
        elif not is_in_place:
            row[:] = rows[name]
    if len(why) == len(result):
        raise ValueError(f"none of the channels asked for is alive: {list_reasons(why)}")
    return result, why
