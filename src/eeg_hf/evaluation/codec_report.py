# SPDX-License-Identifier: Apache-2.0
"""Codecs as Markdown tables: one for each corpus, sorted by rate, the best of each rate bold."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..tables import NOTHING, escape_cell, markdown_table
from .codec_metrics import BANDS_HZ, rate_metrics
from .report import format_count, format_summary, write_sections

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
"""Name -> title, whether lower (1), higher (-1) or neither (0) is better, and decimals."""


@dataclass(frozen=True)
class CodecRow:
    """One codec on the test part of one corpus.

    Attributes:
        codec: Name of the codec.
        corpus: Corpus and rate, such as "EEGMAT, 200 Hz".
        sampling_rate: Sampling rate of the signals in Hz.
        bits_per_second: Bits of one channel, without the side information.
        budget_bits_per_second: Allowed bits: codecs of one budget are compared with one another.
        side_bits_per_second: Bits of one channel for location and scale of each window.
        metrics: Summary of each metric over the seeds; empty for a lossless codec.
        num_subjects: Number of tested subjects.
        num_windows: Number of tested windows.
        architecture: Such as "mlp"; "PCA" and "FLAC" are baselines.
        activation: Nonlinearity.
        is_conditioned: Whether the codec is conditioned on the sampling rate.
        seeds: Number of trainings.
        parameters: Number of parameters.
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
        """Ratio of 16 bits per sample to the codec's bits, without the side information."""
        return rate_metrics(self.bits_per_second, self.sampling_rate)["compression_ratio"]

    @property
    def total_compression_ratio(self) -> float:
        """Ratio of 16 bits per sample to the codec's bits, with the side information."""
        return rate_metrics(self.bits_per_second, self.sampling_rate, self.side_bits_per_second)[
            "compression_ratio"
        ]


def group_by_rate(rows: Sequence[CodecRow]) -> list[list[CodecRow]]:
    """Return the rows of one corpus grouped by rate, and within a rate the best correlation first.

    Rates less than 2 % apart are one rate: the levels of two codecs hardly ever multiply to the same number.
    """
    groups: list[list[CodecRow]] = []
    for row in sorted(rows, key=lambda row: row.budget_bits_per_second):
        if groups and row.budget_bits_per_second < 1.02 * groups[-1][0].budget_bits_per_second:
            groups[-1].append(row)
        else:
            groups.append([row])
    return [sorted(group, key=lambda row: (_goodness(row, "correlation", -1), row.codec)) for group in groups]


def codecs_table(rows: Sequence[CodecRow]) -> str:
    """Return a Markdown table for each corpus; the best codec of each rate is bold.

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
        folder: Where to write; created if missing.
        rows: Results in any order.
        provenance: See [`collect_provenance`].
        figures: Path of each figure by its caption.
        title: Heading of the report.
    """
    ratios = ("compression_ratio", "total_compression_ratio")
    results = [{**asdict(row), **{name: getattr(row, name) for name in ratios}} for row in rows]
    sections = [f"# {title}", _READING_GUIDE, codecs_table(rows).rstrip()]
    write_sections(Path(folder), results, sections, provenance, figures or {})


_READING_GUIDE = (
    "Bits/s are of one channel, in codes of fixed length; the ratio is against 16 bits a sample, in brackets "
    "with the side information: location and scale of each channel and window, 16 bits each. All metrics are "
    "means over the channels of all windows of unseen subjects. The error of a band is the power of the "
    "error in it over that of the signal: 0 is perfect, 1 is a band that was left out. ± is the "
    "population standard deviation over seeds, brackets behind a correlation are a 95 % interval over "
    "subjects. Reachable is the share of the codes that as many tokens would hit if all were equally likely. "
    "PCA is fitted to the training subjects at the bits of the codecs beside it, or the most below that "
    "whole levels allow. FLAC codes the concatenated windows of each channel and recording, scaled to the "
    "whole range of 16 bits."
)


def _goodness(row: CodecRow, metric: str, direction: int) -> float:
    """Return a metric times its direction; infinity, the worst, where it is undefined."""
    value = row.metrics[metric]["mean"] if metric in row.metrics else math.nan
    return math.inf if math.isnan(value) else direction * value


def _cells(row: CodecRow, peers: Sequence[CodecRow]) -> dict[str, str]:
    """Return the cells of a row by column title, the best of its rate bold."""
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
