# SPDX-License-Identifier: Apache-2.0
import math

import evaluate
import numpy as np
import pytest
import torch
from scipy import stats
from skimage import metrics as sk
from torchmetrics import MeanAbsoluteError, PearsonCorrCoef
from torchmetrics.audio import SignalNoiseRatio

from eeg_hf.evaluation import (
    EEGCodecMetrics,
    ReconstructionMetrics,
    codebook_metrics,
    evaluate_codec_metric,
    rate_metrics,
    reconstruction_metrics,
)
from eeg_hf.evaluation.codec_metrics import BANDS_HZ

RATE = 200
WANG_2004 = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def random_windows(shape=(5, 3, 600), noise=0.4, seed=0):
    """Smooth signals of unequal loudness with an offset, and the same with noise."""
    random = np.random.default_rng(seed)
    original = random.normal(size=shape).cumsum(axis=-1) * 0.1 + random.normal(size=(*shape[:-1], 1))
    return original, original + noise * random.normal(size=shape)


def sines(*frequencies_hz, seconds=8, rate=RATE):
    """One window of one channel, the sum of sines of amplitude 1."""
    time = np.arange(seconds * rate) / rate
    return np.sum([np.sin(2 * np.pi * frequency * time) for frequency in frequencies_hz], axis=0)[None]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_each_channel_agrees_with_scikit_image_torchmetrics_and_scipy(dtype):
    original, reconstruction = (values.astype(dtype) for values in random_windows())
    snr, mae, pearson = SignalNoiseRatio(), MeanAbsoluteError(), PearsonCorrCoef()
    rows = []
    for window in zip(original.reshape(-1, 600), reconstruction.reshape(-1, 600), strict=True):
        truth, result = (row.astype(np.float64) for row in window)
        spread = np.ptp(truth)
        tensors = torch.tensor(result), torch.tensor(truth)
        mse = sk.mean_squared_error(truth, result)
        for module in (mae, pearson):
            module.reset()
        row = {
            "mse": mse,
            "mae": mae(*tensors).item(),
            "rmse": math.sqrt(mse),
            "nrmse_std": math.sqrt(mse) / truth.std(),
            "nrmse_range": sk.normalized_root_mse(truth, result, normalization="min-max"),
            "psnr": sk.peak_signal_noise_ratio(truth, result, data_range=spread),
            "ssim": sk.structural_similarity(truth, result, data_range=spread, **WANG_2004),
            "snr": snr(*tensors).item(),
            "correlation": pearson(*tensors).item(),
        }
        assert row["correlation"] == pytest.approx(stats.pearsonr(truth, result).statistic, abs=1e-6)
        rows.append(row)
    metrics = reconstruction_metrics(original, reconstruction, RATE)
    expected = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert metrics["ssim"] == pytest.approx(expected["ssim"], rel=1e-9)
    assert (metrics["num_channels"], metrics["num_undefined"]) == (15, 0)


def test_whoever_says_the_mean_has_an_nrmse_of_exactly_one():
    original, _ = random_windows()
    mean = np.broadcast_to(original.mean(axis=-1, keepdims=True), original.shape)
    metrics = reconstruction_metrics(original, mean, RATE)
    assert metrics["nrmse_std"] == 1.0
    assert (metrics["num_undefined"], metrics["alpha_power_ratio"]) == (15, pytest.approx(0))
    assert math.isnan(metrics["correlation"])


@pytest.mark.parametrize("noise", [0.1, 0.5, 2.0])
def test_noise_of_known_variance_has_its_snr_and_correlation(noise):
    random = np.random.default_rng(1)
    original = random.normal(size=(40, 5000))
    metrics = reconstruction_metrics(original, original + noise * random.normal(size=original.shape), RATE)
    assert metrics["snr"] == pytest.approx(-20 * math.log10(noise), abs=0.05)
    assert metrics["correlation"] == pytest.approx(1 / math.sqrt(1 + noise**2), abs=0.005)
    errors = {f"{band}_error": noise**2 for band in BANDS_HZ}
    assert {name: metrics[name] for name in errors} == pytest.approx(errors, rel=0.15)


def test_what_comes_back_exactly_has_no_error():
    original, _ = random_windows()
    metrics = reconstruction_metrics(original, original, RATE)
    assert (metrics["mse"], metrics["snr"], metrics["psnr"]) == (0, math.inf, math.inf)
    assert (metrics["correlation"], metrics["ssim"], metrics["gamma_power_ratio"]) == pytest.approx((1, 1, 1))


def test_an_alpha_rhythm_that_is_smoothed_away_is_an_error_in_alpha_alone():
    original, without_alpha = sines(2, 6, 10, 20, 38), sines(2, 6, 20, 38)
    metrics = reconstruction_metrics(original, without_alpha, RATE)
    for band in BANDS_HZ:
        assert metrics[f"{band}_error"] == pytest.approx(float(band == "alpha"), abs=1e-9)
        assert metrics[f"{band}_power_ratio"] == pytest.approx(float(band != "alpha"), abs=1e-9)


