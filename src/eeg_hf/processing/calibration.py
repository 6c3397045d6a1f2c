# SPDX-License-Identifier: Apache-2.0
"""Calibration: what a model must know of a subject, session or device, kept outside its weights.

The covariances of two subjects differ more than those of two conditions. Half a minute of a subject's EEG,
without any label, says how: its mean in every band recentres all other windows of that subject
(Zanini et al. 2018, https://doi.org/10.1109/TBME.2017.2742541).

Recentring moves the mean of the calibration windows to the identity, whatever they show. It therefore assumes
that those windows are as comparable between subjects as they were in training: all rest, or the same share
of each class. A subject calibrated on other shares is moved by the difference between the classes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol

import mne
import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from .feature_extraction_eeg import EEGFeatureExtractor

FILE_NAME = "calibration.safetensors"
ARRAYS = ("whitening", "log_power")
MIN_SECONDS = 10.0
"""Less than this is refused: 19 channels need some 20 independent frames for a mean that can be inverted."""
_BATCH_SIZE = 64


def inverse_square_root(matrices: np.ndarray) -> np.ndarray:
    """Return the inverse square roots of symmetric positive definite matrices (..., n, n), float64."""
    matrices = np.asarray(matrices, np.float64)
    values, vectors = np.linalg.eigh((matrices + matrices.swapaxes(-1, -2)) / 2)
    values = np.maximum(values, 1e-6 * values[..., -1:])  # rounding: regularised matrices have full rank
    return (vectors / np.sqrt(values)[..., None, :]) @ vectors.swapaxes(-1, -2)


class SecondOrderModel(Protocol):
    """What is needed of a model: its config, and the statistics that its tokens are recentred by."""

    @property
    def config(self) -> Any:
        """The config, with the `second_order_*` fields of [`EEGFoundationConfig`]."""
        ...

    def second_order_statistics(self, **inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return matrices (batch, bands, n, n) and log power (batch, bands, n) of each window."""
        ...


