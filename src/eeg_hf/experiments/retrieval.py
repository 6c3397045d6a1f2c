# SPDX-License-Identifier: Apache-2.0
"""Say how well EEG finds the image that was seen, and an image the EEG of it, beside chance."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation import (
    EEGImageEmbeddings,
    RetrievalScore,
    collect_provenance,
    judge_retrieval,
    retrieval_table,
    write_json,
)
from ..evaluation.retrieval_report import (
    DIRECTIONS,
    as_plain,
    average_seeds,
    comparison_table,
    parse_metrics,
)
from .retrieval_arguments import RetrievalArguments


def run(args: RetrievalArguments) -> None:
    """Score, print the table, write the report."""
    asked = parse_metrics(args.metric)
    ks = sorted({int(name.partition("@")[2]) for name in asked if "@" in name}) or [1, 5, 10]
    files = named_files(args.embeds)
    methods = {name: [load(path, args) for path in paths] for name, paths in files.items()}
    check_comparable(methods)
    judged = {name: [judge_people(each, ks, args) for each in seeds] for name, seeds in methods.items()}

    some = next(iter(judged.values()))[0]
    title = list(some)[-1]  # all together
    shown = list(dict.fromkeys([*asked, *parse_metrics(args.also, ks)]))
    shown += [name for name in some[title]["eeg_to_image"] if name.startswith("top@")]
    if len(args.embeds) == 1 and Path(args.embeds[0]).is_file():
        embeddings = next(iter(methods.values()))[0]
        table, content = retrieval_table(some, shown), report(embeddings, args, some, title)
    else:
        averaged = {
            name: {person: average_seeds([each[person] for each in seeds]) for person in some}
            for name, seeds in judged.items()
        }
        table = comparison_table({name: people[title] for name, people in averaged.items()}, shown)
        content = report_methods(methods, files, args, averaged, title)
    sys.stdout.write(f"{describe(methods, args)}\n\n{table}")
    if args.out:
        write_json(args.out, content)


def named_files(values: Sequence[str]) -> dict[str, list[Path]]:
    """Return the files of each `name=pattern`; a path alone is named for its file.

    Raises:
        FileNotFoundError: If no file matches.
        ValueError: If two methods have one name.
    """
    found: dict[str, list[Path]] = {}
    for value in values:
        name, equals, pattern = value.partition("=")
        if Path(value).is_file() or not equals:
            name, pattern = Path(value).stem, value
        paths = [Path(pattern)] if Path(pattern).is_file() else [Path(path) for path in sorted(glob(pattern))]
        if not paths:
            raise FileNotFoundError(f"{pattern} does not exist: eeg-hf export-embeddings writes embeddings")
        if name in found:
            raise ValueError(f"embeds: two methods are called {name!r}, say name={pattern} with another name")
        found[name] = paths
    return found


def load(path: Path, args: RetrievalArguments) -> EEGImageEmbeddings:
    """Read a file, and average what is to be averaged."""
    embeddings = EEGImageEmbeddings.load(path)
    return embeddings.average_repetitions() if args.average_repetitions else embeddings


def check_comparable(methods: Mapping[str, Sequence[EEGImageEmbeddings]]) -> None:
    """Refuse to compare methods on different trials, or among different images.

    Raises:
        ValueError: If there are other trials, or images, in one file than in the first.
    """
    first: tuple[Counter, Counter] | None = None
    for name, seeds in methods.items():
        for each in seeds:
            trials = Counter(zip(each.subjects.tolist(), each.eeg_image_ids.tolist(), strict=True))
            said = trials, Counter(each.image_ids.tolist())
            first = said if first is None else first
            if said != first:
                differing = (said[0] - first[0] + (first[0] - said[0])).total()
                images = len(said[1].keys() ^ first[1].keys())
                raise ValueError(
                    f"embeds: {name} differs from {next(iter(methods))} in {differing} trials and {images} "
                    "images of the gallery: methods are compared on the same, export the same part of both"
                )


def judge_people(
    embeddings: EEGImageEmbeddings, ks: Sequence[int], args: RetrievalArguments
) -> dict[str, dict[str, dict[str, RetrievalScore]]]:
    """Score each person alone, and all together under the last title."""
    options = {name: getattr(args, name) for name in ("match", "n_way", "resample", "num_resamples", "seed")}
    people = np.unique(embeddings.subjects).tolist()
    parts = {f"subject {person}": embeddings.of_subject(person) for person in people}
    if len(people) > 1:
        parts[f"all {len(people)} subjects"] = embeddings
    return {title: judge_retrieval(part, ks, **options) for title, part in parts.items()}


def describe(methods: Mapping[str, Sequence[EEGImageEmbeddings]], args: RetrievalArguments) -> str:
    """Say in two sentences what is scored."""
    embeddings = next(iter(methods.values()))[0]
    trials = "averages of a person's repetitions" if args.average_repetitions else "trials"
    people = len(np.unique(embeddings.subjects))
    names = embeddings.model or "unnamed model"
    if len(methods) > 1:
        names = ", ".join(methods)
    spread = (
        "; ± is the standard deviation over seeds" if any(len(each) > 1 for each in methods.values()) else ""
    )
    return (
        f"{names}, split {embeddings.split or 'unnamed'}: "
        f"{len(embeddings.eeg_embeddings):,} {trials} of {people} subjects, a gallery of "
        f"{len(embeddings.image_ids):,} images. Correct is the same {args.match}; brackets are 95 % of "
        f"bootstraps over {args.resample}s{spread}."
    )


def report(
    embeddings: EEGImageEmbeddings, args: RetrievalArguments, found: dict[str, Any], title: str
) -> dict[str, Any]:
    """Return what the JSON file holds: both directions of all together, then of each person."""
    return {
        "provenance": provenance(embeddings, args, args.embeds[0], embeddings.model),
        "directions": dict(DIRECTIONS),
        **as_plain(found[title]),
        "by_subject": by_subject(found),
    }


def report_methods(
    methods: Mapping[str, Sequence[EEGImageEmbeddings]],
    files: Mapping[str, Sequence[Path]],
    args: RetrievalArguments,
    found: Mapping[str, dict[str, Any]],
    title: str,
) -> dict[str, Any]:
    """Return what the JSON file holds of several methods: each under its name as one file would be."""
    embeddings = next(iter(methods.values()))[0]
    return {
        "provenance": provenance(embeddings, args, args.embeds, ", ".join(methods)),
        "directions": dict(DIRECTIONS),
        "methods": {
            name: {
                "files": [path.as_posix() for path in files[name]],
                "models": [each.model for each in methods[name]],
                **as_plain(people[title]),
                "by_subject": by_subject(people),
            }
            for name, people in found.items()
        },
    }


def by_subject(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores of each person by his name."""
    people = {title: scores for title, scores in found.items() if title.startswith("subject ")}
    return {title.removeprefix("subject "): as_plain(scores) for title, scores in people.items()}


def provenance(
    embeddings: EEGImageEmbeddings, args: RetrievalArguments, embeds: str | list[str], model: str
) -> dict[str, Any]:
    """Say what was scored, and how."""
    return collect_provenance(
        dataset=embeds if isinstance(embeds, str) else ", ".join(embeds),
        licence="that of the data",
        seeds=(args.seed,),
        model=model,
        split=embeddings.split,
        settings={**asdict(args), "embeds": embeds},
        num_trials=len(embeddings.eeg_embeddings),
        num_images=len(embeddings.image_ids),
        num_subjects=len(np.unique(embeddings.subjects)),
    )
