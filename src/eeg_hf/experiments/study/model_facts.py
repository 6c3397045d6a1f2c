# SPDX-License-Identifier: Apache-2.0
"""What the models of a study show beyond their scores: gain by subjects, neighbours, decisions, flips."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from transformers import AutoModelForSequenceClassification, pipeline

from ...collation import EEGDataCollator, WindowDataset
from ...evaluation import Predictions
from ...evaluation.metrics import balanced_accuracy
from ...models.configuration_eeg_foundation import EEGFoundationConfig
from ...processing.channel_selection import select_channels
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training.classifier_head import parts_read
from ...training.convex_head import fit_head
from ...training.frozen_features import collect_features
from ...training.ridge_head import fit_ridge_head
from .contents import StudiedWindows

NUM_DRAWS = 3
_MOST_POINTS = 1500
_MOST_RECORDINGS = 12
_SECONDS = 60.0
_NEIGHBOURS = 15
"""Of a window, by which UMAP places it."""


@dataclass(frozen=True)
class Embedding:
    """Windows as points in a plane.

    Attributes:
        points: (points, 2).
        rows: (points,) indices of the windows.
        method: How the plane was found.
        neighbours: `label` -> share of the nearest windows of other subjects that agree; `subject` -> of
            those of other recordings; and what chance gives.
    """

    points: np.ndarray
    rows: np.ndarray
    method: str
    neighbours: Mapping[str, tuple[float, float]]


def read_features(windows: StudiedWindows, model_dir: Path, rows: np.ndarray) -> np.ndarray:
    """Return what the head of a saved model reads of some windows, (rows, features)."""
    model = AutoModelForSequenceClassification.from_pretrained(str(model_dir))
    collator = EEGDataCollator(EEGFeatureExtractor.from_pretrained(str(model_dir)))
    chosen: Dataset = windows.rows.select(rows)
    parts = parts_read(model) if model.config.model_type == EEGFoundationConfig.model_type else None
    return collect_features(model, WindowDataset(chosen), collator, parts)


def embed(windows: StudiedWindows, model_dir: Path) -> Embedding:
    """Place windows in a plane by what the model's head reads, and count what neighbours share.

    UMAP of 30 principal components where umap-learn is installed, else t-SNE.
    """
    number = len(windows.rows)
    rows = np.linspace(0, number - 1, min(number, _MOST_POINTS)).round().astype(int)
    features = StandardScaler().fit_transform(read_features(windows, model_dir, rows))
    reduced = PCA(min(30, len(rows) - 1, features.shape[1]), random_state=0).fit_transform(features)
    points, method = _to_plane(reduced)
    recordings = np.array(windows.rows["recording"][:])[rows]
    subjects = np.array(windows.rows["subject"][:])[rows]
    # The other recordings of a subject have other labels by design: they say nothing of the label
    found = {
        "label": neighbour_agreement(reduced, windows.groups[rows], subjects),
        "subject": neighbour_agreement(reduced, subjects, recordings),
    }
    return Embedding(points, rows, method, {name: pair for name, pair in found.items() if pair is not None})


def _to_plane(features: np.ndarray) -> tuple[np.ndarray, str]:
    """Return points (points, 2) of features (points, components), and how they were found."""
    of = f"of {features.shape[1]} principal components"
    try:
        from umap import UMAP
    except ImportError:
        return _by_tsne(features), f't-SNE {of} (UMAP needs pip install "eeg-hf[umap]")'
    if len(features) <= _NEIGHBOURS:
        return _by_tsne(features), f"t-SNE {of} (UMAP needs more than {_NEIGHBOURS} windows)"
    return UMAP(_NEIGHBOURS, random_state=0, n_jobs=1).fit_transform(features), f"UMAP {of}"


def _by_tsne(features: np.ndarray) -> np.ndarray:
    perplexity = min(30.0, max(2.0, (len(features) - 1) / 4))
    return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features)


def neighbour_agreement(
    features: np.ndarray, values: np.ndarray, groups: np.ndarray
) -> tuple[float, float] | None:
    """Return how often the nearest window of another group has the same value, and what chance gives.

    Args:
        features: (windows, features).
        values: (windows,) that may agree.
        groups: (windows,) recording or subject of each window.

    Returns:
        Two shares; None where no window of another group has the same value.
    """
    is_other = groups[:, None] != groups[None]  # (windows, windows)
    agrees = is_other & (values[:, None] == values[None])
    if not agrees.any():
        return None
    search = NearestNeighbors(n_neighbors=len(features)).fit(features)
    order = search.kneighbors(features, return_distance=False)
    nearest = order[np.arange(len(order)), np.take_along_axis(is_other, order, axis=1).argmax(axis=1)]
    chance = agrees.sum(axis=1) / is_other.sum(axis=1)
    return float((values[nearest] == values).mean()), float(chance.mean())


def learning_curve(windows: StudiedWindows, run: Path) -> dict[int, list[float]]:
    """Return the scores of heads that are fitted to fewer of the training subjects, by their number.

    The encoder of each fold stays as it is; only its head is fitted anew, on three draws of subjects. Scores
    are balanced accuracy, or the mean absolute error of numbers, a mean over folds.

    Args:
        windows: Of the study.
        run: Folder of a cross-validation in the regime `unseen`.
    """
    subjects = np.array(windows.rows["subject"][:])
    ids = np.array(windows.rows["window_id"][:])
    scores: dict[int, list[list[float]]] = {}
    tested = {
        folder: np.isin(ids, Predictions.load(folder / "predictions.parquet").window_ids)
        for folder in sorted(run.glob("fold-*"))
    }
    # Folds differ by a subject: a point of the curve is a mean over all of them
    fewest = min((len(np.unique(subjects[~is_test])) for is_test in tested.values()), default=0)
    for folder, is_test in tested.items():
        features = read_features(windows, folder, np.arange(len(ids)))
        people = np.unique(subjects[~is_test])
        for size in subset_sizes(fewest):
            for draw in range(NUM_DRAWS if size < len(people) else 1):
                chosen = np.random.default_rng(draw).permutation(people)[:size]
                rows = np.flatnonzero(~is_test & np.isin(subjects, chosen))
                score = _fit_and_score(windows, features, rows, np.flatnonzero(is_test), subjects)
                if score is not None:
                    scores.setdefault(size, [[] for _ in range(NUM_DRAWS)])[draw].append(score)
    return {
        size: [float(np.mean(folds)) for folds in draws if folds] for size, draws in sorted(scores.items())
    }


def subset_sizes(number: int) -> list[int]:
    """Return five numbers of subjects at most, from two to all."""
    return sorted({max(2, round(number * share)) for share in (0.125, 0.25, 0.5, 0.75, 1.0)} - {0, 1})


def _fit_and_score(
    windows: StudiedWindows, features: np.ndarray, train: np.ndarray, test: np.ndarray, subjects: np.ndarray
) -> float | None:
    """Return the score of a head; None where its subjects lack a class."""
    values = windows.values
    if windows.target.is_regression:
        if np.ptp(values[train]) == 0:
            return None
        ridge = fit_ridge_head(features[train], values[train], subjects[train])
        found = features[test] @ ridge.weight.T + ridge.bias
        return float(np.abs(found[:, 0] - values[test]).mean())
    if len(np.unique(values[train])) < len(windows.group_names):
        return None
    head = fit_head(features[train], values[train], subjects[train])
    return balanced_accuracy(values[test], (features[test] @ head.weight.T + head.bias).argmax(axis=1))


def decision_maps(windows: StudiedWindows, predictions: Predictions) -> np.ndarray:
    """Return the correlation (bands, channels) of log power with what was predicted of unseen subjects.

    The pattern of a model, which can be read where its weights cannot (Haufe et al. 2014,
    https://doi.org/10.1016/j.neuroimage.2013.10.067): for the last class, or the number.
    """
    places = {name: row for row, name in enumerate(windows.rows["window_id"][:])}
    rows = np.array([places[name] for name in predictions.window_ids])
    decision = predictions.scores[:, -1].astype(float)
    if predictions.scores.shape[1] > 1:
        share = np.clip(decision, 1e-6, 1 - 1e-6)
        decision = np.log(share / (1 - share))
    power = windows.band_power()[rows]
    power, decision = power - power.mean(axis=0), decision - decision.mean()
    spread = np.sqrt((power**2).sum(axis=0) * (decision**2).sum())
    return np.nan_to_num(np.tensordot(decision, power, axes=1) / np.where(spread > 0, spread, np.inf))


def sensitivity(
    sources: Sequence[Callable[[], Any]], model_dir: Path, channel: str | None
) -> list[dict[str, Any]]:
    """Return how predictions change when recordings had been made otherwise.

    Args:
        sources: Each opens a recording; twelve are taken, a minute of each.
        model_dir: The model of the study.
        channel: Electrode to refer to instead; None leaves that out.

    Returns:
        A row for each change: `change`, `windows`, and `flipped`, the share of windows with another class, or
        `shift`, the mean absolute change of the number.
    """
    build: Any = pipeline
    classify = build("eeg-classification", model=str(model_dir))
    places = np.linspace(0, len(sources) - 1, min(len(sources), _MOST_RECORDINGS)).round().astype(int)
    changes: dict[str, Callable[[Any], Any]] = {
        "notch filter at 50 Hz first": lambda raw: raw.notch_filter(50.0, verbose="ERROR"),
        "notch filter at 60 Hz first": lambda raw: raw.notch_filter(60.0, verbose="ERROR"),
        "three quarters of the rate": lambda raw: raw.resample(0.75 * raw.info["sfreq"], verbose="ERROR"),
    }
    if channel:
        changes[f"recorded against {channel}"] = lambda raw: refer_to(raw, channel)
    before: dict[str, list[Any]] = {name: [] for name in changes}
    after: dict[str, list[Any]] = {name: [] for name in changes}
    for place in places:
        raw = sources[place]()
        raw = raw.crop(tmax=min(_SECONDS, raw.times[-1])).load_data(verbose="ERROR")
        usual = _answers(classify, raw)
        for name, change in changes.items():
            try:
                found = _answers(classify, change(raw.copy()))
            except ValueError:  # a rate below the notch, an electrode that is not there
                continue
            number = min(len(usual), len(found))
            before[name] += usual[:number]
            after[name] += found[:number]
    return [_compare(name, before[name], after[name]) for name in changes if before[name]]


def refer_to(raw: Any, channel: str) -> Any:
    """Return a recording against one electrode, by its name in the montage, whatever the file calls it.

    Raises:
        ValueError: If it has no such electrode.
    """
    entry = select_channels(raw, unknown_channels="drop").found.get(channel)
    if entry is None:
        raise ValueError(f"no electrode {channel}")
    return raw.set_eeg_reference([entry.label], verbose="ERROR")


def _answers(classify: Any, raw: Any) -> list[Any]:
    return [window.get("label", window.get("value")) for window in classify(raw)["windows"]]


def _compare(change: str, before: list[Any], after: list[Any]) -> dict[str, Any]:
    row: dict[str, Any] = {"change": change, "windows": len(before)}
    if isinstance(before[0], float):
        return {**row, "shift": float(np.mean(np.abs(np.subtract(before, after))))}
    return {**row, "flipped": float(np.mean([a != b for a, b in zip(before, after, strict=True)]))}
