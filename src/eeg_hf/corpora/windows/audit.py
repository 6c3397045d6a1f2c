# SPDX-License-Identifier: Apache-2.0
"""Describe prepared windows and warn of faults: hours, subjects, rates, amplitudes, labels, copies.

Only the median amplitude needs samples: the scale of a channel times the largest count is its largest
amplitude. A million windows take seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from ..look_alikes import describe_look_alikes
from .encoding import LARGEST_COUNT, OPTIONAL_COLUMNS, window_schema
from .findings import FEW_TO_AVERAGE
from .row_groups import find_overlaps, read_columns

PLAUSIBLE_UV = (0.1, 200.0)
"""Median |x| of scalp EEG; outside it the unit is most likely not microvolts."""
_SAMPLED = 256  # windows per corpus whose samples are read
_TIMES_OFF = 20  # ratio of a subject's amplitude to the median subject's that suggests another unit
_LOPSIDED = 0.9  # share of the most frequent class that makes accuracy useless
_OFTEN_BAD = 0.25  # share of the windows
_SHOWN = 5


@dataclass(frozen=True)
class CorpusAudit:
    """The contents of one corpus. Counts are of windows unless stated otherwise.

    Attributes:
        corpus: Name of the corpus.
        hours: Total length of all windows; overlapping parts count several times.
        windows: Number of windows.
        subjects: Number of subjects.
        recordings: Number of recordings.
        window_seconds: Length of a window -> count.
        sampling_rates: Rate in Hz -> count.
        channel_counts: Number of channels -> count.
        channel_sets: Channels, joined by spaces -> count.
        references: Reference -> count.
        licences: Licence -> count.
        median_uv: Median of |x| over a sample of windows, without flat channels.
        peak_uv: Smallest, median and largest of the windows' largest |x|.
        labels: Column -> value -> count, or mean, sd, min and max of numbers; `missing` in both.
        bad_channels: Channel -> count.
        constant: Windows of which all channels are flat.
        overlapping: Windows that begin before the previous window of their recording ends.
        copies: Windows with the same samples as another one `within_subject`, `across_subjects` or
            `across_corpora`.
        copied_recordings: The recordings of these windows, those that share windows next to each other.
    """

    corpus: str
    hours: float
    windows: int
    subjects: int
    recordings: int
    window_seconds: Mapping[str, int]
    sampling_rates: Mapping[str, int]
    channel_counts: Mapping[str, int]
    channel_sets: Mapping[str, int]
    references: Mapping[str, int]
    licences: Mapping[str, int]
    median_uv: float
    peak_uv: tuple[float, float, float]
    labels: Mapping[str, Mapping[str, float]]
    bad_channels: Mapping[str, int]
    constant: int
    overlapping: int
    copies: Mapping[str, int]
    copied_recordings: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Audit:
    """The contents of several corpora, and warnings; `print` it.

    Attributes:
        rows: One entry per corpus.
        warnings: What looks wrong, in most cases with a remedy.
    """

    rows: Sequence[CorpusAudit]
    warnings: Sequence[str] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as built-in types, for JSON."""
        return {"rows": [asdict(row) for row in self.rows], "warnings": list(self.warnings)}

    def __str__(self) -> str:
        table = pd.DataFrame([_cells(row) for row in self.rows]).to_string(index=False)
        labels = [
            f"{row.corpus}, {column}: {_some([f'{name} {value:g}' for name, value in found.items()], 12)}"
            for row in self.rows
            for column, found in row.labels.items()
        ]
        return "\n".join([table, "", *labels, "", *(self.warnings or ["nothing looks wrong"])])


def _cells(row: CorpusAudit) -> dict[str, str]:
    return {
        "corpus": row.corpus,
        "hours": f"{row.hours:.2f}",
        "windows": str(row.windows),
        "seconds": _some(row.window_seconds),
        "subjects": str(row.subjects),
        "recordings": str(row.recordings),
        "Hz": _some(row.sampling_rates),
        "channels": _some(row.channel_counts),
        "reference": _some(row.references),
        "licence": _some(row.licences),
        "median uV": f"{row.median_uv:.3g}",
        "largest uV": f"{row.peak_uv[1]:.3g} ({row.peak_uv[2]:.3g})",
    }


