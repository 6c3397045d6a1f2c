# SPDX-License-Identifier: Apache-2.0
import io
import sys

import numpy as np
import pytest
from scipy.linalg import toeplitz
from scipy.stats import norm, ortho_group

from eeg_hf.evaluation.codec_baselines import (
    LEVEL_CHOICES,
    PCACodec,
    _spend_bits,
    flac_bits_per_sample,
)

SIZE = 16


@pytest.fixture(scope="module")
def patches():
    """Patches of an autoregressive process, whose neighbours correlate by 0.95, around a mean."""
    covariance = toeplitz(0.95 ** np.arange(SIZE))
    random = np.random.default_rng(0)
    return random.multivariate_normal(np.linspace(-1, 1, SIZE), covariance, 4000)


def distortion(codec, patches):
    return float(np.mean((patches - codec.decode(codec.encode(patches))) ** 2))


def test_two_levels_of_a_gaussian_are_the_best_quantiser_of_one_bit():
    # Max, 1960: levels at +-sqrt(2 / pi) of the deviation, which leaves 1 - 2 / pi of the variance
    line = np.random.default_rng(0).normal(scale=3, size=(8000, 1)) * np.eye(1, 4)
    codec = PCACodec().fit(line, 1)
    assert codec.levels_.tolist() == [2]
    assert codec.steps_[0] / 2 == pytest.approx(3 * np.sqrt(2 / np.pi), rel=0.15)
    assert distortion(codec, line) * 4 / 9 == pytest.approx(1 - 2 / np.pi, rel=0.03)


def test_a_uniform_component_is_cut_into_equal_cells():
    line = np.random.default_rng(0).uniform(-1, 1, size=(8000, 1)) * np.eye(1, 3)
    codec = PCACodec().fit(line, 3)
    assert codec.levels_.tolist() == [8, 1, 1]
    assert distortion(codec, line) * 3 == pytest.approx((2 / 8) ** 2 / 12, rel=0.1)


def test_distortion_stays_near_the_bound_of_gaussian_sources(patches):
    """Fixed-length uniform scalar codes of Gaussians lose 1.5 to 4 dB to the rate-distortion function."""
    variances = np.linalg.eigvalsh(toeplitz(0.95 ** np.arange(SIZE)))
    for bits in (16, 40):
        water = bound_on_distortion(variances, bits)
        loss = 10 * np.log10(distortion(PCACodec().fit(patches, bits), patches) / water)
        assert 0 < loss < 5


def bound_on_distortion(variances, bits):
    """Return the mean squared error of reverse water-filling at so many bits."""
    low, high = 1e-12, variances.max()
    for _ in range(200):
        level = (low * high) ** 0.5
        spent = 0.5 * np.log2(np.maximum(variances / level, 1)).sum()
        low, high = (low, level) if spent < bits else (level, high)
    return np.minimum(variances, level).mean()


def test_bits_are_kept_to_and_used(patches):
    distortions = []
    for bits in (1, 2.5, 7.97, 16, 33.3, 64):
        codec = PCACodec().fit(patches, bits)
        assert bits - 0.6 < codec.bits_per_patch <= bits
        assert codec.bits_per_patch == pytest.approx(np.log2(np.prod(codec.levels_, dtype=float)))
        distortions.append(distortion(codec, patches))
    assert distortions == sorted(distortions, reverse=True)


def test_strong_components_get_the_levels(patches):
    levels = PCACodec().fit(patches, 24).levels_
    assert levels[0] == levels.max() > levels[3] > 1
    assert (np.diff(levels) <= 1).all()


def test_bits_go_where_they_save_most():
    curves = np.stack([scale / LEVEL_CHOICES**2.0 for scale in (16.0, 1.0)])
    # 6 dB a bit: the component of 16 times the variance gets 2 bits more, and what is left is shared
    assert LEVEL_CHOICES[_spend_bits(curves, 2)].tolist() == [4, 1]
    levels = LEVEL_CHOICES[_spend_bits(curves, 6.0)]
    assert 56 <= np.prod(levels) <= 64 and levels[0] / levels[1] == pytest.approx(4, rel=0.35)


def test_a_component_of_nothing_costs_nothing():
    curves = np.stack([1 / LEVEL_CHOICES**2.0, np.zeros(len(LEVEL_CHOICES))])
    assert LEVEL_CHOICES[_spend_bits(curves, 3)].tolist() == [8, 1]


def test_a_rotation_of_the_signal_changes_nothing(patches):
    rotation = ortho_group.rvs(SIZE, random_state=0)
    assert distortion(PCACodec().fit(patches @ rotation, 20), patches @ rotation) == pytest.approx(
        distortion(PCACodec().fit(patches, 20), patches), rel=1e-6
    )


