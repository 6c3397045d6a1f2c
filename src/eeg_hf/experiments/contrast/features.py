# SPDX-License-Identifier: Apache-2.0
"""Features of film windows, and how well they identify the moment that held-out subjects saw."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining, set_seed

from ...collation import EEGDataCollator, PairColumns, WindowDataset
from ...corpora import SimulatedFilm, load_alignments
from ...evaluation import (
    CorrelatedComponents,
    ISCTest,
    alignment,
    isc_null,
    matching_accuracy,
    positive_pairs,
    uniformity,
)
from ...evaluation.baselines import POWER_BANDS_HZ, BandPower
from ...evaluation.embedding_metrics import index_moments
from ...evaluation.metrics import balanced_accuracy
from ...models.objective_same_stimulus import MovieISCLoss
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training import PairSampler
from ..classifiers.windows import read_batches

MAX_PAIRS = 100_000  # pairs that alignment averages: 1 GB with 128 numbers each
MAX_SPREAD = 5_000  # windows whose uniformity is measured: 100 MB
MIN_DISTANCE = 1e-9
MAX_FITTED = 2_000  # training windows that standardise features


@dataclass(frozen=True)
class FilmWindows:
    """Windows of subjects who saw a film.

    Attributes:
        rows: The windows as rows of a prepared corpus, each with a stimulus.
        values: Signals in microvolts, (windows, channels, time).
        stimuli: Film of each window.
        seconds: Second of the film at the start of each window, (windows,).
        subjects: Subject of each window, (windows,).
        ids: Stimulus, second and subject as the contrastive loss takes them, (windows,) each.
    """

    rows: Dataset
    values: np.ndarray
    stimuli: list[str]
    seconds: np.ndarray
    subjects: np.ndarray
    ids: tuple[torch.Tensor, ...]

    @property
    def rate(self) -> float:
        """Sampling rate in Hz."""
        return float(self.rows[0]["sampling_rate"])


def read_film_windows(rows: Dataset, pairs: PairColumns, part: str) -> FilmWindows:
    """Read the windows of a part that have a stimulus.

    Args:
        rows: Windows of a prepared corpus.
        pairs: Columns of stimulus and second.
        part: Name of the part, for the error.

    Raises:
        ValueError: If no window has a stimulus, or the windows differ in their channels.
    """
    windows = WindowDataset(rows, pairs.columns)
    table = windows.dataset.select_columns(pairs.columns)[:]
    known = np.flatnonzero([name is not None for name in pairs.read_stimuli(table)])
    if not len(known):
        raise ValueError(f"part {part!r}: no window has a {pairs.stimulus} and a {pairs.seconds}")
    if len(set(windows.num_channels[known].tolist())) > 1:
        raise ValueError("expected one number of channels in all subjects; prepare with --channels")
    table, rows = table.take(known), rows.select(known)
    return FilmWindows(
        rows,
        np.concatenate([batch for _, batch in read_batches(WindowDataset(rows))]),
        [str(name) for name in pairs.read_stimuli(table)],
        np.array(pairs.read_seconds(table)),
        np.array(pairs.read_subjects(table)),
        tuple(pairs.collate(table).values()),
    )


def line_up(windows: FilmWindows) -> np.ndarray:
    """Return the moments that all subjects have, without overlap, (subjects, channels, time).

    Raises:
        ValueError: If there is no such moment.
    """
    table = pd.DataFrame(
        {"film": windows.stimuli, "second": windows.seconds, "subject": windows.subjects}
    ).rename_axis("row")
    table["moment"] = table.groupby("film")["second"].transform(index_moments)
    rows = table.reset_index().pivot(index=["film", "moment"], columns="subject", values="row").dropna()
    length = windows.values.shape[2] / windows.rate
    kept, last = [], ("", -np.inf)
    for (film, _), of_subjects in rows.astype(int).iterrows():
        second = windows.seconds[of_subjects.iloc[0]]
        if film != last[0] or second >= last[1] + length - 0.5 / windows.rate:
            kept.append(of_subjects.to_numpy())
            last = (film, second)
    if not kept:
        raise ValueError("no moment of a film that all subjects have: leave subjects out with --split")
    return np.stack([np.concatenate(windows.values[own], axis=1) for own in np.stack(kept, axis=1)])


def measure_isc(
    train: FilmWindows, test: FilmWindows, num_components: int, num_shifts: int
) -> tuple[CorrelatedComponents, ISCTest]:
    """Fit correlated components to the training subjects and test them on the others."""
    components = CorrelatedComponents(num_components).fit(line_up(train))
    return components, isc_null(components, line_up(test), num_shifts)


class FeatureJudge:
    """Scores features of the test windows.

    Args:
        test: The test windows.
        pairs: Columns of stimulus and second.
        batch_size: Windows per batch of the contrastive loss.
        subjects_per_time: Subjects at each of its moments.
        temperature: Temperature of the loss, the same for all features.
    """

    def __init__(
        self,
        test: FilmWindows,
        pairs: PairColumns,
        batch_size: int,
        subjects_per_time: int,
        temperature: float,
    ) -> None:
        self.test = test
        windows = WindowDataset(test.rows, pairs.columns)
        sampler = PairSampler.from_windows(windows, pairs, batch_size, subjects_per_time=subjects_per_time)
        self.batches = sampler.batches()
        self.loss = MovieISCLoss(temperature)
        found = positive_pairs(test.stimuli, test.seconds, test.subjects)
        self.positives = found[:: -(-len(found) // MAX_PAIRS)]

    def judge(self, features: np.ndarray) -> dict[str, float]:
        """Return the metrics of features (windows, size).

        `alignment_share` is the alignment divided by that of any two windows: 1 if pairs are no closer.
        """
        test, (first, second) = self.test, self.positives.T
        aligned = alignment(features[first], features[second])
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        of_any_two = 2 * (1 - np.square(unit.mean(axis=0)).sum()) * len(unit) / (len(unit) - 1)
        matched = matching_accuracy(features, test.stimuli, test.seconds, test.subjects)
        return {
            **{name: matched[name] for name in ("matching_accuracy", "matching_chance")},
            "alignment": aligned,
            "alignment_share": aligned / of_any_two if of_any_two > MIN_DISTANCE else math.nan,
            "uniformity": uniformity(features[:: -(-len(features) // MAX_SPREAD)]),
            "contrastive_loss": self.contrastive_loss(features),
        }

    def contrastive_loss(self, features: np.ndarray) -> float:
        """Return the mean loss over batches of several subjects at several moments."""
        vectors = torch.from_numpy(np.asarray(features, np.float32))
        losses = [
            self.loss(vectors[rows], *(ids[rows] for ids in self.test.ids)).item()
            for rows in map(torch.from_numpy, self.batches)
        ]
        return float(np.mean(losses))


def baseline_features(
    train: FilmWindows, test: FilmWindows, components: CorrelatedComponents
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name of each baseline and its features of the test windows."""
    yield "constant features", np.ones((len(test.values), 1))
    bands = {name: band for name, band in POWER_BANDS_HZ.items() if band[1] < train.rate / 2}
    power = make_pipeline(BandPower(train.rate, bands), StandardScaler()).fit(train.values)
    yield "band power", power.transform(test.values)
    fitted, tested = (
        components.transform(part.values).reshape(len(part.values), -1) for part in (train, test)
    )
    yield "correlated components", tested
    yield "correlated components, whitened in time", PCA(0.99, whiten=True).fit(fitted).transform(tested)


