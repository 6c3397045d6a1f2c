# SPDX-License-Identifier: Apache-2.0
"""Images in folders: what they are called, which one a window was recorded to, and their pixels.

An image's id is its path below the root, such as training_images/00001_aardvark/aardvark_01b.jpg; its concept
is the name of its folder without the number.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
_AMBIGUOUS = -1


def find_images(root: str | Path) -> list[str]:
    """Return the ids of all images below a folder, sorted.

    Raises:
        FileNotFoundError: If there is no such folder, or no image in it.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no image folder {root}: expected one, such as data/images")
    found = [
        path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix.lower() in _SUFFIXES
    ]
    if not found:
        raise FileNotFoundError(f"no image below {root}: expected files {', '.join(sorted(_SUFFIXES))}")
    return sorted(found)


def concept_of(image_id: str) -> str:
    """Return the concept that an image's folder is named for; empty without a folder.

    Example:
        >>> concept_of("training_images/00001_aardvark/aardvark_01b.jpg")
        'aardvark'
    """
    return re.sub(r"^\d+_", "", PurePosixPath(image_id).parent.name)


def open_image(path: Path) -> Any:
    """Read an image whole, as RGB.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is empty, cut off, or no image.
    """
    from PIL import Image

    if not path.is_file():
        raise FileNotFoundError(f"image {path} is not there")
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16 bit of grey: PIL would cut off all above 255
                return Image.fromarray((np.asarray(image) // 256).astype(np.uint8)).convert("RGB")
            return image.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "it is empty" if path.stat().st_size == 0 else " ".join(str(error).split())
        raise ValueError(f"image {path} cannot be read: {reason}") from None


class ImageIndex:
    """Finds images by what corpora call them: an id, or a file's name, and the concept where two share it.

    Args:
        image_ids: Of all images.
        concepts: One each; from the ids by default.
    """

    def __init__(self, image_ids: Sequence[str], concepts: Sequence[str] | None = None) -> None:
        self.image_ids = list(image_ids)
        self.concepts = [concept_of(name) for name in self.image_ids] if concepts is None else list(concepts)
        self._places: dict[tuple[str | None, str], int] = {}
        for place, (name, concept) in enumerate(zip(self.image_ids, self.concepts, strict=True)):
            file = PurePosixPath(name).name
            for key in {(None, name), (concept, file), (None, file)}:
                known = self._places.setdefault(key, place)
                self._places[key] = place if known == place else _AMBIGUOUS

    def find(self, names: Sequence[str | None], concepts: Sequence[str | None] | None = None) -> np.ndarray:
        """Return the place of each image, (names,).

        Args:
            names: Ids, or names of files.
            concepts: One each, for files of one name in several folders.

        Raises:
            ValueError: If an image is not there, or several could be meant, naming the first.
        """
        found = [self._find(name, concept) for name, concept in zip(names, concepts or names, strict=True)]
        wrong = [
            (name, place) for name, place in zip(names, found, strict=True) if place is None or place < 0
        ]
        if wrong:
            name, place = wrong[0]
            kinds = sorted({str(name) for name, _ in wrong})
            if name is None:
                raise ValueError(
                    f"{len(wrong)} of {len(names)} windows do not say which image they are of: prepare the "
                    "corpus with its image_metadata.npy beside it"
                )
            reason = "is not there" if place is None else "could be several"
            raise ValueError(
                f"image {name!r} {reason} ({len(kinds)} such): expected one of {len(self.image_ids)}, as "
                f"{self.image_ids[0]!r}; ids are paths below the image folder"
            )
        return np.array(found, np.int64)

    def _find(self, name: str | None, concept: str | None) -> int | None:
        if name is None:
            return None
        exact = self._places.get((None, name))
        if exact is not None and exact >= 0:
            return exact
        return self._places.get((concept, PurePosixPath(name).name), exact)


class ImageFolder:
    """Images below a folder, decoded whenever they are asked for.

    Args:
        root: The folder.
        preprocess: Maps a PIL image to pixels (3, height, width), as a tower's `preprocess`.

    Raises:
        FileNotFoundError: If there is no image.
    """

    def __init__(self, root: str | Path, preprocess: Callable[[Any], torch.Tensor]) -> None:
        self.root = Path(root)
        self.preprocess = preprocess
        self.index = ImageIndex(find_images(root))

    def read(self, places: Sequence[int] | np.ndarray) -> dict[str, torch.Tensor]:
        """Return `pixel_values` (images, 3, height, width).

        Raises:
            ValueError: If an image cannot be read.
        """
        images = [open_image(self.root / self.index.image_ids[place]) for place in places]
        return {"pixel_values": torch.stack([self.preprocess(image) for image in images])}


__all__ = ["ImageFolder", "ImageIndex", "concept_of", "find_images", "open_image"]
