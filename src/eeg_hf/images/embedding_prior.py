# SPDX-License-Identifier: Apache-2.0
"""Ridge regression from an embedding of EEG to the embedding of the image that the subject saw.

Trials are few and noisy, and training an EEG-CLIP model has already aligned both spaces: beyond a linear map
whose penalty is cross-validated, there is little left for a deeper prior to find.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_FOLDS = 5
_PENALTIES = np.logspace(-3, 3, 13)  # relative to the mean eigenvalue of the embeddings' scatter


@dataclass(frozen=True)
class EmbeddingPrior:
    """A linear map from embeddings of EEG to embeddings of images.

    Attributes:
        weight: (d, size), from EEG to images.
        eeg_mean: (d,), mean of the EEG embeddings it was fitted to.
        image_mean: (size,), mean of the image embeddings, predicted for uninformative EEG.
        image_length: Mean distance of the image embeddings from their mean.
    """

    weight: np.ndarray
    eeg_mean: np.ndarray
    image_mean: np.ndarray
    image_length: np.ndarray | float

    @classmethod
    def fit(
        cls, eeg_embeddings: ArrayLike, image_embeddings: ArrayLike, groups: ArrayLike | None = None
    ) -> "tuple[EmbeddingPrior, np.ndarray]":
        """Fit the map and choose its penalty by cross-validation.

        Args:
            eeg_embeddings: (n, d).
            image_embeddings: (n, size), of the images seen, in the same order.
            groups: (n,) groups that folds keep together, such as the image or its concept.

        Returns:
            The prior, and out-of-fold predictions (n, size) for the n rows: as far from the images as
            predictions for new EEG will be, where in-sample predictions are too close.

        Raises:
            ValueError: If shapes differ, a number is not finite, or there are fewer than two groups.
        """
        from sklearn.linear_model import Ridge, RidgeCV  # slow to import, and prediction does without it
        from sklearn.model_selection import GroupKFold, cross_val_predict

        eeg, images = _check_embeddings(eeg_embeddings, image_embeddings)
        owners = np.arange(len(eeg)) if groups is None else np.asarray(groups)
        if len(owners) != len(eeg):
            raise ValueError(f"groups: expected one for each of {len(eeg)} rows, got {len(owners)}")
        num_groups = len(np.unique(owners))
        if num_groups < 2:
            raise ValueError(f"expected two or more images to learn from, got {num_groups}")
        folds = list(GroupKFold(min(_FOLDS, num_groups)).split(eeg, groups=owners))
        scatter = len(eeg) * float(np.var(eeg, axis=0).mean())
        penalties = _PENALTIES * max(scatter, np.finfo(float).tiny)
        search = RidgeCV(penalties, cv=folds, scoring="neg_mean_squared_error").fit(eeg, images)
        unseen = cross_val_predict(Ridge(search.alpha_), eeg, images, cv=folds)
        center = images.mean(axis=0)
        length = float(np.linalg.norm(images - center, axis=1).mean())
        weight, eeg_mean, image_mean = (
            np.ascontiguousarray(array, np.float32) for array in (search.coef_.T, eeg.mean(axis=0), center)
        )
        return cls(weight, eeg_mean, image_mean, length), unseen.astype(np.float32)

    def predict(self, eeg_embeddings: ArrayLike, is_stretched: bool = False) -> np.ndarray:
        """Return embeddings of images (n, size).

        Args:
            eeg_embeddings: (n, d).
            is_stretched: Scale predictions to the mean distance of images from their mean. Regression shrinks
                uncertain predictions towards the mean; a diffusion model was never trained on embeddings so
                close to it.

        Raises:
            ValueError: If the embeddings are empty, of another size than fitted, or not finite.
        """
        eeg = np.asarray(eeg_embeddings, np.float32)
        if eeg.ndim != 2 or eeg.shape[1] != len(self.weight) or not len(eeg):
            raise ValueError(f"expected EEG embeddings (n, {len(self.weight)}), got {eeg.shape}")
        if not np.isfinite(eeg).all():
            raise ValueError("EEG embeddings: expected finite numbers, got NaN or infinite")
        offsets = (eeg - self.eeg_mean) @ self.weight  # (n, size), from the mean image
        if is_stretched:
            lengths = np.linalg.norm(offsets, axis=1, keepdims=True)
            offsets *= np.divide(self.image_length, lengths, out=np.ones_like(lengths), where=lengths > 0)
        return self.image_mean + offsets


def _check_embeddings(eeg: ArrayLike, images: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64 arrays, or raise unless they are finite and of one length."""
    pair = np.asarray(eeg, float), np.asarray(images, float)
    for name, values in zip(("EEG", "image"), pair, strict=True):
        if values.ndim != 2 or not values.size or not np.isfinite(values).all():
            wrong = "NaN or infinite" if values.ndim == 2 and values.size else values.shape
            raise ValueError(f"expected finite {name} embeddings (n, size), got {wrong}")
    if len(pair[0]) != len(pair[1]):
        raise ValueError(
            f"expected as many embeddings of EEG as of images, got {len(pair[0])} and {len(pair[1])}"
        )
    return pair
