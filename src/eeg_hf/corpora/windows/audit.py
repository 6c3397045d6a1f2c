# SPDX-License-Identifier: Apache-2.0
"""What is in prepared windows, and what looks wrong: hours, people, rates, amplitudes, labels, copies.

All but the median amplitude is read from columns, without a sample: the scale of a channel times the largest
count is its largest amplitude. A million windows take seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset

from .encoding import LARGEST_COUNT, window_schema
from .row_groups import read_columns

PLAUSIBLE_UV = (0.1, 200.0)
"""Median |x| of scalp EEG; outside it the unit is most likely not microvolt."""
_SAMPLED = 256  # windows a corpus whose samples are read
_TIMES_OFF = 20
_LOPSIDED = 0.9
_FEW_TO_AVERAGE = 8
_OFTEN_BAD = 0.25
_SHOWN = 5


@dataclass(frozen=True)
class CorpusAudit:
    """What one corpus holds. Counts are of windows unless said otherwise.

    Attributes:
        corpus: Its name.
        hours: Length of all windows together; overlapping ones count each.
        windows: Number.
        subjects: Number of people.
        recordings: Number of recordings.
        window_seconds: Length of a window -> count.
        sampling_rates: In Hz -> count.
        channel_counts: Number of channels -> count.
        channel_sets: Channels, joined by spaces -> count.
        references: What the voltages refer to -> count.
        licences: Licence -> count.
        median_uv: Median of |x| over a sample of windows, flat channels left out.
        peak_uv: Smallest, median and largest of the windows' largest |x|.
        labels: Column -> value -> count, or mean, sd, min and max of numbers; `missing` in both.
        bad_channels: Channel -> count.
        constant: Windows of which all channels are flat.
        overlapping: Windows that begin before the one before them ends.
        copies: Windows whose samples are those of another `within_subject`, `across_subjects` or
            `across_corpora`.
        copied_recordings: The recordings that these windows are of, those that share windows side by side.
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
    """What several corpora hold, and what looks wrong; `print` it.

    Attributes:
        rows: One a corpus.
        warnings: In plain words, most of them with a way out.
    """

    rows: Sequence[CorpusAudit]
    warnings: Sequence[str] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as built-in types, for JSON."""
        return {"rows": [asdict(row) for row in self.rows], "warnings": list(self.warnings)}

    def __str__(self) -> str:
        table = [_HEADER, *(_cells(row) for row in self.rows)]
        widths = [max(len(cells[column]) for cells in table) for column in range(len(_HEADER))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(c, widths, strict=True)) for c in table]
        labels = [
            f"{row.corpus}, {column}: {_some({f'{name} {value:g}': 0 for name, value in found.items()}, 12)}"
            for row in self.rows
            for column, found in row.labels.items()
        ]
        return "\n".join([*lines, "", *labels, "", *(self.warnings or ["nothing looks wrong"])])


_HEADER = (
    *("corpus", "hours", "windows", "seconds", "subjects", "recordings", "Hz", "channels", "reference"),
    *("licence", "median uV", "largest uV"),
)


def _cells(row: CorpusAudit) -> tuple[str, ...]:
    counts = (row.window_seconds, row.sampling_rates, row.channel_counts, row.references, row.licences)
    seconds, rates, channels, references, licences = (_some(found) for found in counts)
    return (
        *(row.corpus, f"{row.hours:.2f}", str(row.windows), seconds, str(row.subjects), str(row.recordings)),
        *(
            rates,
            channels,
            references,
            licences,
            f"{row.median_uv:.3g}",
            f"{row.peak_uv[1]:.3g} ({row.peak_uv[2]:.3g})",
        ),
    )


def audit(*sources: Dataset | Mapping[str, Dataset], seed: int = 0) -> Audit:
    """Look over prepared windows.

    Args:
        *sources: Windows, of one corpus or of several, as `load_windows` returns them, or the parts of a
            split; together, so that copies of one in another are found.
        seed: Decides whose samples are read for the median amplitude.

    Raises:
        ValueError: If there are no windows, or they lack columns that `prepare` writes.

    Example:
        >>> print(audit(load_windows("runs/data/eegmat")))  # doctest: +SKIP
    """
    datasets = [d for found in sources for d in (found.values() if isinstance(found, Mapping) else [found])]
    needed = set(window_schema({}).names)
    for dataset in datasets:
        if needed - set(dataset.column_names):
            raise ValueError(
                f"audit: the dataset lacks the columns {sorted(needed - set(dataset.column_names))}"
            )
    if sum(map(len, datasets)) == 0:
        raise ValueError("audit: there are no windows")
    columns = sorted(
        {name for dataset in datasets for name in dataset.column_names} - {"signal", "channel_positions"}
    )
    table = pa.concat_tables(
        [read_columns(d, [name for name in columns if name in d.column_names]) for d in datasets],
        promote_options="permissive",
    ).combine_chunks()
    peaks = _peaks_uv(table.column("scale"))
    joint = pa.scalar("/", pa.large_string())
    people = _codes(pc.binary_join_element_wise(_text(table, "corpus"), _text(table, "subject"), joint))
    copies = _copies(table, people, peaks > 0)
    names = _text(table, "corpus").to_numpy(zero_copy_only=False)
    ends = np.cumsum([len(dataset) for dataset in datasets])
    rows, warnings = [], []
    for corpus in sorted(set(names)):
        chosen = np.flatnonzero(names == corpus)
        sample = np.random.default_rng(seed).permutation(chosen)[:_SAMPLED]
        where = np.searchsorted(ends, sample, side="right")
        median = _median_uv(
            [(datasets[d], row - ends[d] + len(datasets[d])) for d, row in zip(where, sample, strict=True)]
        )
        row = _describe(
            corpus,
            table.take(chosen),
            peaks[chosen],
            {kind: found[chosen] for kind, found in copies.items()},
            median,
        )
        rows.append(row)
        warnings += [
            f"{corpus}: {text}" for text in (*_warn(row), *_odd_people(table.take(chosen), peaks[chosen]))
        ]
    return Audit(rows, warnings)


def _describe(
    corpus: str, table: pa.Table, peaks: np.ndarray, copies: Mapping[str, np.ndarray], median_uv: float
) -> CorpusAudit:
    """Describe the windows of one corpus."""
    rates = table.column("sampling_rate").to_numpy().astype(np.float64)
    seconds = table.column("num_samples").to_numpy() / rates
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
        overlapping=_count_overlapping(table, seconds),
        copies={kind: int(found.sum()) for kind, found in copies.items()},
        copied_recordings={kind: _recordings(table, found) for kind, found in copies.items() if found.any()},
    )


def _warn(row: CorpusAudit) -> list[str]:
    """Say what looks wrong with a corpus."""
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
    few = [n for n in row.channel_counts if int(n) < _FEW_TO_AVERAGE] if "average" in row.references else []
    if few:
        found.append(
            f"the average of {_some(dict.fromkeys(few, 0))} channels is no neutral reference: prepare with "
            "reference='original'?"
        )
    if row.constant:
        found.append(f"{row.constant} windows hold nothing, all their channels are flat: drop them")
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
            where = _some(dict.fromkeys(row.copied_recordings[kind], 0))
            found.append(f"{row.copies[kind]} windows are copies {meaning} ({where})")
    for name, number in row.bad_channels.items():
        if number > _OFTEN_BAD * row.windows:
            found.append(f"channel {name} is bad in {number / row.windows:.0%} of the windows: leave it out?")
    for column, values in row.labels.items():
        if values.get("missing"):
            found.append(f"label {column!r} is missing in {values['missing']:g} of {row.windows} windows")
        classes = {} if "mean" in values else {name: n for name, n in values.items() if name != "missing"}
        most = max(classes, key=lambda name: classes[name], default=None)
        if most is not None and len(classes) > 1 and classes[most] > _LOPSIDED * sum(classes.values()):
            share = classes[most] / sum(classes.values())
            found.append(
                f"label {column!r} is {most!r} in {share:.0%} of the windows: weigh classes, not accuracy"
            )
    return found


def _odd_people(table: pa.Table, peaks: np.ndarray) -> list[str]:
    """Name people whose windows are far larger or smaller than those of the others."""
    encoded = _text(table, "subject").dictionary_encode()
    codes, is_real = encoded.indices.to_numpy(zero_copy_only=False), peaks > 0
    order = np.lexsort((peaks[is_real], codes[is_real]))
    people, starts, counts = np.unique(codes[is_real][order], return_index=True, return_counts=True)
    if len(people) < 3:
        return []
    medians = peaks[is_real][order][starts + counts // 2]
    times = medians / np.median(medians)
    odd = {
        encoded.dictionary[int(p)].as_py(): t
        for p, t in zip(people, times, strict=True)
        if not 1 / _TIMES_OFF < t < _TIMES_OFF
    }
    if not odd:
        return []
    shown = ", ".join(f"{name} {times:.3g}" for name, times in sorted(odd.items())[:_SHOWN])
    return [f"{len(odd)} subjects are of another size than the median one (times: {shown}): another unit?"]


def _peaks_uv(scales: pa.ChunkedArray) -> np.ndarray:
    """Return the largest |x| of each window in microvolt, 0 where all channels are flat; (windows,)."""
    lengths = pc.list_value_length(scales).to_numpy()
    flat = pc.list_flatten(scales).to_numpy()
    flat = np.where(flat == 1.0, 0.0, flat * LARGEST_COUNT)  # 1 is the scale of a channel of zeros
    return np.maximum.reduceat(flat, np.cumsum(lengths) - lengths)


def _median_uv(rows: Sequence[tuple[Dataset, int]]) -> float:
    """Return the median |x| of some windows in microvolt, flat channels left out."""
    values = []
    for dataset, number in rows:
        row = dataset.with_format(None)[int(number)]
        scale = np.asarray(row["scale"])
        counts = np.frombuffer(row["signal"], "<i2").reshape(len(scale), -1)[scale != 1.0]
        values.append(np.abs(counts[:, ::8] * scale[scale != 1.0, None]).ravel())  # every 8th sample will do
    flat = np.concatenate(values)
    return float(np.median(flat)) if len(flat) else 0.0


def _copies(table: pa.Table, people: np.ndarray, is_real: np.ndarray) -> dict[str, np.ndarray]:
    """Tell which windows have the samples of another one, and whose; flat windows are no copies."""
    hashes = _codes(_text(table, "signal_hash"))
    corpora = _codes(_text(table, "corpus"))
    hashes = np.where(is_real, hashes, hashes.max() + 1 + np.arange(len(hashes)))

    def is_spread(groups: np.ndarray) -> np.ndarray:
        pairs = np.unique(np.stack([hashes, groups]), axis=1)[0]
        values, counts = np.unique(pairs, return_counts=True)
        return np.isin(hashes, values[counts > 1])

    pairs = hashes.astype(np.int64) * (people.max() + 1) + people
    _, where, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    across = is_spread(corpora)
    return {
        "within_subject": counts[where] > 1,
        "across_subjects": is_spread(people) & ~across,
        "across_corpora": across,
    }


def _recordings(table: pa.Table, is_chosen: np.ndarray) -> list[str]:
    """Name the recordings of some windows, sorted by their samples so that copies are neighbours."""
    chosen = table.select(["signal_hash", "recording"]).filter(pa.array(is_chosen))
    names = chosen.sort_by([("signal_hash", "ascending"), ("recording", "ascending")]).column("recording")
    return [str(name) for name in pc.unique(names).to_pylist()]


def _count_overlapping(table: pa.Table, seconds: np.ndarray) -> int:
    """Count windows that begin before the one before them in their recording ends."""
    recordings = _codes(_text(table, "recording"))
    start = table.column("start_seconds").to_numpy()
    order = np.lexsort((start, recordings))
    before, after = order[:-1], order[1:]
    is_same = recordings[before] == recordings[after]
    return int((is_same & (start[after] < start[before] + seconds[before] - 1e-6)).sum())


def _balance(column: pa.ChunkedArray) -> dict[str, float]:
    """Count the values of a label; of numbers, say where they lie."""
    if not pa.types.is_floating(column.type):
        return {
            **_counts(column.drop_null()),
            **({"missing": column.null_count} if column.null_count else {}),
        }
    values = column.to_numpy().astype(np.float64)
    known = values[np.isfinite(values)]
    missing: dict[str, float] = {"missing": len(values) - len(known)} if len(known) < len(values) else {}
    if not len(known):
        return missing
    return {"mean": known.mean(), "sd": known.std(), "min": known.min(), "max": known.max(), **missing}


def _counts(values: pa.Array | pa.ChunkedArray) -> dict[str, int]:
    """Count values, the most frequent first."""
    found = [(item["values"], item["counts"]) for item in pc.value_counts(values).to_pylist()]
    named = [(f"{value:g}" if isinstance(value, float) else str(value), count) for value, count in found]
    return dict(sorted(named, key=lambda item: (-item[1], item[0])))


def _text(table: pa.Table, name: str) -> pa.Array:
    """Return a column of strings as one array, with room for millions."""
    return table.column(name).cast(pa.large_string()).combine_chunks()


def _codes(values: pa.Array) -> np.ndarray:
    """Return each string as a number, missing ones as one of their own."""
    return values.fill_null("").dictionary_encode().indices.to_numpy(zero_copy_only=False)


def _some(counts: Mapping[str, int], shown: int = _SHOWN) -> str:
    names = list(counts)
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


__all__ = ["PLAUSIBLE_UV", "Audit", "CorpusAudit", "audit"]
