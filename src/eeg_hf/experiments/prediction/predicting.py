# SPDX-License-Identifier: Apache-2.0
"""Predict recordings or prepared windows with a trained model, and write one table."""

import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm
from transformers import pipeline

from ...atomic_files import atomic_path
from ...bundled_weights import find_weights
from ...collation import EEGDataCollator, WindowDataset
from ...corpora import load_alignments, load_windows
from ...evaluation import write_json
from ...inference.explanation.attributions import import_captum
from ...inference.exported_files import find_exported
from ...inference.onnx_model import OnnxModel
from ...processing.calibration import Calibration, calibrate
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ..signal_contract import require_contract
from ..training_statistics import TrainingStatistics, measure_recording
from .arguments import PredictArguments
from .explanations import write_explanation
from .known_labels import judge, note_known_subjects, refuse_unknown_label
from .online import answer_online
from .sources import Source, find_sources, is_prepared

SUFFIXES = (".csv", ".parquet")
Row = dict[str, Any]


def run(args: PredictArguments) -> None:
    """Predict everything, write the table, and print a summary.

    Raises:
        ValueError: If nothing could be predicted.
    """
    if Path(args.output).suffix not in SUFFIXES:
        raise ValueError(f"output: expected a name that ends in {' or '.join(SUFFIXES)}, got {args.output}")
    if args.calibration and args.calibration_seconds:
        raise ValueError("expected --calibration or --calibration_seconds, got both")
    if args.explain not in ("none", "rollout", "pairs"):
        import_captum()  # before an hour of predictions
    if args.causal and args.explain != "none":
        raise ValueError("expected --causal or --explain, got both")
    prepared = [word for word in args.inputs if is_prepared(word)]
    if args.causal and prepared:
        raise ValueError(
            f"causal is for recordings: the windows of {prepared[0]} are cleaned already, with their future"
        )
    sources = find_sources([word for word in args.inputs if word not in prepared], args.corpus_options)
    if args.label_column:
        refuse_unknown_label(sources, args.label_column)
    classify = load_pipeline(str(args.model), args.device)
    rows = [row for folder in prepared for row in predict_windows(classify, folder, args)]
    for source in tqdm(sources, "predicting", unit="recording", disable=None):
        rows += predict_recording(classify, source, args)
    table = pd.DataFrame(rows)
    if "problem" in table and table["problem"].notna().all():
        raise ValueError(f"none of {len(table)} recordings could be predicted: {table['problem'].iloc[0]}")
    write_table(table, Path(args.output))
    sys.stdout.write(f"{describe(table, args)}\n")
    if args.label_column:
        metrics, text = judge(table, args.label_column, classify.model.config)
        if note := note_known_subjects(table["subject"], find_weights(str(args.model))):
            metrics["contamination"] = note
            text = f"{text}\n\n{note}"
        write_json(Path(args.output).with_suffix(".metrics.json"), metrics)
        sys.stdout.write(f"\n{text}\n")


def load_pipeline(model: str, device: str) -> Any:
    """Return the pipeline of a trained model, a bundled one, or of a folder that `eeg-hf export` wrote.

    Raises:
        ValueError: If it has no signal contract.
    """
    model = find_weights(model)
    require_contract(model)
    build: Any = pipeline  # its overloads know the tasks of transformers only
    if find_exported(model) is None:
        classify = build("eeg-classification", model=model, device=device)
        classify.model.eval()
        return classify
    extractor = EEGFeatureExtractor.from_pretrained(model)
    return build("eeg-classification", model=OnnxModel.load(model), feature_extractor=extractor)


