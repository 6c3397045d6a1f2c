# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf make-submission`."""

from dataclasses import dataclass, field


@dataclass
class SubmissionArguments:
    """What to pack."""

    challenge1: str = field(metadata={"help": "Folder of the regressor of response times."})
    challenge2: str = field(metadata={"help": "Folder of the regressor of the trait."})
    output_dir: str = field(
        metadata={"help": "Where the files and submission.zip go; a new or empty folder."}
    )
    unit: str = field(default="V", metadata={"help": "Unit of the windows that the challenge hands over."})
