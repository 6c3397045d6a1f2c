# SPDX-License-Identifier: Apache-2.0
"""Export a classifier to ONNX and measure how far it is from the original."""

import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from ..atomic_files import atomic_path, write_text
from ..collation import EEGDataCollator, WindowDataset
from ..corpora import get_corpus, load_alignments, load_windows
from ..evaluation import write_json
from ..inference.onnx_model import FILE_NAME, OnnxModel, compare, quantize, write_onnx
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .exporting_arguments import ExportModelArguments
from .prediction.sources import find_sources, is_prepared

SIMULATED = "simulated EEG"
LARGEST_DIFFERENCE = 1e-3
"""Difference of logits in single precision above which an export is refused."""


def run(args: ExportModelArguments) -> None:
    """Write the file, compare it, and write the card.

    Raises:
        ValueError: If the exported model gives other results.
    """
    name, folder = str(args.model), Path(args.output_dir)
    model: Any = AutoModelForSequenceClassification.from_pretrained(name).float().eval()
    extractor = EEGFeatureExtractor.from_pretrained(name)
    features = read_features(args, extractor, model)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / FILE_NAME) as partial:
        write_onnx(model, features, partial, args.input_name, args.output_name)
        found = {"fp32": compare(model, OnnxModel(model.config, partial), features)}
        if not found["fp32"]["max_difference"] < LARGEST_DIFFERENCE:
            raise ValueError(
                f"the exported model differs by {found['fp32']['max_difference']:.2g} from {name}, expected "
                f"less than {LARGEST_DIFFERENCE:g}: report this with its config.json"
            )
        if args.int8:
            whole = partial.with_suffix(".fp32.onnx")
            partial.replace(whole)
            quantize(whole, partial)
            whole.unlink()
            found["int8"] = compare(model, OnnxModel(model.config, partial), features)
    model.config.save_pretrained(folder)
    extractor.save_pretrained(folder)
    write_json(folder / "card.json", {"model": name, "data": args.data or SIMULATED, "parity": found})
    text = describe(name, args.data or SIMULATED, found, (folder / FILE_NAME).stat().st_size)
    write_text(folder / "README.md", f"# {name} as ONNX\n\n{text}\n")
    sys.stdout.write(f"{text}\n{folder / FILE_NAME}\n")


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