def truth_features(test: FilmWindows, corpus: SimulatedFilm, reference: str | list[str]) -> np.ndarray:
    """Return the simulated components by the optimal filters, (windows, components * time)."""
    filters = corpus.truth(test.stimuli[0]).filters
    if reference != "original" or filters.shape[1] != test.values.shape[1]:
        raise ValueError(
            "corpus_options: the truth is of signals prepared with --reference original and "
            f"{filters.shape[1]} channels, got {reference!r} and {test.values.shape[1]}"
        )
    return np.einsum("fc,wct->wft", filters, test.values).reshape(len(test.values), -1)


def load_model(folder: Path, is_trained: bool = True) -> Any:
    """Return the model of a folder, or with `is_trained=False` one like it with random weights."""
    if not (folder / "config.json").is_file():  # asking the Hub would take half a minute
        raise FileNotFoundError(f"{folder}: expected a trained model, it has no config.json")
    config = AutoConfig.from_pretrained(folder)
    is_pretraining = (config.architectures or [""])[0].endswith("ForPreTraining")
    auto_class = AutoModelForPreTraining if is_pretraining else AutoModel
    set_seed(0)
    return (auto_class.from_pretrained(folder) if is_trained else auto_class.from_config(config)).eval()


@torch.no_grad()
def encode(model: Any, extractor: EEGFeatureExtractor, data: str, rows: Dataset) -> np.ndarray:
    """Return the pooled features (windows, hidden_size) without masking."""
    found = {*rows.unique("sampling_rate")}
    if found != {extractor.sampling_rate}:
        raise ValueError(
            f"the model was trained at {extractor.sampling_rate:g} Hz, {data} has {sorted(found)}: prepare "
            "it at that rate"
        )
    alignments = load_alignments(data) if extractor.alignment != "none" else None
    loader = torch.utils.data.DataLoader(
        WindowDataset(rows), batch_size=64, collate_fn=EEGDataCollator(extractor, alignments=alignments)
    )
    return np.concatenate([model.base_model(**batch).pooler_output.float().numpy() for batch in loader])