def test_half_the_amplitude_is_a_quarter_of_the_power_in_every_band():
    original, _ = random_windows()
    metrics = reconstruction_metrics(original, original / 2, RATE)
    for band in BANDS_HZ:
        assert metrics[f"{band}_error"] == pytest.approx(0.25)
        assert metrics[f"{band}_power_ratio"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("rate", "defined"),
    [(200, ["delta", "theta", "alpha", "beta", "gamma"]), (64, list(BANDS_HZ)), (50, list(BANDS_HZ)[:4])],
)
def test_bands_end_at_the_nyquist_frequency(rate, defined):
    metrics = reconstruction_metrics(*random_windows(), sampling_rate=rate)
    assert [band for band in BANDS_HZ if not math.isnan(metrics[f"{band}_error"])] == defined


def test_a_band_in_which_the_original_has_nothing_is_undefined():
    original = sines(10).astype(np.float32)
    metrics = reconstruction_metrics(original, original + 0.1 * sines(38), RATE)
    assert metrics["alpha_error"] == pytest.approx(0, abs=1e-6)
    assert math.isnan(metrics["gamma_error"]) and math.isnan(metrics["gamma_power_ratio"])


def test_constant_channels_are_left_out_of_what_they_do_not_define_and_counted():
    original, reconstruction = random_windows()
    alone = reconstruction_metrics(original, reconstruction, RATE)
    flat = np.full((5, 1, 600), 0.1)  # a value of which the mean over time is rounded
    metrics = reconstruction_metrics(
        np.concatenate([original, flat], axis=1), np.concatenate([reconstruction, flat + 1], axis=1), RATE
    )
    assert (metrics["num_channels"], metrics["num_undefined"]) == (20, 5)
    assert metrics["mse"] == pytest.approx((15 * alone["mse"] + 5 * 1) / 20)
    for name in ("correlation", "nrmse_std", "nrmse_range", "psnr", "ssim", "beta_error"):
        assert metrics[name] == pytest.approx(alone[name])


def test_what_is_masked_changes_nothing():
    original, reconstruction = random_windows()
    channel_mask, attention_mask = np.ones((5, 3), bool), np.ones((5, 600), int)
    channel_mask[1, 2], attention_mask[2, 450:], attention_mask[3, :100], attention_mask[4] = False, 0, 0, 0
    padding = ~(channel_mask[:, :, None] & attention_mask[:, None].astype(bool))
    padded, garbage = np.where(padding, np.nan, original), np.where(padding, 1e6, reconstruction)
    by_hand = ReconstructionMetrics()
    for window, channels, samples in [
        (0, slice(3), slice(600)),
        (1, slice(2), slice(600)),
        (2, slice(3), slice(450)),
        (3, slice(3), slice(100, 600)),
    ]:
        by_hand.update(original[window, channels, samples], reconstruction[window, channels, samples], RATE)
    metrics = reconstruction_metrics(padded, garbage, RATE, channel_mask, attention_mask)
    assert metrics == pytest.approx(by_hand.compute())
    assert metrics["num_channels"] == 11
    error = (reconstruction - original)[~padding]
    assert metrics["pooled_mse"] == pytest.approx(np.mean(error**2)) != metrics["mse"]


def test_batches_give_what_the_whole_gives():
    original, reconstruction = random_windows((700, 2, 300))  # more channels than are computed at once
    metrics = ReconstructionMetrics()
    for start in range(0, 700, 97):
        metrics.update(original[start : start + 97], reconstruction[start : start + 97], RATE)
    assert metrics.compute() == pytest.approx(reconstruction_metrics(original, reconstruction, RATE))


def test_windows_too_short_for_ssim_or_a_band_have_the_rest():
    metrics = reconstruction_metrics(*random_windows((4, 10)), sampling_rate=RATE)
    assert math.isnan(metrics["ssim"]) and math.isnan(metrics["delta_error"])
    assert metrics["rmse"] > 0
    shortest = reconstruction_metrics(*random_windows((4, 11)), sampling_rate=RATE)
    assert not math.isnan(shortest["ssim"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reconstruction": np.zeros((2, 3, 99))}, r"got \(2, 3, 100\) and \(2, 3, 99\)"),
        ({"original": np.zeros(100), "reconstruction": np.zeros(100)}, r"got \(100,\)"),
        ({"original": np.full((2, 3, 100), np.nan)}, "original: expected finite .* in 600 samples"),
        ({"reconstruction": np.full((2, 3, 100), np.inf)}, "reconstruction: expected finite"),
        ({"sampling_rate": None}, "sampling_rate: expected a positive number, got None"),
        ({"sampling_rate": -200}, "sampling_rate: expected a positive number, got -200"),
        ({"sampling_rate": math.nan}, "sampling_rate: expected a positive number, got nan"),
        ({"channel_mask": np.ones((2, 4))}, r"channel_mask: expected \(2, 3\), got \(2, 4\)"),
        ({"attention_mask": np.ones((3, 100))}, r"attention_mask: expected \(2, 100\), got \(3, 100\)"),
        ({"attention_mask": np.arange(200).reshape(2, 100) % 150 > 9}, "window 1 has several"),
        ({"channel_mask": np.zeros((2, 3))}, "got none: is everything masked"),
    ],
)
def test_bad_signals_are_refused(change, message):
    good = {"original": np.ones((2, 3, 100)), "reconstruction": np.ones((2, 3, 100)), "sampling_rate": RATE}
    with pytest.raises(ValueError, match=message):
        reconstruction_metrics(**{**good, **change})


