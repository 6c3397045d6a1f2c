# SPDX-License-Identifier: Apache-2.0
"""Score two fine-tuned regressors as the EEG2025 challenge does, beside baselines."""

import sys
from pathlib import Path

from transformers.utils import logging

from ...atomic_files import write_text
from ...corpora import SplitContents
from ...evaluation import (
    PUBLISHED_SCORES,
    PUBLISHED_SOURCE,
    ChallengeResult,
    challenge_table,
    collect_provenance,
    leak_warning,
    write_json,
)
from ..checkpoint_windows import judge_checkpoints
from ..split_arguments import SplitArguments
from .arguments import ChallengeArguments
from .regressors import Challenge, judge_methods, load_challenge

logger = logging.get_logger(__name__)


def run(args: ChallengeArguments, split_args: SplitArguments) -> None:
    """Score the models and the baselines, write the results and print the table."""
    task = None if args.task2 == "all" else args.task2
    challenges = [
        load_challenge(1, args.challenge1, args.data1, args.target1, split_args, args.part),
        load_challenge(2, args.challenge2, args.data2, args.target2, split_args, args.part, task),
    ]
    notes: dict[str, str] = {}
    for each in challenges:
        notes |= judge_checkpoints([each.model], each.parts, "test", args.contaminated)
    scores = [
        dict(judge_methods(challenge, args.fitted_windows, args.output_dir)) for challenge in challenges
    ]
    results = [ChallengeResult(method, scores[0][method], scores[1][method]) for method in scores[0]]
    output_dir = Path(args.output_dir)
    write_results(output_dir, results, challenges, f"{split_args.split} split, part {args.part}", notes)
    table = challenge_table(results)
    write_text(output_dir / "table.md", table)
    sys.stdout.write(table)
    warning = leak_warning(min(result.challenge_2["nrmse_std"] for result in results))
    if warning:
        logger.warning(warning)


def write_results(
    output_dir: Path,
    results: list[ChallengeResult],
    challenges: list[Challenge],
    split: str,
    notes: dict[str, str],
) -> None:
    """Write metrics.json with its provenance and the published scores."""
    first, second = challenges
    provenance = collect_provenance(
        dataset=", ".join(first.test.unique("corpus")),
        licence=", ".join(first.test.unique("licence")),
        seeds=(),
        split=split,
        **{
            f"{name}_{each.number}": fact
            for each in challenges
            for name, fact in SplitContents.of_part(each.parts, "test").facts().items()
        },
        contamination=notes,
        targets=[first.target, second.target],
        models=[first.model, second.model],
        tasks=second.test.unique("task"),
    )
    names = ("method", "challenge_1", "challenge_2", "overall")
    rows = [{name: getattr(result, name) for name in names} for result in results]
    published = {**PUBLISHED_SCORES, "source": PUBLISHED_SOURCE}
    write_json(
        output_dir / "metrics.json", {"provenance": provenance, "results": rows, "published": published}
    )
