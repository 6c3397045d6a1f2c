# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf train-ensemble`."""

from dataclasses import dataclass
from typing import Any

from ..options import option


@dataclass
class EnsembleArguments:
    """What to train, and on which votes."""

    data: str = option("Windows of --corpus hms, prepared with --segments events.")
    recordings: str | None = option(
        "Folder of the competition, for its spectrograms; default: they are made of the windows.", None
    )
    test: str | None = option(
        'Windows of its test part (--corpus_options \'{"part": "test"}\'), for submission.csv.', None
    )
    members: dict[str, Any] = option(
        "Members: name -> fields of the config (JSON). foundation, resnet1d_gru, and efficientnet, of which "
        "`architecture` is a name of timm; `model` names pretrained weights.",
        factory=lambda: {"foundation": {}, "resnet1d_gru": {}, "efficientnet": {}},
        block=True,
    )
    folds: int = option("Folds by patient.", 5)
    num_calibration_patients: int | None = option(
        "Patients of each fold that calibrate and weight the members, and train none; default: a fifth.",
        None,
    )
    least_votes: list[int] = option(
        "Fewest votes of a window in each stage of the training.", factory=lambda: [1, 10]
    )
    later_rate: float = option("Factor of the learning rate in each later stage.", 0.3, expert=True)

    def check(self) -> None:
        """Refuse options that cannot work together."""
        if not self.members:
            raise ValueError("--members: expected one or more")
        if self.folds < 2:
            raise ValueError(f"--folds {self.folds}: expected 2 or more")
        if self.num_calibration_patients is not None and self.num_calibration_patients < 1:
            raise ValueError(
                f"--num_calibration_patients {self.num_calibration_patients}: expected 1 or more, whose "
                "windows train no member"
            )
        if self.least_votes != sorted(set(self.least_votes)) or not self.least_votes:
            raise ValueError(f"--least_votes: expected rising numbers, got {self.least_votes}")
