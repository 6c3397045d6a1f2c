# SPDX-License-Identifier: Apache-2.0
"""Checks of settings, with errors that name the setting, what was expected and what came."""

import math
from collections.abc import Sequence

import numpy as np

_MOST_PADDED_BYTES = 2**28


def check_option(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raise a ValueError unless the value of a setting is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")


def positive(name: str, value: object, at_least: float = 0.0, at_most: float = math.inf) -> float:
    """Return a setting as float; raise a ValueError unless it is a positive finite number within limits."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a positive number, got {value!r}")
    if value > at_most:
        raise ValueError(f"{name} must be at most {at_most:g}, got {value!r}")
    if value < at_least:
        raise ValueError(f"{name} must be at least {at_least:g}, got {value!r}")
    return float(value)


def refuse_padding(num_channels: int, num_samples: int, padded: int, rate: float) -> None:
    """Raise a ValueError where a window is so much longer than a recording that its zeros fill the memory."""
    if padded > 2 * num_samples and 4 * num_channels * padded > _MOST_PADDED_BYTES:
        raise ValueError(
            f"window_seconds={padded / rate:g}, but the recording has {num_samples / rate:g} s: expected a "
            "window no longer than that"
        )
