# SPDX-License-Identifier: Apache-2.0
"""Inter-subject correlation (ISC): the similarity of the EEG of subjects who saw the same stimulus.

Correlated component analysis (Dmochowski et al. 2012, https://doi.org/10.3389/fnhum.2012.00112; Parra et al.
2018, https://arxiv.org/abs/1801.08881) finds weights of the channels whose sum correlates most between
subjects. A number is meaningful only if:

* Sample 0 is the same moment of the stimulus in all subjects, with the same rate, channels and reference.
  Interpolate missing channels, or leave out the channel or the subject.
* Components are tested on other subjects ([`cross_validated_isc`]) or another time
  ([`CorrelatedComponents.score`]) than they were fitted on, where they correlate even for noise.
* The ISC is compared with a null ([`isc_null`]): EEG is slow, so 15 s of it correlate by chance.

In the corpus `isc_video`, 14 subjects for 15 s, three components sum to 0.24 on the fitted subjects, where
shifted signals give 0.21, and to 0.01 on other subjects, which a quarter of the shifts exceed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

# Share of the variance of the strongest direction of channels, below which a direction is a rounding error,
# such as the one that an average reference empties
_RANK_TOLERANCE = 1e-10


class CorrelatedComponents(BaseEstimator):
    """Weighted sums of channels that correlate most between subjects.

    Subjects are not scaled: one with twice the amplitude counts four times as much in the weights.

    Args:
        num_components: Number of components, the strongest first.
        shrinkage: Share of the mean eigenvalue in the covariance within subjects, 0 to 1. Without it, weak
            directions of many channels win by chance. It affects the weights only, not the ISC.

    Attributes:
        weights_: (channels, components), scaled so that a component has a mean variance of 1 in the fitted
            subjects.
        patterns_: (channels, components), the forward model: the strength of the component in each channel,
            in the unit of the signal. Plot these rather than the weights. Signs are arbitrary: the largest
            value of each is made positive.
        isc_: (components,) ISC in the fitted subjects, biased upwards.
        eigenvalues_: (components,) of the shrunken problem, which order the components. Some programs call
            these ISC; with shrinkage they are smaller, and identical subjects do not reach 1.

    Example:
        >>> random = np.random.default_rng(0)
        >>> shared, pattern = random.normal(size=1000), random.normal(size=(8, 1))
        >>> signals = random.normal(size=(10, 8, 1000)) + 3 * pattern * shared
        >>> components = CorrelatedComponents(num_components=1).fit(signals[:5])
        >>> bool(components.score(signals[5:])[0] > 0.9)
        True
    """

    def __init__(self, num_components: int = 3, shrinkage: float = 0.1) -> None:
        self.num_components = num_components
        self.shrinkage = shrinkage

    def fit(self, x: np.ndarray | Sequence[np.ndarray]) -> "CorrelatedComponents":
        """Fit the components.

        Directions without variance, from flat channels or an average reference, are left out.

        Args:
            x: (subjects, channels, time) signals of at least two subjects, in any unit.

        Raises:
            ValueError: If shapes differ, a sample is not finite, a subject is flat, there are fewer than two
                subjects or fewer directions with variance than components, or the shrinkage is not 0 to 1.
        """
        if not 0 <= self.shrinkage <= 1 or self.num_components < 1:
            raise ValueError(
                "expected num_components of 1 or more and shrinkage from 0 to 1, got "
                f"{self.num_components} and {self.shrinkage}"
            )
        signals = _centred(x)
        within, between = _covariances(_own_covariances(signals), signals.sum(axis=0))
        eigenvalues, weights = _solve(within, between, self.num_components, self.shrinkage)
        mixed = within @ weights
        patterns = np.linalg.solve(weights.T @ mixed, mixed.T).T  # the left factor is symmetric
        signs = np.sign(np.take_along_axis(patterns, np.abs(patterns).argmax(axis=0)[None], axis=0))
        self.weights_ = weights * signs
        self.patterns_ = patterns * signs
        self.isc_ = _ratio(weights, within, between)
        self.eigenvalues_ = eigenvalues
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Return components (..., components, time) of signals (..., channels, time).

        Raises:
            ValueError: If the number of channels differs from the fitted one, or nothing was fitted.
        """
        check_is_fitted(self)
        signals, num_channels = np.asarray(x, float), len(self.weights_)
        if signals.ndim < 2 or signals.shape[-2] != num_channels:
            raise ValueError(f"x: expected (..., {num_channels} channels, time), got {signals.shape}")
        return self.weights_.T @ signals

    def score(self, x: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Return the ISC (components,) of signals of other subjects, or of another time, than those fitted.

        Args:
            x: (subjects, channels, time), at least two subjects.

        Raises:
            ValueError: As `fit` and `transform`.
        """
        sources = self.transform(_centred(x))
        return _component_isc(sources, sources.sum(axis=0))

    def subject_isc(self, x: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Return the correlation of each subject with all others in `x`, (subjects, components).

        Args:
            x: (subjects, channels, time), at least two subjects.

        Raises:
            ValueError: As `fit` and `transform`.
        """
        sources = self.transform(_centred(x))
        power = np.square(sources).sum(axis=2)  # (subjects, components)
        shared = (sources * sources.sum(axis=0)).sum(axis=2) - power
        return 2 * shared / ((len(power) - 2) * power + power.sum(axis=0))


@dataclass(frozen=True)
class ISCTest:
    """ISC and its null distribution.

    Attributes:
        isc: (components,).
        subject_isc: (subjects, components), of each subject with the other tested subjects.
        null: (shifts, components), ISC after each subject's signal was shifted separately.
    """

    isc: np.ndarray
    subject_isc: np.ndarray
    null: np.ndarray

    @property
    def total(self) -> float:
        """Sum over the components, the number that is usually reported."""
        return float(self.isc.sum())

    @property
    def null_mean(self) -> float:
        """Mean over the shifts of the sum over the components."""
        return float(self.null.sum(axis=1).mean())

    @property
    def null_95(self) -> float:
        """95th percentile over the shifts of the sum over the components."""
        return float(np.quantile(self.null.sum(axis=1), 0.95))

    @property
    def p_value(self) -> float:
        """Share of shifts that reach this sum; the observed one counts, so it is never 0."""
        reached = self.null.sum(axis=1) >= self.total
        return (1 + int(reached.sum())) / (1 + len(reached))


def isc_null(
    components: CorrelatedComponents,
    x: np.ndarray | Sequence[np.ndarray],
    num_shifts: int = 300,
    seed: int = 0,
    refit: bool = False,
) -> ISCTest:
    """Test the ISC of signals against circular shifts, independent and uniform for each subject.

    A shift keeps the spectrum, channels and amplitude of a subject and removes only the common timing.

    Args:
        components: The fitted components.
        x: (subjects, channels, time), of other subjects or another time than those fitted; with `refit`, the
            fitted signals.
        num_shifts: Number of shifts of all subjects.
        seed: Seed of the shifts.
        refit: Whether to fit the components on every shift: the null for the ISC of the fitted subjects, as
            fitting finds correlation in any signals.

    Raises:
        ValueError: As [`CorrelatedComponents.fit`], if there is no shift, or if `refit` gets other signals
            than the fitted ones.
    """
    signals = _centred(x)
    observed = components.score(signals)
    shifts = _draw_shifts(signals, num_shifts, seed)
    if not refit:
        sources = components.transform(signals)
        null = [_component_isc(sources, _shift(sources, row).sum(axis=0)) for row in shifts]
    elif np.allclose(observed, components.isc_):
        own, settings = _own_covariances(signals), (components.num_components, components.shrinkage)
        null = [_refitted_isc(own, _shift(signals, row).sum(axis=0), *settings) for row in shifts]
    else:
        raise ValueError("refit: expected the signals that the components were fitted on, got others")
    return ISCTest(observed, components.subject_isc(signals), np.stack(null))


def cross_validated_isc(
    x: np.ndarray | Sequence[np.ndarray],
    num_components: int = 3,
    num_splits: int = 2,
    shrinkage: float = 0.1,
    num_repeats: int = 5,
    num_shifts: int = 300,
    seed: int = 0,
) -> ISCTest:
    """Cross-validate components over groups of subjects, against circular shifts.

    Subjects are divided at random into groups. The ISC is that of the subjects within a group, with the
    components of all others, averaged over groups and repeats. The null repeats all of it, with the fits,
    after shifting all subjects: groups test each other's components, so their errors are not independent.

    Args:
        x: (subjects, channels, time) signals, in any unit.
        num_components: Number of components.
        num_splits: Number of groups, each of at least two subjects.
        shrinkage: As in [`CorrelatedComponents`].
        num_repeats: Number of random divisions. A single one is noisy: with 14 subjects, ten halved the
            spread of the null.
        num_shifts: Number of shifts of all subjects; each costs `num_splits * num_repeats` fits.
        seed: Seed of groups and shifts.

    Raises:
        ValueError: As [`CorrelatedComponents.fit`], or if there are not two groups of two subjects.
    """
    signals = _centred(x)
    if num_splits < 2 or num_repeats < 1 or len(signals) < 2 * num_splits:
        raise ValueError(
            "expected num_repeats of 1 or more, num_splits of 2 or more and 2 subjects or more in each, got "
            f"{num_repeats}, {num_splits} and {len(signals)} subjects"
        )
    shifts = _draw_shifts(signals, num_shifts, seed)
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(signals)) for _ in range(num_repeats)]
    groups = [group for order in orders for group in np.array_split(order, num_splits)]
    components = CorrelatedComponents(num_components, shrinkage)
    isc, subject_isc = [], np.zeros((len(signals), num_components))
    for group in groups:
        components.fit(np.delete(signals, group, axis=0))
        isc.append(components.score(signals[group]))
        subject_isc[group] += components.subject_isc(signals[group]) / num_repeats
    own = _own_covariances(signals)
    null = [_held_out_isc(_shift(signals, row), own, groups, num_components, shrinkage) for row in shifts]
    return ISCTest(np.mean(isc, axis=0), subject_isc, np.stack(null))


