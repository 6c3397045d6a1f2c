# SPDX-License-Identifier: Apache-2.0
"""The report of one recording's cleaning."""

import dataclasses
from dataclasses import dataclass, field


@dataclass
class PreprocessingReport:
    """What `preprocess` found and did.

    Attributes:
        channels: Names of the channels that came out, in order.
        renamed_channels: Label in the file -> canonical name, if they differ.
        dropped_channels: Label in the file -> why it was left out.
        derived_channels: Bipolar derivations computed from two unipolar channels.
        missing_channels: Wanted channels that are not in the file.
        interpolated_channels: Channels filled by spherical splines.
        bad_channels: Channel -> why its samples are zero.
        reference: `"average"`, `"original"`, or the reference electrodes joined by `+`.
        reference_outliers: Channel -> why the robust average reference does not contain it.
        original_sampling_rate: Rate of the file in Hz.
        sampling_rate: Rate of the result in Hz.
        is_upsampled: Whether the file's rate was lower than the result's.
        duration_seconds: Length of the recording.
        highpass_hz: Lower edge of the pass band, `None` if not filtered.
        lowpass_hz: Upper edge of the pass band, `None` if not filtered.
        notch_hz: Frequencies notched out.
        line_noise_ratio: Power at 50 and 60 Hz over the power beside them, if `notch_hz="auto"` or
            `adaptive=True` measured it.
        line_freq: The line frequency that stands out, in Hz; `None` if neither does or nothing was measured.
        scale_uv: Factor by which `adaptive=True` corrected the unit; 1 if it was right.
        amplitude_uv: Median |x| in uV of the good channels before filtering, drifts removed.
        clipped_share: Channel -> share of its samples at its own extreme in runs of three or more, if not
            zero.
        quality: Share, 0 to 1, of the one-second pieces of all output channels that were measured (not bad,
            masked or interpolated), are not flat and swing by less than 400 uV after cleaning; times the
            share of their variance that is not of a loud channel in the reference.
        warnings: What users of the result should know.
    """

    channels: list[str] = field(default_factory=list)
    renamed_channels: dict[str, str] = field(default_factory=dict)
    dropped_channels: dict[str, str] = field(default_factory=dict)
    derived_channels: list[str] = field(default_factory=list)
    missing_channels: list[str] = field(default_factory=list)
    interpolated_channels: list[str] = field(default_factory=list)
    bad_channels: dict[str, str] = field(default_factory=dict)
    reference: str = "original"
    reference_outliers: dict[str, str] = field(default_factory=dict)
    original_sampling_rate: float = 0.0
    sampling_rate: float = 0.0
    is_upsampled: bool = False
    duration_seconds: float = 0.0
    highpass_hz: float | None = None
    lowpass_hz: float | None = None
    notch_hz: list[float] = field(default_factory=list)
    line_noise_ratio: dict[str, float] = field(default_factory=dict)
    line_freq: float | None = None
    scale_uv: float = 1.0
    amplitude_uv: float = 0.0
    clipped_share: dict[str, float] = field(default_factory=dict)
    quality: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """Return the report as plain Python values that `json.dumps` takes."""
        return dataclasses.asdict(self)
