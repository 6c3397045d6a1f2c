# SPDX-License-Identifier: Apache-2.0
"""From a continuous recording to a clean one, with a report of every decision.

`preprocess` selects the EEG channels, sets bad ones to zero (or interpolates them), takes the reference,
band-passes and notches the continuous signal, and resamples it, in this order. It uses neither labels nor
other recordings, and never changes the recording passed to it. What would have to be guessed (a unit, an
electrode, a filter that the rate does not allow) raises, unless `adaptive=True` lets the fixed rules of
`signal_quality` decide.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Literal

import numpy as np

from .bad_channels import (
    find_bad,
    find_beyond_limit,
    find_noisy,
    refuse_beyond_limit,
    silent_vertex,
)
from .block_filtering import filter_and_resample, precision_for
from .channel_selection import ChannelSelection, select_channels
from .channels import parse_channel
from .electrode_positions import Position
from .filtering import Span, check_filters, design_band_pass, design_notch
from .long_recordings import StoredSignal, Stretches, clean_in_blocks, is_long
from .preprocessing_report import PreprocessingReport
from .recorded_channels import HeldChannels, RecordedChannels, StreamedChannels, measure
from .referencing import can_leave_out
from .setting_checks import check_option
from .signal_quality import (
    CLIPPED_SHARE,
    check_amplitude,
    describe_outliers,
    jumps,
    line_noise,
    loud_channels,
    measure_amplitude,
    needs_highpass,
    unit_factor,
    usable_share,
)
from .treatment import Treatment

if TYPE_CHECKING:
    import mne

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "missing_channels": ("error", "interpolate", "mask"),
    "unknown_channels": ("error", "drop", "mask"),
    "bad_channels": ("none", "flat", "auto"),
}
"""Allowed values of the settings of `preprocess` that are words."""

_HIGHER_HIGHPASS_HZ = (0.5, 1.0)  # tried in this order if drifts are louder than EEG
_GAPS = ("edge", "bad_acq_skip")  # annotations of gaps, as MNE writes them
_SHORTEST_SECONDS = 0.5  # what lies between two gaps, for a recording to be of use


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
    robust_reference: bool = True,
) -> tuple["mne.io.BaseRaw", PreprocessingReport]:
    """Clean one continuous recording.

    Args:
        raw: Recording in volts, as MNE reads it. It is not changed.
        sampling_rate: Rate of the result in Hz.
        highpass_hz: Lower edge of the pass band in Hz, `None` for no high-pass.
        lowpass_hz: Upper edge of the pass band in Hz, `None` for no low-pass except the anti-alias filter.
        notch_hz: Line frequency to remove with its harmonics, `"auto"` to measure whether it is 50 Hz, 60 Hz
            or neither.
        reference: `"average"` over the good output channels, `"original"` to keep it, or electrodes whose
            mean is subtracted. Recordings of bipolar derivations can only stay `"original"`.
        channels: Wanted channels, in order. A derivation (`"Fp1-F7"`) that is not in the file is computed if
            both electrodes are. `None` keeps every EEG channel of the file in the file's order.
        missing_channels: What to do about wanted channels that are not in the file: `"error"`,
            `"interpolate"` (spherical splines from all EEG channels of the file; dead channels are filled
            too), or `"mask"` (zeros, listed as bad).
        unknown_channels: What to do, if `channels` is None, about EEG channels without a position in the
            template or the file: `"error"`, `"drop"`, or `"mask"` (they keep their place in the order, but
            are zero, listed as bad, and lie at the vertex, since no position may be NaN).
        bad_channels: Which channels count as bad, besides those that hold NaN or that the recording marks:
            `"none"`, `"flat"` ones, or `"auto"` for flat and noisy ones (`signal_quality.noisy_channels`).
            Bad channels are zero, or filled if `missing_channels="interpolate"`.
        positions: Positions of electrodes with unknown names: label or canonical name -> (x, y, z) in metres
            in the head frame. They override the template and the file.
        montage: MNE montage of the labels, for dense caps (see `channels.parse_channel`).
        scale: Factor that turns the samples into volts, for files that state a wrong unit.
        adaptive: Measure each recording and adapt to it by fixed rules; clean recordings are not affected. A
            unit that is wrong by a power of 1000 is corrected if only one power leads to an amplitude of EEG;
            noisy channels count as bad (unless `bad_channels="none"`); the notch moves to 50 or 60 Hz if one
            of them stands out of the spectrum, whatever `notch_hz` is; and the high-pass is raised to 0.5 or
            1 Hz if drifts would still be four times as loud as the EEG. The report lists each correction.
        robust_reference: Whether the average reference (and interpolation) leaves out channels that would
            dominate it: `signal_quality.loud_channels`, and those with steps or peaks that the others do not
            have (`jumping_channels`). They stay in the result, and recordings without any are not affected.
            Otherwise one loud electrode is in all channels.

    Returns:
        A recording with EEG channels only, canonical names, positions in the head frame, bad and masked
        channels zero and listed in `raw.info["bads"]`; and the report.

    Raises:
        ValueError: If there is no EEG channel, one is unknown or missing, or all are dead; if the amplitude
            cannot be EEG in the stated unit; if the rates do not allow the filters or the channels not the
            reference.

    Example:
        >>> raw = mne.io.read_raw("recording.edf")  # doctest: +SKIP
        >>> clean, report = preprocess(raw, sampling_rate=200, lowpass_hz=45)  # doctest: +SKIP
    """
    data, selection, report, lost = clean_samples(
        raw,
        sampling_rate=sampling_rate,
        highpass_hz=highpass_hz,
        lowpass_hz=lowpass_hz,
        notch_hz=notch_hz,
        reference=reference,
        channels=channels,
        missing_channels=missing_channels,
        unknown_channels=unknown_channels,
        bad_channels=bad_channels,
        positions=positions,
        montage=montage,
        scale=scale,
        adaptive=adaptive,
        robust_reference=robust_reference,
    )
    return _as_recording(data, raw, selection, report, lost), report


def clean_samples(
    raw: "mne.io.BaseRaw",
    *,
    sampling_rate: float,
    highpass_hz: float | None,
    lowpass_hz: float | None,
    notch_hz: float | str | None,
    reference: str | Sequence[str],
    channels: Sequence[str] | None,
    missing_channels: str,
    unknown_channels: str,
    bad_channels: str,
    positions: Mapping[str, Position] | None,
    montage: str | None,
    scale: float,
    adaptive: bool,
    robust_reference: bool,
) -> tuple["np.ndarray | StoredSignal", ChannelSelection, PreprocessingReport, list[Span]]:
    """Do the work of `preprocess`, whose arguments these are, without MNE.

    Returns:
        Clean samples in V, (channels, time); the channels; the report; and the stretches of `raw` in which no
        channel has a sample.
    """
    options = (missing_channels, unknown_channels, bad_channels)
    for (name, allowed), value in zip(OPTIONS.items(), options, strict=True):
        check_option(name, value, allowed)
    if isinstance(reference, str):
        check_option("reference", reference, ("average", "original"))
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
    source = Stretches.of(raw, selection.found, names_to_read(raw, selection, [*helpers, *electrodes]), scale)
    recorded = _measure(source, adaptive or bad_channels == "auto")
    _refuse_scattered(source, file_rate)
    if adaptive:
        _correct_unit(recorded, report)
        source.scale *= report.scale_uv

    # Bad channels become zero before the reference, which must not contain them
    marked = [name for name, entry in selection.found.items() if entry.label in raw.info["bads"]]
    spared = silent_vertex(recorded) if reference == "average" else []
    bad = find_bad(recorded, marked, spared if bad_channels != "none" else recorded.names)
    bad |= find_beyond_limit(recorded, bad)
    live = [name for name in recorded.names if name not in bad and not recorded.is_zero(name)]
    report.amplitude_uv = check_amplitude(recorded.moving_seconds(live), file_rate)
    refuse_beyond_limit(recorded, live)
    _report_clipping(recorded, live, report)
    if bad_channels == "auto" or (adaptive and bad_channels == "flat"):
        # Noise of a reference electrode is in every channel: dropping the electrode would not remove it
        spared = [*electrodes, *(name for name, e in selection.found.items() if e.channel.is_bipolar)]
        bad |= find_noisy(recorded, [name for name in live if name not in spared])
    kind = reference if isinstance(reference, str) else "electrodes"
    judged = [name for name in live if name not in bad and not selection.found[name].channel.is_bipolar]
    outlying, spread = _outliers(recorded, judged, kind, electrodes, report)
    if kind == "average":
        outlying = dict(can_leave_out(outlying, [name for name in judged if name in selection.wanted]))
    if not robust_reference:
        outlying = {}
    elif outlying and kind == "average":
        report.reference_outliers, spread = outlying, 0.0
    treatment = Treatment(
        selection, bad, kind, electrodes, outlying, missing_channels == "interpolate", file_rate
    )

    spans = _gapless_spans(raw, source.lost)
    if isinstance(recorded, HeldChannels):
        samples, rows = recorded.samples, dict(recorded.rows)
        del recorded  # as large as the recording
        data = treatment.apply(samples, rows, report)  # (channels, time) in V
        del samples, rows
        filters = choose_filters(data, data, notch_hz, adaptive, report)
        data = filter_and_resample(
            data, filters, spans, file_rate, float(sampling_rate), precision_for(filters)
        )
        report.quality = round(quality_of(data, report) / (1 + spread**2), 4)
        return data, selection, report, source.lost
    assert isinstance(recorded, StreamedChannels)
    head, names = recorded.head, source.names
    head = treatment.apply(head, dict(zip(names, head, strict=True)), report)
    pieces = treatment.clean(recorded.all_pieces(20, 15), names) if adaptive else head
    filters = choose_filters(head, pieces, notch_hz, adaptive, report)
    del recorded, pieces
    stored = clean_in_blocks(source, treatment.clean, filters, spans, len(head), float(sampling_rate))
    report.quality = round(quality_of(stored, report) / (1 + spread**2), 4)
    return stored, selection, report, source.lost


def names_to_read(raw: "mne.io.BaseRaw", selection: ChannelSelection, others: Sequence[str]) -> list[str]:
    """List the channels of the file that are needed, in the file's order."""
    lacking = [name for name in others if name not in selection.found]
    if lacking:
        raise ValueError(
            f"reference electrodes {', '.join(lacking)} are not in the recording, which has"
            f" {', '.join(selection.found)}"
        )
    if raw.n_times == 0:
        raise ValueError("the recording holds no samples")
    return sorted(selection.needed(others), key=lambda name: selection.found[name].pick)


