# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf evaluate-infilling`."""

from dataclasses import dataclass, field


@dataclass
class InfillingArguments:
    """What to compare, on what."""

    data: str = field(metadata={"help": "Prepared corpus: windows of one length and one montage."})
    output_dir: str = field(metadata={"help": "Where metrics.json, table.md and the pictures go."})
    models: list[str] = field(default_factory=list, metadata={"help": "name=folder of trained models."})
    part: str = field(default="test", metadata={"help": "Part of the split to test."})
    mask_ratios: list[float] = field(
        default_factory=lambda: [0.25, 0.5, 0.75], metadata={"help": "Shares of the stretches to hide."}
    )
    stretch_seconds: float = field(default=1.0, metadata={"help": "How long the hidden stretches are."})
    max_windows: int = field(default=256, metadata={"help": "Windows to test, drawn at random; 0 = all."})
    max_train_windows: int = field(default=4096, metadata={"help": "Windows the linear guess is fitted to."})
    samples: bool = field(
        default=False, metadata={"help": "Judge signals that masked VAEs draw too, from nothing hidden."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of the windows, of what is hidden and drawn."})
