# SPDX-License-Identifier: Apache-2.0
"""A small decoder from embeddings to images, trained on the user's own images without any download.

The decoder is a coordinate network: it maps the position of a pixel to its colour, and the embedding scales
and shifts its layers (FiLM, https://arxiv.org/abs/1709.07871). Scaling and shifting coordinates moves and
resizes shapes, which convolutions on a small grid did not learn from a thousand images. Images may have any
size, and a training step computes only a few pixels of each.
"""

import numpy as np
import torch
from torch import nn


class ImageDecoder(nn.Module):
    """Map embeddings and pixel positions to colours.

    Args:
        embedding_size: Dimension of an embedding.
        image_size: Width and height of the images in pixels.
        width: Width of the layers of the coordinate network; the embedding's layers have twice as many units.
        depth: Number of hidden layers of the coordinate network.

    Raises:
        ValueError: If a size is less than 1.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, embedding_size: int, image_size: int = 64, width: int = 64, depth: int = 3) -> None:
        super().__init__()
        self.config = {
            "embedding_size": embedding_size,
            "image_size": image_size,
            "width": width,
            "depth": depth,
        }
        if wrong := [f"{name} {value}" for name, value in self.config.items() if value < 1]:
            raise ValueError(f"decoder: expected 1 or more of each, got {', '.join(wrong)}")
        self.register_buffer("mean", torch.zeros(embedding_size))
        self.register_buffer("scale", torch.ones(()))
        hidden = 2 * width
        self.embed = nn.Sequential(
            nn.Linear(embedding_size, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()
        )
        self.modulate = nn.Linear(hidden, (depth + 1) * 2 * width)
        layers = [
            nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width, elementwise_affine=False))
            for _ in range(depth)
        ]
        self.layers = nn.ModuleList([nn.Linear(2, width), *layers])
        self.to_colors = nn.Linear(width, 3)

    def forward(self, embeddings: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
        """Return colours (batch, pixels, 3) from 0 to 1.

        Args:
            embeddings: (batch, embedding_size).
            pixels: (batch or 1, pixels) integers, indices of an image's pixels in row-major order.
        """
        size = self.config["image_size"]
        places = torch.stack([pixels // size, pixels % size], dim=-1)  # (batch or 1, pixels, 2)
        hidden = (2 * places + 1) / size - 1  # pixel centres, from -1 to 1
        factors = self.modulate(self.embed((embeddings - self.mean) / self.scale))
        factors = factors.unflatten(1, (len(self.layers), 2, 1, -1))  # (batch, layers, 2, 1, width)
        for layer, pair in zip(self.layers, factors.unbind(1), strict=True):
            factor, shift = pair.unbind(1)
            hidden = nn.functional.gelu(layer(hidden) * (1 + factor) + shift)
        return self.to_colors(hidden).sigmoid()

    @torch.inference_mode()
    def draw(self, embeddings: np.ndarray, batch_size: int = 32) -> np.ndarray:
        """Return images (n, image_size, image_size, 3) uint8.

        Args:
            embeddings: (n, embedding_size).
            batch_size: Images in one forward pass.

        Raises:
            ValueError: If the embeddings are empty or of another size.
        """
        size = self.config["embedding_size"]
        if embeddings.ndim != 2 or embeddings.shape[1] != size or not len(embeddings):
            raise ValueError(f"expected image embeddings (n, {size}), got {embeddings.shape}")
        device, side = self.scale.device, self.config["image_size"]
        pixels = torch.arange(side**2, device=device)[None]
        batches = torch.from_numpy(np.asarray(embeddings, np.float32)).split(batch_size)
        drawn = torch.cat(
            [self.eval()(batch.to(device), pixels).cpu() for batch in batches]
        )  # (n, pixels, 3)
        return drawn.mul(255).round().to(torch.uint8).unflatten(1, (side, side)).numpy()


def fit_image_decoder(
    embeddings: np.ndarray,
    images: np.ndarray,
    num_steps: int = 1500,
    batch_size: int = 128,
    num_pixels: int = 64,
    learning_rate: float = 5e-3,
    width: int = 64,
    seed: int = 0,
    device: str = "cpu",
) -> ImageDecoder:
    """Train a decoder, in less than a minute on one CPU core for images of any size.

    The loss moves from squared to absolute error. The squared error finds the objects but predicts the mean
    of all images that fit an embedding, which is blurred. The absolute error predicts the median, with edges,
    but finds only the background when training starts with it.

    Args:
        embeddings: (n, size), or (variants, n, size) where an image has several embeddings; each batch draws
            a random mixture of them for each image.
        images: (n, height, height, 3) uint8.
        num_steps: Number of batches.
        batch_size: Images in a batch.
        num_pixels: Random pixels of each image in a batch.
        learning_rate: Peak learning rate of AdamW under a one-cycle schedule.
        width: See [`ImageDecoder`].
        seed: Seed of weights and batches; on a CPU the same seed gives the same decoder to the bit.
        device: Device to train on; the decoder is returned on the CPU.

    Raises:
        ValueError: If the numbers of embeddings and images differ, the images are not square, or a count is
            less than 1.
    """
    variants = torch.from_numpy(np.asarray(embeddings, np.float32))
    variants = variants[None] if variants.ndim == 2 else variants  # (variants, n, size)
    if images.ndim != 4 or images.shape[1] != images.shape[2] or variants.shape[1] != len(images):
        raise ValueError(
            f"expected square images (n, size, size, 3) and as many embeddings, got {images.shape} and "
            f"{tuple(variants.shape[1:])}"
        )
    if min(num_steps, batch_size, num_pixels) < 1:
        raise ValueError(
            "expected num_steps, batch_size and num_pixels of 1 or more, got "
            f"{num_steps}, {batch_size}, {num_pixels}"
        )
    with torch.random.fork_rng(devices=[]):  # leaves the caller's random state alone
        torch.manual_seed(seed)
        decoder = ImageDecoder(variants.shape[2], images.shape[1], width)
    # Inputs of zero mean and unit variance, with one scale: the relation between dimensions stays
    decoder.mean.copy_(variants.mean(dim=(0, 1)))
    decoder.scale.copy_((variants - decoder.mean).std().clamp_min(1e-8))
    decoder.to(device).train()
    optimizer = torch.optim.AdamW(decoder.parameters(), learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, num_steps, pct_start=0.1)
    colors = torch.from_numpy(images).flatten(1, 2)  # (n, pixels, 3) uint8
    generator = torch.Generator().manual_seed(seed)
    for step in range(num_steps):
        rows = torch.randint(len(images), (batch_size,), generator=generator)
        # Uniform on the simplex of the variants: no embedding repeats, so none is memorised
        shares = torch.empty(len(variants), batch_size, 1).exponential_(generator=generator)
        embedded = (shares / shares.sum(dim=0) * variants[:, rows]).sum(dim=0)  # (batch, size)
        pixels = torch.randint(colors.shape[1], (batch_size, num_pixels), generator=generator)
        target = colors[rows[:, None], pixels].to(device).float() / 255  # (batch, num_pixels, 3)
        drawn = decoder(embedded.to(device), pixels.to(device))
        squared, absolute = (drawn - target).square().mean(), (drawn - target).abs().mean()
        loss = torch.lerp(4 * squared, absolute, step / num_steps)  # 4: equal at errors of 1/4
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return decoder.cpu().eval()
