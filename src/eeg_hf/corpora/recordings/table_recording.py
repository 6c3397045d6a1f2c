# SPDX-License-Identifier: Apache-2.0
"""Open a table (CSV, TSV, TXT, Parquet) as a recording: one row per sample, one column per channel.

A table states neither its rate nor its unit, so both must be given. A column of times is checked against the
rate.
"""

import io
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from ...processing.channels import parse_channel
from ...processing.electrode_templates import template_positions
from .file_checks import decode_text
from .memory_bound import bounded_batches, refuse_expansion
from .signal_header import voltage_factor

if TYPE_CHECKING:
    import mne

_TIME_NAME = re.compile(
    r"(?:lsl[ _]?)?(?:time|t|date|datetime|zeit|zeitstempel|temps|tiempo|tempo|tijd"
    r"|sec(?:ond)?s?|ms|msec|milliseconds|latency)(?:[ _-]?stamps?)?"
    r"(?:[ _]?[\(\[]?(?:s|sec|seconds|ms|msec|us|ns|utc|formatted|unix)[\)\]]?)?|timestamps?.*",
    re.IGNORECASE,
)
_COUNTER_NAME = re.compile(
    r"|index|sample(?:s|[ _]?(?:index|number|no))?|unnamed: 0|__index_level_0__|row", re.IGNORECASE
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?(?:nan|inf)|", re.IGNORECASE)
_COMMENTS = ("#", "%", "//")
_MAX_CHANNELS = 1024
_TEXT_COPIES = 4  # bytes, text, input of the parser, and its columns
_RATE_TOLERANCE = 0.05  # for timestamps rounded to milliseconds; a wrong rate differs by more
# Packets of wireless headsets overlap or lag by less: such steps are neither pauses nor disorder.
_MIN_GAP_SECONDS = 0.5
_IRREGULAR_SHARE = 0.001


def read_table(
    path: Path, sampling_rate: float | None, unit: str | None, delimiter: str | None = None
) -> "tuple[mne.io.RawArray, list[float]]":
    """Open a table as a recording.

    A column of times or of sample numbers is not a channel; columns named as triggers or accelerometers are
    not scaled. Columns without a name become `EEG 001` and so on. Text in a mostly empty column becomes
    annotations. Lines above the column names that are not part of the table are skipped.

    Args:
        path: A `.csv`, `.tsv`, `.txt` or `.parquet` file.
        sampling_rate: In Hz.
        unit: `"V"`, `"mV"` or `"uV"`.
        delimiter: Separator of cells; detected by default.

    Returns:
        The recording in volts, loaded, and the positions of jumps in time, in seconds after its first sample.

    Raises:
        ValueError: If rate or unit are missing, the times contradict the rate, columns hold text, or the
            file is not a table of samples.
    """
    import mne

    columns = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_text(path, delimiter)
    # What is not a channel is taken out of `columns`
    marks = _take_marks(columns)
    times, losses = _take_times(columns)
    if not columns:
        raise ValueError(f"{path.name} has no column of samples")
    found = f" (its times advance at {_rate_of(times)[0]:.4g} Hz)" if times is not None else ""
    if sampling_rate is None:
        raise ValueError(f"{path.name} is a table and does not state its rate: set sampling_rate={found}")
    factor = voltage_factor(unit or "")
    if factor is None:
        raise ValueError(f'{path.name} is a table and does not state its unit: set unit="uV", "mV" or "V"')
    if not (np.isfinite(sampling_rate) and sampling_rate > 0):
        raise ValueError(f"{path.name}: expected a positive sampling rate, got {sampling_rate} Hz")
    jumps = _compare_times(path, times, sampling_rate) if times is not None else []
    places = sorted({*jumps, *losses})
    if places:
        warnings.warn(
            f"{path.name} misses samples at {len(places)} places, by its "
            f"{'sample numbers' if losses else 'times'}: no window crosses them",
            RuntimeWarning,
            stacklevel=2,
        )
    kinds = [parse_channel(name).kind for name in columns]
    data = np.stack([np.asarray(column, np.float64) for column in columns.values()])  # (channels, time)
    data *= np.array([1.0 if kind in ("stim", "misc") else factor for kind in kinds])[:, None]
    info = mne.create_info(list(columns), sampling_rate, kinds)
    raw = mne.io.RawArray(data, info, verbose="ERROR")
    for row, text in marks:
        raw.annotations.append(row / sampling_rate, 0.0, text)
    return raw, [place / sampling_rate for place in places]


def _read_parquet(path: Path) -> dict[str, np.ndarray | pa.ChunkedArray]:
    """Read a Parquet file into columns."""
    try:
        file = pyarrow.parquet.ParquetFile(path)
        _refuse_columns(path, file.metadata.num_columns)
        size = 8 * file.metadata.num_rows * file.metadata.num_columns
        if size < 0:
            raise ValueError(f"{path.name} promises {file.metadata.num_rows} rows, which is impossible")
        refuse_expansion(path.name, path.stat().st_size, size)
        batches = list(bounded_batches(path, file, 2**14))
        return _checked(path, pa.Table.from_batches(batches, file.schema_arrow))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path.name} cannot be read as Parquet: {error}") from None


