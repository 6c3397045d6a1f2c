# SPDX-License-Identifier: Apache-2.0
r"""Judge what was learned by contrasting people who saw the same film, on people who were held out.

    eeg-hf evaluate-contrast --data runs/data/films --output_dir runs/contrast
    eeg-hf evaluate-contrast --data runs/data/films --output_dir runs/contrast \
        --models "contrast=runs/contrast-*/film"
    eeg-hf evaluate-contrast --data runs/data/isc_video_film --output_dir runs/contrast \
        --split fold --fold 1 --models "three phases=runs/phases/film" --auxiliary_data runs/data/eegmat

The data are windows of films: columns `stimulus` and `stimulus_seconds` (docs/data.md). A model is a folder
that eeg-hf train-phases left for a phase, or any other with an encoder; `*` in its name means one run a
seed. Split as in the training, or the people tested are those trained on.

Matching accuracy asks of each window whether, of all windows of other people in the same film, the most
similar one is of the same moment. Alignment and uniformity are better when lower. Beside the models stand the
same models with random weights, band power, and the correlated components of the training people; for
simulated films (`--corpus_options`, as they were prepared) the best filters there are.

docs/contrast.md shows what comes out.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from transformers import PreTrainedModel
from transformers.utils import logging

from ..atomic_files import write_text
from ..collation.pair_columns import PairColumns
from ..corpora import SimulatedFilm, SplitArguments, load_windows
from ..evaluation import aggregate_folds, collect_provenance, write_json
from ..evaluation.report import NOTHING, format_summary, markdown_table
from ..experiments.contrast import (
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
from ..experiments.evaluate_arguments import named_folders
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from ..training import parse_recipe, run_main

logger = logging.get_logger("eeg_hf.evaluate_contrast")


@dataclass
class ContrastArguments:
    """What to judge, on what."""

    data: str = field(metadata={"help": "Prepared corpus with windows of films."})
    output_dir: str = field(metadata={"help": "Where metrics.json and table.md go."})
    models: list[str] = field(default_factory=list, metadata={"help": "name=folder of trained models."})
    part: str = field(default="test", metadata={"help": "Part of the split to test."})
    stimulus: str = field(default="stimulus", metadata={"help": "Column of the film."})
    seconds: str = field(default="stimulus_seconds", metadata={"help": "Column of the second of the film."})
    num_components: int = field(default=3, metadata={"help": "Correlated components to fit."})
    num_shifts: int = field(default=300, metadata={"help": "Circular shifts of the null of the ISC."})
    batch_size: int = field(default=64, metadata={"help": "Windows a batch of the contrastive loss."})
    subjects_per_time: int = field(default=4, metadata={"help": "People at each of its moments."})
    temperature: float = field(default=0.1, metadata={"help": "Its temperature, the same for all features."})
    corpus_options: str | None = field(
        default=None,
        metadata={"help": "Simulated films: the options they were prepared with (JSON), to know the truth."},
    )
    auxiliary_data: str | None = field(
        default=None,
        metadata={"help": "Prepared corpus with labels of the auxiliary tasks; --data if left out."},
    )


def run() -> None:
    """Judge the baselines and the models, write the results and print the tables."""
    args, split_args = parse_recipe((ContrastArguments, SplitArguments), description=__doc__)
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
        corpus = SimulatedFilm(**json.loads(args.corpus_options))
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


def main() -> None:
    """Run the command."""
    run_main(run, "eeg_hf.evaluate_contrast")


if __name__ == "__main__":
    main()
