# SPDX-License-Identifier: Apache-2.0
r"""Say how well EEG finds the image that was seen, and an image the EEG of it, beside chance.

    python scripts/eval_retrieval.py --embeds runs/test.npz --metric recall@1,5,10 --also mrr,ndcg \
        --out runs/retrieval.json
    python scripts/eval_retrieval.py --embeds runs/test.npz --average_repetitions --metric recall@1,5
    python scripts/eval_retrieval.py --embeds runs/test.npz --resample subject --n_way 200

scripts/export_embeddings.py writes the embeddings. The zero-shot score of THINGS-EEG2 is `recall@1` and
`recall@5` from EEG to image among its 200 test images: top-1 and top-5 of 200. The literature averages the 80
repetitions of an image before the model (prepare with average_repetitions); `--average_repetitions` averages
their embeddings here, before the similarity.

Of several people each is scored alone, and all together; from image to EEG everybody is asked for his own
trials. `recall@K` is the share of queries with a correct item among the first K. Intervals are 95 % of
bootstraps over images, or what --resample says.
"""

import sys
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from eeg_hf.evaluation import (
    EEGImageEmbeddings,
    collect_provenance,
    judge_retrieval,
    retrieval_table,
    write_json,
)
from eeg_hf.evaluation.retrieval_report import DIRECTIONS, as_plain, parse_metrics
from eeg_hf.training import parse_recipe, run_main


@dataclass
class RetrievalArguments:
    """What to score, and how."""

    embeds: str = field(metadata={"help": "Embeddings: .npz of scripts/export_embeddings.py."})
    metric: str = field(default="recall@1,5,10", metadata={"help": "Metrics: recall@K,K,... or ndcg@K,..."})
    also: str = field(
        default="mrr,ndcg,median_rank",
        metadata={"help": "More: mrr, mean_rank, median_rank; ndcg at the K of --metric."},
    )
    out: str | None = field(default=None, metadata={"help": "JSON file to write all metrics to."})
    average_repetitions: bool = field(
        default=False, metadata={"help": "Average a person's embeddings of an image before the similarity."}
    )
    match: str = field(default="image", metadata={"help": "What is correct: the same image, or concept."})
    n_way: int | None = field(
        default=None,
        metadata={"help": "Also the correct image among n drawn from the gallery, over all draws."},
    )
    resample: str = field(
        default="image", metadata={"help": "What the bootstrap draws: image, concept or subject."}
    )
    num_resamples: int = field(default=1000, metadata={"help": "Draws of the bootstrap."})
    seed: int = field(default=0, metadata={"help": "Seed of the bootstrap."})


def main() -> None:
    """Score, print the table, write the report."""
    (args,) = parse_recipe((RetrievalArguments,), description=__doc__)
    asked = parse_metrics(args.metric)
    ks = sorted({int(name.partition("@")[2]) for name in asked if "@" in name}) or [1, 5, 10]
    embeddings = EEGImageEmbeddings.load(args.embeds)
    if args.average_repetitions:
        embeddings = embeddings.average_repetitions()
    options = {name: getattr(args, name) for name in ("match", "n_way", "resample", "num_resamples", "seed")}

    people = np.unique(embeddings.subjects).tolist()
    parts = {f"subject {person}": embeddings.of_subject(person) for person in people}
    title = f"subject {people[0]}" if len(people) == 1 else f"all {len(people)} subjects"
    found = {
        name: judge_retrieval(part, ks, **options) for name, part in {**parts, title: embeddings}.items()
    }

    shown = list(dict.fromkeys([*asked, *parse_metrics(args.also, ks)]))
    shown += [name for name in found[title]["eeg_to_image"] if name.startswith("top@")]
    said = describe(embeddings, args)
    sys.stdout.write(f"{said}\n\n{retrieval_table(found, shown)}")
    if args.out:
        write_json(args.out, report(embeddings, args, found, title))


def describe(embeddings: EEGImageEmbeddings, args: RetrievalArguments) -> str:
    """Say in two sentences what is scored."""
    trials = "averages of a person's repetitions" if args.average_repetitions else "trials"
    people = len(np.unique(embeddings.subjects))
    return (
        f"{embeddings.model or 'unnamed model'}, split {embeddings.split or 'unnamed'}: "
        f"{len(embeddings.eeg_embeddings):,} {trials} of {people} subjects, a gallery of "
        f"{len(embeddings.image_ids):,} images. Correct is the same {args.match}; brackets are 95 % of "
        f"bootstraps over {args.resample}s."
    )


def report(
    embeddings: EEGImageEmbeddings, args: RetrievalArguments, found: dict[str, Any], title: str
) -> dict[str, Any]:
    """Return what the JSON file holds: both directions of all together, then of each person."""
    provenance = collect_provenance(
        dataset=args.embeds,
        licence="that of the data",
        seeds=(args.seed,),
        model=embeddings.model,
        split=embeddings.split,
        settings=asdict(args),
        num_trials=len(embeddings.eeg_embeddings),
        num_images=len(embeddings.image_ids),
        num_subjects=len(np.unique(embeddings.subjects)),
    )
    by_subject = {name: as_plain(scores) for name, scores in found.items() if name.startswith("subject ")}
    return {
        "provenance": provenance,
        "directions": dict(DIRECTIONS),
        **as_plain(found[title]),
        "by_subject": {name.removeprefix("subject "): scores for name, scores in by_subject.items()},
    }


if __name__ == "__main__":
    run_main(main, "eeg_hf.eval_retrieval")
