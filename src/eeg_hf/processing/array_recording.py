# SPDX-License-Identifier: Apache-2.0
"""An array with the face of a recording, where MNE is not installed or only a header is needed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .channels import repeated
from .setting_checks import positive


class ArrayRecording:
    """Samples and what `preprocessing.clean_samples` asks of a recording of MNE.

    Args:
        samples: In V, shape (channels, time).
        sampling_rate: In Hz.
        channel_names: One name per channel.

    Raises:
        ValueError: If rate, names and samples do not belong together.
    """

    def __init__(self, samples: np.ndarray, sampling_rate: float, channel_names: Sequence[str]) -> None:
        names = [str(name) for name in channel_names]
        if samples.ndim != 2 or len(samples) != len(names):
            hint = ": transpose?" if samples.ndim == 2 and samples.shape[1] == len(names) else ""
            raise ValueError(f"expected ({len(names)}, time) samples, got {samples.shape}{hint}")
        if twice := repeated(names):
            raise ValueError(f"channel_names must differ, got {', '.join(twice)} more than once")
        self.samples, self.ch_names = samples, names
        rate = positive("sampling_rate", sampling_rate)
        self.info: dict[str, Any] = {
            "sfreq": rate,
            "bads": [],
            "chs": [{"loc": np.zeros(12)} for _ in names],
        }
        self.n_times = samples.shape[1]
        self.annotations: tuple[()] = ()
        self.first_time, self.first_samp = 0.0, 0

    def get_channel_types(self) -> list[str]:
        """Return the type of each channel; labels tell the others from EEG."""
        return ["eeg"] * len(self.ch_names)

    def get_data(
        self, picks: Sequence[int], start: int = 0, stop: int | None = None, verbose: object = None
    ) -> np.ndarray:
        """Return a copy of some channels in V, (channels, stop - start)."""
        return np.array(self.samples[list(picks), start:stop], np.float64)


__all__ = ["ArrayRecording"]
