# SPDX-License-Identifier: Apache-2.0
"""Print versions, installed packages, devices and data folders.

    eeg-hf info
    eeg-hf info > info.txt

Attach the output to a bug report.
"""

import importlib.metadata
import os
import platform
import sys

from packaging.requirements import Requirement

import eeg_hf

from .parsing import Command
from .parsing.recipe_files import RECIPES, list_recipes


def run() -> None:
    """Print the report."""
    import torch

    cuda = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    devices = [*cuda, *(["Apple MPS"] if torch.backends.mps.is_available() else [])]
    lines = [
        f"eeg-hf {eeg_hf.__version__}",
        f"Python {platform.python_version()}, {platform.platform()}",
        f"{os.cpu_count()} CPU cores; GPUs: {', '.join(devices) or 'none'}; "
        f"{torch.get_num_threads()} torch threads",
        f"EEG_HF_DATA: {os.environ.get('EEG_HF_DATA', 'not set (corpora are downloaded)')}",
        f"{len(list_recipes())} recipes, in {RECIPES}; `eeg-hf recipes` lists them",
    ]
    for extra, requirements in list_requirements().items():
        title = f'extra {extra}: pip install "eeg-hf[{extra}]"' if extra else "packages"
        lines += ["", title, *(f"  {name:20}{find_version(name)}" for name in requirements)]
    sys.stdout.write("\n".join(lines) + "\n")


def list_requirements() -> dict[str, list[str]]:
    """Return the packages that eeg_hf requires under "", and those of each extra under its name."""
    groups: dict[str, list[str]] = {"": []}
    for text in importlib.metadata.requires("eeg-hf") or []:
        requirement = Requirement(text)
        extra = str(requirement.marker or "").partition("extra == ")[2].strip("\"' ")
        if extra not in ("test", "dev", "docs") and requirement.name != "eeg-hf":
            groups.setdefault(extra, []).append(requirement.name)
    return groups


def find_version(package: str) -> str:
    """Return the version of a package, or that it is missing."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


COMMAND = main = Command("info", __doc__ or "", run)

if __name__ == "__main__":
    main()
