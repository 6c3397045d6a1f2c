# SPDX-License-Identifier: Apache-2.0
"""Trained classifiers, exported, beside eager PyTorch: how fast they are, and how far from it."""

import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from benchmark_parts.inference import open_formats, write_formats
from benchmark_parts.models import rows_beside
from benchmark_parts.timing import BenchmarkArguments, Row, race_all
from eeg_hf import EEGFeatureExtractor
from eeg_hf.bundled_weights import find_weights
from eeg_hf.corpora import SeenWindows
from eeg_hf.experiments.exporting import read_features
from eeg_hf.inference.onnx_model import compare, split_batches


def measure_exported(args: BenchmarkArguments) -> list[Row]:
    """Compare trained models in all formats, and time them."""
    if not args.exported_models:
        raise ValueError(
            "part exported: expected trained classifiers, got none: name them by --exported_models"
        )
    return [row for name in args.exported_models for row in measure_trained(args, name)]


def measure_trained(args: BenchmarkArguments, name: str) -> Iterator[Row]:
    """Compare a trained model in all formats on windows of subjects unknown to it, and time it."""
    source = find_weights(name)
    model: Any = AutoModelForSequenceClassification.from_pretrained(source).float().eval()
    extractor, seen = EEGFeatureExtractor.from_pretrained(source), SeenWindows.load(source)
    labels = None if args.exported_label is None else (args.exported_label, model.config.label2id)
    read = partial(read_features, args.exported_data, extractor, args.num_windows, seen)
    calibration, test = read(True, model.config), read(False, model.config, labels)
    title = f"{name}, {model.config.model_type}"
    with tempfile.TemporaryDirectory() as folder:
        formats = write_formats(model, test, calibration, Path(folder))
        opened = open_formats(model, formats)
        for kind, path in formats.items():
            found = compare(model, opened[kind], test)
            size = sum(part.stat().st_size for part in path.parent.iterdir())
            yield Row(f"{title}, {kind}, largest difference", found["max_difference"], "logit")
            yield Row(f"{title}, {kind}, mean difference", found["mean_difference"], "logit")
            yield Row(f"{title}, {kind}, same class", found["agreement"], "of the windows")
            yield Row(f"{title}, {kind}, size", size / 1e6, "MB")
            if labels:
                scores = found["balanced_accuracy"], found["original_accuracy"]
                yield Row(f"{title}, {kind}", scores[0], "balanced accuracy", scores[1], peer_name="eager")
        test.pop("labels", None)
        batch = next(split_batches(test, args.batch_size))
        works = {kind: partial(exported, **batch) for kind, exported in opened.items()}
        with torch.no_grad():
            seconds = race_all({**works, "peer": lambda: model(**batch).logits}, args.pairs)
        yield from rows_beside(seconds, title, len(batch["input_values"]), "eager", {})
