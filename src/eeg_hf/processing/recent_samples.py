# SPDX-License-Identifier: Apache-2.0
"""The last samples of a stream."""

import numpy as np


class RecentSamples:
    """The last samples of some channels, in memory that never grows.

    Args:
        num_channels: Number of channels.
        capacity: Samples of each that are kept.
    """

    def __init__(self, num_channels: int, capacity: int) -> None:
        self.capacity = max(capacity, 1)
        self._buffer = np.zeros((num_channels, 2 * self.capacity))
        self.reset()

    def reset(self) -> None:
        """Forget all samples."""
        self._filled = 0
        self.end = 0
        """Samples so far."""

    def append(self, samples: np.ndarray) -> None:
        """Take the next samples, shape (channels, time), time at most the capacity."""
        length = samples.shape[1]
        if self._filled + length > self._buffer.shape[1]:
            kept = min(self._filled, self.capacity)
            self._buffer[:, :kept] = self._buffer[:, self._filled - kept : self._filled]
            self._filled = kept
        self._buffer[:, self._filled : self._filled + length] = samples
        self._filled += length
        self.end += length

    def between(self, start: int, stop: int) -> np.ndarray:
        """Return a view of samples by their places in the stream, as far as they are kept."""
        offset = self._filled - self.end
        first = max(start + offset, self._filled - self.capacity, 0)
        return self._buffer[:, first : max(stop + offset, first)]


__all__ = ["RecentSamples"]
