# SPDX-License-Identifier: Apache-2.0
"""Estimators of scikit-learn: its own checks, its tools, other kinds of input, and storage."""

import pickle
from collections import Counter

import mne
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator
from transformers import AutoModelForSequenceClassification

from eeg_hf import EEGClassifier, EEGRegressor, EEGTransformer, load_windows

NAMES = ["C3", "Cz", "C4"]
SMALL = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
DESCRIBED = {"sampling_rate": 200, "channel_names": NAMES, "config": SMALL}

FLOAT32 = "the model computes in float32, whose last digits depend on the size of a batch"
EXPECTED = {
    EEGClassifier: {"check_methods_subset_invariance": FLOAT32},
    EEGRegressor: {
        "check_methods_subset_invariance": FLOAT32,
        "check_regressors_train": "windows of 10 samples are 50 ms of a patch of one second",
    },
    EEGTransformer: {"check_methods_subset_invariance": FLOAT32},
}
PASSED = {EEGClassifier: 53, EEGRegressor: 47, EEGTransformer: 45}


@pytest.fixture(scope="module")
def trials():
    """Return 60 windows of 2 s in which one class has more 10 Hz at C3, with labels and subjects."""
    random = np.random.default_rng(0)
    labels, subjects = np.arange(60) % 2, np.repeat(np.arange(6), 10)
    time = np.arange(400) / 200
    windows = random.normal(scale=10, size=(60, 3, 400))
    phases = random.uniform(0, 2 * np.pi, (60, 1))
    windows[:, 0] += (5 + 15 * labels)[:, None] * np.sin(2 * np.pi * 10 * time + phases)
    return windows, np.array(["left", "right"])[labels], subjects


@pytest.mark.parametrize(
    "estimator",
    [
        *(pytest.param(each, marks=pytest.mark.slow) for each in (EEGClassifier, EEGRegressor)),
        EEGTransformer,
    ],
)
def test_the_checks_of_scikit_learn_pass_or_say_why_not(estimator):
    # One channel: then arrays (windows, time) of two dimensions are windows, which the checks are made of
    config = {**SMALL, "hidden_size": 16, "intermediate_size": 16, "second_order": False}
    settings = {"sampling_rate": 200, "channel_names": ["Cz"], "normalization": "none", "config": config}
    results = check_estimator(
        estimator(**settings), expected_failed_checks=EXPECTED[estimator], on_skip=None, on_fail=None
    )
    failed = {each["check_name"]: each["exception"] for each in results if each["status"] == "failed"}
    assert failed == {}
    assert Counter(each["status"] for each in results)["passed"] >= PASSED[estimator]


def test_it_works_in_the_tools_of_scikit_learn(trials):
    windows, labels, subjects = trials
    model = EEGClassifier(**DESCRIBED)
    folds = GroupKFold(3)
    scores = cross_val_score(model, windows, labels, groups=subjects, cv=folds, error_score="raise")
    assert scores.mean() > 0.9
    search = GridSearchCV(model, {"normalization": ["robust", "microvolt"]}, cv=folds, error_score="raise")
    search.fit(windows, labels, groups=subjects)
    assert set(search.best_params_) == {"normalization"}
    features = make_pipeline(EEGTransformer(**DESCRIBED), LogisticRegression(C=0.01, max_iter=500))
    assert cross_val_score(features, windows, labels, groups=subjects, cv=folds).mean() > 0.9
    assert clone(search.best_estimator_).get_params() == search.best_estimator_.get_params()


