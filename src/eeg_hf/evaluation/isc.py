# SPDX-License-Identifier: Apache-2.0
"""Inter-subject correlation (ISC): how alike the EEG of people is who saw the same at the same time.

Correlated component analysis (Dmochowski et al. 2012, https://doi.org/10.3389/fnhum.2012.00112; Parra et al.
2018, https://arxiv.org/abs/1801.08881) finds the weights of channels whose sum correlates most between
people. Three things have to be right before a number means anything:

* Sample 0 is the same moment of the stimulus in everybody, and rate, channels and reference are the same.
  Channels that somebody lacks are not supported: interpolate them, or leave the channel or the person out.
* Components are found so that they correlate. On the signals they were fitted on they do, even on noise:
  judge them on other people ([`cross_validated_isc`]) or on another time ([`CorrelatedComponents.score`]).
* EEG is slow, so that 15 s of anything correlate by chance. Only a null ([`isc_null`]) says how much.

An example is the corpus `isc_video`, 14 people for 15 s: three components sum to 0.24 on the people fitted,
where shifted people give 0.21, and to 0.01 on other people, which a quarter of the shifts exceed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

# Of the variance of the strongest direction of channels: what is below it is rounding, as an average
# reference leaves in one direction
_RANK_TOLERANCE = 1e-10


class CorrelatedComponents(BaseEstimator):
    """Sums of channels that correlate most between people.

    Nobody is scaled: a person with twice the amplitude counts four times as much in the weights.

    Args:
        num_components: How many components to keep, the strongest first.
        shrinkage: Share of the mean eigenvalue in the covariance within people, 0 to 1. Without it, weak
            directions of many channels win by chance; it only chooses the weights, and no ISC contains it.

    Attributes:
        weights_: (channels, components), so that a component has a mean variance of 1 in the people fitted.
        patterns_: (channels, components), the forward model: how strongly each channel shows the component,
            in the unit of the signal. Draw these and not the weights. Signs are arbitrary: the largest value
            of each is made positive.
        isc_: (components,) ISC in the people fitted, biased upwards.
        eigenvalues_: (components,) of the shrunken problem, by which components are ordered. Some programs
            call these ISC; with shrinkage they are smaller, and identical people do not reach 1.

    Example:
        >>> random = np.random.default_rng(0)
        >>> shared, pattern = random.normal(size=1000), random.normal(size=(8, 1))
        >>> people = random.normal(size=(10, 8, 1000)) + 3 * pattern * shared
        >>> components = CorrelatedComponents(num_components=1).fit(people[:5])
        >>> bool(components.score(people[5:])[0] > 0.9)
        True
    """

    def __init__(self, num_components: int = 3, shrinkage: float = 0.1) -> None:
        self.num_components = num_components
        self.shrinkage = shrinkage

    def fit(self, x: np.ndarray | Sequence[np.ndarray]) -> "CorrelatedComponents":
        """Find the components.

        Directions without variance, as flat channels and an average reference leave them, are left out.

        Args:
            x: (people, channels, time) signals of two people or more, in any unit.

        Raises:
            ValueError: If shapes differ, a sample is not finite, a person is flat, there are fewer than two
                people or fewer directions with variance than components, or the shrinkage is not 0 to 1.
        """
        if not 0 <= self.shrinkage <= 1 or self.num_components < 1:
            raise ValueError(
                "expected num_components of 1 or more and shrinkage from 0 to 1, got "
                f"{self.num_components} and {self.shrinkage}"
            )
        people = _centred(x)
        within, between = _covariances(_own_covariances(people), people.sum(axis=0))
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
            ValueError: If there are more or fewer channels than were fitted, or nothing was.
        """
        check_is_fitted(self)
        signals, num_channels = np.asarray(x, float), len(self.weights_)
        if signals.ndim < 2 or signals.shape[-2] != num_channels:
            raise ValueError(f"x: expected (..., {num_channels} channels, time), got {signals.shape}")
        return self.weights_.T @ signals

    def score(self, x: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Return the ISC (components,) of signals, of other people or of another time than those fitted.

        Args:
            x: (people, channels, time), two people or more.

        Raises:
            ValueError: As `fit` and `transform`.
        """
        sources = self.transform(_centred(x))
        return _component_isc(sources, sources.sum(axis=0))

    def subject_isc(self, x: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Return (people, components): how much each person correlates with all the others in `x`.

        Args:
            x: (people, channels, time), two people or more.

        Raises:
            ValueError: As `fit` and `transform`.
        """
        sources = self.transform(_centred(x))
        power = np.square(sources).sum(axis=2)  # (people, components)
        shared = (sources * sources.sum(axis=0)).sum(axis=2) - power
        return 2 * shared / ((len(power) - 2) * power + power.sum(axis=0))


@dataclass(frozen=True)
class ISCTest:
    """ISC against what chance gives.

    Attributes:
        isc: (components,).
        subject_isc: (people, components), of each person with the others that were tested with him.
        null: (shifts, components), ISC after everybody's signal was shifted by himself.
    """

    isc: np.ndarray
    subject_isc: np.ndarray
    null: np.ndarray

    @property
    def total(self) -> float:
        """Sum over the components, what is mostly reported."""
        return float(self.isc.sum())

    @property
    def null_mean(self) -> float:
        """What chance gives for the sum over the components on average."""
        return float(self.null.sum(axis=1).mean())

    @property
    def null_95(self) -> float:
        """What chance exceeds in 5 % of the shifts, for the sum over the components."""
        return float(np.quantile(self.null.sum(axis=1), 0.95))

    @property
    def p_value(self) -> float:
        """How often chance gives this sum or more; the shift that was seen counts, so that it is never 0."""
        reached = self.null.sum(axis=1) >= self.total
        return (1 + int(reached.sum())) / (1 + len(reached))


def isc_null(
    components: CorrelatedComponents,
    x: np.ndarray | Sequence[np.ndarray],
    num_shifts: int = 300,
    seed: int = 0,
    refit: bool = False,
) -> ISCTest:
    """Test the ISC of signals against circular shifts, of each person by himself and by any time.

    A shift keeps spectrum, channels and amplitude of everybody and only takes away what is at the same time.

    Args:
        components: The fitted components.
        x: (people, channels, time), of other people or another time than those fitted. With `refit`, those
            fitted.
        num_shifts: How many times everybody is shifted.
        seed: Seed of the shifts.
        refit: Whether to fit the components anew on every shift: what the ISC of the people fitted must be
            compared with, since fitting finds correlation in anything.

    Raises:
        ValueError: As [`CorrelatedComponents.fit`], if there is no shift, or with `refit` on other signals
            than those fitted.
    """
    people = _centred(x)
    observed = components.score(people)
    shifts = _draw_shifts(people, num_shifts, seed)
    if not refit:
        sources = components.transform(people)
        null = [_component_isc(sources, _shift(sources, row).sum(axis=0)) for row in shifts]
    elif np.allclose(observed, components.isc_):
        own, settings = _own_covariances(people), (components.num_components, components.shrinkage)
        null = [_refitted_isc(own, _shift(people, row).sum(axis=0), *settings) for row in shifts]
    else:
        raise ValueError("refit: expected the signals that the components were fitted on, got others")
    return ISCTest(observed, components.subject_isc(people), np.stack(null))


def cross_validated_isc(
    x: np.ndarray | Sequence[np.ndarray],
    num_components: int = 3,
    num_splits: int = 2,
    shrinkage: float = 0.1,
    num_repeats: int = 5,
    num_shifts: int = 300,
    seed: int = 0,
) -> ISCTest:
    """Fit components on some people, test them on the others, in turn, against circular shifts.

    People are divided at random into groups. The ISC is that of the people within a group, with the
    components of all the others, averaged over groups and repeats. The null does the whole anew, fitting too,
    after everybody was shifted: groups test each other's components, so their errors are not independent.

    Args:
        x: (people, channels, time) signals, in any unit.
        num_components: How many components to keep.
        num_splits: How many groups there are, of two people or more.
        shrinkage: As in [`CorrelatedComponents`].
        num_repeats: How many times people are divided anew. One division alone is noisy: with 14 people, ten
            halved the spread of the null.
        num_shifts: How many times everybody is shifted; each costs `num_splits * num_repeats` fits.
        seed: Seed of groups and shifts.

    Raises:
        ValueError: As [`CorrelatedComponents.fit`], or if there are not 2 groups of 2 people or more.
    """
    people = _centred(x)
    if num_splits < 2 or num_repeats < 1 or len(people) < 2 * num_splits:
        raise ValueError(
            "expected num_repeats of 1 or more, num_splits of 2 or more and 2 people or more in each, got "
            f"{num_repeats}, {num_splits} and {len(people)} people"
        )
    shifts = _draw_shifts(people, num_shifts, seed)
    random = np.random.default_rng(seed)
    orders = [random.permutation(len(people)) for _ in range(num_repeats)]
    groups = [group for order in orders for group in np.array_split(order, num_splits)]
    components = CorrelatedComponents(num_components, shrinkage)
    isc, subject_isc = [], np.zeros((len(people), num_components))
    for group in groups:
        components.fit(np.delete(people, group, axis=0))
        isc.append(components.score(people[group]))
        subject_isc[group] += components.subject_isc(people[group]) / num_repeats
    own = _own_covariances(people)
    null = [_held_out_isc(_shift(people, row), own, groups, num_components, shrinkage) for row in shifts]
    return ISCTest(np.mean(isc, axis=0), subject_isc, np.stack(null))


def _centred(x: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
    """Return x (people, channels, time) less the mean over time, as float64."""
    shapes = sorted({np.shape(person) for person in x})
    if len(shapes) > 1:
        raise ValueError(
            f"x: expected the same channels and samples in all people, got {shapes}: cut to those"
        )
    people = np.array(x, float)
    if people.ndim != 3 or len(people) < 2:
        raise ValueError(f"x: expected (people, channels, time) of 2 people or more, got {people.shape}")
    bad = np.flatnonzero(~np.isfinite(people).all(axis=(1, 2)))
    if bad.size:
        raise ValueError(f"x: expected finite samples, got NaN or infinite in people {bad.tolist()}")
    flat = np.flatnonzero((np.ptp(people, axis=2) == 0).all(axis=1))
    if flat.size:
        raise ValueError(
            f"x: expected signals, people {flat.tolist()} are flat in all channels: leave them out"
        )
    people -= people.mean(axis=2, keepdims=True)
    return people


def _own_covariances(people: np.ndarray) -> np.ndarray:
    return people @ people.transpose(0, 2, 1) / people.shape[2]  # (people, channels, channels)


def _covariances(own: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean covariance within and between people.

    The sum of people contains every pair, so that pairs need not be made: 100 people have 4950 of them.

    Args:
        own: (people, channels, channels) of each person.
        total: (channels, time) the sum of their signals.
    """
    num_people, diagonal = len(own), own.sum(axis=0)
    pairs = total @ total.T / total.shape[1] - diagonal
    return diagonal / num_people, pairs / (num_people * (num_people - 1))


def _solve(
    within: np.ndarray, between: np.ndarray, num_components: int, shrinkage: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return eigenvalues (components,) and weights (channels, components)."""
    variances, directions = eigh(within)
    basis = directions[:, variances > _RANK_TOLERANCE * variances[-1]]  # (channels, rank)
    rank = basis.shape[1]
    if num_components > rank:
        raise ValueError(
            f"num_components: expected at most {rank}, of so many directions of channels that have variance, "
            f"got {num_components}"
        )
    shrunken = (1 - shrinkage) * np.diag(basis.T @ within @ basis) + shrinkage * variances.mean()
    values, vectors = eigh(
        basis.T @ between @ basis, np.diag(shrunken), subset_by_index=[rank - num_components, rank - 1]
    )
    weights = basis @ vectors[:, ::-1]
    return values[::-1], weights / np.sqrt(np.sum(weights * (within @ weights), axis=0))


def _ratio(weights: np.ndarray, within: np.ndarray, between: np.ndarray) -> np.ndarray:
    """Return the ISC of each component: what all pairs share over what everybody has."""
    return np.sum(weights * (between @ weights), axis=0) / np.sum(weights * (within @ weights), axis=0)


def _component_isc(sources: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Return the ISC of components (people, components, time) whose sum over people is `total`."""
    power = np.square(sources).sum(axis=(0, 2))
    return (np.square(total).sum(axis=1) - power) / (power * (len(sources) - 1))


def _draw_shifts(people: np.ndarray, num_shifts: int, seed: int) -> np.ndarray:
    if num_shifts < 1:
        raise ValueError(f"num_shifts: expected 1 or more, got {num_shifts}")
    return np.random.default_rng(seed).integers(people.shape[2], size=(num_shifts, len(people)))


def _shift(people: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Return people (people, channels, time), each shifted in a circle by his number of samples."""
    return np.stack([np.roll(person, shift, axis=1) for person, shift in zip(people, shifts, strict=True)])


def _refitted_isc(own: np.ndarray, total: np.ndarray, num_components: int, shrinkage: float) -> np.ndarray:
    """Return the ISC of components fitted on the same people; a shift leaves their own covariances."""
    covariances = _covariances(own, total)
    return _ratio(_solve(*covariances, num_components, shrinkage)[1], *covariances)


def _held_out_isc(
    people: np.ndarray, own: np.ndarray, groups: list[np.ndarray], num_components: int, shrinkage: float
) -> np.ndarray:
    """Return the mean ISC (components,) of groups of people, with the components of all the others."""
    everyone, isc = people.sum(axis=0), []
    for group in groups:
        total = people[group].sum(axis=0)
        others = _covariances(np.delete(own, group, axis=0), everyone - total)
        _, weights = _solve(*others, num_components, shrinkage)
        isc.append(_ratio(weights, *_covariances(own[group], total)))
    return np.mean(isc, axis=0)
