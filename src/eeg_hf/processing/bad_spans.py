# SPDX-License-Identifier: Apache-2.0
"""Which windows of a recording overlap stretches annotated as bad, or cross a gap.

`eeg-hf prepare` cuts no such window. The extractor keeps them, so that windows stay consecutive, and warns;
pipelines and calibrations do not count them.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import mne


def bad_windows(
    raw: "mne.io.BaseRaw", window_seconds: float | None, num_windows: int | None = None
) -> np.ndarray:
    """Return which of the consecutive windows of a recording are bad.

    Args:
        raw: A recording; annotations that begin with `bad` or `edge` count, as in MNE.
        window_seconds: Length of a window; `None` for the whole recording.
        num_windows: Number of windows, where a change of the rate may have moved the end; by default as many
            as the recording has.

    Returns:
        Array of bool, shape (windows,); the last window may reach beyond the end.

    Example:
        >>> bad_windows(raw, 5.0)  # doctest: +SKIP
        array([False,  True, False])
    """
    rate = float(raw.info["sfreq"])
    seconds = raw.n_times / rate
    length = window_seconds or seconds
    own_number = max(1, -(-raw.n_times // max(1, round(length * rate))))
    is_bad = np.zeros(own_number if num_windows is None else num_windows, dtype=bool)
    for mark in raw.annotations:
        if not str(mark["description"]).lower().startswith(("bad", "edge")):
            continue
        onset = float(mark["onset"]) - (raw.first_time if raw.annotations.orig_time is not None else 0.0)
        end = min(onset + float(mark["duration"]), seconds)
        if end == onset and onset % length == 0:  # between two windows
            continue
        first, last = int(max(onset, 0.0) // length), int(max(end, 0.0) // length)
        is_bad[first : last + int(end > last * length or end == onset)] = True
    return is_bad


def warn_of_bad(is_bad: np.ndarray) -> list[str]:
    """Return one warning if any of some windows are bad, else none."""
    if not is_bad.any():
        return []
    return [
        f"{is_bad.sum()} of {len(is_bad)} windows overlap spans annotated as bad or cross a gap, such as "
        f"window {int(np.argmax(is_bad))}: the extractor keeps them, eeg-hf prepare leaves them out, and "
        "pipelines do not count them in the answer for the recording"
    ]


__all__ = ["bad_windows", "warn_of_bad"]
