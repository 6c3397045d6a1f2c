# SPDX-License-Identifier: Apache-2.0
"""Windows with votes and spectrograms, as batches for all members of an ensemble."""

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from datasets import Dataset

from ...collation import EEGDataCollator, WindowDataset
from ...collation.window_arrays import decode_windows
from ...corpora.hms import VOTES, read_spectrogram
from ...processing.chain_spectrogram import chain_spectrogram, spectrogram_image
from ...training.votes import VoteCollator

SPECTROGRAM_COLUMNS = ("spectrogram_id", "spectrogram_offset_seconds")
COLUMNS = (*VOTES, *SPECTROGRAM_COLUMNS, "sampling_rate", "channels")


def vote_windows(rows: Dataset) -> WindowDataset:
    """Return windows with the columns that `EnsembleCollator` reads."""
    return WindowDataset(rows, COLUMNS)


class EnsembleCollator:
    """Collate `input_values` with what belongs to them, `pixel_values` and the shares of votes.

    Args:
        collator: Makes the inputs of EEG members.
        recordings: Folder of the competition with its spectrograms; None: they are made of the windows.
        part: `"train"` or `"test"`.
        reads: What the members read: `"eeg"`, `"spectrogram"`, or both.
    """

    def __init__(
        self,
        collator: EEGDataCollator,
        recordings: str | None,
        part: str = "train",
        reads: tuple[str, ...] = ("eeg", "spectrogram"),
    ) -> None:
        self.votes = VoteCollator(collator, VOTES)
        self.recordings = recordings
        self.part = part
        self.reads = reads

    def __call__(self, rows: Any) -> dict[str, Any]:
        """Return a batch."""
        table = rows if isinstance(rows, pa.Table) else pa.concat_tables(rows)
        batch = self.votes(table)
        found = batch if "eeg" in self.reads else {"labels": batch["labels"]}
        if "spectrogram" in self.reads:
            found["pixel_values"] = torch.from_numpy(np.stack(self.images(table)))
        return found

    def images(self, table: pa.Table) -> list[np.ndarray]:
        """Return the spectrogram (4, frequencies, times) of each window."""
        if self.recordings is not None:
            wanted = zip(*(table.column(name).to_pylist() for name in SPECTROGRAM_COLUMNS), strict=True)
            return [_read_image(self.recordings, name, offset, self.part) for name, offset in wanted]
        signals = decode_windows(table)[0]  # (windows, channels, time) in uV
        names, rates = (table.column(name).to_pylist() for name in ("channels", "sampling_rate"))
        return [
            spectrogram_image(chain_spectrogram(np.asarray(signal), montage, rate)[0])
            for signal, montage, rate in zip(signals, names, rates, strict=True)
        ]


@lru_cache(maxsize=4096)  # 480 kB each; a window is read in every epoch
def _read_image(root: str, spectrogram_id: str, offset_seconds: float, part: Any) -> np.ndarray:
    power = read_spectrogram(root, spectrogram_id, offset_seconds, part).power  # (times, 4, frequencies)
    return spectrogram_image(power.transpose(1, 2, 0))