def predict_recording(classify: Any, source: Source, args: PredictArguments) -> list[Row]:
    """Return the rows of one recording; a single one with the reason if it does not fit the model."""
    about: Row = {"file": str(source.path), "subject": source.subject}
    if args.label_column:
        about["label"] = source.labels.get(args.label_column)
    try:
        raw = source.read()
        calibration, seconds = choose_calibration(classify, raw, args)
        if args.causal:
            answer = answer_online(classify, raw, args.aggregate, calibration)
        else:
            answer = classify(
                raw,
                batch_size=args.batch_size,
                aggregate=args.aggregate,
                calibration=calibration,
                return_report=True,
                explain=args.explain if args.explain != "none" else False,
            )
        drift = find_drift(classify, raw)
    except (ValueError, OSError, ImportError) as error:
        return [{**about, "problem": " ".join(str(error).split())}]
    report = answer.pop("report")
    breaches = [*list_breaches(report, args.min_quality), *drift]
    about |= {"quality": report["quality"]}
    if breaches and args.unfit == "refuse":
        return [{**about, "problem": f"refused: {'; '.join(breaches)}"}]
    if (explanation := answer.pop("explanation", None)) is not None:
        about["explanation"] = write_explanation(explanation, source.path, Path(args.output))
    about |= {"marks": "; ".join([*breaches, *list_marks(report)])}
    if args.per == "recording":
        return [{**about, "seconds": report["duration_seconds"], **flatten(answer)}]
    rows = []
    for number, window in enumerate(answer["windows"]):
        span = {"window": number, "start": window["start"], "end": window["end"]}
        rows.append({**about, **span, **flatten(window)})
        if window.get("is_bad"):
            rows[-1]["marks"] = "; ".join(
                filter(None, [rows[-1]["marks"], "overlaps a span annotated as bad"])
            )
        if seconds:
            rows[-1]["is_calibration"] = window["start"] < seconds
    return rows


def choose_calibration(classify: Any, raw: Any, args: PredictArguments) -> tuple[Calibration | None, float]:
    """Return the calibration of a recording, and how many of its seconds made it."""
    if args.calibration:
        return Calibration.load(args.calibration), 0.0
    if not args.calibration_seconds:
        return None, 0.0
    seconds = min(args.calibration_seconds, raw.times[-1])
    first = raw.copy().crop(tmax=seconds, include_tmax=False)
    return calibrate(first, classify.feature_extractor, classify.model), seconds


def predict_windows(classify: Any, folder: str, args: PredictArguments) -> Iterator[Row]:
    """Yield a row for each window of a prepared corpus, or for each of its recordings."""
    refused = {"calibration_seconds": bool(args.calibration_seconds), "explain": args.explain != "none"}
    for name in (name for name, is_given in refused.items() if is_given):
        raise ValueError(f"{name} is for recordings, got the prepared windows {folder}")
    windows = load_windows(folder)
    columns = ["recording", "subject", "start_seconds", "num_samples", "sampling_rate", "quality"]
    columns += [args.label_column] if args.label_column else []
    if missing := sorted(set(columns) - set(windows.column_names)):
        raise ValueError(f"{folder} has no column {', '.join(missing)}: it has {windows.column_names}")
    logits = run_on_windows(classify, windows, folder, args)
    about = windows.select_columns(columns).to_pandas().rename(columns={"recording": "file"})
    about["end"] = about["start_seconds"] + about["num_samples"] / about["sampling_rate"]
    about = about.rename(columns={"start_seconds": "start", args.label_column or "": "label"})
    for _, rows in about.groupby("file", sort=False):
        answer = classify.postprocess(
            {"values": logits[rows.index], "num_samples": torch.tensor(rows["num_samples"].tolist())},
            aggregate=args.aggregate,
        )
        facts = rows.drop(columns=["num_samples", "sampling_rate"]).to_dict("records")
        if args.per == "recording":
            whole = {name: value for name, value in facts[0].items() if name not in ("start", "end")}
            yield {**whole, "quality": rows["quality"].mean(), **flatten(answer)}
            continue
        for number, (fact, window) in enumerate(zip(facts, answer["windows"], strict=True)):
            yield {**fact, "window": number, **flatten(window)}


