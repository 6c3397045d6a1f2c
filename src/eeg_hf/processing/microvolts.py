# SPDX-License-Identifier: Apache-2.0
"""Where volts become microvolts.

MNE's recordings are in volts, and so is everything up to the end of `preprocess`. `to_microvolts` takes the
samples out of a clean recording; windows, models and reports hold microvolts. Arrays state their unit and
pass through `describe_array`.
"""

from collections.abc import Sequence

import mne
import numpy as np
import torch

from .channels import repeated
from .microvolt_units import UV_PER_UNIT, UV_PER_VOLT
from .setting_checks import check_option, positive


def to_microvolts(raw: "mne.io.BaseRaw") -> np.ndarray:
    """Return the samples of a recording in microvolts, float32, shape (channels, time)."""
    if raw.preload:
        return (raw.get_data() * UV_PER_VOLT).astype(np.float32)
    samples = np.empty((len(raw.ch_names), raw.n_times), np.float32)
    for channel, row in enumerate(samples):  # one at a time: double precision of all may not fit into memory
        row[:] = raw.get_data(picks=[channel])[0] * UV_PER_VOLT
    return samples


def to_recording(samples_uv: np.ndarray, info: mne.Info) -> "mne.io.BaseRaw":
    """Return samples in microvolts, shape (channels, time), as a recording in volts."""
    return mne.io.RawArray(samples_uv * 1e-6, info, verbose="ERROR")


def describe_array(
    eeg: np.ndarray | torch.Tensor,
    sampling_rate: float | None,
    channel_names: Sequence[str] | None,
    unit: str | None,
) -> tuple[np.ndarray, mne.Info]:
    """Check an array and its description.

    Args:
        eeg: Samples of shape (channels, time) or (batch, channels, time).
        sampling_rate: Rate in Hz.
        channel_names: One name per channel.
        unit: `"V"`, `"mV"` or `"uV"`.

    Returns:
        Samples in microvolts, shape (batch, channels, time), and MNE's description of the channels.

    Raises:
        ValueError: If anything is missing or does not fit.
        TypeError: If `eeg` is not an array of real numbers.
    """
    if isinstance(eeg, torch.Tensor):
        eeg = eeg.detach().cpu().float().numpy()
    if not isinstance(eeg, np.ndarray) or eeg.dtype.kind not in "iuf":
        what = f"an array of {eeg.dtype}" if isinstance(eeg, np.ndarray) else type(eeg).__name__
        raise TypeError(
            f"expected an MNE recording or a real array (channels, time), got {what}; open files with MNE"
        )
    if sampling_rate is None or channel_names is None or unit is None:
        stated = {"sampling_rate": sampling_rate, "channel_names": channel_names, "unit": unit}
        absent = ", ".join(name for name, value in stated.items() if value is None)
        raise ValueError(f"an array needs sampling_rate, channel_names and unit; {absent} not given")
    check_option("unit", unit, tuple(UV_PER_UNIT))
    if eeg.dtype == np.float16:  # a volt is more microvolts than it can hold
        eeg = eeg.astype(np.float32)
    if isinstance(channel_names, str):
        raise ValueError(f"channel_names must be a list of names, got the text {channel_names!r}")
    names = [str(name) for name in channel_names]
    if eeg.ndim not in (2, 3) or eeg.shape[-2] != len(names) or 0 in eeg.shape:
        hint = ": transpose?" if eeg.ndim in (2, 3) and eeg.shape[-1] == len(names) else ""
        raise ValueError(
            f"expected ({len(names)}, time) or (batch, {len(names)}, time) samples, got {eeg.shape}{hint}"
        )
    if repeated(names):
        raise ValueError(f"channel_names must differ, got {', '.join(repeated(names))} more than once")
    info = mne.create_info(names, positive("sampling_rate", sampling_rate), "eeg")
    return eeg.reshape(-1, *eeg.shape[-2:]) * UV_PER_UNIT[unit], info


__all__ = ["UV_PER_UNIT", "UV_PER_VOLT", "describe_array", "to_microvolts", "to_recording"]
