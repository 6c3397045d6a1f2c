# SPDX-License-Identifier: Apache-2.0
"""The signal contract: the settings that turn recordings into a model's input, saved beside its weights.

A model meets other montages, units, rates and references than it was trained on. `EEGFeatureExtractor` holds
those of its training and turns any recording or array into them. Where it would have to guess, it raises and
names what it expected and what it got.
"""

import difflib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import mne
import numpy as np
import torch
from transformers.feature_extraction_utils import BatchFeature, FeatureExtractionMixin
from transformers.utils import logging

from .bad_spans import bad_windows, warn_of_bad
from .channel_selection import ChannelSelection, select_channels
from .channels import parse_channel, repeated
from .covariance import whitening_matrix
from .electrode_positions import Position, check_positions, positions_from_raw
from .filtering import check_filters
from .microvolts import UV_PER_VOLT, describe_array, to_microvolts, to_recording
from .normalization import mean_and_deviation, robust_statistics, subtract_and_multiply
from .preprocessing import OPTIONS, SETTINGS
from .preprocessing import preprocess as preprocess_recording
from .preprocessing_report import PreprocessingReport
from .setting_checks import check_option, positive, refuse_padding
from .signal_quality import LARGEST_UV, check_amplitude
from .window_scales import MICROVOLT_SCALE

if TYPE_CHECKING:
    from .calibration import Calibration

logger = logging.get_logger(__name__)

NORMALIZATIONS = ("robust", "zscore", "microvolt", "none")
ALIGNMENTS = ("none", "euclidean")
REGIMES = ("unseen", "first_30s", "20P", "50P", "all")
"""Unlabelled windows of a tested subject that may be used: `unseen` is MOABB's TRAIN, `20P`, `50P` and `all`
its TRAIN_AND_TARGET_UNLABELED_20P, _50P and _FULL."""


