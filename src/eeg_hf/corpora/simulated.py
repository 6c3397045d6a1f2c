# SPDX-License-Identifier: Apache-2.0
"""A corpus that nobody recorded: seeded EEG whose truth is known.

For tests, and to try a pipeline where neither data nor network is there. Nothing measured on it says anything
of people.

Each subject has an alpha rhythm of his own frequency and strength over the back of the head, weaker during
"task" than during "rest"; around it a 1/f background, blinks over the forehead, line noise, and in some
recordings a dead electrode.

People differ in the strength of their alpha (a factor of 1.8 per standard deviation) more than the two
conditions do within one person (a factor of about 1.7), so the power of one window says little about a
stranger. Balanced accuracy of a logistic regression over five subject folds, 60 people, 5-s windows: guessing
0.50; band power of all electrodes 0.62; alpha power at O1 and O2 alone 0.68; the same with each person's own
mean taken off, which is near the ceiling, 0.93.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from ..channels import STANDARD_19, electrode_positions
from .corpus import Corpus, Event, Recording, annotated

if TYPE_CHECKING:
    from collections.abc import Collection

    import mne

CONDITIONS: tuple[str, ...] = ("rest", "task")
_MOST_SUBJECTS = 1000
_BLOCK_SECONDS = 10.0
_BLINK_SECONDS = 0.4


@dataclass(frozen=True)
class SimulatedTruth:
    """What a simulated subject was made with.

    Attributes:
        alpha_hz: Centre of his alpha rhythm.
        alpha_uv: Condition -> root mean square of the alpha rhythm at its strongest place, in microvolt.
        background_uv: Root mean square of the 1/f background at a typical electrode, in microvolt.
        line_uv: Mean amplitude of the line noise, in microvolt.
        dead_channel: Condition -> electrode that recorded nothing, `None` where all did.
    """

    alpha_hz: float
    alpha_uv: Mapping[str, float]
    background_uv: float
    line_uv: float
    dead_channel: Mapping[str, str | None]


class Simulated(Corpus):
    """Simulated rest and task of any number of subjects, made anew at each reading and always the same.

    Labels: `condition` (`"rest"` or `"task"`) and the subject's `alpha_hz`. Events: blocks of 10 s named by
        the condition;
    blinks are annotated as `blink`.

    Args:
        num_subjects: How many people; subject n is the same person whatever this number.
        seconds: Length of each of a person's two recordings.
        seed: Another seed makes other people.
        sampling_rate: In Hz.
        line_hz: Frequency of the line noise.

    Example:
        >>> corpus = Simulated(num_subjects=2, seconds=10)
        >>> recording = corpus.recordings()[0]
        >>> recording.subject, recording.task, corpus.read(recording).get_data().shape
        ('00', 'rest', (19, 2500))
    """

    name = "simulated"
    title = "Simulated EEG with known truth"
    licence = "CC0-1.0"
    hub_licence = "cc0-1.0"
    citation = "Simulated by eeg_hf; not recorded from people."
    url = ""
    access = "made on this machine"
    reference = "infinity"
    label_names = {"condition": str, "alpha_hz": float}
    # Two of every six people, of however many; so six are the fewest that fill all parts.
    official_split = {
        "train": tuple(f"{i:02d}" for i in range(_MOST_SUBJECTS) if i % 6 < 4),
        "validation": tuple(f"{i:02d}" for i in range(_MOST_SUBJECTS) if i % 6 == 4),
        "test": tuple(f"{i:02d}" for i in range(_MOST_SUBJECTS) if i % 6 == 5),
    }
    has_events = True
    is_of_people = False
    layout = "nothing: it is made, not read"

    def __init__(
        self,
        num_subjects: int = 12,
        seconds: float = 60.0,
        seed: int = 0,
        sampling_rate: float = 250.0,
        line_hz: float = 50.0,
    ) -> None:
        if not 1 <= num_subjects <= _MOST_SUBJECTS or seconds <= 0 or sampling_rate <= 0:
            raise ValueError(
                f"expected 1 to {_MOST_SUBJECTS} subjects, a positive length and rate, got "
                f"num_subjects={num_subjects}, seconds={seconds}, sampling_rate={sampling_rate}"
            )
        self.num_subjects = num_subjects
        self.seconds = seconds
        self.seed = seed
        self.sampling_rate = sampling_rate
        self.line_hz = line_hz

    def locate(
        self, root: Path | str | None = None, download: bool = True, subjects: "Collection[str] | None" = None
    ) -> Path:
        """Return a folder that need not exist, since nothing is read from it."""
        return Path(root or self.name)

    def recordings(self, root: Path | None = None) -> list[Recording]:
        """List two recordings a subject; their paths are names only."""
        return [
            Recording(
                path=Path(root or self.name) / f"{subject}_{condition}",
                corpus=self.name,
                subject=subject,
                session="1",
                run=str(run),
                task=condition,
                labels={"condition": condition, "alpha_hz": self.truth(subject).alpha_hz},
            )
            for subject in map(self._subject, range(self.num_subjects))
            for run, condition in enumerate(CONDITIONS, start=1)
        ]

    def truth(self, subject: str) -> SimulatedTruth:
        """Return what a subject was made with."""
        random = np.random.default_rng([self.seed, int(subject)])
        rest_uv = 11.0 * math.exp(0.6 * self._rank(int(subject)))
        task_uv = rest_uv * math.exp(-random.normal(0.55, 0.1))
        dead = {
            condition: str(random.choice(STANDARD_19)) if random.random() < 0.15 else None
            for condition in CONDITIONS
        }
        return SimulatedTruth(
            alpha_hz=float(np.clip(random.normal(10.0, 0.8), 8.5, 11.5)),
            alpha_uv={"rest": rest_uv, "task": task_uv},
            background_uv=7.0 * math.exp(random.normal(0.0, 0.15)),
            line_uv=float(random.uniform(1.0, 4.0)),
            dead_channel=dead,
        )

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Make the recording, in volts, with annotated blinks and blocks."""
        import mne

        truth = self.truth(recording.subject)
        condition = recording.task
        random = np.random.default_rng([self.seed, int(recording.subject), 1 + CONDITIONS.index(condition)])
        blinks = _blink_times(self.seconds, random)
        signal = (
            truth.background_uv * self._background(random)
            + truth.alpha_uv[condition] * self._alpha(truth.alpha_hz, random)
            + self._blinks(blinks, random)
            + truth.line_uv * self._line(random)
        )  # (channels, time) in microvolt
        if truth.dead_channel[condition] is not None:
            signal[STANDARD_19.index(str(truth.dead_channel[condition]))] = 0.0
        info = mne.create_info(list(STANDARD_19), self.sampling_rate, "eeg")
        raw = mne.io.RawArray(signal * 1e-6, info, verbose="ERROR")
        num_blocks = int(self.seconds // _BLOCK_SECONDS)
        onsets = [*blinks, *(_BLOCK_SECONDS * np.arange(num_blocks))]
        durations = [_BLINK_SECONDS] * len(blinks) + [_BLOCK_SECONDS] * num_blocks
        names = ["blink"] * len(blinks) + [condition] * num_blocks
        return raw.set_annotations(mne.Annotations(onsets, durations, names), verbose="ERROR")

    def events(self, recording: Recording, raw: "mne.io.BaseRaw") -> list[Event]:
        """List the blocks; a blink is an artefact and no event."""
        return [event for event in annotated(raw) if event.name in CONDITIONS]

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Say what the recording is made from: there is no file that could change."""
        made_of = ("seconds", "seed", "sampling_rate", "line_hz")
        return {"generator": 1, **{name: getattr(self, name) for name in made_of}}

    @property
    def _num_samples(self) -> int:
        return round(self.seconds * self.sampling_rate)

    @staticmethod
    def _subject(number: int) -> str:
        return f"{number:02d}"

    def _rank(self, number: int) -> float:
        """Return a subject's standard normal value, spread evenly: by chance twelve people can be alike."""
        golden = (math.sqrt(5) - 1) / 2  # its multiples fill the unit interval evenly, however many are taken
        share = (np.random.default_rng(self.seed).random() + number * golden) % 1
        return NormalDist().inv_cdf(0.01 + 0.98 * share)

    def _background(self, random: np.random.Generator) -> np.ndarray:
        """1/f noise of unit root mean square, alike at neighbouring electrodes, (channels, time)."""
        frequencies = np.fft.rfftfreq(self._num_samples, 1 / self.sampling_rate)
        amplitude = np.where(frequencies > 0, np.maximum(frequencies, 0.5) ** -0.5, 0.0)
        sources = self._noise(amplitude, len(STANDARD_19), random)
        mixing = np.exp(-((_distances() / 0.05) ** 2))
        return (mixing / np.linalg.norm(mixing, axis=1, keepdims=True)) @ sources

    def _alpha(self, alpha_hz: float, random: np.random.Generator) -> np.ndarray:
        """Waxing and waning rhythm around `alpha_hz`, strongest between O1 and O2, (channels, time)."""
        frequencies = np.fft.rfftfreq(self._num_samples, 1 / self.sampling_rate)
        rhythm = self._noise(np.exp(-(((frequencies - alpha_hz) / 1.2) ** 2)), 1, random)
        return _pattern(("O1", "O2"), 0.06)[:, None] * rhythm

    def _line(self, random: np.random.Generator) -> np.ndarray:
        """Line noise of a random strength and phase at each electrode, mean amplitude 1, (channels, time)."""
        times = np.arange(self._num_samples) / self.sampling_rate
        strength, phase = random.uniform(0.0, 2.0, 19), random.uniform(0.0, 2 * np.pi, 19)
        return strength[:, None] * np.sin(2 * np.pi * self.line_hz * times + phase[:, None])

    def _blinks(self, onsets: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """One bump of about 100 uV a blink over the forehead, (channels, time) in microvolt."""
        course = np.zeros(self._num_samples)
        bump = np.hanning(round(_BLINK_SECONDS * self.sampling_rate))
        for onset, strength in zip(onsets, random.uniform(70.0, 130.0, len(onsets)), strict=True):
            start = round(onset * self.sampling_rate)
            course[start : start + len(bump)] += strength * bump[: self._num_samples - start]
        return _pattern(("Fp1", "Fp2"), 0.05)[:, None] * course

    def _noise(self, amplitude: np.ndarray, num: int, random: np.random.Generator) -> np.ndarray:
        """Gaussian noise of unit root mean square with a given amplitude spectrum, (num, time)."""
        spectrum = amplitude * (random.normal(size=(num, 2, len(amplitude))) * [[1], [1j]]).sum(axis=1)
        noise = np.fft.irfft(spectrum, self._num_samples)
        return noise / noise.std(axis=1, keepdims=True)


def _blink_times(seconds: float, random: np.random.Generator) -> np.ndarray:
    """Onsets in seconds, 1.5 s to 9 s apart, as often during rest as during task."""
    gaps = random.uniform(1.5, 9.0, math.ceil(seconds / 1.5))
    onsets = np.cumsum(gaps)
    return onsets[onsets < seconds - _BLINK_SECONDS]


@lru_cache(maxsize=1)
def _distances() -> np.ndarray:
    """Distances between the 19 electrodes in metres, (19, 19)."""
    places = electrode_positions(STANDARD_19).astype(np.float64)
    return np.linalg.norm(places[:, None] - places[None], axis=-1)


def _pattern(centres: tuple[str, ...], width: float) -> np.ndarray:
    """Bell-shaped fall-off, `width` metres wide, around the nearest of some electrodes, (19,)."""
    nearest = _distances()[[STANDARD_19.index(name) for name in centres]].min(axis=0)
    return np.exp(-((nearest / width) ** 2))


__all__ = ["CONDITIONS", "Simulated", "SimulatedTruth"]
