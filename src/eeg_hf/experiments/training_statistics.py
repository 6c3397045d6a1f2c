# SPDX-License-Identifier: Apache-2.0
"""What the recordings of a training were like, kept beside its model, and how far another one is from them.

Three measures of a cleaned recording are compared: its spectrum, its amplitude, and what the model's head
reads. The limit of each is the largest distance of a training recording from the others, with a margin: a
recording of the same kind exceeds it with a probability below 1 / (number of training recordings + 1).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.signal import welch

from ..atomic_files import atomic_path
from ..collation import EEGDataCollator, WindowDataset, decode_windows
from ..models.configuration_eeg_foundation import SECOND_ORDER_BANDS_HZ
from ..training.frozen_features import collect_features

FILE = "training_statistics.safetensors"
MEASURES = ("spectrum", "amplitude", "embedding")
_MARGIN = 1.25
_FEWEST_RECORDINGS = 4
_MOST_SECONDS = 600.0
_MOST_WINDOWS = 24
"""Windows of a recording that are looked at."""
_SMALLEST_UV2 = 1e-6

Facts = dict[str, np.ndarray]


@dataclass(frozen=True)
class TrainingStatistics:
    """Mean and spread over the recordings of a training.

    Attributes:
        facts: `spectrum_mean`, `spectrum_sd` (bands,) in dB; `amplitude_mean`, `amplitude_sd` (1,) in dB of
            uV; `embedding_mean`, `embedding_sd` (features,), where the model is known to have such; and the
            limit of each measure, `<measure>_limit` (1,).
        number: Of recordings.
    """

    facts: Mapping[str, np.ndarray]
    number: int

    @classmethod
    def of(cls, recordings: list[Facts]) -> "TrainingStatistics | None":
        """Summarise recordings, see `measure_windows`; None of fewer than four."""
        if len(recordings) < _FEWEST_RECORDINGS:
            return None
        facts: dict[str, np.ndarray] = {}
        for name in MEASURES:
            if any(name not in each for each in recordings):
                continue
            values = np.stack([each[name] for each in recordings])  # (recordings, n)
            facts[f"{name}_mean"], facts[f"{name}_sd"] = values.mean(axis=0), _spread(values)
            others = [np.delete(values, row, axis=0) for row in range(len(values))]
            left_out = [
                _distance(name, value, rest.mean(axis=0), _spread(rest))
                for value, rest in zip(values, others, strict=True)
            ]
            facts[f"{name}_limit"] = np.array([_MARGIN * max(left_out)])
        return cls({name: value.astype(np.float32) for name, value in facts.items()}, len(recordings))

    def save(self, folder: Path) -> None:
        """Write `training_statistics.safetensors`, atomically."""
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / FILE) as partial:
            save_file(dict(self.facts), partial, metadata={"number": str(self.number)})

    @classmethod
    def load(cls, model: str | Path) -> "TrainingStatistics | None":
        """Return what lies beside a model in a folder; None where there is nothing."""
        path = Path(model) / FILE
        if not path.is_file():
            return None
        with safe_open(path, framework="numpy") as file:
            facts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is no mapping
            return cls(facts, int(file.metadata()["number"]))

    def distances(self, recording: Facts) -> dict[str, float]:
        """Return how far a recording is from those of the training, in units of the limit of each measure."""
        found = {}
        for name in MEASURES:
            mean = self.facts.get(f"{name}_mean")
            if mean is None or name not in recording or mean.shape != recording[name].shape:
                continue
            distance = _distance(name, recording[name], mean, self.facts[f"{name}_sd"])
            found[name] = distance / max(float(self.facts[f"{name}_limit"][0]), 1e-9)
        return found

    def drifts(self, recording: Facts) -> list[str]:
        """Return what drifts from the training, in words."""
        return [
            f"{name} differs from the {self.number} training recordings: {distance:.1f} times the limit"
            f"{self._detail(name, recording)}"
            for name, distance in self.distances(recording).items()
            if distance > 1
        ]

    def _detail(self, name: str, recording: Facts) -> str:
        """Return which band, or by how much."""
        if name == "embedding":
            return ""
        difference = recording[name] - self.facts[f"{name}_mean"]
        if name == "amplitude":
            return f" ({10 ** (difference[0] / 20):.2g} times theirs)"
        worst = int(np.argmax(np.abs(difference / self.facts["spectrum_sd"])))
        low, high = SECOND_ORDER_BANDS_HZ[worst]
        return f" ({difference[worst]:+.1f} dB at {low:g}-{high:g} Hz)"


def measure_windows(windows_uv: np.ndarray, rate: float) -> Facts:
    """Return the spectrum and the amplitude of some windows of a recording.

    Args:
        windows_uv: (windows, channels, time), cleaned.
        rate: In Hz.

    Returns:
        `spectrum` (bands,) in dB of uV^2 / Hz, and `amplitude` (1,) in dB of uV.
    """
    frequencies, power = welch(windows_uv, rate, nperseg=min(round(rate), windows_uv.shape[-1]))
    bands = [
        power[..., (frequencies >= low) & (frequencies < high)].mean()
        for low, high in SECOND_ORDER_BANDS_HZ
        if high <= rate / 2 and ((frequencies >= low) & (frequencies < high)).any()
    ]
    amplitude = np.median(np.abs(windows_uv - np.median(windows_uv, axis=-1, keepdims=True)))
    return {
        "spectrum": 10 * np.log10(np.maximum(bands, _SMALLEST_UV2)),
        "amplitude": 20 * np.log10(np.maximum([amplitude], math.sqrt(_SMALLEST_UV2))),
    }


def collect_statistics(rows: Dataset, model: Any, collator: EEGDataCollator) -> TrainingStatistics | None:
    """Return the statistics of the recordings of a training; None of fewer than four.

    Args:
        rows: Windows of the training.
        model: Fitted on them.
        collator: Makes batches of them; nothing may be augmented.
    """
    labels = collator.label_column
    columns = [] if labels is None else [labels] if isinstance(labels, str) else list(labels.values())
    names = np.array(rows["recording"][:])
    recordings = []
    for name in np.unique(names):
        places = np.flatnonzero(names == name)
        places = places[np.linspace(0, len(places) - 1, min(len(places), _MOST_WINDOWS)).round().astype(int)]
        part = rows.select(places)
        facts = measure_windows(decode_windows(part.with_format("arrow")[:])[0], part[0]["sampling_rate"])
        if reads_features(model, collator.feature_extractor):
            windows = WindowDataset(part, columns)
            facts["embedding"] = collect_features(model, windows, collator).mean(axis=0)
        recordings.append(facts)
    return TrainingStatistics.of(recordings)


def measure_recording(raw: Any, model: Any, extractor: Any) -> Facts:
    """Return the measures of a recording as the training's were taken.

    Args:
        raw: In volts, not cleaned.
        model: That predicts it.
        extractor: Its feature extractor.
    """
    part = raw.copy().crop(tmax=min(_MOST_SECONDS, raw.times[-1]))
    clean, _ = extractor.preprocess(part)
    features = extractor(clean, is_preprocessed=True)
    size, samples_uv = features["input_values"].shape[-1], 1e6 * clean.get_data()
    number = samples_uv.shape[1] // size
    if not number:  # shorter than a window
        return measure_windows(samples_uv[None], clean.info["sfreq"])
    places = np.linspace(0, number - 1, min(number, _MOST_WINDOWS)).round().astype(int)
    windows = np.stack([samples_uv[:, place * size : (place + 1) * size] for place in places])
    facts = measure_windows(windows, clean.info["sfreq"])
    if reads_features(model, extractor):
        chosen = {name: value[places] for name, value in features.items()}
        rows: Any = range(len(places))
        facts["embedding"] = collect_features(
            model, rows, lambda batch: {name: value[batch] for name, value in chosen.items()}
        ).mean(axis=0)
    return facts


def reads_features(model: Any, extractor: Any) -> bool:
    """Return whether `collect_features` collects what the head reads of a subject without calibration."""
    if extractor.calibration_regime != "unseen" or extractor.alignment != "none":
        return False
    encoder = getattr(model, "base_model", None)
    return isinstance(model, torch.nn.Module) and hasattr(encoder, "second_order_features")


def _distance(name: str, value: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> float:
    """Return the largest deviation of a band, or the root of the mean square over features."""
    deviations = (value - mean) / spread
    if name == "embedding":
        return float(np.sqrt(np.mean(deviations**2)))
    return float(np.abs(deviations).max())


def _spread(values: np.ndarray) -> np.ndarray:
    """Return the standard deviations over recordings; one that hardly varies takes a share of the others'."""
    spread = values.std(axis=0, ddof=1)
    return np.maximum(spread, max(0.05 * float(np.median(spread)), 1e-6))
