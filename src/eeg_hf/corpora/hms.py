# SPDX-License-Identifier: Apache-2.0
"""HMS: harmful brain activity in intensive care, six kinds by the votes of experts (Kaggle, 2024).

https://www.kaggle.com/competitions/hms-harmful-brain-activity-classification

`train_eegs/<eeg_id>.parquet` holds 19 electrodes with old names (T3 to T6) and `EKG` at 200 Hz, in microvolt,
with runs of NaN where nothing was recorded. Each of the 106,800 rows of train.csv names a stretch of 50 s of
one of them, whose middle 10 s experts voted on; the stretches of one recording overlap. Each stretch belongs
to 10 minutes of a spectrogram in `train_spectrograms/`. A patient has many recordings, which must be in one
part of a split.

The competition's files were not available when this was written: the code is tested on a tree written in
their layout. The size of the corpus is as competitors counted it in train.csv.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from .corpus import Corpus, Event, Label, Recording

if TYPE_CHECKING:
    import mne
    import pyarrow as pa

VOTES: tuple[str, ...] = ("seizure_vote", "lpd_vote", "gpd_vote", "lrda_vote", "grda_vote", "other_vote")
"""The six kinds in the order of the competition's submissions."""

REGIONS: tuple[str, ...] = ("LL", "RL", "LP", "RP")
"""The four chains of a spectrogram: left and right lateral, left and right parasagittal."""

_EEG = (
    *("Fp1", "F3", "C3", "P3", "F7", "T3", "T5", "O1", "Fz", "Cz"),
    *("Pz", "Fp2", "F4", "C4", "P4", "F8", "T4", "T6", "O2"),
)
_RATE = 200.0
_SECONDS = 50.0
_LONGEST_GAP = 1.0  # s; a straight line over one second in 50 changes little


class HMS(Corpus):
    """The recordings of the competition; subjects are patients, runs are the numbers of the recordings.

    Events: the rows of train.csv by `expert_consensus` (`Seizure`, `LPD`, `GPD`, `LRDA`, `GRDA`, `Other`),
        50 s long; `tmin=20` with windows of 10 s takes what the experts voted on.
    Labels: `seizure_vote` to `other_vote` (see `VOTES`), the shares of the votes, which add up to 1;
        `num_votes`, of which many rows have only three; `label_id`; and `spectrogram_id` with
        `spectrogram_offset_seconds` for `read_spectrogram`.

    Runs of NaN of up to a second are interpolated linearly. Longer runs are interpolated too, so that filters
    do not ring, and marked as bad: windows over them are dropped. An electrode is bad if it has no samples
    for most of the time that others have some.

    Args:
        part: `"train"`, or `"test"` for test.csv and test_eegs/, whose one public row has no votes; its
            events are named `unlabelled` and its votes are empty.
    """

    name = "hms"
    label_names = {
        **dict.fromkeys(VOTES, float),
        "num_votes": float,
        "label_id": str,
        "spectrogram_id": str,
        "spectrogram_offset_seconds": float,
    }
    has_events = True

    def __init__(self, part: Literal["train", "test"] = "train") -> None:
        if part not in ("train", "test"):
            raise ValueError(f"part must be 'train' or 'test', got {part!r}")
        self.part = part
        if part == "test":
            self.num_recordings = 0  # the public part is an example

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        """Find the recordings that are in the table and in the folder."""
        path, folder = root / f"{self.part}.csv", root / f"{self.part}_eegs"
        if not path.is_file():
            raise FileNotFoundError(f"no {self.name} recordings: {path} is missing; expected {self.layout}")
        table = _table(path)
        patients = dict(zip(table["eeg_id"].to_pylist(), table["patient_id"].to_pylist(), strict=True))
        there = {entry.stem: entry for entry in folder.glob("*.parquet")}
        for eeg, patient in patients.items():
            if str(eeg) in there:
                yield Recording(there[str(eeg)], self.name, str(patient), "1", str(eeg), "intensive_care")

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Read a recording; NaN are filled, and long runs of them marked as bad."""
        return _read_eeg(recording.path)

    def events(self, recording: Recording, raw: "mne.io.BaseRaw") -> list[Event]:
        """List the stretches of a recording that experts voted on."""
        import pyarrow.compute as pc

        table = _table(self._table_path(recording))
        rows = table.filter(pc.equal(table["eeg_id"], int(recording.run))).to_pylist()
        return sorted((_event(row) for row in rows), key=lambda event: event.onset)

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Include the table, which holds the votes."""
        table = self._table_path(recording).stat()
        return {**super().provenance(recording), "table_mtime_ns": table.st_mtime_ns}

    def _table_path(self, recording: Recording) -> Path:
        return recording.path.parents[1] / f"{self.part}.csv"


