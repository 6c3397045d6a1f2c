# SPDX-License-Identifier: Apache-2.0
"""What every model has to beat: band power, tangent space and EEGNet, on the same windows and the same split.

The first two are scikit-learn pipelines that take windows (windows, channels, time) in microvolt; EEGNet is a
torch module that transformers' Trainer trains. braindecode is in the extra `eeg-hf[baselines]`.

Both logistic regressions count classes alike and are regularised strongly (C = 0.001): subjects are few and
features are many. On EEGMAT with unseen subjects, cross-validation over the training subjects chooses, among
0.0001 to 1, C = 0.001 in every fold for band power, and 0.001 or 0.01 for the tangent space.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import torch
from scipy import signal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from transformers.modeling_outputs import SequenceClassifierOutput

from ..models.configuration_braindecode import BraindecodeConfig
from ..models.modeling_braindecode import BraindecodeForSequenceClassification
from ..models.modeling_eeg_classical import shrink_by_oas
from .zero_phase_bands import band_moments, mix_bands, zero_phase_bands

Bands = Mapping[str, tuple[float, float]]

POWER_BANDS_HZ: Bands = MappingProxyType(
    {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}
)
COVARIANCE_BANDS_HZ: Bands = MappingProxyType(
    {
        "delta": (1, 4),
        "theta": (4, 8),
        "alpha": (8, 13),
        "low beta": (13, 20),
        "high beta": (20, 30),
        "gamma": (30, 45),
    }
)
EEGNET = "EEGNet"
# Windows filtered at a time: 256 of 20 x 2000 samples are 80 MB in double precision
_BATCH_SIZE = 256
# Flat channels are zeros; their logarithm must be finite. Far below what any amplifier resolves.
_MIN_POWER = 1e-10


def fitting_bands(bands: Bands, sampling_rate: float) -> Bands:
    """Return the bands that a sampling rate holds; the one that ends above is cut, if much is left of it."""
    highest = 0.45 * sampling_rate
    cut = {name: (low, min(high, highest)) for name, (low, high) in bands.items()}
    found = {
        name: (low, high) for name, (low, high) in cut.items() if high - low >= 2 or high == bands[name][1]
    }
    if not found:
        raise ValueError(f"bands: {sampling_rate:g} Hz holds none of {', '.join(bands)}: pass other bands")
    return {name: edges for name, edges in found.items() if edges[0] < highest}


class BandPower(TransformerMixin, BaseEstimator):
    """Log power of each channel in each band, from Welch's spectrum with segments of one second.

    Args:
        sampling_rate: Rate of the windows in Hz.
        bands: Lower (included) and upper (excluded) edge of each band in Hz; default: five that the rate
            holds.
    """

    def __init__(self, sampling_rate: float, bands: Bands | None = None) -> None:
        self.sampling_rate = sampling_rate
        self.bands = bands or fitting_bands(POWER_BANDS_HZ, sampling_rate)

    def fit(self, windows_uv: np.ndarray, labels: np.ndarray | None = None) -> "BandPower":
        """Check the bands against the windows; nothing is learned."""
        _check_windows(windows_uv, self.sampling_rate, self.bands)
        return self

    def transform(self, windows_uv: np.ndarray) -> np.ndarray:
        """Return (windows, channels * bands) log power in log(uV^2 / Hz)."""
        return _in_batches(self._log_power, windows_uv)

    def _log_power(self, windows_uv: np.ndarray) -> np.ndarray:
        segment = min(round(self.sampling_rate), windows_uv.shape[-1])
        frequencies, spectrum = signal.welch(windows_uv, self.sampling_rate, nperseg=segment)
        inside = [(frequencies >= low) & (frequencies < high) for low, high in self.bands.values()]
        power = np.stack([spectrum[..., band].mean(axis=-1) for band in inside], axis=-1)
        return np.log(np.maximum(power, _MIN_POWER)).reshape(len(windows_uv), -1)


class BandLogarithm(TransformerMixin, BaseEstimator):
    """Logarithm of the covariance of each window in each band, shrunk towards a sphere (OAS).

    Args:
        sampling_rate: Rate of the windows in Hz.
        bands: Lower and upper edge of each band in Hz; default: six that the rate holds.
    """

    def __init__(self, sampling_rate: float, bands: Bands | None = None) -> None:
        self.sampling_rate = sampling_rate
        self.bands = bands or fitting_bands(COVARIANCE_BANDS_HZ, sampling_rate)

    def fit(self, windows_uv: np.ndarray, labels: np.ndarray | None = None) -> "BandLogarithm":
        """Check the bands against the windows; nothing is learned."""
        _check_windows(windows_uv, self.sampling_rate, self.bands)
        return self

    def transform(self, windows_uv: np.ndarray) -> np.ndarray:
        """Return (windows, bands, channels, channels), logarithms of matrices in uV^2."""
        _, num_channels, num_samples = windows_uv.shape
        bands = zero_phase_bands([*self.bands.values()], self.sampling_rate, num_samples)
        covariances = torch.from_numpy(band_moments(bands, windows_uv, is_centred=True))
        # The shrinkage fills the direction that the average reference empties, but not an all-flat window
        floor = _MIN_POWER * np.eye(num_channels)
        return _logarithm(shrink_by_oas(covariances, num_samples).numpy() + floor)


class BandTangentSpace(TransformerMixin, BaseEstimator):
    """Log-Euclidean tangent space of each band at the mean of the training windows.

    The logarithms of windows depend on no other window: several fits share them.
    """

    def fit(self, logarithms: np.ndarray, labels: np.ndarray | None = None) -> "BandTangentSpace":
        """Find the mean of each band.

        Args:
            logarithms: (windows, bands, channels, channels), see [`BandLogarithm`].
            labels: Not used.
        """
        self.means_ = logarithms.mean(axis=0)  # (bands, channels, channels)
        return self

    @property
    def references_(self) -> np.ndarray:
        """Mean covariances (bands, channels, channels) in uV^2."""
        values, vectors = np.linalg.eigh(self.means_)
        references: np.ndarray = (vectors * np.exp(values)[..., None, :]) @ vectors.mT
        return references

    def transform(self, logarithms: np.ndarray) -> np.ndarray:
        """Return (windows, bands * channels * (channels + 1) / 2) tangent vectors in pyriemann's order."""
        values, vectors = np.linalg.eigh(self.means_)
        turned = vectors.mT @ (logarithms - self.means_) @ vectors * exponential_differences(values)
        rows, columns = np.triu_indices(logarithms.shape[-1])
        tangent = (vectors @ turned @ vectors.mT)[..., rows, columns]
        return (tangent * np.where(rows == columns, 1, np.sqrt(2))).reshape(len(logarithms), -1)