def _measure(source: Stretches, judges_noise: bool) -> RecordedChannels:
    """Read the channels: all at once, or a long recording once in blocks, of which only measures are kept."""
    if not is_long(len(source.names), source.num_samples):
        samples = source.read(0, source.num_samples)
        return HeldChannels(dict(zip(source.names, samples, strict=True)), samples, source.rate)
    return measure(source.names, source.rate, source.num_samples, source.blocks(), source.read, judges_noise)


def _correct_unit(channels: RecordedChannels, report: PreprocessingReport) -> None:
    """Correct a wrong unit that the amplitude proves, in place."""
    rate = report.original_sampling_rate
    moving = [name for name in channels.names if channels.is_moving(name)]
    if not moving:
        return
    amplitude = measure_amplitude(channels.moving_seconds(moving), rate)
    pieces = list(channels.spread(moving, 2, 60).values())
    report.scale_uv = unit_factor(pieces, rate, amplitude)
    if report.scale_uv != 1.0:
        channels.scale(report.scale_uv)
        report.warnings.append(
            f"the amplitude shows that the unit is not the one stated: multiplied by {report.scale_uv:g}"
        )


def _outliers(
    channels: RecordedChannels,
    judged: Sequence[str],
    kind: str,
    electrodes: Sequence[str],
    report: PreprocessingReport,
) -> tuple[dict[str, str], float]:
    """Find the channels that must not be in the reference, and warn of them.

    Args:
        channels: The channels of the recording.
        judged: The good unipolar ones.
        kind: `"average"`, `"original"` or `"electrodes"`.
        electrodes: The reference electrodes, if it is those.
        report: Gets the warnings.

    Returns:
        Name -> reason; and how many times as loud as the EEG they are in a reference that contains them.
    """
    members = list(judged) if kind == "average" else [name for name in electrodes if name in judged]
    if not members:
        return {}, 0.0
    rate = report.original_sampling_rate
    loud = loud_channels(channels.spread(judged, 2, 15), rate, report.lowpass_hz)
    jumping = jumps(judged, *channels.swings(judged))
    why = describe_outliers(jumping, loud)
    why = {name: why[name] for name in judged if name in why}
    spread = float(np.sqrt(sum(loud[name] ** 2 for name in members if name in loud))) / len(members)
    if kind == "average" and len(members) == 2:
        report.warnings.append(
            f"the average of two channels makes {members[0]} minus {members[1]}: set reference='original', or"
            f" ask for the derivation in channels=['{members[0]}-{members[1]}']"
        )
    if kind == "average" and len(members) == 3:
        report.warnings.append(
            "the average of three channels holds a third of each: reference='original' suits few channels"
        )
    if named := [f"{name} ({why[name]})" for name in members if name in why]:
        report.warnings.append(f"unlike the other channels of the reference: {', '.join(named)}")
    return why, spread