class Spectrogram(NamedTuple):
    """A spectrogram of the competition.

    Attributes:
        power: (time, 4 regions, 100 frequencies) float32, in the unit of the file, NaN where unknown.
        times: (time,) in seconds after the spectrogram's start, 2 s apart.
        frequencies: (100,) in Hz, 0.59 to 19.92.
        regions: Names of the regions: `REGIONS`.
    """

    power: np.ndarray
    times: np.ndarray
    frequencies: np.ndarray
    regions: tuple[str, ...] = REGIONS


def read_spectrogram(
    root: Path | str,
    spectrogram_id: int | str,
    offset_seconds: float | None = None,
    part: Literal["train", "test"] = "train",
) -> Spectrogram:
    """Read a spectrogram of HMS, or the 10 minutes of it that belong to a window.

    Args:
        root: Folder of the competition.
        spectrogram_id: The window's `spectrogram_id`.
        offset_seconds: The window's `spectrogram_offset_seconds`; `None` for the whole spectrogram.
        part: `"train"` or `"test"`.

    Returns:
        The spectrogram; 300 times with an offset.

    Raises:
        FileNotFoundError: If there is no such spectrogram.
        ValueError: If the file has other columns, or ends before the 10 minutes do.

    Example:
        >>> read_spectrogram("hms", 353733, offset_seconds=0).power.shape  # doctest: +SKIP
        (300, 4, 100)
    """
    import pyarrow.parquet as pq

    path = Path(root) / f"{part}_spectrograms" / f"{spectrogram_id}.parquet"
    if not path.is_file():
        raise FileNotFoundError(f"no spectrogram {spectrogram_id}: {path} is missing")
    table = pq.read_table(path)
    # Columns are named LL_0.59 and so on; all regions must have the same frequencies
    names = [name for name in table.column_names if name != "time"]
    bins = [(*name.partition("_")[::2], name) for name in names]  # LL_0.59 -> LL, 0.59
    by_region = {r: sorted((float(f), name) for region, f, name in bins if region == r) for r in REGIONS}
    grids = [[frequency for frequency, _ in columns] for columns in by_region.values()]
    if len(names) != 400 or len(grids[0]) != 100 or any(grid != grids[0] for grid in grids):
        raise ValueError(
            f"{path.name}: expected time and {', '.join(REGIONS)} with the same 100 frequencies each, got "
            f"{len(names)} columns"
        )
    first, last = (0, len(table)) if offset_seconds is None else _rows(offset_seconds)
    if last > len(table):
        raise ValueError(f"{path.name} has {len(table)} times, expected at least {last}")
    table = table.slice(first, last - first)
    power = np.stack([[table[name].to_numpy() for _, name in columns] for columns in by_region.values()])
    return Spectrogram(
        np.moveaxis(power, -1, 0).astype(np.float32), table["time"].to_numpy() * 1.0, np.array(grids[0])
    )


