# SPDX-License-Identifier: Apache-2.0
"""Statistics of the training labels that a model's config keeps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils.class_weight import compute_class_weight


def balanced_class_weights(labels: Sequence[int], num_classes: int) -> list[float]:
    """Return a weight for each class, inverse to its frequency and 1 on average over `labels`.

    Args:
        labels: Class indices; negative ones are missing.
        num_classes: Number of classes.

    Raises:
        ValueError: If a class has no label: nothing could be learned about it.
    """
    # Checked here, because the error of scikit-learn names neither the class nor the counts
    known = [label for label in labels if label >= 0]
    counts = np.bincount(known, minlength=num_classes)
    if len(counts) > num_classes or not counts.all():
        raise ValueError(
            f"labels: expected every class of 0 to {num_classes - 1}, got counts {counts.tolist()}"
        )
    return compute_class_weight("balanced", classes=np.arange(num_classes), y=known).tolist()


def fit_auxiliary_tasks(
    tasks: Mapping[str, Mapping[str, Any]], targets: Mapping[str, Sequence[Any]]
) -> dict[str, dict[str, Any]]:
    """Add the statistics or the classes of the training set to each auxiliary task.

    Args:
        tasks: Settings of each task by name: `num_outputs` (1 = a number) and optionally `classes`.
        targets: Values of each task in the training set, one a window; None and NaN are missing.

    Returns:
        The tasks: those of numbers with `mean` and `std` (population), those of classes with `classes`.

    Raises:
        ValueError: If a task cannot be learned: it has no column, no value, a single value, or other classes
            than its settings list.

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
        # A constant has a standard deviation of 0, by which targets would be divided
        if len(set(values)) == 1:
            raise ValueError(
                f"auxiliary task {task!r}: all windows to train on have the value {values[0]!r}; leave "
                "the task out"
            )
        is_number = settings.get("num_outputs", 1) == 1
        found = _statistics(task, values) if is_number else _classes(task, settings, values)
        fitted[task] = {**settings, **found}
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
    if not set(found) <= set(classes) or len(classes) != settings["num_outputs"]:
        named = f" {classes}" if settings.get("classes") else ""
        raise ValueError(
            f"auxiliary task {task!r}: expected {settings['num_outputs']} classes{named}, the windows have "
            f"{found}"
        )
    return {"classes": classes}
