# SPDX-License-Identifier: Apache-2.0
"""Embeddings of images by a frozen vision tower, stored as one Parquet file with a row per image.

The columns are `image_id` (path below the image root), `concept` and `embedding` (float32 of fixed length).
The metadata of the schema name the tower and its weights.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.numpy import load_file

from ..atomic_files import atomic_path
from .image_folder import ImageIndex

_FILE = "image_embeddings.parquet"
_TOWER = b"vision_tower"


class ImageEmbeddings:
    """Embeddings of images with an index of their names.

    Args:
        image_ids: Unique paths below the image root.
        embeddings: (images, dim) finite numbers.
        tower: Name of the tower that computed them, as [`full_tower_name`] returns it.
        concepts: Concept of each image; taken from the ids by default.

    Raises:
        ValueError: If the lengths differ, an id repeats, or an embedding is not finite or all zeros.

    Example:
        >>> ids = ["00001_cat/cat_1.jpg", "00002_eel/eel_1.jpg"]
        >>> images = ImageEmbeddings(ids, np.eye(2), "features:one-hot")
        >>> images.index.find(["eel_1.jpg"]), images.index.concepts
        (array([1]), ['cat', 'eel'])
    """

    def __init__(
        self,
        image_ids: Sequence[str],
        embeddings: np.ndarray,
        tower: str,
        concepts: Sequence[str] | None = None,
    ) -> None:
        embeddings = np.asarray(embeddings)
        if embeddings.ndim != 2 or len(embeddings) != len(image_ids) or not embeddings.size:
            raise ValueError(
                f"image embeddings: expected (images, dim) for {len(image_ids)} ids, got {embeddings.shape}"
            )
        if embeddings.dtype.kind not in "fiu":
            raise ValueError(f"image embeddings: expected numbers, got {embeddings.dtype}")
        if repeated := len(image_ids) - len(set(image_ids)):
            raise ValueError(f"image embeddings: {repeated} of {len(image_ids)} ids are repeated")
        self.embeddings = embeddings.astype(np.float32)
        # Neither has a direction, so their cosines with EEG would be NaN
        is_wrong = ~np.isfinite(self.embeddings).all(axis=1) | ~self.embeddings.any(axis=1)
        if is_wrong.any():
            first = image_ids[int(is_wrong.argmax())]
            raise ValueError(
                f"image embeddings: {is_wrong.sum()} are all zeros or not finite, the first of {first!r}"
            )
        self.tower = tower
        self.index = ImageIndex(image_ids, concepts)

    def __len__(self) -> int:
        return len(self.embeddings)

    @property
    def dim(self) -> int:
        """Dimension of an embedding."""
        return self.embeddings.shape[1]

    def read(self, places: Sequence[int] | np.ndarray) -> dict[str, torch.Tensor]:
        """Return `image_embeds` (images, dim)."""
        return {"image_embeds": torch.from_numpy(self.embeddings[np.asarray(places)])}

    def save(self, folder: str | Path) -> Path:
        """Write a Parquet file, which `datasets.load_dataset` can open, and return its path."""
        # A list of fixed size is one contiguous buffer, which is read without a copy
        values = pa.FixedSizeListArray.from_arrays(pa.array(self.embeddings.reshape(-1)), self.dim)
        table = pa.table(
            {"image_id": self.index.image_ids, "concept": self.index.concepts, "embedding": values}
        )
        path = Path(folder) / _FILE
        with atomic_path(path) as partial:
            pq.write_table(table.replace_schema_metadata({_TOWER: self.tower}), partial)
        return path

    @classmethod
    def load(cls, folder: str | Path) -> "ImageEmbeddings":
        """Read the embeddings that `save` wrote.

        Raises:
            FileNotFoundError: If the folder holds no embeddings.
            ValueError: If the file is damaged or was not written by `save`.
        """
        path = Path(folder) / _FILE
        if not path.is_file():
            raise FileNotFoundError(f"no {_FILE} in {folder}: run eeg-hf embed-images first")
        try:
            table = pq.read_table(path)
            values = table.column("embedding").combine_chunks()
            ids, concepts = (table.column(name).to_pylist() for name in ("image_id", "concept"))
            flat = values.flatten().to_numpy(zero_copy_only=False)
            tower = (table.schema.metadata or {})[_TOWER].decode()
        except (pa.ArrowException, KeyError) as error:
            raise ValueError(
                f"{path} is damaged or was not written by eeg-hf embed-images: {' '.join(str(error).split())}"
            ) from None
        return cls(ids, flat.reshape(len(ids), -1), tower, concepts)  # (images, dim)


def read_features(path: str | Path, key: str | None = None) -> np.ndarray:
    """Read an array from an .npy, .npz or .safetensors file.

    Args:
        path: The file. Pickles are refused, since they can run code.
        key: Name of the array; required where the file holds several.

    Raises:
        ValueError: If the file is damaged, of another format or a pickle, or holds no array of that name.
        FileNotFoundError: If there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        if path.suffix == ".safetensors":
            arrays = load_file(path)
        else:
            content = np.load(path, allow_pickle=False)
            arrays = {"": content} if isinstance(content, np.ndarray) else dict(content)
    except Exception as error:  # each library raises its own errors for damaged files
        reason = " ".join(str(error).split())
        if "pickle" in reason:
            reason = "it is a pickle, which can run code: save an .npy of numbers or text, or .safetensors"
        raise ValueError(f"{path} is refused: {reason}") from None
    if key is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    if key not in arrays:
        raise ValueError(f"{path}: expected the name of one of its arrays, {sorted(arrays)}, got {key!r}")
    return arrays[key]
