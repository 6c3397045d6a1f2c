# SPDX-License-Identifier: Apache-2.0
"""The table of codecs, as a user makes it."""

import json

import numpy as np
import pytest
import torch

from eeg_hf import EEGFeatureExtractor, EEGFSQConfig, EEGFSQModel
from eeg_hf.corpora import Simulated, prepare
from tests.commands import fail_command, run_command

TINY = {"patch_size": 128, "hidden_dims": [8], "levels": [5, 5, 5]}


def save_codec(folder, prepared, seed=0, **settings):
    torch.manual_seed(seed)
    EEGFSQModel(EEGFSQConfig(**{**TINY, **settings})).save_pretrained(folder)
    EEGFeatureExtractor.from_pretrained(prepared).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def codecs(prepared, tmp_path_factory):
    folder = tmp_path_factory.mktemp("codecs")
    for seed in (0, 1):
        save_codec(folder / f"mlp-{seed}", prepared, seed)
    save_codec(
        *(folder / "conditioned", prepared),
        **{"codes_per_patch": 3, "use_conditioning": True, "sampling_rate": None, "activation": "snake"},
    )
    return folder


@pytest.fixture(scope="module")
def results(prepared, codecs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    printed = run_command(
        "evaluate",
        *("--data", prepared, "--output_dir", folder),
        *("--codecs", f"plain={codecs}/mlp-*", f"conditioned={codecs}/conditioned"),
    )
    return folder, printed, json.loads((folder / "metrics.json").read_text())


def test_codecs_stand_beside_pca_and_flac_at_their_bits(results):
    _, printed, written = results
    rows = {row["codec"]: row for row in written["results"] if row["architecture"] != "PCA"}
    assert set(rows) == {"plain", "conditioned", "FLAC, lossless"}
    bits = 3 * np.log2(5) * 200 / 128
    assert rows["plain"]["bits_per_second"] == pytest.approx(bits)
    assert rows["conditioned"]["bits_per_second"] == pytest.approx(3 * bits)
    assert rows["conditioned"]["is_conditioned"] and rows["conditioned"]["activation"] == "snake"
    # 2 s windows, of which 3 patches of 128 samples are whole
    assert rows["plain"]["side_bits_per_second"] == pytest.approx(32 / (384 / 200))
    assert 200 < rows["FLAC, lossless"]["bits_per_second"] < 16 * 200 * 1.01
    pca = sorted(row["bits_per_second"] for row in written["results"] if row["architecture"] == "PCA")
    assert [bits - 1 < pca[0] <= bits, 3 * bits - 1 < pca[1] <= 3 * bits] == [True, True]
    assert "| plain |" in printed and "| FLAC, lossless |" in printed


def test_without_a_split_all_windows_are_tested_and_pca_is_not_there(prepared, codecs, tmp_path):
    options = ("--data", prepared, "--split", "none", "--output_dir", tmp_path)
    run_command("evaluate", *options, "--codecs", f"plain={codecs}/mlp-0")
    rows = json.loads((tmp_path / "metrics.json").read_text())["results"]
    assert {row["architecture"] for row in rows} == {"mlp", "FLAC"}
    assert {row["num_subjects"] for row in rows} == {6}


def test_every_metric_is_measured(results):
    for row in results[2]["results"]:
        if row["architecture"] == "FLAC":
            assert row["metrics"] == {}
            continue
        found = row["metrics"]
        assert 0 < found["nrmse_std"]["mean"] < 5 and -1 <= found["correlation"]["mean"] <= 1
        assert {"snr", "psnr", "ssim", "delta_error", "gamma_error"} <= set(found)
        assert ("codebook_usage" in found) == (row["architecture"] == "mlp")


def test_runs_that_differ_in_their_seed_are_one_row(results):
    row = next(row for row in results[2]["results"] if row["codec"] == "plain")
    values = row["metrics"]["correlation"]["values"]
    assert row["seeds"] == len(values) == 2 and values[0] != values[1]
    assert row["metrics"]["correlation"]["mean"] == pytest.approx(np.mean(values))


def test_pca_beats_weights_nobody_trained(results):
    correlations = {row["architecture"]: [] for row in results[2]["results"]}
    for row in results[2]["results"]:
        if row["metrics"]:
            correlations[row["architecture"]].append(row["metrics"]["correlation"]["mean"])
    assert min(correlations["PCA"]) > max(correlations["mlp"])


def test_report_and_picture_are_left(results):
    folder, _, written = results
    assert (folder / "rate_distortion.png").read_bytes().startswith(b"\x89PNG")
    assert "![Reconstruction against bit rate" in (folder / "report.md").read_text()
    about = written["provenance"]
    assert about["dataset"] == "simulated, 200 Hz" and about["split"] == "official split"
    assert about["seeds"] == [0, 1] and "chance" not in about


def test_a_codec_of_several_rates_has_a_table_for_each(prepared, codecs, tmp_path):
    corpus = Simulated(num_subjects=6, seconds=20)
    slow = tmp_path / "slow"
    extractor = EEGFeatureExtractor(sampling_rate=160, window_seconds=2.0)
    prepare(corpus, slow, extractor)
    printed = run_command(
        "evaluate",
        *("--data", prepared, slow, "--output_dir", tmp_path / "table"),
        *("--split", "fold", "--num_folds", "2", "--num_validation_subjects", "1"),
        *("--codecs", f"conditioned={codecs}/conditioned"),
    )
    assert "**simulated, 160 Hz**" in printed and "**simulated, 200 Hz**" in printed
    rows = json.loads((tmp_path / "table/metrics.json").read_text())["results"]
    rates = {row["sampling_rate"]: row["bits_per_second"] for row in rows if row["architecture"] == "mlp"}
    assert rates[160] / rates[200] == pytest.approx(0.8)
    for row in rows:
        if row["metrics"]:  # three subjects are tested, of whom the interval is
            low, high = row["metrics"]["correlation"]["interval"]
            assert row["num_subjects"] == 3 and low < row["metrics"]["correlation"]["mean"] < high


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "expected --label_column (classifiers) or --codecs (codecs), got neither"),
        (("--codecs", "a=b", "--label_column", "condition"), "got both"),
        (("--codecs", "a=b", "--folds", "5"), "--folds: for classifiers only"),
        (("--codecs", "a=nowhere/*"), "codecs: nothing matches 'nowhere/*', expected name=path"),
        (("--codecs", "all={codecs}/*"), "differ in more than the seed"),
        (("--codecs", "fast={other}"), "trained at 256 Hz, got simulated, 200 Hz"),
        (
            ("--label_column", "condition", "--data", "x", "y"),
            "expected one corpus to compare classifiers on",
        ),
    ],
)
def test_what_cannot_be_compared_ends_with_one_line(prepared, codecs, tmp_path, options, message):
    other = save_codec(tmp_path / "other", prepared, sampling_rate=256.0)
    words = [word.format(codecs=codecs, other=other) for word in options]
    line = fail_command("evaluate", "--data", prepared, "--output_dir", tmp_path / "table", *words)
    assert message in line
