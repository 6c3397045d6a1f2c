# SPDX-License-Identifier: Apache-2.0
"""The stimulus, its second and the subject of each window, which decide what windows belong together."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import torch


@dataclass(frozen=True)
class PairColumns:
    """Columns that define which windows of different subjects belong together.

    Args:
        stimulus: Column of the stimulus or condition, such as a film or the state of the eyes.
        seconds: Column of the second of the stimulus at which a window starts, on a clock that all subjects
            share; None for a stimulus without a clock, of which any two windows belong together.

    Example:
        >>> PairColumns("stimulus", "stimulus_seconds").columns
        ['stimulus', 'stimulus_seconds', 'corpus', 'subject']
    """

    stimulus: str
    seconds: str | None = None

    @property
    def columns(self) -> list[str]:
        """Columns that `WindowDataset` must read."""
        seconds = [self.seconds] if self.seconds else []
        return [*dict.fromkeys([self.stimulus, *seconds, "corpus", "subject"])]

    def read_stimuli(self, table: pa.Table) -> list[str | None]:
        """Return the stimulus of each row; None also if its second is missing."""
        seconds = self.read_seconds(table)
        return [
            # NaN, the missing value of a numeric column, differs from itself
            None if name is None or name != name or math.isnan(second) else str(name)
            for name, second in zip(_read(table, self.stimulus), seconds, strict=True)
        ]

    def read_seconds(self, table: pa.Table) -> list[float]:
        """Return the second of each row: NaN if it is missing, 0 for all rows without such a column."""
        if self.seconds is None:
            return [0.0] * len(table)
        return [math.nan if second is None else float(second) for second in _read(table, self.seconds)]

    def read_subjects(self, table: pa.Table) -> list[str]:
        """Return the subject of each row, as `corpus/subject`."""
        corpora, subjects = _read(table, "corpus"), _read(table, "subject")
        return [f"{corpus}/{subject}" for corpus, subject in zip(corpora, subjects, strict=True)]

    def collate(self, table: pa.Table) -> dict[str, torch.Tensor]:
        """Return `stimulus_ids`, `stimulus_seconds` and `subject_ids`, each (rows,).

        A name has the same number in every process and every run. Rows without a stimulus have the id -1 and
        NaN as their second.
        """
        stimuli = self.read_stimuli(table)
        seconds = torch.tensor(self.read_seconds(table), dtype=torch.float32)
        stimulus_ids = torch.tensor([-1 if name is None else _number(name) for name in stimuli])
        return {
            "stimulus_ids": stimulus_ids,
            "stimulus_seconds": seconds.masked_fill(stimulus_ids < 0, math.nan),
            "subject_ids": torch.tensor([_number(name) for name in self.read_subjects(table)]),
        }


def _read(table: pa.Table, name: str) -> Sequence:
    if name not in table.column_names:
        raise ValueError(
            f"pairs: expected rows with the column {name!r}: WindowDataset(rows, pairs.columns); they have "
            f"{sorted(table.column_names)}"
        )
    return table.column(name).to_pylist()


def _number(name: str) -> int:
    return zlib.crc32(name.encode())  # not hash(), which differs between processes
