# SPDX-License-Identifier: Apache-2.0
"""Filling in stretches of EEG that were hidden: how good it is, and what a model has to beat.

The references are a straight line from the last sample that is known to the next, and the best linear guess
(Wiener): the mean of what is hidden given all that is not, of the normal distribution that the training
windows have, across channels and time.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import linalg, signal
from sklearn.base import BaseEstimator
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA

from .codec_metrics import BANDS_HZ
from .metrics import regression_metrics

_SEGMENT_SECONDS = 1.0  # of Welch's spectrum
_NUM_BLOCKS = 20_000
"""Stretches of training signal that the covariance is estimated from; more would change little."""


def interpolate_linearly(windows: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draw a straight line across what is hidden, level where nothing is known on one side.

    Args:
        windows: (windows, channels, time) in any unit.
        mask: Same shape, True = hidden; the values there are not looked at.

    Returns:
        The windows with the hidden samples filled in; channels without any other sample with 0.
    """
    hidden = _check_mask(windows, mask)
    filled = np.where(hidden, 0.0, windows)
    time = np.arange(windows.shape[-1])
    for row in np.argwhere(hidden.any(axis=-1) & ~hidden.all(axis=-1)):
        channel, is_hidden = filled[tuple(row)], hidden[tuple(row)]
        channel[is_hidden] = np.interp(time[is_hidden], time[~is_hidden], channel[~is_hidden])
    return filled


