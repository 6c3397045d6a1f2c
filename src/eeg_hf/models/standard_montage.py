# SPDX-License-Identifier: Apache-2.0
"""The default montage of configs: the 19 electrodes of the 10-20 system."""

import math
from collections.abc import Sequence
from typing import Any

# Positions in metres (head frame) of MNE's montage colin27_1005
STANDARD_POSITIONS: dict[str, tuple[float, float, float]] = {
    "Fp1": (-0.0309, 0.1146, 0.0279),
    "Fp2": (0.0284, 0.1153, 0.0277),
    "F7": (-0.0719, 0.0731, 0.0258),
    "F3": (-0.0518, 0.0867, 0.0787),
    "Fz": (-0.0012, 0.0933, 0.1026),
    "F4": (0.0503, 0.0874, 0.0773),
    "F8": (0.0714, 0.0745, 0.0251),
    "T7": (-0.0860, 0.0149, 0.0312),
    "C3": (-0.0671, 0.0234, 0.1045),
    "Cz": (-0.0014, 0.0276, 0.1402),
    "C4": (0.0653, 0.0236, 0.1037),
    "T8": (0.0833, 0.0153, 0.0310),
    "P7": (-0.0745, -0.0421, 0.0413),
    "P3": (-0.0550, -0.0442, 0.0999),
    "Pz": (-0.0017, -0.0452, 0.1267),
    "P4": (0.0536, -0.0443, 0.1005),
    "P8": (0.0710, -0.0423, 0.0412),
    "O1": (-0.0316, -0.0806, 0.0548),
    "O2": (0.0277, -0.0805, 0.0547),
}
SAME_PLACE_METRES = 0.005
"""Electrodes nearer than this are one."""


def standard_name(name: str, place: Sequence[float] | None) -> str:
    """Return the name of the standard electrode at a place, by default that of the channel itself.

    Args:
        name: As the recording has it, such as `EEG`.
        place: (x, y, z) in metres, head frame.
    """
    if place is None:
        return name
    distances = {known: math.dist(place, there) for known, there in STANDARD_POSITIONS.items()}
    nearest = min(distances, key=lambda known: distances[known])
    return nearest if distances[nearest] < SAME_PLACE_METRES else name


def set_standard_montage(config: Any) -> None:
    """Set `channel_names` and `channel_positions` of a config where they are None and the standard fits."""
    if config.channel_names is None and config.num_channels == len(STANDARD_POSITIONS):
        config.channel_names = list(STANDARD_POSITIONS)
    names = config.channel_names or ()
    if config.channel_positions is None and names and set(names) <= set(STANDARD_POSITIONS):
        config.channel_positions = [list(STANDARD_POSITIONS[name]) for name in names]
