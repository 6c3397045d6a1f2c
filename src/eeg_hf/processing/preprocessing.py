# SPDX-License-Identifier: Apache-2.0
"""From a continuous recording to a clean one, with a report of every decision.

The order is that of the textbooks: pick the EEG channels, mark dead ones, (interpolate), reference, band-pass
the continuous signal, notch, resample. Nothing here looks at labels or at other recordings, and the recording
handed in is never changed. What would have to be guessed (a unit, an electrode, a filter that the rate does
not allow) raises instead, unless `adaptive=True` asks for the fixed rules of `signal_quality` to settle it.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import mne
import numpy as np

from .channel_selection import ChannelSelection, select_channels
from .channels import Position, parse_channel
from .filtering import Span, apply_fir, check_filters, design_band_pass, design_notch, resample
from .signal_quality import (
    CLIPPED_SHARE,
    FLAT_UV,
    PLAUSIBLE_UV,
    check_amplitude,
    clipped_share,
    line_noise,
    needs_highpass,
    noisy_channels,
    unit_factor,
    usable_share,
)

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "missing_channels": ("error", "interpolate", "mask"),
    "unknown_channels": ("error", "drop", "mask"),
    "bad_channels": ("none", "flat", "auto"),
}
"""What the settings of `preprocess` that are words may be."""

_HIGHER_HIGHPASS_HZ = (0.5, 1.0)  # tried in this order where drifts are louder than EEG
_GAPS = ("edge", "bad_acq_skip")  # annotations that mark them, as MNE writes them


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
        line_noise_ratio: Power at 50 and 60 Hz over the power beside them, where `notch_hz="auto"` or
            `adaptive=True` measured it.
        line_freq: The one of them that stands out, in Hz; `None` where neither does or nothing was measured.
        scale_uv: Factor that `adaptive=True` mended a slip of the unit by; 1 where there was none.
        amplitude_uv: Median |x| in uV of the good channels before filtering, drifts removed.
        clipped_share: Channel -> share of its samples at its own extreme in runs of three or more, where it
            is not zero.
        quality: Share, 0 to 1, of the one-second pieces of all channels that came out which were measured
            (not bad, masked or interpolated), are not flat and swing by less than 400 uV after cleaning.
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
    line_freq: float | None = None
    scale_uv: float = 1.0
    amplitude_uv: float = 0.0
    clipped_share: dict[str, float] = field(default_factory=dict)
    quality: float = 0.0
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
    unknown_channels: Literal["error", "drop", "mask"] = "error",
    bad_channels: Literal["none", "flat", "auto"] = "flat",
    positions: Mapping[str, Position] | None = None,
    montage: str | None = None,
    scale: float = 1.0,
    adaptive: bool = False,
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
            digitisation places on the head: `"error"`, `"drop"` with a line in the report, or `"mask"` (they
            keep their place in the order, but are zero, listed as bad, and lie at the vertex, since no
            position may be NaN).
        bad_channels: Which channels count as bad, besides those that hold NaN or that the recording marks:
            `"none"`, `"flat"` ones, or `"auto"` for flat and noisy ones
            (`eeg_hf.signal_quality.noisy_channels`). Bad channels are zero, or filled where
            `missing_channels="interpolate"`.
        positions: Where electrodes are, for names that nobody knows: label or canonical name -> (x, y, z) in
            metres in the head frame. They win over the template and the file.
        montage: MNE montage that the labels belong to, for dense caps (see `eeg_hf.channels.parse_channel`).
        scale: Factor that turns the samples into volts, for files that claim a wrong unit.
        adaptive: Measure each recording and adapt to it by fixed rules; on clean recordings nothing changes.
            A slip of the unit by a power of 1000 is mended where only one power leads to an amplitude of EEG;
            noisy channels count as bad as flat ones do (unless `bad_channels="none"`); the notch goes to 50
            or 60 Hz where one of them stands out of the spectrum, whatever `notch_hz` says; and the high-pass
            is raised to 0.5 or 1 Hz where drifts would still be four times as loud as the EEG. The report
            names each.

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
    options = {
        "missing_channels": missing_channels,
        "unknown_channels": unknown_channels,
        "bad_channels": bad_channels,
    }
    for name, value in options.items():
        _check_option(name, value, OPTIONS[name])
    if isinstance(reference, str):
        _check_option("reference", reference, ("average", "original"))
    file_rate = float(raw.info["sfreq"])
    check_filters(file_rate, sampling_rate, highpass_hz, lowpass_hz, notch_hz)
    selection = select_channels(raw, channels, missing_channels, unknown_channels, montage, positions)
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
    samples, rows = _read(raw, selection, [*helpers, *electrodes], scale)
    if adaptive:
        _mend_unit(samples, report)
    marked = [name for name, entry in selection.found.items() if entry.label in raw.info["bads"]]
    spared = _silent_vertex(rows) if reference == "average" else []
    bad = _blank_bad(rows, marked, spared if bad_channels != "none" else rows)
    live = {name: row for name, row in rows.items() if name not in bad and row.any()}
    report.amplitude_uv = check_amplitude(list(live.values()), file_rate)
    _report_clipping(live, report)
    if bad_channels == "auto" or (adaptive and bad_channels == "flat"):
        _blank_noisy(live, bad, selection, electrodes, file_rate)
    if missing_channels == "interpolate":
        report.interpolated_channels = _interpolate(rows, bad, selection, file_rate)
    report.reference = _rereference(rows, bad, selection, reference, electrodes)
    data, report.bad_channels = _assemble(samples, rows, bad, selection)  # (channels, time) in V, as wanted
    del samples, rows, live  # as large as the recording

    _filter(data, _gapless_spans(raw), notch_hz, adaptive, report)
    if sampling_rate != file_rate:
        data = resample(data, file_rate, float(sampling_rate))
    report.quality = _quality(data, report)
    first = round(raw.first_samp * sampling_rate / file_rate)
    info = mne.create_info(report.channels, float(sampling_rate), "eeg")
    result = mne.io.RawArray(data, info, first, verbose="ERROR")
    _copy_metadata(raw, result)
    _place_electrodes(result, selection)
    result.info["bads"] = list(report.bad_channels)
    return result, report


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
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Read once what the wanted channels and `others` need; samples in V, (channels, time), and by name."""
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
    return data, dict(zip(names, data, strict=True))