def _rows(offset_seconds: float) -> tuple[int, int]:
    """Return the first and last row of the 10 minutes from an offset; rows are 2 s apart."""
    first = int(offset_seconds // 2)
    return first, first + 300


@lru_cache(maxsize=2)
def _read_table(path: Path, mtime_ns: int) -> "pa.Table":
    """Read a table of stretches; cached, because it is needed for each of 17,089 recordings."""
    import pyarrow as pa
    from pyarrow import csv

    try:
        table = csv.read_csv(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path.name} is not a table: {error}") from None
    lacking = sorted({"eeg_id", "patient_id", "spectrogram_id"} - set(table.column_names))
    if lacking:
        raise ValueError(f"{path.name} lacks {' and '.join(lacking)}: it has {', '.join(table.column_names)}")
    return table


def _table(path: Path) -> "pa.Table":
    return _read_table(path, path.stat().st_mtime_ns)


def _event(row: dict[str, Any]) -> Event:
    """Turn a row into an event; labels without a column, as in test.csv, stay empty."""
    votes: list[Any] = [row.get(name) for name in VOTES]
    total = 0.0 if None in votes else float(sum(votes))
    labels: dict[str, Label] = {
        **{name: vote / total if total else None for name, vote in zip(VOTES, votes, strict=True)},
        "num_votes": total or None,
        "label_id": str(row["label_id"]) if "label_id" in row else None,
        "spectrogram_id": str(row["spectrogram_id"]),
        "spectrogram_offset_seconds": float(row.get("spectrogram_label_offset_seconds", 0)),
    }
    onset = float(row.get("eeg_label_offset_seconds", 0))
    return Event(onset, _SECONDS, row.get("expert_consensus", "unlabelled"), labels)


def _read_eeg(path: Path) -> "mne.io.BaseRaw":
    """Read a Parquet file of samples in microvolt."""
    import mne
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from None
    lacking = [name for name in _EEG if name not in table.column_names]
    if lacking:
        raise ValueError(f"{path.name} lacks {', '.join(lacking)}: it has {', '.join(table.column_names)}")
    names = [*_EEG, *(name for name in table.column_names if name == "EKG")]
    data = np.stack([table[name].to_numpy().astype(float) for name in names])  # (channels, time) in uV
    if not np.isfinite(data[: len(_EEG)]).any():
        raise ValueError(f"{path.name}: no sample of any electrode is finite")
    dead, gaps = _fill(data)
    info = mne.create_info(names, _RATE, ["ecg" if name == "EKG" else "eeg" for name in names])
    raw = mne.io.RawArray(data * 1e-6, info, verbose="ERROR")
    raw.info["bads"] = [names[channel] for channel in dead]
    onsets, ends = np.reshape(gaps, (-1, 2)).T / _RATE
    return raw.set_annotations(mne.Annotations(onsets, ends - onsets, ["BAD_missing"] * len(gaps)))


def _fill(data: np.ndarray) -> tuple[list[int], list[tuple[int, int]]]:
    """Fill non-finite samples in place; return dead channels and (start, stop) of runs too long to fill."""
    missing = ~np.isfinite(data)  # (channels, time)
    eeg = missing[: len(_EEG)]
    recorded = ~eeg.all(axis=0)  # times at which at least one electrode has a sample
    is_dead = eeg[:, recorded].mean(axis=1) > 0.5
    for channel, holes in zip(data, missing, strict=True):
        if holes.all():
            channel[:] = 0.0
        elif holes.any():
            channel[holes] = np.interp(np.flatnonzero(holes), np.flatnonzero(~holes), channel[~holes])
    # Runs of NaN in any electrode that is not dead, as (start, stop)
    hole = np.concatenate([[False], eeg[~is_dead].any(axis=0), [False]]).astype(np.int8)
    starts, stops = (np.flatnonzero(np.diff(hole) == step).tolist() for step in (1, -1))
    longest = _LONGEST_GAP * _RATE
    gaps = [(start, stop) for start, stop in zip(starts, stops, strict=True) if stop - start > longest]
    return np.flatnonzero(is_dead).tolist(), gaps
