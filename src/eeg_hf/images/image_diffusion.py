# SPDX-License-Identifier: Apache-2.0
"""Images from embeddings by a diffusers pipeline whose weights the user names.

Three kinds of pipeline can be conditioned on an image embedding alone, with an empty prompt: Stable unCLIP
(`StableUnCLIPImg2ImgPipeline`), Stable Diffusion with an IP-Adapter (`StableDiffusionPipeline`,
`StableDiffusionXLPipeline`), and the decoder of Kandinsky 2.2 (`KandinskyV22Pipeline`).

The embeddings must come from the pipeline's own image encoder, unnormalised and without a projection head of
this package: `eeg-hf embed-images` computes them with the tower the pipeline was trained with. A pipeline
does not record its tower; embeddings of another tower of the same size give noise or always the same image.

    open_clip:ViT-H-14:laion2b_s32b_b79k      1024   stable-diffusion-2-1-unclip, IP-Adapters sd15, sdxl_vit-h
    open_clip:ViT-L-14:openai                  768   stable-diffusion-2-1-unclip-small
    open_clip:ViT-bigG-14:laion2b_s39b_b160k  1280   IP-Adapter sdxl, kandinsky-2-2-decoder
"""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

_INSTALL = 'pip install "eeg-hf[diffusion]"'
_ADAPTER, _NEGATIVE = "ip_adapter_image_embeds", "negative_image_embeds"
_MAX_RATIO = 3.0  # between the mean length of embeddings and that of Stable unCLIP's training embeddings


