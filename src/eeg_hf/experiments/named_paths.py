# SPDX-License-Identifier: Apache-2.0
"""Options of the form `name=path`, in which a pattern names one path per seed."""

from collections.abc import Sequence
from glob import glob
from pathlib import Path


def named_paths(option: str, values: Sequence[str]) -> dict[str, list[Path]]:
    """Return the paths of each `name=pattern`; several paths are seeds of one method.

    Args:
        option: Name of the option, for the errors.
        values: Such as `"pretrained=runs/cv/pretrained-*"`. A path without a name is named after its file.

    Raises:
        FileNotFoundError: If nothing matches a pattern.
        ValueError: If two methods have the same name.
    """
    found: dict[str, list[Path]] = {}
    for value in values:
        name, equals, pattern = value.partition("=")
        if not equals or Path(value).exists():
            name, pattern = Path(value).stem, value
        paths = [Path(pattern)] if Path(pattern).exists() else [Path(path) for path in sorted(glob(pattern))]
        if not paths:
            raise FileNotFoundError(f"{option}: nothing matches {pattern!r}, expected name=path")
        if name in found:
            raise ValueError(f"{option}: two methods are called {name!r}: write {pattern} as another_name=…")
        found[name] = paths
    return found