def _mend_unit(samples: np.ndarray, report: PreprocessingReport) -> None:
    """Undo a slip of the unit that the amplitude shows beyond doubt, in place."""
    moving = [row for row in samples if np.isfinite(row).all() and np.ptp(row) > 0]
    report.scale_uv = unit_factor(moving, report.original_sampling_rate) if moving else 1.0
    if report.scale_uv != 1.0:
        samples *= report.scale_uv
        report.warnings.append(
            f"the amplitude shows that the unit is not the one stated: multiplied by {report.scale_uv:g}"
        )


def _silent_vertex(rows: Mapping[str, np.ndarray]) -> list[str]:
    """Name the vertex of an EGI net where it is zero: not dead, all others were measured against it."""
    is_net = any(name.startswith("GSN-HydroCel") for name in rows)
    return ["Cz"] if is_net and "Cz" in rows and not rows["Cz"].any() else []


def _blank_bad(
    rows: Mapping[str, np.ndarray], marked: Sequence[str], spared: Collection[str]
) -> dict[str, str]:
    """Set channels that are marked bad, not finite, or dead and not spared, to zero; returns why for each."""
    bad: dict[str, str] = {}
    largest_uv, num_alive = 0.0, 0
    for name, samples in rows.items():
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity show in the deviation
            deviation_uv = float(samples.std()) * 1e6
        is_flat = deviation_uv < FLAT_UV
        if not np.isfinite(deviation_uv):
            bad[name] = "NaN or infinite samples"
        elif is_flat and name not in spared:
            bad[name] = "flat"
        elif name in marked:
            bad[name] = "marked bad in the recording"
        num_alive += name not in bad and not is_flat
        largest_uv = max(largest_uv, deviation_uv if is_flat else 0.0)
        if name in bad:
            samples[:] = 0.0
    if not num_alive:
        listed = ", ".join(f"{name} ({bad.get(name, 'flat')})" for name in rows)
        raise ValueError(
            f"every EEG channel is bad; live ones deviate by {FLAT_UV} uV or more, flat ones here by at most"
            f" {largest_uv:.2g} uV: {listed}; if the recording is alive, its unit is not the one stated,"
            " which adaptive=True may mend"
        )
    return bad


def _report_clipping(live: Mapping[str, np.ndarray], report: PreprocessingReport) -> None:
    """Note how much of each channel lies at the rail of its converter, and warn where that is much."""
    shares = {name: clipped_share(row) for name, row in live.items()}
    report.clipped_share = {name: share for name, share in shares.items() if share > 0}
    # In a recording of a hundred samples one flat peak is already 3 %.
    least = max(CLIPPED_SHARE, 100 / max(1, round(report.duration_seconds * report.original_sampling_rate)))
    much = [f"{name} ({share:.0%})" for name, share in shares.items() if share > least]
    if much:
        report.warnings.append(f"clipped: samples lie at the converter's limit in {', '.join(much)}")


def _blank_noisy(
    live: Mapping[str, np.ndarray],
    bad: dict[str, str],
    selection: ChannelSelection,
    electrodes: Sequence[str],
    rate: float,
) -> None:
    """Set noisy channels to zero, in place; adds the reason for each to `bad`."""
    # The noise of a reference is in every channel: leaving it out would not take it away.
    judged = {
        name: row
        for name, row in live.items()
        if name not in electrodes and not selection.found[name].channel.is_bipolar
    }
    for name, why in noisy_channels(judged, rate).items():
        bad[name] = why
        live[name][:] = 0.0


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
    for name, filled in zip(targets, sphere.get_data(picks=targets), strict=True):
        rows.setdefault(name, filled)[:] = filled
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
    mean = rows[members[0]].copy()
    for name in members[1:]:
        mean += rows[name]
    mean /= len(members)
    for name in good:
        np.subtract(rows[name], mean, out=rows[name])
    if len(members) == 1:
        bad[members[0]] = "it is the reference"
    return "average" if reference == "average" else "+".join(members)


