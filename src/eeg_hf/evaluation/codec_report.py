# SPDX-License-Identifier: Apache-2.0
"""Codecs as a table: one table a corpus, rows in the order of their rate, the best of each rate bold."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic_files import write_text
from ..tables import NOTHING, escape_cell, markdown_table
from .codec_metrics import BANDS_HZ, rate_metrics
from .report import format_count, format_summary, provenance_lines, write_json

if TYPE_CHECKING:
    from .metrics import MetricSummary

METRICS: Mapping[str, tuple[str, int, int]] = {
    "nrmse_std": ("NRMSE (std)", 1, 3),
    "correlation": ("Correlation", -1, 3),
    "snr": ("SNR (dB)", -1, 2),
    **{f"{band}_error": (f"{band.capitalize()} error", 1, 3) for band in BANDS_HZ},
    "codebook_usage": ("Codes used", 0, 3),
    "codebook_usage_reachable": ("Reachable", 0, 3),
    "codebook_perplexity": ("Perplexity", 0, 0),
}
"""Name -> title, whether less (1) or more (-1) is better or neither (0), and decimals."""


@dataclass(frozen=True)
class CodecRow:
    """One codec on the test part of one corpus.

    Attributes:
        codec: Its name.
        corpus: What it was measured on, such as "EEGMAT, 200 Hz".
        sampling_rate: Rate of the signals in Hz.
        bits_per_second: Of one channel, without the side information.
        budget_bits_per_second: What it was allowed: codecs of one budget are compared with one another.
        side_bits_per_second: Of one channel: location and scale of each window.
        metrics: Summary of each metric over the seeds; empty for a lossless one.
        num_subjects: Number of people tested.
        num_windows: Number of windows tested.
        architecture: Such as "mlp"; "PCA" and "FLAC" are references.
        activation: Its nonlinearity.
        is_conditioned: Whether it is told the sampling rate.
        seeds: How many trainings the metrics are of.
        parameters: Numbers that it consists of.
    """

    codec: str
    corpus: str
    sampling_rate: float
    bits_per_second: float
    budget_bits_per_second: float
    side_bits_per_second: float
    metrics: "Mapping[str, MetricSummary]"
    num_subjects: int
    num_windows: int
    architecture: str
    activation: str | None = None
    is_conditioned: bool | None = None
    seeds: int = 1
    parameters: int | None = None

    @property
    def compression_ratio(self) -> float:
        """How many times less than 16 bits a sample, without the side information."""
        return rate_metrics(self.bits_per_second, self.sampling_rate)["compression_ratio"]

    @property
    def total_compression_ratio(self) -> float:
        """How many times less than 16 bits a sample, with the side information."""
        return rate_metrics(self.bits_per_second, self.sampling_rate, self.side_bits_per_second)[
            "compression_ratio"
        ]


def group_by_rate(rows: Sequence[CodecRow]) -> list[list[CodecRow]]:
    """Return the rows of one corpus by their rate, and within a rate the best correlation first.

    Rates less than 2 % apart are one: no levels of two codecs multiply to the same number of codes.
    """
    groups: list[list[CodecRow]] = []
    for row in sorted(rows, key=lambda row: row.budget_bits_per_second):
        if groups and row.budget_bits_per_second < 1.02 * groups[-1][0].budget_bits_per_second:
            groups[-1].append(row)
        else:
            groups.append([row])
    return [sorted(group, key=lambda row: (_goodness(row, "correlation", -1), row.codec)) for group in groups]


def codecs_table(rows: Sequence[CodecRow]) -> str:
    """Return one Markdown table a corpus; the best codec of each rate is bold.

    Several seeds are written as mean ± population standard deviation, intervals over subjects in brackets.

    Args:
        rows: Results in any order.
    """
    tables = []
    for corpus in sorted({row.corpus for row in rows}):
        groups = group_by_rate([row for row in rows if row.corpus == corpus])
        lines = [_cells(row, group) for group in groups for row in group]
        table = markdown_table(lines, texts=("Codec", "Architecture", "Activation", "Conditioned"))
        first = groups[0][0]
        tested = f"{first.num_subjects} subjects, {first.num_windows:,} windows"
        tables.append(f"**{escape_cell(corpus)}** ({tested})\n\n{table}")
    return "\n\n".join(tables) + "\n"


def write_codec_report(
    folder: str | Path,
    rows: Sequence[CodecRow],
    provenance: Mapping[str, Any],
    figures: Mapping[str, str | Path] | None = None,
    title: str = "Codecs",
) -> None:
    """Write `report.md` and `metrics.json`.

    Args:
        folder: Where to; made if it is not there.
        rows: Results in any order.
        provenance: See [`collect_provenance`].
        figures: Path of each picture by its caption.
        title: Heading of the report.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ratios = ("compression_ratio", "total_compression_ratio")
    results = [{**asdict(row), **{name: getattr(row, name) for name in ratios}} for row in rows]
    write_json(folder / "metrics.json", {"provenance": dict(provenance), "results": results})
    sections = [f"# {title}", _READING_GUIDE, codecs_table(rows).rstrip()]
    for caption, path in (figures or {}).items():
        sections.append(f"![{caption}]({Path(os.path.relpath(path, folder)).as_posix()})\n\n*{caption}*")
    sections.append("## Provenance\n\n" + "\n".join(provenance_lines(provenance)))
    write_text(folder / "report.md", "\n\n".join(sections) + "\n")


_READING_GUIDE = (
    "Bits/s are of one channel, in codes of fixed length; the ratio is against 16 bits a sample, in brackets "
    "with the side information: location and scale of each channel and window, 16 bits each. All metrics are "
    "means over the channels of all windows of subjects nobody trained on. The error of a band is the power "
    "of the error in it over that of the signal: 0 is perfect, 1 is a band that was left out. ± is the "
    "population standard deviation over seeds, brackets behind a correlation are a 95 % interval over "
    "subjects. Reachable is the share of the codes that as many tokens would hit if all were equally likely. "
    "PCA is fitted to the training subjects at the bits of the codecs beside it, or the most below that "
    "whole levels make. FLAC codes the stored windows of each channel and recording, put together; each "
    "of them is scaled to the whole range of 16 bits."
)


def _goodness(row: CodecRow, metric: str, direction: int) -> float:
    """Return a metric times its direction, and infinity, the worst, where it is undefined."""
    value = row.metrics[metric]["mean"] if metric in row.metrics else math.nan
    return math.inf if math.isnan(value) else direction * value


def _cells(row: CodecRow, peers: Sequence[CodecRow]) -> dict[str, str]:
    """Return the cells of a row by the titles of their columns, the best of its rate bold."""
    cells = {
        "Bits/s": f"{row.bits_per_second:.1f}",
        "Ratio": f"{row.compression_ratio:.1f} ({row.total_compression_ratio:.1f})",
        "Codec": escape_cell(row.codec),
        "Architecture": row.architecture,
        "Activation": row.activation or NOTHING,
        "Conditioned": {None: NOTHING, True: "yes", False: "no"}[row.is_conditioned],
    }
    for name, (title, direction, decimals) in METRICS.items():
        cell = format_summary(row.metrics.get(name, {}), decimals)
        best = min(_goodness(peer, name, direction) for peer in peers)
        is_best = bool(direction) and len(peers) > 1 and _goodness(row, name, direction) == best < math.inf
        cells[title] = f"**{cell}**" if is_best else cell
    return {
        **cells,
        "Seeds": str(row.seeds) if row.activation else NOTHING,
        "Parameters": NOTHING if row.parameters is None else format_count(row.parameters),
    }
