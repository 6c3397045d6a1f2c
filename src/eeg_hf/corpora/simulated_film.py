# SPDX-License-Identifier: Apache-2.0
"""A corpus that nobody recorded: people who watch films, and how much of their response is shared is known.

For tests of what learns from a film that many people saw. Each film drives one or more components: courses of
time that are the same in everybody, each with its own pattern over the head. Of a component's variance
`shared_share` is the film's and the rest the person's own. On top of it come the person's 1/f background and
his alpha rhythm. A film starts at another time in each recording.

The components have the spectrum of the background, so that filtering both leaves their ratio, and what
correlates between people, as it was; only alpha weighs differently in another band.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

from .corpus import Event, Label, Recording, annotated
from .made_corpus import MadeCorpus, alpha, alpha_pattern, background, background_mixing, pattern, slow_noise

if TYPE_CHECKING:
    import mne

_CENTRES: tuple[tuple[str, ...], ...] = (("Fz", "Cz"), ("P7", "P3"), ("F8", "T8"), ("C3", "T7"))
_WIDTH = 0.05
_BACKGROUND_UV = 7.0
_MOST_FILMS = 100


@dataclass(frozen=True)
class FilmTruth:
    """What the simulated people who watch a film have in common.

    Attributes:
        courses: What the film drives, (components, samples), unit root mean square.
        patterns: How strong each component is at each electrode, (components, 19), at most 1.
        component_isc: Correlation between any two people of a component by itself.
        isc: Inter-subject correlation of what correlates most in the electrodes, (components,), descending:
            the largest generalised eigenvalues of the covariance between people and that within them
            (https://arxiv.org/abs/1801.08881), as expected before any filter.
        filters: The weights of the electrodes that find them, (components, 19).
    """

    courses: np.ndarray
    patterns: np.ndarray
    component_isc: float
    isc: np.ndarray
    filters: np.ndarray


class SimulatedFilm(MadeCorpus):
    """People watch films, one recording for each; made anew at each reading and always the same.

    Labels: the person's `alpha_hz`; of a film `stimulus`, its name (`"film_1"` ...), and `stimulus_seconds`.
    Events: `film`, from its start, 1 to 5 s after that of the recording, to its end, 1 s before that.

    Args:
        num_subjects: How many people; subject n is the same person whatever this number.
        num_films: How many films each of them sees.
        seconds: Length of a film.
        shared_share: Share of a component's variance that is the film's, 0 to 1; 0 makes people who have
            nothing in common.
        num_components: How many components a film drives, 1 to 4.
        component_uv: Root mean square of a component at its strongest place, in microvolt; that of the
            background is 7.
        seed: Another seed makes other people and films.
        sampling_rate: In Hz.

    Example:
        >>> corpus = SimulatedFilm(num_subjects=2, seconds=10)
        >>> corpus.recordings()[0].task, float(corpus.truth("film_1").isc[0].round(2))
        ('film_1', 0.39)
    """

    name = "simulated_film"
    title = "Simulated EEG of people who watch the same films"
    label_names = {"alpha_hz": float, "stimulus": str, "stimulus_seconds": float}
    made_of = (*MadeCorpus.made_of, "shared_share", "num_components", "component_uv")

    def __init__(
        self,
        num_subjects: int = 12,
        num_films: int = 2,
        seconds: float = 60.0,
        shared_share: float = 0.5,
        num_components: int = 1,
        component_uv: float = 10.0,
        seed: int = 0,
        sampling_rate: float = 250.0,
    ) -> None:
        super().__init__(num_subjects, seconds, seed, sampling_rate)
        limits = {"num_films": (1, _MOST_FILMS), "shared_share": (0, 1), "num_components": (1, len(_CENTRES))}
        given = {"num_films": num_films, "shared_share": shared_share, "num_components": num_components}
        for name, (least, most) in limits.items():
            if not least <= given[name] <= most:
                raise ValueError(f"{name} must be {least} to {most}, got {given[name]}")
        self.num_films = num_films
        self.shared_share = shared_share
        self.num_components = num_components
        self.component_uv = component_uv

    def recordings(self, root: Path | None = None) -> list[Recording]:
        """List a recording for each person and film; their paths are names only."""
        return [
            self._recording(root, number, run, f"film_{run}", {"alpha_hz": self._person(number)[0]})
            for number in range(self.num_subjects)
            for run in range(1, self.num_films + 1)
        ]

    def truth(self, film: str) -> FilmTruth:
        """Return what a film does to everybody of this corpus.

        Args:
            film: Its name, `"film_1"` and on.
        """
        patterns, mixing, rhythm = self._patterns(), background_mixing(), alpha_pattern()
        driven = self.component_uv**2 * patterns.T @ patterns
        alpha_uv2 = np.mean([self._person(number)[1] ** 2 for number in range(self.num_subjects)])
        within = driven + _BACKGROUND_UV**2 * mixing @ mixing.T + alpha_uv2 * np.outer(rhythm, rhythm)
        isc, filters = eigh(self.shared_share * driven, within)  # ascending, vectors in columns
        last = slice(None, -self.num_components - 1, -1)
        return FilmTruth(self._courses(film), patterns, self.shared_share, isc[last], filters.T[last])

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Make the recording, in volts, with the film annotated."""
        (alpha_hz, alpha_uv), rate = self._person(int(recording.subject)), self.sampling_rate
        random = np.random.default_rng([self.seed, int(recording.subject), int(recording.run)])
        start = round(random.uniform(1.0, 5.0) * rate)
        length = round(self.seconds * rate)
        num_samples = start + length + round(rate)
        shared = np.zeros((self.num_components, num_samples))
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

    def _person(self, number: int) -> tuple[float, float]:
        """Frequency (Hz) and strength (microvolt) of a person's alpha rhythm."""
        random = np.random.default_rng([self.seed, number])
        return float(np.clip(random.normal(10.0, 0.8), 8.5, 11.5)), 8.0 * math.exp(random.normal(0.0, 0.4))

    def _courses(self, film: str) -> np.ndarray:
        names = [f"film_{number}" for number in range(1, self.num_films + 1)]
        if film not in names:
            raise ValueError(f"no film {film!r}: expected one of {', '.join(names)}")
        random = np.random.default_rng([self.seed, names.index(film), _MOST_FILMS + 1])
        rate = self.sampling_rate
        return slow_noise(self.num_components, round(self.seconds * rate), rate, random)

    def _patterns(self) -> np.ndarray:
        return np.stack([pattern(centres, _WIDTH) for centres in _CENTRES[: self.num_components]])


__all__ = ["FilmTruth", "SimulatedFilm"]
