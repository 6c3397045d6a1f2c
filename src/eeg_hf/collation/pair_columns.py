# SPDX-License-Identifier: Apache-2.0
"""Columns of a prepared corpus that say what a window was recorded to: a stimulus, its second, a person."""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import torch


@dataclass(frozen=True)
class PairColumns:
    """Columns that decide which windows of different people belong together.

    Args:
        stimulus: Column of what was perceived or done: a film, or a condition such as the eyes' state.
        seconds: Column of the second of the stimulus at which a window starts, the same clock for all
            people; None where a stimulus has no clock, and any two of its windows belong together.

    Example:
        >>> PairColumns("stimulus", "stimulus_seconds").columns
        ['stimulus', 'stimulus_seconds', 'corpus', 'subject']
    """

    stimulus: str
    seconds: str | None = None

    @property
    def columns(self) -> list[str]:
        """Columns to read, for `WindowDataset`."""
        return [
            *dict.fromkeys([self.stimulus, *([self.seconds] if self.seconds else []), "corpus", "subject"])
        ]

    def read_stimuli(self, table: pa.Table) -> list[str | None]:
        """Return the stimulus of each row; None also where its second is not known."""
        seconds = self.read_seconds(table)
        return [
            None if name is None or name != name or math.isnan(second) else str(name)
            for name, second in zip(_read(table, self.stimulus), seconds, strict=True)
        ]

    def read_seconds(self, table: pa.Table) -> list[float]:
        """Return the second of each row: NaN where it is not known, 0 for all without such a column."""
        if self.seconds is None:
            return [0.0] * len(table)
        return [math.nan if second is None else float(second) for second in _read(table, self.seconds)]

    def read_subjects(self, table: pa.Table) -> list[str]:
        """Return who each row is of, as `corpus/subject`."""
        corpora, subjects = _read(table, "corpus"), _read(table, "subject")
        return [f"{corpus}/{subject}" for corpus, subject in zip(corpora, subjects, strict=True)]

    def collate(self, table: pa.Table) -> dict[str, torch.Tensor]:
        """Return `stimulus_ids`, `stimulus_seconds` and `subject_ids`, each (rows,).

        A name has the same number in every process and every run; a stimulus of -1 is none, and has NaN as
        its second.
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
    return zlib.crc32(name.encode())  # not hash(), which differs from process to process


__all__ = ["PairColumns"]
