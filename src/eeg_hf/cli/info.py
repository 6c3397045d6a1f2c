# SPDX-License-Identifier: Apache-2.0
"""Print versions, what is installed, and where data and caches are: for bug reports.

eeg-hf info
eeg-hf info > info.txt
"""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence

from packaging.requirements import Requirement

import eeg_hf

from .parsing import Command
from .parsing.recipe_files import list_recipes


def run() -> None:
    """Print the report."""
    import torch

    lines = [f"eeg-hf {eeg_hf.__version__}", f"Python {platform.python_version()}, {platform.platform()}"]
    lines.append(
        f"{os.cpu_count()} CPU cores; GPUs: {describe_gpus(torch)}; {torch.get_num_threads()} torch threads"
    )
    lines.append(f"EEG_HF_DATA: {os.environ.get('EEG_HF_DATA', 'not set (corpora are downloaded)')}")
    lines.append(f"{len(list_recipes())} recipes; `eeg-hf recipes` lists them")
    for extra, requirements in requirements_by_extra().items():
        title = f'extra {extra}: pip install "eeg-hf[{extra}]"' if extra else "packages"
        lines += ["", title, *(f"  {name:20}{installed_version(name)}" for name in requirements)]
    sys.stdout.write("\n".join(lines) + "\n")


def describe_gpus(torch: "object") -> str:
    """Return the names of the accelerators torch sees."""
    cuda = torch.cuda  # type: ignore[attr-defined]
    names = [cuda.get_device_name(index) for index in range(cuda.device_count())]
    if torch.backends.mps.is_available():  # type: ignore[attr-defined]
        names.append("Apple MPS")
    return ", ".join(names) or "none"


def requirements_by_extra() -> dict[str, list[str]]:
    """Return the packages that eeg_hf requires, those of each extra under its name."""
    groups: dict[str, list[str]] = {"": []}
    for text in importlib.metadata.requires("eeg-hf") or []:
        requirement = Requirement(text)
        marker = str(requirement.marker or "")
        extra = marker.partition("extra == ")[2].strip("\"' ")
        if extra not in ("test", "dev", "docs") and requirement.name != "eeg-hf":
            groups.setdefault(extra, []).append(requirement.name)
    return groups


def installed_version(package: str) -> str:
    """Return the version of a package, or that it is missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


COMMAND = Command("info", __doc__ or "", run)


def main(words: Sequence[str] | None = None) -> None:
    """Run `eeg-hf info`."""
    COMMAND(words)


if __name__ == "__main__":
    main()