class ImageDiffusion:
    """A diffusers pipeline that draws images from image embeddings.

    Args:
        pipeline: A pipeline of one of the three kinds, with its IP-Adapter already loaded.
        seed: Seed of the noise, the same for each image, so that an image depends on its embedding alone.
        **options: Arguments of the pipeline's call, such as `num_inference_steps`, `guidance_scale` or
            `noise_level`. Kandinsky needs `negative_image_embeds` (1, embedding_size), which
            `get_zero_embed` of its prior pipeline returns.

    Raises:
        ValueError: If the pipeline takes no image embedding, its IP-Adapter is missing or needs more than an
            embedding, or an option is unknown.

    Example:
        >>> diffusion = ImageDiffusion.from_pretrained("models/stable-unclip")  # doctest: +SKIP
        >>> images = diffusion.draw(image_embeddings)  # doctest: +SKIP
    """

    def __init__(self, pipeline: Any, seed: int = 0, **options: Any) -> None:
        self.pipeline, self.seed, self.options = pipeline, seed, options
        self._parameters = inspect.signature(pipeline.__call__).parameters
        self._name = type(pipeline).__name__
        if unknown := sorted(set(options) - set(self._parameters)):
            raise ValueError(f"{self._name} has no option {', '.join(unknown)}")
        self.embedding_size = self._find_embedding_size()

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        ip_adapter: Mapping[str, str] | None = None,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        **options: Any,
    ) -> "ImageDiffusion":
        """Load a pipeline from a folder or the Hub.

        Args:
            name: Its folder or its name on the Hub.
            ip_adapter: Arguments of its `load_ip_adapter`: `pretrained_model_name_or_path_or_dict`,
                `subfolder` and `weight_name`.
            device: Device of the pipeline.
            dtype: Dtype of its weights; float16 halves the GPU memory.
            seed: As for the class.
            **options: As for the class.

        Raises:
            ImportError: If diffusers is not installed.
            OSError: If the Hub has no such pipeline.
            ValueError: If the folder does not exist, or for the reasons of the class.
        """
        try:
            from diffusers import DiffusionPipeline
        except ImportError:
            raise ImportError(f"image diffusion needs diffusers: {_INSTALL}") from None
        # use_safetensors refuses pickled weights, which can run code
        pipeline = DiffusionPipeline.from_pretrained(name, dtype=dtype, use_safetensors=True)
        if ip_adapter is not None:
            pipeline.load_ip_adapter(image_encoder_folder=None, **ip_adapter)  # images arrive embedded
        pipeline.to(device)
        pipeline.set_progress_bar_config(disable=True)
        return cls(pipeline, seed, **options)

    def draw(self, embeddings: np.ndarray) -> np.ndarray:
        """Return images (n, height, width, 3) uint8.

        Args:
            embeddings: (n, embedding_size); the pipeline runs once for each.

        Raises:
            ValueError: If the embeddings are of another size, not finite, or far too short or too long.
        """
        embeddings = np.asarray(embeddings, np.float32)
        if embeddings.ndim != 2 or embeddings.shape[1] != self.embedding_size or not len(embeddings):
            raise ValueError(
                f"{self._name}: expected image embeddings (n, {self.embedding_size}) of its own encoder, got "
                f"{embeddings.shape}"
            )
        self._check_lengths(np.linalg.norm(embeddings, axis=1))
        drawn = []
        for row in torch.from_numpy(embeddings):
            conditioning = self._conditioning(row[None].to(self.pipeline.device, self.pipeline.dtype))
            generator = torch.Generator().manual_seed(self.seed)  # on the CPU: equal noise on every device
            call = {"output_type": "np", "generator": generator, **self.options, **conditioning}
            image = self.pipeline(**call).images[0]  # (height, width, 3), from 0 to 1
            drawn.append((np.clip(image, 0, 1) * 255).round().astype(np.uint8))
        return np.stack(drawn)

    def _conditioning(self, embedding: torch.Tensor) -> dict[str, Any]:
        """Return the arguments of the pipeline's call for an embedding (1, embedding_size)."""
        prompt = {"prompt": ""} if "prompt" in self._parameters and "prompt" not in self.options else {}
        if _NEGATIVE in self.options:
            negative = torch.as_tensor(self.options[_NEGATIVE]).to(embedding)
            return {"image_embeds": embedding, _NEGATIVE: negative, **prompt}
        if _ADAPTER not in self._parameters:
            return {"image_embeds": embedding, **prompt}
        default = self._parameters["guidance_scale"].default
        if self.options.get("guidance_scale", default) > 1:  # guidance needs the negative embedding first
            embedding = torch.cat([torch.zeros_like(embedding), embedding])
        return {_ADAPTER: [embedding[:, None]], **prompt}

    def _find_embedding_size(self) -> int:
        normalizer = getattr(self.pipeline, "image_normalizer", None)
        if "image_embeds" in self._parameters and normalizer is not None:
            return normalizer.config.embedding_dim
        unet = getattr(self.pipeline, "unet", None)
        if _NEGATIVE in self._parameters and not {"prompt", "hint", "image"} & set(self._parameters):
            return self._find_kandinsky_size(unet)
        # A pipeline that takes an image edits it instead of drawing a new one
        if _ADAPTER not in self._parameters or "image" in self._parameters:
            raise ValueError(
                f"{self._name}: expected a pipeline that draws from embeddings (Stable unCLIP, Stable "
                "Diffusion with an IP-Adapter, or the decoder of Kandinsky 2.2)"
            )
        adapters = list(getattr(getattr(unet, "encoder_hid_proj", None), "image_projection_layers", []))
        if len(adapters) != 1 or not hasattr(adapters[0], "image_embeds"):
            raise ValueError(
                f"{self._name}: expected one IP-Adapter that takes an embedding, not a plus, full or face "
                f"one, got {[type(adapter).__name__ for adapter in adapters]}"
            )
        return adapters[0].image_embeds.in_features

    def _find_kandinsky_size(self, unet: Any) -> int:
        size = unet.config.encoder_hid_dim
        shape = tuple(getattr(self.options.get(_NEGATIVE), "shape", ()))
        if shape != (1, size):
            raise ValueError(
                f"{self._name}: expected the option {_NEGATIVE} (1, {size}) from get_zero_embed of its "
                f"prior, got {shape or 'none'}"
            )
        return size

    def _check_lengths(self, lengths: np.ndarray) -> None:
        if not np.isfinite(lengths).all():
            raise ValueError("image embeddings: expected finite numbers, got NaN or infinite")
        normalizer = getattr(self.pipeline, "image_normalizer", None)
        if normalizer is None:
            return
        mean, deviation = (part.detach().float() for part in (normalizer.mean, normalizer.std))
        usual, length = float(torch.hypot(mean, deviation).norm()), float(np.mean(lengths))
        if not usual / _MAX_RATIO < length < usual * _MAX_RATIO:
            raise ValueError(
                f"{self._name}: expected image embeddings of length {usual:.1f} or so, as from its encoder, "
                f"got {length:.1f}: they are of another tower, or normalised to unit length"
            )
