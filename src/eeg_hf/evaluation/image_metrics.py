# SPDX-License-Identifier: Apache-2.0
"""Metrics of images that were reconstructed from EEG: PixCorr, SSIM and two-way identification.

They are those of reconstruction from fMRI (https://arxiv.org/abs/2303.05334) that the papers on EEG took over
(https://arxiv.org/abs/2403.07721). There every image is brought to 425 pixels; here they are judged at the
size they are handed in, which small decoders reach. SSIM and features depend on that size: compare at one.

A number alone says little. Images of any two things correlate, so beside PixCorr and SSIM stands what the
same reconstructions reach against other images; two-way identification has chance 0.5 whatever they show.
"""

from collections.abc import Callable, Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from .intervals import mean_interval, percentile_interval

ImageFeatures = Callable[[np.ndarray], np.ndarray]
"""Takes images (n, height, width, 3) uint8 to features (n, d), see [`open_clip_features`]."""

_MIN_PIXELS = 11  # the window of SSIM
_MAX_SHIFTS = 10  # of the mismatched pairs: all of them would take n times as long
_DECIMALS = 12  # of a correlation: what is left is rounding, and would break ties
_EPSILON = 10.0**-_DECIMALS
_BLOCK = 256  # resamples at once: 10,000 by 10,000 images would be 800 MB


class ImageScore(TypedDict, total=False):
    """One metric over all images.

    Attributes:
        mean: Mean over the images.
        interval: Interval of that mean, from drawing images; None where all draws are undefined.
        chance: What knowing nothing of what was seen reaches.
        p_value: Share of random assignments of the reconstructions to the images that reach the mean.
    """

    mean: float
    interval: tuple[float, float] | None
    chance: float
    p_value: float


def pixel_correlation(images: ArrayLike, reconstructions: ArrayLike) -> np.ndarray:
    """Return Pearson's correlation of all pixels and colours of each pair (n,): PixCorr.

    It is 0 where one of the two is a single colour.

    Args:
        images: (n, height, width, 3) uint8, what was seen.
        reconstructions: As `images`.

    Raises:
        ValueError: If they are no images or differ in shape.
    """
    truth, found = _check_images(images, reconstructions)
    return np.sum(_standardized(truth) * _standardized(found), axis=1)


def structural_similarity(images: ArrayLike, reconstructions: ArrayLike) -> np.ndarray:
    """Return the mean structural similarity of each pair in grey (n,).

    Gaussian weights of 1.5 pixels and the population covariance, as
    [Wang et al., 2004](https://doi.org/10.1109/TIP.2003.819861); from scikit-image.

    Args:
        images: (n, height, width, 3) uint8, what was seen.
        reconstructions: As `images`.

    Raises:
        ImportError: If scikit-image is not there.
        ValueError: If they are no images, differ in shape, or have fewer than 11 pixels a side.
    """
    truth, found = _check_images(images, reconstructions)
    if min(truth.shape[1:3]) < _MIN_PIXELS:
        raise ValueError(
            f"SSIM: expected images of {_MIN_PIXELS} pixels a side or more, got {truth.shape[1:3]}"
        )
    try:
        from skimage.color import rgb2gray
        from skimage.metrics import structural_similarity as similarity
    except ImportError:
        raise ImportError('SSIM needs scikit-image: pip install "eeg-hf[images]"') from None
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    return np.array(
        [similarity(*pair, **options) for pair in zip(rgb2gray(truth), rgb2gray(found), strict=True)]
    )


