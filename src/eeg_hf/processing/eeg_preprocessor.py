# SPDX-License-Identifier: Apache-2.0
"""Recordings and arrays to clean microvolts in one call, for those who bring their own model.

Models of this package take `EEGFeatureExtractor`, which does the same and normalises, cuts and pads as well.
"""

import inspect
from collections.abc import Sequence
from typing import Literal

import mne
import numpy as np

from .channels import positions_from_raw
from .preprocessing import preprocess

_SETTINGS = tuple(inspect.signature(preprocess).parameters)[1:]
_FACTORS: dict[str | None, float] = {"V": 1.0, "mV": 1e-3, "uV": 1e-6}  # to volts


class EEGPreprocessor:
    """Clean recordings, all with the same settings.

    Args:
        use_adaptive: Whether to measure unit, line noise, noisy channels and drifts of each recording and
            adapt to them by fixed rules; nothing changes on clean recordings.
        input_sampling_rate: Rate of arrays in Hz, where `preprocess_eeg` is not told.
        unit: `"V"`, `"mV"` or `"uV"`, the unit of arrays, where `preprocess_eeg` is not told.
        **settings: Settings of `eeg_hf.preprocessing.preprocess` (`sampling_rate`, the rate of the result,
            `highpass_hz`, `lowpass_hz`, `notch_hz`, `reference`, `channels`, ...).

    Raises:
        ValueError: A setting that `preprocess` does not have.

    Example:
        >>> preprocessor = EEGPreprocessor(use_adaptive=True, input_sampling_rate=250, unit="uV")
        >>> eeg = np.random.default_rng(0).normal(scale=20, size=(2, 2500))
        >>> data, info = preprocessor.preprocess_eeg(eeg, ["C3", "C4"])
        >>> data.shape, info["sampling_rate"]
        ((2, 2000), 200.0)
    """

    def __init__(
        self,
        use_adaptive: bool = False,
        *,
        input_sampling_rate: float | None = None,
        unit: Literal["V", "mV", "uV"] | None = None,
        **settings: object,
    ) -> None:
        unknown = sorted(settings.keys() - set(_SETTINGS) | settings.keys() & {"adaptive"})
        if unknown:
            raise ValueError(
                f"EEGPreprocessor has no setting {', '.join(unknown)}; expected use_adaptive,"
                f" input_sampling_rate, unit, {', '.join(name for name in _SETTINGS if name != 'adaptive')}"
            )
        self.settings: dict[str, object] = {**settings, "adaptive": use_adaptive}
        self.input_sampling_rate = input_sampling_rate
        self.unit = unit

    def preprocess_eeg(
        self,
        raw: "mne.io.BaseRaw | np.ndarray",
        channel_names: Sequence[str] | None = None,
        sampling_rate: float | None = None,
        unit: Literal["V", "mV", "uV"] | None = None,
    ) -> tuple[np.ndarray, dict[str, object]]:
        """Clean one recording.

        Args:
            raw: MNE recording, or samples of shape (channels, time).
            channel_names: One name a channel. Needed with an array; with a recording it renames the channels.
            sampling_rate: Rate of the array in Hz. Recordings state their own.
            unit: Unit of the array. Recordings are in volts.

        Returns:
            Clean samples in microvolt, float32, shape (channels, time); bad and masked channels are zero. And
            what is known of them, as `json.dumps` takes it: `channel_names`, `channel_positions` (metres,
            head frame), `unit`, and all that `PreprocessingReport` holds (`sampling_rate`, `bad_channels`,
            `line_freq`, `scale_uv`, `quality`, `warnings`, ...).

        Raises:
            ValueError: Whatever would have to be guessed, see `eeg_hf.preprocessing.preprocess`.
            TypeError: Neither a recording nor an array.
        """
        if isinstance(raw, mne.io.BaseRaw):
            if sampling_rate is not None or unit is not None:
                raise ValueError("sampling_rate and unit describe arrays; a recording states its own")
            recording = raw if channel_names is None else _renamed(raw, channel_names)
        else:
            rate = self.input_sampling_rate if sampling_rate is None else sampling_rate
            recording = _recording(raw, channel_names, rate, unit or self.unit)
        clean, report = preprocess(recording, **self.settings)  # type: ignore[arg-type]  # checked by name
        info = {
            "channel_names": list(clean.ch_names),
            "channel_positions": positions_from_raw(clean, prefer="file").tolist(),
            "unit": "uV",
            **report.to_dict(),
        }
        return (clean.get_data() * 1e6).astype(np.float32), info


def _renamed(raw: "mne.io.BaseRaw", channel_names: Sequence[str]) -> "mne.io.BaseRaw":
    """Give a recording other channel names, on a copy."""
    if len(channel_names) != len(raw.ch_names):
        raise ValueError(
            f"expected one name for each of the recording's {len(raw.ch_names)} channels"
            f" ({', '.join(raw.ch_names)}), got {len(channel_names)}"
        )
    if list(channel_names) == raw.ch_names:
        return raw
    return raw.copy().rename_channels(dict(zip(raw.ch_names, channel_names, strict=True)))


def _recording(
    eeg: np.ndarray, channel_names: Sequence[str] | None, rate: float | None, unit: str | None
) -> "mne.io.BaseRaw":
    """Make a recording of an array, or say what is missing."""
    if not isinstance(eeg, np.ndarray) or eeg.dtype.kind not in "iuf":
        raise TypeError(
            f"expected an MNE recording or a real array (channels, time), got {type(eeg).__name__}"
        )
    stated = {"channel_names": channel_names, "sampling_rate": rate, "unit": unit}
    absent = [name for name, value in stated.items() if value is None]
    if channel_names is None or rate is None or absent:
        raise ValueError(
            f"an array needs channel_names, sampling_rate and unit; {', '.join(absent)} not given"
        )
    if unit not in _FACTORS:
        raise ValueError(f"unit must be 'V', 'mV' or 'uV', got {unit!r}")
    if eeg.ndim != 2 or len(eeg) != len(channel_names) or 0 in eeg.shape:
        hint = ": transpose?" if eeg.ndim == 2 and eeg.shape[1] == len(channel_names) else ""
        raise ValueError(f"expected ({len(channel_names)}, time) samples, got {eeg.shape}{hint}")
    info = mne.create_info([str(name) for name in channel_names], rate, "eeg", verbose="ERROR")
    return mne.io.RawArray(eeg * _FACTORS[unit], info, verbose="ERROR")


__all__ = ["EEGPreprocessor"]
