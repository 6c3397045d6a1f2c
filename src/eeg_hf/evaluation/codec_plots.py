# SPDX-License-Identifier: Apache-2.0
"""The rate-distortion picture of codecs, in the style of the other pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .codec_report import CodecRow, group_by_rate
from .plots import BLUE, GREEN, GREY, INK, VERMILION, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = {"mlp": BLUE, "conv": VERMILION, "PCA": GREY}
_MARKERS = {"relu": "o", "snake": "D", None: "s"}


def plot_rate_distortion(
    rows: Sequence[CodecRow], title: str | None = None, path: str | Path | None = None
) -> "Figure":
    """Draw what comes back against the bits it takes, and what is gained over PCA: a line a kind of codec.

    Each corpus is a row of two panels: the correlation, and the SNR above that of PCA at the same bits.
    Colours are architectures, marks are activations, dashed lines are conditioned on the sampling rate.

    Args:
        rows: Results in any order; a lossless code is a line upright at its rate.
        title: Heading of the picture.
        path: Where to save the picture.

    Raises:
        ValueError: If there is no codec to draw.
    """
    if not any(row.metrics for row in rows):
        raise ValueError("rows: expected at least one codec with metrics, got none")
    corpora = sorted({row.corpus for row in rows})
    with drawing(11.0, 1.3 + 3.6 * len(corpora), path) as figure:
        panels = figure.subplots(len(corpora), 2, squeeze=False)
        for corpus, line in zip(corpora, panels, strict=True):
            of_corpus = [row for row in rows if row.corpus == corpus]
            pca = _pca_snr(of_corpus)
            _draw_families(line[0], of_corpus, "correlation", {})
            _draw_families(
                line[1], [row for row in of_corpus if row.budget_bits_per_second in pca], "snr", pca
            )
            for axes in line:
                _draw_rates(axes, of_corpus)
            line[0].set(ylabel="Correlation", title=corpus)
            line[1].set(ylabel="SNR above PCA (dB)")
        for axes in panels[-1]:
            axes.set_xlabel("bits/s of one channel; times less than 16 bits a sample")
        handles = {
            label: handle
            for axes in panels[:, 0]
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        columns = min(len(handles), 4)
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns, fontsize=10)
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=13)
    return figure


def _pca_snr(rows: Sequence[CodecRow]) -> dict[float, float]:
    """Return the best SNR of PCA at each budget that has one."""
    found = {}
    for group in group_by_rate(rows):
        of_pca = [row.metrics["snr"]["mean"] for row in group if row.architecture == "PCA"]
        found.update({row.budget_bits_per_second: max(of_pca) for row in group if of_pca})
    return found


def _draw_families(
    axes: "Axes", rows: Sequence[CodecRow], metric: str, beside: Mapping[float, float]
) -> None:
    """Draw a line through the codecs that differ in nothing but their rate, less what stands beside them."""
    families: dict[tuple[Any, ...], list[CodecRow]] = {}
    for row in sorted(rows, key=lambda row: row.bits_per_second):
        if row.metrics:
            families.setdefault((row.architecture, row.activation, row.is_conditioned), []).append(row)
    for (architecture, activation, is_conditioned), family in families.items():
        parts = (architecture, activation, "conditioned" if is_conditioned else None)
        summaries = [row.metrics[metric] for row in family]
        axes.errorbar(
            [row.bits_per_second for row in family],
            [
                summary["mean"] - beside.get(row.budget_bits_per_second, 0.0)
                for row, summary in zip(family, summaries, strict=True)
            ],
            yerr=[summary["sd"] for summary in summaries],
            color=_COLORS.get(architecture, GREEN),
            marker=_MARKERS.get(activation, "v"),
            linestyle="--" if is_conditioned else "-",
            markerfacecolor="white" if is_conditioned else None,
            markersize=6,
            linewidth=1.8,
            capsize=3,
            label=", ".join(part for part in parts if part),
        )


def _draw_rates(axes: "Axes", rows: Sequence[CodecRow]) -> None:
    """Mark the rates that there are, and where nothing is lost."""
    ticks = {}
    for group in group_by_rate(rows):
        ratio = 16 * group[0].sampling_rate / group[0].budget_bits_per_second
        ticks[group[0].budget_bits_per_second] = f"{ratio:.{0 if ratio >= 10 else 1}f}×"
        if not group[0].metrics:
            axes.axvline(group[0].bits_per_second, color=INK, linewidth=1.2, linestyle=":")
            axes.annotate(
                f"{group[0].codec} ",
                (group[0].bits_per_second, 0.03),
                xycoords=axes.get_xaxis_transform(),
                ha="right",
                fontsize=10,
            )
    axes.set_xscale("log")
    labels = [f"{rate:,.{0 if rate >= 99.5 else 1}f}\n{ratio}" for rate, ratio in ticks.items()]
    axes.set_xticks(list(ticks), labels)
    axes.minorticks_off()
    axes.grid(axis="y")
