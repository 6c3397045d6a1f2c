# SPDX-License-Identifier: Apache-2.0
"""From a continuous recording to a clean one, with a report of every decision.

The order is that of the textbooks: pick the EEG channels, mark dead ones, (interpolate), reference, band-pass
the continuous signal, notch, resample. MNE does the filtering; nothing here looks at labels or at other
recordings, and the recording handed in is never changed. What would have to be guessed (a unit, an electrode,
a filter that the rate does not allow) raises instead.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import mne
import numpy as np

from .channel_selection import ChannelSelection, electrode_places, select_channels
from .channels import parse_channel

FLAT_UV = 0.1
"""A channel whose standard deviation (uV) stays below this is dead."""

PLAUSIBLE_UV = (0.1, 1000.0)
"""Median |x| (uV) outside this range means that the unit is wrong, not that the brain is."""

_LINE_NOISE_RATIO = (
    3.0  # power at the line frequency over that 2-5 Hz beside it; EEG without line noise stays below 1.5
)
_UNIT_SLIPS: Mapping[int, str] = {
    6: "it looks as if the values are in uV but were read as V: scale them by 1e-6, or say unit='uV'",
    3: "it looks as if the values are in mV but were read as V: scale them by 1e-3",
    -3: "it looks as if the values are in mV but were read as uV: scale them by 1e3",
    -6: "it looks as if the values are in V but were read as uV: scale them by 1e6, or say unit='V'",
}


@dataclass
class PreprocessingReport:
    """What `preprocess` found and did.

    Attributes:
        channels: Names of the channels that came out, in order.
        renamed_channels: Label in the file -> canonical name, where they differ.
        dropped_channels: Label in the file -> why it was left out.
        derived_channels: Bipolar derivations that were computed from two unipolar channels.
        missing_channels: Channels asked for that the file lacks.
        interpolated_channels: Channels filled by spherical splines.
        bad_channels: Channel -> why its samples are zero.
        reference: `"average"`, `"original"`, or the reference electrodes joined by `+`.
        original_sampling_rate: Rate of the file in Hz.
        sampling_rate: Rate of the result in Hz.
        is_upsampled: Whether the file's rate was lower than the result's.
        duration_seconds: Length of the recording.
        highpass_hz: Lower edge of the pass band, `None` if not filtered.
        lowpass_hz: Upper edge of the pass band, `None` if not filtered.
        notch_hz: Frequencies notched out.
        line_noise_ratio: Power at 50 and 60 Hz over the power beside them, where `notch_hz="auto"` measured
            it.
        amplitude_uv: Median |x| in uV of the good channels before filtering, drifts removed.
        warnings: What a reader of the results should know.
    """

    channels: list[str] = field(default_factory=list)
    renamed_channels: dict[str, str] = field(default_factory=dict)
    dropped_channels: dict[str, str] = field(default_factory=dict)
    derived_channels: list[str] = field(default_factory=list)
    missing_channels: list[str] = field(default_factory=list)
    interpolated_channels: list[str] = field(default_factory=list)
    bad_channels: dict[str, str] = field(default_factory=dict)
    reference: str = "original"
    original_sampling_rate: float = 0.0
    sampling_rate: float = 0.0
    is_upsampled: bool = False
    duration_seconds: float = 0.0
    highpass_hz: float | None = None
    lowpass_hz: float | None = None
    notch_hz: list[float] = field(default_factory=list)
    line_noise_ratio: dict[str, float] = field(default_factory=dict)
    amplitude_uv: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """Return the report as plain Python values that `json.dumps` takes."""
        return dataclasses.asdict(self)


def preprocess(
    raw: "mne.io.BaseRaw",
    *,
    sampling_rate: float = 200.0,
    highpass_hz: float | None = 0.5,
    lowpass_hz: float | None = 45.0,
    notch_hz: float | Literal["auto"] | None = None,
    reference: Literal["average", "original"] | Sequence[str] = "average",
    channels: Sequence[str] | None = None,
    missing_channels: Literal["error", "interpolate", "mask"] = "error",
    unknown_channels: Literal["error", "drop"] = "error",
    montage: str | None = None,
    scale: float = 1.0,
) -> tuple["mne.io.BaseRaw", PreprocessingReport]:
    """Clean one continuous recording.

    Args:
        raw: Recording in volts, as MNE reads it. It is not changed.
        sampling_rate: Rate of the result in Hz.
        highpass_hz: Lower edge of the pass band in Hz, `None` for no high-pass.
        lowpass_hz: Upper edge of the pass band in Hz, `None` for no low-pass but the one that resampling
            needs.
        notch_hz: Line frequency to take out with its harmonics, `"auto"` to measure whether it is 50 Hz, 60
            Hz or neither.
        reference: `"average"` over the good channels that come out, `"original"` to leave it, or electrodes
            whose mean is subtracted. Recordings of bipolar derivations can only stay `"original"`.
        channels: Channels wanted, in this order. A derivation (`"Fp1-F7"`) that the file lacks is computed
            where it holds both electrodes. `None` keeps every EEG channel of the file in the file's order.
        missing_channels: What to do about wanted channels that the file lacks: `"error"`, `"interpolate"`
            (spherical splines from all EEG channels of the file; dead channels are filled too), or `"mask"`
            (zeros, listed as bad).
        unknown_channels: What to do, where `channels` is None, about EEG channels that no template and no
            digitisation places on the head: `"error"`, or `"drop"` with a line in the report.
        montage: MNE montage that the labels belong to, for dense caps (see `eeg_hf.channels.parse_channel`).
        scale: Factor that turns the samples into volts, for files that claim a wrong unit.

    Returns:
        A recording with EEG channels only, canonical names, positions in the head frame, bad and masked
        channels zero and listed in `raw.info["bads"]`; and the report.

    Raises:
        ValueError: No EEG channel, an unknown or missing one, all of them dead, an amplitude that cannot be
            EEG in the unit claimed, a filter that the rates do not allow, or a reference that the channels do
            not allow.

    Example:
        >>> raw = mne.io.read_raw("recording.edf")  # doctest: +SKIP
        >>> clean, report = preprocess(raw, sampling_rate=200, lowpass_hz=45)  # doctest: +SKIP
    """
    _check_option("missing_channels", missing_channels, ("error", "interpolate", "mask"))
    _check_option("unknown_channels", unknown_channels, ("error", "drop"))
    if isinstance(reference, str):
        _check_option("reference", reference, ("average", "original"))
    file_rate = float(raw.info["sfreq"])
    check_filters(file_rate, sampling_rate, highpass_hz, lowpass_hz, notch_hz)
    selection = select_channels(raw, channels, missing_channels, unknown_channels, montage)
    report = PreprocessingReport(
        channels=list(selection.wanted),
        renamed_channels=selection.renamed,
        dropped_channels=selection.dropped,
        derived_channels=selection.derived,
        missing_channels=selection.missing,
        original_sampling_rate=file_rate,
        sampling_rate=float(sampling_rate),
        is_upsampled=file_rate < sampling_rate,
        duration_seconds=raw.n_times / file_rate,
        highpass_hz=highpass_hz,
        lowpass_hz=lowpass_hz,
    )
    electrodes = (
        [] if isinstance(reference, str) else [parse_channel(name, montage).name for name in reference]
    )
    helpers = selection.unipolar if missing_channels == "interpolate" else []
    rows = _read(raw, selection, [*helpers, *electrodes], scale)  # name -> samples in V, shape (time,)
    marked = [name for name, entry in selection.found.items() if entry.label in raw.info["bads"]]
    bad = _blank_bad(rows, marked)
    report.amplitude_uv = check_amplitude([row for name, row in rows.items() if name not in bad], file_rate)
    if missing_channels == "interpolate":
        report.interpolated_channels = _interpolate(rows, bad, selection, file_rate)
    report.reference = _rereference(rows, bad, selection, reference, electrodes)
    data, report.bad_channels = _assemble(rows, bad, selection)  # (channels, time) in V, in the order wanted
    del rows  # as large as the recording

    result = mne.io.RawArray(
        data, mne.create_info(report.channels, file_rate, "eeg"), raw.first_samp, verbose="ERROR"
    )
    _copy_metadata(raw, result)
    _filter(result, notch_hz, report)
    if sampling_rate != file_rate:
        result = _resample(result, float(sampling_rate))
    _place_electrodes(result, selection)
    result.info["bads"] = list(report.bad_channels)
    return result, report


def check_filters(
    file_rate: float,
    sampling_rate: float,
    highpass_hz: float | None,
    lowpass_hz: float | None,
    notch_hz: float | str | None,
) -> None:
    """Refuse filters that the rates of the file or of the result do not allow.

    Args:
        file_rate: Rate of the recording in Hz.
        sampling_rate: Rate of the result in Hz.
        highpass_hz: Lower edge of the pass band in Hz.
        lowpass_hz: Upper edge of the pass band in Hz.
        notch_hz: Line frequency in Hz, `"auto"` or `None`.

    Raises:
        ValueError: Naming the rate, the filter and what to do.
    """
    if highpass_hz is not None and lowpass_hz is not None and highpass_hz >= lowpass_hz:
        raise ValueError(f"highpass_hz must be below lowpass_hz, got {highpass_hz} and {lowpass_hz} Hz")
    filters = {"highpass_hz": highpass_hz, "lowpass_hz": lowpass_hz, "notch_hz": notch_hz}
    for name, frequency in filters.items():
        if frequency is None or isinstance(frequency, str):
            continue
        if frequency <= 0:
            raise ValueError(f"{name} must be positive or None, got {frequency}")
        if frequency >= file_rate / 2:
            raise ValueError(
                f"{name}={frequency:g} Hz is at or above the Nyquist frequency of this recording"
                f" ({file_rate:g} Hz / 2 = {file_rate / 2:g} Hz): lower it, or set {name}=None"
            )
    if lowpass_hz is not None and lowpass_hz >= sampling_rate / 2:
        raise ValueError(
            f"lowpass_hz={lowpass_hz:g} Hz is at or above the Nyquist frequency of the result"
            f" ({sampling_rate:g} Hz / 2 = {sampling_rate / 2:g} Hz): lower it, raise sampling_rate, or set"
            " lowpass_hz=None"
        )


def check_amplitude(channels: Sequence[np.ndarray] | np.ndarray, rate: float) -> float:
    """Measure the amplitude of live channels and refuse what cannot be EEG.

    Offsets and drifts of DC-coupled amplifiers reach many mV and say nothing about the unit, so the median of
    each second is removed first; only where nothing moves within a second is the whole channel's median
    removed instead.

    Args:
        channels: Samples in V, one array of shape (time,) a channel.
        rate: Their rate in Hz.

    Returns:
        Median over channels of median |x| in uV, of at most 10 evenly spread seconds.

    Raises:
        ValueError: It lies outside `PLAUSIBLE_UV`; the message names the likely slip of the unit.
    """
    num_samples = len(channels[0])
    length = min(max(round(rate), 2), num_samples)
    starts = np.linspace(0, num_samples - length, num=min(10, max(1, num_samples // length))).astype(int)
    blocks = np.stack([samples[starts[:, None] + np.arange(length)] for samples in channels]) * 1e6
    amplitude = _median_deviation(blocks)  # blocks: (channels, num_blocks, length)
    low, high = PLAUSIBLE_UV
    if amplitude < low:
        amplitude = _median_deviation(blocks.reshape(len(blocks), 1, -1))
    if not low <= amplitude <= high:
        # EEG lies at about 10 uV: the power of 1000 nearest to the excess is the slip.
        exponent = 3 * int(np.clip(round(np.log10(max(amplitude, 1e-9) / 10) / 3), -2, 2))
        hint = _UNIT_SLIPS.get(exponent, "check the unit of the recording")
        raise ValueError(
            f"implausible amplitude: median |x| is {amplitude:.3g} uV, expected {low:g}-{high:g} uV; {hint}"
        )
    return amplitude


def mean_covariance(windows_uv: np.ndarray) -> np.ndarray:
    """Average the channel covariance over windows.

    Args:
        windows_uv: Windows of one subject or session in uV, shape (num_windows, channels, time).

    Returns:
        Mean over windows of the covariance over time, in uV^2, float64, shape (channels, channels).

    Raises:
        ValueError: Wrong shape, no window, or NaN among the samples.
    """
    windows = np.asarray(windows_uv)
    if windows.ndim != 3 or 0 in windows.shape:
        raise ValueError(
            f"expected windows of shape (num_windows, channels, time), none of them 0, got {windows.shape}"
        )
    total = np.zeros((windows.shape[1], windows.shape[1]))
    for start in range(0, len(windows), 64):  # 64 windows at a time: the float64 copy stays small
        block = windows[start : start + 64].astype(np.float64)
        block -= block.mean(axis=-1, keepdims=True)
        total += np.matmul(block, block.transpose(0, 2, 1)).sum(axis=0)
    if not np.isfinite(total).all():
        raise ValueError("windows hold NaN or infinite samples: set bad channels to zero first")
    return total / (len(windows) * windows.shape[2])


def whitening_matrix(covariance: np.ndarray, rank_tolerance: float = 1e-4) -> np.ndarray:
    """Compute the inverse square root of a covariance, on the subspace in which there is signal.

    The average reference, an interpolated channel or a dead one each cost a rank; an ordinary inverse square
    root would blow up the rounding noise in those directions, so they are mapped to zero instead.

    Args:
        covariance: Symmetric matrix, shape (channels, channels).
        rank_tolerance: Eigenvalues below this fraction of the largest count as zero.

    Returns:
        The pseudo-inverse of the square root, float32, shape (channels, channels).

    Raises:
        ValueError: Not a finite square matrix, or no variance in it.
    """
    matrix = np.asarray(covariance, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise ValueError(f"expected a finite (channels, channels) covariance, got shape {matrix.shape}")
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    if values[-1] <= 0:
        raise ValueError("the covariance holds no variance: all channels are flat")
    is_signal = values > rank_tolerance * values[-1]
    return ((vectors[:, is_signal] / np.sqrt(values[is_signal])) @ vectors[:, is_signal].T).astype(np.float32)


def _read(
    raw: "mne.io.BaseRaw", selection: ChannelSelection, others: Sequence[str], scale: float
) -> dict[str, np.ndarray]:
    """Read once what the wanted channels and `others` need; returns samples in V, shape (time,)."""
    lacking = [name for name in others if name not in selection.found]
    if lacking:
        raise ValueError(
            f"reference electrodes {', '.join(lacking)} are not in the recording, which has"
            f" {', '.join(selection.found)}"
        )
    if raw.n_times == 0:
        raise ValueError("the recording holds no samples")
    names = sorted(selection.needed(others), key=lambda name: selection.found[name].pick)
    data = raw.get_data(picks=[selection.found[name].pick for name in names], verbose="ERROR")
    if scale != 1.0:
        data *= scale
    return dict(zip(names, data, strict=True))


def _blank_bad(rows: Mapping[str, np.ndarray], marked: Sequence[str]) -> dict[str, str]:
    """Set channels that are marked bad, dead or not finite to zero, in place; returns the reason for each."""
    bad: dict[str, str] = {}
    largest_uv = 0.0
    for name, samples in rows.items():
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity show in the deviation
            deviation_uv = float(samples.std()) * 1e6
        if not np.isfinite(deviation_uv):
            bad[name] = "NaN or infinite samples"
        elif deviation_uv < FLAT_UV:
            bad[name] = "flat"
            largest_uv = max(largest_uv, deviation_uv)
        elif name in marked:
            bad[name] = "marked bad in the recording"
        if name in bad:
            samples[:] = 0.0
    if len(bad) == len(rows):
        listed = ", ".join(f"{name} ({why})" for name, why in bad.items())
        raise ValueError(
            f"every EEG channel is bad; live ones deviate by {FLAT_UV} uV or more, flat ones here by at most"
            f" {largest_uv:.2g} uV: {listed}; if the recording is alive, its unit is not the one stated"
        )
    return bad


def _median_deviation(blocks: np.ndarray) -> float:
    """Median over channels of median |x - median of its block|; blocks is (channels, num_blocks, length)."""
    deviation = np.abs(blocks - np.median(blocks, axis=-1, keepdims=True))
    return float(np.median(np.median(deviation, axis=(1, 2))))


def _interpolate(
    rows: dict[str, np.ndarray], bad: dict[str, str], selection: ChannelSelection, rate: float
) -> list[str]:
    """Fill missing and dead channels by spherical splines; updates `rows` and `bad`, returns the names."""
    sources = selection.unipolar
    targets = selection.missing + [name for name in sources if name in bad and name in selection.wanted]
    if not targets:
        return []
    num_good = sum(name not in bad for name in sources)
    if num_good < 4:
        raise ValueError(f"interpolating {', '.join(targets)} needs 4 good unipolar channels, got {num_good}")
    names = sources + selection.missing
    silence = np.zeros_like(rows[sources[0]])
    data = np.stack([rows.get(name, silence) for name in names])
    sphere = mne.io.RawArray(data, mne.create_info(names, rate, "eeg"), verbose="ERROR")
    _place_electrodes(sphere, selection)
    sphere.info["bads"] = [name for name in names if name in bad or name in targets]
    sphere.interpolate_bads(verbose="ERROR")
    rows.update(zip(targets, sphere.get_data(picks=targets), strict=True))
    for name in targets:
        bad.pop(name, None)
    return targets


def _rereference(
    rows: Mapping[str, np.ndarray],
    bad: dict[str, str],
    selection: ChannelSelection,
    reference: str | Sequence[str],
    electrodes: Sequence[str],
) -> str:
    """Subtract the reference from the good unipolar channels, in place; returns its name."""
    if reference == "original":
        return "original"
    found = selection.found
    good = [
        name for name in rows if name not in bad and not (name in found and found[name].channel.is_bipolar)
    ]
    if reference == "average":
        members = [name for name in good if name in selection.wanted]
        if len(members) < 2:
            raise ValueError(
                f"an average reference needs two good unipolar channels, got {', '.join(members) or 'none'}"
                f" among {', '.join(selection.wanted)}: set reference='original'"
            )
    else:
        members = list(electrodes)
        unusable = [f"{name} ({bad.get(name, 'bipolar')})" for name in members if name not in good]
        if unusable or not members:
            raise ValueError(
                f"the reference needs good unipolar channels, got {', '.join(unusable) or 'none'}"
            )
    mean = np.mean([rows[name] for name in members], axis=0)
    for name in good:
        np.subtract(rows[name], mean, out=rows[name])
    if len(members) == 1:
        bad[members[0]] = "it is the reference"
    return "average" if reference == "average" else "+".join(members)


def _assemble(
    rows: Mapping[str, np.ndarray], bad: Mapping[str, str], selection: ChannelSelection
) -> tuple[np.ndarray, dict[str, str]]:
    """Put the wanted channels in order, derive bipolar ones, leave bad and missing ones zero and say why."""
    result = np.zeros((len(selection.wanted), len(next(iter(rows.values())))))
    why: dict[str, str] = {}
    for row, (name, channel) in zip(result, selection.wanted.items(), strict=True):
        ends = (name,) if name in rows else (channel.anode, channel.cathode)
        parts = [end for end in ends if end is not None and end in rows]
        reasons = [bad[part] if part == name else f"{part} {bad[part]}" for part in parts if part in bad]
        if not parts or reasons:
            why[name] = "; ".join(reasons) or "missing"
        elif len(parts) == 1:
            row[:] = rows[name]
        else:
            np.subtract(rows[parts[0]], rows[parts[1]], out=row)
    if len(why) == len(result):
        listed = ", ".join(f"{name} ({reason})" for name, reason in why.items())
        raise ValueError(f"none of the channels asked for is alive: {listed}")
    return result, why


def _copy_metadata(raw: "mne.io.BaseRaw", result: "mne.io.BaseRaw") -> None:
    """Carry date, annotations and subject over; the annotations hold the gaps that filters must not cross."""
    result.set_meas_date(raw.info["meas_date"])
    annotations = raw.annotations.copy()
    if annotations.orig_time is None:  # undated onsets count from the first sample when set, but not when got
        annotations.onset -= raw.first_time
    result.set_annotations(annotations, emit_warning=False, verbose="ERROR")
    for key in ("line_freq", "subject_info", "description"):
        result.info[key] = raw.info[key]


def _filter(result: "mne.io.BaseRaw", notch_hz: float | str | None, report: PreprocessingReport) -> None:
    """Band-pass and notch the continuous signal, in place."""
    rate = report.original_sampling_rate
    if notch_hz == "auto":
        base = _line_frequency(result, report)
    else:
        base = None if notch_hz is None else float(notch_hz)
    band = (report.highpass_hz, report.lowpass_hz)
    if band != (None, None):
        result.filter(*band, verbose="ERROR")
    # Beyond the end of the low-pass's (or the anti-alias filter's) roll-off there is nothing left to notch.
    end = min(rate / 2 - 1, 1.25 * report.sampling_rate / 2)
    if report.lowpass_hz is not None:
        end = min(end, report.lowpass_hz + max(0.25 * report.lowpass_hz, 2.0))
    if base is not None:
        report.notch_hz = [float(frequency) for frequency in np.arange(base, end, base)]
        if report.notch_hz:
            result.notch_filter(report.notch_hz, verbose="ERROR")
        elif notch_hz != "auto":
            report.warnings.append(f"no notch at {base:g} Hz: the result ends at {end:g} Hz")
    lowest = min([f for f in (*band, 4.0 if report.notch_hz else None) if f is not None], default=None)
    # 3.3 / transition width is the length of a Hamming-windowed FIR filter, as MNE designs it.
    if lowest is not None and report.duration_seconds < (
        shortest := 3.3 / min(max(0.25 * lowest, 2.0), lowest)
    ):
        report.warnings.append(
            f"the recording ({report.duration_seconds:.3g} s) is shorter than its filter ({shortest:.3g} s):"
            " the signal is distorted throughout"
        )


def _line_frequency(result: "mne.io.BaseRaw", report: PreprocessingReport) -> float | None:
    """Measure whether 50 or 60 Hz stands out of the spectrum; None where neither does."""
    from scipy import signal

    rate = report.original_sampling_rate
    data = result.get_data(stop=min(result.n_times, round(60 * rate)))
    frequencies, power = signal.welch(data, rate, nperseg=min(data.shape[1], round(2 * rate)))
    spectrum = np.median(power, axis=0)
    for line in (50.0, 60.0):
        distance = np.abs(frequencies - line)
        beside = spectrum[(distance > 2) & (distance < 5)]
        if line + 1 < rate / 2 and beside.size:
            report.line_noise_ratio[f"{line:g}"] = float(spectrum[distance <= 1].max() / np.median(beside))
    loudest = max(report.line_noise_ratio, key=lambda key: report.line_noise_ratio[key], default=None)
    if loudest is None or report.line_noise_ratio[loudest] < _LINE_NOISE_RATIO:
        return None
    return float(loudest)


def _resample(result: "mne.io.BaseRaw", rate: float) -> "mne.io.BaseRaw":
    """Change the rate by the exact ratio, with an anti-alias filter.

    NOTE: not `Raw.resample`: its polyphase method takes the ratio from the number of samples, so that a
        recording of
    prime length gets a filter as long as itself and a rate that is not quite the one asked for.
    """
    from scipy import signal  # here: it takes a second to import, which `import eeg_hf` need not pay

    file_rate = float(result.info["sfreq"])
    ratio = Fraction(rate).limit_denominator(1000) / Fraction(file_rate).limit_denominator(1000)
    data = signal.resample_poly(
        result.get_data(), ratio.numerator, ratio.denominator, axis=-1, padtype="reflect"
    )
    first = round(result.first_samp * rate / file_rate)
    resampled = mne.io.RawArray(data, mne.create_info(result.ch_names, rate, "eeg"), first, verbose="ERROR")
    _copy_metadata(result, resampled)
    return resampled


def _place_electrodes(result: "mne.io.BaseRaw", selection: ChannelSelection) -> None:
    """Write head-frame positions into the recording."""
    places = electrode_places(result.ch_names, selection.found)
    result.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"), verbose="ERROR")


def _check_option(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise unless the value is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")


__all__ = [
    "FLAT_UV",
    "PLAUSIBLE_UV",
    "PreprocessingReport",
    "check_amplitude",
    "check_filters",
    "mean_covariance",
    "preprocess",
    "whitening_matrix",
]
