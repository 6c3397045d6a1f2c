# SPDX-License-Identifier: Apache-2.0
"""Parameter groups with layer-wise learning rates."""

import re
from collections.abc import Collection
from typing import Any

from torch import nn

_LAYER = re.compile(r"(?:^|\.)layers\.(\d+)\.")


def layer_index(name: str, num_layers: int) -> int:
    """Return the depth of a parameter: 0 = before the layers, i + 1 = `layers.i`, num_layers + 1 = after."""
    if match := _LAYER.search(name):
        return int(match.group(1)) + 1
    return 0 if re.search(r"(?:^|\.)(?:embeddings|channel_adapter)\.", name) else num_layers + 1


def layerwise_parameter_groups(
    model: nn.Module,
    *,
    learning_rate: float,
    layer_decay: float,
    weight_decay: float,
    decay_names: Collection[str],
) -> list[dict[str, Any]]:
    """Group all parameters by depth and by whether they decay.

    Frozen parameters are included: a later phase may free them, and until then they have no gradient.

    Args:
        model: A model with `embeddings` and a list `layers`.
        learning_rate: Rate of the heads.
        layer_decay: Factor from one layer to the one below.
        weight_decay: Weight decay of the parameters in `decay_names`.
        decay_names: Names of the parameters that decay (not biases and norms).
    """
    # The deepest `layers.i` of any part; heads count as one layer more
    depths = [int(match[1]) for name, _ in model.named_parameters() if (match := _LAYER.search(name))]
    num_layers = max(depths, default=-1) + 1
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        depth, is_decayed = layer_index(name, num_layers), name in decay_names
        rate = learning_rate * layer_decay ** (num_layers + 1 - depth)
        group = {"params": [], "lr": rate, "weight_decay": weight_decay if is_decayed else 0.0}
        groups.setdefault((depth, is_decayed), group)["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]
