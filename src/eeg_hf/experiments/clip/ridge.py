# SPDX-License-Identifier: Apache-2.0
"""Ridge regression from a window to the embedding of its image: the baseline of retrieval.

This is the linear decoder of the literature (https://arxiv.org/abs/2310.19812): it maps all samples of a
window at once, with one weight per channel and time, and the validation part selects the penalty. The
embeddings of the images are standardised by those of the training images, in the targets and in the gallery,
so that no dimension dominates the cosine.

Windows are summed batch by batch, so memory holds (channels x time)² numbers instead of the corpus: 29 MB for
19 channels of 100 samples, 2 GB for 63 of 250.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import scipy.linalg
import torch
from datasets import Dataset, DatasetDict
from transformers.utils import logging

logger = logging.get_logger(__name__)

# In units of the mean square of a sample times the number of windows
PENALTIES = 10.0 ** np.arange(2.0, -4.5, -0.5)

Reader = Callable[[Dataset], Iterable[dict[str, torch.Tensor]]]


class Moments:
    """Sums over windows x (with a constant 1) and targets y, as a least-squares fit needs them.

    Args:
        windows: Blocks (windows, features).
        targets: Targets of all windows, (windows, size).

    Attributes:
        gram: Sum of x xᵀ, (features + 1, features + 1).
        cross: Sum of x yᵀ, (features + 1, size).
        count: Number of windows.
    """

    def __init__(self, windows: Iterable[np.ndarray], targets: np.ndarray) -> None:
        gram: np.ndarray | float = 0.0
        cross: np.ndarray | float = 0.0
        self.count = 0
        for block in windows:
            x = np.concatenate([block, np.ones((len(block), 1), block.dtype)], axis=1)
            gram += x.T @ x
            cross += x.T.astype(np.float64) @ targets[self.count : self.count + len(x)]
            self.count += len(x)
        self.gram = np.asarray(gram, np.float64)
        self.cross = np.asarray(cross)


def fit_ridge(train: Moments, validation: Moments) -> tuple[np.ndarray, float]:
    """Return the weights (features + 1, size) with the smallest validation error, and their penalty.

    The constant, whose weight is the last, is not penalised. Of equal errors the larger penalty wins.
    """
    unit = np.trace(train.gram[:-1, :-1]) / (len(train.gram) - 1)
    errors, found = [], []
    for penalty in PENALTIES:
        penalised = train.gram.copy()
        diagonal = np.arange(len(penalised) - 1)
        penalised[diagonal, diagonal] += penalty * unit
        weights = scipy.linalg.solve(penalised, train.cross, assume_a="pos", overwrite_a=True)
        # |y - xw|² without |y|², which is the same for all penalties
        errors.append(np.sum(weights * (validation.gram @ weights - 2 * validation.cross)))
        found.append(weights)
    best = int(np.argmin(errors))
    return found[best], float(PENALTIES[best])


def predict_embeddings(
    splits: DatasetDict,
    rows: Dataset,
    places: Callable[[Dataset], np.ndarray],
    images: np.ndarray,
    read: Reader,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit, and return predictions for rows (rows, size) and all images, standardised (images, size).

    If all subjects of the rows have training windows, each has its own fit, as in the literature; otherwise
    one fit serves all, as for held-out subjects.

    Args:
        splits: `train` and `validation`.
        rows: Windows to predict.
        places: Returns the index of the image of each row.
        images: Embeddings (images, size).
        read: Returns batches of normalised windows.

    Raises:
        ValueError: If windows differ in electrodes or length.
    """
    standardised = standardise(images, np.unique(places(splits["train"])))
    subjects = np.array(rows["subject"][:])
    names = sorted(set(subjects.tolist()))
    own = {part: select(splits[part], names) for part in ("train", "validation")}
    is_known = all(names == sorted(set(part["subject"])) for part in own.values())
    predicted = np.empty((len(rows), images.shape[1]), np.float32)
    for group in [[name] for name in names] if is_known else [names]:
        fitted = [select(own[part], group) if is_known else splits[part] for part in own]
        weights, penalty = fit_ridge(
            *(Moments(flatten_windows(read(part)), standardised[places(part)]) for part in fitted)
        )
        chosen = np.flatnonzero(np.isin(subjects, group))
        blocks = flatten_windows(read(rows.select(chosen)))
        predicted[chosen] = np.concatenate([block @ weights[:-1] + weights[-1] for block in blocks])
        logger.warning(
            f"ridge for {f'subject {group[0]}' if is_known else 'all subjects'}: {len(fitted[0]):,} windows, "
            f"penalty {penalty:g} selected on {len(fitted[1]):,} of validation"
        )
    return predicted, standardised


def standardise(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return embeddings (images, size) standardised by mean and deviation of those at some places."""
    known = images[places].astype(np.float64)
    deviation = known.std(axis=0)
    is_constant = deviation <= 1e-6 * np.abs(known).max(axis=0)  # anything below is rounding
    return (images - known.mean(axis=0)) / np.where(is_constant, np.inf, deviation)


def select(rows: Dataset, subjects: Sequence[str]) -> Dataset:
    """Return the rows of some subjects, which may be none."""
    return rows.select(np.flatnonzero(np.isin(rows["subject"][:], subjects)))


def flatten_windows(batches: Iterable[dict[str, torch.Tensor]]) -> Iterator[np.ndarray]:
    """Yield windows (windows, channels * time), all of the same electrodes and length."""
    first: torch.Tensor | None = None
    for batch in batches:
        values, positions = batch["input_values"], batch["channel_positions"]
        layout = torch.cat([positions[0].flatten(), torch.tensor([float(values.shape[-1])])])
        first = layout if first is None else first
        is_same = layout.shape == first.shape and torch.equal(layout, first)
        if not is_same or not torch.equal(positions, positions[:1].expand_as(positions)):
            raise ValueError("ridge: expected windows of the same electrodes and length, these differ")
        yield values.flatten(1).numpy()
