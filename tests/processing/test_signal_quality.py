# SPDX-License-Identifier: Apache-2.0
"""Measures whose truth is put into the signal."""

import numpy as np
import pytest

from eeg_hf.processing.filtering import design_band_pass
from eeg_hf.processing.signal_quality import (
    check_amplitude,
    clipped_share,
    drift_ratio,
    jumps,
    line_noise,
    measure_amplitude,
    noisy_channels,
    unit_factor,
    usable_share,
)

RATE = 200.0


def pink(rng, num_channels, num_samples, slope=1.0):
    """Noise of unit deviation whose amplitude falls with frequency as EEG's does."""
    spectrum = np.fft.rfft(rng.normal(size=(num_channels, num_samples)))
    spectrum[:, 1:] /= np.arange(1, spectrum.shape[1]) ** (slope / 2)
    spectrum[:, 0] = 0
    noise = np.fft.irfft(spectrum, num_samples)
    return noise / noise.std(axis=1, keepdims=True)


def brain(num_channels=32, seconds=30, seed=0):
    """EEG-like mixture, in V: sources of 1/f noise that neighbours share."""
    rng = np.random.default_rng(seed)
    places = np.linspace(0, 1, num_channels)[:, None]
    mixing = np.exp(-(((places - np.linspace(0, 1, 8)) / 0.2) ** 2))
    sources = pink(rng, 8, round(seconds * RATE))
    return (mixing @ sources + 0.1 * rng.normal(size=(num_channels, sources.shape[1]))) * 10e-6


def named(data):
    return {f"c{row}": samples for row, samples in enumerate(data)}


@pytest.mark.parametrize("seed", range(4))
def test_three_noisy_channels_are_found_and_no_good_one(seed):
    data = brain(seed=seed)
    rng = np.random.default_rng(100 + seed)
    loud, walking, silent = rng.choice(32, 3, replace=False)
    data[loud] += 60e-6 * rng.normal(size=data.shape[1])
    data[walking] = np.cumsum(rng.normal(size=data.shape[1])) * 1e-6
    data[silent] *= 0.02
    found = noisy_channels(named(data), RATE)
    assert found.keys() == {f"c{loud}", f"c{walking}", f"c{silent}"}
    assert all(why.startswith("noisy: ") for why in found.values())


@pytest.mark.parametrize("seed", range(4))
def test_no_channel_of_a_good_recording_is_noisy(seed):
    assert noisy_channels(named(brain(seed=seed)), RATE) == {}


def test_high_frequency_noise_below_the_loudness_of_the_eeg_is_left():
    data = brain()
    data[4] += 4e-6 * np.random.default_rng(1).normal(size=data.shape[1])
    assert noisy_channels(named(data), RATE) == {}


def test_a_channel_of_white_noise_as_loud_as_eeg_is_found_by_what_it_shares():
    data = brain()
    data[9] = data.std() * np.random.default_rng(1).normal(size=data.shape[1])
    assert "c9" in noisy_channels(named(data), RATE)


def test_independent_channels_are_not_judged_by_correlation():
    # White noise in every channel: nothing correlates, and nothing says that it should.
    assert noisy_channels(named(np.random.default_rng(0).normal(size=(19, 6000)) * 2e-5), RATE) == {}


def test_a_common_reference_signal_does_not_hide_nor_make_a_noisy_channel():
    data = brain()
    data += 50e-6 * pink(np.random.default_rng(5), 1, data.shape[1])  # an active reference electrode
    assert noisy_channels(named(data), RATE) == {}
    data[3] += 200e-6 * np.random.default_rng(1).normal(size=data.shape[1])
    assert noisy_channels(named(data), RATE).keys() == {"c3"}


def test_too_little_to_compare_is_not_judged():
    data = brain(7)
    data[0] *= 100
    assert noisy_channels(named(data), RATE) == {}
    assert noisy_channels(named(brain(seconds=1)), RATE) == {}


@pytest.mark.parametrize(("line", "expected"), [(50, 50.0), (60, 60.0), (None, None)])
def test_line_frequency(line, expected):
    data = brain()
    if line:
        data += 10e-6 * np.sin(2 * np.pi * line * np.arange(data.shape[1]) / RATE)
    ratios, found = line_noise(data, RATE)
    assert found == expected and ratios.keys() == {"50", "60"}


