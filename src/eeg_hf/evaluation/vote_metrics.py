# SPDX-License-Identifier: Apache-2.0
"""How far predicted probabilities are from the votes of experts, as the HMS competition scores it."""

import numpy as np

SMALLEST = 1e-15
"""Probabilities are kept this far from 0 and 1, as the competition does."""


def vote_divergence(votes: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the mean Kullback-Leibler divergence of probabilities from votes, in nats; 0 is perfect.

    Args:
        votes: (windows, classes) counts or shares; each row is divided by its sum.
        probabilities: (windows, classes), each row adding up to 1.

    Raises:
        ValueError: If shapes do not agree, a row has no vote, a number is negative or not finite, or
            probabilities do not add up to 1.

    Example:
        >>> round(vote_divergence(np.array([[3, 1]]), np.array([[0.5, 0.5]])), 4)
        0.1308
    """
    shares, found = np.asarray(votes, float), np.asarray(probabilities, float)
    if shares.ndim != 2 or shares.shape != found.shape or not len(shares):
        raise ValueError(
            f"expected votes and probabilities (windows, classes), got {shares.shape} and {found.shape}"
        )
    if (
        not (np.isfinite(shares).all() and np.isfinite(found).all())
        or (shares < 0).any()
        or (found < 0).any()
    ):
        raise ValueError("votes and probabilities: expected finite numbers from 0 on")
    totals = shares.sum(axis=1, keepdims=True)
    if (totals == 0).any():
        raise ValueError(f"votes: {int((totals == 0).sum())} windows have none: leave them out")
    sums = found.sum(axis=1)
    if not np.allclose(sums, 1, atol=1e-3):
        raise ValueError(
            f"probabilities: expected rows that add up to 1, got {sums.min():g} to {sums.max():g}"
        )
    shares = shares / totals
    found = np.clip(found, SMALLEST, 1 - SMALLEST)
    terms = np.where(shares > 0, shares * np.log(np.where(shares > 0, shares, 1) / found), 0)
    return float(terms.sum(axis=1).mean())
