# SPDX-License-Identifier: Apache-2.0
"""Export a classifier and measure how far it is from the original."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification

from ..atomic_files import write_text
from ..bundled_weights import find_weights
from ..collation import EEGDataCollator, WindowDataset
from ..corpora import SeenWindows, get_corpus, load_alignments, load_windows
from ..corpora.windows.seen_windows import FILE as SEEN
from ..evaluation import write_json
from ..inference.exported_files import FILE_NAMES
from ..inference.onnx_model import OnnxModel, compare, split_batches, write_exported
from ..inference.quantization import quantize
from ..processing.electrode_templates import template_positions
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..runtime import ELECTRODES
from .exporting_arguments import ExportModelArguments
from .prediction.sources import find_sources, is_prepared
from .signal_contract import require_contract
from .training_statistics import FILE as STATISTICS

SIMULATED = "simulated EEG"
_CALIBRATION_BATCH = 16
_TITLES = {"onnx": "ONNX", "openvino": "OpenVINO", "torch-export": "a program of torch.export"}
_SUFFIXES = (".onnx", ".xml", ".bin", ".pt2")
LARGEST_DIFFERENCE = 1e-3
"""Difference of logits in single precision above which an export is refused."""


def run(args: ExportModelArguments) -> None:
    """Write the file, compare it, and write the card.

    Raises:
        ValueError: If the exported model gives other results.
    """
    refuse_idle(args)
    name, folder = str(args.model), Path(args.output_dir)
    source = find_weights(name)
    require_contract(source)
    model: Any = AutoModelForSequenceClassification.from_pretrained(source).float().eval()
    if model.config.model_type == "eeg_classical":
        raise ValueError(
            f"{name} is {model.config.method}, whose filters and logarithms of matrices have no operators in "
            f"{_TITLES[args.to]}: take eeg-hf predict or stream"
        )
    extractor = EEGFeatureExtractor.from_pretrained(source)
    seen = SeenWindows.load(source)
    labels = None if args.label_column is None else (args.label_column, model.config.label2id)
    features = read_features(args.data, extractor, args.num_windows, seen, False, model.config, labels)
    calibration = None
    if args.int8 == "static":
        calibration = read_features(
            args.calibration or args.data, extractor, args.num_windows, seen, True, model.config
        )
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / FILE_NAMES[args.to]
    with tempfile.TemporaryDirectory(dir=folder) as draft:
        found = write_and_compare(args, model, features, calibration, Path(draft) / target.name)
        for suffix in _SUFFIXES:  # a file of another format would be found first
            (folder / f"model{suffix}").unlink(missing_ok=True)
        for path in sorted(Path(draft).glob("model.*")):  # OpenVINO's weights before its graph
            path.replace(folder / path.name)
        size = sum(path.stat().st_size for path in folder.glob("model.*") if path.suffix in _SUFFIXES)
    model.config.save_pretrained(folder)
    extractor.save_pretrained(folder)
    copy_knowledge(Path(source), folder)
    template = {name: place.tolist() for name, place in template_positions().items()}
    write_json(folder / ELECTRODES, template)  # for machines without MNE
    write_json(folder / "card.json", {"model": name, "data": args.data or SIMULATED, "parity": found})
    text = describe(name, args.data or SIMULATED, found, size)
    write_text(folder / "README.md", f"# {name} as {_TITLES[args.to]}\n\n{text}\n")
    sys.stdout.write(f"{text}\n{target}\n")


def refuse_idle(args: ExportModelArguments) -> None:
    """Refuse what would change nothing, or quantise by EEG that nobody recorded."""
    if args.int8 != "none" and args.to != "onnx":
        raise ValueError(f"int8 is for --to onnx, got --to {args.to}")
    if args.calibration and args.int8 != "static":
        raise ValueError(f"calibration is for --int8 static, got --int8 {args.int8}")
    if args.label_column and not (args.data and is_prepared(args.data)):
        raise ValueError(f"label_column is for a prepared corpus, got --data {args.data or 'none'}")
    if args.int8 == "static" and not (args.calibration or args.data):
        raise ValueError("--int8 static takes its ranges from windows: expected --calibration or --data")


def copy_knowledge(source: Path, folder: Path) -> None:
    """Let what is known of the training travel along: tests refuse its subjects, monitors compare with it."""
    for name in (SEEN, STATISTICS):
        (folder / name).unlink(missing_ok=True)  # of an earlier export
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)


def write_and_compare(
    args: ExportModelArguments,
    model: Any,
    features: dict[str, torch.Tensor],
    calibration: dict[str, torch.Tensor] | None,
    path: Path,
) -> dict[str, dict[str, float]]:
    """Write the file, and return how far it is from the model in each precision.

    Raises:
        ValueError: If it gives other results in single precision.
    """
    write_exported(model, features, path, args.input_name, args.output_name)
    exported = OnnxModel(model.config, path)
    found = {"fp32": compare(model, exported, features)}
    if not found["fp32"]["max_difference"] < LARGEST_DIFFERENCE:
        raise ValueError(
            f"the exported model differs by {found['fp32']['max_difference']:.2g} from {args.model},"
            f" expected less than {LARGEST_DIFFERENCE:g}: report this with its config.json"
        )
    if args.int8 != "none":
        batches = (
            map(exported.to_arrays, split_batches(calibration, _CALIBRATION_BATCH)) if calibration else None
        )
        whole = path.rename(path.with_name("whole.onnx"))
        quantize(whole, path, batches)
        found[f"int8, {args.int8}"] = compare(model, OnnxModel(model.config, path), features)
    return found


def read_features(
    data: str | None,
    extractor: EEGFeatureExtractor,
    num_windows: int,
    seen: SeenWindows | None,
    takes_trained: bool,
    config: Any,
    labels: tuple[str, dict[str, int]] | None = None,
) -> dict[str, torch.Tensor]:
    """Return windows as the model's input, from the data that are named or from simulated EEG.

    Args:
        data: Recording, folder or prepared corpus.
        extractor: That of the model.
        num_windows: How many at most, spread over a corpus.
        seen: What the model has seen.
        takes_trained: Whether those subjects of a corpus are taken that the model was trained on, or the
            others; all where there are none such.
        config: That of the model.
        labels: Column of a corpus, and index of each class, that become `labels`.
    """
    if data and is_prepared(data):
        rows = load_windows(data)
        known = (seen.trained if takes_trained else seen).subjects if seen else set()  # or selected with
        owners = zip(rows["corpus"][:], rows["subject"][:], strict=True)
        wanted = [n for n, each in enumerate(owners) if ("/".join(each) in known) == takes_trained]
        wanted = wanted or [*range(len(rows))]
        rows = rows.select(wanted[:: -(-len(wanted) // num_windows)])
        alignments = load_alignments(data) if extractor.alignment != "none" else None
        column, label2id = labels or (None, None)
        table = WindowDataset(rows, [column] if column else []).__getitems__(list(range(len(rows))))
        return dict(EEGDataCollator(extractor, column, label2id, alignments)(table))
    if data:
        recordings = [source.read() for source in find_sources([data], {})]
    else:
        corpus = get_corpus("simulated", num_subjects=2, seconds=20)
        recordings = [corpus.read(recording) for recording in corpus.recordings()]
        names = getattr(config, "channel_names", None) or recordings[0].ch_names
        if set(names) <= set(recordings[0].ch_names):  # networks that are built for channels in an order
            recordings = [raw.copy().pick(names) for raw in recordings]
    batches = [extractor(raw) for raw in recordings]
    return {name: torch.cat([batch[name] for batch in batches])[:num_windows] for name in batches[0]}


def describe(name: str, data: str, found: dict[str, dict[str, float]], size: int) -> str:
    """Return what was measured, as sentences."""
    lines = [
        f"{kind}: largest difference of the outputs {parity['max_difference']:.2g}, mean "
        f"{parity['mean_difference']:.2g}; the same class in {parity['agreement']:.1%} of "
        f"{parity['windows']:.0f} windows of {data}{_accuracy(parity)}."
        for kind, parity in found.items()
    ]
    return "\n".join([f"Exported from {name}, {size / 1e6:.2f} MB.", *lines])


def _accuracy(parity: dict[str, float]) -> str:
    if "balanced_accuracy" not in parity:
        return ""
    return f"; balanced accuracy {parity['balanced_accuracy']:.3f}, before {parity['original_accuracy']:.3f}"