class WienerInfilling(BaseEstimator):
    """The Gaussian conditional mean of what is hidden, given the patches around it on all channels.

    Each patch is described by its principal components, the same for all channels; a covariance, shrunken as
    Ledoit and Wolf do (2004, https://doi.org/10.1016/S0047-259X(03)00096-4), relates those of all channels in
    a few patches that follow each other, wherever in a window they are.

    Args:
        patch_size: Samples of a patch. One of which any sample is hidden counts as unknown as a whole.
        reach: Patches before and behind one that are looked at to fill it in.
        explained_variance: Share of the variance that the components keep.

    Attributes:
        pca_: The components of a patch.
        covariance_: Of (2 * reach + 1) * channels * components numbers, in this order.
        mean_: Their mean.

    Example:
        >>> eeg = np.random.default_rng(0).normal(size=(50, 4, 80)).cumsum(axis=2)
        >>> mask = np.zeros(eeg.shape, bool)
        >>> mask[:, 0, 20:40] = True
        >>> WienerInfilling(10).fit(eeg).fill(eeg, mask).shape
        (50, 4, 80)
    """

    def __init__(self, patch_size: int, reach: int = 1, explained_variance: float = 0.99) -> None:
        self.patch_size = patch_size
        self.reach = reach
        self.explained_variance = explained_variance

    def fit(self, windows: np.ndarray) -> "WienerInfilling":
        """Estimate the covariance.

        Args:
            windows: (windows, channels, time) of the training part, with nothing hidden.

        Raises:
            ValueError: If they have another shape, are not finite, or are shorter than what is looked at.
        """
        span = 2 * self.reach + 1
        windows = np.asarray(windows)
        if windows.ndim != 3 or windows.shape[-1] < span * self.patch_size or not np.isfinite(windows).all():
            raise ValueError(
                f"windows: expected finite (windows, channels, time), {span * self.patch_size} samples or "
                f"more, got {windows.shape}"
            )
        patches = self._cut(windows)
        random = np.random.default_rng(0)
        flat = patches.reshape(-1, self.patch_size)
        drawn = random.permutation(len(flat))[:_NUM_BLOCKS]
        self.pca_ = PCA(self.explained_variance, svd_solver="full").fit(flat[drawn])
        codes = self._encode(patches)  # (windows, patches, channels, components)
        blocks = sliding_window_view(codes, span, axis=1)  # (windows, places, channels, components, span)
        row, place = np.divmod(
            random.permutation(len(codes) * blocks.shape[1])[:_NUM_BLOCKS], blocks.shape[1]
        )
        drawn_blocks = np.moveaxis(blocks[row, place], -1, 1).reshape(len(row), -1)
        found = LedoitWolf().fit(drawn_blocks)
        self.covariance_, self.mean_ = found.covariance_, found.location_
        return self

    def fill(self, windows: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return the windows with the hidden samples filled in.

        Args:
            windows: (windows, channels, time), with the channels of the training windows.
            mask: Same shape, True = hidden; the values there are not looked at.

        Raises:
            ValueError: If the shapes do not agree, or there are other channels.
        """
        hidden = _check_mask(windows, mask)
        size, num_channels = self.patch_size, windows.shape[1]
        if num_channels * (2 * self.reach + 1) * self.pca_.n_components_ != len(self.mean_):
            raise ValueError(f"windows: expected the channels of the training windows, got {num_channels}")
        filled = np.where(hidden, 0.0, windows)
        codes = self._encode(self._cut(filled))
        is_unknown = np.asarray(self._cut(hidden).any(axis=-1))  # (windows, patches, channels)
        for window, unknown in enumerate(is_unknown):
            codes[window] = self._fill_codes(codes[window], unknown)
        patches = self.pca_.inverse_transform(codes.reshape(-1, codes.shape[-1]))
        guess = patches.reshape(*codes.shape[:-1], size).swapaxes(1, 2).reshape(*windows.shape[:2], -1)
        return np.where(hidden, guess[..., : windows.shape[-1]], filled).astype(windows.dtype)

    def _fill_codes(self, codes: np.ndarray, is_unknown: np.ndarray) -> np.ndarray:
        """Fill in one window: codes (patches, channels, components), is_unknown (patches, channels)."""
        span, shape = 2 * self.reach + 1, codes.shape[1:]
        index = np.arange(len(self.mean_)).reshape(span, *shape)
        mean = self.mean_.reshape(span, *shape)
        filled = codes.copy()
        for patch in np.flatnonzero(is_unknown.any(axis=1)).tolist():
            places = np.arange(max(patch - self.reach, 0), min(patch + self.reach + 1, len(codes)))
            offsets = places - patch + self.reach
            is_known = ~is_unknown[places]
            known = index[offsets][is_known].ravel()
            wanted = index[self.reach][is_unknown[patch]].ravel()
            deviation = (codes[places] - mean[offsets])[is_known].ravel()
            weights = linalg.solve(self.covariance_[np.ix_(known, known)], deviation, assume_a="pos")
            guess = self.mean_[wanted] + self.covariance_[np.ix_(wanted, known)] @ weights
            filled[patch][is_unknown[patch]] = guess.reshape(-1, shape[-1])
        return filled

    def _cut(self, windows: np.ndarray) -> np.ndarray:
        """Return (windows, patches, channels, patch_size), the end filled with the last sample."""
        missing = -windows.shape[-1] % self.patch_size
        padded = np.pad(windows, ((0, 0), (0, 0), (0, missing)), mode="edge")
        return padded.reshape(*windows.shape[:2], -1, self.patch_size).swapaxes(1, 2)

    def _encode(self, patches: np.ndarray) -> np.ndarray:
        codes = self.pca_.transform(patches.reshape(-1, self.patch_size))
        return codes.reshape(*patches.shape[:-1], -1)


def hidden_scores(original: np.ndarray, filled: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """Compare what was filled in with what was there, over the hidden samples of each channel of each window.

    Args:
        original: (windows, channels, time) in any unit.
        filled: Same shape and unit.
        mask: Same shape, True = hidden and therefore scored.

    Returns:
        `correlation` (Pearson's) and `nrmse_std` (root mean squared error over the original's population
        standard deviation: 1.0 for its mean), (windows, channels) each; NaN where nothing was
        hidden or a side is constant.

    Raises:
        ValueError: If the shapes do not agree, or a sample that was filled in is not finite.
    """
    hidden = _check_mask(original, mask)
    if original.shape != filled.shape:
        raise ValueError(
            f"expected as many samples filled in as there were, got {filled.shape} of {original.shape}"
        )
    scores = {name: np.full(original.shape[:2], math.nan) for name in ("correlation", "nrmse_std")}
    for window, channel in np.argwhere(hidden.any(axis=-1)):
        chosen = hidden[window, channel]
        found = regression_metrics(original[window, channel][chosen], filled[window, channel][chosen])
        scores["correlation"][window, channel] = found["pearson"]
        scores["nrmse_std"][window, channel] = found["nrmse_std"]
    return scores


def level_differences(
    original: np.ndarray, reconstruction: np.ndarray, sampling_rate: float
) -> dict[str, np.ndarray]:
    """Compare amplitude and spectrum, whatever the phase: whose level is how much higher?

    Args:
        original: (windows, channels, time) in any unit.
        reconstruction: Same shape and unit.
        sampling_rate: In Hz.

    Returns:
        `amplitude`, and by the name of each band below the Nyquist frequency its power: the reconstruction's
        over the original's in dB, (windows, channels) each; 0 = equal, NaN where a side has none.

    Raises:
        ValueError: If the shapes do not agree.
    """
    if original.shape != reconstruction.shape or original.ndim != 3:
        raise ValueError(
            f"expected both (windows, channels, time), got {original.shape} and {reconstruction.shape}"
        )
    segment = min(round(_SEGMENT_SECONDS * sampling_rate), original.shape[-1])
    frequencies, spectra = signal.welch(np.stack([original, reconstruction]), sampling_rate, nperseg=segment)
    levels = {"amplitude": np.stack([original.var(axis=-1), reconstruction.var(axis=-1)])}
    for band, (low, high) in BANDS_HZ.items():
        if high <= sampling_rate / 2:
            inside = (frequencies >= low) & (frequencies < high)
            levels[band] = spectra[..., inside].sum(axis=-1)  # (2, windows, channels)
    return {name: _decibel(there, made) for name, (there, made) in levels.items()}


def _decibel(there: np.ndarray, made: np.ndarray) -> np.ndarray:
    both = np.minimum(there, made) > 0
    ratio = np.divide(made, there, out=np.full(there.shape, math.nan), where=both)
    return 10 * np.log10(ratio)


def _check_mask(windows: np.ndarray, mask: np.ndarray) -> np.ndarray:
    if windows.ndim != 3 or windows.shape != np.shape(mask):
        raise ValueError(
            f"expected windows and mask (windows, channels, time), got {windows.shape} and {np.shape(mask)}"
        )
    return np.asarray(mask, bool)