def test_arrays_epochs_and_prepared_windows_give_the_same(trials, prepared):
    windows, labels, _ = trials
    fitted = EEGClassifier(**DESCRIBED).fit(windows, labels)
    expected = fitted.predict_proba(windows)
    info = mne.create_info(NAMES, 200, "eeg")
    epochs = mne.EpochsArray(windows * 1e-6, info, verbose="ERROR")
    of_epochs = EEGClassifier(config=SMALL).fit(epochs, labels)
    np.testing.assert_allclose(of_epochs.predict_proba(epochs), expected, atol=1e-4)
    in_volts = EEGClassifier(info=info, unit="V", config=SMALL).fit(windows * 1e-6, labels)
    np.testing.assert_allclose(in_volts.predict_proba(windows * 1e-6), expected, atol=1e-4)
    # Another order of channels is put right by their names
    np.testing.assert_allclose(
        fitted.predict_proba(epochs.copy().reorder_channels(NAMES[::-1])), expected, atol=1e-4
    )
    rows = load_windows(prepared).select(range(40))
    model = EEGClassifier(config=SMALL).fit(rows, rows["condition"][:])
    assert model.score(rows, rows["condition"][:]) > 0.5 and model.channel_names_[0] == "Fp1"


def test_a_time_course_is_among_the_features(trials):
    windows = trials[0]
    courses = EEGTransformer(**{**DESCRIBED, "config": {**SMALL, "time_course_seconds": 0.5}})
    vectors = EEGTransformer(**DESCRIBED).fit(windows).transform(windows)
    found = courses.fit(windows).transform(windows)
    assert found.shape[1] == vectors.shape[1] + windows.shape[1] * 13  # half periods up to 12 Hz
    np.testing.assert_allclose(found[:, : vectors.shape[1]], vectors, atol=1e-5)


def test_it_is_saved_as_a_model_and_pickled_without_one(trials, tmp_path):
    windows, labels, _ = trials
    for model in (EEGClassifier(**DESCRIBED), EEGRegressor(**DESCRIBED), EEGTransformer(**DESCRIBED)):
        model.fit(windows, labels if isinstance(model, EEGClassifier) else windows[:, 0].std(axis=1))
        ask = model.transform if isinstance(model, EEGTransformer) else model.predict
        again = pickle.loads(pickle.dumps(model))
        asked = again.transform if isinstance(model, EEGTransformer) else again.predict
        assert np.array_equal(asked(windows), ask(windows))
        folder = tmp_path / type(model).__name__
        model.save_pretrained(folder)
        loaded = type(model).from_pretrained(folder)
        asked = loaded.transform if isinstance(model, EEGTransformer) else loaded.predict
        assert np.array_equal(asked(windows), ask(windows))
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path / "EEGClassifier").config.id2label == {
        0: "left",
        1: "right",
    }
    with pytest.raises(ValueError, match="expected a EEGRegressor, got a EEGClassifier"):
        EEGRegressor.from_pretrained(tmp_path / "EEGClassifier")


def test_a_network_of_braindecode_and_a_regression_learn(trials):
    pytest.importorskip("braindecode")
    windows, labels, _ = trials
    network = EEGClassifier(
        "braindecode/ShallowFBCSPNet",
        sampling_rate=200,
        channel_names=NAMES,
        epochs=15,
        normalization="zscore",
    )
    assert network.fit(windows, labels).score(windows, labels) > 0.8
    loudness = windows[:, 0].std(axis=1)
    regressor = EEGRegressor(**DESCRIBED, normalization="microvolt").fit(windows[:40], loudness[:40])
    assert regressor.score(windows[40:], loudness[40:]) > 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "an array needs sampling_rate and channel_names"),
        ({"sampling_rate": 200, "channel_names": ["C3", "Cz"]}, r"expected X \(windows, 2 channels, time\)"),
        ({"sampling_rate": 200, "channel_names": ["C3", "Cz", "X9"]}, "no electrode position for 'X9'"),
        ({**DESCRIBED, "unit": "nV"}, "unit: expected one of"),
        ({**DESCRIBED, "model": "braindecode/EEGNets", "config": None}, "did you mean 'EEGNet'"),
    ],
)
def test_what_would_have_to_be_guessed_is_refused(trials, settings, message):
    windows, labels, _ = trials
    with pytest.raises(ValueError, match=message):
        EEGClassifier(**settings).fit(windows, labels)