@dataclass(frozen=True)
class SignalOrigin:
    """What the signals were that statistics were computed of; those of other signals do not fit.

    Attributes:
        channels: Names of the channels, in order.
        sampling_rate: Rate in Hz.
        reference: `"average"`, `"original"` or electrode names.
        normalization: That of the extractor.
        highpass_hz: Lower edge of the pass band, None for none.
        lowpass_hz: Upper edge of the pass band, None for none.
        bands_hz: Edges of the bands in Hz.
        basis: `"channels"` or `"harmonics"`, the spatial components.
        is_split: Whether correlations and log power are apart.
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
        reference = extractor.reference
        return cls(
            channels=list(channels),
            sampling_rate=float(extractor.sampling_rate),
            reference=reference if isinstance(reference, str) else list(reference),
            normalization=extractor.normalization,
            highpass_hz=extractor.highpass_hz,
            lowpass_hz=extractor.lowpass_hz,
            bands_hz=[[float(edge) for edge in band] for band in config.second_order_bands],
            basis=config.second_order_basis,
            is_split=config.second_order_split,
        )

    def check(self, other: "SignalOrigin") -> None:
        """Raise a ValueError naming the first difference to the signals of another origin."""
        for name in (field.name for field in fields(self)):
            expected, got = getattr(self, name), getattr(other, name)
            if expected != got:
                raise ValueError(
                    f"calibration: made with {name}={_short(expected)}, got {name}={_short(got)}: calibrate "
                    "again on these signals"
                )


@dataclass(frozen=True)
class Calibration:
    """Recentring of one subject, session or device, for every band.

    Attributes:
        whitening: (bands, n, n) float32, inverse square roots of the mean matrices of n components.
        log_power: (bands, n) float32, mean log power.
        origin: The signals that it belongs to.
        num_seconds: How much signal it was computed from.

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
        cls, matrices: np.ndarray, log_power: np.ndarray, origin: SignalOrigin, num_seconds: float
    ) -> "Calibration":
        """Average the statistics of windows.

        Args:
            matrices: (windows, bands, n, n), as `second_order_statistics` returns them.
            log_power: (windows, bands, n).
            origin: The signals that they are of.
            num_seconds: Length of all windows.

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
        mean = matrices.mean(axis=0, dtype=np.float64)  # (bands, n, n)
        return cls(
            whitening=inverse_square_root(mean).astype(np.float32),
            log_power=log_power.mean(axis=0).astype(np.float32),
            origin=origin,
            num_seconds=float(num_seconds),
        )

    def to_inputs(self, batch_size: int = 1) -> dict[str, torch.Tensor]:
        """Return the inputs of the model, the same for every window of a batch."""
        return {
            f"recentring_{name}": torch.from_numpy(getattr(self, name)).expand(
                batch_size, *getattr(self, name).shape
            )
            for name in ARRAYS
        }

    def check(self, extractor: EEGFeatureExtractor, channels: Sequence[str]) -> None:
        """Raise a ValueError in one line unless it fits what an extractor makes of some channels."""
        mine = self.origin
        self.origin.check(
            SignalOrigin(
                channels=list(channels),
                sampling_rate=float(extractor.sampling_rate),
                reference=_plain(extractor.reference),
                normalization=extractor.normalization,
                highpass_hz=extractor.highpass_hz,
                lowpass_hz=extractor.lowpass_hz,
                bands_hz=mine.bands_hz,
                basis=mine.basis,
                is_split=mine.is_split,
            )
        )

    def save(self, folder: str | Path) -> Path:
        """Write `calibration.safetensors` into a folder and return its path; the origin is in its header."""
        path = Path(folder) / FILE_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"origin": asdict(self.origin), "num_seconds": self.num_seconds}
        arrays = {name: np.ascontiguousarray(getattr(self, name)) for name in ARRAYS}
        save_file(arrays, path, metadata={"calibration": json.dumps(about)})
        return path

    @classmethod
    def load(cls, folder: str | Path) -> "Calibration":
        """Read what `save` wrote.

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
    model: SecondOrderModel,
    **description: Any,
) -> Calibration:
    """Compute the calibration of a subject, session or device from a recording, without labels.

    Args:
        eeg: MNE recording, or windows of shape (channels, time) or (windows, channels, time). Thirty seconds
            of rest are enough; see the module about what the windows may show.
        extractor: The model's extractor; it cleans and cuts the recording.
        model: A model with `second_order=True`.
        **description: `sampling_rate`, `channel_names` and `unit` of an array, and other arguments of the
            extractor.

    Raises:
        ValueError: If the model has no second-order tokens, or there are less than 10 s of signal.
    """
    if not getattr(model.config, "second_order", False):
        raise ValueError(
            f"calibrate: expected a model with second_order=True, got {model.config.model_type!r} without: "
            "only second-order tokens are recentred"
        )
    batch = extractor(eeg, return_report=True, **description)
    channels = batch.pop("report")[0]["channels"]
    num_seconds = float(batch["attention_mask"].sum()) / extractor.sampling_rate
    statistics = [
        model.second_order_statistics(
            **{name: value[start : start + _BATCH_SIZE] for name, value in batch.items()}
        )
        for start in range(0, len(batch["input_values"]), _BATCH_SIZE)
    ]
    matrices, log_power = (torch.cat(parts).cpu().numpy() for parts in zip(*statistics, strict=True))
    origin = SignalOrigin.describe(extractor, model.config, channels)
    return Calibration.from_statistics(matrices, log_power, origin, num_seconds)


def stack_calibrations(
    calibrations: Mapping[str, Calibration], groups: Sequence[str]
) -> dict[str, torch.Tensor]:
    """Return the model's inputs for a batch of windows of several groups.

    Args:
        calibrations: By group, such as the `alignment_group` of a prepared corpus.
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


def _plain(reference: str | Sequence[str]) -> str | list[str]:
    return reference if isinstance(reference, str) else list(reference)


def _short(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


__all__ = ["Calibration", "SignalOrigin", "calibrate", "inverse_square_root", "stack_calibrations"]
