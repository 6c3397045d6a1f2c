# SPDX-License-Identifier: Apache-2.0
"""Classical methods as the model of a run: fitted by scikit-learn, kept as a model of transformers.

The fits are those of the baselines of `eeg-hf evaluate`. What they learned is affine in what the model reads
of a window, so that its one linear layer says the same.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from scipy import signal
from sklearn.decomposition import KernelPCA
from sklearn.pipeline import Pipeline

from ...collation import WindowDataset
from ...evaluation import (
    Predictions,
    WelchTangentSpace,
    band_power_classifier,
    band_power_regressor,
    recentre_bands,
    tangent_space_classifier,
    tangent_space_regressor,
)
from ...evaluation.baselines import (
    COVARIANCE_BANDS_HZ,
    POWER_BANDS_HZ,
    BandLogarithm,
    BandPower,
    exponential_differences,
    fitting_bands,
)
from ...evaluation.evoked_responses import EvokedCovariances
from ...evaluation.welch_tangent_space import recentring
from ...models.configuration_eeg_classical import EEGClassicalConfig
from ...models.configuration_eeg_foundation import SECOND_ORDER_BANDS_HZ
from ...models.modeling_eeg_classical import EEGClassicalForSequenceClassification
from ...models.spd_logarithm import vectorize
from ...training.convex_head import per_class
from ..inner_folds import inner_groups
from .hosted import describe_window
from .target import Target, to_predictions
from .windows import read_batches

KINDS: Mapping[str, str] = {
    "band_power": "power",
    "tangent_space": "covariance",
    "welch_tangent_space": "cross_spectra",
    "erp_covariances": "evoked",
    "xdawn_covariances": "evoked",
}
"""Name of each method in `--architecture`, and what it reads of a window."""
_LOWPASS_HZ = 20.0


class ClassicalStatistics:
    """What the classical methods read of the windows of a corpus, computed once for all folds.

    Args:
        dataset: All windows.
        is_recentred: Whether the windows of each subject are whitened in each band first, see
            [`recentre_bands`].
    """

    def __init__(self, dataset: Dataset, is_recentred: bool = False) -> None:
        self.dataset = dataset
        self.is_recentred = is_recentred
        self.places = {name: place for place, name in enumerate(dataset["window_id"][:])}
        self.found: dict[str, np.ndarray] = {}
        self.aligned: dict[tuple[float, float], np.ndarray] = {}

    def of(self, method: str, rows: Dataset) -> np.ndarray:
        """Return the statistics of some windows, (windows, ...).

        Raises:
            ValueError: If windows have different numbers of channels.
        """
        return self._of_all(KINDS[method])[self._places_of(rows)]

    def aligned_vectors(
        self, rows: Dataset, space: WelchTangentSpace, shrinkage: tuple[float, float]
    ) -> np.ndarray:
        """Return tangent vectors (windows, features) of some windows at the mean of each of their subjects.

        Those of whole subjects, as in folds by subject, depend on no other rows: they are computed once.

        Args:
            rows: Some windows.
            space: Maps them.
            shrinkage: Before and after recentring.
        """
        subjects, everybody = rows["subject"][:], self.dataset["subject"][:]
        totals = Counter(everybody)
        if any(number < totals[name] for name, number in Counter(subjects).items()):
            return space.vectors(self.of("welch_tangent_space", rows), subjects, shrinkage)
        if shrinkage not in self.aligned:
            covariances = self._of_all(KINDS["welch_tangent_space"])
            self.aligned[shrinkage] = space.vectors(covariances, everybody, shrinkage)
        return self.aligned[shrinkage][self._places_of(rows)]

    def _of_all(self, kind: str) -> np.ndarray:
        if kind not in self.found:
            self.found[kind] = self._measure(kind)
        return self.found[kind]

    def _places_of(self, rows: Dataset) -> list[int]:
        return [self.places[name] for name in rows["window_id"][:]]

    def _measure(self, kind: str) -> np.ndarray:
        windows, rate = WindowDataset(self.dataset), float(self.dataset[0]["sampling_rate"])
        if len(set(windows.num_channels)) > 1:
            raise ValueError(
                "baselines: expected one number of channels; prepare with --channels, or --baselines false"
            )
        if not self.is_recentred:
            return np.concatenate([measure(kind, values, rate) for _, values in read_batches(windows)])
        subjects = np.array(self.dataset["subject"][:])
        found: dict[int, np.ndarray] = {}
        for subject in np.unique(subjects):
            rows = np.flatnonzero(subjects == subject)
            batches = [values for _, values in read_batches(WindowDataset(self.dataset.select(rows)))]
            values = recentre_bands(np.concatenate(batches), subjects[rows], rate)
            found |= dict(zip(rows, measure(kind, values, rate), strict=True))
        return np.stack([found[row] for row in range(len(subjects))])


def measure(kind: str, windows_uv: np.ndarray, rate: float) -> np.ndarray:
    """Return what a kind of methods reads of windows (windows, channels, time) in uV before any fit."""
    if kind == "power":
        return BandPower(rate).transform(windows_uv)
    if kind == "covariance":
        return BandLogarithm(rate).transform(windows_uv)
    if kind == "cross_spectra":
        return WelchTangentSpace(rate).covariances(windows_uv)
    return EvokedCovariances(rate).slow(windows_uv)


def build_classical(
    method: str, window: Mapping[str, Any], rate: float, labels: Mapping[str, Any]
) -> EEGClassicalForSequenceClassification:
    """Return a classical method that has learned nothing yet, for windows like this one.

    Args:
        method: One of `KINDS`.
        window: Of the corpus.
        rate: Of the windows in Hz.
        labels: Fields of the config, see `Target.config_fields`.
    """
    fields: dict[str, Any] = {**describe_window(window), **labels}
    kind, size = KINDS[method], fields["num_channels"]
    fields["bands_hz"] = [list(map(float, band)) for band in fitting_bands(POWER_BANDS_HZ, rate).values()]
    if kind == "covariance":
        bands = list(fitting_bands(COVARIANCE_BANDS_HZ, rate).values())
        fields["bands_hz"] = [list(map(float, band)) for band in bands]
        fields["filters"] = [signal.butter(4, band, "bandpass", fs=rate, output="sos") for band in bands]
    elif kind == "cross_spectra":
        fields["bands_hz"] = [list(map(float, band)) for band in SECOND_ORDER_BANDS_HZ if band[1] <= rate / 2]
    elif kind == "evoked":
        is_slow = rate / 2 > _LOWPASS_HZ
        low = (
            signal.butter(4, _LOWPASS_HZ, fs=rate, output="sos")
            if is_slow
            else np.eye(6)[[0]] + np.eye(6)[[3]]
        )
        fields |= {"filters": [low], "step": max(int(rate / (3 * _LOWPASS_HZ)), 1) if is_slow else 1}
        fields |= {"num_prototypes": 1, "num_components": size}  # until a fit says how many
    fields["filters"] = [sections.tolist() for sections in fields.get("filters", ())]
    config = EEGClassicalConfig(kind=kind, method=method, sampling_rate=rate, **fields)
    return EEGClassicalForSequenceClassification(config)


def fit_classical(
    model: EEGClassicalForSequenceClassification,
    train: Dataset,
    target: Target,
    statistics: ClassicalStatistics | None = None,
) -> None:
    """Fit a classical method to windows, and give its model what was learned.

    Args:
        model: See `build_classical`.
        train: Windows to learn from.
        target: What is predicted.
        statistics: Of the corpus, where several fits share them.
    """
    transfer(_fit(str(model.config.method), train, target, statistics or ClassicalStatistics(train)), model)


def try_classical(
    method: str,
    train: Dataset,
    test: Dataset,
    target: Target,
    statistics: ClassicalStatistics,
    groups: np.ndarray | None = None,
) -> Predictions:
    """Fit a classical method to windows, and predict others without building its model.

    Args:
        method: One of `KINDS`.
        train: Windows to learn from.
        test: Windows to predict.
        target: What is predicted.
        statistics: Of the corpus.
        groups: (windows,) what inner folds of `train` keep together; see `inner_groups` by default.
    """
    fitted, values = _fit(method, train, target, statistics, groups), statistics.of(method, test)
    if target.is_regression:
        scores = fitted.predict(values).reshape(-1, 1)
    elif isinstance(fitted, WelchTangentSpace):
        scores = fitted.predict_covariances(values)
    elif isinstance(fitted, EvokedCovariances):
        scores = fitted.predict_slow(values)
    else:
        scores = fitted.predict_proba(values)
    return to_predictions(test, target, scores)


def _fit(
    method: str,
    train: Dataset,
    target: Target,
    statistics: ClassicalStatistics,
    groups: np.ndarray | None = None,
) -> Any:
    """Return a fitted estimator on what `measure` returned."""
    values, labels = statistics.of(method, train), target.encode(train)
    groups = inner_groups(train) if groups is None else groups
    rate = float(train[0]["sampling_rate"])
    if target.is_regression:
        build: Any = band_power_regressor if method == "band_power" else tangent_space_regressor
        return build(rate, groups)[1:].fit(values, labels)
    if method == "welch_tangent_space":
        return WelchTangentSpace(rate).fit_covariances(values, labels, groups)
    if KINDS[method] == "evoked":
        name: Any = method.partition("_")[0]
        return EvokedCovariances(rate, name).fit_slow(values, labels, groups)
    build = band_power_classifier if method == "band_power" else tangent_space_classifier
    return build(rate)[1:].fit(values, labels)


@torch.no_grad()
def transfer(fitted: Any, model: EEGClassicalForSequenceClassification) -> None:
    """Give a model the weights and statistics of a fitted estimator."""
    buffers: dict[str, np.ndarray] = {}
    if isinstance(fitted, WelchTangentSpace):
        weight, bias = affine(fitted.classifier_)
        bias = bias + fitted.offsets_
        buffers["whitening"] = recentring(fitted.reference_, fitted.shrinkage_[0])
        model.config.shrinkages = list(fitted.shrinkage_)
    elif isinstance(fitted, EvokedCovariances):
        steps = fitted.classifier_
        weight, bias = of_logarithms(*affine(steps[2:]), [steps["tangent_space"].reference_])
        covariances = steps["covariances"]
        filters = covariances.Xd_.filters_ @ fitted.basis_ if fitted.method == "xdawn" else fitted.basis_
        buffers = {"prototypes": covariances.P_, "spatial_filters": filters}
        model.resize(len(covariances.P_), len(filters))
    else:
        weight, bias = affine(fitted[-2:])
        if "tangent_space" in fitted.named_steps:
            weight, bias = of_logarithms(weight, bias, [*fitted["tangent_space"].references_])
    for name, value in buffers.items():
        model.model.get_buffer(name).copy_(torch.from_numpy(np.ascontiguousarray(value)))
    model.classifier.weight.copy_(torch.from_numpy(weight))
    model.classifier.bias.copy_(torch.from_numpy(bias))


def affine(pipeline: Pipeline) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight (outputs, features) and the bias of a scaler, a rotation and a linear model."""
    last = pipeline[-1]
    if hasattr(last, "classes_"):
        weight, bias = per_class(last, int(last.classes_.max()) + 1)
    else:
        weight, bias = np.atleast_2d(last.coef_), np.atleast_1d(last.intercept_)
    for step in reversed(_flat(pipeline)[:-1]):
        if isinstance(step, KernelPCA):
            # Kernels with the rows that it was fitted to, centred, on its axes: linear in what is rotated
            rows = step.X_fit_ - step.X_fit_.mean(axis=0)
            is_used = step.eigenvalues_ > 0
            axes = step.eigenvectors_[:, is_used] / np.sqrt(step.eigenvalues_[is_used])
            constant = step.transform(np.zeros((1, step.X_fit_.shape[1])))[0]
            bias, weight = bias + weight @ constant, (weight[:, is_used] @ axes.T) @ rows
        elif hasattr(step, "mean_"):
            weight = weight / step.scale_
            bias = bias - weight @ step.mean_
    return weight, bias