class EEGFeatureExtractor(FeatureExtractionMixin):
    """Turn recordings and arrays into model input.

    Args:
        sampling_rate: Rate of the model's input in Hz.
        highpass_hz: Lower edge of the pass band in Hz, `None` for no high-pass.
        lowpass_hz: Upper edge of the pass band in Hz, `None` for none except the anti-alias filter.
        notch_hz: Line frequency in Hz to remove with its harmonics, `"auto"` to measure it, `None` to keep
            it.
        reference: `"average"`, `"original"`, or electrodes whose mean is subtracted.
        channels: Channels of the model's input, in order, in any spelling that `parse_channel` reads; `None`
            for every EEG channel of a recording.
        missing_channels: `"error"`, `"interpolate"` or `"mask"` channels that a recording lacks.
        unknown_channels: `"error"`, `"drop"` or `"mask"` EEG channels without a known position, if `channels`
            is None.
        normalization: Per window and channel `"robust"` ((x - median) / (interquartile range / 1.349)) or
            `"zscore"`; `"microvolt"` (uV / 100), or `"none"` (uV).
        clip: Largest absolute value after normalisation, in its units; `None` for no limit. Not applied to
            `"none"`.
        window_seconds: Length of the windows into which recordings are cut; `None` keeps each recording
            whole.
        alignment: `"euclidean"` whitens each window by the mean covariance of its subject's or session's
            windows. This replaces `normalization`: the result has unit variance over all windows, which
            scaling each window and channel would undo.
        bad_channels: Which channels count as bad: `"none"`, `"flat"` ones, or `"auto"` for noisy ones too.
        positions: Label or canonical name -> (x, y, z) in metres in the head frame, for unknown electrodes.
        adaptive: Whether to measure unit, line noise, noisy channels and drifts of each recording and adapt
            to them (see `preprocessing.preprocess`); clean recordings are not affected.
        robust_reference: Whether loud channels are left out of the average reference (see
            `preprocessing.preprocess`). Extractors saved by versions without this setting do not.
        calibration_regime: Which unlabelled windows of each subject the model was calibrated on in training,
            one of `REGIMES`; `"unseen"` for none. With another, expect to pass a calibration.
        **kwargs: Further attributes, kept and saved.

    Raises:
        ValueError: If a setting cannot work.

    Example:
        >>> extractor = EEGFeatureExtractor(window_seconds=2.0)
        >>> eeg = np.random.default_rng(0).normal(scale=20, size=(2, 1000))
        >>> batch = extractor(eeg, sampling_rate=250, channel_names=["C3", "C4"], unit="uV")
        >>> batch["input_values"].shape
        torch.Size([2, 2, 400])
    """

    model_input_names = ["input_values", "channel_positions", "channel_mask", "attention_mask"]

    def __init__(
        self,
        sampling_rate: float = 200.0,
        highpass_hz: float | None = 0.5,
        lowpass_hz: float | None = 45.0,
        notch_hz: float | Literal["auto"] | None = None,
        reference: Literal["average", "original"] | Sequence[str] = "average",
        channels: Sequence[str] | None = None,
        missing_channels: Literal["error", "interpolate", "mask"] = "error",
        unknown_channels: Literal["error", "drop", "mask"] = "error",
        normalization: Literal["robust", "zscore", "microvolt", "none"] = "robust",
        clip: float | None = 15.0,
        window_seconds: float | None = 5.0,
        alignment: Literal["none", "euclidean"] = "none",
        bad_channels: Literal["none", "flat", "auto"] = "flat",
        positions: Mapping[str, Position] | None = None,
        adaptive: bool = False,
        robust_reference: bool = True,
        calibration_regime: Literal["unseen", "first_30s", "20P", "50P", "all"] = "unseen",
        **kwargs: object,
    ) -> None:
        self._warn_of_misspelt(kwargs)
        super().__init__(**kwargs)
        self.sampling_rate = positive("sampling_rate", sampling_rate, at_most=1e5)
        self.highpass_hz = None if highpass_hz is None else positive("highpass_hz", highpass_hz)
        self.lowpass_hz = None if lowpass_hz is None else positive("lowpass_hz", lowpass_hz)
        self.notch_hz = notch_hz if notch_hz is None or notch_hz == "auto" else positive("notch_hz", notch_hz)
        self.reference = reference if isinstance(reference, str) else _canonical("reference", reference)
        self.channels = None if channels is None else _canonical("channels", channels)
        self.missing_channels = missing_channels
        self.unknown_channels = unknown_channels
        self.normalization = normalization
        self.clip = None if clip is None else positive("clip", clip, at_least=1e-3, at_most=1e30)
        length = None if window_seconds is None else positive("window_seconds", window_seconds, at_most=86400)
        self.window_seconds = length
        self.alignment = alignment
        self.bad_channels = bad_channels
        # Plain lists, since JSON holds them
        checked = check_positions(positions or {})
        self.positions = {name: place.tolist() for name, place in checked.items()} or None
        self.adaptive = bool(adaptive)
        self.robust_reference = bool(robust_reference)
        self.calibration_regime = calibration_regime
        self._check_settings()

    @classmethod
    def from_dict(
        cls, feature_extractor_dict: dict[str, Any], **kwargs: Any
    ) -> "EEGFeatureExtractor | tuple[EEGFeatureExtractor, dict[str, Any]]":
        """Build an extractor from saved settings; what they lack is as it was when they were saved."""
        # transformers ignores an override whose setting was not saved
        before = {"robust_reference": False, "calibration_regime": "unseen"}
        saved = {**before, **feature_extractor_dict}
        return super().from_dict(saved, **kwargs)  # type: ignore[return-value]

    def preprocess(
        self, raw: "mne.io.BaseRaw", montage: str | None = None, scale: float = 1.0
    ) -> tuple["mne.io.BaseRaw", PreprocessingReport]:
        """Clean one continuous recording with this extractor's settings.

        Args:
            raw: Recording in volts; it is not changed.
            montage: MNE montage of labels of dense caps (`E1`, BioSemi's `A1`).
            scale: Factor that turns the samples into volts, for files that state a wrong unit.

        Returns:
            The clean recording, in volts, and the report (see `preprocessing.preprocess`).
        """
        settings = {name: getattr(self, name) for name in SETTINGS if name not in ("montage", "scale")}
        return preprocess_recording(raw, montage=montage, scale=scale, **settings)

    @property
    def ignores_scale(self) -> bool:
        """Whether `normalize` returns the same for channels in any unit, so that counts need no scale."""
        return self.alignment == "none" and self.normalization == "robust"

    def normalize(
        self,
        values: torch.Tensor,
        channel_mask: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        alignment_matrix: torch.Tensor | None = None,
        out: torch.Tensor | None = None,
        quartiles: torch.Tensor | None = None,
        largest: float | None = None,
    ) -> torch.Tensor:
        """Align, normalise, clip and mask windows.

        Args:
            values: Clean windows in uV, all samples finite, shape (batch, channels, time); each channel in
                any unit if `ignores_scale`.
            channel_mask: True = real, shape (batch, channels); the other channels become zero.
            attention_mask: True = real, shape (batch, time); the other samples do not count and become zero.
            alignment_matrix: Result of `covariance.whitening_matrix`, shape (channels, channels) or (batch,
                channels, channels).
            out: Memory for the result, float32 of the shape of `values`, or `values` itself: new memory pages
                cost more than the arithmetic.
            quartiles: What robust normalisation would compute first, in the unit of `values`, shape (batch,
                channels, 3); see `normalization.channel_quartiles`.
            largest: What no sample exceeds, in the unit of `values`: windows that cannot reach `clip` are not
                searched for it.

        Returns:
            Tensor, float32, shape (batch, channels, time); `values` itself if nothing is to be done.

        Raises:
            ValueError: If `alignment="euclidean"` lacks a matrix, or windows have another shape.
        """
        if values.ndim != 3:
            raise ValueError(f"expected windows of shape (batch, channels, time), got {tuple(values.shape)}")
        values = values.float()
        if alignment_matrix is not None:
            values = out = torch.matmul(alignment_matrix.float().to(values.device), values)
        elif self.alignment != "none":
            raise ValueError(
                f"alignment={self.alignment!r} needs an alignment_matrix (or a reference_covariance)"
            )
        if attention_mask is not None and bool(attention_mask.all()):
            attention_mask = None  # windows are nearly always full, and then need no mask
        if self.alignment == "none":
            values = self._scale(values, attention_mask, out, quartiles, largest)
        elif self.clip is not None:
            values = values.clamp_(-self.clip, self.clip)  # not the caller's tensor any more
        if channel_mask is not None and not bool(channel_mask.all()):
            values = torch.mul(values, channel_mask[:, :, None], out=out)
        if attention_mask is not None:
            values = torch.mul(values, attention_mask[:, None, :], out=out)
        return values

    def location_and_scale(
        self,
        values: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        quartiles: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what `normalize` subtracts from each channel and divides it by, to invert it.

        Args:
            values: As in `normalize`.
            attention_mask: As in `normalize`.
            quartiles: As in `normalize`.

        Returns:
            Location and scale in the unit of `values`, both (batch, channels, 1); 0 and 1 if `alignment`
            replaces the normalisation.
        """
        if self.alignment == "none" and self.normalization == "robust":
            return robust_statistics(values, attention_mask, quartiles)
        if self.alignment == "none" and self.normalization == "zscore":
            return mean_and_deviation(values, attention_mask)
        is_divided = self.alignment == "none" and self.normalization == "microvolt"
        scale = torch.full(
            (*values.shape[:2], 1), MICROVOLT_SCALE if is_divided else 1.0, device=values.device
        )
        return torch.zeros_like(scale), scale

    def _scale(
        self,
        values: torch.Tensor,
        attention_mask: torch.Tensor | None,
        out: torch.Tensor | None,
        quartiles: torch.Tensor | None,
        largest: float | None,
    ) -> torch.Tensor:
        """Scale each channel of each window as `normalization` says, and clip it."""
        if self.normalization == "none":
            return values
        center, scale = self.location_and_scale(values, attention_mask, quartiles)
        if self.normalization == "microvolt":
            values = torch.div(values, MICROVOLT_SCALE, out=out)
        else:
            values = subtract_and_multiply(values, center, 1 / scale, out)  # dividing takes twice as long
        if self.clip is None:
            return values
        if largest is None:
            return values.clamp_(-self.clip, self.clip)
        may_exceed = (largest + center.abs()) / scale > 0.999 * self.clip  # (batch, channels, 1)
        for row in torch.nonzero(may_exceed.any(dim=1))[:, 0].tolist():
            values[row].clamp_(-self.clip, self.clip)
        return values

    def __call__(
        self,
        eeg: "mne.io.BaseRaw | np.ndarray | torch.Tensor",
        sampling_rate: float | None = None,
        channel_names: Sequence[str] | None = None,
        unit: Literal["V", "mV", "uV"] | None = None,
        reference_covariance: np.ndarray | None = None,
        is_preprocessed: bool = False,
        return_report: bool = False,
        return_tensors: str = "pt",
        montage: str | None = None,
        calibration: "Calibration | None" = None,
    ) -> BatchFeature:
        """Turn a recording, or an array of one or several, into a batch of model input.

        Args:
            eeg: MNE recording, or samples of shape (channels, time) or (batch, channels, time).
            sampling_rate: Rate of the array in Hz. Required with an array, as are the next two.
            channel_names: One name per channel of the array.
            unit: Unit of the array: `"V"`, `"mV"` or `"uV"`.
            reference_covariance: For `alignment="euclidean"`: mean covariance, in uV^2, of all windows of the
                subject or session (`covariance.mean_covariance`), shape (channels, channels). That of a
                single condition's file would whiten away the difference between conditions.
            is_preprocessed: Whether `eeg` is already filtered, referenced and at this extractor's rate; it is
                then only checked, cut and normalised.
            return_report: Whether to add `report`, a list of one dict per recording.
            return_tensors: `"pt"` or `"np"`.
            montage: MNE montage of labels of dense caps (`E1`, BioSemi's `A1`).
            calibration: Recentring of the subject, session or device for models with second-order tokens,
                from `calibrate`; adds `recentring_whitening` and `recentring_log_power`.

        Returns:
            `input_values` (batch, channels, time) float32, `channel_positions` (batch, channels, 3) in
            metres, `channel_mask` (batch, channels) and `attention_mask` (batch, time), both True = real.
            Recordings longer than `window_seconds` become consecutive windows along the batch, the last one
            padded.

        Raises:
            ValueError: If rate, names, unit, shape or channels would have to be guessed.
            TypeError: If `eeg` is neither a recording nor an array.
        """
        self._check_covariance(reference_covariance)
        if isinstance(eeg, mne.io.BaseRaw):
            is_other_rate = sampling_rate not in (None, eeg.info["sfreq"])
            if channel_names is not None or unit is not None or is_other_rate:
                raise ValueError("sampling_rate, channel_names and unit describe arrays, not recordings")
            clean = self._check_clean(eeg, None, montage) if is_preprocessed else self._clean([eeg], montage)
            clean.reports[0].warnings.extend(warn_of_bad(bad_windows(eeg, self.window_seconds)))
        else:
            samples_uv, info = describe_array(eeg, sampling_rate, channel_names, unit)
            if is_preprocessed:
                header = to_recording(samples_uv[0, :, :1], info)
                clean = self._check_clean(header, samples_uv, montage)
            else:
                clean = self._clean([to_recording(item, info) for item in samples_uv], montage)

        features = self._to_features(clean, reference_covariance, calibration, return_tensors)
        if return_report:
            features["report"] = [report.to_dict() for report in clean.reports]
        for warning in {warning for report in clean.reports for warning in report.warnings}:
            logger.warning(warning)
        return features

    def iterate(
        self,
        raw: "mne.io.BaseRaw",
        batch_size: int = 64,
        reference_covariance: np.ndarray | None = None,
        montage: str | None = None,
        calibration: "Calibration | None" = None,
        return_report: bool = False,
    ) -> Iterator[BatchFeature]:
        """Turn a recording of any length into batches of windows, without holding all of them.

        Args:
            raw: MNE recording.
            batch_size: Windows in a batch.
            reference_covariance: As of `__call__`.
            montage: As of `__call__`.
            calibration: As of `__call__`.
            return_report: Whether every batch has the `report` of the recording.

        Yields:
            What `__call__` returns for consecutive windows.

        Raises:
            ValueError: As `__call__`; or if `window_seconds` is None.
        """
        self._check_covariance(reference_covariance)
        if self.window_seconds is None:
            raise ValueError("without window_seconds there are no batches: set it, or call the extractor")
        clean, report = self.preprocess(raw, montage)
        report.warnings.extend(warn_of_bad(bad_windows(raw, self.window_seconds)))
        for warning in dict.fromkeys(report.warnings):
            logger.warning(warning)
        is_good = np.array([[name not in report.bad_channels for name in clean.ch_names]])
        positions = positions_from_raw(clean, prefer="file")
        step = batch_size * round(self.window_seconds * self.sampling_rate)
        for start in range(0, clean.n_times, step):
            stop = min(start + step, clean.n_times)
            values = (clean.get_data(start=start, stop=stop) * UV_PER_VOLT).astype(np.float32)
            part = _CleanSignal(values[None], is_good, positions, [report])
            features = self._to_features(part, reference_covariance, calibration, "pt")
            if return_report:
                features["report"] = [report.to_dict()]
            yield features

    def _to_features(
        self,
        clean: "_CleanSignal",
        reference_covariance: np.ndarray | None,
        calibration: "Calibration | None",
        return_tensors: str,
    ) -> BatchFeature:
        """Cut clean signals into windows along the batch and normalise them."""
        values, attention_mask = self._cut(torch.from_numpy(clean.values_uv))  # (windows, channels, time)
        num_windows = len(values) // len(clean.values_uv)
        channel_mask = torch.from_numpy(clean.is_good).repeat_interleave(num_windows, dim=0)
        positions = torch.from_numpy(clean.positions).expand(len(values), -1, -1).clone()

        matrix = None  # (channels, channels)
        if reference_covariance is not None:
            matrix = torch.from_numpy(whitening_matrix(reference_covariance))
            if len(matrix) != values.shape[1]:
                names = ", ".join(clean.reports[0].channels)
                raise ValueError(
                    f"reference_covariance has {len(matrix)} channels, expected {values.shape[1]}: {names}"
                )
        features = BatchFeature(
            {
                "input_values": self.normalize(values, channel_mask, attention_mask, matrix),
                "channel_positions": positions,
                "channel_mask": channel_mask,
                "attention_mask": attention_mask,
            }
        )
        if calibration is not None:
            calibration.check(self, clean.reports[0].channels)
            features.update(calibration.to_inputs(len(values)))
        elif self.calibration_regime != "unseen":
            logger.warning_once(
                f"the model was trained with a calibration of each subject ({self.calibration_regime}): pass "
                "calibration=calibrate(recording, extractor, model), for which 30 s of rest are enough; the "
                "mean of the training subjects stands in, with worse results"
            )
        if return_tensors != "pt":
            features = BatchFeature({key: value.numpy() for key, value in features.items()}, return_tensors)
        return features

    def _clean(self, recordings: "Sequence[mne.io.BaseRaw]", montage: str | None) -> "_CleanSignal":
        """Preprocess recordings that have the same channels."""
        cleaned = [self.preprocess(raw, montage) for raw in recordings]
        first, *others = (to_microvolts(raw) for raw, _ in cleaned)
        return _CleanSignal(
            values_uv=np.stack([first, *others]) if others else first[None],
            is_good=np.array(
                [[name not in report.bad_channels for name in raw.ch_names] for raw, report in cleaned]
            ),
            positions=positions_from_raw(cleaned[0][0], prefer="file"),  # as preprocess has placed them
            reports=[report for _, report in cleaned],
        )

    def _check_clean(
        self, header: "mne.io.BaseRaw", samples_uv: np.ndarray | None, montage: str | None
    ) -> "_CleanSignal":
        """Accept signals stated to be clean after checking rate, channels, samples and amplitude."""
        rate = float(header.info["sfreq"])
        if abs(rate - self.sampling_rate) > 1e-3:
            raise ValueError(
                f"is_preprocessed=True, but the rate is {rate:g} Hz, expected {self.sampling_rate:g} Hz:"
                " resample it or set is_preprocessed=False"
            )
        selection = select_channels(
            header, self.channels, self.missing_channels, self.unknown_channels, montage, self.positions
        )
        names = list(selection.wanted)
        if selection.missing and self.missing_channels == "interpolate":
            raise ValueError(f"cannot interpolate {', '.join(selection.missing)} with is_preprocessed=True")
        if samples_uv is None:
            samples_uv = header.get_data()[None] * UV_PER_VOLT
        values = _pick_rows(selection, samples_uv)  # (batch, channels, time)
        with np.errstate(invalid="ignore"):
            values[~(np.abs(values) <= LARGEST_UV).all(axis=-1)] = 0.0  # NaN too
        # A channel that does not move within the window carries as little as a missing one
        is_good = values.max(axis=-1) > values.min(axis=-1)  # (batch, channels)
        is_good &= [name not in header.info["bads"] for name in names]
        if not is_good.any(axis=1).all():
            item = int(np.argmin(is_good.any(axis=1)))
            raise ValueError(f"every channel of signal {item} is dead (flat, NaN or bad): {', '.join(names)}")
        # 256 channels suffice to notice a wrong unit
        amplitude_uv = check_amplitude(values[is_good][:256] * 1e-6, rate)
        reports = [
            PreprocessingReport(
                channels=names,
                renamed_channels=selection.renamed,
                dropped_channels=selection.dropped,
                derived_channels=selection.derived,
                missing_channels=selection.missing,
                bad_channels={n: "dead or missing" for n, good in zip(names, row, strict=True) if not good},
                original_sampling_rate=rate,
                sampling_rate=rate,
                duration_seconds=values.shape[-1] / rate,
                amplitude_uv=amplitude_uv,
            )
            for row in is_good
        ]
        places = selection.places(names)
        return _CleanSignal(values.astype(np.float32), is_good, np.stack(list(places.values())), reports)

    def _cut(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut (batch, channels, time) into windows along the batch; the last one is padded and masked."""
        num_items, num_channels, num_samples = values.shape
        length = (
            num_samples if self.window_seconds is None else round(self.window_seconds * self.sampling_rate)
        )
        num_windows = -(-num_samples // length)
        refuse_padding(num_items * num_channels, num_samples, num_windows * length, self.sampling_rate)
        values = torch.nn.functional.pad(values, (0, num_windows * length - num_samples))
        values = values.unflatten(-1, (num_windows, length))  # (items, channels, windows, length)
        values = values.transpose(1, 2)
        attention_mask = torch.arange(num_windows * length).lt(num_samples).view(num_windows, length)
        return values.reshape(-1, num_channels, length), attention_mask.repeat(num_items, 1)

    def _warn_of_misspelt(self, kwargs: Mapping[str, object]) -> None:
        """Warn of further attributes that look like misspelt settings; they are kept, as in transformers."""
        settings = list(inspect.signature(EEGFeatureExtractor.__init__).parameters)[1:]
        for name in kwargs:
            close = difflib.get_close_matches(name, settings, n=1, cutoff=0.8)
            if close:
                logger.warning(f"{name!r} is no setting of {type(self).__name__}: did you mean {close[0]!r}?")

    def _check_settings(self) -> None:
        """Raise if settings contradict each other or are unknown."""
        check_filters(float("inf"), self.sampling_rate, self.highpass_hz, self.lowpass_hz, self.notch_hz)
        allowed = {**OPTIONS, "normalization": NORMALIZATIONS, "alignment": ALIGNMENTS}
        allowed["calibration_regime"] = REGIMES
        for name, values in allowed.items():
            check_option(name, getattr(self, name), values)
        if isinstance(self.reference, str) and self.reference not in ("average", "original"):
            raise ValueError(
                f"reference must be 'average', 'original' or a list of electrodes, got {self.reference!r}"
            )
        if self.window_seconds is not None and round(self.window_seconds * self.sampling_rate) < 2:
            raise ValueError(
                f"window_seconds={self.window_seconds} is less than two samples at {self.sampling_rate} Hz"
            )

    def _check_covariance(self, reference_covariance: np.ndarray | None) -> None:
        """Raise unless a covariance is given exactly if the alignment uses one."""
        if self.alignment == "euclidean" and reference_covariance is None:
            raise ValueError(
                "alignment='euclidean' needs reference_covariance: the mean covariance of all windows of this"
                " subject or session, never of one condition's file, which would whiten the condition away"
            )
        if self.alignment == "none" and reference_covariance is not None:
            raise ValueError(
                "reference_covariance was given, but alignment='none': set alignment='euclidean'"
            )


@dataclass(frozen=True)
class _CleanSignal:
    """Clean signals in uV, (batch, channels, time), with masks, positions and reports."""

    values_uv: np.ndarray
    is_good: np.ndarray  # (batch, channels)
    positions: np.ndarray  # (channels, 3)
    reports: list[PreprocessingReport]


def _pick_rows(selection: ChannelSelection, samples: np.ndarray) -> np.ndarray:
    """Put the wanted channels in order, zero if missing; (batch, channels, time)."""
    result = np.zeros((len(samples), len(selection.wanted), samples.shape[-1]))
    for row, (name, channel) in enumerate(selection.wanted.items()):
        if name in selection.masked:
            continue
        if name in selection.found:
            result[:, row] = samples[:, selection.found[name].pick]
        elif name in selection.derived and channel.anode is not None and channel.cathode is not None:
            anode, cathode = selection.found[channel.anode], selection.found[channel.cathode]
            result[:, row] = samples[:, anode.pick] - samples[:, cathode.pick]
    return result


def _canonical(setting: str, names: Sequence[str]) -> list[str]:
    """Translate the channel names of a setting; raise unless they are a list of different names."""
    is_list = isinstance(names, (list, tuple))
    if not is_list or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{setting} must be a list of channel names, got {names!r}")
    canonical = [parse_channel(name).name for name in names]
    if not canonical or repeated(canonical):
        raise ValueError(f"{setting} must be different names, one at least, got {list(names)}")
    return canonical


__all__ = ["ALIGNMENTS", "NORMALIZATIONS", "REGIMES", "EEGFeatureExtractor"]
