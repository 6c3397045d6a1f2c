# SPDX-License-Identifier: Apache-2.0
"""The tangent space that every table has, beside the same steps in pyriemann and scikit-learn."""

from importlib.metadata import version

import numpy as np
import pyarrow as pa
from datasets import Dataset
from pyriemann.estimation import Covariances
from pyriemann.tangentspace import TangentSpace
from scipy import signal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmark_parts.noise import RATE_HZ, encode_noise
from benchmark_parts.timing import BenchmarkArguments, Row, race
from eeg_hf import WindowDataset
from eeg_hf.collation import decode_windows
from eeg_hf.corpora import Simulated
from eeg_hf.evaluation.baselines import COVARIANCE_BANDS_HZ, tangent_space_classifier
from eeg_hf.experiments.classifiers.classical import ClassicalStatistics, try_classical
from eeg_hf.experiments.classifiers.target import Target
from eeg_hf.processing.channels import STANDARD_19

NUM_FOLDS = 5
CLASSES = ("rest", "task")
WINDOWS = "6 bands, windows of 19 x 1000"


class TangentSpaces(TransformerMixin, BaseEstimator):
    """pyriemann's tangent space of each band of (windows, bands, channels, channels)."""

    def fit(self, covariances: np.ndarray, labels: np.ndarray | None = None) -> "TangentSpaces":
        """Find the mean of each band."""
        self.fit_transform(covariances)
        return self

    def fit_transform(self, covariances: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
        """Do both at once, as pyriemann's own does."""
        self.spaces_ = [TangentSpace("logeuclid") for _ in covariances[0]]
        bands = zip(self.spaces_, covariances.swapaxes(0, 1), strict=True)
        return np.concatenate([space.fit_transform(band) for space, band in bands], axis=1)

    def transform(self, covariances: np.ndarray) -> np.ndarray:
        """Return tangent vectors (windows, features)."""
        bands = zip(self.spaces_, covariances.swapaxes(0, 1), strict=True)
        return np.concatenate([space.transform(band) for space, band in bands], axis=1)


def measure_classical(args: BenchmarkArguments) -> list[Row]:
    """Fit the classifier to windows of 5 s, and test it in folds; check that both give the same scores."""
    dataset = make_dataset(num_subjects=5 if args.quick else 20, num_windows=4 if args.quick else 10)
    windows, _, _ = decode_windows(WindowDataset(dataset).__getitems__([*range(len(dataset))]))
    return [race_fits(args, windows), race_folds(args, dataset, windows)]


def race_fits(args: BenchmarkArguments, windows: np.ndarray) -> Row:
    """Fit the pipelines of both sides to windows."""
    labels = np.arange(len(windows)) % 2

    def fit_peer() -> Pipeline:
        return peer_pipeline().fit(peer_covariances(windows), labels)

    def fit_ours() -> Pipeline:
        return tangent_space_classifier(RATE_HZ).fit(windows, labels)

    expected = fit_peer().predict_proba(peer_covariances(windows))
    np.testing.assert_allclose(fit_ours().predict_proba(windows), expected, atol=1e-6)
    timing = race(fit_ours, fit_peer, args.pairs)
    what = f"fit tangent space + logistic regression, {WINDOWS}"
    return timing.row(what, len(windows), "windows/s", peer_name(), "≥ 3")


def race_folds(args: BenchmarkArguments, dataset: Dataset, windows: np.ndarray) -> Row:
    """Predict windows by folds of subjects: from a prepared corpus, as evaluate does, beside arrays."""
    target, subjects = Target("condition", CLASSES), np.array(dataset["subject"])
    labels, folds = target.encode(dataset), GroupKFold(NUM_FOLDS)
    splits = [*folds.split(windows, groups=subjects)]
    parts = [[dataset.select(rows) for rows in split] for split in splits]

    def test_ours() -> np.ndarray:
        scores, statistics = np.empty((len(dataset), len(CLASSES))), ClassicalStatistics(dataset)
        for (_, tested), (train, test) in zip(splits, parts, strict=True):
            scores[tested] = try_classical("tangent_space", train, test, target, statistics).scores
        return scores

    def test_peer() -> np.ndarray:
        # Covariances once for all folds, as in pyriemann's examples: in the folds they would cost five times
        return cross_val_predict(
            peer_pipeline(),
            peer_covariances(windows),
            labels,
            groups=subjects,
            cv=folds,
            method="predict_proba",
        )

    np.testing.assert_allclose(test_ours(), test_peer(), atol=1e-6)
    timing = race(test_ours, test_peer, args.pairs)
    what = f"test it in {NUM_FOLDS} folds by subject, from a prepared corpus, {WINDOWS}"
    return timing.row(what, len(windows), "windows/s", f"{peer_name()}, from arrays", "≥ 3")


def make_dataset(num_subjects: int, num_windows: int) -> Dataset:
    """Return a prepared corpus of two recordings a subject, of noise that is strongest at low frequencies."""
    corpus, random, tables = Simulated(num_subjects), np.random.default_rng(0), []
    for recording in corpus.recordings():
        windows = random.normal(0, 5, (num_windows, len(STANDARD_19), 5 * RATE_HZ)).cumsum(axis=-1)
        tables.append(encode_noise(windows, corpus, recording, STANDARD_19))
    return Dataset(pa.concat_tables(tables))


def peer_covariances(windows: np.ndarray) -> np.ndarray:
    """Return (windows, bands, channels, channels) of scipy and pyriemann."""
    bands = []
    for band in COVARIANCE_BANDS_HZ.values():
        sections = signal.butter(4, band, "bandpass", fs=RATE_HZ, output="sos")
        bands.append(Covariances("oas").transform(signal.sosfiltfilt(sections, windows, axis=-1)))
    return np.stack(bands, axis=1)


def peer_pipeline() -> Pipeline:
    """Return what follows the covariances."""
    regression = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=2000)
    return make_pipeline(TangentSpaces(), StandardScaler(), regression)


def peer_name() -> str:
    """Return the libraries of the peer with their versions."""
    return f"pyriemann {version('pyriemann')} + scikit-learn {version('scikit-learn')}"