def _report_clipping(channels: RecordedChannels, live: Sequence[str], report: PreprocessingReport) -> None:
    """Report how much of each channel lies at its converter's limit, and warn if that is much."""
    shares = {name: channels.clipped(name) for name in live}
    report.clipped_share = {name: share for name, share in shares.items() if share > 0}
    # In a recording of a hundred samples one flat peak is already 3 %
    least = max(CLIPPED_SHARE, 100 / max(1, round(report.duration_seconds * report.original_sampling_rate)))
    much = [f"{name} ({share:.0%})" for name, share in shares.items() if share > least]
    if much:
        report.warnings.append(f"clipped: samples lie at the converter's limit in {', '.join(much)}")


def _refuse_scattered(source: Stretches, rate: float) -> None:
    """Raise if no channel has samples, or only between gaps that are too close to filter anything."""
    if source.lost == [(0, source.num_samples)]:
        raise ValueError("every EEG channel is bad: NaN or infinite samples only")
    starts = [0, *(end for _, end in source.lost)]
    ends = [*(start for start, _ in source.lost), source.num_samples]
    longest = max(end - start for start, end in zip(starts, ends, strict=True)) / rate
    if source.lost and longest < _SHORTEST_SECONDS:
        missing = sum(end - start for start, end in source.lost) / source.num_samples
        raise ValueError(
            f"{missing:.0%} of the samples are NaN in every channel, and what lies between lasts at most"
            f" {longest:.2g} s, expected {_SHORTEST_SECONDS:g} s or more: fill the gaps before"
        )


