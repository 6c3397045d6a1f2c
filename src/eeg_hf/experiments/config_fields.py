# SPDX-License-Identifier: Apache-2.0
"""Fields of a model's config, as recipes set them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig

from ..suggestions import did_you_mean


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


__all__ = ["check_config_fields"]
