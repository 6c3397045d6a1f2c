# SPDX-License-Identifier: Apache-2.0
"""Weights that carry their code, for machines that have only transformers.

`AutoModel.from_pretrained(..., trust_remote_code=True)` finds the classes in the files beside the weights:
the modeling file, the neighbours that it imports, and those of the feature extractor. Where eeg_hf is
imported, its own classes are used instead, and no code has to be trusted.
"""

import inspect
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoModel
from transformers.dynamic_module_utils import get_relative_import_files
from transformers.models.auto import AutoModelForPreTraining, AutoModelForSequenceClassification

from ..corpora import SeenWindows

if TYPE_CHECKING:
    from transformers import FeatureExtractionMixin, PreTrainedModel

_AUTO_CLASSES = (AutoModel, AutoModelForPreTraining, AutoModelForSequenceClassification)


def save_with_code(
    model: "PreTrainedModel",
    save_directory: str | Path,
    feature_extractor: "FeatureExtractionMixin | None" = None,
) -> list[Path]:
    """Save a model, its feature extractor, and the code of both.

    All Auto classes of the architecture are registered, whichever head is saved: a saved classifier also
    opens with `AutoModel`.

    Args:
        model: A model of this package.
        save_directory: Folder; created if missing.
        feature_extractor: Makes the inputs of the model; saved too.

    Returns:
        The files that were written, sorted.

    Raises:
        ValueError: If no Auto class knows the model, which therefore could not be opened.

    Example:
        >>> from eeg_hf import EEGFoundationConfig, EEGFoundationModel
        >>> model = EEGFoundationModel(EEGFoundationConfig(d_model=32, n_layers=1, n_heads=2, d_ff=64))
        >>> files = save_with_code(model, "runs/tiny")  # doctest: +SKIP
    """
    folder = Path(save_directory)
    _model_classes(model)  # refused before anything is written
    written = {folder / path for path in _saved(model, folder)}
    if feature_extractor is not None:
        written |= {folder / path for path in _saved(feature_extractor, folder)}
    seen = _seen_windows(model)
    if seen is not None:
        written.add(seen.save(folder))
    return sorted(written | set(add_code(model, folder, feature_extractor)))


def _seen_windows(model: "PreTrainedModel") -> SeenWindows | None:
    """Return the windows that a model has seen, if it was trained here or loaded from such a folder."""
    seen = getattr(model, "seen_windows", None)
    if seen is None and model.name_or_path and Path(model.name_or_path).is_dir():
        seen = SeenWindows.load(model.name_or_path)
    return seen


def add_code(
    model: "PreTrainedModel", folder: Path, feature_extractor: "FeatureExtractionMixin | None" = None
) -> list[Path]:
    """Copy the code beside a model and a feature extractor that are already saved.

    Args:
        model: The saved model.
        folder: Its folder.
        feature_extractor: Saved in the same folder.

    Returns:
        The copied files.

    Raises:
        ValueError: If no Auto class knows the model.
    """
    auto_map = _model_classes(model)
    if feature_extractor is not None:
        auto_map["AutoFeatureExtractor"] = type(feature_extractor)
        _add_auto_map(folder / "preprocessor_config.json", {"AutoFeatureExtractor": type(feature_extractor)})
    _add_auto_map(folder / "config.json", auto_map)
    sources = {file for cls in auto_map.values() for file in code_files(cls)}
    return [Path(shutil.copyfile(source, folder / source.name)) for source in sorted(sources)]


def _model_classes(model: "PreTrainedModel") -> dict[str, Any]:
    """Return the class that each Auto class opens for this kind of model."""
    classes: dict[str, Any] = {"AutoConfig": type(model.config)}
    for auto_class in _AUTO_CLASSES:
        known = auto_class._model_mapping.get(type(model.config), None)
        if known is not None:
            classes[auto_class.__name__] = known
    if len(classes) == 1:
        raise ValueError(f"no Auto class knows {type(model).__name__}: expected a model of this package")
    return classes


def code_files(thing: type | Callable[..., Any]) -> list[Path]:
    """Return the file that defines a class or a function and all neighbours that it imports, sorted."""
    own = Path(inspect.getfile(thing))
    return sorted({own, *(Path(file) for file in get_relative_import_files(own))})


def _saved(thing: Any, folder: Path) -> set[str]:
    """Save a model or an extractor and return the names of the files that were created or changed."""
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*")} if folder.is_dir() else {}
    thing.save_pretrained(folder)
    return {path.name for path in folder.glob("*") if before.get(path.name) != path.stat().st_mtime_ns}


def _add_auto_map(path: Path, classes: dict[str, type]) -> None:
    """Add the classes to a saved JSON file, keeping its other fields."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["auto_map"] = {
        auto: f"{Path(inspect.getfile(cls)).stem}.{cls.__name__}" for auto, cls in classes.items()
    }
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
