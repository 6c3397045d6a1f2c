# SPDX-License-Identifier: Apache-2.0
"""Classical methods for evoked responses: covariances that hold the mean time course of each class.

A covariance of a window forgets when something happened. Beside the class means, stacked above the window, it
also holds how much the window resembles each of them (Barachant and Congedo 2014,
https://arxiv.org/abs/1409.0107); xDAWN filters first (Rivet et al. 2009,
https://doi.org/10.1109/TBME.2009.2012869).
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from scipy import signal
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

NUM_COMPONENTS = 4
_EMPTY = 1e-7
"""Share of the largest power below which a direction holds rounding errors."""


class EvokedCovariances(ClassifierMixin, BaseEstimator):
    """Classify windows that are locked to an event by covariances with the mean response of each class.

    Args:
        sampling_rate: Rate of the windows in Hz.
        method: `"erp"` (the class means) or `"xdawn"` (four filters a class first).
        lowpass_hz: Evoked responses are slow: what is faster is removed.
        inverse_regularizations: C of the logistic regression, chosen by grouped folds of the training rows.
        num_folds: Inner folds.

    Example:
        >>> random = np.random.default_rng(0)
        >>> windows_uv, labels = random.normal(0, 10, (40, 4, 200)), np.tile([0, 1], 20)
        >>> windows_uv[labels == 1, 0] += 10 * np.sin(np.arange(200) / 20)
        >>> classifier = EvokedCovariances(200).fit(windows_uv, labels, np.repeat(list("abcd"), 10))
        >>> classifier.predict_proba(windows_uv).shape
        (40, 2)
    """

    def __init__(
        self,
        sampling_rate: float,
        method: Literal["erp", "xdawn"] = "erp",
        lowpass_hz: float = 20.0,
        inverse_regularizations: Sequence[float] = (1e-3, 1e-2, 1e-1, 1.0),
        num_folds: int = 4,
    ) -> None:
        self.sampling_rate = sampling_rate
        self.method = method
        self.lowpass_hz = lowpass_hz
        self.inverse_regularizations = inverse_regularizations
        self.num_folds = num_folds

    def fit(
        self, windows_uv: np.ndarray, labels: np.ndarray, groups: Sequence[str] | np.ndarray
    ) -> "EvokedCovariances":
        """Fit the means, and choose C by folds in which the means are fitted anew.

        Args:
            windows_uv: (windows, channels, time) in uV.
            labels: (windows,) class indices.
            groups: (windows,) what the inner folds keep together.
        """
        return self.fit_slow(self.slow(windows_uv), labels, groups)

    def fit_slow(
        self, slow: np.ndarray, labels: np.ndarray, groups: Sequence[str] | np.ndarray
    ) -> "EvokedCovariances":
        """Fit on what `slow` returned, which several fits can share; see `fit`."""
        labels, groups = np.asarray(labels), np.asarray(groups)
        self.classes_ = np.unique(labels)
        self.basis_ = real_directions(slow)
        slow = self.basis_ @ slow
        pipeline = self._pipeline(np.shape(slow)[1])
        num_folds = min(self.num_folds, len(np.unique(groups)))
        folds = [*GroupKFold(num_folds).split(slow, groups=groups)] if num_folds > 1 else []
        if not folds or any(
            len(np.unique(labels[rows])) < len(self.classes_) for fold in folds for rows in fold
        ):
            self.classifier_ = pipeline.fit(slow, labels)
            return self
        scores = np.array([self._score_fold(pipeline, slow, labels, *fold) for fold in folds])  # (folds, C)
        best = self.inverse_regularizations[int(scores.mean(axis=0).argmax())]
        self.classifier_ = pipeline.set_params(classify__C=best).fit(slow, labels)
        return self

    def _score_fold(
        self, pipeline: Pipeline, slow: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray
    ) -> list[float]:
        """Return the AUROC of each C in an inner fold, whose covariances are computed once for all."""
        scorer = get_scorer("roc_auc" if len(self.classes_) == 2 else "roc_auc_ovr")
        steps = clone(pipeline)
        vectors = steps[:-1].fit_transform(slow[train], labels[train])
        tested = steps[:-1].transform(slow[test])
        scores = []
        for value in self.inverse_regularizations:
            fitted = steps[-1].set_params(C=value).fit(vectors, labels[train])
            scores.append(float(scorer(fitted, tested, labels[test])))
        return scores

    def predict_proba(self, windows_uv: np.ndarray) -> np.ndarray:
        """Return class probabilities (windows, classes)."""
        return self.predict_slow(self.slow(windows_uv))

    def predict_slow(self, slow: np.ndarray) -> np.ndarray:
        """Return class probabilities (windows, classes) of what `slow` returned."""
        return self.classifier_.predict_proba(self.basis_ @ slow)

    def predict(self, windows_uv: np.ndarray) -> np.ndarray:
        """Return the likeliest class of each window, (windows,)."""
        return self.classes_[self.predict_proba(windows_uv).argmax(axis=1)]

    def slow(self, windows_uv: np.ndarray) -> np.ndarray:
        """Return the slow part of windows (windows, channels, time) in uV, at a lower rate."""
        return slow_part(windows_uv, self.sampling_rate, self.lowpass_hz).astype(np.float64)

    def _pipeline(self, num_channels: int) -> Pipeline:
        from pyriemann.estimation import ERPCovariances, XdawnCovariances
        from pyriemann.tangentspace import TangentSpace

        if self.method == "xdawn":
            number = min(NUM_COMPONENTS, num_channels)
            covariances: Any = XdawnCovariances(nfilter=number, estimator="oas")
        else:
            covariances = ERPCovariances(estimator="oas", svd=min(2 * NUM_COMPONENTS, num_channels))
        return Pipeline(
            [
                ("covariances", covariances),
                ("tangent_space", TangentSpace("logeuclid")),
                ("scale", StandardScaler()),
                ("classify", LogisticRegression(C=1e-2, class_weight="balanced", max_iter=2000)),
            ]
        )


def real_directions(windows_uv: np.ndarray) -> np.ndarray:
    """Return a basis (directions, channels) without what the average reference empties.

    Filters would make a signal of the rounding errors that are left there. The identity where nothing is
    empty.
    """
    covariance = np.mean(windows_uv @ windows_uv.swapaxes(1, 2), axis=0)
    values, vectors = np.linalg.eigh(covariance)
    keep = values > _EMPTY * values[-1]
    return np.eye(len(values)) if keep.all() else vectors[:, keep].T


def slow_part(windows_uv: np.ndarray, sampling_rate: float, lowpass_hz: float) -> np.ndarray:
    """Return (windows, channels, time) without what is faster than a frequency, at a rate that holds it."""
    if lowpass_hz >= sampling_rate / 2:
        return windows_uv
    sections = signal.butter(4, lowpass_hz, fs=sampling_rate, output="sos")
    slow = signal.sosfiltfilt(sections, windows_uv, axis=-1)
    return slow[..., :: max(int(sampling_rate / (3 * lowpass_hz)), 1)]
