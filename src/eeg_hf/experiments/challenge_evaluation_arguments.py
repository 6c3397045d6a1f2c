# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf evaluate-eeg2025`."""

from dataclasses import dataclass, field


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
