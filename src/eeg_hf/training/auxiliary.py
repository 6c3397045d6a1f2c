# SPDX-License-Identifier: Apache-2.0
"""Auxiliary tasks fitted to a training set: statistics that its targets are standardised by, and classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def fit_auxiliary_tasks(
    tasks: Mapping[str, Mapping[str, Any]], targets: Mapping[str, Sequence[Any]]
) -> dict[str, dict[str, Any]]:
    """Add to each task what the config keeps of the training set, and refuse one that cannot be learned.

    Args:
        tasks: Settings of each task by name: `num_outputs` (1 = a number) and optionally `classes`.
        targets: Values of each task in the training set, one a window; None and NaN are missing.

    Returns:
        The tasks, those of numbers with `mean` and `std` (population), those of classes with `classes`.

    Raises:
        ValueError: If a task has no column, no value, one value only, or other classes than it says.

    Example:
        >>> fit_auxiliary_tasks({"age": {"num_outputs": 1}}, {"age": [20.0, None, 30.0]})
        {'age': {'num_outputs': 1, 'mean': 25.0, 'std': 5.0}}
    """
    fitted = {}
    for task, settings in tasks.items():
        if task not in targets:
            raise ValueError(f"auxiliary task {task!r}: no such column, there is {sorted(targets)}")
        values = [value for value in targets[task] if not is_missing(value)]
        if not values:
            raise ValueError(
                f"auxiliary task {task!r}: none of the {len(targets[task])} windows to train on has a value; "
                "leave the task out"
            )
        if len(set(values)) == 1:
            raise ValueError(
                f"auxiliary task {task!r}: all windows to train on have the value {values[0]!r}; leave "
                "the task out"
            )
        is_number = settings.get("num_outputs", 1) == 1
        fitted[task] = {
            **settings,
            **(_statistics(task, values) if is_number else _classes(task, settings, values)),
        }
    return fitted


def is_missing(value: Any) -> bool:
    """Return whether a value is None or NaN."""
    return value is None or value != value


def _statistics(task: str, values: Sequence[Any]) -> dict[str, float]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except ValueError:
        raise ValueError(
            f"auxiliary task {task!r}: expected numbers, got {values[0]!r}; for classes give num_outputs"
        ) from None
    if not np.isfinite(numbers).all():
        raise ValueError(f"auxiliary task {task!r}: expected finite numbers, got infinity")
    return {"mean": float(numbers.mean()), "std": float(numbers.std())}


def _classes(task: str, settings: Mapping[str, Any], values: Sequence[Any]) -> dict[str, list[Any]]:
    found = sorted(set(values))
    classes = list(settings.get("classes") or found)
    unknown = [value for value in found if value not in classes]
    if unknown or len(classes) != settings["num_outputs"]:
        raise ValueError(
            f"auxiliary task {task!r}: expected {settings['num_outputs']} classes"
            f"{' ' + str(classes) if settings.get('classes') else ''}, the windows have {found}"
        )
    return {"classes": classes}


__all__ = ["fit_auxiliary_tasks", "is_missing"]
