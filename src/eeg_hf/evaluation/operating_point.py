# SPDX-License-Identifier: Apache-2.0
"""Where a classifier draws the line between its classes, chosen on subjects that it was not fitted on.

A regression that counts classes alike minimises the log loss. Its threshold of 0.5 then has the best balanced
accuracy only if the classes scatter alike. After recentring they do not: the mean of a subject lies in the
class with more windows, and the rarer class lies farther out and scatters more.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

_CONFIDENCE = 0.84  # of a normal distribution: one standard error
_PLATEAU = 0.005  # thresholds whose balanced accuracy is as close to the best one are averaged


def choose_offsets(logits: np.ndarray, labels: np.ndarray, groups: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return what to add to the logits of each class for the best balanced accuracy, (classes,).

    Nothing is added unless the gain exceeds its standard error over subjects (with few subjects more, by
    Student's t): a threshold that is best by chance is no better on others.

    Args:
        logits: (windows, classes), of models that were not fitted on the window's subject.
        labels: (windows,) class indices.
        groups: (windows,) subject of each window.

    Example:
        >>> subjects, labels = np.repeat(np.arange(6), 4), np.tile([0, 0, 1, 1], 6)
        >>> choose_offsets(np.stack([0 * labels, labels - 3.0], axis=1), labels, subjects).round(1)
        array([-1.2,  1.2])
    """
    present, counts = np.unique(labels, return_counts=True)
    weights = np.zeros(logits.shape[1])
    weights[present] = 1 / (len(present) * counts)
    worth = weights[labels]  # (windows,): the sum of those that are right is the balanced accuracy
    offsets = np.zeros(logits.shape[1])
    if len(present) < 2:
        return offsets
    for _ in range(1 if len(present) == 2 else 2):
        for chosen in present[1:] if len(present) == 2 else present:
            offsets[chosen] = _best_offset(
                logits + offsets * (np.arange(len(offsets)) != chosen), labels, worth, chosen
            )
    gains = worth * (_is_right(logits + offsets, labels) - _is_right(logits, labels))
    by_group = np.array([gains[np.asarray(groups) == group].sum() for group in np.unique(groups)])
    if len(by_group) < 2:
        return np.zeros_like(offsets)
    error = np.sqrt(len(by_group)) * by_group.std(ddof=1)
    is_sure = by_group.sum() > stdtrit(len(by_group) - 1, _CONFIDENCE) * error
    return offsets - offsets.mean() if is_sure else np.zeros_like(offsets)


def _best_offset(logits: np.ndarray, labels: np.ndarray, worth: np.ndarray, chosen: int) -> float:
    """Return the offset of one class, the others fixed, with the best balanced accuracy."""
    others = np.delete(logits, chosen, axis=1)
    names = np.delete(np.arange(logits.shape[1]), chosen)[others.argmax(axis=1)]
    needed = others.max(axis=1) - logits[:, chosen]  # the class wins with any larger offset
    order = np.argsort(needed)
    # With an offset between the i-th and the next: those up to i are of the class, the rest of another one
    won = np.cumsum((worth * (labels == chosen))[order])
    kept = np.cumsum((worth * (labels == names))[order][::-1])[::-1]
    score = won[:-1] + kept[1:]
    between = (needed[order][:-1] + needed[order][1:]) / 2
    is_distinct = needed[order][:-1] < needed[order][1:]
    if not is_distinct.any():
        return 0.0
    is_best = is_distinct & (score >= score[is_distinct].max() - _PLATEAU)
    return float(between[is_best].mean())


def _is_right(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return (logits.argmax(axis=1) == labels).astype(float)