def _read_text(path: Path, delimiter: str | None) -> dict[str, np.ndarray | pa.ChunkedArray]:
    """Read a text table into columns."""
    size, free = path.stat().st_size, psutil.virtual_memory().available
    if _TEXT_COPIES * size > free:
        raise ValueError(
            f"{path.name} is a text of {size} bytes, too large for the {free} bytes of free memory: split it "
            "into parts, or store it as Parquet"
        )
    # Only the first 40 lines decide on the format
    text = _without_comments(_read(path))
    lines = text.split("\n", 40)[:40]
    if len(lines) < 2:
        raise ValueError(f"{path.name} is not a table of samples: it has fewer than two lines")
    skipped = _lines_before_names(lines)
    text, lines = "\n".join(text.split("\n", skipped)[skipped:]) if skipped else text, lines[skipped:]
    if delimiter is None:
        delimiter = _find_delimiter(lines)
    if delimiter != " " and len({line.count(delimiter) for line in lines[:-1]}) > 1:
        text = _padded(text, delimiter)
    if delimiter == " ":  # columns are often aligned with several spaces
        text = "\n".join("\t".join(line.split()) for line in text.split("\n"))
        lines, delimiter = text.split("\n", 40)[:40], "\t"
    # Decimal commas need another delimiter: "1,5;2,5", never "1,5,2,5"
    _refuse_columns(path, lines[0].count(delimiter) + 1)  # a parser takes a while to make 100,000 columns
    cells = [[cell.strip().strip('"') for cell in line.split(delimiter)] for line in lines]
    is_comma = delimiter != "," and any(re.fullmatch(r"[+-]?\d+,\d+", c) for row in cells[1:] for c in row)
    header = _header(cells[0], is_comma)
    try:
        table = pyarrow.csv.read_csv(
            io.BytesIO(text.encode()),
            pyarrow.csv.ReadOptions(
                use_threads=False,
                autogenerate_column_names=header is None,
                # One block for the whole file: types are those of all rows, not of the first megabyte
                block_size=max(2**20, min(2**31 - 1, len(text) + 1)),
            ),
            pyarrow.csv.ParseOptions(delimiter=delimiter),
            pyarrow.csv.ConvertOptions(
                decimal_point="," if is_comma else ".",
                null_values=["", "NaN", "nan", "NA", "N/A", "n/a", "null", "NULL", "#N/A", "-nan"],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowException as error:
        raise ValueError(f"{path.name} cannot be read as a table: {error}") from None
    names = header or [f"EEG {i + 1:03d}" for i in range(table.num_columns)]
    return _checked(path, table.rename_columns(names))


def _padded(text: str, delimiter: str) -> str:
    """Add the empty cells that a program leaves out at the end of most rows, as Mind Monitor does.

    A column that most rows have is needed in all of them: a row that ends before it is damaged.
    """
    lines = text.split("\n")
    counts = np.array([line.count(delimiter) for line in lines])
    most, needed = int(counts[0]), int(np.median(counts))
    if needed >= most or counts.max() > most or counts.min() < needed:
        return text
    return "\n".join(line + delimiter * (most - n) for line, n in zip(lines, counts.tolist(), strict=True))


def _refuse_columns(path: Path, number: int) -> None:
    """Refuse a table with more columns than a recording has channels."""
    if number > _MAX_CHANNELS:
        raise ValueError(
            f"{path.name} has {number} columns, expected one per channel and at most {_MAX_CHANNELS}: "
            "transpose it"
        )


def _checked(path: Path, table: pa.Table) -> dict[str, np.ndarray | pa.ChunkedArray]:
    """Refuse tables of other content; return numbers as arrays, dates and times as they are."""
    if table.num_rows < table.num_columns and table.num_columns > 32:
        raise ValueError(
            f"{path.name} has {table.num_rows} rows and {table.num_columns} columns: expected one row per "
            "sample and one column per channel; transpose it"
        )
    _refuse_columns(path, table.num_columns)
    if table.num_rows < 2:
        raise ValueError(f"{path.name} is not a table of samples: it has {table.num_rows} rows")
    # OpenBCI names several unused columns "Other"
    table = table.select([i for i, name in enumerate(table.column_names) if name != "Other"])
    twice = [name for name, n in Counter(table.column_names).items() if n > 1 and name]
    if twice:
        raise ValueError(f"{path.name} has columns of the same name: {', '.join(twice[:5])}")
    columns: dict[str, np.ndarray | pa.ChunkedArray] = {}
    text = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if pa.types.is_null(kind) and (not name or parse_channel(name).name not in template_positions()):
            continue  # a delimiter at the end of every line, or a column of marks without any
        if pa.types.is_boolean(kind) or pa.types.is_null(kind) or pa.types.is_decimal(kind):
            column, kind = column.cast(pa.float64()), pa.float64()
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            columns[name] = column.cast(pa.float64(), safe=False).to_numpy()
        elif pa.types.is_temporal(kind) or (
            pa.types.is_string(kind) and 2 * column.null_count > table.num_rows
        ):
            columns[name] = column
        elif not (_TIME_NAME.fullmatch(name) and len(table.column_names) > 1):
            text.append(f"{name or '(no name)'} ({str(column[0])[:20]!r})")
    if text:
        raise ValueError(f"{path.name} has columns without numbers: {', '.join(text[:5])}; remove them")
    return columns


def _take_marks(columns: dict[str, np.ndarray | pa.ChunkedArray]) -> list[tuple[int, str]]:
    """Remove columns of text, and rows of nothing else; return (sample, text) of each cell."""
    found = {
        n: c for n, c in columns.items() if isinstance(c, pa.ChunkedArray) and pa.types.is_string(c.type)
    }
    texts = [column.to_pylist() for column in found.values()]
    for name in found:
        del columns[name]
    samples = [c for n, c in columns.items() if isinstance(c, np.ndarray) and not _TIME_NAME.fullmatch(n)]
    if not texts or not samples:
        return []
    # A row with text and without any sample is a mark between two samples, and no time passes in it
    is_marked = np.array([any(row) for row in zip(*texts, strict=True)])
    is_sample = ~(is_marked & np.isnan(samples).all(axis=0))
    places: np.ndarray = np.cumsum(is_sample) - is_sample  # a mark between two samples is at the second
    marks = [
        (int(places[row]), text) for column in texts for row, text in enumerate(column) if text is not None
    ]
    for name, column in columns.items():
        columns[name] = column[is_sample] if isinstance(column, np.ndarray) else column.filter(is_sample)
    return marks


def _take_times(
    columns: dict[str, np.ndarray | pa.ChunkedArray],
) -> tuple[np.ndarray | None, list[int]]:
    """Remove columns of times and sample numbers.

    Returns:
        The first column of times as numbers, and the samples before which the numbers skip some.
    """
    times, losses = None, []
    for name in list(columns):
        column = columns[name]
        is_clock = isinstance(column, pa.ChunkedArray)
        values = pc.cast(_as_integer(column), pa.float64(), safe=False).to_numpy() if is_clock else column
        if is_clock or (len(columns) > 1 and _TIME_NAME.fullmatch(name)):
            if times is None and np.isfinite(values).all() and values[-1] != values[0]:
                times = values
            del columns[name]
        elif len(columns) > 1 and _COUNTER_NAME.fullmatch(name) and (step := _step_of(values)):
            losses += _skipped(values, step)
            del columns[name]
    return times, losses


def _as_integer(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert dates and times of day to nanoseconds."""
    kind = column.type
    if pa.types.is_date(kind):
        column, kind = column.cast(pa.timestamp("ms")), pa.timestamp("ms")
    if pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("ns", tz=kind.tz), safe=False)
    elif pa.types.is_time(kind):
        column = column.cast(pa.time64("ns"))
    elif pa.types.is_duration(kind):
        column = column.cast(pa.duration("ns"))
    return column.cast(pa.int64())


def _step_of(values: np.ndarray) -> int:
    """Return by how much a counter of rows or packets usually advances; 0 if a column is none."""
    steps = np.diff(values)
    moves = steps[steps != 0]
    if not np.isfinite(values).all() or (steps % 1).any() or 3 * len(moves) < len(steps):
        return 0
    sizes, numbers = np.unique(moves, return_counts=True)
    step = int(sizes[np.argmax(numbers)])
    return step if step > 0 and 2 * numbers.max() > len(moves) else 0


def _skipped(values: np.ndarray, step: int) -> list[int]:
    """Return the rows at which a counter skips numbers; those of headsets wrap around, for example at 255."""
    steps = np.diff(values)
    if (steps < 0).any():
        steps = steps % (values.max() - values.min() + step)
    return (np.flatnonzero(steps > step) + 1).tolist()


def _rate_of(times: np.ndarray) -> tuple[float, float]:
    """Return the rate of times in seconds, by the mean and by the median step."""
    steps = np.diff(times)
    median = float(np.median(steps))
    mean = (len(times) - 1) / float(times[-1] - times[0])
    return mean, 1 / median if median > 0 else mean


def _compare_times(path: Path, times: np.ndarray, rate: float) -> list[int]:
    """Check times, in any unit, against the stated rate; return the samples before which they jump."""
    for per_second in (1.0, 1e3, 1e6, 1e9):
        if any(abs(found * per_second / rate - 1) < _RATE_TOLERANCE for found in _rate_of(times)):
            steps = np.diff(times) / per_second
            if steps.min() < -_MIN_GAP_SECONDS:
                row = int(np.argmin(steps)) + 2
                raise ValueError(f"{path.name} is not in order of time: its times go back at row {row}")
            period = float(np.median(steps)) or 1 / rate
            # A clock without steps that make up for others is regular: then a single lost sample shows
            is_regular = (steps < 0.5 * period).mean() < _IRREGULAR_SHARE
            least = 1.75 * period if is_regular else _MIN_GAP_SECONDS + 1 / rate
            jumps: list[int] = (np.flatnonzero(steps > least) + 1).tolist()
            return jumps
    mean, median = _rate_of(times)
    raise ValueError(
        f"{path.name} contradicts {rate:g} Hz: its times advance at {mean:.4g} samples per unit of time "
        f"(median step: {median:.4g}), expected {rate:g} for seconds or {rate / 1e3:g} for milliseconds"
    )


def _read(path: Path) -> str:
    """Read a text file with any of the common encodings and line endings."""
    content = path.read_bytes()
    if not content:
        raise ValueError(f"{path.name} is empty")
    text = decode_text(content)
    if "\0" in text:
        raise ValueError(f"{path.name} is not a text file: it starts with {content[:16]!r}")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _without_comments(text: str) -> str:
    """Drop comment lines and empty lines."""
    text = text.strip("\n \ufeff")
    if not any(f"\n{sign}" in f"\n{text}" for sign in _COMMENTS) and "\n\n" not in text:
        return text
    kept = [line for line in text.split("\n") if line.strip() and not line.lstrip().startswith(_COMMENTS)]
    return "\n".join(kept)


def _lines_before_names(lines: list[str]) -> int:
    """Count the lines above a table's header: their number of cells differs from that of all other lines."""
    for sign in ("\t", ";", ","):
        counts = [line.count(sign) for line in lines[:-1]]
        first = next((i for i, count in enumerate(counts) if set(counts[i:]) == {count}), None)
        if first == 0 and counts[0]:
            return 0  # commas further to the right are decimal commas
        first = first or 0
        named = [cell.strip().strip('"') for cell in lines[first].split(sign)]
        if 0 < first < len(counts) - 1 and counts[first] and not any(map(_NUMBER.fullmatch, named)):
            return first
    return 0


def _find_delimiter(lines: list[str]) -> str:
    """Return the character that splits all lines into the same number of cells, more than one."""
    for candidate in ("\t", ";", ",", "|"):
        counts = {line.count(candidate) for line in lines[:-1]}
        if counts != {0} and len(counts) == 1:
            return candidate
    for candidate in ("\t", ";", ","):  # rows may end before their last cells
        counts = {line.count(candidate) for line in lines[:-1]}
        if min(counts) > 0 and max(counts) == lines[0].count(candidate):
            return candidate
    is_spaced = any(len(line.split()) > 1 for line in lines[1:])
    has_commas = any("," in line and ", " not in line for line in lines[1:])
    return " " if is_spaced and not has_commas else ","


def _header(cells: list[str], is_comma: bool) -> list[str] | None:
    """Return the names in the first line; None where it is a sample."""
    numbers = [cell.replace(",", ".") if is_comma else cell for cell in cells]
    if not all(_NUMBER.fullmatch(cell) for cell in numbers):
        return cells
    counted = len(cells) > 2 and cells == [str(i) for i in range(len(cells))]  # pandas' default names
    return [f"EEG {i + 1:03d}" for i in range(len(cells))] if counted else None


__all__ = ["read_table"]
