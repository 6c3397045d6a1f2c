# SPDX-License-Identifier: Apache-2.0
"""Answers of our classifier, eager, compiled and in exported formats, beside braindecode's Labram."""

import contextlib
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import PreTrainedConfig

from benchmark_parts.models import SIZES, build_ours, make_batch, race_models
from benchmark_parts.own_processes import Made, Maker
from benchmark_parts.timing import BenchmarkArguments, Row, repeat
from eeg_hf.inference.onnx_model import OnnxModel, split_batches, to_openvino, write_exported
from eeg_hf.inference.quantization import quantize

Batch = dict[str, torch.Tensor]
INFERENCE_AIMS = {"eager": "≥ 1.6", "compiled": "≥ 2", "ONNX": "≥ 2.3", "ONNX, int8 dynamic": "≥ 3.5"}
_CALIBRATION_BATCH = 16


def measure_inference(args: BenchmarkArguments) -> list[Row]:
    """Time random weights of each size in all formats beside Labram."""
    return [row for size in args.sizes for row in race_inference(args, size)]


def race_inference(args: BenchmarkArguments, size: str) -> list[Row]:
    """Time our model, eager, compiled and exported, and Labram."""
    rows, batch = [], make_batch(args.batch_size)
    model: Any = build_ours(SIZES[size], dropout=0.0).model.eval()
    with TemporaryDirectory() as folder:
        try:
            paths = write_formats(model, batch, batch, Path(folder))
        except ImportError as error:
            paths = {}
            rows.append(Row(f"infer {size}, ONNX", None, "", peer_name=f"absent: {error}"))
        formats = {
            kind: Maker(make_exported, (model.config, path, args.batch_size)) for kind, path in paths.items()
        }
        how = (size, 0.0, args.batch_size, False)
        return race_models(args, f"infer {size}", how, INFERENCE_AIMS, formats) + rows


def make_exported(config: PreTrainedConfig, path: Path, batch_size: int) -> Made:
    """Return the answers of an exported model."""
    exported = OnnxModel(config, path, torch.get_num_threads())
    return Made(repeat(partial(exported, **make_batch(batch_size))))


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