def two_way_identification(
    features: ArrayLike,
    reconstructed_features: ArrayLike,
    num_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> ImageScore:
    """Ask of each reconstruction and each other image: does it correlate more with the image that was seen?

    Equal correlations count half, as does everything about features that are constant: who always
    reconstructs the same is exactly at 0.5.

    Args:
        features: (n, d) of the images that were seen, each image once.
        reconstructed_features: (n, d) of what was reconstructed, in the same order.
        num_resamples: How often to draw images for the interval, and assignments for the p-value.
        seed: Seed of the draws.
        level: Share of the draws within the interval.

    Returns:
        `mean`, the share of the n (n - 1) comparisons that are right; `chance`, exactly 0.5; `interval`,
        where an image that is drawn twice is not compared with itself; and `p_value`.

    Raises:
        ValueError: If shapes differ, there are fewer than two images, or a feature is not finite.
    """
    truth, found = _check_features(features, reconstructed_features)
    correlations = np.round(_standardized(truth) @ _standardized(found).T, _DECIMALS)  # (seen, reconstructed)
    own = np.diag(correlations)
    is_right = (correlations < own) + 0.5 * (correlations == own)
    np.fill_diagonal(is_right, 0.0)
    num = len(is_right)
    # How many others each image would leave behind, were it the one that was seen
    wins = rankdata(correlations, axis=0) - 1
    random = np.random.default_rng(seed)
    orders = np.array([random.permutation(num) for _ in range(num_resamples)])
    null = np.mean([wins[order, np.arange(num)] for order in orders], axis=1) / (num - 1)
    mean = float(is_right.sum() / (num * (num - 1)))
    return {
        "mean": mean,
        "interval": percentile_interval(_resampled_shares(is_right, random, num_resamples), [num], level),
        "chance": 0.5,
        "p_value": float((1 + np.sum(null >= mean - _EPSILON)) / (1 + num_resamples)),
    }


def judge_reconstructions(
    images: ArrayLike,
    reconstructions: ArrayLike,
    features: Mapping[str, ImageFeatures] | None = None,
    num_resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, ImageScore]:
    """Judge reconstructions by all metrics that need nothing but images, and by features handed in.

    Args:
        images: (n, height, width, 3) uint8, what was seen, each image once.
        reconstructions: As `images`, in the same order.
        features: By a name of yours, what to identify images by beside their pixels, see
            [`open_clip_features`] and [`torchvision_features`].
        num_resamples: How often to draw images for the intervals.
        seed: Seed of the draws.
        level: Share of the draws within the interval.

    Returns:
        `pixcorr`, `ssim`, `two_way_pixels`, and of each of the features `two_way_<name>` and
        `distance_<name>`, the mean of 1 - correlation, lower for the better, as papers have it of SwAV and
        EfficientNet. All but two-way identification have as chance what the reconstructions reach against
        images that were not seen then, up to ten each.

    Raises:
        ImportError: If scikit-image is not there.
        ValueError: If shapes differ or there are fewer than two images.
    """
    truth, found = _check_images(images, reconstructions)
    _check_number(len(truth))
    scores: dict[str, ImageScore] = {
        "pixcorr": _paired_score(pixel_correlation, truth, found, num_resamples, seed, level),
        "ssim": _paired_score(structural_similarity, truth, found, num_resamples, seed, level),
        "two_way_pixels": two_way_identification(
            truth.reshape(len(truth), -1), found.reshape(len(found), -1), num_resamples, seed, level
        ),
    }
    for name, extract in (features or {}).items():
        pair = extract(truth), extract(found)
        scores[f"two_way_{name}"] = two_way_identification(*pair, num_resamples, seed, level)
        scores[f"distance_{name}"] = _paired_score(_distances, *pair, num_resamples, seed, level)
    return scores


def _paired_score(
    metric: Callable[[np.ndarray, np.ndarray], np.ndarray],
    truth: np.ndarray,
    found: np.ndarray,
    num_resamples: int,
    seed: int,
    level: float,
) -> ImageScore:
    """Return the mean of a metric of pairs, and as chance that of pairs that do not belong together."""
    values = metric(truth, found)
    shifts = range(1, min(len(found), _MAX_SHIFTS + 1))
    return {
        "mean": float(values.mean()),
        "interval": mean_interval(values, num_resamples, seed, level),
        "chance": float(np.mean([metric(truth, np.roll(found, shift, axis=0)) for shift in shifts])),
    }


def _distances(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    return 1 - np.sum(_standardized(truth) * _standardized(found), axis=1)


def _standardized(values: np.ndarray) -> np.ndarray:
    """Return rows (n, d) of mean 0 and length 1, and 0 where all are the same."""
    rows = values.reshape(len(values), -1).astype(float)
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    is_constant = lengths <= _EPSILON * np.abs(values.reshape(len(values), -1)).max(axis=1, keepdims=True)
    return np.where(is_constant, 0.0, rows / np.where(is_constant, 1.0, lengths))


def _resampled_shares(is_right: np.ndarray, random: np.random.Generator, num_resamples: int) -> np.ndarray:
    """Return the share of right comparisons (num_resamples,) between the images that are drawn."""
    num = len(is_right)
    shares = []
    for start in range(0, num_resamples, _BLOCK):
        size = min(_BLOCK, num_resamples - start)
        times = random.multinomial(num, np.full(num, 1 / num), size=size).astype(float)
        pairs = num**2 - np.sum(times**2, axis=1)
        shares.append(np.sum(times @ is_right * times, axis=1) / np.where(pairs > 0, pairs, np.nan))
    return np.concatenate(shares)  # NaN where one image alone was drawn


def _check_images(images: ArrayLike, reconstructions: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    truth, found = np.asarray(images), np.asarray(reconstructions)
    for name, array in (("images", truth), ("reconstructions", found)):
        if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8 or not array.size:
            raise ValueError(f"{name}: expected uint8 (n, height, width, 3), got {array.dtype} {array.shape}")
    if truth.shape != found.shape:
        raise ValueError(f"expected as many reconstructions, as large, got {truth.shape} and {found.shape}")
    return truth, found


def _check_features(features: ArrayLike, others: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    truth, found = np.asarray(features), np.asarray(others)
    if truth.ndim != 2 or truth.shape != found.shape or not truth.shape[1]:
        raise ValueError(
            f"expected features (n, d) of both in one order, got {truth.shape} and {found.shape}"
        )
    _check_number(len(truth))
    if not (np.isfinite(truth).all() and np.isfinite(found).all()):
        raise ValueError("features: expected finite numbers, got NaN or infinite")
    return truth, found


def _check_number(num_images: int) -> None:
    if num_images < 2:
        raise ValueError(f"expected two or more images to tell apart, got {num_images}")
