# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf evaluate-second-order`."""

from dataclasses import dataclass
from typing import Any

from ..options import option

PARTS = ("methods", "label_efficiency", "label_shift")


@dataclass
class SecondOrderArguments:
    """What to compare, on which data."""

    data: str = option("Prepared corpus, folder or Hub name: windows of one length and one montage.")
    label_column: str = option("Column of the labels.")
    output_dir: str = option("Folder for results.json, tables.md, the figure and all predictions.")
    class_names: list[str] | None = option("Classes in order; other labels are left out.", None)
    parts: list[str] = option(f"Some of {', '.join(PARTS)}.", factory=lambda: ["methods"])
    methods: list[str] = option(
        "Methods to compare; the first is ours. An unknown name lists them.",
        factory=lambda: ["second_order", "tangent_space", "band_power"],
    )
    regimes: list[str] = option(
        "What of the tested subjects may be used: unseen, first_30s, 20P, 50P, all.",
        factory=lambda: ["unseen", "first_30s", "all"],
    )
    rest: str | None = option("Label of rest, of which 30 s calibrate; default: the first 30 s.", None)
    seeds: list[int] = option("Seed 0 has the folds of GroupKFold, others shuffle.", factory=lambda: [0])
    folds: int = option("Number of folds.", 5)
    group_column: str = option("Column that folds keep together.", "subject")
    block_windows: int = option("Folds keep blocks of this many consecutive windows together instead.", 0)
    normalization: str | None = option(
        "Instead of the corpus's, such as microvolt: with one channel, amplitude matters.",
        None,
    )
    config: dict[str, Any] = option("Fields of EEGFoundationConfig (JSON).", factory=dict, block=True)
    stimulus_hz: list[float] | None = option(
        "Stimuli of cca and fbcca in Hz; default: the class names.", None
    )
    num_epochs: int = option("Epochs of the networks of braindecode.", 30)
    # Label efficiency
    num_labelled: list[int] = option(
        "Numbers of labelled subjects; 0 for all.", factory=lambda: [2, 4, 8, 16, 0]
    )
    features: list[str] = option(
        "What the head reads; the first is compared with the others. An unknown name lists them.",
        factory=lambda: ["beside", "pretrained", "random", "vectors", "tangent_space"],
    )
    draws: int = option("Draws of the labelled subjects in each fold.", 10)
    pretrain_epochs: float = option("Epochs of masked-band prediction.", 15.0)
    pretrain_subjects: int = option(
        "Training subjects whose windows are pretrained on, in as many steps as all; 0 is all.", 0
    )
    pretrain_data: list[str] = option(
        "Other prepared corpora that are pretrained on as well, in the same number of steps.",
        factory=list,
    )

    def check(self) -> None:
        """Refuse parts and numbers that mean nothing."""
        unknown = sorted(set(self.parts) - set(PARTS))
        if unknown or not self.parts:
            raise ValueError(f"parts: expected some of {', '.join(PARTS)}, got {' '.join(self.parts)}")
        for name, least in (("folds", 2), ("draws", 1), ("block_windows", 0), ("pretrain_subjects", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}: expected {least} or more, got {getattr(self, name)}")
        if not self.seeds:
            raise ValueError("seeds: expected one or more, got none")