def exponential_differences(values: np.ndarray) -> np.ndarray:
    """Return the first differences of the exponential between eigenvalues, (..., n) to (..., n, n).

    The derivative of the exponential at a symmetric matrix multiplies by them in its eigenvectors' basis.
    """
    rows, columns = values[..., :, None], values[..., None, :]
    half = (rows - columns) / 2
    is_near = np.abs(half) < 1e-5  # sinh(x) / x is 1 there
    ratio = np.where(is_near, 1.0, np.sinh(half) / np.where(is_near, 1.0, half))
    differences: np.ndarray = np.exp((rows + columns) / 2) * ratio
    return differences


def band_power_classifier(
    sampling_rate: float, bands: Bands | None = None, inverse_regularization: float = 1e-3
) -> Pipeline:
    """Return log band power and a logistic regression.

    Args:
        sampling_rate: Rate of the windows in Hz.
        bands: Edges of the bands in Hz.
        inverse_regularization: C of the logistic regression.

    Example:
        >>> windows_uv = np.random.default_rng(0).normal(0, 10, (40, 19, 400))
        >>> windows_uv[20:] *= 2
        >>> classifier = band_power_classifier(sampling_rate=200).fit(windows_uv, np.repeat([0, 1], 20))
        >>> classifier.predict_proba(windows_uv).shape
        (40, 2)
    """
    return Pipeline(
        [("power", BandPower(sampling_rate, bands)), *_logistic_regression(inverse_regularization)]
    )


def tangent_space_classifier(
    sampling_rate: float, bands: Bands | None = None, inverse_regularization: float = 1e-3
) -> Pipeline:
    """Return band-wise covariances in their tangent space and a logistic regression.

    Where the unlabelled windows of a tested subject may be used, give it windows from [`recentre_bands`].

    Args:
        sampling_rate: Rate of the windows in Hz.
        bands: Edges of the bands in Hz.
        inverse_regularization: C of the logistic regression.

    Example:
        >>> windows_uv = np.random.default_rng(0).normal(0, 10, (40, 4, 400))
        >>> windows_uv[20:, 0] += windows_uv[20:, 1]
        >>> classifier = tangent_space_classifier(sampling_rate=200).fit(windows_uv, np.repeat([0, 1], 20))
        >>> classifier.predict_proba(windows_uv).shape
        (40, 2)
    """
    return Pipeline(
        [
            ("logarithm", BandLogarithm(sampling_rate, bands)),
            ("tangent_space", BandTangentSpace()),
            *_logistic_regression(inverse_regularization),
        ]
    )


