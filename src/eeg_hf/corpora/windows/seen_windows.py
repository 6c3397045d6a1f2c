# SPDX-License-Identifier: Apache-2.0
"""The windows that a model has seen: kept beside its weights, compared with the windows it is tested on.

A model that was pretrained on a subject is no longer tested on an unseen subject, even if it saw no label.
Every training therefore writes `seen_windows.parquet` into the folder of its weights: one row a window with
its corpus, subject and signal hash. A training that starts from other weights takes over their windows. The
file grows along pretraining, phases and fine-tuning, and it travels to the Hub with the weights.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, OfflineModeIsEnabled

from ...atomic_files import atomic_path
from .row_groups import read_strings, some

FILE = "seen_windows.parquet"
TRAINED, SELECTED = "trained", "selected"
COLUMNS = ("corpus", "subject", "signal_hash")
"""What tells windows apart."""


class ContaminationError(ValueError):
    """A model is tested on subjects or windows that it has seen."""


@dataclass(frozen=True)
class Overlap:
    """What a model has seen of the windows it is to be tested on.

    Args:
        subjects: Subjects of the test windows that the model has seen, as `corpus/subject`.
        num_subjects: Subjects of the test windows in all.
        num_windows: Test windows whose very samples the model has seen, under whatever name.
    """

    subjects: tuple[str, ...]
    num_subjects: int
    num_windows: int

    def __bool__(self) -> bool:
        return bool(self.subjects or self.num_windows)

    def describe(self, part: str = "test") -> str:
        """Return what is shared, naming the part that shares it."""
        if self.subjects:
            return f"{len(self.subjects)} of {self.num_subjects} {part} subjects ({some(self.subjects)})"
        return f"{self.num_windows} {part} windows, by their samples"


@dataclass(frozen=True)
class SeenWindows:
    """The windows of a model, as a table with the columns corpus, subject, signal_hash and use.

    `use` is `trained` for windows that gradients came from, `selected` for windows that chose an epoch or a
    setting.
    """

    table: pa.Table

    @classmethod
    def of(cls, trained: Iterable[Dataset], selected: Iterable[Dataset] = ()) -> "SeenWindows":
        """Return the windows of a training.

        Args:
            trained: Windows trained on.
            selected: Windows that select epochs or settings.
        """
        parts = [
            _read(rows).append_column("use", pa.array([use] * len(rows), pa.large_string()))
            for use, datasets in ((TRAINED, trained), (SELECTED, selected))
            for rows in datasets
        ]
        return cls(pa.concat_tables(parts) if parts else _empty())

    @classmethod
    def load(cls, source: str | Path, revision: str | None = None) -> "SeenWindows | None":
        """Return what a folder or a Hub repository says of its weights, None where it says nothing.

        Args:
            source: Folder of weights, or name of a repository on the Hub.
            revision: Branch, tag or commit of the repository.

        Raises:
            ValueError: If the file is damaged.
        """
        path = Path(source) / FILE
        if not Path(source).is_dir():
            try:
                path = Path(hf_hub_download(str(source), FILE, revision=revision))
            except (EntryNotFoundError, HFValidationError, OfflineModeIsEnabled):
                return None
        if not path.is_file():
            return None
        try:
            table = pq.read_table(path, columns=[*COLUMNS, "use"])
        except (pa.ArrowInvalid, OSError, KeyError) as error:
            raise ValueError(f"{path}: expected the windows of a training, {error}") from None
        return cls(table.cast(_empty().schema))

    def save(self, folder: str | Path) -> Path:
        """Write the file into the folder of the weights, and return its path."""
        with atomic_path(Path(folder) / FILE) as partial:
            pq.write_table(self.table, partial, compression="zstd")
        return Path(folder) / FILE

    def __or__(self, other: "SeenWindows | None") -> "SeenWindows":
        """Return the windows of both without duplicates; `trained` overrides `selected`."""
        if other is None:
            return self
        both = pa.concat_tables([self.table, other.table])
        groups = both.group_by([*COLUMNS], use_threads=False)
        uses = groups.aggregate([("use", "max")])  # "trained" > "selected"
        return SeenWindows(uses.rename_columns([*COLUMNS, "use"]).cast(both.schema))

    def __len__(self) -> int:
        return len(self.table)

    @property
    def subjects(self) -> set[str]:
        """The subjects, as `corpus/subject`."""
        return set(_names(self.table).unique().to_pylist())

    @property
    def trained(self) -> "SeenWindows":
        """Only the windows that gradients came from."""
        return SeenWindows(self.table.filter(pc.equal(self.table.column("use"), TRAINED)))

    def overlap(self, tested: Dataset, fitted: Iterable[Dataset] = ()) -> Overlap:
        """Return the test windows that the model has seen.

        Args:
            tested: Windows with the columns corpus, subject and, to find copies, signal_hash.
            fitted: Windows that the split trains on. A split by session has windows of tested subjects
                there: the model may know these subjects, but no window that tests it.
        """
        rows = _read(tested)
        names = set(_names(rows).unique().to_pylist())
        known = self.table.column("signal_hash").drop_null().combine_chunks()
        hashes = rows.column("signal_hash")
        num_windows = pc.sum(pc.is_in(hashes, known)).as_py() or 0 if len(known) else 0
        expected = {name for part in fitted for name in _names(_read(part)).unique().to_pylist()}
        return Overlap(tuple(sorted(names & self.subjects - expected)), len(names), num_windows)


def _read(rows: Dataset) -> pa.Table:
    """Return the columns that tell windows apart; a column that is missing is null."""
    names = [name for name in COLUMNS if name in rows.column_names]
    table = read_strings(rows, names) if names else pa.table({})
    for name in COLUMNS:
        if name not in names:
            table = table.append_column(name, pa.nulls(len(rows), pa.large_string()))
    return table.select(list(COLUMNS))


def _names(table: pa.Table) -> pa.ChunkedArray:
    parts = [pc.fill_null(table.column(name), "") for name in ("corpus", "subject")]
    return pc.binary_join_element_wise(*parts, pa.scalar("/", pa.large_string()))


def _empty() -> pa.Table:
    return pa.table({name: pa.array([], pa.large_string()) for name in (*COLUMNS, "use")})