def test_what_is_decoded_is_coded_the_same_again(patches):
    codec = PCACodec().fit(patches, 20)
    indices = codec.encode(patches)
    assert indices.dtype.kind == "i" and (indices >= 0).all() and (indices < codec.levels_).all()
    assert (indices.max(axis=0) == codec.levels_ - 1).all()
    assert (codec.encode(codec.decode(indices)) == indices).all()


def test_samples_far_outside_go_to_the_last_level(patches):
    codec = PCACodec().fit(patches, 20)
    far = codec.encode(1e6 * codec.pca_.components_[:1])
    assert far[0, 0] == codec.levels_[0] - 1
    assert np.isfinite(codec.decode(far)).all()


def test_held_out_patches_are_as_good_as_those_of_the_training(patches):
    codec = PCACodec().fit(patches[:2000], 20)
    assert distortion(codec, patches[2000:]) == pytest.approx(distortion(codec, patches[:2000]), rel=0.06)


@pytest.mark.parametrize(
    ("patches", "bits", "message"),
    [
        (np.zeros(8), 8, r"patches \(patches, patch_size\), got \(8,\)"),
        (np.full((4, 8), np.nan), 8, "NaN among them"),
        (np.zeros((4, 8)), 0.5, "at least 1 bit per patch and 2 patches, got 0.5 and 4"),
        (np.zeros((4, 8)), float("nan"), "at least 1 bit"),
        (np.zeros((1, 8)), 8, "and 2 patches, got 8 and 1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(patches, bits, message):
    with pytest.raises(ValueError, match=message):
        PCACodec().fit(patches, bits)


def test_what_cannot_be_coded_is_refused(patches):
    codec = PCACodec().fit(patches, 8)
    with pytest.raises(ValueError, match=r"patches \(patches, 16\), got \(2, 15\)"):
        codec.encode(patches[:2, :-1])
    indices = codec.encode(patches[:2])
    with pytest.raises(ValueError, match="indices: expected"):
        codec.decode(indices + codec.levels_)
    with pytest.raises(ValueError, match="indices: expected"):
        codec.decode(indices - 100)
    with pytest.raises(ValueError, match="indices: expected"):
        codec.decode(indices[:, :-1])


def noise(deviation, num_samples=50_000):
    samples = np.random.default_rng(0).normal(scale=deviation, size=num_samples)
    return np.clip(np.rint(samples), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("deviation", [10, 100, 1000])
def test_flac_takes_the_entropy_of_white_noise_and_little_more(deviation):
    entropy = np.log2(deviation) + norm.entropy() / np.log(2)
    assert entropy < flac_bits_per_sample([noise(deviation)], 200) < entropy + 0.25


def test_flac_finds_what_can_be_predicted():
    samples = (20_000 * np.sin(np.arange(50_000) / 5)).astype(np.int16)
    assert flac_bits_per_sample([samples], 173.61) < 4
    assert flac_bits_per_sample([np.zeros(50_000, np.int16)], 173.61) < 0.1


def test_flac_counts_all_signals():
    quiet, loud = noise(10), noise(1000, 25_000)
    both = flac_bits_per_sample([quiet, loud], 200)
    alone = [flac_bits_per_sample([signal], 200) for signal in (quiet, loud)]
    assert both == pytest.approx((2 * alone[0] + alone[1]) / 3)


def test_flac_loses_nothing():
    soundfile = pytest.importorskip("soundfile", reason="soundfile is in the extra baselines")
    file, samples = io.BytesIO(), noise(3000)
    soundfile.write(file, samples, 200, "PCM_16", format="FLAC", compression_level=1.0)
    file.seek(0)
    assert (soundfile.read(file, dtype="int16")[0] == samples).all()


@pytest.mark.parametrize(
    ("signals", "message"),
    [
        ([], "expected at least one, got none"),
        ([np.zeros(100)], r"expected int16 \(time,\) of 16 samples or more, got float64 \(100,\)"),
        ([np.zeros((2, 100), np.int16)], r"got int16 \(2, 100\)"),
        ([np.zeros(3, np.int16)], r"got int16 \(3,\)"),
    ],
)
def test_what_flac_cannot_code_is_refused(signals, message):
    with pytest.raises(ValueError, match=message):
        flac_bits_per_sample(signals, 200)


def test_a_missing_soundfile_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ImportError, match=r'soundfile is not installed: pip install "eeg-hf\[baselines\]"'):
        flac_bits_per_sample([noise(10)], 200)