def recentre_bands(
    windows_uv: np.ndarray,
    subjects: Sequence[str] | np.ndarray,
    sampling_rate: float,
    bands: Bands | None = None,
) -> np.ndarray:
    """Whiten the windows of each subject in each band, without any label, and sum the bands.

    Every subject's mean covariance becomes the identity in every band, so that people differ no more than by
    what they do. All windows of a tested subject are looked at: results belong to the regime "aligned", never
    beside those of unseen subjects. Give a subject's windows together, all conditions: whitening each of them
    by itself would remove the difference.

    Args:
        windows_uv: (windows, channels, time) in uV.
        subjects: (windows,) who each window is from.
        sampling_rate: Rate of the windows in Hz.
        bands: Edges of the bands in Hz.

    Returns:
        (windows, channels, time) float32 without a unit.
    """
    bands = bands or fitting_bands(COVARIANCE_BANDS_HZ, sampling_rate)
    _check_windows(windows_uv, sampling_rate, bands)
    owners = np.asarray(subjects)
    if owners.shape != windows_uv.shape[:1]:
        raise ValueError(f"subjects: expected one for each of {len(windows_uv)} windows, got {owners.size}")
    filters = zero_phase_bands([*bands.values()], sampling_rate, windows_uv.shape[-1])
    recentred = np.empty(windows_uv.shape, np.float32)
    for subject in np.unique(owners):
        rows = np.flatnonzero(owners == subject)
        windows = windows_uv[rows]
        means = band_moments(filters, windows).mean(axis=0)  # (bands, channels, channels)
        recentred[rows] = mix_bands(filters, windows, np.stack([*map(_whitening_matrix, means)]))
    return recentred