def _gapless_spans(raw: "mne.io.BaseRaw", lost: Sequence[Span]) -> list[Span]:
    """Return the stretches between gaps, annotated or without any sample, which filters must not cross."""
    rate, spans, position = float(raw.info["sfreq"]), [], 0
    gaps = list(lost)
    for mark in raw.annotations:
        if mark["description"].lower().startswith(_GAPS):
            start = round((mark["onset"] - raw.first_time) * rate)
            gaps.append((start, start + round(mark["duration"] * rate)))
    for start, end in sorted(gaps):
        if start > position:
            spans.append((position, min(start, raw.n_times)))
        position = max(position, end)
    if position < raw.n_times:
        spans.append((position, raw.n_times))
    return spans


def choose_filters(
    head: np.ndarray,
    pieces: np.ndarray,
    notch_hz: float | str | None,
    adaptive: bool,
    report: PreprocessingReport,
) -> list[np.ndarray]:
    """Design the band-pass and the notch, in this order.

    Args:
        head: The first minute of the treated recording, or more, (channels, time).
        pieces: All of it, or its pieces that show drifts, (channels, time).
        notch_hz: As of `preprocess`.
        adaptive: As of `preprocess`.
        report: Gets what was decided.
    """
    rate = report.original_sampling_rate
    base = None if notch_hz is None or notch_hz == "auto" else float(notch_hz)
    if notch_hz == "auto" or adaptive:
        report.line_noise_ratio, report.line_freq = line_noise(head[head.any(axis=1)], rate)
        base = report.line_freq or base
    if adaptive:
        _raise_highpass(pieces, report)
    band = (report.highpass_hz, report.lowpass_hz)
    filters = [] if band == (None, None) else [design_band_pass(rate, *band)]

    # Beyond the roll-off of the low-pass (or of the anti-alias filter) there is nothing to notch
    end = min(rate / 2 - 1, 1.25 * report.sampling_rate / 2)
    if report.lowpass_hz is not None:
        end = min(end, report.lowpass_hz + max(0.25 * report.lowpass_hz, 2.0))
    if base is not None:
        report.notch_hz = [float(frequency) for frequency in np.arange(base, end, base)]
        if report.notch_hz:
            filters.append(design_notch(rate, report.notch_hz))
        elif base != report.line_freq:
            report.warnings.append(f"no notch at {base:g} Hz: the result ends at {end:g} Hz")

    # MNE's Hamming-windowed FIR filters are 3.3 / (transition width) long
    lowest = min([f for f in (*band, 4.0 if report.notch_hz else None) if f is not None], default=None)
    shortest = 0.0 if lowest is None else 3.3 / min(max(0.25 * lowest, 2.0), lowest)
    if report.duration_seconds < shortest:
        report.warnings.append(
            f"the recording ({report.duration_seconds:.3g} s) is shorter than its filter ({shortest:.3g} s):"
            " the signal is distorted throughout"
        )
    return filters


