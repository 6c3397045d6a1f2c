# SPDX-License-Identifier: Apache-2.0
"""Drift of a recording from those of a training: the same kind is not marked, another one is."""

import numpy as np
import pytest

from eeg_hf.experiments.training_statistics import TrainingStatistics, measure_windows


def make_recording(seed, gain=1.0, hz=10.0):
    random = np.random.default_rng(seed)
    rhythm = np.sin(2 * np.pi * hz * np.arange(800) / 200)
    windows_uv = random.normal(0, 10, (6, 4, 800)) + random.normal(8, 1) * rhythm
    return {**measure_windows(gain * windows_uv, 200.0), "embedding": random.normal(0, 1, 50)}


@pytest.fixture(scope="module")
def statistics():
    return TrainingStatistics.of([make_recording(seed) for seed in range(12)])


def test_recordings_of_the_same_kind_are_hardly_ever_marked(statistics):
    marked = [bool(statistics.drifts(make_recording(seed))) for seed in range(100, 150)]
    assert np.mean(marked) <= 3 / 13  # three measures, each at most once in thirteen


def test_what_differs_is_said(statistics):
    (spectrum, amplitude) = statistics.drifts(make_recording(99, gain=20.0))
    assert "spectrum differs" in spectrum and "dB" in spectrum
    assert "amplitude differs" in amplitude and "(19 times theirs)" in amplitude
    (line,) = statistics.drifts({**make_recording(98), "embedding": np.full(50, 5.0)})
    assert "embedding differs from the 12 training recordings" in line


def test_it_is_kept_beside_the_model(statistics, tmp_path):
    assert TrainingStatistics.load(tmp_path) is None
    statistics.save(tmp_path)
    again, recording = TrainingStatistics.load(tmp_path), make_recording(7, gain=3.0)
    assert again.number == 12 and again.distances(recording) == pytest.approx(statistics.distances(recording))


def test_few_recordings_have_no_statistics():
    assert TrainingStatistics.of([make_recording(seed) for seed in range(3)]) is None
