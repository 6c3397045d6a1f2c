# SPDX-License-Identifier: Apache-2.0
"""Images of shapes and colours, and embeddings of them and of EEG that are made of what they show."""

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("ellipse", "rectangle", "triangle")


def draw_shape(random, size):
    """Return an image (size, size, 3) of one shape, and what it shows as numbers (9,)."""
    shape, (ground, color) = random.integers(len(SHAPES)), random.integers(256, size=(2, 3))
    radius, scale = random.uniform(0.25, 0.4), 4 * size
    x, y = random.uniform(radius, 1 - radius, size=2)
    image = Image.new("RGB", (scale, scale), tuple(ground.tolist()))
    left, top, right, bottom = (scale * edge for edge in (x - radius, y - radius, x + radius, y + radius))
    pen, fill = ImageDraw.Draw(image), tuple(color.tolist())
    if SHAPES[shape] == "triangle":
        pen.polygon([(scale * x, top), (left, bottom), (right, bottom)], fill=fill)
    else:
        getattr(pen, SHAPES[shape])((left, top, right, bottom), fill=fill)
    latent = [
        *(np.eye(3)[shape] * 2 - 2 / 3),
        *(ground / 128 - 1),
        *(color / 128 - 1),
        5 * x - 2.5,
        5 * y - 2.5,
    ]
    return np.asarray(image.resize((size, size), Image.Resampling.BOX)), latent


def draw_pairs(num, size=16, noise=1.0, dim=32, seed=0):
    """Return images (num, size, size, 3), embeddings of them and of EEG (num, dim).

    Both are random projections of what the images show, that of the images through a bend, and that of EEG
    with noise.
    """
    random = np.random.default_rng(seed)
    images, latents = (
        np.array(part) for part in zip(*(draw_shape(random, size) for _ in range(num)), strict=True)
    )
    of_images, of_eeg = random.normal(size=(2, latents.shape[1], dim))
    eeg = latents @ of_eeg + noise * random.normal(size=(num, dim))
    return images, np.tanh(latents @ of_images / 3).astype(np.float32), eeg.astype(np.float32)