def _raise_highpass(data: np.ndarray, report: PreprocessingReport) -> None:
    """Raise the high-pass until drifts are no longer louder than the EEG, to at most 1 Hz."""
    rate, before = report.original_sampling_rate, report.highpass_hz
    for higher in _HIGHER_HIGHPASS_HZ:
        current = report.highpass_hz
        taps = None if current is None else design_band_pass(rate, current, None)
        if (current or 0.0) < higher < (report.lowpass_hz or rate / 2) and needs_highpass(data, rate, taps):
            report.highpass_hz = higher
    if report.highpass_hz != before:
        report.warnings.append(f"drifts louder than the EEG: high-pass at {report.highpass_hz:g} Hz")


def quality_of(data: "np.ndarray | StoredSignal", report: PreprocessingReport) -> float:
    """Return the share of the result that was measured and looks like EEG."""
    rate, names = report.sampling_rate, report.channels
    measured = [row for row, name in enumerate(names) if name not in report.interpolated_channels]
    stretches: Iterable[np.ndarray]
    if isinstance(data, StoredSignal):
        stretches = chain.from_iterable(data.stretches(row, max(round(rate), 1)) for row in measured)
    else:
        stretches = (data[row] for row in measured)
    return (usable_share(stretches, rate) if measured else 0.0) * len(measured) / len(names)


def _as_recording(
    data: "np.ndarray | StoredSignal",
    raw: "mne.io.BaseRaw",
    selection: ChannelSelection,
    report: PreprocessingReport,
    lost: Sequence[Span],
) -> "mne.io.BaseRaw":
    """Return clean samples (channels, time) in V as a recording, with the metadata of the original."""
    import mne  # which a machine that only runs exported models lacks

    first = round(raw.first_samp * report.sampling_rate / report.original_sampling_rate)
    annotations = raw.annotations.copy()
    rate = report.original_sampling_rate
    for start, end in lost:
        annotations.append(raw.first_time + start / rate, (end - start) / rate, "BAD_ACQ_SKIP")
    if annotations.orig_time is None:  # MNE counts undated onsets from the first sample, but only when set
        annotations.onset -= raw.first_time
    with mne.utils.use_log_level("ERROR"):  # once: each `verbose` goes through all loggers of the process
        places = selection.places(report.channels)
        info = _description(
            tuple(places), report.sampling_rate, np.stack([*places.values()]).astype(np.float64).tobytes()
        ).copy()
        if isinstance(data, StoredSignal):
            result = data.as_recording(info, first)
        else:
            result = mne.io.RawArray(data, info, first)
        result.set_meas_date(raw.info["meas_date"])
        result.set_annotations(annotations, emit_warning=False)
        for key in ("line_freq", "subject_info", "description"):
            result.info[key] = raw.info[key]
        result.info["bads"] = list(report.bad_channels)
    return result


@lru_cache(maxsize=8)  # 0.7 ms, and most recordings of a corpus have the same channels
def _description(names: tuple[str, ...], rate: float, places: bytes) -> "mne.Info":
    """Describe EEG channels at places in metres in the head frame, float64 (channels, 3)."""
    import mne

    positions = np.frombuffer(places).reshape(-1, 3)
    info = mne.create_info(list(names), rate, "eeg")
    info.set_montage(
        mne.channels.make_dig_montage(dict(zip(names, positions, strict=True)), coord_frame="head")
    )
    return info


SETTINGS = tuple(inspect.signature(preprocess).parameters)[1:]
"""Names of the settings of `preprocess`."""

__all__ = [
    "OPTIONS",
    "SETTINGS",
    "choose_filters",
    "clean_samples",
    "names_to_read",
    "preprocess",
    "quality_of",
]
