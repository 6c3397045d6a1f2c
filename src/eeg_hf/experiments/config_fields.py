# SPDX-License-Identifier: Apache-2.0
"""Fields of a model's config, as recipes set them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig
from transformers.utils import logging

from ..suggestions import did_you_mean

logger = logging.get_logger(__name__)


def check_config_fields(fields: Mapping[str, Any], config_class: type[PreTrainedConfig]) -> dict[str, Any]:
    """Return the fields, or refuse those that the config does not have.

    The config itself would keep an unknown field silently, as every config of transformers does.

    Args:
        fields: Names and values.
        config_class: The config they are for.

    Raises:
        ValueError: On an unknown field; the error names the closest field.
    """
    known = [*(item.name for item in dataclasses.fields(config_class)), *config_class.attribute_map]
    for name in fields:
        if name not in known:
            raise ValueError(
                f"config: {config_class.__name__} has no field {name!r}{did_you_mean(name, known)}"
            )
    return dict(fields)


STRUCTURE = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("patch_size", "overlap", "scale_factors", "use_multi_scale", "use_channel_attention", "max_seq_length"),
    *("channel_adapter", "adapter_size", "adapter_heads", "second_order", "second_order_layers"),
    *("second_order_bands", "second_order_basis", "second_order_degree", "second_order_split"),
    *("second_order_frame_seconds", "second_order_regularization", "second_order_shrinkage"),
    *("time_course_seconds", "time_course_hz"),
)
"""Fields of EEGFoundationConfig that pretrained weights were made for."""


def keep_structure(fields: Mapping[str, Any], pretrained: PreTrainedConfig, source: str) -> dict[str, Any]:
    """Return the fields without those that decide the shape of weights, which pretrained weights have.

    A recipe states the structure of a model trained from scratch; weights of another size would be replaced
    by random ones.

    Args:
        fields: Names and values for a new config.
        pretrained: Config of the weights.
        source: Where the weights are from, for the log.
    """
    names = {name: pretrained.attribute_map.get(name, name) for name in fields}
    structure = {name for name in fields if names[name] in STRUCTURE}
    differing = [
        f"{name} {getattr(pretrained, name)} instead of {fields[name]}"
        for name in sorted(structure)
        if getattr(pretrained, name) != fields[name]
    ]
    if differing:
        logger.warning(f"the structure is that of {source}: {', '.join(differing)}")
    return {name: value for name, value in fields.items() if name not in structure}
