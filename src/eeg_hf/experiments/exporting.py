# SPDX-License-Identifier: Apache-2.0
"""Export a classifier and measure how far it is from the original."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from ..atomic_files import write_text
from ..bundled_weights import find_weights
from ..collation import EEGDataCollator, WindowDataset
from ..corpora import get_corpus, load_alignments, load_windows
from ..evaluation import write_json
from ..inference.exported_files import FILE_NAMES
from ..inference.onnx_model import OnnxModel, compare, quantize, write_exported
from ..processing.electrode_templates import template_positions
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..runtime import ELECTRODES
from .exporting_arguments import ExportModelArguments
from .prediction.sources import find_sources, is_prepared

SIMULATED = "simulated EEG"
_TITLES = {"onnx": "ONNX", "openvino": "OpenVINO", "torch-export": "a program of torch.export"}
_SUFFIXES = (".onnx", ".xml", ".bin", ".pt2")
LARGEST_DIFFERENCE = 1e-3
"""Difference of logits in single precision above which an export is refused."""


def run(args: ExportModelArguments) -> None:
    """Write the file, compare it, and write the card.

    Raises:
        ValueError: If the exported model gives other results.
    """
    name, folder = str(args.model), Path(args.output_dir)
    source = find_weights(name)
    model: Any = AutoModelForSequenceClassification.from_pretrained(source).float().eval()
    if model.config.model_type == "eeg_classical":
        raise ValueError(
            f"{name} is {model.config.method}, whose filters and logarithms of matrices have no operators in "
            f"{_TITLES[args.to]}: take eeg-hf predict or stream"
        )
    extractor = EEGFeatureExtractor.from_pretrained(source)
    features = read_features(args, extractor, model)
    if args.int8 and args.to != "onnx":
        raise ValueError(f"int8 is for --to onnx, got --to {args.to}")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / FILE_NAMES[args.to]
    with tempfile.TemporaryDirectory(dir=folder) as draft:
        found = write_and_compare(args, model, features, Path(draft) / target.name)
        for suffix in _SUFFIXES:  # a file of another format would be found first
            (folder / f"model{suffix}").unlink(missing_ok=True)
        for path in sorted(Path(draft).glob("model.*")):  # OpenVINO's weights before its graph
            path.replace(folder / path.name)
        size = sum(path.stat().st_size for path in folder.glob("model.*") if path.suffix in _SUFFIXES)
    model.config.save_pretrained(folder)
    extractor.save_pretrained(folder)
    template = {name: place.tolist() for name, place in template_positions().items()}
    write_json(folder / ELECTRODES, template)  # for machines without MNE
    write_json(folder / "card.json", {"model": name, "data": args.data or SIMULATED, "parity": found})
    text = describe(name, args.data or SIMULATED, found, size)
    write_text(folder / "README.md", f"# {name} as {_TITLES[args.to]}\n\n{text}\n")
    sys.stdout.write(f"{text}\n{target}\n")


def write_and_compare(
    args: ExportModelArguments, model: Any, features: dict[str, torch.Tensor], path: Path
) -> dict[str, dict[str, float]]:
    """Write the file, and return how far it is from the model in each precision.

    Raises:
        ValueError: If it gives other results in single precision.
    """
    write_exported(model, features, path, args.input_name, args.output_name)
    found = {"fp32": compare(model, OnnxModel(model.config, path), features)}
    if not found["fp32"]["max_difference"] < LARGEST_DIFFERENCE:
        raise ValueError(
            f"the exported model differs by {found['fp32']['max_difference']:.2g} from {args.model},"
            f" expected less than {LARGEST_DIFFERENCE:g}: report this with its config.json"
        )
    if args.int8:
        whole = path.rename(path.with_name("whole.onnx"))
        quantize(whole, path)
        found["int8"] = compare(model, OnnxModel(model.config, path), features)
    return found


def read_features(
    args: ExportModelArguments, extractor: EEGFeatureExtractor, model: Any
) -> dict[str, torch.Tensor]:
    """Return windows as the model's input, from the data that are named or from simulated EEG."""
    if args.data and is_prepared(args.data):
        rows = load_windows(args.data)
        rows = rows.select(range(0, len(rows), max(len(rows) // args.num_windows, 1)))
        alignments = load_alignments(args.data) if extractor.alignment != "none" else None
        table = WindowDataset(rows).__getitems__(list(range(len(rows))))
        return dict(EEGDataCollator(extractor, alignments=alignments)(table))
    if args.data:
        recordings = [source.read() for source in find_sources([args.data], {})]
    else:
        corpus = get_corpus("simulated", num_subjects=2, seconds=20)
        recordings = [corpus.read(recording) for recording in corpus.recordings()]
    batches = [extractor(raw) for raw in recordings]
    return {name: torch.cat([batch[name] for batch in batches])[: args.num_windows] for name in batches[0]}


def describe(name: str, data: str, found: dict[str, dict[str, float]], size: int) -> str:
    """Return what was measured, as sentences."""
    lines = [
        f"{kind}: largest difference of the outputs {parity['max_difference']:.2g}, mean "
        f"{parity['mean_difference']:.2g}; the same class in {parity['agreement']:.1%} of "
        f"{parity['windows']:.0f} windows of {data}."
        for kind, parity in found.items()
    ]
    return "\n".join([f"Exported from {name}, {size / 1e6:.2f} MB.", *lines])
