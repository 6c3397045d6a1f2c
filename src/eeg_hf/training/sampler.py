# SPDX-License-Identifier: Apache-2.0
"""Samplers that decide which rows share a batch."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler


class ChannelGroupedSampler(Sampler[int]):
    """Shuffle rows so that most batches hold windows of one number of channels, which keeps padding rare.

    A batch is as wide as its widest window: one window of 64 channels among those of 19 more than triples the
    work.

    Args:
        num_channels: Number of channels of each row.
        batch_size: Rows of a batch; rows that fill none go into mixed batches.
        seed: With the epoch it decides the order, so a resumed run sees the same one.
    """

    def __init__(self, num_channels: Sequence[int], batch_size: int, seed: int = 0) -> None:
        self.num_channels = np.asarray(num_channels)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which changes the order."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.num_channels)

    def __iter__(self) -> Iterator[int]:
        # Whole batches of each number of channels, in random order; the rest comes last, by width
        random = np.random.default_rng([self.seed, self.epoch])
        batches, rest = [], []
        for count in np.unique(self.num_channels):
            rows = random.permutation(np.flatnonzero(self.num_channels == count))
            whole = len(rows) // self.batch_size * self.batch_size
            batches += np.split(rows[:whole], whole // self.batch_size) if whole else []
            rest.append(rows[whole:])  # sorted by width, so that mixed batches mix little
        order = random.permutation(len(batches))
        yield from (int(row) for index in order for row in batches[index])
        yield from (int(row) for rows in rest for row in rows)

    def padding_share(self, grouped: bool = True) -> float:
        """Return the share of padding in this epoch's batches, or in batches of rows in random order."""
        count = len(self.num_channels)
        order = list(self) if grouped else np.random.default_rng([self.seed, self.epoch]).permutation(count)
        return padding_share(
            self.num_channels[np.asarray(order[start : start + self.batch_size])]
            for start in range(0, count, self.batch_size)
        )


def padding_share(batches: Iterable[Sequence[int] | np.ndarray]) -> float:
    """Return the share of a model's input that is padding of channels.

    Args:
        batches: Number of channels of each row of each batch; rows are padded to the widest one.

    Example:
        >>> padding_share([[64, 64], [64, 16]])
        0.1875
    """
    real, given = np.sum([(np.sum(batch), np.max(batch) * len(batch)) for batch in batches], axis=0)
    return float(1 - real / given)
