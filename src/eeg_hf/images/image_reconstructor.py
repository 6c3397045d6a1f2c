# SPDX-License-Identifier: Apache-2.0
"""Reconstruction of the image that a subject saw from an embedding of EEG.

A ridge regression ([`EmbeddingPrior`]) maps the EEG embedding to an image embedding. Then one of three
methods gives an image: a small decoder trained on the user's images ([`ImageDecoder`]), the nearest of these
images, or a diffusers pipeline ([`ImageDiffusion`]) as in https://arxiv.org/abs/2403.07721. A realistic image
is no evidence, since the last two methods return one for any embedding: judge by two-way identification.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from huggingface_hub import snapshot_download
from numpy.typing import ArrayLike
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from .embedding_prior import EmbeddingPrior
from .image_decoder import ImageDecoder, fit_image_decoder

if TYPE_CHECKING:
    from .image_diffusion import ImageDiffusion

_CONFIG, _WEIGHTS = "image_reconstructor.json", "image_reconstructor.safetensors"
_PRIOR = ("weight", "eeg_mean", "image_mean", "image_length")  # in the file of weights


class EEGImageReconstructor:
    """Reconstruct images from embeddings of EEG.

    Args:
        prior: Map from EEG embeddings to image embeddings.
        gallery_embeddings: (images, size), embeddings of the images that can be retrieved.
        gallery_images: (images, height, width, 3) uint8, in the same order.
        decoder: Map from image embeddings to images; None for retrieval and diffusion only.

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
        """Fit the prior, and train the decoder on the images' embeddings and the prior's predictions.

        The predictions are out of fold. A decoder trained on the images' own embeddings alone would take the
        noise of EEG for detail.

        Args:
            eeg_embeddings: (n, d) from any encoder, such as the embeddings of an EEG-CLIP or the flattened
                latents of a masked autoencoder, averaged over the trials of an image.
            image_embeddings: (n, size), embeddings of the images seen.
            images: (n, height, height, 3) uint8, the images seen; see [`read_images`].
            groups: (n,) groups that the folds of the prior keep together, such as the concept.
            decoder_options: Options of [`fit_image_decoder`].
            has_decoder: Whether to train a decoder.

        Raises:
            ValueError: If lengths differ, there are fewer than two images or groups, or the images are not
                square.
        """
        embeddings = np.asarray(image_embeddings, np.float32)
        prior, unseen = EmbeddingPrior.fit(eeg_embeddings, embeddings, groups)
        reconstructor = cls(prior, embeddings, images)
        if has_decoder:
            variants = np.stack([embeddings, unseen])  # (2, n, size)
            reconstructor.decoder = fit_image_decoder(variants, images, **(decoder_options or {}))
        return reconstructor

    def decode(self, eeg_embeddings: ArrayLike) -> np.ndarray:
        """Return the decoder's images (n, height, height, 3) uint8.

        Raises:
            ValueError: If there is no decoder, or the embeddings are of another size.
        """
        if self.decoder is None:
            raise ValueError("this reconstructor has no decoder: fit it with has_decoder=True")
        return self.decoder.draw(self.prior.predict(eeg_embeddings))

    def nearest(self, eeg_embeddings: ArrayLike, num_nearest: int = 1) -> np.ndarray:
        """Return the indices of the nearest gallery images (n, num_nearest), the best first.

        Similarity is the cosine of offsets from the mean image. The prior shrinks uncertain predictions
        towards the mean, where plain cosines would select the most ordinary image.

        Raises:
            ValueError: If the gallery is smaller than `num_nearest`, or the embeddings are of another size.
        """
        if not 1 <= num_nearest <= len(self.gallery_images):
            raise ValueError(f"num_nearest: expected 1 to {len(self.gallery_images)}, got {num_nearest}")
        predicted = self.prior.predict(eeg_embeddings) - self.prior.image_mean  # (n, size)
        gallery = self.gallery_embeddings - self.prior.image_mean  # (images, size)
        lengths = np.linalg.norm(gallery, axis=1)
        # The length of a prediction does not change the order of its cosines
        cosines = predicted @ (gallery / np.maximum(lengths, np.finfo(np.float32).tiny)[:, None]).T
        return np.argsort(-cosines, axis=1, kind="stable")[:, :num_nearest]

    def retrieve(self, eeg_embeddings: ArrayLike, num_nearest: int = 1) -> np.ndarray:
        """Return the mean of the nearest gallery images (n, height, width, 3) uint8."""
        nearest = self.nearest(eeg_embeddings, num_nearest)
        return np.stack([self.gallery_images[rows].mean(axis=0).round().astype(np.uint8) for rows in nearest])

    def diffuse(self, eeg_embeddings: ArrayLike, diffusion: "ImageDiffusion") -> np.ndarray:
        """Return the images of a diffusers pipeline (n, height, width, 3) uint8.

        Raises:
            ValueError: If the pipeline takes embeddings of another size, or the prior was fitted to
                embeddings normalised to unit length.
        """
        if np.allclose(np.linalg.norm(self.gallery_embeddings, axis=1), 1, atol=1e-3):
            raise ValueError(
                "image embeddings: all are of unit length, expected the unnormalised ones of the "
                "pipeline's image encoder, as eeg-hf embed-images writes them"
            )
        return diffusion.draw(self.prior.predict(eeg_embeddings, is_stretched=True))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write prior, gallery and decoder as safetensors, and the decoder's settings as JSON.

        The gallery contains the images themselves: check their licence before you upload the folder.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"prior.{name}": np.asarray(getattr(self.prior, name), np.float32) for name in _PRIOR}
        arrays |= {"gallery.embeddings": self.gallery_embeddings, "gallery.images": self.gallery_images}
        if self.decoder is not None:
            weights = self.decoder.state_dict()
            arrays |= {f"decoder.{name}": tensor.cpu().numpy() for name, tensor in weights.items()}
        # save_file writes the memory of a view as it lies, in the wrong order
        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, folder / _WEIGHTS)
        config = {"decoder": None if self.decoder is None else self.decoder.config}
        (folder / _CONFIG).write_text(json.dumps(config, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, name: str | Path, revision: str | None = None) -> "EEGImageReconstructor":
        """Read a reconstructor that `save_pretrained` wrote.

        Args:
            name: Its folder, or its repository on the Hub.
            revision: Branch, tag or commit of the repository.

        Raises:
            FileNotFoundError: If the folder holds no reconstructor.
            OSError: If there is no such folder, and no such repository or no connection to the Hub.
            ValueError: If the files are damaged or incomplete.
        """
        folder = Path(name)
        if not folder.exists() and re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)):
            folder = Path(snapshot_download(str(name), revision=revision, allow_patterns=[_CONFIG, _WEIGHTS]))
        for name in (_CONFIG, _WEIGHTS):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder}: expected an image reconstructor, it has no {name}")
        try:
            config = json.loads((folder / _CONFIG).read_text())["decoder"]
            arrays = load_file(folder / _WEIGHTS)
            prior = EmbeddingPrior(**{name: arrays[f"prior.{name}"] for name in _PRIOR})
            decoder = None if config is None else ImageDecoder(**config)
            if decoder is not None:
                weights = {name: torch.from_numpy(arrays[f"decoder.{name}"]) for name in decoder.state_dict()}
                decoder.load_state_dict(weights)
            return cls(prior, arrays["gallery.embeddings"], arrays["gallery.images"], decoder)
        except (SafetensorError, KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{folder}: expected the files of save_pretrained ({reason})") from None

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
