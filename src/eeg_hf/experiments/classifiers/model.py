# SPDX-License-Identifier: Apache-2.0
"""The model that is fine-tuned: pretrained or new, of the shape that its windows need."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel
from transformers.utils import logging

from ...models.configuration_braindecode import BraindecodeConfig
from ...models.configuration_eeg_foundation import EEGFoundationConfig
from ...models.spatial_basis import channel_matrix
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ..config_fields import check_config_fields, keep_structure
from ..signal_contract import check_rate
from .arguments import FinetuneArguments
from .classical import build_classical
from .hosted import build_hosted, load_hosted
from .target import Target

logger = logging.get_logger(__name__)

FINETUNED = (EEGFoundationConfig.model_type, BraindecodeConfig.model_type)
"""Architectures whose weights a classifier is trained from."""
MIN_PATCHES = 2
"""Windows that hold fewer patches of the usual length get shorter ones."""
LONGEST_RESPONSE_SECONDS = 2.0
"""What follows later is hardly locked to the event any more."""


def check_weights(source: str, windows: Dataset) -> None:
    """Refuse weights that no classifier of these windows can start from, before anything is trained.

    Args:
        source: Folder or Hub name.
        windows: Of the prepared corpus.

    Raises:
        ValueError: If the weights are of another architecture or were trained at another sampling rate.
    """
    if Path(source).is_file():
        raise ValueError(
            f"--model {source}: expected the folder of a model, got a file; weights that others published "
            "are loaded by eeg_hf.hub.load_published, see docs/braindecode.md"
        )
    found = AutoConfig.from_pretrained(source).model_type
    if found not in FINETUNED:
        raise ValueError(f"--model {source}: expected weights of {' or '.join(FINETUNED)}, got {found}")
    check_rate(source, windows)


def build_model(
    args: FinetuneArguments, source: str, train: Dataset, extractor: EEGFeatureExtractor, target: Target
) -> PreTrainedModel:
    """Return a pretrained encoder with a new head, a new model, or a network of braindecode."""
    labels = target.config_fields(train, args.class_weights)
    if args.is_hosted:
        return build_hosted(args, train[0], extractor, labels)
    if args.is_classical:
        return build_classical(args.architecture, train[0], float(extractor.sampling_rate), labels)
    fields = {
        **check_config_fields(args.config, EEGFoundationConfig),
        **labels,
        "label_smoothing": args.label_smoothing,
    }
    if source:
        pretrained = AutoConfig.from_pretrained(source)
        if pretrained.model_type == BraindecodeConfig.model_type:
            return load_hosted(args, source, train[0], labels)
        check_places(pretrained, train, source)
        if not is_of_places(pretrained):
            fields |= describe_channels(train)
        fields = keep_structure(fields, pretrained, source)
        return AutoModelForSequenceClassification.from_pretrained(source, **fields)
    fields = {"sampling_rate": extractor.sampling_rate, **fields, **describe_channels(train)}
    fields = fit_to_windows(fields, train, extractor)
    if args.fits_head:
        fields = fit_to_events(fields, train)
    return AutoModelForSequenceClassification.from_config(EEGFoundationConfig(**fields))


def check_places(pretrained: Any, train: Dataset, source: str) -> None:
    """Warn of electrodes of pretrained weights that windows lack; refuse windows that have hardly any.

    Raises:
        ValueError: If fewer than two are there.
    """
    if not is_of_places(pretrained):
        return
    positions = torch.tensor(np.reshape(train[0]["channel_positions"], (1, -1, 3)))
    places = torch.tensor(pretrained.channel_positions)
    number, found = len(places), int(channel_matrix(positions, None, places).sum())
    if found < 2:
        raise ValueError(
            f"{source} reads {number} electrodes by their places, of which the windows have {found}: "
            "pretrain with config.second_order_basis=harmonics, which reads any montage"
        )
    if found < number:
        logger.warning(
            f"{source} reads {number} electrodes by their places, of which the windows have {found}"
        )


def describe_channels(train: Dataset) -> dict[str, Any]:
    """Return the fields of the channels of the first window."""
    first = train[0]
    return {
        "num_channels": len(first["channels"]),
        "channel_names": first["channels"],
        "channel_positions": np.reshape(first["channel_positions"], (-1, 3)).tolist(),
    }


def is_of_places(pretrained: Any) -> bool:
    """Return whether weights hold a component for each of their own channels, found by its place."""
    return bool(getattr(pretrained, "second_order", False)) and pretrained.second_order_basis == "channels"


def fit_to_windows(
    fields: Mapping[str, Any], train: Dataset, extractor: EEGFeatureExtractor
) -> dict[str, Any]:
    """Return the fields with patches, frames and bands that the windows can hold; what is given stays.

    Args:
        fields: Of a new config.
        train: Training windows.
        extractor: Of the windows.
    """
    num_samples, rate = int(np.median(train["num_samples"][:])), extractor.sampling_rate
    fitted = {**fields}
    usual = EEGFoundationConfig.patch_size
    scales = fields.get("scale_factors", EEGFoundationConfig.scale_factors)
    if "patch_size" not in fields and num_samples < MIN_PATCHES * usual:
        fitted["patch_size"] = fitting_patch(num_samples, math.lcm(*scales))
        logger.warning(
            f"windows of {num_samples} samples hold fewer than {MIN_PATCHES} patches of {usual}: patch_size "
            f"is {fitted['patch_size']}"
        )
    if not fields.get("second_order"):
        return fitted
    frame = EEGFoundationConfig.second_order_frame_seconds
    fitted.setdefault("second_order_frame_seconds", min(frame, num_samples / rate))
    if "second_order_bands" not in fields:
        fitted["second_order_bands"] = bands_that_fit(extractor, fitted["second_order_frame_seconds"])
    if not fitted["second_order_bands"]:
        logger.warning("no frequency band fits windows and filters: second_order is off")
        return {**fitted, "second_order": False, "second_order_bands": EEGFoundationConfig.second_order_bands}
    montages = {tuple(names) for names in train["channels"][:]}
    if "second_order_basis" not in fields and len(montages) > 1:
        fitted["second_order_basis"] = "harmonics"
        logger.warning("recordings have different channels: second_order_basis is harmonics")
    return fit_harmonics(fitted, min(map(len, montages)))


def fit_to_events(fields: Mapping[str, Any], train: Dataset) -> dict[str, Any]:
    """Return the fields with a time course where windows of one length are locked to events."""
    is_of_one_length = len(set(train["num_samples"][:])) == 1
    if not fields.get("second_order") or not is_of_one_length or not is_locked(train):
        return {**fields}
    seconds = train[0]["num_samples"] / fields["sampling_rate"]
    return {"time_course_seconds": min(seconds, LONGEST_RESPONSE_SECONDS), **fields}


def is_locked(train: Dataset) -> bool:
    """Return whether every window was cut at an event."""
    return "event" in train.column_names and None not in train["event"][:]


def fit_harmonics(fields: Mapping[str, Any], num_channels: int) -> dict[str, Any]:
    """Return the fields with no more harmonics than the channels of the smallest montage can tell apart."""
    if fields.get("second_order_basis") != "harmonics" or "second_order_degree" in fields:
        return {**fields}
    usual = EEGFoundationConfig.second_order_degree
    degree = max((d for d in range(1, usual + 1) if (d + 1) ** 2 - 1 <= num_channels), default=1)
    if degree < usual:
        logger.warning(f"{num_channels} channels: second_order_degree is {degree} instead of {usual}")
    return {**fields, "second_order_degree": degree}


def fitting_patch(num_samples: int, multiple: int) -> int:
    """Return the longest patch that a short window holds twice or more, without a remainder if there is one.

    Args:
        num_samples: Of a window.
        multiple: What the patch must be a multiple of.
    """
    lengths = range(multiple * max(2 // multiple, 1), num_samples // MIN_PATCHES + 1, multiple)
    usable = [length for length in lengths if length >= 2 * multiple]
    if not usable:
        return max(num_samples // multiple, 2) * multiple
    whole = [length for length in usable if num_samples % length == 0 and length >= usable[-1] // 3]
    return max(whole or usable)


def bands_that_fit(
    extractor: EEGFeatureExtractor,
    frame_seconds: float,
    bands_hz: Sequence[Sequence[float]] = EEGFoundationConfig.second_order_bands,
) -> list[list[float]]:
    """Return the bands that lie in the pass band, each with a frequency of the frames in it."""
    low = extractor.highpass_hz or 0.0
    high = min(extractor.lowpass_hz or math.inf, extractor.sampling_rate / 2)
    frame_size = round(frame_seconds * extractor.sampling_rate)
    frequencies = np.arange(1, (frame_size + 1) // 2) * extractor.sampling_rate / frame_size
    return [
        [float(edge) for edge in band]
        for band in bands_hz
        if band[1] <= extractor.sampling_rate / 2
        and low <= (band[0] + band[1]) / 2 <= high
        and ((frequencies >= band[0]) & (frequencies < band[1])).any()
    ]