def _assemble(
    samples: np.ndarray, rows: Mapping[str, np.ndarray], bad: Mapping[str, str], selection: ChannelSelection
) -> tuple[np.ndarray, dict[str, str]]:
    """Put the wanted channels in order, derive bipolar ones, leave bad and missing ones zero and say why."""
    is_in_place = list(rows) == list(selection.wanted) and len(rows) == len(samples)
    result = samples if is_in_place else np.zeros((len(selection.wanted), samples.shape[1]))
    why: dict[str, str] = {}
    for row, (name, channel) in zip(result, selection.wanted.items(), strict=True):
        ends = (name,) if name in rows else (channel.anode, channel.cathode)
        parts = [end for end in ends if end is not None and end in rows]
        reasons = [bad[part] if part == name else f"{part} {bad[part]}" for part in parts if part in bad]
        if not parts or reasons:
            why[name] = "; ".join(reasons) or selection.masked.get(name, "missing")
            row[:] = 0.0
        elif len(parts) == 2:
            np.subtract(rows[parts[0]], rows[parts[1]], out=row)
        elif not is_in_place:
            row[:] = rows[name]
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


def _gapless_spans(raw: "mne.io.BaseRaw") -> list[Span]:
    """Find the stretches between the gaps that annotations mark, and which filters must not cross."""
    rate, spans, position = float(raw.info["sfreq"]), [], 0
    for mark in raw.annotations:  # sorted by onset
        if mark["description"].lower().startswith(_GAPS):
            start = round((mark["onset"] - raw.first_time) * rate)
            if start > position:
                spans.append((position, min(start, raw.n_times)))
            position = max(position, start + round(mark["duration"] * rate))
    if position < raw.n_times:
        spans.append((position, raw.n_times))
    return spans


def _filter(
    data: np.ndarray,
    spans: Sequence[Span],
    notch_hz: float | str | None,
    adaptive: bool,
    report: PreprocessingReport,
) -> None:
    """Band-pass and notch the continuous signal, in place."""
    rate = report.original_sampling_rate
    base = None if notch_hz is None or notch_hz == "auto" else float(notch_hz)
    if notch_hz == "auto" or adaptive:
        report.line_noise_ratio, report.line_freq = line_noise(data[data.any(axis=1)], rate)
        base = report.line_freq or base
    if adaptive:
        _raise_highpass(data, report)
    band = (report.highpass_hz, report.lowpass_hz)
    if band != (None, None):
        apply_fir(data, design_band_pass(rate, *band), spans)
    # Beyond the end of the low-pass's (or the anti-alias filter's) roll-off there is nothing left to notch.
    end = min(rate / 2 - 1, 1.25 * report.sampling_rate / 2)
    if report.lowpass_hz is not None:
        end = min(end, report.lowpass_hz + max(0.25 * report.lowpass_hz, 2.0))
    if base is not None:
        report.notch_hz = [float(frequency) for frequency in np.arange(base, end, base)]
        if report.notch_hz:
            apply_fir(data, design_notch(rate, report.notch_hz), spans)
        elif base != report.line_freq:
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


def _raise_highpass(data: np.ndarray, report: PreprocessingReport) -> None:
    """Raise the high-pass of the report until drifts are no longer louder than the EEG, or it is at 1 Hz."""
    rate, before = report.original_sampling_rate, report.highpass_hz
    for higher in _HIGHER_HIGHPASS_HZ:
        current = report.highpass_hz
        taps = None if current is None else design_band_pass(rate, current, None)
        if (current or 0.0) < higher < (report.lowpass_hz or rate / 2) and needs_highpass(data, rate, taps):
            report.highpass_hz = higher
    if report.highpass_hz != before:
        report.warnings.append(f"drifts louder than the EEG: high-pass at {report.highpass_hz:g} Hz")


def _quality(data: np.ndarray, report: PreprocessingReport) -> float:
    """Share of the result that was measured and looks like EEG."""
    is_measured = [name not in report.interpolated_channels for name in report.channels]
    share = usable_share(data[is_measured], report.sampling_rate) if any(is_measured) else 0.0
    return round(share * sum(is_measured) / len(is_measured), 4)


def _place_electrodes(result: "mne.io.BaseRaw", selection: ChannelSelection) -> None:
    """Write head-frame positions into the recording."""
    places = selection.places(result.ch_names)
    result.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"), verbose="ERROR")


def _check_option(name: str, value: str, allowed: Sequence[str]) -> None:
    """Raise unless the value is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")


__all__ = [
    "FLAT_UV",
    "OPTIONS",
    "PLAUSIBLE_UV",
    "PreprocessingReport",
    "check_amplitude",
    "check_filters",
    "mean_covariance",
    "preprocess",
    "whitening_matrix",
]
