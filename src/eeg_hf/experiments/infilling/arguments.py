# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf evaluate-infilling`."""

from dataclasses import dataclass, field


@dataclass
class InfillingArguments:
    """What to compare, and on which data."""

    data: str = field(metadata={"help": "Prepared corpus: windows of one length and one montage."})
    output_dir: str = field(metadata={"help": "Folder for metrics.json, table.md and the figures."})
    models: list[str] = field(default_factory=list, metadata={"help": "name=folder of a model, …"})
    part: str = field(default="test", metadata={"help": "Part of the split to test."})
    mask_ratios: list[float] = field(
        default_factory=lambda: [0.25, 0.5, 0.75], metadata={"help": "Shares of the stretches to hide."}
    )
    stretch_seconds: float = field(default=1.0, metadata={"help": "Length of a hidden stretch."})
    max_windows: int = field(default=256, metadata={"help": "Test windows, drawn at random; 0 for all."})
    max_train_windows: int = field(
        default=4096, metadata={"help": "Windows that the linear estimate is fitted to."}
    )
    samples: bool = field(
        default=False, metadata={"help": "Also score signals that masked VAEs sample from nothing."}
    )
    seed: int = field(default=0, metadata={"help": "Seed of the windows, the masks and the samples."})


__all__ = ["InfillingArguments"]
