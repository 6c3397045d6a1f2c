# SPDX-License-Identifier: Apache-2.0
"""The electrodes of MNE's montages, and the template that the library places electrodes by."""

import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

# Neuroscan's cerebellar electrodes are I1/I2 in some sources and PO9/PO10 in others, 3 cm apart
# (https://github.com/mne-tools/mne-python/issues/8765): the middle is wrong by at most 1.5 cm
_CEREBELLAR: Mapping[str, tuple[str, str]] = {"CB1": ("I1", "PO9"), "CB2": ("I2", "PO10")}


_given: dict[str, np.ndarray] = {}


def use_template(positions: Mapping[str, Sequence[float]]) -> None:
    """Take the template from a table, as written beside an exported model, where MNE is not installed.

    Args:
        positions: Name -> (x, y, z) in metres, the contents of `template_positions`.
    """
    _given.update({name: np.array(place, np.float32) for name, place in positions.items()})


@lru_cache(maxsize=1)
def template_names() -> dict[str, str]:
    """Return upper-case spelling -> canonical spelling of every template electrode."""
    return {name.upper(): name for name in template_positions()}


@lru_cache(maxsize=1)
def template_positions() -> dict[str, np.ndarray]:
    """Return the positions of the 10-05 electrodes, of four from smaller templates, and of CB1 and CB2."""
    if _given:
        return _given
    positions: dict[str, np.ndarray] = {}
    for name, wanted in (("1005", None), ("1020", ("O9", "O10")), ("postfixed", ("T1", "T2"))):
        table = read_montage(f"standard_{name}")
        positions.update({key: table[key] for key in wanted or table})
    for name, sites in _CEREBELLAR.items():
        positions[name] = np.mean([positions[site] for site in sites], axis=0)
    return positions


@lru_cache(maxsize=1)
def montage_names() -> frozenset[str]:
    """Return the names of the montages of the installed MNE, deprecated ones too; none without MNE."""
    try:
        import mne
    except ModuleNotFoundError:
        return frozenset()

    return frozenset(mne.channels.get_builtin_montages()) | {"standard_1005", "standard_1020"}


@lru_cache(maxsize=8)
def read_montage(montage: str) -> dict[str, np.ndarray]:
    """Return the positions of one of MNE's montages, in metres in the head frame defined by its fiducials."""
    import mne

    # MNE before 1.12 names the templates standard_*, MNE from 1.14 on only colin27_*
    current = montage.replace("standard_", "colin27_")
    with warnings.catch_warnings(), mne.use_log_level("ERROR"):
        warnings.simplefilter("ignore", FutureWarning)
        template = mne.channels.make_standard_montage(current if current in montage_names() else montage)
        info = mne.create_info(template.ch_names, 100.0, "eeg")
        info.set_montage(template)
    return {channel["ch_name"]: np.array(channel["loc"][:3], dtype=np.float32) for channel in info["chs"]}


__all__ = ["montage_names", "read_montage", "template_names", "template_positions", "use_template"]
