# SPDX-License-Identifier: Apache-2.0
"""Suggestions for misspelt names in error messages."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[str], n: int = 1, cutoff: float = 0.6) -> str:
    """Return the end of an error message that suggests the known names closest to an unknown one.

    Args:
        name: The unknown name.
        known: The names that would have been accepted.
        n: Number of suggestions at most.
        cutoff: Similarity from which a name is suggested, 0 to 1.

    Returns:
        `", did you mean 'x'?"`, or an empty string where nothing is close.

    Example:
        >>> did_you_mean("lerning_rate", ["learning_rate", "seed"])
        ", did you mean 'learning_rate'?"
    """
    close = difflib.get_close_matches(str(name), list(known), n=n, cutoff=cutoff)
    return f", did you mean {' or '.join(map(repr, close))}?" if close else ""
