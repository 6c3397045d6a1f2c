# SPDX-License-Identifier: Apache-2.0
"""A simulated corpus of subjects who watch films, with a known share of common response.

For tests of models that learn from a film seen by many subjects. Each film drives one or more components:
time courses that are the same for all subjects, each with its own pattern over the head. The film causes
`shared_share` of a component's variance, the subject the rest. The subject's 1/f background and alpha rhythm
are added. A film starts at another time in each recording.

The components have the spectrum of the background, so that a filter changes neither their ratio nor the
correlation between subjects; only the weight of alpha depends on the band.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

from .corpus import Event, Label, Recording, annotated
from .simulated_corpus import (
    SimulatedCorpus,
    alpha,
    alpha_pattern,
    background,
    background_mixing,
    pattern,
    slow_noise,
)

if TYPE_CHECKING:
    import mne

_CENTRES: tuple[tuple[str, ...], ...] = (("Fz", "Cz"), ("P7", "P3"), ("F8", "T8"), ("C3", "T7"))
_WIDTH = 0.05
_BACKGROUND_UV = 7.0
_MOST_FILMS = 100


@dataclass(frozen=True)
class FilmTruth:
    """Common response of the simulated subjects to a film.

    Attributes:
        courses: Time courses driven by the film, (components, samples), unit root mean square.
        patterns: Strength of each component at each electrode, (components, 19), at most 1.
        component_isc: Correlation of a single component between any two subjects.
        isc: Inter-subject correlation of the most correlated components, (components,), descending: the
            largest generalised eigenvalues of the covariance between and within subjects
            (https://arxiv.org/abs/1801.08881), as expected before any filter.
        filters: Electrode weights of these components, (components, 19).
    """

    courses: np.ndarray
    patterns: np.ndarray
    component_isc: float
    isc: np.ndarray
    filters: np.ndarray


@dataclass(eq=False)
class SimulatedFilm(SimulatedCorpus):
    """Subjects watch films, one recording for each; the recordings are the same at each reading.

    Labels: the subject's `alpha_hz`; of a film `stimulus`, its name (`"film_1"` ...), and `stimulus_seconds`.
    Events: `film`, from its start, 1 to 5 s after that of the recording, to its end, 1 s before that.

    Args:
        num_subjects: Number of subjects; subject n is the same whatever this number.
        num_films: Number of films that each subject sees.
        seconds: Length of a film.
        shared_share: Share of a component's variance that the film causes, 0 to 1; with 0 subjects have
            nothing in common.
        num_components: Number of components that a film drives, 1 to 4.
        component_uv: Root mean square of a component where it is strongest, in microvolt; that of the
            background is 7.
        seed: Seed of the subjects and films.
        sampling_rate: In Hz.

    Example:
        >>> corpus = SimulatedFilm(num_subjects=2, seconds=10)
        >>> corpus.recordings()[0].task, float(corpus.truth("film_1").isc[0].round(2))
        ('film_1', 0.39)
    """

    name = "simulated_film"
    title = "Simulated EEG of subjects who watch the same films"
    label_names = {"alpha_hz": float, "stimulus": str, "stimulus_seconds": float}

    num_subjects: int = 12
    num_films: int = 2
    seconds: float = 60.0
    shared_share: float = 0.5
    num_components: int = 1
    component_uv: float = 10.0
    seed: int = 0
    sampling_rate: float = 250.0

    def __post_init__(self) -> None:
        super().__post_init__()
        limits = {"num_films": (1, _MOST_FILMS), "shared_share": (0, 1), "num_components": (1, len(_CENTRES))}
        for name, (least, most) in limits.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be {least} to {most}, got {getattr(self, name)}")

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        """List a recording for each subject and film."""
        for number in range(self.num_subjects):
            alpha_hz, _ = self._alpha(number)
            for run in range(1, self.num_films + 1):
                yield self._recording(root, number, run, f"film_{run}", {"alpha_hz": alpha_hz})

    def truth(self, film: str) -> FilmTruth:
        """Return the common response of all subjects to a film.

        Args:
            film: Name of the film, `"film_1"` and on.
        """
        patterns, mixing, rhythm = self._patterns(), background_mixing(), alpha_pattern()
        # Expected covariances in squared microvolt, (19, 19): of the film, and of all sources
        driven = self.component_uv**2 * patterns.T @ patterns
        alpha_uv2 = np.mean([self._alpha(number)[1] ** 2 for number in range(self.num_subjects)])
        within = driven + _BACKGROUND_UV**2 * mixing @ mixing.T + alpha_uv2 * np.outer(rhythm, rhythm)
        isc, filters = eigh(self.shared_share * driven, within)  # ascending, vectors in columns
        last = slice(None, -self.num_components - 1, -1)
        return FilmTruth(self._courses(film), patterns, self.shared_share, isc[last], filters.T[last])

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Generate a recording, in volts, with the film annotated."""
        (alpha_hz, alpha_uv), rate = self._alpha(int(recording.subject)), self.sampling_rate
        random = np.random.default_rng([self.seed, int(recording.subject), int(recording.run)])
        start = round(random.uniform(1.0, 5.0) * rate)
        length = round(self.seconds * rate)
        num_samples = start + length + round(rate)
        shared = np.zeros((self.num_components, num_samples))  # the film's share, zero before and after it
        shared[:, start : start + length] = self._courses(recording.task)
        own = slow_noise(self.num_components, num_samples, rate, random)
        courses = np.sqrt(self.shared_share) * shared + np.sqrt(1 - self.shared_share) * own
        signal = (
            self.component_uv * self._patterns().T @ courses
            + _BACKGROUND_UV * background(num_samples, rate, random)
            + alpha_uv * alpha(alpha_hz, num_samples, rate, random)
        )  # (channels, time) in microvolt
        return self._raw(signal, [Event(start / rate, length / rate, "film")])

    def events(self, recording: Recording, raw: "mne.io.BaseRaw | mne.BaseEpochs") -> list[Event]:
        """List the film."""
        labels: dict[str, Label] = {"stimulus": recording.task, "stimulus_seconds": 0.0}
        return [Event(event.onset, event.duration, event.name, labels) for event in annotated(raw)]

    def _alpha(self, number: int) -> tuple[float, float]:
        """Return frequency (Hz) and strength (microvolt) of a subject's alpha rhythm."""
        random = np.random.default_rng([self.seed, number])
        return float(np.clip(random.normal(10.0, 0.8), 8.5, 11.5)), 8.0 * math.exp(random.normal(0.0, 0.4))

    def _courses(self, film: str) -> np.ndarray:
        """Return what a film drives, (components, samples)."""
        names = [f"film_{number}" for number in range(1, self.num_films + 1)]
        if film not in names:
            raise ValueError(f"no film {film!r}: expected one of {', '.join(names)}")
        random = np.random.default_rng([self.seed, names.index(film), _MOST_FILMS + 1])
        rate = self.sampling_rate
        return slow_noise(self.num_components, round(self.seconds * rate), rate, random)

    def _patterns(self) -> np.ndarray:
        return np.stack([pattern(centres, _WIDTH) for centres in _CENTRES[: self.num_components]])