@torch.inference_mode()
def run_on_windows(classify: Any, windows: Any, folder: str, args: PredictArguments) -> torch.Tensor:
    """Return the model's outputs (windows, labels) for prepared windows."""
    extractor = classify.feature_extractor
    calibration = Calibration.load(args.calibration) if args.calibration else None
    collate = EEGDataCollator(
        extractor,
        alignments=load_alignments(folder) if extractor.alignment != "none" else None,
        calibrations=dict.fromkeys(windows.unique("alignment_group"), calibration) if calibration else None,
    )
    forward = partial(classify.forward, window_batch_size=args.batch_size)
    batches = DataLoader(WindowDataset(windows), args.batch_size, collate_fn=collate)
    outputs = []
    for batch in tqdm(batches, "predicting", unit="batch", disable=None):
        features = {
            name: value.to(classify.dtype) if value.is_floating_point() else value
            for name, value in batch.items()
        }
        outputs.append(forward({"features": features})["values"])
    return torch.cat(outputs)


def flatten(answer: Row) -> Row:
    """Return an answer of the pipeline as cells: `predicted`, `score` and `score: <class>`, or values."""
    if "tasks" in answer:
        cells = {task: flatten(each) for task, each in answer["tasks"].items()}
        return {f"{task}: {name}": value for task, each in cells.items() for name, value in each.items()}
    if "scores" in answer:
        scores = {f"score: {name}": score for name, score in answer["scores"].items()}
        best = max(answer["scores"], key=answer["scores"].get)
        return {"predicted": answer.get("label", best), "score": answer["scores"][best], **scores}
    if "values" in answer:
        return {f"predicted: {name}": value for name, value in answer["values"].items()}
    return {"predicted": answer["value"]}


def find_drift(classify: Any, raw: Any) -> list[str]:
    """Return how a recording differs from those that the model was trained on; nothing where not known."""
    statistics = TrainingStatistics.load(str(classify.model.name_or_path))
    if statistics is None:
        return []
    recording = measure_recording(raw, classify.model, classify.feature_extractor)
    return [f"drift: {line}" for line in statistics.drifts(recording)]


def list_breaches(report: Row, min_quality: float) -> list[str]:
    """Return how a recording breaks what the model expects of it."""
    breaches = [f"quality {report['quality']:.2f}"] if report["quality"] < min_quality else []
    for name in ("missing", "interpolated"):
        channels = report[f"{name}_channels"]
        breaches += [f"{len(channels)} {name} channels: {', '.join(channels)}"] if channels else []
    if report["is_upsampled"]:
        rates = report["original_sampling_rate"], report["sampling_rate"]
        breaches.append(f"recorded at {rates[0]:g} Hz, the model reads {rates[1]:g} Hz")
    if report["scale_uv"] != 1:
        breaches.append(f"amplitude corrected by a factor of {report['scale_uv']:g}")
    return breaches


def list_marks(report: Row) -> list[str]:
    """Return what else users of a prediction should know of the recording."""
    channels = report["bad_channels"]
    marks = [f"{len(channels)} bad channels: {', '.join(channels)}"] if channels else []
    return [*marks, *report["warnings"]]


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, by its name."""
    with atomic_path(path) as partial_path:
        if path.suffix == ".parquet":
            table.to_parquet(partial_path, index=False)
        else:
            table.to_csv(partial_path, index=False)


def describe(table: pd.DataFrame, args: PredictArguments) -> str:
    """Return how much was predicted, and what to look at."""
    failed = table[table["problem"].notna()] if "problem" in table else table[:0]
    files, rows = table["file"].nunique() - len(failed), len(table) - len(failed)
    lines = [f"{files} recordings, {rows} rows: {args.output}"]
    if "score" in table:
        counts = Counter(table["predicted"].dropna())
        lines.append("predicted: " + ", ".join(f"{name} {count}" for name, count in counts.most_common()))
    if "marks" in table and (marked := table[table["marks"].fillna("") != ""]["file"].nunique()):
        lines.append(f"{marked} recordings have marks: read the column `marks` before you use their rows")
    lines += [f"not predicted: {row.file}: {row.problem}" for row in failed.itertuples()]
    return "\n".join(lines)
