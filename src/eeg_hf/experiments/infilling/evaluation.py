# SPDX-License-Identifier: Apache-2.0
"""Evaluate infilling: hide stretches of EEG and compare models with the best linear estimate."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils import logging

from ...atomic_files import write_text
from ...corpora import SplitContents, split_for_pretraining
from ...evaluation import (
    PairedDifference,
    aggregate_folds,
    collect_provenance,
    hidden_scores,
    paired_difference,
    plot_reconstruction,
    subject_interval,
    write_json,
)
from ...evaluation.report import format_summary
from ...processing.feature_extraction_eeg import EEGFeatureExtractor
from ...tables import markdown_table
from ..checkpoint_windows import judge_checkpoints
from ..named_paths import named_paths
from ..split_arguments import SplitArguments
from .arguments import InfillingArguments
from .filling import (
    Filler,
    Windows,
    draw_masks,
    fill_linearly,
    fill_with,
    fit_wiener,
    judge_hidden,
    judge_levels,
    load_model,
    mean,
    read_windows,
)
from .samples import judge_samples, sample_latents, sample_prior

logger = logging.get_logger(__name__)

Scores = Mapping[str, Any]
METRICS = {"correlation": ("correlation", "by_subject"), "nrmse_std": ("NRMSE", "nrmse_by_subject")}
"""Score -> its title, and the key of the scores of each subject."""
LEVELS = {"neighbour_correlation": "correlation of neighbours"}


def run(args: InfillingArguments, split_args: SplitArguments) -> None:
    """Hide, fill in and compare; write the results and print the tables."""
    extractor = EEGFeatureExtractor.from_pretrained(args.data)
    models = {
        name: [load_model(folder, extractor) for folder in folders]
        for name, folders in named_paths("models", args.models).items()
    }
    parts = split_for_pretraining([args.data], split_args.split, **split_args.options)[0]
    if not parts.get(args.part):
        raise ValueError(f"{args.data}: --split {split_args.split} has no part {args.part!r}, choose another")
    folders = [folder for each in named_paths("models", args.models).values() for folder in each]
    notes = judge_checkpoints(folders, parts, args.part, args.contaminated)
    test = read_windows(parts[args.part], extractor, args.max_windows, args.seed)
    train = None
    if args.part != "train" and parts.get("train"):
        train = read_windows(parts["train"], extractor, args.max_train_windows, args.seed)
    # The linear guess needs covariances of training subjects: without them the straight line stands alone
    baselines: dict[str, list[Filler]] = {"straight line": [fill_linearly]}
    if train is not None:
        baselines["best linear guess (Wiener)"] = [fit_wiener(train)]
    fillers = {name: [fill_with(model) for model in seeds] for name, seeds in models.items()}

    output_dir = Path(args.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    hidden = fill_in(args, test, baselines | fillers, plotted=[*fillers])
    reference = [*baselines][-1]
    differences = {name: compare_subjects(hidden[name], hidden[reference]) for name in models}
    # With nothing hidden, the error that remains is the model's own, in amplitude and in each band
    nothing = np.zeros(test.values.shape, bool)
    levels = {
        name: [judge_levels(test, fill(test, nothing)) for fill in seeds] for name, seeds in fillers.items()
    }
    samples = score_samples(models, test, train, args.seed) if args.samples else {}

    tables = [hidden_table(hidden)]
    tables += [difference_table(differences, reference), level_table("Off by", levels)] if models else []
    tables += [level_table("Drawn by", samples)] if samples else []
    about = collect_provenance(
        dataset=", ".join(parts[args.part].unique("corpus")),
        licence=", ".join(parts[args.part].unique("licence")),
        seeds=range(max(map(len, (baselines | fillers).values()))),
        split=f"{split_args.split} split, part {args.part}",
        **SplitContents.of_part(parts, args.part).facts(),
        contamination=notes,
        people=len(set(test.subjects)),
        windows=len(test.values),
        stretch_seconds=args.stretch_seconds,
        models=args.models,
    )
    found = {"hidden": hidden, "differences": {"reference": reference, **differences}, "levels_db": levels}
    write_json(output_dir / "metrics.json", {**found, "samples": samples, "provenance": about})
    text = "\n\n".join(tables) + "\n"
    write_text(output_dir / "table.md", text)
    sys.stdout.write(text)


def fill_in(
    args: InfillingArguments, test: Windows, fillers: Mapping[str, Sequence[Filler]], plotted: Sequence[str]
) -> dict[str, dict[str, list[Scores]]]:
    """Return the scores of each method, mask ratio and seed; plot a window of some methods."""
    found: dict[str, dict[str, list[Scores]]] = {name: {} for name in fillers}
    for ratio in args.mask_ratios:
        mask = draw_masks(test, args.stretch_seconds, ratio, args.seed)
        for name, seeds in fillers.items():
            logger.warning(f"{name}, {ratio:.0%} hidden")
            filled = [fill(test, mask) for fill in seeds]
            scores: list[Scores] = [judge_hidden(test, values, mask) for values in filled]
            found[name][f"{ratio:.0%}"] = scores
            if name in plotted:
                title = f"{name}, {ratio:.0%} hidden: mean r = {scores[0]['correlation']:.2f} in all windows"
                path = Path(args.output_dir) / f"{slug(name)}-{round(100 * ratio)}.png"
                plot_window(test, filled[0], mask, title, path)
    return found


def compare_subjects(
    ours: Mapping[str, Sequence[Scores]], theirs: Mapping[str, Sequence[Scores]]
) -> dict[str, dict[str, PairedDifference]]:
    """Return one method minus another within each subject, at each mask ratio."""
    return {
        ratio: {
            metric: paired_difference(average_subjects(seeds, key), average_subjects(theirs[ratio], key))
            for metric, (_, key) in METRICS.items()
        }
        for ratio, seeds in ours.items()
    }


def average_subjects(seeds: Sequence[Scores], key: str) -> dict[str, float]:
    """Return the score of each subject, the mean over seeds."""
    return {name: mean(np.array([scores[key][name] for scores in seeds])) for name in seeds[0][key]}


def score_samples(
    models: Mapping[str, Sequence[Any]], test: Windows, train: Windows | None, seed: int
) -> dict[str, list[dict[str, float]]]:
    """Score samples of the models that can sample, from the prior and from fitted latents."""
    found = {"the test windows": [judge_samples(test, test.values)]}
    for name, seeds in models.items():
        able = [model for model in seeds if hasattr(model, "sample")]
        if not able:
            continue
        drawn = [sample_prior(model, test, seed) for model in able]
        found[f"{name}, from the prior"] = [judge_samples(test, values) for values in drawn]
        if train is not None:
            drawn = [sample_latents(model, test, train, seed) for model in able]
            title = f"{name}, from latents fitted to training windows"
            found[title] = [judge_samples(test, values) for values in drawn]
    return found


def hidden_table(found: Mapping[str, Mapping[str, Sequence[Scores]]]) -> str:
    """Return the scores of each method at each mask ratio: ± over seeds, intervals over subjects."""
    rows = []
    for name, by_ratio in found.items():
        row = {"Method": name}
        for ratio, seeds in by_ratio.items():
            for metric, (title, key) in METRICS.items():
                summary = aggregate_folds([{metric: scores[metric]} for scores in seeds])[metric]
                interval = subject_interval(average_subjects(seeds, key))
                row[f"{ratio} hidden: {title}"] = format_summary({**summary, "interval": interval})
        rows.append(row)
    return markdown_table(rows, ["Method"])


def difference_table(
    found: Mapping[str, Mapping[str, Mapping[str, PairedDifference]]], reference: str
) -> str:
    """Return the differences to the reference, and the number of subjects in which a model is better."""
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
    """Return the errors of amplitude and bands of each method, and the correlation of neighbours."""
    rows = []
    for name, seeds in found.items():
        summary = aggregate_folds(seeds)
        cells = {LEVELS.get(level, f"{level} (dB)"): format_summary(summary[level], 2) for level in summary}
        rows.append({title: name, **cells})
    return markdown_table(rows, [title])


def plot_window(test: Windows, filled: np.ndarray, mask: np.ndarray, title: str, path: Path) -> None:
    """Plot the first window, with the correlation over hidden samples beside each channel."""
    (scores,) = hidden_scores(test.values[:1], filled[:1], mask[:1])["correlation"]
    names = [
        name if np.isnan(score) else f"{name}\nr = {score:.2f}"
        for name, score in zip(test.channels, scores, strict=True)
    ]
    title += f", {mean(scores):.2f} in this one\n"  # the legend has the second line
    plot_reconstruction(test.values[0], filled[0], mask[0], test.sampling_rate, names, title=title, path=path)


def slug(name: str) -> str:
    """Return a name that can be part of a file name."""
    return re.sub(r"\W+", "_", name).strip("_") or "model"
