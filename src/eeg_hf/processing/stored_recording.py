# SPDX-License-Identifier: Apache-2.0
"""A cleaned recording that MNE reads from a temporary file."""

from typing import Any

import mne
import numpy as np

from .long_recordings import StoredSignal


class StoredRecording(mne.io.BaseRaw):
    """A recording whose samples are a `StoredSignal`, all of it until it is cropped."""

    def __init__(self, signal: StoredSignal, info: mne.Info, first_samp: int) -> None:
        self.signal = signal
        super().__init__(
            info,
            preload=False,
            first_samps=(first_samp,),
            last_samps=(first_samp + signal.shape[1] - 1,),
            filenames=(signal.path,),
            raw_extras=[{"signal": signal, "first_samp": first_samp}],
            orig_format="single",
        )

    def _read_segment_file(
        self, data: np.ndarray, idx: Any, fi: int, start: int, stop: int, cals: Any, mult: np.ndarray | None
    ) -> None:
        """Fill `data` for MNE; `start` includes the first sample's number, `mult` is a projection."""
        signal, first = self._raw_extras[fi]["signal"], self._raw_extras[fi]["first_samp"]
        start, stop = start - first, stop - first
        if mult is not None:
            data[:] = mult @ signal.read(range(len(signal)), start, stop)
        else:
            data[:] = signal.read(np.arange(len(signal))[idx].tolist(), start, stop)


__all__ = ["StoredRecording"]
