# SPDX-License-Identifier: Apache-2.0
"""Tangent space of narrow bands and a logistic regression: the strongest classical baseline on little data.

Cross-spectra of twelve bands by Welch's method, recentred, mapped by the matrix logarithm (Barachant et al.
2012, https://doi.org/10.1109/TBME.2011.2172210). The penalty, how much is shrunk after recentring and the
threshold are chosen by grouped folds inside the training subjects.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.decomposition import KernelPCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..models.configuration_eeg_foundation import SECOND_ORDER_BANDS_HZ
from ..models.second_order import SMALLEST_POWER, cross_spectra
from ..models.spd_logarithm import shrink, vectorize
from .operating_point import choose_offsets

DEFAULT_INVERSE_REGULARIZATION = 1e-3
"""C where no inner fold of subjects holds every class on both sides."""
_BATCH_SIZE = 256


class WelchTangentSpace(ClassifierMixin, BaseEstimator):
    """Classify windows by the cross-spectra of bands in their tangent space.

    Args:
        sampling_rate: Rate of the windows in Hz.
        is_aligned: Recentre each subject by the mean of their own windows, without labels, instead of all
            windows by the mean of the training windows.
        bands_hz: Lower and upper edge of each band in Hz; those above half of the rate are left out.
        shrinkages: Pairs of shrinkage before and after recentring, to choose from.
        inverse_regularizations: C of the logistic regression, to choose from.
        num_folds: Inner folds of the training subjects that choose.

    Example:
        >>> random = np.random.default_rng(0)
        >>> windows_uv = random.normal(0, 10, (48, 4, 400))
        >>> windows_uv[::2, 0] += windows_uv[::2, 1]
        >>> subjects, labels = np.repeat(list("abcd"), 12), np.tile([0, 1], 24)
        >>> classifier = WelchTangentSpace(200).fit(windows_uv, labels, subjects)
        >>> classifier.predict_proba(windows_uv).shape
        (48, 2)
    """

    def __init__(
        self,
        sampling_rate: float,
        is_aligned: bool = False,
        bands_hz: Sequence[Sequence[float]] = SECOND_ORDER_BANDS_HZ,
        shrinkages: Sequence[tuple[float, float]] = ((0.1, 0.0), (0.01, 0.3)),
        inverse_regularizations: Sequence[float] = (1e-4, 1e-3, 1e-2, 1e-1),
        num_folds: int = 4,
    ) -> None:
        self.sampling_rate = sampling_rate
        self.is_aligned = is_aligned
        self.bands_hz = bands_hz
        self.shrinkages = shrinkages
        self.inverse_regularizations = inverse_regularizations
        self.num_folds = num_folds

    def fit(
        self, windows_uv: np.ndarray, labels: np.ndarray, subjects: Sequence[str] | np.ndarray
    ) -> "WelchTangentSpace":
        """Choose shrinkage and penalty inside the training subjects and fit the classifier.

        Args:
            windows_uv: (windows, channels, time) in uV.
            labels: (windows,) class indices.
            subjects: (windows,) subject of each window; with one, nothing is chosen.
        """
        return self.fit_covariances(self.covariances(windows_uv), labels, subjects)

    def predict_proba(
        self, windows_uv: np.ndarray, subjects: Sequence[str] | np.ndarray | None = None
    ) -> np.ndarray:
        """Return class probabilities (windows, classes).

        Args:
            windows_uv: (windows, channels, time) in uV; with `is_aligned`, all that subjects have.
            subjects: (windows,), needed with `is_aligned`.
        """
        return self.predict_covariances(self.covariances(windows_uv), subjects)

    def predict(
        self, windows_uv: np.ndarray, subjects: Sequence[str] | np.ndarray | None = None
    ) -> np.ndarray:
        """Return the likeliest class of each window, (windows,)."""
        return self.classes_[self.predict_proba(windows_uv, subjects).argmax(axis=1)]

    def covariances(self, windows_uv: np.ndarray) -> np.ndarray:
        """Return cross-spectra (windows, bands, channels, channels) in uV^2."""
        frame_size = round(self.sampling_rate)  # 1 s: frequencies 1 Hz apart
        batches = torch.as_tensor(windows_uv, dtype=torch.float32).split(_BATCH_SIZE)
        bands = [band for band in self.bands_hz if band[1] <= self.sampling_rate / 2]
        spectra = [cross_spectra(each, bands, self.sampling_rate, frame_size)[0] for each in batches]
        return torch.cat(spectra)[:, 0].double().numpy()

    def fit_covariances(
        self,
        covariances: np.ndarray,
        labels: np.ndarray,
        subjects: Sequence[str] | np.ndarray,
        references: Mapping[str, np.ndarray] | None = None,
        groups: Sequence[str] | np.ndarray | None = None,
    ) -> "WelchTangentSpace":
        """Fit on what `covariances` returned, which several fits can share.

        Args:
            covariances: (windows, bands, channels, channels) in uV^2.
            labels: As in `fit`.
            subjects: As in `fit`.
            references: Mean covariance (bands, channels, channels) of some windows of each subject, with
                `is_aligned`; that of the windows here by default.
            groups: (windows,) what the inner folds keep together; subjects by default.
        """
        self.recentre_by(covariances)
        vectors = {pair: self.vectors(covariances, subjects, pair, references) for pair in self.shrinkages}
        return self.fit_vectors(vectors, labels, subjects if groups is None else groups)

    def recentre_by(self, covariances: np.ndarray) -> None:
        """Recentre by the mean of some windows wherever no subject's own mean is used."""
        self.reference_ = covariances.mean(axis=0)  # (bands, channels, channels); shrinkage is linear

    def fit_vectors(
        self,
        vectors: Mapping[tuple[float, float], np.ndarray],
        labels: np.ndarray,
        groups: Sequence[str] | np.ndarray,
    ) -> "WelchTangentSpace":
        """Fit on what `vectors` returned for each pair of shrinkages.

        Args:
            vectors: (windows, features) of each pair to choose from.
            labels: (windows,) class indices.
            groups: (windows,) what the inner folds keep together.
        """
        groups = np.asarray(groups)
        self.classes_, targets = np.unique(labels, return_inverse=True)
        self.offsets_ = np.zeros(len(self.classes_))
        folds = self._inner_folds(np.asarray(labels), groups)
        if not folds:  # nothing to choose on
            self.shrinkage_ = next(iter(vectors))
            regression = _regression().set_params(C=DEFAULT_INVERSE_REGULARIZATION)
            self.classifier_ = make_pipeline(StandardScaler(), regression).fit(
                vectors[self.shrinkage_], labels
            )
            return self
        scoring = "roc_auc" if len(self.classes_) == 2 else "roc_auc_ovr"
        best = -np.inf
        for shrinkage, values in vectors.items():
            # All principal components: fewer columns, and the same optimum with an L2 penalty
            is_wide = values.shape[1] > len(values)
            rotate = make_pipeline(StandardScaler(), KernelPCA() if is_wide else "passthrough")
            rotated = rotate.fit_transform(values)
            search = GridSearchCV(
                _regression(),
                {"C": list(self.inverse_regularizations)},
                scoring=scoring,
                cv=folds,
            ).fit(rotated, labels)
            if search.best_score_ > best:
                best, self.shrinkage_ = search.best_score_, shrinkage
                self.classifier_ = make_pipeline(rotate, search.best_estimator_)
                self.offsets_ = _offsets(search.best_estimator_, rotated, targets, groups, folds)
        return self

    def predict_covariances(
        self,
        covariances: np.ndarray,
        subjects: Sequence[str] | np.ndarray | None = None,
        references: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Return class probabilities (windows, classes) of what `covariances` returned.

        Args:
            covariances: (windows, bands, channels, channels) in uV^2.
            subjects: (windows,), needed with `is_aligned`.
            references: As in `fit_covariances`.
        """
        if self.is_aligned and subjects is None:
            raise ValueError("WelchTangentSpace: is_aligned=True needs the subject of each window")
        return self.predict_vectors(self.vectors(covariances, subjects, self.shrinkage_, references))

    def predict_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Return class probabilities (windows, classes) of what `vectors` returned for `shrinkage_`."""
        return softmax(self.classifier_.predict_log_proba(vectors) + self.offsets_, axis=1)

    def vectors(
        self,
        covariances: np.ndarray,
        subjects: Sequence[str] | np.ndarray | None,
        shrinkage: tuple[float, float],
        references: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Return tangent vectors (windows, features) at the mean of each subject, or of `recentre_by`.

        Args:
            covariances: (windows, bands, channels, channels) in uV^2.
            subjects: (windows,), used with `is_aligned`.
            shrinkage: Before and after recentring.
            references: As in `fit_covariances`.
        """
        owners = np.asarray(subjects)
        covariances = _shrink(covariances, shrinkage[0])
        recentred = np.empty_like(covariances)
        if self.is_aligned:
            for owner in np.unique(owners):
                rows = owners == owner
                mean = covariances[rows].mean(axis=0)
                if references is not None:  # shrunk like the windows, of which it is a mean
                    mean = _shrink(references[owner], shrinkage[0])
                recentred[rows] = _recentre(covariances[rows], mean)
        else:
            recentred = _recentre(covariances, _shrink(self.reference_, shrinkage[0]))
        values, vectors = np.linalg.eigh(_shrink(recentred, shrinkage[1]))
        logarithms = (vectors * np.log(values)[..., None, :]) @ vectors.swapaxes(-1, -2)
        return vectorize(torch.from_numpy(logarithms)).flatten(1).float().numpy()

    def _inner_folds(self, labels: np.ndarray, groups: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return inner folds of groups that hold every class on both sides."""
        num_folds = min(self.num_folds, len(np.unique(groups)))
        if num_folds < 2:
            return []
        folds = GroupKFold(num_folds).split(labels, groups=groups)
        return [
            fold
            for fold in folds
            if all(np.array_equal(np.unique(labels[rows]), self.classes_) for rows in fold)
        ]


def _shrink(covariances: np.ndarray, amount: float) -> np.ndarray:
    """Shrink towards the sphere; an all-flat window stays finite."""
    tiny = SMALLEST_POWER * np.eye(covariances.shape[-1])
    return shrink(torch.from_numpy(covariances), amount).numpy() + tiny


def recentring(reference: np.ndarray, shrinkage: float) -> np.ndarray:
    """Return the inverse square roots (bands, n, n) of mean covariances (bands, n, n), shrunk before."""
    return _whitening(_shrink(reference, shrinkage))


def _recentre(covariances: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Whiten covariances (windows, bands, n, n) by their mean (bands, n, n)."""
    whitening = _whitening(mean)
    return whitening @ covariances @ whitening


def _whitening(mean: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(mean)
    whitening: np.ndarray = (vectors / np.sqrt(values)[..., None, :]) @ vectors.swapaxes(-1, -2)
    return whitening


def _offsets(
    classifier: LogisticRegression,
    vectors: np.ndarray,
    targets: np.ndarray,
    groups: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Return the offsets of the classes that the inner folds choose."""
    rows = np.concatenate([test for _, test in folds])
    logits = [
        clone(classifier).fit(vectors[train], targets[train]).predict_log_proba(vectors[test])
        for train, test in folds
    ]
    return choose_offsets(np.concatenate(logits), targets[rows], groups[rows])


def _regression() -> LogisticRegression:
    return LogisticRegression(class_weight="balanced", max_iter=1000, tol=1e-3)
