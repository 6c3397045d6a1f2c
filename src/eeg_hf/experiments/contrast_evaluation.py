# SPDX-License-Identifier: Apache-2.0
"""Judge what was learned by contrasting people who saw the same film, on people who were held out."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from transformers import PreTrainedModel
from transformers.utils import logging

from ..atomic_files import write_text
from ..collation import PairColumns
from ..corpora import SimulatedFilm, load_windows
from ..evaluation import aggregate_folds, collect_provenance, write_json
from ..evaluation.report import NOTHING, format_summary, markdown_table
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .contrast import (
    FeatureJudge,
    FilmWindows,
    baseline_features,
    judge_auxiliary,
    load_model,
    measure_isc,
    model_features,
    read_film_windows,
    truth_features,
)
from .contrast_evaluation_arguments import ContrastArguments
from .evaluate_arguments import named_folders
from .split_arguments import SplitArguments

logger = logging.get_logger("eeg_hf.evaluate_contrast")


def run(args: ContrastArguments, split_args: SplitArguments) -> None:
    """Judge the baselines and the models, write the results and print the tables."""
    models = named_folders("models", args.models)
    pairs = PairColumns(args.stimulus, args.seconds)
    train, test = read_parts(args, split_args, pairs)
    judge = FeatureJudge(test, pairs, args.batch_size, args.subjects_per_time, args.temperature)
    components, isc = measure_isc(train, test, args.num_components, args.num_shifts)
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
    for name, folders in models:
        for folder, model, described in load_models(name, folders):
            extractor = EEGFeatureExtractor.from_pretrained(folder)
            for what, features in model_features(model, extractor, args.data, train, test):
                found[f"{described}: {what}"].append(judge.judge(features))
            if described == name:
                told = tell_auxiliary(args, split_args, model, extractor)
                auxiliary.update({f"{folder}: {task}": scores for task, scores in told.items()})
    results = {method: aggregate_folds(scores) for method, scores in found.items()}
    provenance = collect_provenance(
        dataset=", ".join(test.rows.unique("corpus")),
        licence=", ".join(test.rows.unique("licence")),
        seeds=range(max(map(len, found.values()))),
        split=f"{split_args.split} split, part {args.part}",
        people={"train": len(set(train.people)), args.part: len(set(test.people))},
        windows={"train": len(train.values), args.part: len(test.values)},
        models=args.models,
    )
    content = {"provenance": provenance, "signals": signals, "features": results, "auxiliary": auxiliary}
    tables = "\n\n".join(format_tables(signals, results, auxiliary)) + "\n"
    output_dir = Path(args.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    write_json(output_dir / "metrics.json", content)
    write_text(output_dir / "table.md", tables)
    sys.stdout.write(tables)


def read_parts(
    args: ContrastArguments, split_args: SplitArguments, pairs: PairColumns
) -> tuple[FilmWindows, FilmWindows]:
    """Read the windows of the training people and those of the people to test."""
    parts = split_args.apply(load_windows(args.data))[0]
    if args.part == "train" or not {"train", args.part} <= set(parts):
        raise ValueError(
            f"part: expected one to test beside 'train', got {args.part!r}; {args.data} has "
            f"{', '.join(sorted(parts))}"
        )
    train, test = (read_film_windows(parts[part], pairs, part) for part in ("train", args.part))
    return train, test


def load_models(name: str, folders: list[Path]) -> Iterator[tuple[Path, PreTrainedModel, str]]:
    """Yield one model like the first with random weights, then the model of each folder."""
    yield folders[0], load_model(folders[0], is_trained=False), f"{name}, random weights"
    for folder in folders:
        yield folder, load_model(folder), name


def tell_auxiliary(
    args: ContrastArguments,
    split_args: SplitArguments,
    model: PreTrainedModel,
    extractor: EEGFeatureExtractor,
) -> dict[str, dict[str, float]]:
    """Judge what a model tells of the people tested, if it was trained to tell anything."""
    if not getattr(model.config, "auxiliary_tasks", None):
        return {}
    data = args.auxiliary_data or args.data
    told = judge_auxiliary(model, extractor, data, split_args.apply(load_windows(data))[0][args.part])
    if not told:
        logger.warning(
            f"{data} has labels of none of the auxiliary tasks {sorted(model.config.auxiliary_tasks)}: see "
            "--auxiliary_data"
        )
    return told


def format_tables(signals: dict, results: dict, auxiliary: dict) -> Iterator[str]:
    """Yield what is printed: the signals' ISC, the features, the auxiliary tasks."""
    truth = signals.get("isc_of_the_truth")
    yield (
        f"ISC of the signals, {signals['num_subjects']} people, components of the training people: "
        f"{', '.join(f'{value:.3f}' for value in signals['isc'])}; sum {signals['isc_sum']:.3f}, shifted "
        f"people {signals['null_mean']:.3f} (95 %: {signals['null_95']:.3f}), p = {signals['p_value']:.3f}"
        + ("" if truth is None else f"; in closed form {', '.join(f'{value:.3f}' for value in truth)}")
    )
    titles = {"matching_accuracy": "Matching accuracy", "alignment": "Alignment"}
    titles |= {
        "alignment_share": "/ any two",
        "uniformity": "Uniformity",
        "contrastive_loss": "Contrastive loss",
    }
    rows = [
        {
            "Features": method,
            "Chance": f"{scores['matching_chance']['mean']:.3f}",
            **{title: format_summary(scores[name]) for name, title in titles.items()},
        }
        for method, scores in results.items()
    ]
    yield markdown_table(rows, texts=("Features",))
    if auxiliary:
        yield markdown_table([format_task(task, scores) for task, scores in auxiliary.items()], ("Task",))


def format_task(task: str, scores: dict[str, float]) -> dict[str, str]:
    """Return the cells of an auxiliary task."""
    metric = "mae" if "mae" in scores else "balanced_accuracy"
    always = scores.get("mae_of_mean", scores.get("balanced_accuracy_of_majority"))
    return {
        "Task": task,
        "MAE": f"{scores['mae']:.3f}" if metric == "mae" else NOTHING,
        "Balanced accuracy": NOTHING if metric == "mae" else f"{scores['balanced_accuracy']:.3f}",
        "Always the same": f"{always:.3f}",
        "People": f"{scores['num_subjects']}",
        "Windows": f"{scores['num_windows']:,}",
    }
