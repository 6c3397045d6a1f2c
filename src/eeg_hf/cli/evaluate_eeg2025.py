# SPDX-License-Identifier: Apache-2.0
r"""Score two fine-tuned regressors as the EEG2025 challenge does, beside what they have to beat.

    eeg-hf evaluate-eeg2025 --challenge1 runs/c1 --challenge2 runs/c2 --output_dir runs/eeg2025
    eeg-hf evaluate-eeg2025 --challenge1 runs/c1 --challenge2 runs/c2 --output_dir runs/eeg2025 \
        --data1 runs/data/hbn_challenge1 --data2 runs/data/hbn_challenge2 --target2 p_factor --task2 all

The data are those of prepare_hbn_challenge1 and prepare_hbn_challenge2.yaml; the part
tested is R5. Whoever selected epochs on R5 reads a score here that is a little too good.

Not as the organisers do: their local scoring tests challenge 2 on 2 s cropped at random from windows of 4 s,
one every 2 s; here windows are tested as they were prepared. As theirs do, they come from
contrastChangeDetection unless --task2 says otherwise.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from transformers.utils import logging

from ..corpora import SplitArguments
from ..evaluation import (
    PUBLISHED_SCORES,
    PUBLISHED_SOURCE,
    ChallengeResult,
    challenge_table,
    collect_provenance,
    leak_warning,
    write_json,
)
from ..experiments.challenge import Challenge, judge_methods, load_challenge
from ..training import parse_recipe, run_main

logger = logging.get_logger("eeg_hf.evaluate_eeg2025")


@dataclass
class ChallengeArguments:
    """What to score, on what."""

    challenge1: str = field(metadata={"help": "Folder of the regressor of response times."})
    challenge2: str = field(metadata={"help": "Folder of the regressor of the trait."})
    output_dir: str = field(metadata={"help": "Where metrics.json and table.md go."})
    data1: str = field(default="runs/data/hbn_challenge1", metadata={"help": "Data of challenge 1."})
    data2: str = field(default="runs/data/hbn_challenge2", metadata={"help": "Data of challenge 2."})
    target1: str = field(default="response_time", metadata={"help": "Column that challenge 1 predicts."})
    target2: str = field(default="externalizing", metadata={"help": "Column that challenge 2 predicts."})
    task2: str = field(
        default="contrastChangeDetection", metadata={"help": "Task that challenge 2 is tested on, or all."}
    )
    part: str = field(default="validation", metadata={"help": "Part to test: validation (R5) or test."})
    fitted_windows: int = field(
        default=50_000, metadata={"help": "Most windows that the ridge regression is fitted to; 0 = none."}
    )


def run() -> None:
    """Score the models and the baselines, write the results and print the table."""
    args, split_args = parse_recipe((ChallengeArguments, SplitArguments), description=__doc__)
    task = None if args.task2 == "all" else args.task2
    challenges = [
        load_challenge(1, args.challenge1, args.data1, args.target1, split_args, args.part),
        load_challenge(2, args.challenge2, args.data2, args.target2, split_args, args.part, task),
    ]
    scores = [
        dict(judge_methods(challenge, args.fitted_windows, args.output_dir)) for challenge in challenges
    ]
    results = [ChallengeResult(method, scores[0][method], scores[1][method]) for method in scores[0]]
    output_dir = Path(args.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    write_results(output_dir, results, challenges, f"{split_args.split} split, part {args.part}")
    table = challenge_table(results)
    (output_dir / "table.md").write_text(table)
    sys.stdout.write(table)
    warning = leak_warning(min(result.challenge_2["nrmse_std"] for result in results))
    if warning:
        logger.warning(warning)


def write_results(
    output_dir: Path, results: list[ChallengeResult], challenges: list[Challenge], split: str
) -> None:
    """Write metrics.json, with what is needed to believe it."""
    first, second = challenges
    provenance = collect_provenance(
        dataset=", ".join(first.test.unique("corpus")),
        licence=", ".join(first.test.unique("licence")),
        seeds=(),
        split=split,
        targets=[first.target, second.target],
        models=[first.model, second.model],
        tasks=second.test.unique("task"),
    )
    rows = [
        {
            "method": result.method,
            "challenge_1": result.challenge_1,
            "challenge_2": result.challenge_2,
            "overall": result.overall,
        }
        for result in results
    ]
    published = {**PUBLISHED_SCORES, "source": PUBLISHED_SOURCE}
    write_json(
        output_dir / "metrics.json", {"provenance": provenance, "results": rows, "published": published}
    )


def main() -> None:
    """Run the command."""
    run_main(run, "eeg_hf.evaluate_eeg2025")


if __name__ == "__main__":
    main()
