# SPDX-License-Identifier: Apache-2.0
"""Classical methods as models of transformers: they say what scikit-learn's pipelines say."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from eeg_hf.corpora import load_windows
from eeg_hf.evaluation import (
    WelchTangentSpace,
    band_power_classifier,
    band_power_regressor,
    tangent_space_classifier,
    tangent_space_regressor,
)
from eeg_hf.evaluation.evoked_responses import EvokedCovariances
from eeg_hf.experiments.classifiers.classical import (
    ClassicalStatistics,
    build_classical,
    measure,
    transfer,
)

RATE, CHANNELS = 128.0, 5
GROUPS = np.repeat(list("abcd"), 18)


def make_windows(num_classes, average):
    """Return windows whose classes differ in power, in what channels share, and in a response."""
    random = np.random.default_rng(0)
    labels = np.arange(72) % num_classes
    windows = random.normal(0, 10, (72, CHANNELS, 256)).cumsum(axis=-1) * 0.1
    windows[:, 0] += 0.5 * labels[:, None] * windows[:, 1]
    windows[:, 2, 60:90] += 4 * labels[:, None] * np.hanning(30)
    if average:
        windows -= windows.mean(axis=1, keepdims=True)
    return windows.astype(np.float32), labels


def fit(method, windows, labels):
    """Return the method as scikit-learn has it, its answers, and what its fit needs to be transferred."""
    if method == "welch_tangent_space":
        fitted = WelchTangentSpace(RATE).fit(windows, labels, GROUPS)
    elif "covariances" in method:
        fitted = EvokedCovariances(RATE, method.partition("_")[0]).fit(windows, labels, GROUPS)
    else:
        build = band_power_classifier if method == "band_power" else tangent_space_classifier
        pipeline = build(RATE).fit(windows, labels)
        return pipeline.predict_proba(windows), pipeline[1:]
    return fitted.predict_proba(windows), fitted


@pytest.mark.parametrize(
    ("method", "num_classes", "average"),
    [
        ("band_power", 2, True),
        ("tangent_space", 2, True),
        ("tangent_space", 3, False),
        ("welch_tangent_space", 2, True),
        ("welch_tangent_space", 3, False),
        ("erp_covariances", 2, False),
        ("xdawn_covariances", 3, False),
        ("xdawn_covariances", 2, True),
    ],
)
def test_a_saved_model_says_what_the_pipeline_says(method, num_classes, average, tmp_path):
    windows, labels = make_windows(num_classes, average)
    expected, fitted = fit(method, windows, labels)
    model = build(method, {"id2label": dict(enumerate("xyz"[:num_classes]))})
    transfer(fitted, model)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        logits = loaded(torch.from_numpy(windows)).logits
    np.testing.assert_allclose(logits.softmax(dim=-1).numpy(), expected, atol=2e-5)
    assert np.ptp(expected[:, 0]) > 0.01


@pytest.mark.parametrize(
    ("method", "regressor"),
    [("band_power", band_power_regressor), ("tangent_space", tangent_space_regressor)],
)
def test_numbers_too(method, regressor):
    windows, _ = make_windows(2, average=False)
    numbers = 40 + 10 * np.log(windows[:, 1].std(axis=-1))
    pipeline = regressor(RATE, GROUPS).fit(windows, numbers)
    model = build(method, {"num_labels": 1})
    transfer(pipeline[1:], model)
    with torch.no_grad():
        found = model(torch.from_numpy(windows)).logits[:, 0].numpy()
    np.testing.assert_allclose(found, pipeline.predict(windows), rtol=1e-4)
    assert np.corrcoef(found, numbers)[0, 1] > 0.5


def test_other_windows_are_refused():
    model = build("band_power", {})
    with pytest.raises(ValueError, match=r"was fitted to \(5 channels, 256 samples\), got \(5, 200\)"):
        model(torch.zeros(1, CHANNELS, 200))
    turned = torch.tensor(model.config.channel_positions).flip(0)[None]
    with pytest.raises(ValueError, match="in this order"):
        model(torch.zeros(1, CHANNELS, 256), channel_positions=turned)


def test_what_is_measured_once_is_what_a_fit_measures():
    windows, labels = make_windows(2, average=False)
    once = measure("cross_spectra", windows, RATE)
    first = WelchTangentSpace(RATE).fit(windows, labels, GROUPS).predict_proba(windows)
    second = WelchTangentSpace(RATE).fit_covariances(once, labels, GROUPS).predict_covariances(once)
    assert np.array_equal(first, second)


def test_aligned_vectors_of_whole_subjects_are_computed_once_and_those_of_parts_anew(prepared, monkeypatch):
    dataset = load_windows(str(prepared))
    statistics, asked = ClassicalStatistics(dataset), []
    space = WelchTangentSpace(dataset[0]["sampling_rate"], is_aligned=True)
    compute = space.vectors
    monkeypatch.setattr(space, "vectors", lambda *args: asked.append(len(args[0])) or compute(*args))
    subjects = np.array(dataset["subject"][:])
    whole = [np.flatnonzero(np.isin(subjects, names)) for names in (["00", "03"], ["01", "02"], ["04"])]
    part = np.flatnonzero(subjects == "05")[::2]
    for rows in (*whole, part):
        found = statistics.aligned_vectors(dataset.select(rows), space, (0.1, 0.0))
        covariances = statistics.of("welch_tangent_space", dataset.select(rows))
        np.testing.assert_allclose(found, compute(covariances, subjects[rows], (0.1, 0.0)), atol=1e-5)
    assert asked == [len(dataset), len(part)]


def build(method, labels):
    places = np.random.default_rng(1).normal(0, 0.05, (CHANNELS, 3))
    window = {"channels": list("ABCDE"), "channel_positions": places.ravel().tolist(), "num_samples": 256}
    return build_classical(method, window, RATE, labels)
