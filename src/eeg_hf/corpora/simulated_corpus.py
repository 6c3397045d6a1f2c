# SPDX-License-Identifier: Apache-2.0
"""Base class of the simulated corpora: 19 electrodes, a 1/f background, an alpha rhythm."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..processing.channels import STANDARD_19
from ..processing.electrode_positions import electrode_positions
from .corpus import Corpus, Event, Label, Recording
from .recordings.bids import annotate

if TYPE_CHECKING:
    import mne

_MOST_SUBJECTS = 1000
_COUNTS = {"num_subjects", "num_films"}
_ALPHA_PLACES, _ALPHA_WIDTH = ("O1", "O2"), 0.06
ALPHA_HALF_BAND_HZ = 1.2


class SimulatedCorpus(Corpus):
    """A simulated corpus: each reading generates the same samples again.

    Subclasses are dataclasses, whose fields are the options of the simulation.

    Attributes:
        num_subjects: Number of subjects; subject n is the same whatever this number.
        seconds: Length of each recording or epoch.
        seed: Seed of the subjects.
        sampling_rate: In Hz.
    """

    seconds: float
    seed: int
    sampling_rate: float

    licence = "CC0-1.0"
    citation = "Simulated by eeg_hf; not recorded from people."
    url = ""
    access = "simulated on this machine"
    reference = "infinity"
    # One of every six subjects each for validation and test; so six are the fewest that fill all parts.
    official_split: Mapping[str, tuple[str, ...]] | None = {
        "train": tuple(f"{i:02d}" for i in range(_MOST_SUBJECTS) if i % 6 < 4),
        "validation": tuple(f"{i:02d}" for i in range(_MOST_SUBJECTS) if i % 6 == 4),
        "test": tuple(f"{i:02d}" for i in range(_MOST_SUBJECTS) if i % 6 == 5),
    }
    has_events = True
    is_of_people = False
    layout = "no files: it is simulated"

    def __post_init__(self) -> None:
        if not 1 <= self.num_subjects <= _MOST_SUBJECTS or self.seconds <= 0 or self.sampling_rate <= 0:
            raise ValueError(
                f"expected 1 to {_MOST_SUBJECTS} subjects, a positive length and rate, got num_subjects="
                f"{self.num_subjects}, seconds={self.seconds}, sampling_rate={self.sampling_rate}"
            )

    def locate(
        self, root: Path | str | None = None, download: bool = True, subjects: Collection[str] | None = None
    ) -> Path:
        """Return a folder that need not exist, because nothing is read from it."""
        return Path(root or self.name)

    def recordings(self, root: Path | str | None = None) -> list[Recording]:
        """List the recordings by the numbers of subjects and runs; there are no files at their paths."""
        return list(self._find_recordings(self.locate(root)))

    def provenance(self, recording: Recording) -> dict[str, int | float | str]:
        """Return the options; the samples of a recording do not depend on how many recordings there are."""
        options = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {"generator": 1, **{name: options[name] for name in options.keys() - _COUNTS}}

    def _recording(
        self, root: Path, number: int, run: int, task: str, labels: Mapping[str, Label]
    ) -> Recording:
        """Describe a subject's recording; there is no file at its path."""
        subject = f"{number:02d}"
        path = root / f"{subject}_{task}"
        return Recording(path, self.name, subject, "1", str(run), task, labels)

    def _raw(self, signal_uv: np.ndarray, annotations: Sequence[Event]) -> "mne.io.BaseRaw":
        """Return (channels, time) in microvolt as a recording in volts."""
        import mne

        info = mne.create_info(list(STANDARD_19), self.sampling_rate, "eeg")
        raw = mne.io.RawArray(signal_uv * 1e-6, info, verbose="ERROR")
        annotate(raw, annotations)
        return raw


def noise(amplitude: np.ndarray, num: int, num_samples: int, random: np.random.Generator) -> np.ndarray:
    """Return Gaussian noise of unit root mean square with an amplitude spectrum, (num, num_samples)."""
    # Independent real and imaginary parts of every frequency
    spectrum = amplitude * (random.normal(size=(num, 2, len(amplitude))) * [[1], [1j]]).sum(axis=1)
    made = np.fft.irfft(spectrum, num_samples)
    return made / made.std(axis=1, keepdims=True)


def slow_noise(num: int, num_samples: int, rate: float, random: np.random.Generator) -> np.ndarray:
    """Return noise of unit root mean square whose power falls with 1/f from 0.5 Hz, (num, num_samples)."""
    frequencies = np.fft.rfftfreq(num_samples, 1 / rate)
    amplitude = np.where(frequencies > 0, np.maximum(frequencies, 0.5) ** -0.5, 0.0)
    return noise(amplitude, num, num_samples, random)


def slow_noise_density(frequencies: np.ndarray, nyquist_hz: float) -> np.ndarray:
    """Return the power of `slow_noise` per Hz at some frequencies above 0.5 Hz; over all it adds up to 1."""
    return 1 / frequencies / (1 + np.log(nyquist_hz / 0.5))


def background(num_samples: int, rate: float, random: np.random.Generator) -> np.ndarray:
    """Return 1/f noise of unit root mean square, similar at neighbouring electrodes, (19, num_samples)."""
    return background_mixing() @ slow_noise(len(STANDARD_19), num_samples, rate, random)


def alpha(hz: float, num_samples: int, rate: float, random: np.random.Generator) -> np.ndarray:
    """Return a waxing and waning rhythm around `hz`, strongest at O1 and O2, (19, num_samples)."""
    frequencies = np.fft.rfftfreq(num_samples, 1 / rate)
    amplitude = np.exp(-(((frequencies - hz) / ALPHA_HALF_BAND_HZ) ** 2))
    return alpha_pattern()[:, None] * noise(amplitude, 1, num_samples, random)


def alpha_pattern() -> np.ndarray:
    """Return the strength of alpha at each electrode, (19,)."""
    return pattern(_ALPHA_PLACES, _ALPHA_WIDTH)


def background_mixing() -> np.ndarray:
    """Return the mixing matrix of 19 independent background sources, rows of unit length, (19, 19)."""
    mixing = np.exp(-((_distances() / 0.05) ** 2))
    return np.asarray(mixing / np.linalg.norm(mixing, axis=1, keepdims=True))


def pattern(centres: tuple[str, ...], width: float) -> np.ndarray:
    """Return a bell-shaped fall-off, `width` metres wide, around the nearest of some electrodes, (19,)."""
    nearest = _distances()[[STANDARD_19.index(name) for name in centres]].min(axis=0)
    return np.asarray(np.exp(-((nearest / width) ** 2)))


@cache
def _distances() -> np.ndarray:
    """Return the distances between the 19 electrodes in metres, (19, 19)."""
    places = electrode_positions(STANDARD_19).astype(np.float64)
    return np.asarray(np.linalg.norm(places[:, None] - places[None], axis=-1))
