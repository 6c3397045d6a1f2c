# SPDX-License-Identifier: Apache-2.0
"""What a split holds: which tested subjects, sessions and recordings were trained on, read from its windows.

The name of a split does not say it: a split by session trains on every tested subject, one by recording on
every tested session. The protocol has the names that MOABB gives them (https://moabb.neurotechx.com).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from .row_groups import WITHIN, read_strings

Protocol = Literal["cross-subject", "cross-session", "within-session"]
PROTOCOLS: tuple[Protocol, ...] = ("cross-subject", "cross-session", "within-session")
_GROUPS = ("subject", "session", "recording")


@dataclass(frozen=True)
class SplitContents:
    """How many tested subjects, sessions and recordings there are, and how many of them were fitted to.

    Attributes:
        tested: `subject`, `session` and `recording` -> number of them that are tested, over all folds.
        known: The same -> number of these that also train or validate in the fold that tests them.
    """

    tested: Mapping[str, int]
    known: Mapping[str, int]

    @classmethod
    def of(cls, folds: Sequence[Mapping[str, Dataset]]) -> "SplitContents":
        """Read the windows of one split, or of the folds of a cross-validation.

        Args:
            folds: Part -> windows, with the columns subject and, where they are known, corpus, session and
                recording. A session without a name is the only one of its subject.
        """
        tested: dict[str, set[str]] = {name: set() for name in _GROUPS}
        known: dict[str, set[str]] = {name: set() for name in _GROUPS}
        for parts in folds:
            for name in _GROUPS:
                found = _names([parts["test"]] if "test" in parts else [], name)
                tested[name] |= found
                known[name] |= found & _names([rows for part, rows in parts.items() if part != "test"], name)
        return cls(
            {name: len(found) for name, found in tested.items()},
            {name: len(found) for name, found in known.items()},
        )

    @classmethod
    def of_part(cls, parts: Mapping[str, Dataset], tested: str) -> "SplitContents":
        """Read a split of which any part is tested, and `train` is what methods were fitted to."""
        trained = {"train": parts["train"]} if tested != "train" and "train" in parts else {}
        return cls.of([{**trained, "test": parts[tested]}])

    @property
    def protocol(self) -> Protocol:
        """The protocol of the split; where tested subjects differ, the one that knows most of them."""
        if self.known["session"]:
            return "within-session"
        return "cross-session" if self.known["subject"] else "cross-subject"

    def facts(self) -> dict[str, str]:
        """Return the protocol and what the split holds, for the provenance of a report."""
        return {"protocol": self.protocol, "split_holds": self.describe()}

    def describe(self) -> str:
        """Return in words what of the test was trained on.

        Example:
            >>> counts = {"subject": 4, "session": 8, "recording": 8}
            >>> SplitContents(counts, {"subject": 4, "session": 0, "recording": 0}).describe()
            '4 of 4 tested subjects were trained on, in other sessions'
        """
        if not self.known["subject"]:
            number = self.tested["subject"]
            tested = f"none of the {number} tested subjects" if number != 1 else "the tested subject"
            return f"{tested} was {'not ' * (number == 1)}trained on"
        shares = {name: f"{self.known[name]} of {self.tested[name]} tested {name}s" for name in _GROUPS}
        text = f"{shares['subject']} were trained on"
        if not self.known["session"]:
            return f"{text}, in other sessions"
        text += f", {shares['session']} too"
        return (
            f"{text}, {shares['recording']} too"
            if self.known["recording"]
            else f"{text}, in other recordings"
        )


def _names(parts: Iterable[Dataset], column: str) -> set[str]:
    """Return the different values of a column, unique across corpora and subjects; a gap is a value."""
    found: set[str] = set()
    for rows in parts:
        above = ("corpus", "subject") if column == "recording" else WITHIN[column]
        names = [name for name in (*above, column) if name in rows.column_names]
        if column == "recording" and column not in names:
            continue
        table = read_strings(rows, names)
        columns = [pc.fill_null(table.column(name), "").combine_chunks() for name in names]
        joined = pc.binary_join_element_wise(*columns, pa.scalar("/", pa.large_string()))
        found |= set(joined.unique().to_pylist())
    return found


__all__ = ["PROTOCOLS", "Protocol", "SplitContents"]
