# SPDX-License-Identifier: Apache-2.0
"""Open a recording file of any format."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mne


def read_edf(path: Path) -> "mne.io.BaseRaw":
    """Open an EDF file after checking that it is one, and whole.

    MNE reads what there is of a truncated file and only warns; a label taken from a file's name then stands
    over half a recording, so here it is an error.

    Args:
        path: The file.

    Returns:
        The recording, in volts, not loaded.

    Raises:
        ValueError: If the file is no EDF, has a damaged header, or is shorter than its header says.
    """
    import mne

    with path.open("rb") as file:
        head = file.read(256)
        if len(head) < 256 or head[:8].strip() != b"0":
            raise ValueError(f"{path.name} is not an EDF file: it starts with {head[:16]!r}")
        try:
            num_records, num_signals = int(head[236:244]), int(head[252:256])
            widths = file.read(256 * num_signals)[216 * num_signals : 224 * num_signals]
            per_record = 2 * sum(int(widths[8 * i : 8 * i + 8]) for i in range(num_signals))
            expected = int(head[184:192]) + num_records * per_record
        except ValueError as error:
            raise ValueError(f"{path.name} has a damaged EDF header: {error}") from None
    size = path.stat().st_size
    if num_records >= 0 and size < expected:  # -1 is allowed while a recording goes on
        raise ValueError(
            f"{path.name} is truncated: its header promises {expected} bytes, the file has {size}"
        )
    return mne.io.read_raw_edf(path, preload=False, verbose="ERROR")


__all__ = ["read_edf"]