def audit(*sources: Dataset | Mapping[str, Dataset], seed: int = 0) -> Audit:
    """Describe prepared windows and look for faults.

    Args:
        *sources: Windows of one or several corpora, as `load_windows` returns them, or the parts of a split;
            together, so that copies between them are found.
        seed: Seed of the sample of windows for the median amplitude.

    Raises:
        ValueError: If there are no windows, or they lack columns that `prepare` writes.

    Example:
        >>> print(audit(load_windows("runs/data/eegmat")))  # doctest: +SKIP
    """
    datasets = [d for found in sources for d in (found.values() if isinstance(found, Mapping) else [found])]
    for dataset in datasets:
        missing = sorted({*window_schema({}).names} - {*OPTIONAL_COLUMNS, *dataset.column_names})
        if missing:
            raise ValueError(f"audit: the dataset lacks the columns {missing}")
    if sum(map(len, datasets)) == 0:
        raise ValueError("audit: there are no windows")
    columns = sorted({name for d in datasets for name in d.column_names} - {"signal", "channel_positions"})
    # All columns except the samples, of all datasets together
    table = pa.concat_tables(
        [read_columns(d, [name for name in columns if name in d.column_names]) for d in datasets],
        promote_options="permissive",
    ).combine_chunks()
    peaks = _peaks_uv(table.column("scale"))  # (windows,)
    copies = _copies(table, peaks > 0)
    names = table.column("corpus").to_pandas()
    ends = np.cumsum([len(dataset) for dataset in datasets])
    rows, warnings = [], []
    for corpus in sorted(names.unique()):
        chosen = np.flatnonzero(names == corpus)
        # Read the samples of a few windows: `row` of the joined table is row - start of its dataset
        sample = np.random.default_rng(seed).permutation(chosen)[:_SAMPLED]
        where = np.searchsorted(ends, sample, side="right")
        windows = [
            datasets[d].with_format(None)[int(row - ends[d] + len(datasets[d]))]
            for d, row in zip(where, sample, strict=True)
        ]
        found = {kind: is_copy[chosen] for kind, is_copy in copies.items()}
        row = _describe(corpus, table.take(chosen), peaks[chosen], found, _median_uv(windows))
        rows.append(row)
        texts = [*_warn(row), *_odd_subjects(table.take(chosen), peaks[chosen])]
        if alike := describe_look_alikes(pc.unique(table.column("subject")).to_pylist()):
            texts.append(
                f"subjects {alike} count as different people: if they are not, a split by subject leaks"
            )
        warnings += [f"{corpus}: {text}" for text in texts]
    return Audit(rows, warnings)


def _describe(
    corpus: str, table: pa.Table, peaks: np.ndarray, copies: Mapping[str, np.ndarray], median_uv: float
) -> CorpusAudit:
    """Describe the windows of one corpus."""
    rates = table.column("sampling_rate").to_numpy().astype(np.float64)
    seconds = table.column("num_samples").to_numpy() / rates
    starts, recordings = table.column("start_seconds").to_numpy(), table.column("recording").to_pandas()
    channels = table.column("channels")
    labels = [name for name in table.column_names if name == "event" or name not in window_schema({}).names]
    described = {name: _balance(table.column(name)) for name in labels}
    return CorpusAudit(
        corpus=corpus,
        hours=float(seconds.sum() / 3600),
        windows=len(table),
        subjects=pc.count_distinct(table.column("subject")).as_py(),
        recordings=pc.count_distinct(table.column("recording")).as_py(),
        window_seconds=_counts(pa.array(np.round(seconds, 3))),
        sampling_rates=_counts(pa.array(rates)),
        channel_counts=_counts(pc.list_value_length(channels)),
        channel_sets=_counts(pc.binary_join(channels, " ")),
        references=_counts(table.column("reference")),
        licences=_counts(table.column("licence")),
        median_uv=median_uv,
        peak_uv=(float(peaks.min()), float(np.median(peaks)), float(peaks.max())),
        labels={name: found for name, found in described.items() if found.get("missing") != len(table)},
        bad_channels=_counts(pc.list_flatten(table.column("bad_channels"))),
        constant=int((peaks == 0).sum()),
        overlapping=len(find_overlaps(pd.factorize(recordings)[0], starts, seconds)[0]),
        copies={kind: int(found.sum()) for kind, found in copies.items()},
        copied_recordings={kind: _recordings(table, found) for kind, found in copies.items() if found.any()},
    )


