# SPDX-License-Identifier: Apache-2.0
"""Names that differ in case, spaces, hyphens or zeros only: often one subject or class, written in two ways.

Two spellings of one subject count as two people, and a split by subject then leaks.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Group different names that look alike.

    Args:
        names: Subjects or classes.

    Returns:
        Groups of two or more, in order.

    Example:
        >>> look_alikes(["S01", "s1", "S10", "rest", "Rest "])
        [('Rest ', 'rest'), ('S01', 's1')]
    """
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        groups[plain_form(name)].add(name)
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)


def plain_form(name: str) -> str:
    """Return a name without what look-alikes differ in."""
    # A hyphen beside a letter only: 1-1 and 11, -1 and 1 are different
    composed = unicodedata.normalize("NFC", name).casefold()
    plain = re.sub(r"[\s_]+|(?<=[^\W\d])-|-(?=[^\W\d])", "", composed)
    whole = re.sub(r"(?<=\d)\.0+$", "", plain)  # gaps in a table turn the subject 1 into 1.0
    return re.sub(r"(?<!\d)0+(?=\d)", "", whole)


def describe_look_alikes(names: Iterable[str], shown: int = 3) -> str:
    """Return the groups in words; empty if there are none.

    Example:
        >>> describe_look_alikes(["S01", "s1", "S2"])
        "'S01' and 's1'"
    """
    groups = look_alikes(names)
    words = [" and ".join(map(repr, group)) for group in groups[:shown]]
    return ", ".join(words) + (f" and {len(groups) - shown} more" if len(groups) > shown else "")


__all__ = ["describe_look_alikes", "look_alikes", "plain_form"]
