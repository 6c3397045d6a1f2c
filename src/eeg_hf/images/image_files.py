# SPDX-License-Identifier: Apache-2.0
"""Images of a folder as one array of squares."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .image_folder import open_image

_SHOWN = 3


def read_images(folder: str | Path, names: Sequence[str], size: int) -> np.ndarray:
    """Read images (n, size, size, 3) uint8: the middle square of each, made smaller.

    Args:
        folder: Where they are.
        names: Their paths below it.
        size: Pixels a side.

    Raises:
        FileNotFoundError: If an image is not there, naming the first of them.
        ValueError: If there is none to read, a path leads out of the folder, or a file is no whole image.
    """
    if not len(names):
        raise ValueError(f"{folder}: expected images to read, got none")
    outside = [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]
    if outside:
        raise ValueError(f"{folder}: expected paths of images below it, got {str(outside[0])!r}")
    paths = [Path(folder, name) for name in names]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        shown = ", ".join(map(str, missing[:_SHOWN])) + (", …" if len(missing) > _SHOWN else "")
        raise FileNotFoundError(f"{len(missing)} of {len(paths)} images are not there: {shown}")
    with ThreadPoolExecutor() as pool:  # decoding leaves the interpreter to others
        return np.stack([*pool.map(lambda path: _square(open_image(path), size), paths)])


def resize_images(images: np.ndarray, size: int) -> np.ndarray:
    """Return images (n, height, width, 3) uint8 as their middle squares (n, size, size, 3)."""
    if images.shape[1:3] == (size, size):
        return images
    return np.stack([_square(Image.fromarray(image), size) for image in images])


def _square(image: Image.Image, size: int) -> np.ndarray:
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS))
