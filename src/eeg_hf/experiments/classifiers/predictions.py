# SPDX-License-Identifier: Apache-2.0
"""Predictions of fine-tuned models and classical baselines for each window of the test part."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from transformers import Trainer, TrainingArguments

from ...bundled_weights import find_weights
from ...collation import EEGDataCollator, WindowDataset
from ...corpora import ContaminationError, SeenWindows, SplitContents, load_alignments
from ...corpora.simulated import CONDITIONS
from ...evaluation import MethodRuns, Predictions
from ...evaluation.best_decoder import BestDecoder
from ...evaluation.provenance import run_seed
from ...evaluation.report import Calibration, calibration_of, regime_of
from ...processing.calibration import Calibration as SubjectCalibration
from ...processing.channels import STANDARD_19
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...training.moved_weights import FILE as TRAINED_FILE
from ..named_paths import named_paths
from ..prediction.predicting import load_pipeline
from ..signal_contract import check_rate
from .arguments import EvaluateArguments
from .baselines import fit_baselines
from .calibrated_split import calibrate_split
from .causal import predict_causally
from .frozen_probes import fit_probes
from .strategies import PROBES, parse_strategies, trained_rows
from .target import Target, to_predictions
from .testing import ADAPTATION
from .windows import read_batches

BEST_DECODER = "ceiling: best decoder, which knows the simulation"


def collect_methods(
    args: EvaluateArguments,
    dataset: Dataset,
    splits: list[DatasetDict],
    target: Target,
    contents: SplitContents,
) -> Iterator[MethodRuns]:
    """Yield every method with its regime, its seeds and the predictions of its runs.

    Runs and models are judged before the baselines are fitted, which may take an hour.
    """
    is_known = contents.protocol != "cross-subject"
    runs = [*load_runs(args, splits, is_known)]
    model = find_weights(args.model) if args.model else None
    if model:
        check_rate(model, dataset)
    judged = [judge_model(model, split, args.contaminated) for split in splits] if model else []
    if args.baselines:
        yield from fit_baselines(dataset, splits, target, is_known, args.evoked)
        yield from decode_best(dataset, splits, target, is_known)
    yield from runs
    yield from run_probes(args, splits, list(target.class_names), is_known)
    if model:
        classify = load_pipeline(model, "cuda" if torch.cuda.is_available() else "cpu")
        extractor = classify.feature_extractor
        run = [predict(args, split["test"], classify.model, extractor, target) for split in splits]
        seed = run_seed(model)
        regime = regime_of(knows_subjects(judged, is_known), calibration_of(extractor.to_dict()))
        seeds = () if seed is None else (seed,)
        yield MethodRuns(mark(str(args.model), judged), regime, [run], seeds)
        if args.causal:
            tests = [
                predict_causally(model, split["test"], str(args.recordings), args.corpus_options, target)
                for split in splits
            ]
            silent = sum(test.unanswered for test in tests)
            name = f"{args.model}, causal" + (f" ({silent} windows without an answer)" if silent else "")
            yield MethodRuns(mark(name, judged), regime, [[test.predictions for test in tests]], seeds)


def run_probes(
    args: EvaluateArguments, splits: list[DatasetDict], class_names: list[str], is_known: bool
) -> Iterator[MethodRuns]:
    """Yield the strategies that only read the frozen encoder."""
    wanted = [name for name in parse_strategies(args.strategies) if name in PROBES]
    if not wanted:
        return
    judged = [
        judge_model(find_weights(args.pretrained_weights.format(fold=fold)), split, args.contaminated)
        for fold, split in enumerate(splits)
    ]
    regime = regime_of(knows_subjects(judged, is_known), "unseen")
    column, seeds = str(args.label_column), tuple(range(args.draws if args.shots else 1))
    for name, found in fit_probes(
        wanted, args.pretrained_weights, splits, column, class_names, args.shots, seeds
    ):
        yield MethodRuns(
            mark(args.describe_method(name), judged), regime, found.runs, seeds, trained=found.trained
        )


def load_runs(args: EvaluateArguments, splits: list[DatasetDict], is_known: bool) -> Iterator[MethodRuns]:
    """Yield the runs of finetune with what was predicted when they were tested."""
    is_folded = bool(args.folds or args.protocol)
    is_regression = args.task == "regression"
    trained = [(row.name, row.folders) for row in trained_rows(args)]
    for name, folders in [*named_paths("runs", args.runs).items(), *trained]:
        runs = [load_run(folder, splits, is_folded, is_regression) for folder in folders]
        seeds = [seed for folder in folders if (seed := run_seed(folder)) is not None]
        judged = [
            verdict
            for folder in folders
            for verdict in judge_run(folder, splits, is_folded, args.contaminated)
        ]
        regime = regime_of(knows_subjects(judged, is_known), read_calibration(folders[0]))
        yield MethodRuns(
            mark(name, judged), regime, runs, tuple(seeds), trained=read_trained(folders[0], is_folded)
        )


def decode_best(
    dataset: Dataset, splits: list[DatasetDict], target: Target, is_known: bool
) -> Iterator[MethodRuns]:
    """Yield what the best decoder of the simulation says, which knows how it was made; of it alone."""
    if not is_simulated(dataset, target):
        return
    used: Calibration
    for used in ("unseen", "aligned"):
        decoder = BestDecoder(dataset[0]["sampling_rate"], is_aligned=used == "aligned")
        found = []
        for split in splits:
            test = split["test"]
            values = np.concatenate([values for _, values in read_batches(WindowDataset(test))])
            order = [CONDITIONS.index(name) for name in target.class_names]
            scores = decoder.predict_proba(values, test["subject"])[:, order]
            found.append(to_predictions(test, target, scores))
        yield MethodRuns(BEST_DECODER, regime_of(is_known, used), [found])


def is_simulated(dataset: Dataset, target: Target) -> bool:
    """Return whether the best decoder of these windows is known."""
    is_ours = dataset.unique("corpus") == ["simulated"] and {*target.class_names} == {*CONDITIONS}
    return is_ours and all(len(names) == len(STANDARD_19) for names in dataset["channels"][:])


class Verdict(NamedTuple):
    """What a model knows of its test.

    Attributes:
        note: What is to be held against its row, in words; empty if nothing is.
        knows_subjects: Whether it was trained on tested subjects; `None` where it does not say.
    """

    note: str
    knows_subjects: bool | None


def knows_subjects(judged: Sequence[Verdict], is_known: bool) -> bool:
    """Return whether models know tested subjects; where one does not say, as the split does."""
    return any(is_known if verdict.knows_subjects is None else verdict.knows_subjects for verdict in judged)


def judge_run(
    folder: Path, splits: list[DatasetDict], is_folded: bool, policy: Literal["refuse", "mark"]
) -> list[Verdict]:
    """Return what the models of a run have seen of their test windows: see `judge_model`."""
    folders = [folder / f"fold-{fold}" for fold in range(len(splits))] if is_folded else [folder]
    return [judge_model(str(part), split, policy) for part, split in zip(folders, splits, strict=True)]


def judge_model(model: str, split: Mapping[str, Dataset], policy: Literal["refuse", "mark"]) -> Verdict:
    """Return what a model has seen of the windows that test it, beyond what the split trains on.

    Raises:
        ContaminationError: If it has seen any, unless it is to be marked.
    """
    seen = SeenWindows.load(model)
    if seen is None:
        return Verdict("unknown what it has seen", None)
    overlap = seen.overlap(split["test"], [rows for part, rows in split.items() if part != "test"])
    if overlap and policy == "refuse":
        raise ContaminationError(
            f"{model} was trained on {overlap.describe()}: test it on others, or take --contaminated mark"
        )
    note = f"contaminated: has seen {overlap.describe()}" if overlap else ""
    return Verdict(note, bool(seen.overlap(split["test"]).subjects))


def mark(name: str, judged: Sequence[Verdict]) -> str:
    """Return the name of a method with what is known against its row."""
    note = next((verdict.note for verdict in judged if verdict.note), "")
    return f"{name} ({note})" if note else name


def load_run(
    folder: Path, splits: list[DatasetDict], is_folded: bool, is_regression: bool = False
) -> list[Predictions]:
    """Return the predictions of a run, which must be of the test windows of these splits.

    Raises:
        ValueError: If the run was tested on other windows, or predicted classes where numbers are compared.
    """
    folders = [folder / f"fold-{fold}" for fold in range(len(splits))] if is_folded else [folder]
    predictions = [Predictions.load(part / "predictions.parquet") for part in folders]
    if any((each.scores.shape[1] == 1) != is_regression for each in predictions):
        kinds = ("numbers: take --task regression", "classes: leave out --task regression")
        raise ValueError(f"{folder} predicted {kinds[is_regression]}")
    # Windows that calibrate are not scored
    is_partial = read_calibration(folder) not in ("unseen", "aligned")
    for part, found, split in zip(folders, predictions, splits, strict=True):
        expected, got = set(split["test"]["window_id"][:]), set(found.window_ids.tolist())
        if not (got <= expected if is_partial else got == expected):
            raise ValueError(
                f"{part} was tested on {len(got)} windows, of which {len(got & expected)} are among the "
                f"{len(expected)} of this split: give --data, --split and --folds of that run"
            )
    return predictions


def read_trained(folder: Path, is_folded: bool) -> int | None:
    """Return how many parameters a run trained; None where it does not say."""
    path = (folder / "fold-0" if is_folded else folder) / TRAINED_FILE
    return json.loads(path.read_text(encoding="utf-8"))["trained"] if path.is_file() else None


def read_calibration(folder: Path) -> Calibration:
    """Return which unlabelled windows of tested subjects a run used."""
    if next(folder.rglob(ADAPTATION), None) is not None:
        return "aligned"
    path = next(iter(sorted(folder.rglob("preprocessor_config.json"))))
    return calibration_of(json.loads(path.read_text(encoding="utf-8")))


def predict(
    args: EvaluateArguments, test: Dataset, model: Any, extractor: EEGFeatureExtractor, target: Target
) -> Predictions:
    """Run a saved classifier or regressor on a test part."""
    refuse_other_task(model, str(args.model), target)
    split = calibrate_split(DatasetDict({"test": test}), extractor, model, target.column, args.rest)
    test, where = split.parts["test"], (args.data[0], args.output_dir)
    label2id = None if target.is_regression else model.config.label2id
    outputs = run_model(model, extractor, test, target.column, label2id, *where, split.calibrations)
    if target.is_regression:
        ids, subjects = np.array(test["window_id"][:]), np.array(test["subject"][:])
        return Predictions(ids, subjects, target.encode(test), outputs.reshape(-1, 1))
    names = [model.config.id2label[index] for index in range(model.config.num_labels)]
    scores = torch.from_numpy(outputs).float().softmax(dim=-1).numpy()
    return to_predictions(test, Target(target.column, names), scores)


def refuse_other_task(model: Any, name: str, target: Target) -> None:
    """Refuse a classifier where numbers are predicted, and a regressor where classes are."""
    if (model.config.num_labels == 1) != target.is_regression:
        kinds = ("a regressor: take --task regression", "a classifier: leave out --task regression")
        raise ValueError(f"model: {name} is {kinds[target.is_regression]}")


def run_model(
    model: Any,
    extractor: EEGFeatureExtractor,
    test: Dataset,
    label_column: str,
    label2id: dict[str, int] | None,
    data: str,
    output_dir: str,
    calibrations: Mapping[str, SubjectCalibration] | None = None,
) -> np.ndarray:
    """Return the logits (windows, outputs) of a saved model for some windows of a prepared corpus.

    Args:
        model: Classifier or regressor.
        extractor: Its feature extractor.
        test: The windows.
        label_column: Column of the labels.
        label2id: Index of each class; None for numbers.
        data: The prepared corpus.
        output_dir: Folder that Trainer requires.
        calibrations: Of each `alignment_group`, where the model was trained with them.
    """
    alignments = load_alignments(data) if extractor.alignment != "none" else None
    trainer = Trainer(
        model=model,
        args=TrainingArguments(output_dir, remove_unused_columns=False, report_to="none"),
        data_collator=EEGDataCollator(
            extractor, label_column, label2id, alignments, calibrations=calibrations
        ),
    )
    return np.asarray(trainer.predict(WindowDataset(test, [label_column])).predictions)
