# SPDX-License-Identifier: Apache-2.0
"""What an estimator is given, as windows in microvolts with a rate and electrodes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import mne
import numpy as np
import torch
from datasets import Dataset

from ...collation import WindowDataset, decode_windows
from ...processing.channels import repeated
from ...processing.electrode_positions import electrode_positions, positions_from_raw
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...processing.microvolts import UV_PER_UNIT, UV_PER_VOLT


@dataclass(frozen=True)
class ArrayInput:
    """Windows of one rate and one list of channels.

    Attributes:
        values: (windows, channels, time) float32 in microvolts.
        sampling_rate: In Hz.
        channel_names: One name a channel.
        positions: (channels, 3) in metres in the head frame.
        band_hz: Edges of the filters that the windows went through, None where that is not known.
    """

    values: np.ndarray
    sampling_rate: float
    channel_names: tuple[str, ...]
    positions: np.ndarray
    band_hz: tuple[float | None, float | None] = (None, None)

    def __len__(self) -> int:
        return len(self.values)

    def at_rate(self, sampling_rate: float) -> "ArrayInput":
        """Return the windows at another rate; MNE filters before it takes samples away."""
        if sampling_rate == self.sampling_rate:
            return self
        resampled = mne.filter.resample(
            self.values.astype(float), up=sampling_rate, down=self.sampling_rate, npad="auto", verbose="ERROR"
        )
        return replace(self, values=resampled.astype(np.float32), sampling_rate=sampling_rate)

    def in_order(self, channel_names: Sequence[str]) -> "ArrayInput":
        """Return the windows with these channels, in this order.

        Raises:
            ValueError: If one of them is not there.
        """
        if tuple(channel_names) == self.channel_names:
            return self
        absent = [name for name in channel_names if name not in self.channel_names]
        if absent:
            raise ValueError(
                f"channels: fitted on {', '.join(channel_names)}, of which X lacks {', '.join(absent)}"
            )
        order = [self.channel_names.index(name) for name in channel_names]
        return replace(
            self,
            values=self.values[:, order],
            positions=self.positions[order],
            channel_names=tuple(channel_names),
        )

    def normalized(self, extractor: EEGFeatureExtractor) -> dict[str, torch.Tensor]:
        """Return the windows as a model's inputs, normalised as a feature extractor does."""
        number, channels, samples = self.values.shape
        return {
            "input_values": extractor.normalize(torch.from_numpy(self.values.copy())),
            "channel_positions": torch.from_numpy(self.positions)[None].repeat(number, 1, 1),
            "channel_mask": torch.ones(number, channels, dtype=torch.bool),
            "attention_mask": torch.ones(number, samples, dtype=torch.bool),
        }

    def describe(self, labels: Sequence[Any]) -> Dataset:
        """Return labels beside what a model is built for, as the columns of a prepared corpus."""
        number, places = len(self), self.positions.ravel().tolist()
        return Dataset.from_dict(
            {
                "label": labels,
                "channels": [list(self.channel_names)] * number,
                "channel_positions": [places] * number,
                "num_samples": [self.values.shape[2]] * number,
                "sampling_rate": [self.sampling_rate] * number,
            }
        )


def read_input(
    X: Any, sampling_rate: float | None, channel_names: Sequence[str] | None, info: mne.Info | None, unit: str
) -> ArrayInput:
    """Return what an estimator is given as windows.

    Args:
        X: `mne.Epochs`, windows of a prepared corpus (`datasets.Dataset`), or an array (windows, channels,
            time); of one channel also (windows, time).
        sampling_rate: Of an array, in Hz; others know theirs.
        channel_names: Of an array.
        info: Says both instead.
        unit: Of an array: `"V"`, `"mV"` or `"uV"`.

    Raises:
        ValueError: If the rate, the names or the unit would have to be guessed, or do not fit.
    """
    if isinstance(X, mne.BaseEpochs):
        return _read_epochs(X)
    if isinstance(X, Dataset):
        return _read_windows(X)
    if info is not None:
        sampling_rate, channel_names = info["sfreq"], info["ch_names"]
    if sampling_rate is None or channel_names is None:
        raise ValueError(
            "an array needs sampling_rate and channel_names, or info: give them to the estimator, or fit on "
            "mne.Epochs"
        )
    values = np.asarray(X, np.float32)
    names = tuple(map(str, channel_names))
    values = values[:, None] if values.ndim == 2 and len(names) == 1 else values
    if values.ndim != 3 or values.shape[1] != len(names):
        raise ValueError(
            f"expected X (windows, {len(names)} channels, time), as channel_names says, got {np.shape(X)}"
        )
    if repeated(names):
        raise ValueError(f"channel_names must differ, got {', '.join(repeated(names))} more than once")
    if unit not in UV_PER_UNIT:
        raise ValueError(f"unit: expected one of {', '.join(UV_PER_UNIT)}, got {unit!r}")
    values = values if unit == "uV" else values * np.float32(UV_PER_UNIT[unit])
    return ArrayInput(values, float(sampling_rate), names, electrode_positions(names), _band(info))


def _read_epochs(epochs: "mne.BaseEpochs") -> ArrayInput:
    """Take the EEG channels of MNE's epochs, in volts."""
    picked = epochs.copy().load_data().pick("eeg", verbose="ERROR")
    values = picked.get_data(copy=False) * UV_PER_VOLT
    positions = positions_from_raw(mne.io.RawArray(values[0] * 0, picked.info, verbose="ERROR"))
    return ArrayInput(
        values.astype(np.float32),
        float(picked.info["sfreq"]),
        tuple(picked.ch_names),
        positions,
        _band(picked.info),
    )


def _band(info: mne.Info | None) -> tuple[float | None, float | None]:
    """Return the pass band of MNE's description, as far as it says more than the rate does."""
    if info is None:
        return None, None
    low, high = float(info["highpass"]), float(info["lowpass"])
    return low or None, high if high < info["sfreq"] / 2 else None


def _read_windows(rows: Dataset) -> ArrayInput:
    """Decode the windows of a prepared corpus."""
    montages = {tuple(names) for names in rows["channels"][:]}
    shapes = {*zip(rows["num_samples"][:], rows["sampling_rate"][:], strict=True)}
    if len(montages) != 1 or len(shapes) != 1:
        raise ValueError(
            f"X: expected windows of one length, one rate and one set of channels, got {len(shapes)} lengths "
            f"or rates and {len(montages)} sets of channels"
        )
    windows = WindowDataset(rows)
    values, _, _ = decode_windows(windows.__getitems__(list(range(len(windows)))))
    (names,), ((_, rate),) = montages, shapes
    positions = np.reshape(rows[0]["channel_positions"], (-1, 3)).astype(np.float32)
    return ArrayInput(values, float(rate), names, positions)
