# SPDX-License-Identifier: Apache-2.0
"""What is wrong with which channels, in a line that can be read."""

from collections.abc import Iterable, Mapping

_SHOWN = 4


def list_first(parts: Iterable[str]) -> str:
    """List the first few parts, and the number of the others."""
    parts = list(parts)
    rest = f" and {len(parts) - _SHOWN} more" if len(parts) > _SHOWN else ""
    return ", ".join(parts[:_SHOWN]) + rest


def list_reasons(why: Mapping[str, str]) -> str:
    """List the first few channels, each with what is wrong with it, and the number of the others."""
    return list_first(f"{name} ({reason})" for name, reason in why.items())


__all__ = ["list_first", "list_reasons"]
