# SPDX-License-Identifier: Apache-2.0
"""A local registry: versions of models in a folder, laid out as on the Hub.

models/registry/eeg_foundation/v1.0/    config.json, model.safetensors, preprocessor_config.json, metrics.json
models/registry/eeg_foundation/v1.1/
"""

import contextlib
import json
import math
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoModel

from ..atomic_files import sync_folder
from ..folder_lock import is_locked_elsewhere, locked_folder, program
from .code import save_with_code

if TYPE_CHECKING:
    from transformers import FeatureExtractionMixin, PreTrainedModel

_VERSION = re.compile(r"v(\d+)\.(\d+)(?:\.(\d+))?")
_NAME = re.compile(r"[\w.-]+")
_REPLACED = ".replaced"  # end of the hidden name of a version while it is replaced


@dataclass(frozen=True)
class Comparison:
    """Differences between two versions.

    Attributes:
        versions: The two versions.
        config: Field -> value in each, where they differ.
        metrics: Metric -> value in each, `None` where it is missing.
        parameters: Number of parameters of each.
    """

    versions: tuple[str, str]
    config: Mapping[str, tuple[Any, Any]]
    metrics: Mapping[str, tuple[float | None, float | None]]
    parameters: tuple[int, int]

    def __str__(self) -> str:
        rows = [("", *self.versions), ("parameters", *(f"{number:,}" for number in self.parameters))]
        rows += [(f"metric {name}", *map(_shown, pair)) for name, pair in self.metrics.items()]
        rows += [(f"config {name}", *map(_shown, pair)) for name, pair in self.config.items()]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join(
            "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows
        )


