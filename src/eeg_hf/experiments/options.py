# SPDX-License-Identifier: Apache-2.0
"""Fields of argument dataclasses, each an option of a command."""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, field
from typing import Any, Literal

Alignment = Literal["none", "euclidean"]
Contaminated = Literal["refuse", "mark"]
Regime = Literal["unseen", "first_30s", "20P", "50P", "all"]


def option(
    text: str,
    default: Any = MISSING,
    *,
    factory: Callable[[], Any] | Any = MISSING,
    formerly: Sequence[str] = (),
    block: bool = False,
    expert: bool = False,
) -> Any:
    """Return a dataclass field with the metadata that the command line needs.

    Args:
        text: One sentence for `--help`.
        default: Default value; an option with neither this nor a factory is required.
        factory: Returns the default value.
        formerly: Old spellings, which keep working.
        block: Whether the option is a mapping that overrides are merged into.
        expert: Whether `--help` only names the option, and `--help-all` describes it.
    """
    metadata = {"help": text, "formerly": tuple(formerly), "block": block, "expert": expert}
    return field(default=default, default_factory=factory, metadata=metadata)


def split_words(words: Sequence[str]) -> list[str]:
    """Return words that commas or spaces separate, each once."""
    names = [name.strip() for word in words for name in word.split(",")]
    return list(dict.fromkeys(name for name in names if name))


__all__ = ["Alignment", "Contaminated", "Regime", "option", "split_words"]
