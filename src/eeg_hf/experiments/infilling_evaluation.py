# SPDX-License-Identifier: Apache-2.0
"""Hide stretches of EEG and compare what fills them in: models, the best linear guess, a straight line."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel
from transformers.utils import logging

from ..atomic_files import write_text
from ..corpora import split_for_pretraining
from ..evaluation import (
    PairedDifference,
    aggregate_folds,
    collect_provenance,
    hidden_scores,
    paired_difference,
    plot_reconstruction,
    subject_interval,
    write_json,
)
from ..evaluation.report import format_summary, markdown_table
from ..processing.feature_extraction_eeg import EEGFeatureExtractor
from .evaluate_arguments import named_folders
from .infilling import (
    Filler,
    Windows,
    draw_line,
    draw_masks,
    fill_with,
    fit_linear_guess,
    judge_hidden,
    judge_levels,
    load_model,
    mean,
    read_windows,
)
from .infilling_evaluation_arguments import InfillingArguments
from .samples import (
    can_draw,
    draw_from_latents,
    draw_from_prior,
    judge_samples,
)
from .split_arguments import SplitArguments

logger = logging.get_logger("eeg_hf.evaluate_infilling")

Scores = Mapping[str, Any]
METRICS = {"correlation": ("correlation", "by_subject"), "nrmse_std": ("NRMSE", "nrmse_by_subject")}
"""Score -> its title, and where those of people are."""
LEVELS = {"neighbour_correlation": "correlation of neighbours"}


def run(args: InfillingArguments, split_args: SplitArguments) -> None:
    """Hide, fill in and compare; write the results and print the tables."""
    named = named_folders("models", args.models)
    extractor = EEGFeatureExtractor.from_pretrained(args.data)
    models = {name: [load_model(folder, extractor) for folder in folders] for name, folders in named}
    parts = split_for_pretraining([args.data], split_args.split, **split_args.options)[0]
    if not parts.get(args.part):
        raise ValueError(f"{args.data}: --split {split_args.split} has no part {args.part!r}, take another")
    test = read_windows(parts[args.part], extractor, args.max_windows, args.seed)
    train = None
    if args.part != "train" and parts.get("train"):
        train = read_windows(parts["train"], extractor, args.max_train_windows, args.seed)
    baselines: dict[str, list[Filler]] = {"straight line": [draw_line]}
    if train is not None:
        baselines["best linear guess (Wiener)"] = [fit_linear_guess(train)]
    fillers = {name: [fill_with(model) for model in seeds] for name, seeds in models.items()}
    output_dir = Path(args.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    hidden = fill_in(args, test, baselines | fillers, drawn=[*fillers])
    reference = [*baselines][-1]
    differences = {name: compare_people(hidden[name], hidden[reference]) for name in models}
    nothing = np.zeros(test.values.shape, bool)
    levels = {
        name: [judge_levels(test, fill(test, nothing)) for fill in seeds] for name, seeds in fillers.items()
    }
    samples = draw_samples(models, test, train, args.seed) if args.samples else {}
    tables = [hidden_table(hidden)]
    tables += [difference_table(differences, reference), level_table("Off by", levels)] if models else []
    tables += [level_table("Drawn by", samples)] if samples else []
    about = collect_provenance(
        dataset=", ".join(parts[args.part].unique("corpus")),
        licence=", ".join(parts[args.part].unique("licence")),
        seeds=range(max(map(len, (baselines | fillers).values()))),
        split=f"{split_args.split} split, part {args.part}",
        people=len(set(test.subjects)),
        windows=len(test.values),
        stretch_seconds=args.stretch_seconds,
        models=args.models,
    )
    found = {"hidden": hidden, "differences": {"reference": reference, **differences}, "levels_db": levels}
    write_json(output_dir / "metrics.json", {**found, "samples": samples, "provenance": about})
    write_text(output_dir / "table.md", "\n\n".join(tables) + "\n")
    sys.stdout.write("\n\n".join(tables) + "\n")


def fill_in(
    args: InfillingArguments, test: Windows, fillers: Mapping[str, Sequence[Filler]], drawn: Sequence[str]
) -> dict[str, dict[str, list[Scores]]]:
    """Return the scores of each method, at each share hidden, of each seed; draw a window of some."""
    found: dict[str, dict[str, list[Scores]]] = {name: {} for name in fillers}
    for ratio in args.mask_ratios:
        mask = draw_masks(test, args.stretch_seconds, ratio, args.seed)
        for name, seeds in fillers.items():
            logger.warning(f"{name}, {ratio:.0%} hidden")
            filled = [fill(test, mask) for fill in seeds]
            found[name][f"{ratio:.0%}"] = scores = [judge_hidden(test, values, mask) for values in filled]
            if name in drawn:
                title = f"{name}, {ratio:.0%} hidden: mean r = {scores[0]['correlation']:.2f} in all windows"
                path = Path(args.output_dir) / f"{slug(name)}-{round(100 * ratio)}.png"
                draw_window(test, filled[0], mask, title, path)
    return found


def compare_people(
    ours: Mapping[str, Sequence[Scores]], theirs: Mapping[str, Sequence[Scores]]
) -> dict[str, dict[str, PairedDifference]]:
    """Return one method minus another, person by person, at each share hidden."""
    return {
        ratio: {
            metric: paired_difference(average_people(seeds, key), average_people(theirs[ratio], key))
            for metric, (_, key) in METRICS.items()
        }
        for ratio, seeds in ours.items()
    }


def average_people(seeds: Sequence[Scores], key: str) -> dict[str, float]:
    """Return the score of each person, the mean over seeds."""
    return {person: mean(np.array([scores[key][person] for scores in seeds])) for person in seeds[0][key]}


def draw_samples(
    models: Mapping[str, Sequence[PreTrainedModel]], test: Windows, train: Windows | None, seed: int
) -> dict[str, list[dict[str, float]]]:
    """Judge what models draw, from the prior and from a distribution fitted to training windows."""
    found = {"the test windows": [judge_samples(test, test.values)]}
    for name, seeds in models.items():
        able = [model for model in seeds if can_draw(model)]
        if not able:
            continue
        found[f"{name}, from the prior"] = [
            judge_samples(test, draw_from_prior(model, test, seed)) for model in able
        ]
        if train is not None:
            found[f"{name}, from latents fitted to training windows"] = [
                judge_samples(test, draw_from_latents(model, test, train, seed)) for model in able
            ]
    return found


def hidden_table(found: Mapping[str, Mapping[str, Sequence[Scores]]]) -> str:
    """Return the scores of each method at each share hidden: ± over seeds, intervals over people."""
    rows = []
    for name, by_ratio in found.items():
        row = {"Method": name}
        for ratio, seeds in by_ratio.items():
            for metric, (title, key) in METRICS.items():
                summary = aggregate_folds([{metric: scores[metric]} for scores in seeds])[metric]
                interval = subject_interval(average_people(seeds, key))
                row[f"{ratio} hidden: {title}"] = format_summary({**summary, "interval": interval})
        rows.append(row)
    return markdown_table(rows, ["Method"])


def difference_table(
    found: Mapping[str, Mapping[str, Mapping[str, PairedDifference]]], reference: str
) -> str:
    """Return by how much models differ from the reference, and in how many people they are better."""
    rows = []
    for name, by_ratio in found.items():
        row = {f"Minus {reference}": name}
        for ratio, differences in by_ratio.items():
            for metric, (title, _) in METRICS.items():
                one = differences[metric]
                better = one["num_lower" if metric == "nrmse_std" else "num_higher"]
                row[f"{ratio} hidden: {title}"] = (
                    f"{format_summary(one)}, better in {better} of {one['num_subjects']}"
                )
        rows.append(row)
    return markdown_table(rows, [f"Minus {reference}"])


def level_table(title: str, found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return how far off amplitude and bands of each model are, and how alike neighbours."""
    rows = []
    for name, seeds in found.items():
        summary = aggregate_folds(seeds)
        cells = {LEVELS.get(level, f"{level} (dB)"): format_summary(summary[level], 2) for level in summary}
        rows.append({title: name, **cells})
    return markdown_table(rows, [title])


def draw_window(test: Windows, filled: np.ndarray, mask: np.ndarray, title: str, path: Path) -> None:
    """Draw the first window, with the correlation over what is hidden beside each channel."""
    (scores,) = hidden_scores(test.values[:1], filled[:1], mask[:1])["correlation"]
    names = [
        name if np.isnan(score) else f"{name}\nr = {score:.2f}"
        for name, score in zip(test.channels, scores, strict=True)
    ]
    title += f", {mean(scores):.2f} in this one\n"  # the legend stands in the second line
    plot_reconstruction(test.values[0], filled[0], mask[0], test.sampling_rate, names, title=title, path=path)


def slug(name: str) -> str:
    """Return a name that can be part of a file's."""
    return re.sub(r"\W+", "_", name).strip("_") or "model"