def _flat(pipeline: Pipeline) -> list[Any]:
    """Return the steps of a pipeline, and of those in it."""
    return [part for step in pipeline for part in (_flat(step) if isinstance(step, Pipeline) else [step])]


def of_logarithms(
    weight: np.ndarray, bias: np.ndarray, references: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights on logarithms that say what others say in log-Euclidean tangent spaces.

    Tangent vectors are `D exp (log C - log R)`, a linear map of the logarithms that is its own transpose.

    Args:
        weight: (outputs, bands * n (n + 1) / 2) on pyriemann's tangent vectors.
        bias: (outputs,).
        references: Of each band, (n, n).
    """
    parts = []
    for part, reference in zip(np.split(weight, len(references), axis=1), references, strict=True):
        size = len(reference)
        rows, columns = np.triu_indices(size)
        values, vectors = np.linalg.eigh(reference)
        matrices = np.zeros((len(part), size, size))
        matrices[:, rows, columns] = part / np.where(rows == columns, 1.0, np.sqrt(2))
        matrices[:, columns, rows] = matrices[:, rows, columns]
        turned = vectors.T @ matrices @ vectors * exponential_differences(np.log(values))
        matrices = vectors @ turned @ vectors.T
        parts.append(vectorize(torch.from_numpy(matrices)).numpy())
        logarithm = (vectors * np.log(values)) @ vectors.T
        bias = bias - np.einsum("oij,ij->o", matrices, logarithm)
    return np.concatenate(parts, axis=1), bias


__all__ = ["KINDS", "ClassicalStatistics", "build_classical", "fit_classical", "try_classical"]