def _centred(x: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """Return x (subjects, channels, time) minus its mean over time, as float64."""
    shapes = sorted({np.shape(subject) for subject in x})
    if len(shapes) > 1:
        raise ValueError(
            f"x: expected the same channels and samples in all subjects, got {shapes}: cut to those"
        )
    signals = np.array(x, float)
    if signals.ndim != 3 or len(signals) < 2:
        raise ValueError(f"x: expected (subjects, channels, time) of 2 subjects or more, got {signals.shape}")
    bad = np.flatnonzero(~np.isfinite(signals).all(axis=(1, 2)))
    if bad.size:
        raise ValueError(f"x: expected finite samples, got NaN or infinite in subjects {bad.tolist()}")
    flat = np.flatnonzero((np.ptp(signals, axis=2) == 0).all(axis=1))
    if flat.size:
        raise ValueError(
            f"x: expected signals, subjects {flat.tolist()} are flat in all channels: leave them out"
        )
    signals -= signals.mean(axis=2, keepdims=True)
    return signals


def _own_covariances(signals: np.ndarray) -> np.ndarray:
    return signals @ signals.transpose(0, 2, 1) / signals.shape[2]  # (subjects, channels, channels)


def _covariances(own: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean covariance within and between subjects.

    The covariance of the sum contains all pairs, so pairs are not computed: 100 subjects have 4950 of them.

    Args:
        own: (subjects, channels, channels) of each subject.
        total: (channels, time) sum of the signals.
    """
    num_subjects, diagonal = len(own), own.sum(axis=0)
    pairs = total @ total.T / total.shape[1] - diagonal
    return diagonal / num_subjects, pairs / (num_subjects * (num_subjects - 1))


def _solve(
    within: np.ndarray, between: np.ndarray, num_components: int, shrinkage: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues (components,) and weights (channels, components)."""
    variances, directions = eigh(within)
    basis = directions[:, variances > _RANK_TOLERANCE * variances[-1]]  # (channels, rank)
    rank = basis.shape[1]
    if num_components > rank:
        raise ValueError(
            f"num_components: expected at most {rank}, the number of directions of channels with variance, "
            f"got {num_components}"
        )
    shrunken = (1 - shrinkage) * np.diag(basis.T @ within @ basis) + shrinkage * variances.mean()
    values, vectors = eigh(
        basis.T @ between @ basis, np.diag(shrunken), subset_by_index=[rank - num_components, rank - 1]
    )
    weights = basis @ vectors[:, ::-1]
    return values[::-1], weights / np.sqrt(np.sum(weights * (within @ weights), axis=0))


def _ratio(weights: np.ndarray, within: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Return the ISC of each component: covariance between subjects over variance within."""
    return np.sum(weights * (between @ weights), axis=0) / np.sum(weights * (within @ weights), axis=0)


def _component_isc(sources: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the ISC of components (subjects, components, time) whose sum over subjects is `total`."""
    power = np.square(sources).sum(axis=(0, 2))
    return (np.square(total).sum(axis=1) - power) / (power * (len(sources) - 1))


def _draw_shifts(signals: np.ndarray, num_shifts: int, seed: int) -> np.ndarray:
    if num_shifts < 1:
        raise ValueError(f"num_shifts: expected 1 or more, got {num_shifts}")
    return np.random.default_rng(seed).integers(signals.shape[2], size=(num_shifts, len(signals)))


def _shift(signals: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Return signals (subjects, channels, time), each subject shifted circularly by a number of samples."""
    return np.stack([np.roll(subject, shift, axis=1) for subject, shift in zip(signals, shifts, strict=True)])


def _refitted_isc(own: np.ndarray, total: np.ndarray, num_components: int, shrinkage: float) -> np.ndarray:
    """Return the ISC of components fitted on the same signals; a shift does not change `own`."""
    covariances = _covariances(own, total)
    return _ratio(_solve(*covariances, num_components, shrinkage)[1], *covariances)


def _held_out_isc(
    signals: np.ndarray, own: np.ndarray, groups: list[np.ndarray], num_components: int, shrinkage: float
) -> np.ndarray:
    """Return the mean ISC (components,) over groups of subjects, with the components of all others."""
    everyone, isc = signals.sum(axis=0), []
    for group in groups:
        total = signals[group].sum(axis=0)
        others = _covariances(np.delete(own, group, axis=0), everyone - total)
        _, weights = _solve(*others, num_components, shrinkage)
        isc.append(_ratio(weights, *_covariances(own[group], total)))
    return np.mean(isc, axis=0)