def _warn(row: CorpusAudit) -> list[str]:
    """Return warnings about one corpus."""
    low, high = PLAUSIBLE_UV
    found = []
    if not low <= row.median_uv <= high:
        found.append(
            f"median |x| is {row.median_uv:.3g} uV, expected {low:g} to {high:g}: is the unit right?"
        )
    if len(row.sampling_rates) > 1:
        found.append(
            f"{len(row.sampling_rates)} sampling rates ({_some(row.sampling_rates)} Hz): prepare at one"
        )
    if len(row.references) > 1:
        found.append(f"{len(row.references)} references ({_some(row.references)}): amplitudes do not compare")
    few = [n for n in row.channel_counts if int(n) < FEW_TO_AVERAGE] if "average" in row.references else []
    if few:
        found.append(
            f"the average of {_some(few)} channels is no neutral reference: prepare with "
            "reference='original'?"
        )
    if row.constant:
        found.append(f"all channels of {row.constant} windows are flat: drop these windows")
    if row.overlapping:
        found.append(
            f"{row.overlapping} windows overlap another one: keep each recording in one part of a split"
        )
    for kind, meaning in (
        ("within_subject", "of another of the same subject"),
        ("across_subjects", "of a window of another subject: a split by subject would leak"),
        ("across_corpora", "of a window of another corpus: train on one of the two"),
    ):
        if row.copies[kind]:
            where = _some(row.copied_recordings[kind])
            found.append(f"{row.copies[kind]} windows are copies {meaning} ({where})")
    for name, number in row.bad_channels.items():
        if number > _OFTEN_BAD * row.windows:
            found.append(f"channel {name} is bad in {number / row.windows:.0%} of the windows: drop it?")
    for column, values in row.labels.items():
        if "mean" not in values and (alike := describe_look_alikes(values)):
            found.append(f"label {column!r} has {alike}: is it one class?")
        if values.get("missing"):
            found.append(f"label {column!r} is missing in {values['missing']:g} of {row.windows} windows")
        classes = {} if "mean" in values else {name: n for name, n in values.items() if name != "missing"}
        # A label with one class is no task, so its share says nothing
        most, share = max(classes, key=lambda name: classes[name], default=None), 0.0
        if most is not None and len(classes) > 1:
            share = classes[most] / sum(classes.values())
        if share > _LOPSIDED:
            found.append(
                f"label {column!r} is {most!r} in {share:.0%} of the windows: weigh classes, not accuracy"
            )
    return found


def _odd_subjects(table: pa.Table, peaks: np.ndarray) -> list[str]:
    """Warn of subjects whose windows are far larger or smaller than those of the others."""
    real = pd.DataFrame({"subject": table.column("subject").to_pandas(), "peak": peaks})[peaks > 0]
    medians = real.groupby("subject")["peak"].quantile(0.5, interpolation="higher")
    times = medians / medians.median()
    odd = times[(times <= 1 / _TIMES_OFF) | (times >= _TIMES_OFF)]
    if len(times) < 3 or odd.empty:
        return []
    shown = ", ".join(f"{name} {ratio:.3g}" for name, ratio in odd.sort_index()[:_SHOWN].items())
    return [
        f"the amplitude of {len(odd)} subjects differs from the median subject's (times: {shown}): "
        "another unit?"
    ]