class NetworkClassifier(nn.Module):
    """A network of another library with the face that transformers' Trainer expects.

    Args:
        network: Module that maps (batch, channels, time) to logits (batch, classes).
        class_weights: Weight of each class in the loss.
        label_smoothing: Share of every label spread over all classes while training.
    """

    accepts_loss_kwargs = False  # the loss is a mean: Trainer must average it over accumulated batches
    class_weights: torch.Tensor | None

    def __init__(
        self, network: nn.Module, class_weights: Sequence[float] | None = None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        self.network = network
        self.label_smoothing = label_smoothing
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights)

    def forward(
        self, input_values: torch.Tensor, labels: torch.Tensor | None = None, **kwargs: Any
    ) -> SequenceClassifierOutput:
        """Classify windows.

        Args:
            input_values: (batch, channels, time), normalised.
            labels: (batch,) class indices, -100 where missing; or (batch, classes) class shares.
            **kwargs: Whatever else a batch has; masks and positions mean nothing to these networks.
        """
        logits = self.network(input_values)
        return SequenceClassifierOutput(
            loss=None if labels is None else self.loss(logits, labels), logits=logits
        )

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy of the labels that are there; 0 with a gradient where none is."""
        if not labels.is_floating_point() and bool((labels < 0).all()):
            return 0.0 * logits.sum()
        smoothing = self.label_smoothing if self.training else 0.0
        return nn.functional.cross_entropy(
            logits, labels, weight=self.class_weights, label_smoothing=smoothing
        )


def braindecode_classifier(
    name: str,
    num_channels: int,
    num_classes: int,
    num_samples: int,
    sampling_rate: float,
    class_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    **settings: Any,
) -> BraindecodeForSequenceClassification:
    """Return a model of braindecode by its name, ready for transformers' Trainer.

    Args:
        name: Class in `braindecode.models`, such as "EEGNet".
        num_channels: Channels of a window.
        num_classes: Number of classes.
        num_samples: Samples of a window.
        sampling_rate: Rate of the windows in Hz.
        class_weights: As in [`BraindecodeConfig`].
        label_smoothing: As in [`BraindecodeConfig`].
        **settings: Further arguments of that class.

    Raises:
        ImportError: If braindecode is not installed.
        ValueError: If it has no such model.
    """
    shape: dict[str, Any] = {
        "num_channels": num_channels,
        "num_samples": num_samples,
        "num_labels": num_classes,
    }
    config = BraindecodeConfig(
        **shape,
        architecture=name,
        sampling_rate=sampling_rate,
        class_weights=None if class_weights is None else list(class_weights),
        label_smoothing=label_smoothing,
        network=settings or None,
    )
    return BraindecodeForSequenceClassification(config)


def eegnet_settings(sampling_rate: float) -> dict[str, Any]:
    """Return the arguments that make braindecode's EEGNet that of the paper, and let it train in few steps.

    Args:
        sampling_rate: Rate of the windows in Hz.
    """
    return {
        "kernel_length": round(sampling_rate / 2),
        # braindecode's 0.01 needs hundreds of steps until the running statistics fit: an epoch chosen before
        # may rank windows well and yet call them all one class
        "batch_norm_momentum": 0.1,
        "final_layer_with_constraint": True,
    }


def eegnet(
    num_channels: int,
    num_classes: int,
    num_samples: int,
    sampling_rate: float,
    class_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
) -> BraindecodeForSequenceClassification:
    """Return EEGNet (https://arxiv.org/abs/1611.08024), temporal kernels half a second long as in the paper.

    Args:
        num_channels: Channels of a window.
        num_classes: Number of classes.
        num_samples: Samples of a window.
        sampling_rate: Rate of the windows in Hz.
        class_weights: As in [`BraindecodeConfig`].
        label_smoothing: As in [`BraindecodeConfig`].

    Example:
        >>> model = eegnet(num_channels=19, num_classes=2, num_samples=1000, sampling_rate=200)
        >>> model(torch.randn(3, 19, 1000)).logits.shape
        torch.Size([3, 2])
    """
    return braindecode_classifier(
        EEGNET,
        num_channels,
        num_classes,
        num_samples,
        sampling_rate,
        class_weights,
        label_smoothing,
        **eegnet_settings(sampling_rate),
    )


def spd_classifier(
    name: str,
    num_channels: int,
    num_classes: int,
    num_samples: int,
    sampling_rate: float,
    class_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    **settings: Any,
) -> NetworkClassifier:
    """Return a network of spd_learn on covariances, ready for transformers' Trainer.

    Args:
        name: `"Green"` (https://github.com/Roche/neuro-green), wavelets from 1 to 45 Hz, or
            `"TSMNet"` (https://arxiv.org/abs/2206.01323), temporal kernels a quarter of a second long.
        num_channels: Channels of a window.
        num_classes: Number of classes.
        num_samples: Samples of a window.
        sampling_rate: Rate of the windows in Hz.
        class_weights: As in [`NetworkClassifier`].
        label_smoothing: As in [`NetworkClassifier`].
        **settings: Further arguments of that class.

    Raises:
        ImportError: If spd_learn is not installed.
        ValueError: If the name is another one.
    """
    models = import_extra("spd_learn.models")
    if name == "Green":
        # Octaves above 1 Hz, in steps of 20 ms: computing a covariance of every sample costs 4 times as much
        defaults = {"sfreq": round(sampling_rate), "oct_max": 5.5, "conv_stride": round(sampling_rate / 50)}
    elif name == "TSMNet":
        defaults = {"temp_kernel_length": round(sampling_rate / 4)}
    else:
        raise ValueError(f"name: expected 'Green' or 'TSMNet', got {name!r}")
    network = getattr(models, name)(n_chans=num_channels, n_outputs=num_classes, **{**defaults, **settings})
    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = tensor.data.contiguous()  # others cannot be saved, and Trainer keeps the best epoch
    return NetworkClassifier(network, class_weights, label_smoothing)


def _logistic_regression(inverse_regularization: float) -> list[tuple[str, BaseEstimator]]:
    regression = LogisticRegression(C=inverse_regularization, class_weight="balanced", max_iter=2000)
    return [("scale", StandardScaler()), ("classify", regression)]


def _logarithm(matrices: np.ndarray) -> np.ndarray:
    """Return the logarithm of symmetric positive definite matrices (..., n, n)."""
    values, vectors = np.linalg.eigh(matrices)
    logarithm: np.ndarray = (vectors * np.log(values)[..., None, :]) @ vectors.mT
    return logarithm


def _whitening_matrix(covariance: np.ndarray) -> np.ndarray:
    """Return the inverse square root of a covariance (channels, channels)."""
    values, vectors = np.linalg.eigh(covariance)
    # The average reference leaves a direction with nothing but rounding errors: it is dropped, not blown up
    keep = values > 1e-4 * values[-1]
    return (vectors[:, keep] / np.sqrt(values[keep])) @ vectors[:, keep].T


def _check_windows(windows_uv: np.ndarray, sampling_rate: float, bands: Bands) -> None:
    if np.ndim(windows_uv) != 3:
        raise ValueError(f"expected windows (windows, channels, time) in uV, got {np.shape(windows_uv)}")
    highest = max(high for _, high in bands.values())
    if highest >= sampling_rate / 2:
        raise ValueError(
            f"bands: expected all below half of {sampling_rate} Hz, got one up to {highest}: pass other bands"
        )


def _in_batches(function: Callable[[np.ndarray], np.ndarray], windows: np.ndarray) -> np.ndarray:
    starts = range(0, len(windows), _BATCH_SIZE)
    return np.concatenate([function(windows[start : start + _BATCH_SIZE]) for start in starts])


def import_extra(module: str) -> ModuleType:
    """Import a module of the extra `baselines`, or raise an ImportError that names it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.split(".")[0]
        raise ImportError(f'{package} is not installed: pip install "eeg-hf[baselines]"') from error
