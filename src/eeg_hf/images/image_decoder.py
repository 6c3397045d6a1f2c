# SPDX-License-Identifier: Apache-2.0
"""A small decoder from embeddings to images, trained on the user's own: nothing is downloaded.

It says of each place which colour is there, by a network of places whose layers the embedding scales and
shifts (https://arxiv.org/abs/1709.07871). Scaled and shifted places are what shapes of any size anywhere are
made of, which convolutions that start from a small grid did not learn from a thousand images. Images may have
any size, and a step looks at a few pixels of each only.
"""

import numpy as np
import torch
from torch import nn


class ImageDecoder(nn.Module):
    """From embeddings to the colours at places.

    Args:
        embedding_size: Numbers of an embedding.
        image_size: Pixels a side of the images that it draws.
        width: Numbers of a layer of places; layers of embeddings have double.
        depth: Layers of places between the first and the last.

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
        wrong = [f"{name} {value}" for name, value in self.config.items() if value < 1]
        if wrong:
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
            pixels: (batch or 1, pixels) whole numbers, which of an image's pixels row by row.
        """
        size = self.config["image_size"]
        places = torch.stack([pixels // size, pixels % size], dim=-1)
        hidden = (2 * places + 1) / size - 1  # from -1 to 1
        factors = self.modulate(self.embed((embeddings - self.mean) / self.scale))
        factors = factors.unflatten(1, (len(self.layers), 2, 1, -1))  # one for all pixels of an image
        for layer, pair in zip(self.layers, factors.unbind(1), strict=True):
            factor, shift = pair.unbind(1)
            hidden = nn.functional.gelu(layer(hidden) * (1 + factor) + shift)
        return self.to_colors(hidden).sigmoid()

    @torch.inference_mode()
    def draw(self, embeddings: np.ndarray, batch_size: int = 32) -> np.ndarray:
        """Return images (n, image_size, image_size, 3) uint8.

        Args:
            embeddings: (n, embedding_size).
            batch_size: Images at a time.

        Raises:
            ValueError: If the embeddings are of another size.
        """
        size = self.config["embedding_size"]
        if embeddings.ndim != 2 or embeddings.shape[1] != size or not len(embeddings):
            raise ValueError(f"expected image embeddings (n, {size}), got {embeddings.shape}")
        device, side = self.scale.device, self.config["image_size"]
        pixels = torch.arange(side**2, device=device)[None]
        batches = torch.from_numpy(np.asarray(embeddings, np.float32)).split(batch_size)
        drawn = torch.cat([self.eval()(batch.to(device), pixels).cpu() for batch in batches])
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
    """Train a decoder: less than a minute on one core of a CPU, whatever the size of the images.

    The loss goes from the squared error to the absolute one. The first finds things, and says the mean of
    what an embedding may stand for, a blur; the second says what is most likely, with edges, but started
    with, it finds nothing but the background.

    Args:
        embeddings: (n, size), or (variants, n, size) where an image has several; each batch draws a point
            between them for each image.
        images: (n, height, height, 3) uint8.
        num_steps: Batches.
        batch_size: Images a batch.
        num_pixels: Pixels of an image, drawn at random.
        learning_rate: The highest of AdamW, warmed up and annealed.
        width: See [`ImageDecoder`].
        seed: Seed of the weights and of the batches; the same gives the same on a CPU.
        device: Where to train.

    Raises:
        ValueError: If there are not as many embeddings as images, these are not square, or there is nothing
            to train with.
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
            f"expected a step, an image and a pixel or more, got {num_steps}, {batch_size}, {num_pixels}"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = ImageDecoder(variants.shape[2], images.shape[1], width)
    decoder.mean.copy_(variants.mean(dim=(0, 1)))
    decoder.scale.copy_((variants - decoder.mean).std().clamp_min(1e-8))
    decoder.to(device).train()
    optimizer = torch.optim.AdamW(decoder.parameters(), learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, num_steps, pct_start=0.1)
    colors, generator = torch.from_numpy(images).flatten(1, 2), torch.Generator().manual_seed(seed)
    for step in range(num_steps):
        rows = torch.randint(len(images), (batch_size,), generator=generator)
        # Uniform on the simplex of the variants: no embedding comes twice, and none is learnt by heart
        shares = torch.empty(len(variants), batch_size, 1).exponential_(generator=generator)
        embedded = (shares / shares.sum(dim=0) * variants[:, rows]).sum(dim=0)
        pixels = torch.randint(colors.shape[1], (batch_size, num_pixels), generator=generator)
        target = colors[rows[:, None], pixels].to(device).float() / 255
        drawn = decoder(embedded.to(device), pixels.to(device))
        squared, absolute = (drawn - target).square().mean(), (drawn - target).abs().mean()
        loss = torch.lerp(4 * squared, absolute, step / num_steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return decoder.cpu().eval()