def test_line_frequencies_that_the_rate_cannot_show_are_not_measured():
    ratios, found = line_noise(brain(), 100.0)
    assert ratios == {} and found is None


def test_drift_is_measured_with_and_without_a_filter():
    data = brain(seconds=60)
    time = np.arange(data.shape[1]) / RATE
    assert drift_ratio(data, RATE) < 2
    data += 500e-6 * np.sin(2 * np.pi * 0.1 * time)
    assert drift_ratio(data, RATE) > 20
    assert drift_ratio(data, RATE, design_band_pass(RATE, 1.0, None)) < 2
    assert drift_ratio(data[:, :1000], RATE) == 0.0  # too short to tell


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 1.0, 1e3, 1e6])
def test_the_factor_that_mends_the_unit(factor):
    assert unit_factor(brain() / factor, RATE) == factor


@pytest.mark.parametrize("amplitude_uv", [0.15, 500.0, 0.15e-3, 5e5, 5e11])
def test_an_amplitude_that_is_plausible_or_that_no_factor_explains_is_left(amplitude_uv):
    assert unit_factor(np.random.default_rng(0).normal(size=(4, 2000)) * amplitude_uv * 1.5e-6, RATE) == 1.0


def test_gaps_of_zeros_do_not_count_in_the_amplitude():
    data = brain(4, seconds=40)
    truth = measure_amplitude(data[:, -2000:], RATE)
    data[:, :-2000] = 0.0
    assert measure_amplitude(data, RATE) == pytest.approx(truth, rel=0.2)
    assert check_amplitude(data, RATE) == measure_amplitude(data, RATE)


def test_scattered_samples_among_zeros_are_said_and_not_taken_for_a_unit():
    data = np.zeros((2, 4000))
    data[:, ::20] = 50e-6
    with pytest.raises(ValueError, match="9[0-9]% of the samples repeat the one before"):
        check_amplitude(data, RATE)


def test_clipping_counts_runs_and_not_peaks():
    sine = np.sin(np.arange(10_000) * 2 * np.pi / 100)
    assert clipped_share(sine) == 0.0
    clipped = np.clip(sine, -0.5, 0.5)
    assert clipped_share(clipped) == pytest.approx((np.abs(sine) >= 0.5).mean(), abs=0.01)
    assert clipped_share(np.clip(sine, -2, 0.5)) == pytest.approx((sine >= 0.5).mean(), abs=0.01)


def test_usable_share_is_the_share_of_good_channel_seconds():
    data = np.random.default_rng(0).normal(scale=20e-6, size=(4, 2000))
    assert usable_share(data, RATE) == 1.0
    data[0] = 0.0
    data[1, :1000] *= 100
    assert usable_share(data, RATE) == pytest.approx(1 - 0.25 - 0.125)


def test_mains_hum_of_some_millivolts_is_no_slip_of_the_unit():
    data = brain(8)
    data += 10e-3 * np.sin(2 * np.pi * 50 * np.arange(data.shape[1]) / RATE)
    assert measure_amplitude(data, RATE) > 2000 and unit_factor(data, RATE) == 1.0


def test_a_strong_rhythm_that_neighbours_share_is_brain():
    data = brain()
    alpha = np.sin(2 * np.pi * 10 * np.arange(data.shape[1]) / RATE)
    data[30:] += 60e-6 * alpha
    data[29] += 20e-6 * alpha
    assert noisy_channels(named(data), RATE) == {}
    data[5] *= 30  # a slip of one channel's gain
    assert noisy_channels(named(data), RATE).keys() == {"c5"}


@pytest.mark.parametrize("second", [4095, 4096, 9000])
def test_a_jump_counts_wherever_it_lies(second):
    highest = np.full((4, 9001), 2e-5)
    lowest = -highest
    assert jumps("abcd", highest, lowest) == {}
    highest[2, second] = 7e-4  # from one second to the next
    assert jumps("abcd", highest, lowest) == {"c": pytest.approx(720)}
    highest[2, second], lowest[2, second - 1] = 4e-4, -4e-4
    assert jumps("abcd", highest, lowest) == {"c": pytest.approx(800)}
