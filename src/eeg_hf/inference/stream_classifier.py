# SPDX-License-Identifier: Apache-2.0
"""A trained classifier on a stream: samples in, answers out."""

from collections.abc import Sequence
from typing import Any

import mne
import numpy as np
import torch

from ..processing.calibration import calibrate
from ..processing.covariance import mean_covariance
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..processing.microvolt_units import UV_PER_UNIT
from ..processing.stream_window import StreamWindow
from ..processing.streaming import StreamingExtractor


class StreamClassifier:
    """Answers of a classification pipeline for the windows of a stream.

    Args:
        classify: `pipeline("eeg-classification", model=...)`.
        sampling_rate: Rate of the stream in Hz.
        channel_names: One name per channel of the stream.
        unit: `"V"`, `"mV"` or `"uV"`.
        first_seconds: Samples of the set-up, shape (channels, time), that decide what a recording would
            decide (`decisions` of [`StreamingExtractor`]) and from which a model with second-order tokens is
            calibrated, or an alignment computed; None to go without.
        **settings: `hop_seconds`, `phase` and `gap_seconds` of [`StreamingExtractor`].

    Attributes:
        extraction: The [`StreamingExtractor`].

    Raises:
        ValueError: As of [`StreamingExtractor`], or if the first seconds cannot be cleaned.
    """

    def __init__(
        self,
        classify: Any,
        sampling_rate: float,
        channel_names: Sequence[str],
        unit: Any,
        first_seconds: np.ndarray | None = None,
        **settings: Any,
    ) -> None:
        self.classify = classify
        if first_seconds is not None:
            raw = mne.io.RawArray(
                first_seconds * (UV_PER_UNIT[unit] * 1e-6),
                mne.create_info(list(channel_names), sampling_rate, "eeg"),
                verbose="ERROR",
            )
            settings = {**settings, **_look_at(raw, classify.feature_extractor, classify.model)}
        self.extraction = StreamingExtractor(
            classify.feature_extractor, sampling_rate, channel_names, unit, **settings
        )

    def push(
        self, samples: np.ndarray, timestamps: np.ndarray | None = None
    ) -> list[tuple[StreamWindow, dict[str, Any]]]:
        """Take the next samples, as of [`StreamingExtractor`], and return windows with their answers.

        Returns:
            Windows with `{"label", "score", "scores"}`, or `{"value"}` of a regression; empty for a window
            with a `problem`.
        """
        windows = self.extraction.push(samples, timestamps)
        return [(window, self.answer(window)) for window in windows]

    def answer(self, window: StreamWindow) -> dict[str, Any]:
        """Return the answer for one window."""
        if window.features is None:
            return {}
        outputs = {"values": self.run(window), "num_samples": window.features["attention_mask"].sum(dim=-1)}
        answer: dict[str, Any] = self.classify.postprocess(outputs, return_windows=False)
        return answer

    @torch.inference_mode()
    def run(self, window: StreamWindow) -> torch.Tensor:
        """Return the model's outputs for one window that has features, (1, labels) float32."""
        model = self.classify.model
        features = {
            name: value.to(model.device, self.classify.dtype if value.is_floating_point() else None)
            for name, value in (window.features or {}).items()
        }
        values: torch.Tensor = self.classify._select(model(**features)).cpu()
        return values


def _look_at(raw: "mne.io.BaseRaw", extractor: EEGFeatureExtractor, model: Any) -> dict[str, Any]:
    """Return the settings of a stream that its first seconds decide."""
    clean, report = extractor.preprocess(raw)
    settings: dict[str, Any] = {"decisions": report}
    if extractor.alignment != "none":
        length = round((extractor.window_seconds or 1.0) * extractor.sampling_rate)
        samples = clean.get_data() * 1e6
        count = samples.shape[1] // length
        windows = samples[:, : count * length].reshape(len(samples), count, length).transpose(1, 0, 2)
        settings["reference_covariance"] = mean_covariance(windows)
    if getattr(model.config, "second_order", False) and hasattr(model, "base_model"):
        settings["calibration"] = calibrate(raw, extractor, model)
    return settings


__all__ = ["StreamClassifier"]
