# SPDX-License-Identifier: Apache-2.0
"""Our filters against MNE's own and scipy's."""

import mne
import numpy as np
import pytest
from scipy import signal

from eeg_hf.processing.block_filtering import apply_fir, filter_and_resample, precision_for
from eeg_hf.processing.filtering import design_band_pass, design_notch, gain, resample


def record(data, rate):
    return mne.io.RawArray(data.copy(), mne.create_info(len(data), rate, "eeg"), verbose="ERROR")


@pytest.mark.parametrize(
    ("rate", "num_samples"), [(500.0, 30_000), (250.0, 700), (173.61, 4097), (200.0, 50), (500.0, 3301)]
)
@pytest.mark.parametrize("band", [(0.5, 45.0), (None, 30.0), (1.0, None)])
def test_band_pass_agrees_with_mne(rate, num_samples, band):
    data = np.random.default_rng(0).normal(size=(2, num_samples)) + 5
    truth = record(data, rate).filter(*band, verbose="ERROR").get_data()
    apply_fir(data, design_band_pass(rate, *band), [(0, num_samples)])
    np.testing.assert_allclose(data, truth, atol=1e-12)


@pytest.mark.parametrize("lines", [[50.0], [60.0], [50.0, 100.0]])
def test_notch_agrees_with_mne(lines):
    data = np.random.default_rng(0).normal(size=(2, 5000))
    truth = record(data, 250.0).notch_filter(lines, verbose="ERROR").get_data()
    apply_fir(data, design_notch(250.0, lines), [(0, 5000)])
    np.testing.assert_allclose(data, truth, atol=1e-12)


def test_spans_are_filtered_apart_and_masked_channels_stay_zero():
    data = np.random.default_rng(0).normal(size=(2, 4000))
    data[1] = 0.0
    alone = data[:, 2500:].copy()
    taps = design_band_pass(250.0, 1.0, 40.0)
    before = data[:, 1000:2500].copy()
    apply_fir(data, taps, [(0, 1000), (2500, 4000)])
    apply_fir(alone, taps, [(0, 1500)])
    np.testing.assert_array_equal(data[:, 2500:], alone)
    np.testing.assert_array_equal(data[:, 1000:2500], before)
    assert not data[1].any()


@pytest.mark.parametrize(
    ("file_rate", "rate", "num_samples"),
    [
        (500, 200, 9101),
        (256, 200, 5003),
        (250, 100, 2500),
        (160, 200, 9760),
        (128, 200, 77),
        (173.61, 200, 900),
    ],
)
def test_resampling_agrees_with_scipy(file_rate, rate, num_samples):
    data = np.random.default_rng(0).normal(size=(2, num_samples)) + 3
    up, down = {173.61: (20_000, 17_361)}.get(file_rate, (rate, file_rate))
    truth = signal.resample_poly(data, up, down, axis=-1, padtype="reflect")
    np.testing.assert_allclose(resample(data, file_rate, rate), truth, atol=1e-12)


def test_gain_is_one_in_the_band_and_none_beside_it():
    taps = design_band_pass(250.0, 1.0, 40.0)
    np.testing.assert_allclose(gain(taps, np.array([0.0, 10.0, 80.0]), 250.0), [0, 1, 0], atol=0.01)


@pytest.mark.parametrize(
    ("file_rate", "rate", "num_samples"),
    [(500, 200, 91_000), (500, 200, 30_001), (1000, 250, 20_003), (250, 200, 9_000), (512, 200, 20_000)],
)
@pytest.mark.parametrize("notch", [[], [50.0]])
def test_one_pass_filters_and_resamples_as_two_do(file_rate, rate, num_samples, notch):
    data = np.random.default_rng(0).normal(size=(5, num_samples)) + 1000  # an offset of 1000 deviations
    data[3] = 0.0
    filters = [design_band_pass(file_rate, 0.5, 45.0), *([design_notch(file_rate, notch)] if notch else [])]
    span, truth = [(0, num_samples)], data.copy()
    for taps in filters:
        apply_fir(truth, taps, span)
    truth = resample(truth, file_rate, rate)
    double = filter_and_resample(data.copy(), filters, span, file_rate, rate)
    np.testing.assert_allclose(double, truth, atol=1e-10)
    assert precision_for(filters) is np.float32
    single = filter_and_resample(data, filters, span, file_rate, rate, np.float32)
    np.testing.assert_allclose(single, truth, atol=2e-6)
    assert not single[3].any()


def test_filters_that_keep_offsets_work_in_double_precision():
    assert precision_for([design_band_pass(250.0, None, 40.0)]) is np.float64
    assert precision_for([]) is np.float64
