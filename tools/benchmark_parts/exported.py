# SPDX-License-Identifier: Apache-2.0
"""Exported classifiers beside eager PyTorch: how fast they are, and how far from it."""

import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from benchmark_parts.models import SIZES, build_labram, build_ours, make_batch
from benchmark_parts.timing import BenchmarkArguments, Row, Work, race_all
from eeg_hf import EEGFeatureExtractor
from eeg_hf.bundled_weights import find_weights
from eeg_hf.corpora import SeenWindows
from eeg_hf.experiments.exporting import read_features
from eeg_hf.inference.onnx_model import OnnxModel, compare, split_batches, to_openvino, write_exported
from eeg_hf.inference.quantization import quantize

Batch = dict[str, torch.Tensor]
_CALIBRATION_BATCH = 16


def measure_exported(args: BenchmarkArguments) -> list[Row]:
    """Time random weights of each size in all formats, then trained models, which are compared as well."""
    rows = [row for size in args.sizes for row in measure_size(args, size)]
    return rows + [row for name in args.exported_models for row in measure_trained(args, name)]


def measure_size(args: BenchmarkArguments, size: str) -> Iterator[Row]:
    """Time the formats of a size, and braindecode's Labram."""
    ours, batch = build_ours(SIZES[size], dropout=0.0), make_batch(args.batch_size)
    model: Any = ours.model.eval()
    compiled = torch.compile(model, backend=args.compile_backend)
    works: dict[str, Work] = {"torch.compile": lambda: compiled(**batch).logits}
    with contextlib.suppress(ImportError):
        labram = build_labram(SIZES[size], 0.0, ours.num_parameters)
        labram.model.eval()
        works[f"braindecode {version('braindecode')} Labram"] = partial(labram.forward, batch)
    with tempfile.TemporaryDirectory() as folder:
        formats = write_formats(model, batch, batch, Path(folder))
        title = f"{size}, {ours.num_parameters:,} parameters"
        yield from race_formats(args, title, model, batch, open_formats(model, formats), works)


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
        yield from race_formats(args, title, model, next(split_batches(test, args.batch_size)), opened, {})


def write_formats(model: Any, example: Batch, calibration: Batch, folder: Path) -> dict[str, Path]:
    """Write a model in every format that its layers and this machine allow, each in a folder of its own."""
    kinds = ("ONNX", "ONNX, int8 dynamic", "ONNX, int8 static", "OpenVINO")
    paths = {kind: folder / str(number) / "model.onnx" for number, kind in enumerate(kinds)}
    for path in paths.values():
        path.parent.mkdir()
    whole, dynamic, static, openvino = paths.values()
    write_exported(model, example, whole)
    reader = OnnxModel(model.config, whole)
    batches = map(reader.to_arrays, split_batches(calibration, _CALIBRATION_BATCH))
    quantize(whole, static, batches)
    with contextlib.suppress(ValueError):  # no layer of its own but convolutions
        quantize(whole, dynamic)
    if find_spec("openvino"):
        paths["OpenVINO"] = openvino.with_suffix(".xml")
        to_openvino(whole, paths["OpenVINO"])
    return {kind: path for kind, path in paths.items() if path.exists()}


def open_formats(model: Any, paths: dict[str, Path]) -> dict[str, OnnxModel]:
    """Open files with as many threads as torch has."""
    threads = torch.get_num_threads()
    return {kind: OnnxModel(model.config, path, threads) for kind, path in paths.items()}


def race_formats(
    args: BenchmarkArguments,
    title: str,
    model: Any,
    batch: Batch,
    formats: dict[str, OnnxModel],
    peers: dict[str, Work],
) -> Iterator[Row]:
    """Time all in turn on one batch; each row has eager PyTorch beside it."""
    works: dict[str, Work] = {
        "eager": lambda: model(**batch).logits,
        **{kind: partial(exported, **batch) for kind, exported in formats.items()},
        **peers,
    }
    with torch.no_grad():
        seconds = race_all(works, args.pairs)
    count, eager = len(batch["input_values"]), seconds.pop("eager")
    for kind, own in seconds.items():
        ratio = median(theirs / ours for theirs, ours in zip(eager, own, strict=True))
        speeds = (count / median(own), count / median(eager))
        yield Row(f"{title}, {kind}", speeds[0], "windows/s", speeds[1], ratio, "eager")
