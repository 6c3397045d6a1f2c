# SPDX-License-Identifier: Apache-2.0
"""The signal contract on a stream: samples in as they come, windows out at every hop.

Filters know the past only. The channels are filtered as they were recorded, and reference, interpolation and
bad channels are decided for each window by its own past: filters and reference are linear, so their order is
free, and a channel that dies makes no step in the others. Samples are worked on in blocks whose ends depend
on their place in the stream alone, so the sizes of the pieces that come in change nothing, to the bit.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .array_recording import ArrayRecording
from .bad_channels import silent_vertex
from .causal_filters import (
    Phase,
    StreamFilter,
    StreamResampler,
    group_delay,
    minimum_phase,
    settling_samples,
)
from .channel_reasons import list_reasons
from .channel_selection import select_channels
from .channels import parse_channel
from .covariance import whitening_matrix
from .filtering import check_filters, design_band_pass, design_notch
from .microvolt_units import UV_PER_UNIT
from .preprocessing import choose_filters, names_to_read, quality_of
from .preprocessing_report import PreprocessingReport
from .recent_samples import RecentSamples
from .recorded_channels import HeldChannels
from .referencing import can_leave_out
from .setting_checks import check_option, positive
from .signal_quality import (
    FLAT_UV,
    LARGEST_UV,
    check_amplitude,
    describe_outliers,
    jumps,
    loud_channels,
    swings,
)
from .stream_window import StreamCounts, StreamWindow
from .treatment import Treatment
from .window_normalization import normalize_window

if TYPE_CHECKING:
    from .calibration import Calibration
    from .feature_extraction_eeg import EEGFeatureExtractor

_LONGEST_BLOCK_SECONDS = 0.25  # bounds the memory of a hop as long as a window
_JUDGED_SECONDS = 10.0  # of the past that loud and jumping channels are found in


class StreamingExtractor:
    """Turn a stream into windows of model input, as an [`EEGFeatureExtractor`] turns a recording into them.

    Args:
        extractor: The signal contract.
        sampling_rate: Rate of the stream in Hz.
        channel_names: One name per channel of the stream.
        unit: Unit of its samples: `"V"`, `"mV"` or `"uV"`.
        hop_seconds: From the start of a window to that of the next; default: the length of a window.
        phase: `"minimum"` filters with the contract's gain and the shortest delay (`delay_seconds`), which
            moves slow waves against fast ones; `"linear"` waits for half the length of the filter
            (`latency_seconds`) and then equals the contract.
        gap_seconds: Stamps whose distance differs from a sample's by more are a gap.
        decisions: Report of a cleaned recording of the same set-up, whose bad channels, loud channels, line
            frequency, unit and high-pass hold; needed for `notch_hz="auto"`, `adaptive=True` and
            `bad_channels="auto"`, which a stream cannot look ahead for.
        calibration: As of `EEGFeatureExtractor.__call__`.
        reference_covariance: As of `EEGFeatureExtractor.__call__`.
        montage: MNE montage of labels of dense caps.
        return_tensors: `"pt"` or `"np"`.

    Attributes:
        latency_seconds: How long after its last moment a window is complete.
        delay_seconds: How much later than in the contract waves of 10 Hz lie (the middle of the pass band, if
            it does not hold 10 Hz).
        settling_seconds: How long the filters feel a start or a gap.
        counts: What the stream has brought.
        channels: Names of the channels of the windows.

    Raises:
        ValueError: If something would have to be guessed, as of `preprocess`; or the contract has no length
            of windows.

    Example:
        >>> stream = StreamingExtractor(
        ...     EEGFeatureExtractor(window_seconds=2.0), 250, ["C3", "C4"], "uV", hop_seconds=0.5
        ... )  # doctest: +SKIP
        >>> for chunk in amplifier:  # doctest: +SKIP
        ...     for window in stream.push(chunk):
        ...         logits = model(**window.features).logits
    """

    def __init__(
        self,
        extractor: "EEGFeatureExtractor",
        sampling_rate: float,
        channel_names: Sequence[str],
        unit: Literal["V", "mV", "uV"],
        hop_seconds: float | None = None,
        phase: Phase = "minimum",
        gap_seconds: float = 0.02,
        decisions: PreprocessingReport | None = None,
        calibration: "Calibration | None" = None,
        reference_covariance: np.ndarray | None = None,
        montage: str | None = None,
        return_tensors: Literal["pt", "np"] = "pt",
    ) -> None:
        check_option("phase", phase, ("minimum", "linear"))
        check_option("unit", unit, tuple(UV_PER_UNIT))
        check_option("return_tensors", return_tensors, ("pt", "np"))
        self.extractor, self.decisions, self.return_tensors = extractor, decisions, return_tensors
        self.gap_seconds = positive("gap_seconds", gap_seconds)
        self._refuse_looking_ahead()
        header = ArrayRecording(np.zeros((len(channel_names), 1)), sampling_rate, channel_names)
        self.num_inputs, self.sampling_rate = len(channel_names), float(sampling_rate)
        self._choose_channels(header, montage)
        self._scale = UV_PER_UNIT[unit] * 1e-6 * (decisions.scale_uv if decisions else 1.0)
        self._choose_lengths(hop_seconds)
        self._build_filters(phase)
        matrix = None if reference_covariance is None else whitening_matrix(reference_covariance)
        if (matrix is None) != (extractor.alignment == "none"):
            raise ValueError(
                f"alignment={extractor.alignment!r} {'needs' if matrix is None else 'takes no'}"
                " reference_covariance: the mean covariance of windows of this subject or session"
            )
        if matrix is not None and len(matrix) != len(self.channels):
            raise ValueError(
                f"reference_covariance has {len(matrix)} channels, expected {len(self.channels)}"
            )
        self._matrix = matrix
        if calibration is not None:
            calibration.check(extractor, self.channels)
        self.calibration = calibration
        self.counts = StreamCounts()
        self._passed = 0  # samples before this segment, with those that gaps lack
        self._last_stamp: float | None = None
        self._is_interrupted = False
        self._begin()

    def push(
        self, samples: np.ndarray, timestamps: np.ndarray | Sequence[float] | None = None
    ) -> list[StreamWindow]:
        """Take the next samples and return the windows that are complete now.

        Args:
            samples: Of all channels of the stream, shape (channels, n); n may be any number.
            timestamps: When each was taken, in seconds of any clock, shape (n,); needed to see lost samples.

        Raises:
            ValueError: If the shape is another one, or stamps are missing, not finite or come only now.
            TypeError: If the samples are no real numbers.
        """
        samples = np.asarray(samples)
        if samples.dtype.kind not in "iuf":
            raise TypeError(f"expected real samples, got {samples.dtype}")
        if samples.ndim != 2 or len(samples) != self.num_inputs:
            hint = ": transpose?" if samples.ndim == 2 and samples.shape[1] == self.num_inputs else ""
            raise ValueError(
                f"expected samples of shape ({self.num_inputs}, n), one row for each channel of the stream,"
                f" got {samples.shape}{hint}"
            )
        stamps = self._check_stamps(timestamps, samples.shape[1])
        samples = samples[self._picks] * self._scale
        windows: list[StreamWindow] = []
        for start, stop, lost, is_lost in self._stretches(samples, stamps):
            if lost is not None:
                self._interrupt(lost)
            if not is_lost:
                windows += self._feed(samples[:, start:stop], None if stamps is None else stamps[start:stop])
        if stamps is not None and len(stamps):
            self._last_stamp = float(stamps[-1])
        self.counts.samples += samples.shape[1]
        return windows

    def restart(self, lost_samples: int = 0) -> None:
        """Begin anew after an interruption that no stamp shows; no window crosses it."""
        self._interrupt(lost_samples)

    # Set-up

    def _refuse_looking_ahead(self) -> None:
        """Refuse settings that are decided by a whole recording, unless one was looked at."""
        extractor = self.extractor
        if extractor.window_seconds is None:
            raise ValueError("a stream needs a length of windows: set window_seconds of the extractor")
        ahead = {
            "notch_hz='auto'": extractor.notch_hz == "auto",
            "adaptive=True": extractor.adaptive,
            "bad_channels='auto'": extractor.bad_channels == "auto",
        }
        if self.decisions is None and any(ahead.values()):
            raise ValueError(
                f"{', '.join(name for name, is_on in ahead.items() if is_on)}: a stream cannot look ahead:"
                " pass decisions=, the report of half a minute of the same set-up"
                " (extractor.preprocess(recording)[1]; eeg-hf stream --calibrate 30), or set it to a value"
            )

    def _choose_channels(self, header: ArrayRecording, montage: str | None) -> None:
        extractor, raw = self.extractor, header
        self.selection = select_channels(
            raw,
            extractor.channels,
            extractor.missing_channels,
            extractor.unknown_channels,
            montage,
            extractor.positions,
        )
        self.channels = list(self.selection.wanted)
        self._positions = np.stack(list(self.selection.places(self.channels).values())).astype(np.float32)
        reference = extractor.reference
        self._kind = reference if isinstance(reference, str) else "electrodes"
        self._electrodes = [] if isinstance(reference, str) else [parse_channel(e).name for e in reference]
        helpers = self.selection.unipolar if extractor.missing_channels == "interpolate" else []
        self.names = names_to_read(raw, self.selection, [*helpers, *self._electrodes])
        self._picks = [self.selection.found[name].pick for name in self.names]
        known = self.decisions.bad_channels if self.decisions else {}
        self._known_bad = {n: w for n, w in known.items() if n in self.names and w != "it is the reference"}
        known = self.decisions.reference_outliers if self.decisions else {}
        self._known_outliers = {name: why for name, why in known.items() if name in self.names}

    def _choose_lengths(self, hop_seconds: float | None) -> None:
        rate, seconds = self.extractor.sampling_rate, self.extractor.window_seconds
        assert seconds is not None
        hop = seconds if hop_seconds is None else positive("hop_seconds", hop_seconds)
        self._length, self._hop = round(seconds * rate), round(hop * rate)
        if self._hop < 1:
            raise ValueError(f"hop_seconds={hop:g} is less than a sample at {rate:g} Hz")
        self.hop_seconds = self._hop / rate

    def _build_filters(self, phase: Phase) -> None:
        """Design the filters, and state what they cost."""
        extractor, rate = self.extractor, self.sampling_rate
        check_filters(
            rate, extractor.sampling_rate, extractor.highpass_hz, extractor.lowpass_hz, extractor.notch_hz
        )
        filters = self._design()
        taps = np.ones(1)
        for one in filters:
            taps = np.convolve(taps, one if phase == "linear" else minimum_phase(one))
        waiting = len(taps) // 2 if phase == "linear" else 0
        self._filter = StreamFilter(taps)
        self._resampler = StreamResampler(rate, extractor.sampling_rate, waiting)
        edges = (extractor.highpass_hz or 0.0, extractor.lowpass_hz or extractor.sampling_rate / 2)
        frequency = 10.0 if edges[0] < 10.0 < edges[1] else sum(edges) / 2
        self.latency_seconds = self._resampler.lookahead / rate
        self.delay_seconds = 0.0 if waiting else group_delay(taps, rate, frequency)
        settling = settling_samples(taps) + self._resampler.lookahead - waiting
        self.settling_seconds = max(settling - waiting, 0) / rate
        self._settling = max(settling - waiting, 0)

        length = -(-self._length * self._resampler.down // self._resampler.up)
        self._raw_length = length
        held = max(length + self._resampler.lookahead, round(_JUDGED_SECONDS * rate)) + 1
        self._longest = max(1, round(_LONGEST_BLOCK_SECONDS * rate))
        self._raw = RecentSamples(len(self.names), max(held, self._longest))
        slow = self._length + round(_LONGEST_BLOCK_SECONDS * extractor.sampling_rate) + 2
        self._clean = RecentSamples(len(self.names), slow)

    def _design(self) -> list[np.ndarray]:
        """Return the filters of the contract, or those that were decided on a recording of the set-up."""
        extractor, rate, found = self.extractor, self.sampling_rate, self.decisions
        if found is not None:
            band = (found.highpass_hz, found.lowpass_hz)
            filters = [] if band == (None, None) else [design_band_pass(rate, *band)]
            return [*filters, design_notch(rate, found.notch_hz)] if found.notch_hz else filters
        report = PreprocessingReport(
            original_sampling_rate=rate,
            sampling_rate=extractor.sampling_rate,
            highpass_hz=extractor.highpass_hz,
            lowpass_hz=extractor.lowpass_hz,
            duration_seconds=float("inf"),
        )
        nothing = np.zeros((0, 0))
        return choose_filters(nothing, nothing, extractor.notch_hz, False, report)

    # Interruptions

    def _check_stamps(self, timestamps: np.ndarray | Sequence[float] | None, count: int) -> np.ndarray | None:
        if timestamps is None:
            if self._last_stamp is not None and count:
                raise ValueError("earlier samples had timestamps, these have none: expected one per sample")
            return None
        stamps = np.asarray(timestamps, np.float64)
        if stamps.shape != (count,) or not np.isfinite(stamps).all():
            raise ValueError(f"expected {count} finite timestamps, one per sample, got {stamps.shape}")
        if self._last_stamp is None and self.counts.samples and count:
            raise ValueError("earlier samples had no timestamps, these have: expected none")
        return stamps

    def _stretches(
        self, samples: np.ndarray, stamps: np.ndarray | None
    ) -> list[tuple[int, int, int | None, bool]]:
        """Cut new samples at interruptions.

        Returns:
            First sample and sample after the last; samples that were lost before them or with them, None for
            no interruption; and whether none of them is a number.
        """
        count = samples.shape[1]
        if not count:
            return []
        is_lost = ~np.isfinite(samples).any(axis=0)
        missed = np.zeros(count)
        if stamps is not None:
            before = stamps[:1] - 1 / self.sampling_rate if self._last_stamp is None else [self._last_stamp]
            missed = np.diff(np.r_[before, stamps]) - 1 / self.sampling_rate
        is_jump = np.abs(missed) > self.gap_seconds
        edges = [0, *(np.flatnonzero(is_jump[1:] | (is_lost[1:] != is_lost[:-1])) + 1).tolist(), count]
        stretches: list[tuple[int, int, int | None, bool]] = []
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            lost = max(0, round(missed[start] * self.sampling_rate)) if is_jump[start] else None
            if is_lost[start]:
                lost = (lost or 0) + stop - start
            stretches.append((start, stop, lost, bool(is_lost[start])))
        return stretches

    def _interrupt(self, lost_samples: int) -> None:
        """Begin a new segment; filters forget, and what had not filled a window is given up."""
        self.counts.lost_samples += lost_samples
        self._passed += lost_samples
        received = self._position + self._pending.shape[1]
        if not self._is_interrupted and (received or self.counts.samples):
            self.counts.gaps += 1
        self._is_interrupted = True
        if received:
            used = self._start_in_stream(self._number - 1) + self._raw_length if self._number else 0
            self.counts.discarded_samples += max(received - used, 0)
            self._passed += received
            self._begin()

    def _begin(self) -> None:
        """Empty all memory of samples."""
        self._filter.reset()
        self._resampler.reset()
        self._raw.reset()
        self._clean.reset()
        self._pending = np.zeros((len(self.names), 0))
        self._pending_stamps = np.zeros(0)
        self._position = 0  # samples of this segment that went through the filters
        self._number = 0  # windows of this segment
        self._stamp: float | None = None  # of the sample before the position
        self._last = np.zeros((len(self.names), 1))  # last good sample of each channel
        self._spoilt = np.full(len(self.names), -1)  # place after the last sample that was no signal
        self._judged_at = -1
        self._outliers: dict[str, str] = {}
        self._amplitude_problem: str | None = None

    # Samples to windows

    def _feed(self, samples: np.ndarray, stamps: np.ndarray | None) -> list[StreamWindow]:
        """Work on whole blocks, and keep the rest for later."""
        self._is_interrupted = False
        pending = np.concatenate([self._pending, samples], axis=1)
        if stamps is not None:
            self._pending_stamps = np.r_[self._pending_stamps, stamps]
        windows: list[StreamWindow] = []
        start = 0
        while True:
            target = self._resampler.needed(self._number * self._hop + self._length)
            size = min(self._longest, target - self._position)
            if start + size > pending.shape[1]:
                break
            if stamps is not None:
                self._stamp = float(self._pending_stamps[start + size - 1])
            self._work_on(pending[:, start : start + size])
            start += size
            if self._position == target:
                windows.append(self._make_window())
        self._pending = pending[:, start:].copy()
        self._pending_stamps = self._pending_stamps[start:]
        return windows

    def _work_on(self, block: np.ndarray) -> None:
        """Filter a block; samples that are no signal are replaced by the last one that was."""
        with np.errstate(invalid="ignore"):
            is_spoilt = ~(np.abs(block) <= LARGEST_UV * 1e-6)  # True for NaN
        if is_spoilt.any():
            length = block.shape[1]
            places = np.where(is_spoilt, 0, np.arange(1, length + 1))  # 0 is the sample before the block
            places = np.maximum.accumulate(places, axis=1)
            block = np.take_along_axis(np.concatenate([self._last, block], axis=1), places, axis=1)
            rows = is_spoilt.any(axis=1)
            self._spoilt[rows] = self._position + length - np.argmax(is_spoilt[rows, ::-1], axis=1)
        self._last = block[:, -1:].copy()
        self._raw.append(block)
        self._clean.append(self._resampler(self._filter(block)))
        self._position += block.shape[1]

    def _start_in_stream(self, number: int) -> int:
        """Return the place in this segment of the first sample of a window of this segment."""
        return number * self._hop * self._resampler.down // self._resampler.up

    def _make_window(self) -> StreamWindow:
        """Make the window whose last sample has just come."""
        start = self._number * self._hop
        first = self._start_in_stream(self._number)
        begin, end = (self._time_of(place) for place in (start, start + self._length))
        self._number += 1
        self.counts.windows += 1
        recorded = self._raw.between(first, first + self._raw_length)
        bad = self._find_bad(recorded, first)
        self._judge(bad)
        common: dict[str, Any] = {
            "index": self.counts.windows - 1,
            "start": begin,
            "end": end,
            "restarts": self.counts.gaps,
            "is_settled": first >= self._settling,
            "reference_outliers": dict(self._outliers),
        }
        self.counts.unsettled += not common["is_settled"]
        report = PreprocessingReport(channels=self.channels, sampling_rate=self.extractor.sampling_rate)
        samples = self._clean.between(start, start + self._length).copy()
        rows = dict(zip(self.names, samples, strict=True))
        try:
            if self._amplitude_problem:
                raise ValueError(self._amplitude_problem)
            if len(bad) == len(self.names):
                raise ValueError(f"no channel holds a signal: {list_reasons(bad)}")
            data = self._treatment(bad).apply(samples, rows, report)  # (channels, time) in V
        except ValueError as error:  # this window is lost, the stream goes on
            self.counts.problems += 1
            return StreamWindow(**common, features=None, bad_channels=bad, problem=str(error))
        return StreamWindow(
            **common,
            features=self._to_features(data, report.bad_channels),
            bad_channels=report.bad_channels,
            interpolated_channels=tuple(report.interpolated_channels),
            quality=round(quality_of(data, report), 4),
        )

    def _time_of(self, place: int) -> float:
        """Return the time of a sample of this segment, by its number at the contract's rate."""
        recorded = place * self._resampler.down / self._resampler.up
        if self._stamp is not None:
            return self._stamp - (self._position - 1 - recorded) / self.sampling_rate
        return (self._passed + recorded) / self.sampling_rate

    def _find_bad(self, recorded: np.ndarray, first: int) -> dict[str, str]:
        """Find the channels that hold no signal in a window; see `extractor.bad_channels`."""
        bad = dict(self._known_bad)
        for row, name in enumerate(self.names):
            if self._spoilt[row] > max(first - self._settling, 0):
                bad.setdefault(name, "NaN, infinite or above a volt, now or shortly before")
        if self.extractor.bad_channels == "none":
            return bad
        length = min(max(round(self.sampling_rate), 2), recorded.shape[1])
        pieces = recorded[:, recorded.shape[1] % length :].reshape(len(recorded), -1, length)
        is_flat = (pieces.std(axis=-1) * 1e6 < FLAT_UV).any(axis=1)
        if is_flat.any():
            held = HeldChannels(dict(zip(self.names, recorded, strict=True)), recorded, self.sampling_rate)
            spared = silent_vertex(held) if self._kind == "average" else []
            for name, flat in zip(self.names, is_flat, strict=True):
                if flat and name not in spared:
                    bad.setdefault(name, "flat for a second")
        return bad

    def _judge(self, bad: Mapping[str, str]) -> None:
        """Measure amplitude and loud channels, once a second."""
        if self._judged_at == int(self._position / self.sampling_rate):
            return
        self._judged_at = int(self._position / self.sampling_rate)
        length = max(self._raw_length, round(_JUDGED_SECONDS * self.sampling_rate))
        recorded = self._raw.between(self._position - length, self._position)
        rows = {n: row for n, row in zip(self.names, recorded, strict=True) if n not in bad}
        live = {name: row for name, row in rows.items() if row.any()}
        self._amplitude_problem = None
        try:
            if live:
                check_amplitude(list(live.values()), self.sampling_rate)
        except ValueError as error:
            self._amplitude_problem = str(error)
        self._outliers = dict(self._known_outliers)
        if self._kind == "average" and self.extractor.robust_reference:
            found = self.selection.found
            judged = {name: row for name, row in live.items() if not found[name].channel.is_bipolar}
            self._outliers |= _outliers(judged, self.sampling_rate, self.extractor.lowpass_hz)
            self._outliers = dict(can_leave_out(self._outliers, judged))

    def _treatment(self, bad: Mapping[str, str]) -> Treatment:
        interpolates = self.extractor.missing_channels == "interpolate"
        return Treatment(
            self.selection,
            bad,
            self._kind,
            self._electrodes,
            self._outliers,
            interpolates,
            self.extractor.sampling_rate,
        )

    def _to_features(self, data: np.ndarray, bad: Mapping[str, str]) -> dict[str, Any]:
        """Normalise a window, (channels, time) in V, to a batch of one."""
        is_good = np.array([name not in bad for name in self.channels])
        window_uv = (data * 1e6).astype(np.float32)
        values = normalize_window(window_uv, self.extractor, is_good, self._matrix)
        features: dict[str, Any] = {
            "input_values": values[None],
            "channel_positions": self._positions[None].copy(),
            "channel_mask": is_good[None],
            "attention_mask": np.ones((1, values.shape[1]), bool),
        }
        if self.calibration is not None:
            features["recentring_whitening"] = self.calibration.whitening[None]
            features["recentring_log_power"] = self.calibration.log_power[None]
        if self.return_tensors == "np":
            return features
        import torch  # which a machine that only runs exported models lacks

        return {name: torch.from_numpy(value) for name, value in features.items()}


def _outliers(rows: Mapping[str, np.ndarray], rate: float, lowpass_hz: float | None) -> dict[str, str]:
    """Find the channels that an average must leave out; name -> why."""
    if not rows:
        return {}
    jumping = jumps(list(rows), *swings(list(rows.values()), rate))
    return describe_outliers(jumping, loud_channels(rows, rate, lowpass_hz))


__all__ = ["StreamingExtractor"]
