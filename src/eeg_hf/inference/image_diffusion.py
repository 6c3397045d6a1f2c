# SPDX-License-Identifier: Apache-2.0
"""From embeddings to images by a pipeline of diffusers whose weights the user names.

Two kinds are driven by an image embedding alone, with an empty prompt: Stable unCLIP
(`StableUnCLIPImg2ImgPipeline`), and Stable Diffusion with an IP-Adapter (`StableDiffusionPipeline`,
`StableDiffusionXLPipeline`).

The embeddings must be those of the pipeline's own image encoder, not brought to unit length and without a
projection head of ours: scripts/embed_images.py makes them with the tower that the pipeline was trained with,
ViT-H-14 of LAION for Stable unCLIP 2.1-h and for the IP-Adapters of Stable Diffusion 1.5.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

_INSTALL = 'pip install "eeg-hf[diffusion]"'
# Argument of the pipeline's call that takes embeddings: what the kind is called
_KINDS = {
    "ip_adapter_image_embeds": "IP-Adapter",
    "image_embeds": "Stable unCLIP",
}


class ImageDiffusion:
    """A pipeline of diffusers that draws an image embedding.

    Args:
        pipeline: Of one of the two kinds; an IP-Adapter is loaded already.
        seed: Seed of the noise, the same for each image: an image depends on nothing but its embedding.
        **options: What the pipeline's call takes, such as `num_inference_steps` or `guidance_scale`.

    Raises:
        ValueError: If the pipeline takes no image embedding, its IP-Adapter is missing or takes more than an
            embedding, or it has no such option.

    Example:
        >>> diffusion = ImageDiffusion.from_pretrained("models/stable-unclip")  # doctest: +SKIP
        >>> images = diffusion.draw(image_embeddings)  # doctest: +SKIP
    """

    def __init__(self, pipeline: Any, seed: int = 0, **options: Any) -> None:
        self.pipeline, self.seed, self.options = pipeline, seed, options
        accepted = inspect.signature(pipeline.__call__).parameters
        self.argument = next((name for name in _KINDS if name in accepted), "")
        is_other = "negative_image_embeds" in accepted  # of Kandinsky
        is_other |= self.argument == "ip_adapter_image_embeds" and "image" in accepted  # it changes an image
        if not self.argument or is_other:
            raise ValueError(
                f"{type(pipeline).__name__}: expected a pipeline that draws image embeddings (Stable unCLIP, "
                "or Stable Diffusion with an IP-Adapter)"
            )
        unknown = sorted(set(options) - set(accepted))
        if unknown:
            raise ValueError(f"{type(pipeline).__name__} has no option {', '.join(unknown)}")
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
        """Load a pipeline.

        Args:
            name: Its folder or its name on the Hub.
            ip_adapter: What its `load_ip_adapter` takes: `pretrained_model_name_or_path_or_dict`, `subfolder`
                and `weight_name`.
            device: Where it draws.
            dtype: Precision of its weights; float16 halves the memory of a GPU.
            seed: See the class.
            **options: See the class.

        Raises:
            ImportError: If diffusers is not there.
            OSError: If there is no such pipeline on the Hub.
            ValueError: If there is no such folder, and what the class refuses.
        """
        try:
            from diffusers import DiffusionPipeline
        except ImportError:
            raise ImportError(f"drawing by diffusion needs diffusers: {_INSTALL}") from None
        # Weights in pickles, which can run code, are not read
        pipeline = DiffusionPipeline.from_pretrained(name, dtype=dtype, use_safetensors=True)
        if ip_adapter is not None:
            pipeline.load_ip_adapter(image_encoder_folder=None, **ip_adapter)  # nothing is left to encode
        pipeline.to(device)
        pipeline.set_progress_bar_config(disable=True)
        return cls(pipeline, seed, **options)

    def draw(self, embeddings: np.ndarray) -> np.ndarray:
        """Return images (n, height, width, 3) uint8, drawn one at a time.

        Args:
            embeddings: (n, embedding_size).

        Raises:
            ValueError: If the embeddings are of another size.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.embedding_size or not len(embeddings):
            raise ValueError(
                f"{_KINDS[self.argument]}: expected image embeddings (n, {self.embedding_size}) of its own "
                f"encoder, got {embeddings.shape}"
            )
        pipeline, drawn = self.pipeline, []
        for row in torch.from_numpy(np.asarray(embeddings, np.float32)):
            generator = torch.Generator(pipeline.device).manual_seed(self.seed)
            given = self._conditioning(row[None].to(pipeline.device, pipeline.dtype))
            image = pipeline(generator=generator, output_type="np", **given, **self.options).images[0]
            drawn.append((np.clip(image, 0, 1) * 255).round().astype(np.uint8))
        return np.stack(drawn)

    def _conditioning(self, embedding: torch.Tensor) -> dict[str, Any]:
        """Return what the call takes of an embedding (1, embedding_size)."""
        prompt = {} if "prompt" in self.options else {"prompt": ""}
        if self.argument == "image_embeds":
            return {"image_embeds": embedding, **prompt}
        default = inspect.signature(self.pipeline.__call__).parameters["guidance_scale"].default
        if self.options.get("guidance_scale", default) > 1:  # then it wants what is to be avoided before it
            embedding = torch.cat([torch.zeros_like(embedding), embedding])
        return {"ip_adapter_image_embeds": [embedding[:, None]], **prompt}

    def _find_embedding_size(self) -> int:
        if self.argument == "image_embeds":
            return self.pipeline.image_normalizer.config.embedding_dim
        projections = getattr(getattr(self.pipeline, "unet", None), "encoder_hid_proj", None)
        adapters = list(getattr(projections, "image_projection_layers", []))
        if len(adapters) != 1 or not hasattr(adapters[0], "image_embeds"):
            raise ValueError(
                f"{type(self.pipeline).__name__}: expected one IP-Adapter that takes an embedding, not a "
                f"plus, full or face one, got {[type(adapter).__name__ for adapter in adapters]}"
            )
        return adapters[0].image_embeds.in_features
