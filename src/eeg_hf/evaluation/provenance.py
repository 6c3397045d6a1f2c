# SPDX-License-Identifier: Apache-2.0
"""Where a number comes from: data, code, packages, machine."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    *("eeg-hf", "torch", "transformers", "datasets", "accelerate", "evaluate"),
    *("mne", "numpy", "scipy", "scikit-learn", "pyriemann", "braindecode", "soundfile"),
)


def collect_provenance(
    dataset: str,
    licence: str,
    seeds: Sequence[int],
    chance: Mapping[str, float] | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """Return what a reader needs to trust and to reproduce a number.

    Args:
        dataset: Name and version of the data.
        licence: Licence of the data.
        seeds: Seeds of the runs.
        chance: See [`chance_level`]; left out where guessing has no meaning.
        **facts: Further facts that JSON can hold, such as the settings of the preparation.

    Returns:
        The arguments, with the commit of the code (None outside a checkout, "-dirty" where files have
        changed since), the versions of the packages and the machine.
    """
    return {
        "dataset": dataset,
        "licence": licence,
        "seeds": list(seeds),
        **({} if chance is None else {"chance": dict(chance)}),
        **facts,
        "commit": git_commit(Path(__file__).parent),
        "packages": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores",
    }


def run_seed(folder: str | Path) -> int | None:
    """Return the seed that a run was trained with, `None` where its folder does not record it.

    Args:
        folder: As `EEGTrainer` leaves it, or with such folders for its folds.
    """
    found = sorted(Path(folder).rglob("training_args.json"))
    return json.loads(found[0].read_text(encoding="utf-8")).get("seed") if found else None


def git_commit(folder: Path) -> str | None:
    """Return the commit that tracks a folder, with "-dirty" where files have changed since, or None."""
    try:
        # An environment may lie inside an unrelated checkout: only tracked files count
        if not _git(folder, "ls-files", "."):
            return None
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
        return _git(folder, "rev-parse", "HEAD") + ("-dirty" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
