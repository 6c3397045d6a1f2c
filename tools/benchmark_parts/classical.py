# SPDX-License-Identifier: Apache-2.0
"""The tangent space that every table has, beside the same steps in pyriemann and scikit-learn."""

from importlib.metadata import version

import numpy as np
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from scipy import signal
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmark_parts.timing import BenchmarkArguments, Row, race
from eeg_hf.evaluation.baselines import COVARIANCE_BANDS_HZ, tangent_space_classifier

RATE_HZ = 200


def measure_classical(args: BenchmarkArguments) -> list[Row]:
    """Fit the classifier to windows of 5 s, and check that both give the same scores."""
    num_windows = 40 if args.quick else 400
    generator = np.random.default_rng(0)
    windows = generator.normal(0, 5, (num_windows, 19, 5 * RATE_HZ)).cumsum(axis=-1).astype(np.float32)
    labels = np.arange(num_windows) % 2

    def describe() -> np.ndarray:
        features = []
        for band in COVARIANCE_BANDS_HZ.values():
            sections = signal.butter(4, band, "bandpass", fs=RATE_HZ, output="sos")
            covariances = Covariances("oas").transform(signal.sosfiltfilt(sections, windows, axis=-1))
            features.append(TangentSpace("logeuclid").fit_transform(covariances))
        return np.concatenate(features, axis=1)

    def fit_peer() -> Pipeline:
        regression = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=2000)
        return make_pipeline(StandardScaler(), regression).fit(describe(), labels)

    def fit_ours() -> Pipeline:
        return tangent_space_classifier(RATE_HZ).fit(windows, labels)

    expected = fit_peer().predict_proba(describe())
    np.testing.assert_allclose(fit_ours().predict_proba(windows), expected, atol=1e-6)
    name = f"pyriemann {version('pyriemann')} + scikit-learn {version('scikit-learn')}"
    timing = race(fit_ours, fit_peer, args.pairs)
    what = "fit tangent space + logistic regression, 6 bands, windows of 19 x 1000"
    return [timing.row(what, num_windows, "windows/s", name, "≥ 3")]
