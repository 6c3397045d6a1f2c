# SPDX-License-Identifier: Apache-2.0
"""What the recordings of a training were like, kept beside its model, and how far another one is from them.

Five measures of a cleaned recording are compared: its spectrum, amplitude and quality, what the model's head
reads, and what it answers. The distance of each training recording is kept, measured from the recordings of
other subjects. The limit of a measure is the largest of them, with a margin: a recording of the same kind
exceeds it with a probability below 1 / (number of training recordings + 1). What a model answers to windows
that it was trained on says nothing of new ones: scores are of held-out recordings only.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy.signal import welch
from scipy.special import expit, softmax
from torch.utils.data import DataLoader

from ..atomic_files import atomic_path
from ..collation import EEGDataCollator, WindowDataset, decode_windows
from ..models.configuration_eeg_foundation import SECOND_ORDER_BANDS_HZ
from ..training.frozen_features import collect_features

FILE = "training_statistics.safetensors"
MEASURES = ("spectrum", "amplitude", "quality", "embedding", "scores")
_MARGIN = 1.25
_FEWEST_RECORDINGS = 4
_MOST_SECONDS = 600.0
_MOST_WINDOWS = 24
"""Windows of a recording that are looked at."""
_SMALLEST_UV2 = 1e-6
_LEAST_SPREAD = {"quality": 0.05, "scores": 0.02}
"""Recordings that are all perfect have no spread, and the next one is still no news."""

Facts = dict[str, np.ndarray]


@dataclass(frozen=True)
class TrainingStatistics:
    """Mean and spread over the recordings of a training.

    Attributes:
        facts: Of each measure `<measure>_mean` and `<measure>_sd` (n,), its `<measure>_limit` (1,), and of
            each recording, NaN where it was not measured, `<measure>_left_out` (recordings,), the distance
            from the recordings of other subjects, and, but for embeddings, `<measure>_values` (recordings,
            n). Spectra are in dB by band, amplitudes in dB of uV. `subjects` (recordings,) numbers them.
        number: Of recordings.
    """

    facts: Mapping[str, np.ndarray]
    number: int

    @classmethod
    def of(
        cls, recordings: list[Facts], subjects: Sequence[str] | None = None
    ) -> "TrainingStatistics | None":
        """Summarise recordings, see `measure_windows`; None of fewer than four.

        Args:
            recordings: What was measured of each.
            subjects: Whose they are; by default of one each, as where all are of one subject.
        """
        if len(recordings) < _FEWEST_RECORDINGS:
            return None
        owners = np.unique(subjects if subjects is not None else [], return_inverse=True)[1]
        if len(np.unique(owners)) < _FEWEST_RECORDINGS:
            owners = np.arange(len(recordings))
        facts: dict[str, np.ndarray] = {"subjects": owners.astype(np.int32)}
        for name in MEASURES:
            has = np.array([name in each for each in recordings])
            if len(np.unique(owners[has])) < _FEWEST_RECORDINGS:
                continue
            values = np.stack([each[name] for each in recordings if name in each])  # (measured, n)
            facts[f"{name}_mean"], facts[f"{name}_sd"] = values.mean(axis=0), _spread(name, values)
            left_out = np.full(len(recordings), np.nan)
            for row, owner in zip(np.flatnonzero(has), owners[has], strict=True):
                rest = values[owners[has] != owner]
                left_out[row] = _distance(name, recordings[row][name], rest.mean(axis=0), _spread(name, rest))
            facts[f"{name}_left_out"] = left_out
            facts[f"{name}_limit"] = np.array([_MARGIN * np.nanmax(left_out)])
            if name != "embedding":  # which would be large, and is compared by distance alone
                facts[f"{name}_values"] = np.full((len(recordings), values.shape[1]), np.nan)
                facts[f"{name}_values"][has] = values
        kept = {
            name: value if name == "subjects" else value.astype(np.float32) for name, value in facts.items()
        }
        return cls(kept, len(recordings))

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

    def deviations(self, recording: Facts) -> dict[str, float]:
        """Return how far a recording is from those of the training, by measure, in standard deviations."""
        found = {}
        for name in MEASURES:
            mean = self.facts.get(f"{name}_mean")
            if mean is not None and name in recording and mean.shape == recording[name].shape:
                found[name] = _distance(name, recording[name], mean, self.facts[f"{name}_sd"])
        return found

    def distances(self, recording: Facts) -> dict[str, float]:
        """Return the deviations in units of the limit of each measure."""
        return {
            name: deviation / max(float(self.facts[f"{name}_limit"][0]), 1e-9)
            for name, deviation in self.deviations(recording).items()
        }

    def drifts(self, recording: Facts) -> list[str]:
        """Return what drifts from the training, in words."""
        return [
            f"{name} differs from the {self.number} training recordings: {distance:.1f} times the limit"
            f"{detail and f' ({detail})'}"
            for name, distance in self.distances(recording).items()
            if distance > 1
            for detail in [self.describe(name, recording)]
        ]

    def describe(self, name: str, recording: Facts) -> str:
        """Return which band differs, or by how much."""
        if name == "embedding":
            return ""
        difference = recording[name] - self.facts[f"{name}_mean"]
        if name == "amplitude":
            return f"{10 ** (difference[0] / 20):.2g} times theirs"
        if name == "quality":
            return f"{recording[name][0]:.2f}, theirs {self.facts['quality_mean'][0]:.2f}"
        worst = int(np.argmax(np.abs(difference / self.facts[f"{name}_sd"])))
        if name == "scores":
            return f"{recording[name][worst]:.2f}, theirs {self.facts['scores_mean'][worst]:.2f}"
        low, high = SECOND_ORDER_BANDS_HZ[worst]
        return f"{difference[worst]:+.1f} dB at {low:g}-{high:g} Hz"


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


def describe_scores(outputs: np.ndarray, problem: str | None) -> np.ndarray:
    """Return what a model answers over a recording.

    Args:
        outputs: (windows, labels), its logits, or numbers of a regression.
        problem: The `problem_type` of its config.

    Returns:
        Mean probabilities (labels,) and the mean of the largest one; of a regression mean and deviation.
    """
    if problem == "regression" or outputs.shape[1] == 1:
        return np.concatenate([outputs.mean(axis=0), outputs.std(axis=0)])
    shares = expit(outputs) if problem == "multi_label_classification" else softmax(outputs, axis=1)
    return np.append(shares.mean(axis=0), shares.max(axis=1).mean())


def collect_statistics(
    rows: Dataset,
    model: Any,
    collator: EEGDataCollator,
    held_out: np.ndarray | None = None,
    unseen: Collection[str] = (),
) -> TrainingStatistics | None:
    """Return the statistics of the recordings of a training; None of fewer than four.

    Args:
        rows: Windows of the training.
        model: Fitted on them.
        collator: Makes batches of them; nothing may be augmented.
        held_out: What a model that was not fitted on a window would answer, (rows, labels); NaN is unknown.
        unseen: Names of recordings that the model itself was not fitted on.
    """
    labels = collator.label_column
    columns = [] if labels is None else [labels] if isinstance(labels, str) else list(labels.values())
    chosen = choose_windows(np.array(rows["recording"][:]))
    embeddings: Iterator[np.ndarray | None] = iter([None] * len(chosen))
    if reads_features(model, collator.feature_extractor):  # at once: a batch for each recording is slow
        windows = WindowDataset(rows.select(np.concatenate([*chosen.values()])), columns)
        ends = np.cumsum([len(places) for places in chosen.values()])[:-1]
        embeddings = iter(np.split(collect_features(model, windows, collator), ends))
    recordings, subjects = [], []
    for (name, places), embedding in zip(chosen.items(), embeddings, strict=True):
        part = rows.select(places)
        first = part[0]
        facts = measure_windows(decode_windows(part.with_format("arrow")[:])[0], first["sampling_rate"])
        if first.get("quality") is not None:
            facts["quality"] = np.array([first["quality"]])
        if embedding is not None:
            facts["embedding"] = embedding.mean(axis=0)
        outputs = None
        if name in unseen:
            outputs = _collect_outputs(model, WindowDataset(part, columns), collator)
        elif held_out is not None:
            outputs = held_out[places][np.isfinite(held_out[places]).all(axis=1)]
        if outputs is not None and len(outputs):
            facts["scores"] = describe_scores(outputs, model.config.problem_type)
        recordings.append(facts)
        subjects.append(f"{first.get('corpus')}/{first.get('subject', name)}")
    return TrainingStatistics.of(recordings, subjects)


def choose_windows(recordings: np.ndarray) -> dict[str, np.ndarray]:
    """Return rows of each recording, evenly spread, by its name.

    Args:
        recordings: (windows,) of which recording each is.
    """
    names, owners = np.unique(recordings, return_inverse=True)
    rows = np.split(np.argsort(owners, kind="stable"), np.cumsum(np.bincount(owners))[:-1])
    spread = [
        np.linspace(0, len(each) - 1, min(len(each), _MOST_WINDOWS)).round().astype(int) for each in rows
    ]
    return {str(name): each[places] for name, each, places in zip(names, rows, spread, strict=True)}


@torch.no_grad()
def _collect_outputs(model: Any, dataset: Any, collator: Any) -> np.ndarray | None:
    """Return the outputs (windows, labels) of a model; None of a model of several tasks."""
    was_training, found = model.training, []
    model.eval()
    for batch in DataLoader(dataset, 64, collate_fn=collator):
        inputs = {name: value.to(model.device) for name, value in batch.items() if name != "labels"}
        outputs = model(**inputs).logits
        if isinstance(outputs, Mapping):
            return None
        found.append(outputs.float().cpu())
    model.train(was_training)
    return torch.cat(found).numpy()


def measure_recording(raw: Any, model: Any, extractor: Any) -> Facts:
    """Return the measures of a recording as the training's were taken.

    Args:
        raw: In volts, not cleaned.
        model: That predicts it.
        extractor: Its feature extractor.
    """
    part = raw.copy().crop(tmax=min(_MOST_SECONDS, raw.times[-1]))
    clean, report = extractor.preprocess(part)
    quality = {"quality": np.array([report.quality])}
    features = extractor(clean, is_preprocessed=True)
    size, samples_uv = features["input_values"].shape[-1], 1e6 * clean.get_data()
    number = samples_uv.shape[1] // size
    if not number:  # shorter than a window
        return quality | measure_windows(samples_uv[None], clean.info["sfreq"])
    places = np.linspace(0, number - 1, min(number, _MOST_WINDOWS)).round().astype(int)
    windows = np.stack([samples_uv[:, place * size : (place + 1) * size] for place in places])
    facts = quality | measure_windows(windows, clean.info["sfreq"])
    if extractor.calibration_regime != "unseen" or extractor.alignment != "none":
        return facts  # what the model reads needs more than this recording
    chosen = {name: value[places] for name, value in features.items()}
    rows: Any = range(len(places))

    def collate(batch: list[int]) -> dict[str, Any]:
        return {name: value[batch] for name, value in chosen.items()}

    if reads_features(model, extractor):
        facts["embedding"] = collect_features(model, rows, collate).mean(axis=0)
    if (outputs := _collect_outputs(model, rows, collate)) is not None:
        facts["scores"] = describe_scores(outputs, model.config.problem_type)
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


def _spread(name: str, values: np.ndarray) -> np.ndarray:
    """Return the standard deviations over recordings; one that hardly varies takes a share of the others'."""
    spread = values.std(axis=0, ddof=1)
    least = max(0.05 * float(np.median(spread)), _LEAST_SPREAD.get(name, 1e-6))
    return np.maximum(spread, least)
