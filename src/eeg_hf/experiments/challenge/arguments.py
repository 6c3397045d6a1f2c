# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf evaluate-eeg2025` and `make-submission`."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class ChallengeArguments:
    """What to score, and on which data."""

    challenge1: str = field(metadata={"help": "Folder of the regressor of response times."})
    challenge2: str = field(metadata={"help": "Folder of the regressor of the trait."})
    output_dir: str = field(metadata={"help": "Folder for metrics.json and table.md."})
    data1: str = field(default="runs/data/hbn_challenge1", metadata={"help": "Data of challenge 1."})
    data2: str = field(default="runs/data/hbn_challenge2", metadata={"help": "Data of challenge 2."})
    target1: str = field(default="response_time", metadata={"help": "Column that challenge 1 predicts."})
    target2: str = field(default="externalizing", metadata={"help": "Column that challenge 2 predicts."})
    task2: str = field(
        default="contrastChangeDetection", metadata={"help": "Task on which challenge 2 is tested, or all."}
    )
    part: str = field(default="validation", metadata={"help": "Part to test: validation (R5) or test."})
    fitted_windows: int = field(
        default=50_000, metadata={"help": "Windows that ridge regression is fitted to at most; 0 for none."}
    )


@dataclass
class SubmissionArguments:
    """What to pack."""

    challenge1: str = field(metadata={"help": "Folder of the regressor of response times."})
    challenge2: str = field(metadata={"help": "Folder of the regressor of the trait."})
    output_dir: str = field(metadata={"help": "New or empty folder for the files and submission.zip."})
    unit: Literal["V", "uV"] = field(default="V", metadata={"help": "Unit of the challenge's windows."})


__all__ = ["ChallengeArguments", "SubmissionArguments"]
