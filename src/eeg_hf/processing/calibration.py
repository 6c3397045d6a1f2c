# SPDX-License-Identifier: Apache-2.0
"""Calibration: statistics of a subject, session or device, kept outside the weights of a model.

The covariances of two subjects differ more than those of two conditions. The mean covariance in every band,
from half a minute of a subject's unlabelled EEG, recentres all other windows of that subject (Zanini et al.
2018, https://doi.org/10.1109/TBME.2017.2742541).

Recentring moves the mean of the calibration windows to the identity. It assumes that these windows are as
comparable between subjects as in training: all rest, or the same share of each class. With other shares it
moves the subject by the difference between the classes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mne
import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from transformers import BatchFeature

from .bad_spans import bad_windows
from .feature_extraction_eeg import EEGFeatureExtractor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FILE_NAME = "calibration.safetensors"
ARRAYS = ("whitening", "log_power")
MIN_SECONDS = 10.0
"""Shortest calibration: 19 channels need about 20 independent frames for an invertible mean."""
_BATCH_SIZE = 64


def inverse_square_root(matrices: np.ndarray) -> np.ndarray:
    """Return the inverse square roots of symmetric positive definite matrices (..., n, n), float64."""
    matrices = np.asarray(matrices, np.float64)
    values, vectors = np.linalg.eigh((matrices + matrices.swapaxes(-1, -2)) / 2)
    values = np.maximum(values, 1e-6 * values[..., -1:])  # regularised matrices have full rank up to rounding
    return (vectors / np.sqrt(values)[..., None, :]) @ vectors.swapaxes(-1, -2)


@dataclass(frozen=True)
class SignalOrigin:
    """The kind of signals from which statistics were computed; they do not apply to other signals.

    Attributes:
        channels: Names of the channels, in order.
        sampling_rate: Rate in Hz.
        reference: `"average"`, `"original"` or electrode names.
        normalization: Normalisation of the extractor.
        highpass_hz: Lower edge of the pass band, None for none.
        lowpass_hz: Upper edge of the pass band, None for none.
        bands_hz: Edges of the bands in Hz.
        basis: `"channels"` or `"harmonics"`, the spatial components.
        is_split: Whether correlations and log power are separate.
    """

    channels: list[str]
    sampling_rate: float
    reference: str | list[str]
    normalization: str
    highpass_hz: float | None
    lowpass_hz: float | None
    bands_hz: list[list[float]]
    basis: str
    is_split: bool

    @classmethod
    def describe(cls, extractor: EEGFeatureExtractor, config: Any, channels: Sequence[str]) -> "SignalOrigin":
        """Return the origin of signals that an extractor makes for a model."""
        return cls(
            **_signal_settings(extractor, channels),
            bands_hz=[[float(edge) for edge in band] for band in config.second_order_bands],
            basis=config.second_order_basis,
            is_split=config.second_order_split,
        )


@dataclass(frozen=True)
class Calibration:
    """Recentring of one subject, session or device, for every band.

    Attributes:
        whitening: (bands, n, n) float32, inverse square roots of the mean matrices of n components.
        log_power: (bands, n) float32, mean log power.
        origin: The signals to which it applies.
        num_seconds: Seconds of signal from which it was computed.

    Example:
        >>> calibration = calibrate(rest, extractor, model)  # doctest: +SKIP
        >>> calibration.save("subject-07")  # doctest: +SKIP
        >>> extractor(task, calibration=Calibration.load("subject-07"))  # doctest: +SKIP
    """

    whitening: np.ndarray
    log_power: np.ndarray
    origin: SignalOrigin
    num_seconds: float

    @classmethod
    def from_statistics(
        cls,
        matrices: np.ndarray,
        log_power: np.ndarray,
        origin: SignalOrigin,
        num_seconds: float,
        weights: np.ndarray | None = None,
    ) -> "Calibration":
        """Average the statistics of windows.

        Args:
            matrices: (windows, bands, n, n), as `second_order_statistics` returns them.
            log_power: (windows, bands, n).
            origin: The signals of the windows.
            num_seconds: Length of all windows.
            weights: (windows,), how much each window counts; alike by default.

        Raises:
            ValueError: If there are less than 10 s, or values that are not finite.
        """
        if num_seconds < MIN_SECONDS:
            raise ValueError(
                f"calibration: expected {MIN_SECONDS:g} s of signal or more (30 s are enough), got "
                f"{num_seconds:g} s"
            )
        if not (np.isfinite(matrices).all() and np.isfinite(log_power).all()):
            raise ValueError("calibration: the windows hold NaN or infinite values: drop them")
        mean = np.average(matrices.astype(np.float64), axis=0, weights=weights)  # (bands, n, n)
        return cls(
            whitening=inverse_square_root(mean).astype(np.float32),
            log_power=np.average(log_power, axis=0, weights=weights).astype(np.float32),
            origin=origin,
            num_seconds=float(num_seconds),
        )

    def to_inputs(self, batch_size: int = 1) -> dict[str, torch.Tensor]:
        """Return the inputs of the model, the same for every window of a batch."""
        arrays = {name: torch.from_numpy(getattr(self, name)) for name in ARRAYS}
        return {f"recentring_{name}": a.expand(batch_size, *a.shape) for name, a in arrays.items()}

    def check(self, extractor: EEGFeatureExtractor, channels: Sequence[str] | None = None) -> None:
        """Raise a ValueError with the first difference unless it applies to the signals of an extractor.

        Args:
            extractor: That made or makes the signals.
            channels: Their channels, in order; None where they are not known.
        """
        for name, got in _signal_settings(extractor, channels or self.origin.channels).items():
            expected = getattr(self.origin, name)
            if expected != got:
                raise ValueError(
                    f"calibration: made with {name}={_short(expected)}, got {name}={_short(got)}: calibrate "
                    "again on these signals"
                )

    def save(self, folder: str | Path) -> Path:
        """Write `calibration.safetensors`, with the origin in its header, to a folder and return its path."""
        path = Path(folder) / FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"origin": asdict(self.origin), "num_seconds": self.num_seconds}
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in ARRAYS}
        save_file(arrays, path, metadata={"calibration": json.dumps(about)})
        return path

    @classmethod
    def load(cls, folder: str | Path) -> "Calibration":
        """Read a calibration from a folder or file written by `save`.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file holds something else.
        """
        path = Path(folder)
        path = path / FILE_NAME if path.is_dir() else path
        if not path.exists():
            raise FileNotFoundError(f"calibration: no {FILE_NAME} at {folder}")
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get("calibration", "{}"))
            if not about or set(file.keys()) != set(ARRAYS):
                raise ValueError(f"{path}: expected a calibration, got a file with {sorted(file.keys())}")
            arrays = {name: file.get_tensor(name) for name in ARRAYS}
        return cls(**arrays, origin=SignalOrigin(**about["origin"]), num_seconds=about["num_seconds"])


@torch.no_grad()
def calibrate(
    eeg: "mne.io.BaseRaw | np.ndarray | torch.Tensor",
    extractor: EEGFeatureExtractor,
    model: "PreTrainedModel",
    **description: Any,
) -> Calibration:
    """Compute the calibration of a subject, session or device from a recording, without labels.

    Args:
        eeg: MNE recording, or windows of shape (channels, time) or (windows, channels, time). Thirty seconds
            of rest are enough; see the module docstring for other windows.
        extractor: The model's extractor, which cleans and cuts the recording.
        model: A model with `second_order=True`.
        **description: `sampling_rate`, `channel_names` and `unit` of an array, and other arguments of the
            extractor.

    Raises:
        ValueError: If the model has no second-order tokens, or there are less than 10 s of signal outside of
            windows that overlap spans annotated as bad.
    """
    if not getattr(model.config, "second_order", False):
        raise ValueError(
            f"calibrate: expected a model with second_order=True, got {model.config.model_type!r} without: "
            "only second-order tokens are recentred"
        )
    batch = extractor(eeg, return_report=True, **description)
    channels = batch.pop("report")[0]["channels"]
    if isinstance(eeg, mne.io.BaseRaw):  # windows that preparation would leave out are no calibration
        is_bad = bad_windows(eeg, extractor.window_seconds, len(batch["input_values"]))
        if is_bad.all():
            raise ValueError("calibration: every window overlaps a span annotated as bad or crosses a gap")
        kept = ~torch.from_numpy(is_bad)
        batch = BatchFeature({name: value[kept] for name, value in batch.items()})
    num_seconds = float(batch["attention_mask"].sum()) / extractor.sampling_rate
    compute_statistics: Any = model.base_model.second_order_statistics
    statistics = [
        compute_statistics(**{name: value[start : start + _BATCH_SIZE] for name, value in batch.items()})
        for start in range(0, len(batch["input_values"]), _BATCH_SIZE)
    ]
    # (windows, bands, n, n) and (windows, bands, n)
    matrices, log_power = (torch.cat(parts).cpu().numpy() for parts in zip(*statistics, strict=True))
    origin = SignalOrigin.describe(extractor, model.config, channels)
    return Calibration.from_statistics(matrices, log_power, origin, num_seconds)


def stack_calibrations(
    calibrations: Mapping[str, Calibration], groups: Sequence[str]
) -> dict[str, torch.Tensor]:
    """Return the model's inputs for a batch of windows of several groups.

    Args:
        calibrations: Group, such as the `alignment_group` of a prepared corpus -> calibration.
        groups: The group of each window.

    Raises:
        ValueError: If a group has no calibration.
    """
    missing = sorted(set(groups) - set(calibrations))
    if missing:
        raise ValueError(f"no calibration for {', '.join(missing)}: calibrate these groups too")
    return {
        f"recentring_{name}": torch.from_numpy(
            np.stack([getattr(calibrations[group], name) for group in groups])
        )
        for name in ARRAYS
    }


def _signal_settings(extractor: EEGFeatureExtractor, channels: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a SignalOrigin that an extractor determines, as JSON would hold them."""
    reference = extractor.reference
    return {
        "channels": list(channels),
        "sampling_rate": float(extractor.sampling_rate),
        "reference": reference if isinstance(reference, str) else list(reference),
        "normalization": extractor.normalization,
        "highpass_hz": extractor.highpass_hz,
        "lowpass_hz": extractor.lowpass_hz,
    }


def _short(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


__all__ = ["Calibration", "SignalOrigin", "calibrate", "inverse_square_root", "stack_calibrations"]
