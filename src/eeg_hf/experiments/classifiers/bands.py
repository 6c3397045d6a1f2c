# SPDX-License-Identifier: Apache-2.0
"""The frequency bands of a new model, chosen by the inner folds where windows are locked to events.

Steady-state responses live in bands of 1 Hz and their harmonics, which the usual bands blur. Evoked responses
are in no band at all: the head reads the time course beside the bands, see `fit_to_events`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from datasets import Dataset
from transformers.utils import logging

from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from .arguments import FinetuneArguments
from .model import bands_that_fit, is_locked

logger = logging.get_logger(__name__)

NARROW_BANDS_HZ = [[float(low), low + 1.0] for low in range(5, 40)]
FRAME_SECONDS = 2.0
SHORTEST_SECONDS = 1.0
"""Shorter windows do not tell bands of 1 Hz apart."""
MOST_CHANNELS = 32
"""With more, narrow bands are of harmonics: 35 matrices of 64 channels would be 75,000 numbers a window."""


def choose_bands(
    args: FinetuneArguments,
    train: Dataset,
    extractor: EEGFeatureExtractor,
    score: Callable[[FinetuneArguments], float],
) -> tuple[FinetuneArguments, Mapping[str, float]]:
    """Return the options with the bands that the inner folds prefer, and the score of each choice.

    Args:
        args: Options of a new model.
        train: Training windows.
        extractor: Of the windows.
        score: Fits a head with some options and returns the score of its inner folds.
    """
    narrow = narrow_fields(args, train, extractor)
    if not narrow:
        return args, {}
    choices = {"usual": args, "narrow": replace(args, config={**args.config, **narrow})}
    scores = {name: score(options) for name, options in choices.items()}
    best = max(scores, key=lambda name: scores[name])  # the first of equals
    shown = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
    logger.warning(f"bands: {best}, by the score of the inner folds: {shown}")
    return choices[best], scores


def narrow_fields(args: FinetuneArguments, train: Dataset, extractor: EEGFeatureExtractor) -> dict[str, Any]:
    """Return the fields of narrow bands; none where they cannot be, or where others are asked for."""
    is_asked = {"second_order_bands", "second_order_frame_seconds"} & set(args.config)
    if is_asked or not args.config.get("second_order") or not is_locked(train):
        return {}
    seconds = min(train["num_samples"][:]) / extractor.sampling_rate
    if seconds < SHORTEST_SECONDS:
        return {}
    frame = min(FRAME_SECONDS, seconds)
    bands = bands_that_fit(extractor, frame, NARROW_BANDS_HZ)
    if not bands:
        return {}
    fields: dict[str, Any] = {"second_order_bands": bands, "second_order_frame_seconds": frame}
    if len(train[0]["channels"]) > MOST_CHANNELS and "second_order_basis" not in args.config:
        fields["second_order_basis"] = "harmonics"
    return fields