class LocalRegistry:
    """Models by name and version in a folder.

    Args:
        root: The folder; created with the first model.

    Example:
        >>> registry = LocalRegistry("models/registry")
        >>> registry.names()
        []
    """

    def __init__(self, root: str | Path = "models/registry") -> None:
        self.root = Path(root)

    def names(self) -> list[str]:
        """Return the names of the models, sorted."""
        return sorted(path.name for path in self.root.glob("*") if self.versions(path.name))

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model, oldest first; v1.10 comes after v1.9."""
        for replaced in (self.root / name).glob(f".v*{_REPLACED}"):
            _put_back(replaced)
        found = [path.name for path in (self.root / name).glob("v*") if (path / "config.json").is_file()]
        return sorted((version for version in found if _VERSION.fullmatch(version)), key=_order)

    def latest(self, name: str) -> str:
        """Return the newest version of a model.

        Raises:
            FileNotFoundError: If there is none.
        """
        return self.versions(name)[-1] if self.versions(name) else self._refuse(name, None)

    def path(self, name: str, version: str | None = None) -> Path:
        """Return the folder of a version, the newest by default, for `from_pretrained`.

        Raises:
            FileNotFoundError: If there is no such version; the message names the existing ones.
        """
        version = version or self.latest(name)
        if version not in self.versions(name):
            self._refuse(name, version)
        return self.root / name / version

    def save(
        self,
        model: "PreTrainedModel",
        name: str,
        version: str,
        *,
        feature_extractor: "FeatureExtractionMixin | None" = None,
        metrics: Mapping[str, float] | None = None,
        card: str | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Save a version; it becomes visible only when it is complete.

        Args:
            model: A model of this package.
            name: Such as `"eeg_foundation"`.
            version: Such as `"v1.0"`.
            feature_extractor: Saved too.
            metrics: Saved as `metrics.json`.
            card: Saved as `README.md`.
            overwrite: Whether an existing version is replaced.

        Raises:
            ValueError: If the name or the version is not valid.
            FileExistsError: If the version exists.
            FolderInUseError: If another process saves the same version.
        """
        if not _VERSION.fullmatch(version) or not _NAME.fullmatch(name) or name.startswith("."):
            raise ValueError(
                f"expected a name like eeg_foundation and a version like v1.0, got {name} {version}"
            )
        target = self.root / name / version
        with locked_folder(target, program()):
            _clean(target)
            if target.exists() and not overwrite:
                raise FileExistsError(f"{target} exists: choose the next version, or set overwrite")
            partial = target.with_name(f".{version}.{uuid.uuid4().hex[:8]}")
            try:
                save_with_code(model, partial, feature_extractor)
                if metrics is not None:
                    text = json.dumps(dict(metrics), indent=2, sort_keys=True)
                    (partial / "metrics.json").write_text(text, encoding="utf-8")
                if card is not None:
                    (partial / "README.md").write_text(card, encoding="utf-8")
                _exchange(partial, target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return target

    def from_pretrained(
        self, name: str, version: str | None = None, auto_class: Any = AutoModel, **kwargs: Any
    ) -> "PreTrainedModel":
        """Load a version with an Auto class.

        Args:
            name: Name of the model.
            version: The newest by default.
            auto_class: Such as `AutoModelForSequenceClassification`.
            **kwargs: As `auto_class.from_pretrained` takes them.
        """
        return auto_class.from_pretrained(self.path(name, version), **kwargs)

    def compare(self, name: str, first: str, second: str) -> Comparison:
        """Compare two versions: fields of the config, metrics, number of parameters.

        Raises:
            FileNotFoundError: If one does not exist.
        """
        folders = [self.path(name, first), self.path(name, second)]
        configs = [json.loads((folder / "config.json").read_text()) for folder in folders]
        metrics = [_read_metrics(folder / "metrics.json") for folder in folders]
        fields = sorted(set(configs[0]) | set(configs[1]))
        return Comparison(
            (first, second),
            {
                f: (configs[0].get(f), configs[1].get(f))
                for f in fields
                if configs[0].get(f) != configs[1].get(f)
            },
            {m: (metrics[0].get(m), metrics[1].get(m)) for m in sorted(set(metrics[0]) | set(metrics[1]))},
            (count_parameters(folders[0]), count_parameters(folders[1])),
        )

    def _refuse(self, name: str, version: str | None) -> Any:
        known = (
            ", ".join(self.versions(name)) or f"no version; there is {', '.join(self.names()) or 'no model'}"
        )
        raise FileNotFoundError(f"{self.root} has no {name} {version or ''}".rstrip() + f": it has {known}")


def _exchange(partial: Path, target: Path) -> None:
    """Give a folder the name of a version; at any time, one of both is whole under a name that is found."""
    sync_folder(partial)
    replaced = partial.with_name(f"{partial.name}{_REPLACED}")
    if target.exists():
        os.replace(target, replaced)
    os.replace(partial, target)
    shutil.rmtree(replaced, ignore_errors=True)


def _clean(target: Path) -> None:
    """Put back or remove what processes that were killed have left of a version."""
    for leftover in target.parent.glob(f".{target.name}.{'[0-9a-f]' * 8}*"):
        if leftover.name.endswith(_REPLACED):
            _put_back(leftover)
        shutil.rmtree(leftover, ignore_errors=True)


def _put_back(replaced: Path) -> None:
    """Restore a version whose replacement was cut short between two renames, unless that goes on."""
    target = replaced.with_name(".".join(replaced.name[1:].split(".")[:-2]))
    if target.exists() or is_locked_elsewhere(target):
        return
    with contextlib.suppress(OSError):
        os.replace(replaced, target)


def _order(version: str) -> tuple[int, ...]:
    match = _VERSION.fullmatch(version)
    return tuple(int(part or 0) for part in match.groups()) if match else ()


def count_parameters(folder: Path) -> int:
    """Count the parameters in the safetensors files of a folder from their headers."""
    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "np") as file:
            total += sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    return total


def _read_metrics(path: Path) -> dict[str, float]:
    return json.loads(path.read_text()) if path.is_file() else {}


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
