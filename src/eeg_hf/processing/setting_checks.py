# SPDX-License-Identifier: Apache-2.0
"""Checks of settings, with errors that name the setting, what was expected and what came."""

import math
from collections.abc import Sequence

import numpy as np


def check_option(name: str, value: object, allowed: Sequence[str]) -> None:
    """Raise a ValueError unless the value of a setting is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}")


def positive(name: str, value: object, at_most: float = math.inf) -> float:
    """Return a setting as float; raise a ValueError unless it is a positive finite number up to a limit."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a positive number, got {value!r}")
    if value > at_most:
        raise ValueError(f"{name} must be at most {at_most:g}, got {value!r}")
    return float(value)
