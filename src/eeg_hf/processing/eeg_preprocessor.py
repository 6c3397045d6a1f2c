# SPDX-License-Identifier: Apache-2.0
"""Clean recordings and arrays in one call, for use with other libraries' models.

Models of this package take `EEGFeatureExtractor`, which also normalises, cuts and pads.
"""

from collections.abc import Sequence
from typing import Literal

import mne
import numpy as np

from .electrode_positions import positions_from_raw
from .microvolts import describe_array, to_microvolts, to_recording
from .preprocessing import SETTINGS, preprocess


class EEGPreprocessor:
    """Clean recordings, all with the same settings.

    Args:
        use_adaptive: Whether to measure unit, line noise, noisy channels and drifts of each recording and
            adapt to them by fixed rules; clean recordings are not affected.
        input_sampling_rate: Default rate of arrays in Hz.
        unit: Default unit of arrays: `"V"`, `"mV"` or `"uV"`.
        **settings: Settings of `eeg_hf.processing.preprocessing.preprocess` (`sampling_rate`, the rate of the
            result, `highpass_hz`, `lowpass_hz`, `notch_hz`, `reference`, `channels`, ...).

    Raises:
        ValueError: If `preprocess` lacks a setting.

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
        known = [name for name in SETTINGS if name != "adaptive"]
        unknown = sorted(settings.keys() - set(known))
        if unknown:
            raise ValueError(
                f"EEGPreprocessor has no setting {', '.join(unknown)}; expected use_adaptive,"
                f" input_sampling_rate, unit, {', '.join(known)}"
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
            channel_names: One name per channel. Required with an array; with a recording it renames the
                channels.
            sampling_rate: Rate of the array in Hz. Recordings have their own.
            unit: Unit of the array. Recordings are in volts.

        Returns:
            Clean samples in microvolts, float32, shape (channels, time); bad and masked channels are zero.
            And their description, as `json.dumps` takes it: `channel_names`, `channel_positions` (metres,
            head frame), `unit`, and the fields of `PreprocessingReport` (`sampling_rate`, `bad_channels`,
            `line_freq`, `scale_uv`, `quality`, `warnings`, ...).

        Raises:
            ValueError: If something would have to be guessed, see `preprocess`.
            TypeError: If `raw` is neither a recording nor an array.
        """
        if not isinstance(raw, mne.io.BaseRaw):
            rate = self.input_sampling_rate if sampling_rate is None else sampling_rate
            samples_uv, header = describe_array(raw, rate, channel_names, unit or self.unit)
            if len(samples_uv) > 1:
                raise ValueError(f"expected samples of one recording, got {len(samples_uv)}: loop over them")
            recording = to_recording(samples_uv[0], header)
        elif sampling_rate is not None or unit is not None:
            raise ValueError("sampling_rate and unit describe arrays; a recording states its own")
        else:
            recording = raw if channel_names is None else _renamed(raw, channel_names)
        clean, report = preprocess(recording, **self.settings)  # type: ignore[arg-type]  # checked by name
        info = {
            "channel_names": list(clean.ch_names),
            "channel_positions": positions_from_raw(clean, prefer="file").tolist(),
            "unit": "uV",
            **report.to_dict(),
        }
        return to_microvolts(clean), info


def _renamed(raw: "mne.io.BaseRaw", channel_names: Sequence[str]) -> "mne.io.BaseRaw":
    """Rename the channels of a recording, on a copy."""
    if len(channel_names) != len(raw.ch_names):
        raise ValueError(
            f"expected one name for each of the recording's {len(raw.ch_names)} channels"
            f" ({', '.join(raw.ch_names)}), got {len(channel_names)}"
        )
    if list(channel_names) == raw.ch_names:
        return raw
    return raw.copy().rename_channels(dict(zip(raw.ch_names, channel_names, strict=True)))
