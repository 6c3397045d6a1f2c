# SPDX-License-Identifier: Apache-2.0
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from eeg_hf.evaluation.codec_plots import plot_rate_distortion
from eeg_hf.evaluation.codec_report import CodecRow, codecs_table, group_by_rate, write_codec_report
from eeg_hf.evaluation.metrics import aggregate_folds


def row(codec, bits_per_second=50.0, correlations=(0.9,), snr=6.0, architecture="mlp", **facts):
    seeds = [
        {"correlation": correlation, "snr": snr, "nrmse_std": math.sqrt(1 - correlation**2)}
        for correlation in correlations
    ]
    facts = {"budget_bits_per_second": bits_per_second, "side_bits_per_second": 6.25, **facts}
    return CodecRow(
        codec=codec,
        corpus=facts.pop("corpus", "simulated, 200 Hz"),
        sampling_rate=200.0,
        bits_per_second=bits_per_second,
        metrics=aggregate_folds(seeds) if seeds else {},
        num_subjects=4,
        num_windows=1200,
        architecture=architecture,
        seeds=max(len(seeds), 1),
        **facts,
    )


PCA = row("PCA", 49.8, [0.86], 5.9, "PCA", budget_bits_per_second=50.0)
FLAC = row("FLAC, lossless", 1900.0, [], architecture="FLAC")


def cells(table, codec):
    """The cells of one row by the titles of their columns."""
    lines = [[cell.strip() for cell in line.split(" | ")] for line in table.splitlines() if "|" in line]
    lines = [[line[0].removeprefix("| "), *line[1:-1], line[-1].removesuffix(" |")] for line in lines]
    (found,) = [line for line in lines if codec in line]
    return dict(zip(lines[0], found, strict=True))


def test_ratios_are_those_of_16_bits():
    assert PCA.compression_ratio == pytest.approx(16 * 200 / 49.8)
    assert PCA.total_compression_ratio == pytest.approx(16 * 200 / 56.05)


def test_a_rate_is_one_where_codes_make_almost_the_same_bits():
    rows = [row("c", 200.0), PCA, FLAC, row("a", 50.5, [0.8]), row("b", 50.0, [0.9])]
    names = [[found.codec for found in group] for group in group_by_rate(rows)]
    assert names == [["b", "PCA", "a"], ["c"], ["FLAC, lossless"]]


def test_the_best_of_each_rate_is_bold_and_one_alone_is_not():
    rows = [row("ours", 50.0, [0.9, 0.94]), PCA, row("dear", 200.0, [0.99]), FLAC]
    table = codecs_table(rows)
    ours, pca, dear, flac = (cells(table, name) for name in ("ours", "PCA", "dear", "FLAC, lossless"))
    assert ours["Correlation"] == "**0.920 ± 0.020**" and ours["SNR (dB)"] == "**6.00 ± 0.00**"
    assert pca["Correlation"] == "0.860" and pca["Ratio"] == "64.3 (57.1)"
    assert dear["Correlation"] == "0.990"
    assert flac["Correlation"] == "–" and flac["Ratio"] == "1.7 (1.7)"
    assert "**simulated, 200 Hz** (4 subjects, 1,200 windows)" in table


def test_less_error_is_better_and_nan_is_never_best():
    broken = replace(PCA, codec="broken", metrics={**PCA.metrics, "snr": {"mean": math.nan, "sd": math.nan}})
    table = codecs_table([row("ours"), broken])
    assert cells(table, "ours")["NRMSE (std)"].startswith("**")
    assert cells(table, "ours")["SNR (dB)"] == "**6.00**" and cells(table, "broken")["SNR (dB)"] == "–"


def test_columns_in_which_nobody_has_anything_are_left_out():
    table = codecs_table([row("ours"), PCA])
    assert "Perplexity" not in table and "Parameters" not in table
    used = row("ours", parameters=596_700, activation="snake", is_conditioned=True)
    used.metrics["codebook_perplexity"] = {"mean": 12345.6, "sd": 0.0, "values": [12345.6]}
    found = cells(codecs_table([used, PCA]), "ours")
    assert found["Perplexity"] == "12346" and found["Parameters"] == "596.7 k"
    assert (found["Activation"], found["Conditioned"], found["Seeds"]) == ("snake", "yes", "1")


def test_an_interval_stands_behind_the_correlation():
    bounded = replace(PCA, metrics={**PCA.metrics, "correlation": dict(PCA.metrics["correlation"])})
    bounded.metrics["correlation"]["interval"] = (0.81, 0.9)
    assert cells(codecs_table([bounded]), "PCA")["Correlation"] == "0.860 [0.810, 0.900]"


def test_every_corpus_has_its_table():
    table = codecs_table([row("a"), row("b", corpus="bonn, 173.61 Hz")])
    assert table.index("**bonn") < table.index("| b |") < table.index("**simulated") < table.index("| a |")


def test_the_report_holds_rows_figures_and_provenance(tmp_path):
    rows = [row("ours"), PCA, FLAC]
    picture = tmp_path / "rate.png"
    write_codec_report(tmp_path, rows, {"dataset": "simulated", "commit": None}, {"Rates": picture})
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["provenance"]["dataset"] == "simulated"
    assert [found["codec"] for found in written["results"]] == ["ours", "PCA", "FLAC, lossless"]
    assert written["results"][0]["compression_ratio"] == 64.0
    report = (tmp_path / "report.md").read_text()
    assert "![Rates](rate.png)" in report and "- commit: unknown" in report and "| PCA |" in report


def test_the_picture_shows_gain_over_pca_at_the_same_rate(tmp_path):
    rows = [row("ours", activation="relu"), PCA, FLAC, row("dear", 200.0, [0.98], 14.0, activation="relu")]
    figure = plot_rate_distortion(rows, "Held out", tmp_path / "rate.png")
    correlation, gain = figure.axes
    lines = {container.get_label(): container.lines[0] for container in correlation.containers}
    assert lines["mlp, relu"].get_xydata() == pytest.approx(np.array([[50, 0.9], [200, 0.98]]))
    assert lines["PCA"].get_xydata() == pytest.approx(np.array([[49.8, 0.86]]))
    gains = {container.get_label(): container.lines[0].get_xydata() for container in gain.containers}
    assert gains["mlp, relu"] == pytest.approx(np.array([[50, 0.1]]))  # 200 bits/s have no PCA beside them
    assert gains["PCA"] == pytest.approx(np.array([[49.8, 0.0]]))
    labels = [label.get_text() for label in correlation.get_xticklabels()]
    assert labels == ["50.0\n64×", "200\n16×", "1,900\n1.7×"]
    assert (tmp_path / "rate.png").read_bytes().startswith(b"\x89PNG")


def test_kinds_of_codecs_are_told_apart():
    kinds = [
        row(
            f"{architecture}{activation}{told}",
            architecture=architecture,
            activation=activation,
            is_conditioned=told,
        )
        for architecture in ("mlp", "conv")
        for activation in ("relu", "snake")
        for told in (False, True)
    ]
    axes = plot_rate_distortion([*kinds, PCA]).axes[0]
    looks = {
        (line.get_color(), line.get_marker(), line.get_linestyle())
        for line in (container.lines[0] for container in axes.containers)
    }
    assert len(looks) == 9


def test_nothing_to_draw_is_refused():
    with pytest.raises(ValueError, match="at least one codec with metrics, got none"):
        plot_rate_distortion([FLAC])
