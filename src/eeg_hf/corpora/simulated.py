# SPDX-License-Identifier: Apache-2.0
"""A simulated corpus of rest and task: seeded EEG with known parameters.

For tests, and to try a pipeline without data or network. Results on it say nothing about real EEG.

Each subject has an alpha rhythm with its own frequency and strength over the back of the head, weaker during
"task" than during "rest". To it are added a 1/f background, blinks over the forehead, line noise, and in some
recordings a dead electrode.

Subjects differ in the strength of alpha (a factor of 1.8 per standard deviation) more than the two conditions
do within a subject (a factor of about 1.7), so the power of one window says little about an unseen subject.
Balanced accuracy of a logistic regression over five subject folds, 60 subjects, 5-s windows: chance 0.50;
band power of all electrodes 0.62; alpha power at O1 and O2 alone 0.68; the same with each subject's mean
removed, which is near the ceiling, 0.93.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from ..processing.channels import STANDARD_19
from .corpus import Event, Label, Recording, annotated
from .simulated_corpus import SimulatedCorpus, alpha, background, pattern

if TYPE_CHECKING:
    import mne

CONDITIONS: tuple[str, ...] = ("rest", "task")
# Mean and standard deviation over subjects, of logarithms where the unit is uV
ALPHA_HZ, ALPHA_RANGE_HZ = (10.0, 0.8), (8.5, 11.5)
ALPHA_UV, ALPHA_DECAY, BACKGROUND_UV = (11.0, 0.6), (0.55, 0.1), (7.0, 0.15)
_BLOCK_SECONDS = 10.0
_BLINK_SECONDS = 0.4


@dataclass(frozen=True)
class SimulatedTruth:
    """Parameters of a simulated subject.

    Attributes:
        alpha_hz: Centre frequency of the alpha rhythm.
        alpha_uv: Condition -> root mean square of the alpha rhythm where it is strongest, in microvolt.
        background_uv: Root mean square of the 1/f background at a typical electrode, in microvolt.
        line_uv: Mean amplitude of the line noise, in microvolt.
        dead_channel: Condition -> electrode without signal, `None` where all have one.
    """

    alpha_hz: float
    alpha_uv: Mapping[str, float]
    background_uv: float
    line_uv: float
    dead_channel: Mapping[str, str | None]


@dataclass(eq=False)
class Simulated(SimulatedCorpus):
    """Simulated rest and task of any number of subjects, the same at each reading.

    Labels: `condition` (`"rest"` or `"task"`) and the subject's `alpha_hz`. Events: blocks of 10 s named by
        the condition; blinks are annotated as `blink`.

    Args:
        num_subjects: Number of subjects; subject n is the same whatever this number.
        seconds: Length of each of a subject's two recordings.
        seed: Seed of the subjects.
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
    label_names = {"condition": str, "alpha_hz": float}

    num_subjects: int = 12
    seconds: float = 60.0
    seed: int = 0
    sampling_rate: float = 250.0
    line_hz: float = 50.0

    def _find_recordings(self, root: Path) -> Iterator[Recording]:
        """List two recordings per subject."""
        for number in range(self.num_subjects):
            alpha_hz = self.truth(f"{number:02d}").alpha_hz
            for run, condition in enumerate(CONDITIONS, start=1):
                labels: dict[str, Label] = {"condition": condition, "alpha_hz": alpha_hz}
                yield self._recording(root, number, run, condition, labels)

    def truth(self, subject: str) -> SimulatedTruth:
        """Return the parameters of a subject."""
        # The order of the draws is fixed: another order makes other subjects
        random = np.random.default_rng([self.seed, int(subject)])
        rest_uv = ALPHA_UV[0] * math.exp(ALPHA_UV[1] * self._rank(int(subject)))
        task_uv = rest_uv * math.exp(-random.normal(*ALPHA_DECAY))
        dead = {
            condition: str(random.choice(STANDARD_19)) if random.random() < 0.15 else None
            for condition in CONDITIONS
        }
        return SimulatedTruth(
            alpha_hz=float(np.clip(random.normal(*ALPHA_HZ), *ALPHA_RANGE_HZ)),
            alpha_uv={"rest": rest_uv, "task": task_uv},
            background_uv=BACKGROUND_UV[0] * math.exp(random.normal(0.0, BACKGROUND_UV[1])),
            line_uv=float(random.uniform(1.0, 4.0)),
            dead_channel=dead,
        )

    def read(self, recording: Recording) -> "mne.io.BaseRaw":
        """Generate a recording, in volts, with annotated blinks and blocks."""
        truth = self.truth(recording.subject)
        condition = recording.task
        random = np.random.default_rng([self.seed, int(recording.subject), 1 + CONDITIONS.index(condition)])
        blinks = _blink_times(self.seconds, random)
        signal = (
            truth.background_uv * background(self._num_samples, self.sampling_rate, random)
            + truth.alpha_uv[condition] * alpha(truth.alpha_hz, self._num_samples, self.sampling_rate, random)
            + self._blinks(blinks, random)
            + truth.line_uv * self._line(random)
        )  # (channels, time) in microvolt
        if truth.dead_channel[condition] is not None:
            signal[STANDARD_19.index(str(truth.dead_channel[condition]))] = 0.0
        blocks = _BLOCK_SECONDS * np.arange(self.seconds // _BLOCK_SECONDS)
        marks = [Event(onset, _BLINK_SECONDS, "blink") for onset in blinks]
        return self._raw(signal, [*marks, *(Event(onset, _BLOCK_SECONDS, condition) for onset in blocks)])

    def events(self, recording: Recording, raw: "mne.io.BaseRaw") -> list[Event]:
        """List the blocks; blinks are artefacts and not events."""
        return [event for event in annotated(raw) if event.name in CONDITIONS]

    @property
    def _num_samples(self) -> int:
        return round(self.seconds * self.sampling_rate)

    def _rank(self, number: int) -> float:
        """Return a subject's standard normal value, evenly spread: twelve random subjects can be alike."""
        golden = (math.sqrt(5) - 1) / 2  # its multiples fill the unit interval evenly, however many there are
        share = (np.random.default_rng(self.seed).random() + number * golden) % 1
        return NormalDist().inv_cdf(0.01 + 0.98 * share)

    def _line(self, random: np.random.Generator) -> np.ndarray:
        """Return line noise of random strength and phase, mean amplitude 1, (channels, time)."""
        times = np.arange(self._num_samples) / self.sampling_rate
        strength, phase = random.uniform(0.0, 2.0, 19), random.uniform(0.0, 2 * np.pi, 19)
        return strength[:, None] * np.sin(2 * np.pi * self.line_hz * times + phase[:, None])

    def _blinks(self, onsets: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Return one bump of about 100 uV per blink over the forehead, (channels, time) in microvolt."""
        course = np.zeros(self._num_samples)
        bump = np.hanning(round(_BLINK_SECONDS * self.sampling_rate))
        for onset, strength in zip(onsets, random.uniform(70.0, 130.0, len(onsets)), strict=True):
            start = round(onset * self.sampling_rate)
            course[start : start + len(bump)] += strength * bump[: self._num_samples - start]
        return pattern(("Fp1", "Fp2"), 0.05)[:, None] * course


def _blink_times(seconds: float, random: np.random.Generator) -> np.ndarray:
    """Return onsets in seconds, 1.5 s to 9 s apart, as often during rest as during task."""
    gaps = random.uniform(1.5, 9.0, math.ceil(seconds / 1.5))
    onsets = np.cumsum(gaps)
    return onsets[onsets < seconds - _BLINK_SECONDS]
