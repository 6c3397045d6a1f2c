# SPDX-License-Identifier: Apache-2.0
import math

import evaluate
import numpy as np
import pytest

from eeg_hf.evaluation import EEGClassificationMetrics, classification_metrics, evaluate_metric


@pytest.fixture(params=["class", "path"])
def metric(request, tmp_path, metric_modules):
    """The metric, made from its class and loaded from its file, as somebody without eeg_hf would."""
    if request.param == "class":
        return EEGClassificationMetrics(cache_dir=str(tmp_path))
    return evaluate.load(evaluate_metric.__file__, cache_dir=str(tmp_path))


def test_metric_of_evaluate_agrees_with_the_plain_function(metric):
    random = np.random.default_rng(0)
    labels, logits = random.integers(3, size=40), random.normal(size=(40, 3))
    expected = classification_metrics(labels, logits, ["a", "b", "c"])
    assert metric.compute(references=labels, predictions=logits, class_names=["a", "b", "c"]) == expected


def test_metric_of_evaluate_collects_batches_and_takes_class_indices(tmp_path):
    metric = EEGClassificationMetrics(cache_dir=str(tmp_path))
    metric.add_batch(references=[0, math.nan], predictions=[0, 1])
    metric.add_batch(references=[1, -100], predictions=[1, 0])
    result = metric.compute()
    assert (result["balanced_accuracy"], result["num_samples"], result["num_missing"]) == (1.0, 2, 2)
