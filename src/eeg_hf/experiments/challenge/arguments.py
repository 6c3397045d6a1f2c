# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf evaluate-eeg2025` and `make-submission`."""

from dataclasses import dataclass
from typing import Literal

from ..options import Contaminated, option


@dataclass
class ChallengeArguments:
    """What to score, and on which data."""

    challenge1: str = option("Folder of the regressor of response times.")
    challenge2: str = option("Folder of the regressor of the trait.")
    output_dir: str = option("Folder for metrics.json and table.md.")
    data1: str = option("Data of challenge 1.", "runs/data/hbn_challenge1")
    data2: str = option("Data of challenge 2.", "runs/data/hbn_challenge2")
    target1: str = option("Column that challenge 1 predicts.", "response_time")
    target2: str = option("Column that challenge 2 predicts.", "externalizing")
    task2: str = option("Task on which challenge 2 is tested, or all.", "contrastChangeDetection")
    part: str = option("Part to test: validation (R5) or test.", "validation")
    contaminated: Contaminated = option(
        "refuse models that have seen what tests them, or mark them in metrics.json.", "refuse", expert=True
    )
    fitted_windows: int = option("Windows that ridge regression is fitted to at most; 0 for none.", 50_000)


@dataclass
class SubmissionArguments:
    """What to pack."""

    challenge1: str = option("Folder of the regressor of response times.")
    challenge2: str = option("Folder of the regressor of the trait.")
    output_dir: str = option("New or empty folder for the files and submission.zip.")
    unit: Literal["V", "uV"] = option("Unit of the challenge's windows.", "V")
