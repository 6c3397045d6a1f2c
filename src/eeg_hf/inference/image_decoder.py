# SPDX-License-Identifier: Apache-2.0
"""A small decoder from embeddings to images, trained on the user's own: nothing is downloaded.

It learns by the squared error, so it says the mean of the images that an embedding may stand for: layout and
colours where these are known, a blur where they are not.
"""

import math

import numpy as np
import torch
from torch import nn

_FIRST = 4  # pixels a side of the first layer
_MAX_CHANNELS = 256


class ImageDecoder(nn.Module):
    """From an embedding (batch, embedding_size) to an image (batch, 3, image_size, image_size) in 0 to 1.

    Args:
        embedding_size: Numbers of an embedding.
        image_size: Pixels a side: 8, 16, 32, 64, 128 or more, each double the last.
        base_channels: Channels of the layer at full size; each smaller layer has double, up to 256.

    Raises:
        ValueError: If the size is no such number.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, embedding_size: int, image_size: int = 64, base_channels: int = 16) -> None:
        super().__init__()
        doublings = round(math.log2(max(image_size, 1) / _FIRST))
        if doublings < 1 or _FIRST * 2**doublings != image_size:
            raise ValueError(f"image_size: expected 8, 16, 32, 64 or another double, got {image_size}")
        self.config = {
            "embedding_size": embedding_size,
            "image_size": image_size,
            "base_channels": base_channels,
        }
        widths = [min(base_channels * 2**step, _MAX_CHANNELS) for step in reversed(range(doublings + 1))]
        self.register_buffer("mean", torch.zeros(embedding_size))
        self.register_buffer("scale", torch.ones(()))
        self.expand = nn.Linear(embedding_size, widths[0] * _FIRST**2)
        layers: list[nn.Module] = []
        for width, after in zip(widths, widths[1:], strict=False):
            # Made larger after the convolution: a quarter of the cost, and no chessboards
            layers += [*_convolution(width, after), nn.Upsample(scale_factor=2, mode="bilinear")]
        self.layers = nn.Sequential(*layers, *_convolution(base_channels, base_channels))
        self.to_colors = nn.Conv2d(base_channels, 3, 1)

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Decode embeddings (batch, embedding_size)."""
        hidden = self.expand((embeddings - self.mean) / self.scale).unflatten(1, (-1, _FIRST, _FIRST))
        hidden = hidden.contiguous(memory_format=torch.channels_last)  # 1.5 times as fast on a CPU
        return self.to_colors(self.layers(hidden)).sigmoid()

    @torch.inference_mode()
    def draw(self, embeddings: np.ndarray, batch_size: int = 256) -> np.ndarray:
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
        device = self.expand.weight.device
        batches = torch.from_numpy(np.asarray(embeddings, np.float32)).split(batch_size)
        drawn = torch.cat([self.eval()(batch.to(device)).cpu() for batch in batches])
        return drawn.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def _convolution(width: int, after: int) -> list[nn.Module]:
    # One group: a norm of each channel alone would take away what is the same everywhere, the colours
    convolution = nn.Conv2d(width, after, 3, padding=1, padding_mode="replicate")  # zeros draw a dark frame
    return [convolution, nn.GroupNorm(1, after), nn.GELU()]


def fit_image_decoder(
    embeddings: np.ndarray,
    images: np.ndarray,
    num_steps: int = 1000,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    base_channels: int = 16,
    seed: int = 0,
    device: str = "cpu",
) -> ImageDecoder:
    """Train a decoder: at 64 pixels some minutes on one core of a CPU, seconds on a GPU.

    Args:
        embeddings: (n, size), or (variants, n, size) where an image has several; each batch draws one of them
            for each image.
        images: (n, height, height, 3) uint8; the height is one of those of [`ImageDecoder`].
        num_steps: Batches.
        batch_size: Images a batch.
        learning_rate: The highest of AdamW, warmed up and annealed.
        base_channels: See [`ImageDecoder`].
        seed: Seed of the weights and of the batches; the same gives the same on a CPU.
        device: Where to train.

    Raises:
        ValueError: If there are not as many embeddings as images, or these are not square.
    """
    variants = torch.from_numpy(np.asarray(embeddings, np.float32))
    variants = variants[None] if variants.ndim == 2 else variants  # (variants, n, size)
    if images.ndim != 4 or images.shape[1] != images.shape[2] or variants.shape[1] != len(images):
        raise ValueError(
            f"expected square images (n, size, size, 3) and as many embeddings, got {images.shape} and "
            f"{tuple(variants.shape[1:])}"
        )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        decoder = ImageDecoder(variants.shape[2], images.shape[1], base_channels)
    decoder.mean.copy_(variants.mean(dim=(0, 1)))
    decoder.scale.copy_((variants - decoder.mean).std().clamp_min(1e-8))
    decoder.to(device).train()
    optimizer = torch.optim.AdamW(decoder.parameters(), learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, num_steps, pct_start=0.1)
    pixels, generator = torch.from_numpy(images), torch.Generator().manual_seed(seed)
    for _ in range(num_steps):
        rows = torch.randint(len(images), (batch_size,), generator=generator)
        variant = torch.randint(len(variants), (batch_size,), generator=generator)
        target = pixels[rows].to(device).permute(0, 3, 1, 2).float() / 255
        loss = nn.functional.mse_loss(decoder(variants[variant, rows].to(device)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return decoder.cpu().eval()
