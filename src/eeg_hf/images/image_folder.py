# SPDX-License-Identifier: Apache-2.0
"""Image files in a folder: their ids, the image of a window, and their pixels.

The id of an image is its path below the root, such as training_images/00001_aardvark/aardvark_01b.jpg. Its
concept is the name of its folder without the number.
"""

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, ImageOps

_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
_AMBIGUOUS = -1
_MAX_NAMED = 3  # missing files in an error message


def find_images(root: str | Path) -> list[str]:
    """Return the sorted ids of all images below a folder.

    Raises:
        FileNotFoundError: If the folder does not exist or holds no image.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no image folder {root}: expected one, such as data/images")
    ids = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.suffix.lower() in _SUFFIXES]
    if not ids:
        raise FileNotFoundError(f"no image below {root}: expected files {', '.join(sorted(_SUFFIXES))}")
    return sorted(ids)


def concept_of(image_id: str) -> str:
    """Return the concept that names the folder of an image, "" for an image without a folder.

    Example:
        >>> concept_of("training_images/00001_aardvark/aardvark_01b.jpg")
        'aardvark'
    """
    return re.sub(r"^\d+_", "", PurePosixPath(image_id).parent.name)


def open_image(path: Path) -> Image.Image:
    """Read an image completely and convert it to RGB.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, truncated or not an image.
    """
    if not path.is_file():
        raise FileNotFoundError(f"image {path} does not exist")
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):  # 16-bit grey, which PIL's own conversion clips at 255
                return Image.fromarray((np.asarray(image) // 256).astype(np.uint8)).convert("RGB")
            return image.convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        reason = "it is empty" if path.stat().st_size == 0 else " ".join(str(error).split())
        raise ValueError(f"image {path} cannot be read: {reason}") from None


def read_images(folder: str | Path, names: Sequence[str] | np.ndarray, size: int) -> np.ndarray:
    """Read images as squares: the centre of each, resized.

    Args:
        folder: Folder of the images.
        names: Their paths below the folder.
        size: Width and height of the result in pixels.

    Returns:
        (n, size, size, 3) uint8.

    Raises:
        FileNotFoundError: If images are missing; the error names the first of them.
        ValueError: If `names` is empty, a path leaves the folder, or a file cannot be read.
    """
    if not len(names):
        raise ValueError(f"{folder}: expected images to read, got none")
    outside = [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]
    if outside:
        raise ValueError(f"{folder}: expected paths of images below it, got {str(outside[0])!r}")
    paths = [Path(folder, name) for name in names]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        named = ", ".join(map(str, missing[:_MAX_NAMED])) + (", …" if len(missing) > _MAX_NAMED else "")
        raise FileNotFoundError(f"{len(missing)} of {len(paths)} images are missing: {named}")
    with ThreadPoolExecutor() as pool:  # PIL releases the GIL while it decodes
        return np.stack([*pool.map(lambda path: _to_square(open_image(path), size), paths)])


def resize_images(images: np.ndarray, size: int) -> np.ndarray:
    """Return the centre squares (n, size, size, 3) of images (n, height, width, 3), both uint8."""
    if images.shape[1:3] == (size, size):
        return images
    return np.stack([_to_square(Image.fromarray(image), size) for image in images])


def _to_square(image: Image.Image, size: int) -> np.ndarray:
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS))


class ImageIndex:
    """Find images by id, by file name, or by file name and concept where several files share a name.

    Args:
        image_ids: Ids of all images.
        concepts: Concept of each image; taken from the ids by default.
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
        """Return the index of each image, (names,) int64.

        Args:
            names: Ids or file names.
            concepts: Concept of each image, needed for files of one name in several folders.

        Raises:
            ValueError: If an image is unknown or ambiguous; the error names the first.
        """
        places = [self._find(name, concept) for name, concept in zip(names, concepts or names, strict=True)]
        wrong = [
            (name, place) for name, place in zip(names, places, strict=True) if place is None or place < 0
        ]
        if wrong:
            name, place = wrong[0]
            if name is None:
                raise ValueError(
                    f"{len(wrong)} of {len(names)} windows do not name their image: prepare the corpus with "
                    "its image_metadata.npy beside it"
                )
            reason = "is unknown" if place is None else "is ambiguous"
            raise ValueError(
                f"image {name!r} {reason} ({len({str(name) for name, _ in wrong})} such): expected one of "
                f"{len(self.image_ids)}, as {self.image_ids[0]!r}; ids are paths below the image folder"
            )
        return np.array(places, np.int64)

    def _find(self, name: str | None, concept: str | None) -> int | None:
        if name is None:
            return None
        exact = self._places.get((None, name))  # a whole id needs no concept
        if exact is not None and exact >= 0:
            return exact
        return self._places.get((concept, PurePosixPath(name).name), exact)


class ImageFolder:
    """Images below a folder, decoded on every access.

    Args:
        root: The folder.
        preprocess: Maps a PIL image to pixels (3, height, width), as the `preprocess` of a vision tower.

    Raises:
        FileNotFoundError: If the folder holds no image.
    """

    def __init__(self, root: str | Path, preprocess: Callable[[Image.Image], torch.Tensor]) -> None:
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
