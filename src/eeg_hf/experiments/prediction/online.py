# SPDX-License-Identifier: Apache-2.0
"""Predict a recording as the model would have answered while it was being made."""

from typing import Any

import torch

from ...inference.stream_classifier import StreamClassifier
from ...processing.calibration import Calibration
from ...processing.preprocessing_report import PreprocessingReport
from ...processing.stream_window import StreamWindow
from ..streaming.sources import choose_eeg, read_pieces


def answer_online(classify: Any, raw: Any, aggregate: str, calibration: Calibration | None) -> dict[str, Any]:
    """Return what the pipeline returns, for the windows of a stream.

    Args:
        classify: Pipeline of a classifier.
        raw: Recording in V.
        aggregate: How windows become one answer.
        calibration: Of the subject.

    Raises:
        ValueError: If no window has an answer.
    """
    classifier, windows = run_online(classify, raw, calibration=calibration)
    extraction, rate = classifier.extraction, float(raw.info["sfreq"])
    good = [window for window in windows if window.features is not None]
    if not good:
        why = windows[0].problem if windows else f"its {raw.times[-1]:.1f} s are less than a window"
        raise ValueError(f"no window has an answer: {why}")
    values = torch.cat([classifier.run(window) for window in good])
    lengths = torch.ones(len(good))  # all windows are full
    answer: dict[str, Any] = classify.postprocess(
        {"values": values, "num_samples": lengths}, aggregate=aggregate
    )
    for found, window in zip(answer["windows"], good, strict=True):
        found.update(start=window.start, end=window.end)
    bad = {name: why for window in good for name, why in window.bad_channels.items()}
    counts = extraction.counts
    warnings = [f"{counts.gaps} gaps"] if counts.gaps else []
    warnings += [f"{counts.problems} windows without an answer"] if counts.problems else []
    report = PreprocessingReport(
        channels=extraction.channels,
        bad_channels=bad,
        missing_channels=list(extraction.selection.missing),
        interpolated_channels=sorted({name for window in good for name in window.interpolated_channels}),
        original_sampling_rate=rate,
        sampling_rate=extraction.extractor.sampling_rate,
        is_upsampled=rate < extraction.extractor.sampling_rate,
        duration_seconds=raw.n_times / rate,
        quality=sum(window.quality for window in good) / len(windows),
        warnings=warnings,
    )
    answer["report"] = report.to_dict()
    return answer


def run_online(classify: Any, raw: Any, **settings: Any) -> tuple[StreamClassifier, list[StreamWindow]]:
    """Return the windows of a recording as a stream brings them, and the classifier that answers them.

    Args:
        classify: Pipeline of a classifier.
        raw: Recording in V.
        **settings: Of [`StreamClassifier`].
    """
    raw = choose_eeg(raw)
    classifier = StreamClassifier(classify, float(raw.info["sfreq"]), raw.ch_names, "V", **settings)
    return classifier, [window for piece in read_pieces(raw) for window in classifier.extraction.push(piece)]


__all__ = ["answer_online", "run_online"]