def _peaks_uv(scales: pa.ChunkedArray) -> np.ndarray:
    """Return the largest |x| of each window in microvolts, 0 if all channels are flat; (windows,)."""
    lengths = pc.list_value_length(scales).to_numpy()  # channels of each window
    flat = pc.list_flatten(scales).to_numpy()
    flat = np.where(flat == 1.0, 0.0, flat * LARGEST_COUNT)  # 1 is the scale of a channel of zeros
    return np.maximum.reduceat(flat, np.cumsum(lengths) - lengths)


def _median_uv(windows: Iterable[Mapping[str, Any]]) -> float:
    """Return the median |x| of some windows in microvolts, without flat channels."""
    values = []
    for window in windows:
        scale = np.asarray(window["scale"])
        counts = np.frombuffer(window["signal"], "<i2").reshape(len(scale), -1)[scale != 1.0]
        values.append(np.abs(counts[:, ::8] * scale[scale != 1.0, None]).ravel())  # every 8th sample suffices
    flat = np.concatenate(values)
    return float(np.median(flat)) if len(flat) else 0.0


def _copies(table: pa.Table, is_real: np.ndarray) -> dict[str, np.ndarray]:
    """Return which windows have the samples of another one, (windows,) each; flat windows are no copies."""
    columns = {"signal_hash": "signal", "corpus": "corpus", "subject": "subject"}
    codes = {new: pd.factorize(table.column(old).to_pandas())[0] for old, new in columns.items()}
    rows = pd.DataFrame(codes)
    rows["subject"] += rows["corpus"] * (rows["subject"].max() + 1)  # subject 01 of each corpus is another
    signals = rows.groupby("signal")
    across_corpora = signals["corpus"].transform("nunique").to_numpy() > 1
    across_subjects = signals["subject"].transform("nunique").to_numpy() > 1
    within = rows.groupby(["signal", "subject"])["corpus"].transform("size").to_numpy() > 1
    return {
        "within_subject": within & is_real,
        "across_subjects": across_subjects & ~across_corpora & is_real,
        "across_corpora": across_corpora & is_real,
    }


def _recordings(table: pa.Table, is_chosen: np.ndarray) -> list[str]:
    """Return the recordings of some windows, sorted by their samples so that copies are neighbours."""
    chosen = table.select(["signal_hash", "recording"]).filter(pa.array(is_chosen))
    names = chosen.sort_by([("signal_hash", "ascending"), ("recording", "ascending")]).column("recording")
    return [str(name) for name in pc.unique(names).to_pylist()]


def _balance(column: pa.ChunkedArray) -> dict[str, float]:
    """Count the values of a label, or describe the distribution of numbers."""
    if not pa.types.is_floating(column.type):
        missing: dict[str, float] = {"missing": column.null_count} if column.null_count else {}
        return {**_counts(column.drop_null()), **missing}
    values = column.to_numpy().astype(np.float64)
    known = values[np.isfinite(values)]
    missing = {"missing": len(values) - len(known)} if len(known) < len(values) else {}
    if not len(known):
        return missing
    return {"mean": known.mean(), "sd": known.std(), "min": known.min(), "max": known.max(), **missing}


def _counts(values: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    """Count values, the most frequent first."""
    found = [(item["values"], item["counts"]) for item in pc.value_counts(values).to_pylist()]
    named = [(f"{value:g}" if isinstance(value, float) else str(value), count) for value, count in found]
    return dict(sorted(named, key=lambda item: (-item[1], item[0])))


def _some(names: Iterable[str], shown: int = _SHOWN) -> str:
    """List the first few names, in their order, and the number of the others."""
    names = list(names)
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


__all__ = ["PLAUSIBLE_UV", "Audit", "CorpusAudit", "audit"]
