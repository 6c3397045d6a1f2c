# SPDX-License-Identifier: Apache-2.0
"""Vision towers of open_clip, torchvision and transformers that map pixels to one vector per image."""

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModel
from transformers.utils import logging

from ..models.configuration_eeg_clip import full_tower_name

logger = logging.get_logger(__name__)


class VisionTower(nn.Module):
    """An image encoder with its preprocessing.

    Args:
        name: Full name, as [`full_tower_name`] returns it.
        encoder: Maps (batch, 3, height, width) to (batch, features), or to an output of transformers.
        embedding_dim: Number of features.
        preprocess: Maps a PIL image to pixels (3, height, width).
    """

    def __init__(
        self, name: str, encoder: nn.Module, embedding_dim: int, preprocess: Callable[[Any], torch.Tensor]
    ) -> None:
        super().__init__()
        self.name = name
        self.encoder = encoder
        self.embedding_dim = embedding_dim
        self.preprocess = preprocess

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Map (batch, 3, height, width) to (batch, embedding_dim)."""
        encode = getattr(self.encoder, "get_image_features", self.encoder)
        features = encode(pixel_values)
        return getattr(features, "pooler_output", features)  # of an output of transformers


def create_vision_tower(name: str, is_pretrained: bool = True) -> VisionTower:
    """Build an image tower from its name.

    Args:
        name: As in [`full_tower_name`].
        is_pretrained: Load the weights, which may download them; otherwise they are random.

    Raises:
        ImportError: If the library of the tower is not installed; the error names the extra.
        ValueError: If the library does not know the name, or the weights cannot be loaded.

    Example:
        >>> tower = create_vision_tower("open_clip:ViT-B-32")  # doctest: +SKIP
        >>> tower(torch.zeros(1, 3, 224, 224)).shape  # doctest: +SKIP
        torch.Size([1, 512])
    """
    name = full_tower_name(name)
    kind, _, model = name.partition(":")
    builders = {"open_clip": _open_clip, "torchvision": _torchvision, "transformers": _transformers}
    if kind not in builders:
        raise ValueError(
            f"{name}: these features were made elsewhere, no tower is known that embeds further images"
        )
    try:
        with torch.device("cpu"):  # transformers may be building the model around it on the meta device
            encoder, size, preprocess = builders[kind](model, is_pretrained)
    except ImportError as error:
        raise ImportError(
            f'{kind} towers need the extra clip: pip install "eeg-hf[clip]" ({error})'
        ) from None
    except (RuntimeError, KeyError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"vision tower {name}: {reason[:300]}") from None
    return VisionTower(name, encoder, size, preprocess).eval()


def _open_clip(name: str, is_pretrained: bool) -> tuple[nn.Module, int, Callable]:
    import open_clip

    has_scheme = name.startswith(("local-dir:", "hf-hub:"))  # open_clip's schemes contain the weights
    model, _, tag = (name, "", "") if has_scheme else name.partition(":")
    if is_pretrained and not (tag or has_scheme):
        _warn_of_random_weights(f"open_clip:{name}", "openai")
    clip, _, preprocess = open_clip.create_model_and_transforms(
        model, pretrained=tag or None, load_weights=is_pretrained, pretrained_text=False
    )
    size = open_clip.get_model_config(model)["embed_dim"] if not has_scheme else None
    return clip.visual, size or _measure_size(clip.visual, preprocess), preprocess


def _torchvision(name: str, is_pretrained: bool) -> tuple[nn.Module, int, Callable]:
    from torchvision import models

    model, _, tag = name.partition(":")
    if is_pretrained and not tag:
        _warn_of_random_weights(f"torchvision:{name}", "IMAGENET1K_V1")
    encoder = models.get_model(model, weights=tag if tag and is_pretrained else None)
    # The attribute of the last layer differs between the families of torchvision
    head = next((part for part in ("heads", "head", "fc", "classifier") if hasattr(encoder, part)), None)
    if head is None:
        raise ValueError("expected a classifier, whose last layer can be removed")
    setattr(encoder, head, nn.Identity())  # features, not classes
    preprocess = models.get_model_weights(model).DEFAULT.transforms()
    return encoder, _measure_size(encoder, preprocess), preprocess


def _transformers(name: str, is_pretrained: bool) -> tuple[nn.Module, int, Callable]:
    if is_pretrained:
        encoder = AutoModel.from_pretrained(name)
    else:
        encoder = AutoModel.from_config(AutoConfig.from_pretrained(name))
    for part in (
        "text_model",
        "text_projection",
        "logit_scale",
        "logit_bias",
    ):  # of models of images and text
        encoder._modules.pop(part, None)
        encoder._parameters.pop(part, None)
    processor = AutoImageProcessor.from_pretrained(name)

    def preprocess(image: Any) -> torch.Tensor:
        return processor(image, return_tensors="pt")["pixel_values"][0]

    return encoder, _measure_size(encoder, preprocess), preprocess


def _warn_of_random_weights(name: str, tag: str) -> None:
    logger.warning(f"{name} names no weights, so they are random: add a tag, as in {name}:{tag}")


def _measure_size(encoder: nn.Module, preprocess: Callable[[Any], torch.Tensor]) -> int:
    """Return the number of features of an image."""
    with torch.no_grad():
        pixels = preprocess(Image.new("RGB", (8, 8)))[None]
        return VisionTower("", encoder.eval(), 0, preprocess)(pixels).shape[-1]
