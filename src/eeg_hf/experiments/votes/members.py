# SPDX-License-Identifier: Apache-2.0
"""The members of an ensemble, with random or pretrained weights."""

from collections.abc import Mapping
from typing import Any

from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
    TimmWrapperConfig,
    TimmWrapperForImageClassification,
)

from ...bundled_weights import find_weights
from ...corpora.hms import VOTES
from ...models.configuration_eeg_foundation import EEGFoundationConfig
from ...models.configuration_resnet1d_gru import ResNet1dGRUConfig
from ...suggestions import did_you_mean
from ..classifiers.model import describe_channels
from ..config_fields import check_config_fields

CONFIGS = {"foundation": EEGFoundationConfig, "resnet1d_gru": ResNet1dGRUConfig}
IMAGES = "efficientnet"
CLASSES = {index: name.removesuffix("_vote") for index, name in enumerate(VOTES)}


def check_members(members: Mapping[str, Any]) -> None:
    """Refuse members that are unknown, and fields that they do not have."""
    known = (*CONFIGS, IMAGES)
    for name, fields in members.items():
        if name not in known:
            raise ValueError(
                f"--members: expected some of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}"
            )
        if not isinstance(fields, Mapping):
            raise ValueError(f"--members: {name}: expected fields of its config, got {fields!r}")
        given = {key: value for key, value in fields.items() if key != "model"}
        if name in CONFIGS:
            check_config_fields(given, CONFIGS[name])


def build_member(
    name: str, fields: Mapping[str, Any], window: Mapping[str, Any], rows: Dataset
) -> PreTrainedModel:
    """Return a classifier of the six kinds.

    Args:
        name: Of the member.
        fields: Of its config; `model` names pretrained weights.
        window: A training window.
        rows: The training windows.
    """
    labels: dict[str, Any] = {
        "num_labels": len(CLASSES),
        "id2label": CLASSES,
        "label2id": {kind: index for index, kind in CLASSES.items()},
    }
    given = {key: value for key, value in fields.items() if key != "model"}
    source = fields.get("model")
    if name == IMAGES:
        if source:
            return TimmWrapperForImageClassification.from_pretrained(
                source, **labels, ignore_mismatched_sizes=True
            )
        settings = {"architecture": "efficientnet_b0", "model_args": {"in_chans": 4}, **given}
        return TimmWrapperForImageClassification(TimmWrapperConfig(**settings, **labels))
    if source:
        return AutoModelForSequenceClassification.from_pretrained(find_weights(source), **given, **labels)
    shape = {"sampling_rate": window["sampling_rate"], **describe_channels(rows)}
    if name != "foundation":
        shape.pop("channel_positions")
    return AutoModelForSequenceClassification.from_config(CONFIGS[name](**{**shape, **given, **labels}))
