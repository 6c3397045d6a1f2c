# SPDX-License-Identifier: Apache-2.0
"""The best decoder of the simulated corpus: what a classifier could reach that knew how it was made.

Of [`Simulated`] everything is known: alpha of one spatial pattern over a 1/f background of known covariance.
Whether a window is rest or task is then a matter of Bayes' rule. Unknown are only a subject's own parameters
(frequency and strength of alpha, how much weaker it is during the task), whose distributions are known: they
are summed over on a grid.

Windows count as independent: that all windows of a recording have one label is not used, as no other method
uses it. Blinks are left out of the model, so the decoder is the best up to these.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm

from ..corpora.simulated import ALPHA_DECAY, ALPHA_HZ, ALPHA_UV, BACKGROUND_UV
from ..corpora.simulated_corpus import (
    ALPHA_HALF_BAND_HZ,
    alpha_pattern,
    background_mixing,
    slow_noise_density,
)

BAND_HZ = (6.5, 13.5)
"""Where alpha is; outside, rest and task do not differ."""
GENERATED_HZ = 250.0
# The grid: Hz, and logarithms of strengths over that of the background
_ALPHA_HZ = np.arange(8.5, 11.51, 0.25)
_STEP = 0.05
_STRENGTHS = np.arange(-4.0, 3.0, _STEP)
_DECAYS = np.arange(5, 18)  # steps from rest to task


@dataclass(frozen=True)
class BestDecoder:
    """Bayes' rule for windows of the corpus `simulated`.

    Args:
        sampling_rate: Rate of the windows in Hz.
        is_aligned: Learn the parameters of each subject from all their windows, without labels.

    Example:
        >>> windows_uv = np.random.default_rng(0).normal(0, 7, (4, 19, 1000))
        >>> BestDecoder(200).predict_proba(windows_uv, ["a", "a", "b", "b"]).shape
        (4, 2)
    """

    sampling_rate: float
    is_aligned: bool = False

    def predict_proba(self, windows_uv: np.ndarray, subjects: Sequence[str] | np.ndarray) -> np.ndarray:
        """Return the probabilities of rest and task, (windows, 2).

        Args:
            windows_uv: (windows, 19, time) in uV, average reference; aligned all that the subjects have.
            subjects: (windows,) subject of each window.
        """
        likelihoods, owners = self.log_likelihoods(windows_uv), np.asarray(subjects)
        groups = [np.flatnonzero(owners == owner) for owner in np.unique(owners)]
        if not self.is_aligned:
            groups = [np.array([row]) for row in range(len(owners))]
        is_rest = np.empty(len(owners))
        for rows in groups:
            is_rest[rows] = _probability_of_rest(likelihoods[rows])
        return np.stack([is_rest, 1 - is_rest], axis=1)

    def log_likelihoods(self, windows_uv: np.ndarray) -> np.ndarray:
        """Return the log likelihood of each window, (windows, frequencies of alpha, strengths of alpha).

        Alpha is read through the spatial filter that suppresses the background best; the other dimensions
        tell the strength of the background.
        """
        is_live = windows_uv.std(axis=-1) > 0  # (windows, channels): some electrodes are dead
        found = np.empty((len(windows_uv), len(_ALPHA_HZ), len(_STRENGTHS)))
        for live in np.unique(is_live, axis=0):
            rows = (is_live == live).all(axis=1)
            found[rows] = self._log_likelihoods(windows_uv[rows][:, live], live)
        return found

    def _log_likelihoods(self, windows_uv: np.ndarray, live: np.ndarray) -> np.ndarray:
        """Do so for windows whose other electrodes, (19,) bool, are dead."""
        alpha, strength, gain, frequencies = self._filter_alpha(windows_uv, live)
        power = np.abs(alpha) ** 2 / strength[:, None]  # (windows, frequencies)
        deviation = ALPHA_HALF_BAND_HZ / 2
        shape = norm.pdf(frequencies, _ALPHA_HZ[:, None], deviation)  # (alpha, frequencies), 1 / Hz
        background = slow_noise_density(frequencies, GENERATED_HZ / 2) / gain
        # (alpha, strengths, frequencies)
        expected = np.exp(2 * _STRENGTHS)[:, None] * shape[:, None] + background
        return -np.einsum("nf,asf->nas", power, 1 / expected) - np.log(expected).sum(axis=-1)

    def _filter_alpha(
        self, windows_uv: np.ndarray, live: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
        """Return what is left of windows (windows, electrodes, time) after a spatial filter for alpha.

        Returns:
            Its spectrum (windows, frequencies); the power of the background (windows,) in uV^2, of which the
            filter leaves 1 / gain; the gain; the frequencies in Hz.
        """
        num_samples = windows_uv.shape[-1]
        frequencies = np.fft.rfftfreq(num_samples, 1 / self.sampling_rate)
        is_used = (frequencies >= BAND_HZ[0]) & (frequencies <= BAND_HZ[1])
        spectra = np.fft.rfft(windows_uv, axis=-1)[..., is_used]  # (windows, channels, frequencies)
        spectra = spectra * math.sqrt(2 / (num_samples * self.sampling_rate))  # squares are uV^2 / Hz
        number = int(live.sum())
        reference = np.eye(number) - 1 / number
        pattern, mixing = reference @ alpha_pattern()[live], reference @ background_mixing()[live]
        precision = np.linalg.pinv(mixing @ mixing.T, rcond=1e-8, hermitian=True)  # of rank number - 1
        gain = float(pattern @ precision @ pattern)
        alpha = np.einsum("c,ncf->nf", precision @ pattern / gain, spectra)
        whole = np.einsum("ncf,cd,ndf->nf", spectra.conj(), precision, spectra, optimize=True).real
        density = slow_noise_density(frequencies[is_used], GENERATED_HZ / 2)
        strength = ((whole - gain * np.abs(alpha) ** 2) / density).mean(axis=1) / (number - 2)
        return alpha, strength, gain, frequencies[is_used]


def _probability_of_rest(likelihoods: np.ndarray) -> np.ndarray:
    """Return the probability of rest of windows that share their unknown parameters, (windows,).

    Args:
        likelihoods: (windows, frequencies, strengths), logarithms.
    """
    most = _DECAYS[-1]
    totals, ratios = [], []  # for each decay: of the parameters, and of rest for each window given them
    for decay in _DECAYS:
        rest = likelihoods[:, :, most:]
        task = likelihoods[:, :, most - decay : likelihoods.shape[2] - decay]
        both = np.logaddexp(rest, task)
        totals.append(both.sum(axis=0) + norm.logpdf(decay * _STEP, *ALPHA_DECAY))
        ratios.append(rest - both)
    total = np.stack(totals) + _log_prior()  # (decays, frequencies, strengths)
    weights = np.exp(total - logsumexp(total))
    return np.einsum("dnas,das->n", np.exp(np.stack(ratios)), weights)


def _log_prior() -> np.ndarray:
    """Return the log prior of frequencies and strengths at rest, (frequencies, strengths)."""
    centre = math.log(ALPHA_UV[0] / BACKGROUND_UV[0])
    spread = math.hypot(ALPHA_UV[1], BACKGROUND_UV[1])
    strengths = _STRENGTHS[_DECAYS[-1] :]
    return norm.logpdf(_ALPHA_HZ, *ALPHA_HZ)[:, None] + norm.logpdf(strengths, centre, spread)
