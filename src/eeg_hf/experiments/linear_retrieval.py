# SPDX-License-Identifier: Apache-2.0
"""Ridge regression from a window to the embedding of its image: what a model has to beat.

The linear decoder that the literature compares with (https://arxiv.org/abs/2310.19812): all samples of a
window at once, a weight for each channel and time, and the penalty of the smallest error on the validation
part. Features of the images are standardised by those of the training images, in the targets and in the
gallery, so that none outweighs the others in the cosine.

Windows are added up some at a time, so memory holds (channels x time)² numbers and no corpus: 29 MB for 19
channels of 100 samples, 2 GB for 63 of 250.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import scipy.linalg
import torch
from datasets import Dataset, DatasetDict
from transformers.utils import logging

logger = logging.get_logger("eeg_hf.export_embeddings")

# Of the mean square of a sample, times the number of windows
PENALTIES = 10.0 ** np.arange(2.0, -4.5, -0.5)

Reader = Callable[[Dataset], Iterable[dict[str, torch.Tensor]]]


class Moments:
    """Sums over windows x (with a constant 1) and targets y that a least-squares fit needs.

    Attributes:
        gram: Of x xᵀ, (features + 1, features + 1).
        cross: Of x yᵀ, (features + 1, size).
        count: How many windows.
    """

    def __init__(self, windows: Iterable[np.ndarray], targets: np.ndarray) -> None:
        self.gram: np.ndarray | float = 0.0
        self.cross: np.ndarray | float = 0.0
        self.count = 0
        for block in windows:
            x = np.concatenate([block, np.ones((len(block), 1), block.dtype)], axis=1)
            self.gram += x.T @ x  # a block in single precision, the sum in double
            self.cross += x.T.astype(np.float64) @ targets[self.count : self.count + len(x)]
            self.count += len(x)
        self.gram = np.asarray(self.gram, np.float64)


def fit_ridge(train: Moments, validation: Moments) -> tuple[np.ndarray, float]:
    """Return the weights (features + 1, size) of the smallest squared error on validation, and their penalty.

    The constant, whose weight is the last, is not penalised. Of equal errors the larger penalty wins.
    """
    unit = np.trace(train.gram[:-1, :-1]) / (len(train.gram) - 1)
    errors, found = [], []
    for penalty in PENALTIES:
        penalised = train.gram.copy()
        diagonal = np.arange(len(penalised) - 1)
        penalised[diagonal, diagonal] += penalty * unit
        weights = scipy.linalg.solve(penalised, train.cross, assume_a="pos", overwrite_a=True)
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
    """Fit, and return what is predicted of rows (rows, size) and all images, standardised (images, size).

    One fit a person, as in the literature, where everybody asked for has windows to train on; else one for
    all, as for people left out.

    Args:
        splits: `train` and `validation`.
        rows: Windows to predict.
        places: Returns the place of the image of each row.
        images: Embeddings (images, size).
        read: Returns normalised windows, some at a time.

    Raises:
        ValueError: If windows differ in electrodes or length.
    """
    standardised = standardise(images, np.unique(places(splits["train"])))
    subjects = np.array(rows["subject"][:])
    people = sorted(set(subjects.tolist()))
    own = {part: select_people(splits[part], people) for part in ("train", "validation")}
    is_known = all(people == sorted(set(part["subject"])) for part in own.values())
    predicted = np.empty((len(rows), images.shape[1]), np.float32)
    for person in people if is_known else [None]:
        parts = [splits[part] if person is None else select_people(own[part], [person]) for part in own]
        weights, penalty = fit_ridge(
            *(Moments(flatten_windows(read(part)), standardised[places(part)]) for part in parts)
        )
        chosen = np.flatnonzero(subjects == person) if person else np.arange(len(rows))
        blocks = flatten_windows(read(rows.select(chosen)))
        predicted[chosen] = np.concatenate([block @ weights[:-1] + weights[-1] for block in blocks])
        logger.warning(
            f"ridge for {'everybody' if person is None else f'subject {person}'}: {len(parts[0]):,} windows, "
            f"penalty {penalty:g} chosen on {len(parts[1]):,} of validation"
        )
    return predicted, standardised


def standardise(images: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return embeddings (images, size) less the mean, over the deviation, of those at some places."""
    known = images[places].astype(np.float64)
    deviation = known.std(axis=0)
    is_constant = deviation <= 1e-6 * np.abs(known).max(axis=0)  # all that is left of it is rounding
    return (images - known.mean(axis=0)) / np.where(is_constant, np.inf, deviation)


def select_people(rows: Dataset, people: list[str]) -> Dataset:
    """Return the rows of some people."""
    return rows.select(np.flatnonzero(np.isin(rows["subject"][:], people)))


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


__all__ = ["Moments", "fit_ridge", "predict_embeddings"]
