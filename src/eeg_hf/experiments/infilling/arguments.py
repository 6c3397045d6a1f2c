# SPDX-License-Identifier: Apache-2.0
"""The options of `eeg-hf evaluate-infilling`."""

from dataclasses import dataclass

from ..options import Contaminated, option


@dataclass
class InfillingArguments:
    """What to compare, and on which data."""

    data: str = option("Prepared corpus: windows of one length and one montage.")
    output_dir: str = option("Folder for metrics.json, table.md and the figures.")
    models: list[str] = option("name=folder of a model, …", factory=list)
    part: str = option("Part of the split to test.", "test")
    contaminated: Contaminated = option(
        "refuse models that have seen what tests them, or mark them in metrics.json.", "refuse", expert=True
    )
    mask_ratios: list[float] = option("Shares of the stretches to hide.", factory=lambda: [0.25, 0.5, 0.75])
    stretch_seconds: float = option("Length of a hidden stretch.", 1.0)
    max_windows: int = option("Test windows, drawn at random; 0 for all.", 256)
    max_train_windows: int = option("Windows that the linear estimate is fitted to.", 4096)
    samples: bool = option("Also score signals that masked VAEs sample from nothing.", False)
    seed: int = option("Seed of the windows, the masks and the samples.", 0)
