# SPDX-License-Identifier: Apache-2.0
"""A contact sheet: what was seen, and beneath it what was reconstructed."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .plots import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INCHES = 0.85  # a picture
_GAP = 0.06  # between pictures, as a share of one


def plot_contact_sheet(
    rows: Mapping[str, np.ndarray],
    path: str | Path | None = None,
    columns: int = 12,
    title: str | None = None,
) -> "Figure":
    """Draw images in columns, one above the other, all that there are.

    Args:
        rows: Images (n, height, width, 3) uint8 by what they are, such as `"seen"` and `"reconstructed"`.
        path: Where to save the picture.
        columns: Images side by side; more go below.
        title: Heading of the picture.

    Raises:
        ValueError: If rows differ in number, or there is no image.
    """
    sizes = {name: len(images) for name, images in rows.items()}
    if len(set(sizes.values())) != 1 or not all(sizes.values()):
        raise ValueError(f"rows: expected as many images in each, at least one, got {sizes}")
    (num,) = set(sizes.values())
    columns = min(columns, num)
    starts = range(0, num, columns)
    height = len(starts) * (len(rows) + 0.3) * _INCHES
    with drawing(1.6 + columns * _INCHES, (0.8 if title else 0.4) + height, path) as figure:
        for axes, start in zip(figure.subplots(len(starts), squeeze=False)[:, 0], starts, strict=True):
            strips = [_strip(images[start : start + columns], columns) for images in rows.values()]
            axes.imshow(np.concatenate(strips))
            axes.set_yticks([(row + 0.5) * len(strips[0]) for row in range(len(rows))], list(rows))
            axes.set_xticks([])
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
        if title:
            figure.suptitle(title)
    return figure


def _strip(images: np.ndarray, columns: int) -> np.ndarray:
    """Return images side by side on white, with room for as many as there are columns."""
    _, height, width, _ = images.shape
    gap = max(1, round(width * _GAP))
    strip = np.full((height + gap, columns * (width + gap), 3), 255, np.uint8)
    for column, image in enumerate(images):
        start = column * (width + gap)
        strip[:height, start : start + width] = image
    return strip
