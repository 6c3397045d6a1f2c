# SPDX-License-Identifier: Apache-2.0
"""Evaluate models that contrast subjects who saw the same film, on held-out subjects."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import DatasetDict
from transformers.utils import logging

from ...atomic_files import write_text
from ...collation import PairColumns
from ...corpora import SimulatedFilm, SplitContents, load_windows
from ...evaluation import aggregate_folds, collect_provenance, write_json
from ...evaluation.report import format_summary
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...tables import NOTHING, markdown_table
from ..checkpoint_windows import judge_checkpoints
from ..named_paths import named_paths
from ..split_arguments import SplitArguments
from .arguments import ContrastArguments
from .features import (
    FeatureJudge,
    baseline_features,
    judge_auxiliary,
    load_model,
    measure_isc,
    model_features,
    read_film_windows,
    truth_features,
)

logger = logging.get_logger(__name__)

TITLES = {
    "matching_accuracy": "Matching accuracy",
    "alignment": "Alignment",
    "alignment_share": "/ any two",
    "uniformity": "Uniformity",
    "contrastive_loss": "Contrastive loss",
}


def run(args: ContrastArguments, split_args: SplitArguments) -> None:
    """Score the baselines and the models, write the results and print the tables."""
    models = named_paths("models", args.models)
    pairs = PairColumns(args.stimulus, args.seconds)
    parts = read_parts(args, split_args)
    train, test = (read_film_windows(parts[part], pairs, part) for part in ("train", args.part))
    folders = [folder for each in models.values() for folder in each]
    notes = judge_checkpoints(folders, parts, args.part, args.contaminated)
    judge = FeatureJudge(test, pairs, args.batch_size, args.subjects_per_time, args.temperature)
    components, isc = measure_isc(train, test, args.num_components, args.num_shifts)
    # What the signals themselves share, with shifted subjects as chance, stands beside the models
    signals = {
        "isc": isc.isc,
        "isc_sum": isc.total,
        "null_mean": isc.null_mean,
        "null_95": isc.null_95,
        "p_value": isc.p_value,
        "num_subjects": len(isc.subject_isc),
    }
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for method, features in baseline_features(train, test, components):
        found[method].append(judge.judge(features))
    if args.corpus_options is not None:
        corpus = SimulatedFilm(**args.corpus_options)
        reference = EEGFeatureExtractor.from_pretrained(args.data).reference
        found["the true component"].append(judge.judge(truth_features(test, corpus, reference)))
        signals["isc_of_the_truth"] = corpus.truth(test.stimuli[0]).isc
    auxiliary = {}
    for name, folders in models.items():
        for folder, model, title in load_models(name, folders):
            extractor = EEGFeatureExtractor.from_pretrained(folder)
            for what, features in model_features(model, extractor, args.data, train, test):
                found[f"{title}: {what}"].append(judge.judge(features))
            # Not of random weights: their heads were never trained
            if title == name:
                scores = score_auxiliary(args, split_args, model, extractor)
                auxiliary.update({f"{folder}: {task}": score for task, score in scores.items()})
    results = {method: aggregate_folds(scores) for method, scores in found.items()}
    provenance = collect_provenance(
        dataset=", ".join(test.rows.unique("corpus")),
        licence=", ".join(test.rows.unique("licence")),
        seeds=range(max(map(len, found.values()))),
        split=f"{split_args.split} split, part {args.part}",
        **SplitContents.of_part(parts, args.part).facts(),
        contamination=notes,
        people={"train": len(set(train.subjects)), args.part: len(set(test.subjects))},
        windows={"train": len(train.values), args.part: len(test.values)},
        models=args.models,
    )
    content = {"provenance": provenance, "signals": signals, "features": results, "auxiliary": auxiliary}
    tables = "\n\n".join(format_tables(signals, results, auxiliary)) + "\n"
    output_dir = Path(args.output_dir)
    write_json(output_dir / "metrics.json", content)
    write_text(output_dir / "table.md", tables)
    sys.stdout.write(tables)


def read_parts(args: ContrastArguments, split_args: SplitArguments) -> DatasetDict:
    """Split the windows, and check that there are some to train and some to test."""
    parts = split_args.apply(load_windows(args.data))[0]
    if args.part == "train" or not {"train", args.part} <= set(parts):
        raise ValueError(
            f"part: expected one to test beside 'train', got {args.part!r}; {args.data} has "
            f"{', '.join(sorted(parts))}"
        )
    return parts


def load_models(name: str, folders: list[Path]) -> Iterator[tuple[Path, Any, str]]:
    """Yield a model like the first with random weights, then the model of each folder, with their titles."""
    yield folders[0], load_model(folders[0], is_trained=False), f"{name}, random weights"
    for folder in folders:
        yield folder, load_model(folder), name


def score_auxiliary(
    args: ContrastArguments, split_args: SplitArguments, model: Any, extractor: EEGFeatureExtractor
) -> dict[str, dict[str, float]]:
    """Score the auxiliary tasks of a model on the test subjects, if it has any."""
    if not getattr(model.config, "auxiliary_tasks", None):
        return {}
    data = args.auxiliary_data or args.data
    rows = split_args.apply(load_windows(data))[0][args.part]
    scores = judge_auxiliary(model, extractor, data, rows)
    if not scores:
        logger.warning(
            f"{data} has labels of none of the auxiliary tasks {sorted(model.config.auxiliary_tasks)}: see "
            "--auxiliary_data"
        )
    return scores


def format_tables(signals: dict, results: dict, auxiliary: dict) -> Iterator[str]:
    """Yield the printed text: the ISC of the signals, the features, the auxiliary tasks."""
    truth = signals.get("isc_of_the_truth")
    yield (
        f"ISC of the signals, {signals['num_subjects']} subjects, components of the training subjects: "
        f"{', '.join(f'{value:.3f}' for value in signals['isc'])}; sum {signals['isc_sum']:.3f}, shifted "
        f"subjects {signals['null_mean']:.3f} (95 %: {signals['null_95']:.3f}), p = {signals['p_value']:.3f}"
        + ("" if truth is None else f"; in closed form {', '.join(f'{value:.3f}' for value in truth)}")
    )
    rows = [
        {
            "Features": method,
            "Chance": f"{scores['matching_chance']['mean']:.3f}",
            **{title: format_summary(scores[name]) for name, title in TITLES.items()},
        }
        for method, scores in results.items()
    ]
    yield markdown_table(rows, texts=("Features",))
    if auxiliary:
        yield markdown_table([format_task(task, scores) for task, scores in auxiliary.items()], ("Task",))


def format_task(task: str, scores: dict[str, float]) -> dict[str, str]:
    """Return the cells of an auxiliary task."""
    is_number = "mae" in scores
    constant = scores["mae_of_mean" if is_number else "balanced_accuracy_of_majority"]
    return {
        "Task": task,
        "MAE": f"{scores['mae']:.3f}" if is_number else NOTHING,
        "Balanced accuracy": NOTHING if is_number else f"{scores['balanced_accuracy']:.3f}",
        "Always the same": f"{constant:.3f}",
        "Subjects": f"{scores['num_subjects']}",
        "Windows": f"{scores['num_windows']:,}",
    }
