# SPDX-License-Identifier: Apache-2.0
"""Test a classifier as it would run online: every window is answered from the samples before its end."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset

from ...corpora import CORPORA, get_corpus
from ...evaluation import Predictions
from ..prediction.online import run_online
from ..prediction.predicting import load_pipeline
from ..prediction.sources import Source, find_sources
from .target import Target, to_predictions

_SHORTEST_HOP = 0.1
_TOLERANCE = 1e-3


class CausalTest(NamedTuple):
    """What was predicted, and for how many windows a stream had no answer."""

    predictions: Predictions
    unanswered: int


def predict_causally(
    model: str, test: Dataset, recordings: str, options: Mapping[str, Any], target: Target
) -> CausalTest:
    """Return the scores of prepared windows as `eeg-hf stream` and `predict --causal` answer them.

    The first window of the stream that ends where a prepared one does, or next after it, answers for it.
    Without an answer, all classes count alike.

    Args:
        model: Trained classifier.
        test: Prepared windows.
        recordings: Folder that they were prepared from.
        options: Of the corpus.
        target: What is predicted.

    Raises:
        ValueError: If the folder lacks a recording, or a stream cannot do what the contract asks for.
    """
    classify = load_pipeline(model, "cpu")
    names = [classify.model.config.id2label[index] for index in range(classify.model.config.num_labels)]
    columns = ["recording", "start_seconds", "num_samples", "sampling_rate"]
    table = test.select_columns(columns).to_pandas()
    sources = name_sources(recordings, test[0]["corpus"], options)
    if missing := sorted(set(table["recording"]) - set(sources)):
        raise ValueError(
            f"recordings: {recordings} lacks {len(missing)} of the tested recordings, such as {missing[0]}; "
            "expected the folder that --data was prepared from"
        )
    scores = np.full((len(table), len(names)), 1 / len(names))
    answered = np.zeros(len(table), bool)
    for name, rows in table.groupby("recording"):
        starts = rows["start_seconds"].to_numpy()
        seconds = (rows["num_samples"] / rows["sampling_rate"]).to_numpy()
        hop = common_step(starts, classify.feature_extractor.window_seconds or float(seconds[0]))
        classifier, windows = run_online(classify, sources[name].read(), hop_seconds=hop)
        ends = np.array([window.end for window in windows])
        for place, end in zip(rows.index, starts + seconds, strict=True):
            number = int(np.searchsorted(ends, end - _TOLERANCE))
            if number == len(windows) or ends[number] > end + hop or windows[number].features is None:
                continue
            outputs = classifier.run(windows[number])
            scores[place], answered[place] = outputs[0].softmax(dim=-1).numpy(), True
    found = to_predictions(test, Target(target.column, names), scores)
    return CausalTest(found, int((~answered).sum()))


def common_step(starts: np.ndarray, window_seconds: float) -> float:
    """Return the longest step in seconds that windows of a stream need to end with all prepared ones."""
    thousandths = [round(1000 * float(each)) for each in (window_seconds, *starts)]
    return min(window_seconds, max(math.gcd(*thousandths) / 1000, _SHORTEST_HOP))


def name_sources(folder: str, corpus: str, options: Mapping[str, Any]) -> dict[str, Source]:
    """Return the recordings of a folder by the names that prepared windows give them."""
    root = Path(folder)
    if corpus in CORPORA and corpus not in ("folder", "bids"):
        owner = get_corpus(corpus, **options)
        found = [Source(each.path, each.subject, each.labels, owner, each) for each in owner.recordings(root)]
    else:
        found = find_sources([folder], options)
    return {
        (each.path.relative_to(root) if each.path.is_relative_to(root) else each.path).as_posix(): each
        for each in found
    }


__all__ = ["CausalTest", "common_step", "predict_causally"]