@pytest.mark.parametrize("codebook_size", [1, 2, 1000])
def test_codes_that_are_used_equally_have_the_perplexity_of_the_size(codebook_size):
    metrics = codebook_metrics(np.tile(np.arange(codebook_size), (4, 1)), codebook_size)
    assert metrics["codebook_perplexity"] == pytest.approx(codebook_size)
    assert metrics["codebook_entropy_bits"] == pytest.approx(math.log2(codebook_size))
    assert (metrics["codebook_usage"], metrics["num_tokens"]) == (1, 4 * codebook_size)
    assert metrics["codebook_perplexity_share"] == pytest.approx(1)


def test_entropy_is_that_of_scipy_and_usage_is_judged_by_what_can_be_reached():
    random = np.random.default_rng(0)
    indices = torch.from_numpy(random.integers(64_000, size=(10, 19, 200)))
    metrics = codebook_metrics(indices, 64_000)
    counts = np.bincount(indices.numpy().ravel())
    assert metrics["codebook_entropy_bits"] == pytest.approx(stats.entropy(counts, base=2))
    assert metrics["codebook_usage"] == pytest.approx(metrics["codebook_usage_reachable"], abs=0.01)
    assert metrics["codebook_usage"] < 0.5
    assert codebook_metrics(indices // 4, 64_000)["codebook_usage"] < 0.25


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([], "expected at least one"),
        ([0, 5], "from 0 to 4, got int64 from 0 to 5"),
        ([-1, 0], "from -1 to 0"),
        ([0.5, 1.0], "got float64"),
    ],
)
def test_indices_outside_the_codebook_are_refused(indices, message):
    with pytest.raises(ValueError, match=message):
        codebook_metrics(np.array(indices, dtype=None if indices else int), 5)


def test_rate_counts_what_is_stored_beside_the_codes():
    metrics = rate_metrics(150, sampling_rate=200, side_bits_per_second=50)
    assert (metrics["total_bits_per_second"], metrics["bits_per_sample"]) == (200, 1)
    assert metrics["compression_ratio"] == 16
    assert rate_metrics(3200, sampling_rate=200)["compression_ratio"] == 1


@pytest.mark.parametrize("rates", [(0, 200), (100, None), (100, 200, -1), (100, 200, math.nan)])
def test_impossible_rates_are_refused(rates):
    with pytest.raises(ValueError, match=r"expected (a positive number|0 or more), got"):
        rate_metrics(*rates)


@pytest.fixture(params=["class", "path"])
def metric(request, tmp_path, metric_modules):
    """The metric, made from its class and loaded from its file, as somebody without eeg_hf would."""
    if request.param == "class":
        return EEGCodecMetrics(cache_dir=str(tmp_path))
    return evaluate.load(evaluate_codec_metric.__file__, cache_dir=str(tmp_path))


@pytest.mark.parametrize("shape", [(4, 3, 300), (4, 300)])
def test_metric_of_evaluate_agrees_with_the_plain_functions(metric, shape):
    original, reconstruction = random_windows(shape)
    indices = np.arange(12).reshape(4, 3)
    result = metric.compute(
        references=original,
        predictions=reconstruction,
        sampling_rate=RATE,
        indices=indices,
        codebook_size=12,
        bits_per_second=100,
        side_bits_per_second=10,
    )
    assert result == pytest.approx(
        reconstruction_metrics(original, reconstruction, RATE)
        | codebook_metrics(indices, 12)
        | rate_metrics(100, RATE, 10)
    )


def test_metric_of_evaluate_collects_windows_of_unequal_length(tmp_path):
    metric = EEGCodecMetrics(cache_dir=str(tmp_path))
    expected = ReconstructionMetrics()
    for length in (300, 450):
        original, reconstruction = random_windows((2, 3, length))
        metric.add_batch(references=original, predictions=reconstruction)
        expected.update(original, reconstruction, RATE)
    assert metric.compute(sampling_rate=RATE) == pytest.approx(expected.compute())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "sampling_rate: expected"),
        ({"sampling_rate": RATE, "indices": [0]}, "indices and codebook_size: expected both or neither"),
        ({"sampling_rate": RATE, "references": [[0.0, 1.0, 2.0]]}, r"got \(1, 3\) and \(1, 2\)"),
    ],
)
def test_metric_of_evaluate_refuses_bad_input(tmp_path, arguments, message):
    good = {"references": [[0.0, 1.0]], "predictions": [[0.0, 1.0]]}
    with pytest.raises(ValueError, match=message):
        EEGCodecMetrics(cache_dir=str(tmp_path)).compute(**{**good, **arguments})
