# SPDX-License-Identifier: Apache-2.0
"""Images of one coloured shape each, drawn from their latents."""

import colorsys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

SHAPES: tuple[str, ...] = ("circle", "triangle", "square", "star")
COLOURS: tuple[str, ...] = ("red", "yellow", "green", "cyan", "blue", "magenta")  # sixths of the hue circle
NUM_LATENTS = 8
# Corners of a tetrahedron: all shapes have the same distance
_CORNERS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
_OVERSAMPLING = 4  # images are drawn larger and shrunk, for smooth edges


@dataclass(frozen=True)
class DrawnImages:
    """The images of a part, one row per image.

    Attributes:
        concepts: Names of the concepts.
        concept_index: Numbers of the concepts, from 1.
        files: Names of the files.
        shape: Index into `SHAPES`.
        hue: From 0 to 1.
        place: Centre of the shape, (images, 2), from -1 to 1.
        size: From 0 to 1.
    """

    concepts: list[str]
    concept_index: np.ndarray
    files: list[str]
    shape: np.ndarray
    hue: np.ndarray
    place: np.ndarray
    size: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    @property
    def latents(self) -> np.ndarray:
        """Shape (3), hue (2), place (2) and size, of mean 0 and variance 1 over all images, (images, 8)."""
        angle = 2 * np.pi * self.hue
        hue = np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        size = np.sqrt(3) * (2 * self.size - 1)
        return np.concatenate(
            [_CORNERS[self.shape], hue, np.sqrt(3) * self.place, size[:, None]], axis=1
        ).astype(np.float64)

    def draw(self, row: int, pixels: int = 64) -> "Image.Image":
        """Draw one square image.

        Args:
            row: Which image.
            pixels: Length of a side.
        """
        from PIL import Image, ImageDraw

        wide = pixels * _OVERSAMPLING
        image = Image.new("RGB", (wide, wide), (236, 236, 236))
        colour = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(float(self.hue[row]), 0.9, 0.85))
        radius = (0.12 + 0.13 * self.size[row]) * wide
        centre = (0.5 + 0.22 * self.place[row]) * wide
        pen = ImageDraw.Draw(image)
        if SHAPES[self.shape[row]] == "circle":
            pen.ellipse([*(centre - radius), *(centre + radius)], fill=colour)
        else:
            pen.polygon([*map(tuple, centre + radius * _outline(SHAPES[self.shape[row]]))], fill=colour)
        return image.resize((pixels, pixels), Image.Resampling.BOX)


def _outline(shape: str) -> np.ndarray:
    """Return the corners of a shape in the unit circle, (corners, 2), the first at the top."""
    number, inner = {"triangle": (3, 1.0), "square": (4, 1.0), "star": (10, 0.4)}[shape]
    angle = 2 * np.pi * np.arange(number) / number - np.pi / (4 if shape == "square" else 2)
    reach = np.where(np.arange(number) % 2, inner, 1.0)
    return np.asarray(reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1))
