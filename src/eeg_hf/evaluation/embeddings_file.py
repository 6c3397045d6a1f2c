# SPDX-License-Identifier: Apache-2.0
"""Embeddings of EEG and of the images that were seen, in one .npz without pickles.

    eeg_embeddings    (trials, size)  float32     image_embeddings  (images, size)  float32
    eeg_image_ids     (trials,)       str         image_ids         (images,)       str, each once
    subjects          (trials,)       str         image_concepts    (images,)       str
    concepts          (trials,)       str         split             ()              str, such as "test"
    repetitions       (trials,)       int, -1     model             ()              str, what made them
                                      averaged

The images are the gallery: those that trials saw, and others if one likes.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic_files import atomic_path

_AVERAGED = -1
_SHOWN = 3


@dataclass(frozen=True)
class EEGImageEmbeddings:
    """Embeddings of trials and of images, in one space where the encoder was aligned with images.

    Attributes:
        eeg_embeddings: Of each trial, (trials, size).
        eeg_image_ids: Which image was seen, (trials,) strings.
        subjects: By whom, (trials,) strings.
        concepts: What the image shows, (trials,) strings.
        repetitions: For which time, (trials,) integers; -1 for the mean of several.
        image_embeddings: Of each image, (images, size); of another size in a space of their own.
        image_ids: Their names, (images,) strings, each once.
        image_concepts: What they show, (images,) strings.
        split: Part of the split that these are, such as `"test"`.
        model: Name of the model.

    Raises:
        ValueError: If shapes, lengths or ids do not match, or an embedding is not finite.
    """

    eeg_embeddings: np.ndarray
    eeg_image_ids: np.ndarray
    subjects: np.ndarray
    concepts: np.ndarray
    repetitions: np.ndarray
    image_embeddings: np.ndarray
    image_ids: np.ndarray
    image_concepts: np.ndarray
    split: str = ""
    model: str = ""

    def __post_init__(self) -> None:
        self._check_embeddings()
        self._check_lengths("eeg_embeddings", ("eeg_image_ids", "subjects", "concepts", "repetitions"))
        self._check_lengths("image_embeddings", ("image_ids", "image_concepts"))
        self._check_ids()

    def save(self, path: str | Path) -> Path:
        """Write an .npz; no reader ever sees half of it.

        Args:
            path: Where to; its folder is made.

        Returns:
            The file, whose name ends with .npz whether `path` does or not.
        """
        path = Path(path)
        path = path if path.suffix == ".npz" else path.with_name(f"{path.name}.npz")
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **_plain(self))
        return path

    @classmethod
    def load(cls, path: str | Path) -> "EEGImageEmbeddings":
        """Read what `save` wrote, or what anybody else wrote with the same names.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no .npz, lacks an array, has pickled objects, which could run code, or holds
                what does not fit together.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist: eeg-hf export-embeddings writes embeddings")
        try:
            return cls(**_read(path))
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}") from None

    def of_subject(self, subject: str) -> "EEGImageEmbeddings":
        """Return one subject's trials, with all images."""
        chosen = self.subjects == subject
        return self._with_trials({name: getattr(self, name)[chosen] for name in _TRIALS})

    def average_repetitions(self) -> "EEGImageEmbeddings":
        """Average each subject's trials of an image, each first brought to unit length."""
        unit = self.eeg_embeddings / np.linalg.norm(self.eeg_embeddings, axis=1, keepdims=True)
        keys = np.stack([self.subjects, self.eeg_image_ids], axis=1)
        _, first, owner = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        sums = np.zeros((len(first), unit.shape[1]))
        np.add.at(sums, owner, unit)
        averaged = {name: getattr(self, name)[first] for name in _TRIALS}
        averaged["eeg_embeddings"] = (sums / np.bincount(owner)[:, None]).astype(np.float32)
        averaged["repetitions"] = np.full(len(first), _AVERAGED)
        return self._with_trials(averaged)

    def _with_trials(self, trials: Mapping[str, np.ndarray]) -> "EEGImageEmbeddings":
        others = {field.name: getattr(self, field.name) for field in fields(self)}
        return EEGImageEmbeddings(**{**others, **trials})

    def _check_embeddings(self) -> None:
        eeg, images = self.eeg_embeddings, self.image_embeddings
        for name, values in (("eeg_embeddings", eeg), ("image_embeddings", images)):
            if values.ndim != 2 or values.dtype.kind != "f" or not values.size:
                raise ValueError(f"{name}: expected floats (number, size), got {values.dtype} {values.shape}")
            lengths = np.linalg.norm(values.astype(np.float64), axis=1)
            bad = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
            if len(bad):
                raise ValueError(
                    f"{name}: {len(bad)} of {len(values)} are NaN, infinite or zero, first row {bad[0]}: did "
                    "the training diverge?"
                )

    def _check_lengths(self, counted: str, names: tuple[str, ...]) -> None:
        number = len(getattr(self, counted))
        for name in names:
            values = getattr(self, name)
            kind, said = ("i", "integers") if name == "repetitions" else ("U", "strings")
            if values.ndim != 1 or values.dtype.kind != kind:
                raise ValueError(f"{name}: expected {said} (number,), got {values.dtype} {values.shape}")
            if len(values) != number:
                raise ValueError(f"{name}: expected {number} as in {counted}, got {len(values)}")

    def _check_ids(self) -> None:
        known, counts = np.unique(self.image_ids, return_counts=True)
        if (counts > 1).any():
            raise ValueError(f"image_ids: expected each once, {_some(known[counts > 1])} come more than once")
        unknown = np.setdiff1d(self.eeg_image_ids, self.image_ids)
        if len(unknown):
            raise ValueError(f"eeg_image_ids: {len(unknown)} are not among image_ids: {_some(unknown)}")
        order = np.argsort(self.image_ids)
        place = order[np.searchsorted(self.image_ids, self.eeg_image_ids, sorter=order)]
        other = self.image_concepts[place] != self.concepts
        if other.any():
            raise ValueError(
                "concepts: image_concepts says otherwise of the images of "
                f"{other.sum()} trials: {_some(np.unique(self.eeg_image_ids[other]))}"
            )


_TRIALS = ("eeg_embeddings", "eeg_image_ids", "subjects", "concepts", "repetitions")


def _plain(embeddings: EEGImageEmbeddings) -> dict[str, Any]:
    return {field.name: np.asarray(getattr(embeddings, field.name)) for field in fields(embeddings)}


def _read(path: Path) -> dict[str, Any]:
    """Read the arrays of a file that may be anything."""
    if not zipfile.is_zipfile(path):
        raise ValueError("expected an .npz of arrays, this is none")
    names = [field.name for field in fields(EEGImageEmbeddings)]
    found: dict[str, Any] = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in names if name not in archive]
            if missing:
                raise ValueError(
                    f"it has no {', '.join(missing)}, only {', '.join(sorted(archive)) or 'nothing'}"
                )
            for name in names:
                try:
                    found[name] = archive[name]
                except ValueError as error:
                    if "allow_pickle" not in str(error):
                        raise
                    raise ValueError(
                        f"{name} is a pickled array of objects, which could run code: save strings as "
                        "np.array(values, dtype=str)"
                    ) from None
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise ValueError(f"the file is damaged ({error}): write it again") from None
    return {**found, **{name: str(found[name]) for name in ("split", "model")}}


def _some(names: np.ndarray) -> str:
    rest = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN].tolist()) + rest
