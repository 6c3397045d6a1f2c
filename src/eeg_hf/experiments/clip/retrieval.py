# SPDX-License-Identifier: Apache-2.0
"""Evaluate image retrieval: from EEG to the image that was seen, and from the image to the EEG."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ...evaluation import (
    EEGImageEmbeddings,
    RetrievalScore,
    collect_provenance,
    judge_retrieval,
    retrieval_table,
    write_json,
)
from ...evaluation.retrieval_report import (
    DIRECTIONS,
    as_plain,
    average_seeds,
    comparison_table,
    parse_metrics,
)
from ..named_paths import named_paths
from .arguments import RetrievalArguments

Judged = dict[str, dict[str, dict[str, RetrievalScore]]]
"""Scores by title (each subject, then all of them), direction and metric."""


def run(args: RetrievalArguments) -> None:
    """Score, print the table, write the report."""
    metrics = parse_metrics(args.metric)
    ks = sorted({int(name.partition("@")[2]) for name in metrics if "@" in name}) or [1, 5, 10]
    files = named_paths("embeds", args.embeds)
    methods = {name: [load(path, args) for path in paths] for name, paths in files.items()}
    check_comparable(methods)
    judged = {name: [judge_subjects(each, ks, args) for each in seeds] for name, seeds in methods.items()}

    first = next(iter(judged.values()))[0]
    title = list(first)[-1]  # all subjects together
    shown = list(dict.fromkeys([*metrics, *parse_metrics(args.also, ks)]))
    shown += [name for name in first[title]["eeg_to_image"] if name.startswith("top@")]
    if len(args.embeds) == 1 and Path(args.embeds[0]).is_file():
        table, content = retrieval_table(first, shown), summarize(first, title)
    else:
        averaged: dict[str, dict[str, Any]] = {
            name: {part: average_seeds([each[part] for each in seeds]) for part in first}
            for name, seeds in judged.items()
        }
        table = comparison_table({name: parts[title] for name, parts in averaged.items()}, shown)
        content = {"methods": {}}
        for name, parts in averaged.items():
            paths, models = [path.as_posix() for path in files[name]], [each.model for each in methods[name]]
            content["methods"][name] = {"files": paths, "models": models, **summarize(parts, title)}
    sys.stdout.write(f"{describe(methods, args)}\n\n{table}")
    if args.output:
        about = {"provenance": describe_provenance(methods, args), "directions": dict(DIRECTIONS)}
        write_json(args.output, {**about, **content})


def load(path: Path, args: RetrievalArguments) -> EEGImageEmbeddings:
    """Load a file, and average repetitions if the options ask for it."""
    embeddings = EEGImageEmbeddings.load(path)
    return embeddings.average_repetitions() if args.average_repetitions else embeddings


def check_comparable(methods: Mapping[str, Sequence[EEGImageEmbeddings]]) -> None:
    """Refuse to compare methods on different trials or galleries.

    Raises:
        ValueError: If a file has other trials or images than the first.
    """
    first: tuple[Counter, Counter] | None = None
    for name, seeds in methods.items():
        for each in seeds:
            trials = Counter(zip(each.subjects.tolist(), each.eeg_image_ids.tolist(), strict=True))
            found = trials, Counter(each.image_ids.tolist())
            first = found if first is None else first
            if found != first:
                differing = (found[0] - first[0] + (first[0] - found[0])).total()
                images = len(found[1].keys() ^ first[1].keys())
                raise ValueError(
                    f"embeds: {name} differs from {next(iter(methods))} in {differing} trials and {images} "
                    "images of the gallery: export the same part of both"
                )


def judge_subjects(embeddings: EEGImageEmbeddings, ks: Sequence[int], args: RetrievalArguments) -> Judged:
    """Score each subject alone, then all of them together under the last title."""
    options = {name: getattr(args, name) for name in ("match", "n_way", "resample", "num_resamples", "seed")}
    subjects = np.unique(embeddings.subjects).tolist()
    parts = {f"subject {subject}": embeddings.of_subject(subject) for subject in subjects}
    if len(subjects) > 1:
        parts[f"all {len(subjects)} subjects"] = embeddings
    return {title: judge_retrieval(part, ks, **options) for title, part in parts.items()}


def describe(methods: Mapping[str, Sequence[EEGImageEmbeddings]], args: RetrievalArguments) -> str:
    """Return two sentences about what is scored."""
    embeddings = next(iter(methods.values()))[0]
    names = ", ".join(methods) if len(methods) > 1 else embeddings.model or "unnamed model"
    trials = "averages of a subject's repetitions" if args.average_repetitions else "trials"
    has_seeds = any(len(each) > 1 for each in methods.values())
    spread = "; ± is the standard deviation over seeds" if has_seeds else ""
    return (
        f"{names}, split {embeddings.split or 'unnamed'}: "
        f"{len(embeddings.eeg_embeddings):,} {trials} of {len(np.unique(embeddings.subjects))} subjects, "
        f"a gallery of {len(embeddings.image_ids):,} images. A correct item is the same {args.match}; "
        f"brackets are 95 % of bootstraps over {args.resample}s{spread}."
    )


def summarize(found: Mapping[str, Any], title: str) -> dict[str, Any]:
    """Return both directions of all subjects, then of each, as JSON types."""
    subjects = {name: scores for name, scores in found.items() if name.startswith("subject ")}
    return {
        **as_plain(found[title]),
        "by_subject": {name.removeprefix("subject "): as_plain(each) for name, each in subjects.items()},
    }


def describe_provenance(
    methods: Mapping[str, Sequence[EEGImageEmbeddings]], args: RetrievalArguments
) -> dict[str, Any]:
    """Return what was scored, and how; one file is named as it is, several as a list."""
    embeddings = next(iter(methods.values()))[0]
    is_single = len(args.embeds) == 1 and Path(args.embeds[0]).is_file()
    return collect_provenance(
        dataset=", ".join(args.embeds),
        licence="that of the data",
        seeds=(args.seed,),
        model=embeddings.model if is_single else ", ".join(methods),
        split=embeddings.split,
        settings={**asdict(args), "embeds": args.embeds[0] if is_single else args.embeds},
        num_trials=len(embeddings.eeg_embeddings),
        num_images=len(embeddings.image_ids),
        num_subjects=len(np.unique(embeddings.subjects)),
    )
