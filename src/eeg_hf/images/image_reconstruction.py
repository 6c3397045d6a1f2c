# SPDX-License-Identifier: Apache-2.0
"""What did they see: from an embedding of EEG to the embedding of an image, and from there to an image.

The first step is a ridge regression ([`EmbeddingPrior`]). The second has three ways: a small decoder trained
on the user's images ([`ImageDecoder`]), the nearest of these images, or a pipeline of diffusers
([`ImageDiffusion`]), as https://arxiv.org/abs/2403.07721 does it. That a picture looks like something says
nothing: the last two ways draw a convincing one of any embedding. Two-way identification tells.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from .embedding_prior import EmbeddingPrior
from .image_decoder import ImageDecoder, fit_image_decoder

if TYPE_CHECKING:
    from .image_diffusion import ImageDiffusion

_CONFIG, _WEIGHTS = "image_reconstructor.json", "image_reconstructor.safetensors"
_PRIOR = ("weight", "eeg_mean", "image_mean", "image_length")


class EEGImageReconstructor:
    """Reconstructs images from embeddings of EEG.

    Args:
        prior: From embeddings of EEG to those of images.
        gallery_embeddings: (images, size), of the images that it may answer with.
        gallery_images: (images, height, width, 3) uint8, in the same order.
        decoder: From embeddings to images, if there is one.

    Example:
        >>> reconstructor = EEGImageReconstructor.fit(eeg, embeddings, images)  # doctest: +SKIP
        >>> seen = reconstructor.decode(new_eeg)  # (n, size, size, 3)  # doctest: +SKIP
        >>> reconstructor.save_pretrained("runs/images")  # doctest: +SKIP
    """

    def __init__(
        self,
        prior: EmbeddingPrior,
        gallery_embeddings: np.ndarray,
        gallery_images: np.ndarray,
        decoder: ImageDecoder | None = None,
    ) -> None:
        self.prior, self.decoder = prior, decoder
        self.gallery_embeddings = np.asarray(gallery_embeddings, np.float32)
        self.gallery_images = np.asarray(gallery_images)
        self._check_gallery()

    @classmethod
    def fit(
        cls,
        eeg_embeddings: ArrayLike,
        image_embeddings: ArrayLike,
        images: np.ndarray,
        groups: ArrayLike | None = None,
        decoder_options: Mapping[str, Any] | None = None,
        has_decoder: bool = True,
    ) -> "EEGImageReconstructor":
        """Fit the prior, and train the decoder on what it says of images that it was not fitted to.

        A decoder that only ever saw the images' own embeddings takes the noise of EEG for detail.

        Args:
            eeg_embeddings: (n, d) from any encoder: embeddings of an EEG-CLIP, or the latents of a masked
                autoencoder, flattened; average the trials of an image.
            image_embeddings: (n, size), of what was seen.
            images: (n, height, height, 3) uint8, what was seen; see [`read_images`].
            groups: (n,) what no fold of the prior may share with another, such as the concept.
            decoder_options: What [`fit_image_decoder`] takes.
            has_decoder: Whether to train one.

        Raises:
            ValueError: If lengths differ, there are fewer than two images or groups, or the images are not
                square.
        """
        embeddings = np.asarray(image_embeddings, np.float32)
        prior, unseen = EmbeddingPrior.fit(eeg_embeddings, embeddings, groups)
        reconstructor = cls(prior, embeddings, images)
        if has_decoder:
            variants = np.stack([embeddings, unseen])
            reconstructor.decoder = fit_image_decoder(variants, images, **(decoder_options or {}))
        return reconstructor

    def decode(self, eeg_embeddings: ArrayLike) -> np.ndarray:
        """Return what the decoder draws (n, height, height, 3) uint8.

        Raises:
            ValueError: If there is no decoder, or the embeddings are of another size.
        """
        if self.decoder is None:
            raise ValueError("this reconstructor has no decoder: fit it with has_decoder=True")
        return self.decoder.draw(self.prior.predict(eeg_embeddings))

    def nearest(self, eeg_embeddings: ArrayLike, num_nearest: int = 1) -> np.ndarray:
        """Return which images of the gallery are nearest (n, num_nearest), the best first.

        Compared are directions from the mean: what the prior does not know it leaves at the mean, and plain
        cosines would answer with the most ordinary image.

        Raises:
            ValueError: If the gallery has fewer, or the embeddings are of another size.
        """
        if not 1 <= num_nearest <= len(self.gallery_images):
            raise ValueError(f"num_nearest: expected 1 to {len(self.gallery_images)}, got {num_nearest}")
        said = self.prior.predict(eeg_embeddings) - self.prior.image_mean
        others = self.gallery_embeddings - self.prior.image_mean
        lengths = np.linalg.norm(others, axis=1)
        cosines = said @ (others / np.maximum(lengths, np.finfo(np.float32).tiny)[:, None]).T
        return np.argsort(-cosines, axis=1, kind="stable")[:, :num_nearest]

    def retrieve(self, eeg_embeddings: ArrayLike, num_nearest: int = 1) -> np.ndarray:
        """Return the nearest images of the gallery (n, height, width, 3) uint8, or the mean of several."""
        chosen = self.nearest(eeg_embeddings, num_nearest)
        blends = [self.gallery_images[rows].mean(axis=0).round().astype(np.uint8) for rows in chosen]
        return np.stack(blends)

    def diffuse(self, eeg_embeddings: ArrayLike, diffusion: "ImageDiffusion") -> np.ndarray:
        """Return what a pipeline of diffusers draws (n, height, width, 3) uint8.

        Raises:
            ValueError: If the pipeline takes embeddings of another size than the prior gives, or the prior
                was fitted to embeddings that had been divided by their length.
        """
        if np.allclose(np.linalg.norm(self.gallery_embeddings, axis=1), 1, atol=1e-3):
            raise ValueError(
                "image embeddings: all are of unit length, expected what the pipeline's image encoder says "
                "before it is divided by its length, as eeg-hf embed-images writes it"
            )
        return diffusion.draw(self.prior.predict(eeg_embeddings, is_stretched=True))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write prior, gallery and decoder as safetensors, and the decoder's settings as JSON.

        The gallery are the images themselves: see their licence before you upload the folder.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"prior.{name}": np.asarray(getattr(self.prior, name), np.float32) for name in _PRIOR}
        arrays |= {"gallery.embeddings": self.gallery_embeddings, "gallery.images": self.gallery_images}
        if self.decoder is not None:
            weights = self.decoder.state_dict()
            arrays |= {f"decoder.{name}": tensor.cpu().numpy() for name, tensor in weights.items()}
        save_file(
            {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()},
            folder / _WEIGHTS,
        )
        config = {"decoder": None if self.decoder is None else self.decoder.config}
        (folder / _CONFIG).write_text(json.dumps(config, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, name: str | Path, revision: str | None = None) -> "EEGImageReconstructor":
        """Read what `save_pretrained` wrote.

        Args:
            name: Its folder, or a repository of the Hub that it was uploaded to.
            revision: Branch, tag or commit of the repository.

        Raises:
            FileNotFoundError: If the folder holds none.
            OSError: If it is no folder, and the Hub has none of that name or cannot be asked.
            ValueError: If it holds only part of one.
        """
        import torch
        from huggingface_hub import snapshot_download

        folder = Path(name)
        if not folder.exists() and re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
            folder = Path(snapshot_download(str(name), revision=revision, allow_patterns=[_CONFIG, _WEIGHTS]))
        for name in (_CONFIG, _WEIGHTS):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder}: expected a reconstructor of images, it has no {name}")
        try:
            config = json.loads((folder / _CONFIG).read_text())["decoder"]
            arrays = load_file(folder / _WEIGHTS)
            prior = EmbeddingPrior(**{name: arrays[f"prior.{name}"] for name in _PRIOR})
            decoder = None if config is None else ImageDecoder(**config)
            if decoder is not None:
                names = decoder.state_dict()
                decoder.load_state_dict({name: torch.from_numpy(arrays[f"decoder.{name}"]) for name in names})
            return cls(prior, arrays["gallery.embeddings"], arrays["gallery.images"], decoder)
        except (SafetensorError, KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
            raise ValueError(f"{folder}: expected what save_pretrained wrote ({error})") from None

    def _check_gallery(self) -> None:
        embeddings, images = self.gallery_embeddings, self.gallery_images
        if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8 or not images.size:
            raise ValueError(
                f"images: expected uint8 (n, height, width, 3), not empty, got {images.dtype} {images.shape}"
            )
        size = len(self.prior.image_mean)
        if embeddings.shape != (len(images), size):
            raise ValueError(
                f"expected an embedding of each image, ({len(images)}, {size}), got {embeddings.shape}"
            )