@torch.no_grad()
def model_features(
    model: Any, extractor: EEGFeatureExtractor, data: str, train: FilmWindows, test: FilmWindows
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the features of the encoder, standardised by training subjects, and of the projection head.

    Without standardisation the features of the encoder are nearly equal for all windows, because a component
    shared by all tokens dominates their length.
    """
    pooled = encode(model, extractor, data, test.rows)
    step = -(-len(train.rows) // MAX_FITTED)
    fitted = encode(model, extractor, data, train.rows.select(range(0, len(train.rows), step)))
    yield "encoder", StandardScaler().fit(fitted).transform(pooled)
    if hasattr(model, "projection_head"):
        yield "projection head", model.projection_head(torch.from_numpy(pooled)).numpy()


@torch.no_grad()
def judge_auxiliary(
    model: Any, extractor: EEGFeatureExtractor, data: str, rows: Dataset
) -> dict[str, dict[str, float]]:
    """Score the auxiliary head of each task on some windows, beside a constant prediction.

    Args:
        model: Model for pretraining.
        extractor: Its feature extractor.
        data: Prepared corpus of the windows.
        rows: The windows, with one column per task; tasks without a column are left out.

    Returns:
        For a number `mae` and `mae_of_mean` (of predicting the training mean), in its unit; for classes
        `balanced_accuracy` and `balanced_accuracy_of_majority`; for both `num_windows` and `num_subjects`.
    """
    tasks: Mapping = model.config.auxiliary_tasks or {}
    found = {}
    for task in [task for task in tasks if task in rows.column_names and hasattr(model, "auxiliary_head")]:
        labels = pd.Series(rows[task][:], dtype=object)
        labelled = rows.select(np.flatnonzero(labels.notna()))
        if not len(labelled):
            continue
        pooled = torch.from_numpy(encode(model, extractor, data, labelled))
        predicted = model.auxiliary_head.heads[task](pooled).numpy()
        score = _score_classes if tasks[task].get("num_outputs", 1) > 1 else _score_numbers
        counts = {"num_windows": len(labelled), "num_subjects": len(labelled.unique("subject"))}
        found[task] = {**score(predicted, labels.dropna().tolist(), tasks[task]), **counts}
    return found


def _score_numbers(predicted: np.ndarray, labels: Sequence[float], task: Mapping) -> dict[str, float]:
    targets = np.asarray(labels, float)
    return {
        "mae": float(np.abs(predicted[:, 0] - targets).mean()),
        "mae_of_mean": float(np.abs(task["mean"] - targets).mean()),
    }


def _score_classes(predicted: np.ndarray, labels: Sequence, task: Mapping) -> dict[str, float]:
    targets = np.array([task["classes"].index(label) for label in labels])
    return {
        "balanced_accuracy": balanced_accuracy(targets, predicted.argmax(axis=1)),
        "balanced_accuracy_of_majority": 1 / len(np.unique(targets)),
    }
